# %% [markdown]
# # 01 Forward and backward
#
# **What you will build:** your first layers with hand-written gradients, and the tool that tells whether a gradient is
# right. Both are small. Everything in this course, up to a network that decides where to look, is made of such layers
# and was found right by such a tool.
#
# *About 40 minutes. You need Python, NumPy and the chain rule of one variable.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import matplotlib.pyplot as plt
import numpy as np

from ramnp import data
from ramnp.backend import get_backend
from ramnp.config import DataConfig
from ramnp.gradcheck import check, check_answer, check_gradient, check_output, relative_error
from ramnp.teaching import figures

figures.use_style()

# %% [markdown]
# ## 1. Arrays
#
# A network computes with arrays, and most mistakes are mistakes about their shapes. So shapes have letters, the same
# ones in every notebook and every docstring:
#
# | letter | meaning | letter | meaning |
# |---|---|---|---|
# | B | images in a batch | D | values in one glimpse |
# | R | rows: rollouts that are computed together | G | numbers that the glimpse network makes of it |
# | H, W, C | height, width and channels of an image | N | units of the network's state |
# | T | glimpses | A | classes |
# | K | scales of a glimpse | | |
#
# **The first axis is rows.** A row is one image, one glimpse or one state, whatever is being computed. Layers treat
# all rows alike and never mix them, so a layer that is right for one row is right for a thousand.

# %%
digits = data.load(DataConfig(dataset="mnist")).train
images = digits.images[:256]
print("B, H, W, C:", images.shape, images.dtype)

x = images.reshape(256, 28 * 28) / 255  # one row an image, values from 0 to 1
print("rows, values:", x.shape, x.dtype)

# %% [markdown]
# Two types of numbers matter. **float32** has 7 digits and is what networks are trained in: half the memory, twice the
# speed. **float64** has 16 digits and is what gradients are checked in. You will soon see why.

# %%
for dtype in (np.float32, np.float64):
    print(f"{dtype.__name__}: rounds to a relative error of u = {np.finfo(dtype).eps / 2:.1e}; 1 + 1e-9 is", end=" ")
    print("1" if dtype(1) + dtype(1e-9) == 1 else "more than 1")

# %% [markdown]
# **Where arrays live.** NumPy keeps arrays in the computer's memory, CuPy in that of a GPU, and CuPy has NumPy's
# functions under NumPy's names. So code that takes the module as an argument, called `xp`, runs on both:


# %%
def brightness(x, xp):
    """Root mean square of each row."""
    return xp.sqrt((x * x).mean(axis=1))


backend = get_backend("auto")  # CuPy where there is a GPU, else NumPy
on_backend = brightness(backend.asarray(x), backend.xp)
print(f"on {backend.name}:", backend.to_host(on_backend)[:4])

# %% [markdown]
# That is all there is to it: in `ramnp`, one file knows about GPUs (`ramnp/backend.py`), and all the mathematics is
# written once. In this notebook `np` will do.
#
# ## 2. A layer is two functions
#
# A network is a chain of layers that ends in one number, the loss $L$. Training needs to know how $L$ changes with
# every value on the way.

# %%
figures.draw_chain(["square", "tanh", "sum"], ["x", "a", "y", "L"])

# %% [markdown]
# So each layer is a pair.
#
# - **forward**: from $x$ to $y$, left to right. It also returns a *cache*: whatever backward will need again.
# - **backward**: from $dy$ to $dx$, right to left. We write $dy$ for $\partial L / \partial y$: an array in the shape
#   of $y$ that says how much the loss would change for a small change of each element of $y$. What comes after the
#   layer is summed up in $dy$; what came before does not matter.
#
# By the chain rule, $x_i$ acts on the loss through every $y_j$:
#
# $$dx_i = \sum_j dy_j \, \frac{\partial y_j}{\partial x_i} \qquad\text{or}\qquad dx = J^T dy .$$
#
# $J$, with $J_{ji} = \partial y_j / \partial x_i$, is the Jacobian, and backward is a *vector-Jacobian product*. It is
# never computed with $J$: for the 256 images above, a layer with 784 outputs has a $J$ of $(256 \cdot 784)^2$ elements.

# %%
print(f"J in float32: {(256 * 784) ** 2 * 4 / 1e9:.0f} GB;  dx: {256 * 784 * 4 / 1e6:.1f} MB")

# %% [markdown]
# For an *elementwise* function, $y_i = f(x_i)$, most of $J$ is zero: $y_j$ depends on $x_j$ alone. One term of the sum
# is left:
#
# $$dx_i = dy_i \, f'(x_i) .$$
#
# Here is the pair for $f(x) = x^2$, with $f'(x) = 2x$. Backward needs $x$, so $x$ is the cache.


# %%
def square_forward(x):
    y = x * x  #                  y = x^2
    return y, x


def square_backward(dy, cache):
    x = cache
    return dy * 2 * x  #          dx = dy f'(x) = dy 2x


# %% [markdown]
# Is it the same as $J^T dy$? For four numbers we can afford $J$:

# %%
x, dy = np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.1, 0.2, -0.3, 0.4])
J = np.diag(2 * x)
print("J^T dy:  ", J.T @ dy)
print("backward:", square_backward(dy, x))

# %% [markdown]
# And for many numbers there is `check`. It feeds random numbers to the pair, and compares what backward returns with
# finite differences of forward, which you will write in section 3.

# %%
check(square_forward, square_backward)

# %% [markdown]
# `checked` counts the elements compared, `error` is the largest relative error. Now for somebody who forgot something:


# %%
def forgetful_backward(dy, cache):
    x = cache
    return 2 * x


try:
    check(square_forward, forgetful_backward)
except AssertionError as error:
    print("\nand so it fails:", error)

# %% [markdown]
# You will see this table often. The line with the arrow is the useful one.
#
# **What to cache** is a choice. For $y = \tanh x$ the derivative can be written with $y$ itself: $\tanh' = 1 -
# \tanh^2$, so $dx = dy\,(1 - y^2)$. The output is kept anyway, since it is the next layer's input, and so the cache costs
# nothing. In `ramnp`, all elementwise functions do it this way: backward takes `dy` and `y`.


# %%
def tanh(x):
    return np.tanh(x)  #          y = tanh x


def tanh_backward(dy, y):
    return dy * (1 - y * y)  #    dx = dy (1 - y^2)


check(tanh, tanh_backward)

# %% [markdown]
# ### Exercise 1.1: sigmoid
#
# $$y = \sigma(x) = \frac{1}{1 + e^{-x}}$$
#
# is the gate of every LSTM. Derive $\sigma'$, write it with $y$ alone, and fill in `sigmoid_backward`.
#
# <details><summary>Hint</summary>
#
# The derivative is $e^{-x} / (1 + e^{-x})^2$. One of its two factors is $y$. What is the other one, $e^{-x} / (1 +
# e^{-x})$, added to $y$?
# </details>


# %% exercise="sigmoid"
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_backward(dy, y):
    """dx from dy and the output y."""
    ### BEGIN SOLUTION
    return dy * y * (1 - y)  #    dx = dy y (1 - y)
    ### END SOLUTION


# %% check="sigmoid" points=1
check(sigmoid, sigmoid_backward)

# %% [markdown]
# ### Exercise 1.2: a layer with a parameter
#
# Layers that learn have parameters, and these need a gradient, too. The simplest such layer scales every column by a
# number of its own:
#
# $$y_{ri} = s_i \, x_{ri}$$
#
# with $x$ of shape (rows, n) and $s$ of shape (n,). Here $s_i$ acts on the loss through *every row*, so its gradient is
# a sum over rows:
#
# $$ds_i = \sum_r dy_{ri} \, \frac{\partial y_{ri}}{\partial s_i} .$$
#
# The parameter is `self.s` and its gradient `self.ds`. **Add to `self.ds`, do not assign**: a recurrent network calls
# the same layer once a time step, and the gradients of all steps add up. Whoever starts a new training step sets them
# to zero.
#
# Write `backward`. It returns `dx`.
#
# <details><summary>Hint</summary>
#
# A gradient has the shape of what it is the gradient of. `ds` is (n,), `x` and `dy` are (rows, n): which axis must go?
# </details>


# %% exercise="scale"
class Scale:
    """y = x * s, with x (rows, n) and s (n,)."""

    def __init__(self, n):
        self.s = np.ones(n)
        self.ds = np.zeros(n)

    def forward(self, x):
        return x * self.s, x

    def backward(self, dy, cache):
        x = cache
        ### BEGIN SOLUTION
        self.ds += (dy * x).sum(axis=0)  #     ds_i = sum_r dy_ri x_ri
        return dy * self.s  #                  dx_ri = dy_ri s_i
        ### END SOLUTION


# %% check="scale" points=2
check(Scale)

# %% [markdown]
# ### Exercise 1.3: a chain
#
# A chain of layers is a layer again. Its backward runs through them in reverse, and the $dx$ of each is the $dy$ of the
# one before it. Write both passes of $y = \tanh(x^2)$, using `square_forward`, `square_backward`, `tanh` and
# `tanh_backward` from above.
#
# <details><summary>Hint</summary>
#
# In the picture above: $x$, $a$, $y$ from left to right, then $dy$, $da$, $dx$ from right to left. Each backward wants
# the cache of its own forward, so the chain's cache holds both.
# </details>


# %% exercise="chain"
def chain_forward(x):
    """y = tanh(x^2), and a cache."""
    ### BEGIN SOLUTION
    a, square_cache = square_forward(x)
    y = tanh(a)
    return y, (square_cache, y)
    ### END SOLUTION


def chain_backward(dy, cache):
    """dx."""
    ### BEGIN SOLUTION
    square_cache, y = cache
    da = tanh_backward(dy, y)
    return square_backward(da, square_cache)
    ### END SOLUTION


# %% check="chain" points=2
def chain_output(x):
    y, _ = chain_forward(x)
    return y


def chain_gradient(x, dy):
    _, cache = chain_forward(x)
    return chain_backward(dy, cache)


x, dy = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, -3.0])
check_output(
    chain_output,
    x,
    expected=[0.24491866, 0.76159416, 0.99932930],
    mistakes={"that is tanh(x): the square is left out": np.tanh(x), "that is tanh(x)^2": np.tanh(x) ** 2},
)
check_output(
    chain_gradient,
    x,
    dy,
    expected=[0.94001485, -1.67989737, -0.01609141],
    mistakes={
        "the square's part of the chain is left out": [0.94001485, 0.83994868, -0.00402285],
        "the tanh's part of the chain is left out": dy * 2 * x,
    },
)
check(chain_forward, chain_backward)

# %% [markdown]
# (Elementwise layers only multiply, so for them the wrong order gives the right numbers, too. From 02 on it will not.)

# %% [markdown]
# ## 3. Is it right? Ask the function
#
# A derivative has a definition, and a computer can follow it. Move $x_i$ a little both ways and see what the loss does:
#
# $$n_i = \frac{f(x + \varepsilon e_i) - f(x - \varepsilon e_i)}{2 \varepsilon} .$$
#
# ($e_i$ is zero but for a one at $i$.) This *central difference* needs two evaluations of $f$ for each element: far too
# slow to train with, and all one wants for a check, because it knows nothing of your derivation.
#
# ### Exercise 1.4: the central difference
#
# Write `numerical_gradient`. `f` takes an array and returns a number; `x` can have any shape, and the gradient has the
# same. Leave `x` as you found it.
#
# <details><summary>Hint</summary>
#
# `for i in np.ndindex(x.shape):` gives the index of every element, whatever the shape. Remember the element before you
# change it, and put back what you remembered: adding and subtracting $\varepsilon$ does not give the same bits.
# </details>


# %% exercise="central-difference"
def numerical_gradient(f, x, eps=1e-5):
    """df/dx by central differences, in the shape of x."""
    gradient = np.zeros(x.shape)
    ### BEGIN SOLUTION
    for i in np.ndindex(x.shape):
        before = x[i]
        x[i] = before + eps
        above = f(x)
        x[i] = before - eps
        below = f(x)
        x[i] = before
        gradient[i] = (above - below) / (2 * eps)
    ### END SOLUTION
    return gradient


# %% check="central-difference" points=3
# For f = sum of x^3 a central difference is 3 x^2 + eps^2 exactly, so even a large step tells what was computed.
x = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.5]])
exact = 3 * x**2
check_output(
    numerical_gradient,
    lambda x: (x**3).sum(),
    x,
    0.1,
    expected=exact + 0.01,
    mistakes={
        "it is all zero: nothing is written into gradient": 0 * x,
        "twice too large: the two points lie 2 eps apart": 2 * (exact + 0.01),
        "not divided by 2 eps": 0.2 * (exact + 0.01),
        "the lower point is x itself: step both ways": (exact + 0.3 * x + 0.01) / 2,
        "one-sided, (f(x + eps) - f(x)) / eps: step both ways": exact + 0.3 * x + 0.01,
        "one-sided, (f(x) - f(x - eps)) / eps: step both ways": exact - 0.3 * x + 0.01,
        "the argument eps is not used": exact,
        "the sign is wrong: f(x + eps) - f(x - eps)": -exact - 0.01,
        "all elements move at once: move one, and put it back": 0 * x + (exact + 0.01).sum(),
    },
)

# %% [markdown]
# Now your tool can check your layer. A layer's output is an array and `f` must return a number, so we weigh the output
# with a fixed random `dy`: the gradient of $\sum_j y_j \, dy_j$ with respect to $x$ is what backward claims to return.

# %%
rng = np.random.default_rng(0)
x, dy = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
y, cache = chain_forward(x)
a = chain_backward(dy, cache)
n = numerical_gradient(lambda x: (chain_forward(x)[0] * dy).sum(), x)
print("largest absolute difference:", np.abs(a - n).max())

# %% [markdown]
# Is that small? That depends on what it is the difference of. If gradients are near $10^{-10}$, a difference of
# $10^{-10}$ means that everything is wrong. So one looks at the *relative error*
#
# $$\frac{|a - n|}{\max(|a|, |n|, \text{floor})} ,$$
#
# where the floor keeps 0/0 away. It is $10^{-7}$ or less for right code, and mostly 0.01 to 2 for wrong code.
# There is little in between; `ramnp` draws the line at $10^{-6}$, and at $10^{-5}$ for yours.

# %%
print(f"right:            {relative_error(a, n).max():.1e}")
print(f"all tiny, wrong:  {relative_error(np.array(1e-7), np.array(2e-7)).max():.1e}")
print(f"a factor 2:       {relative_error(2 * a, n).max():.1e}")

# %% [markdown]
# ### Exercise 1.5: which step?
#
# A small $\varepsilon$ should be more exact. Should it be $10^{-15}$? Two errors are at work. Where $f$ is smooth,
# Taylor's series gives the error of the formula; and $f$ itself is only known to its last digit, an error of $u |f|$, which is
# divided by $\varepsilon$:
#
# $$E(\varepsilon) = \underbrace{\frac{\varepsilon^2}{6} |f'''|}_{\text{formula}}
# + \underbrace{\frac{u \, |f|}{\varepsilon}}_{\text{rounding}}$$
#
# with $u = 1.1 \cdot 10^{-16}$ in float64 and $6 \cdot 10^{-8}$ in float32. Find the $\varepsilon$ where $E$ is
# smallest, for $|f| = |f'''| = 1$ and both types. The next cell will then plot what really happens, and your two predictions.
#
# <details><summary>Hint</summary>
#
# Where $E$ is smallest, $dE/d\varepsilon = 0$. That is an equation for $\varepsilon^3$.
# </details>

# %% exercise="best-step"
best_step_float64 = None  # replace None: a number, or a formula
best_step_float32 = None
### BEGIN SOLUTION
best_step_float64 = (3 * 1.1e-16) ** (1 / 3)  #   dE/deps = eps/3 - u/eps^2 = 0
best_step_float32 = (3 * 6e-8) ** (1 / 3)
### END SOLUTION

# %% check="best-step" points=2
for answer, expected, u in ((best_step_float64, 6.9e-6, 1.1e-16), (best_step_float32, 5.6e-3, 6e-8)):
    mistakes = {
        "that is right for a one-sided difference": u**0.5,
        "nearly: what becomes of the 6, and of the exponent 2?": u ** (1 / 3),
        "nearly: is the derivative of eps^2 / 6 right?": (6 * u) ** (1 / 3),
    }
    check_answer(answer, expected, mistakes, tolerance=0.1)


# %%
def difference_errors(dtype, steps, one_sided=False):
    """Errors of the differences of tanh at many points near 0.7: the median over the points, relative."""
    x = np.linspace(0.6, 0.8, 101).astype(dtype)
    exact = 1 - np.tanh(x.astype(float)) ** 2
    errors = []
    for eps in steps.astype(dtype):
        lower = x if one_sided else x - eps
        slope = (np.tanh(x + eps) - np.tanh(lower)).astype(float) / (eps if one_sided else 2 * eps)
        errors.append(np.median(np.abs(slope - exact) / exact))
    return errors


steps = np.logspace(-12, -0.5, 70)
_, axes = plt.subplots()
axes.loglog(steps, difference_errors(np.float64, steps, one_sided=True), ls=":", label="one-sided, float64")
axes.loglog(steps, difference_errors(np.float64, steps), label="central, float64")
coarse = steps[steps > 3e-7]
axes.loglog(coarse, difference_errors(np.float32, coarse), label="central, float32")
axes.axhline(1e-6, color=figures.INK, lw=0.8)
axes.text(1e-8, 1.5e-6, "a check needs this", ha="center", va="bottom", fontsize=9)
if best_step_float64 and best_step_float32:
    axes.axvline(best_step_float64, color=figures.ORANGE, ls="--", lw=1)
    axes.axvline(best_step_float32, color=figures.GREEN, ls="--", lw=1)
axes.set(xlabel=r"step $\varepsilon$", ylabel="relative error", title="the derivative of tanh by differences")
_ = axes.legend()

# %% [markdown]
# Read the V from right to left. First the formula's error falls, as $\varepsilon^2$ for the central difference: two
# decades for each. Then rounding takes over and the error rises again. Your dashed lines stand where the curves are
# lowest, and the figure answers three questions.
#
# - **Why central?** One-sided differences do not get below a few $10^{-9}$, and that only with the best step.
# - **Why $10^{-5}$?** It is the bottom of the V in float64.
# - **Why float64?** In float32 even the best step leaves an error of a few $10^{-6}$: a check that lets it pass would
#   also pass gradients that are wrong in their fifth digit.
#
# ## 4. Kinks
#
# One thing is left that makes right code look wrong. The ReLU, $y = \max(x, 0)$, has slope 0 left of zero and 1 right
# of it. A difference that reaches across zero measures a bit of both.
#
# ### Exercise 1.6: across the kink
#
# At $x = 3 \cdot 10^{-6}$ the derivative of the ReLU is 1. What does the central difference with $\varepsilon =
# 10^{-5}$ say? Work it out on paper.
#
# <details><summary>Hint</summary>
#
# Where do $x + \varepsilon$ and $x - \varepsilon$ lie, and what is the ReLU there?
# </details>

# %% exercise="kink"
difference_at_kink = None  # replace None by a number
### BEGIN SOLUTION
difference_at_kink = (3e-6 + 1e-5) / (2 * 1e-5)  # the lower point lies left of zero, where the ReLU is 0
### END SOLUTION

# %% check="kink" points=1
check_answer(
    difference_at_kink,
    expected=0.65,
    mistakes={
        "that is the derivative; the difference also reads the ReLU at x - eps": 1,
        "nearly: the two points lie 2 eps apart": 1.3,
        "that is right at zero itself": 0.5,
    },
)

# %%
eps = 1e-5
x = np.linspace(-2 * eps, 2 * eps, 401)
slope = (np.maximum(x + eps, 0) - np.maximum(x - eps, 0)) / (2 * eps)
_, axes = plt.subplots()
axes.plot(x / eps, slope, label=r"central difference, $\varepsilon = 10^{-5}$")
axes.plot(x / eps, x > 0, ls="--", label="derivative")
if difference_at_kink is not None:
    axes.plot(0.3, difference_at_kink, "o", color=figures.RED, label="exercise 1.6")
axes.set(xlabel=r"$x / \varepsilon$", ylabel="slope of the ReLU", title="a difference cannot see a kink sharply")
_ = axes.legend()

# %% [markdown]
# With $\varepsilon = 10^{-3}$ the ramp would be a hundred times as wide, and in a network with thousands of ReLUs some
# would always lie on it. With $10^{-5}$ it is rare. And it can be told: a smooth function's second difference shrinks
# as $\varepsilon^2$, that of a kink does not. `ramnp` looks for this, skips such an element and counts it under `kinks`,
# so that it neither fails right code nor hides what it did not check:

# %%
x = np.array([0.5, 3e-6, -0.2])
print(check_gradient(lambda: np.maximum(x, 0).sum(), x, analytic=(x > 0) * 1.0))

# %% [markdown]
# ## What you can now do
#
# - Read a shape, and say which axis is rows.
# - Write a layer as a forward and a backward pass, with the cache that connects them; give a parameter its gradient.
# - Run a chain of layers backward.
# - Check any gradient with central differences, and say why they are central, in float64, with a step of $10^{-5}$.
# - Tell a wrong gradient from a kink.
#
# Your own code, in a file, is checked by the same tool: `python -m ramnp.gradcheck my_layers.py`.
#
# **Next:** [02](02_linear_and_softmax.ipynb), the three layers that every network of this course is made of.
