# %% [markdown]
# # 02 Linear, ReLU, softmax and cross-entropy
#
# **What you will build:** the layers that every network of this course is made of. You derive their gradients, write
# them, and have them checked. Then they read handwritten digits, and at the end they carry a network that chooses where
# to look.
#
# *About 45 minutes. You need 01 and matrix products.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import matplotlib.pyplot as plt
import numpy as np

from ramnp import data
from ramnp.config import Config
from ramnp.gradcheck import check, check_answer, check_output
from ramnp.teaching import SHORT, figures
from ramnp.teaching.animations import animate_glimpses
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import using

figures.use_style()

# %% [markdown]
# ## 1. Linear
#
# $$y = x W + b$$
#
# with $x$ of shape (rows, in), $W$ (in, out) and $b$ (out,). Weights are (in, out) throughout, so that the code reads
# like the equation.

# %%
figures.draw_product(("$x$", "rows", "in"), ("$W$", "in", "out"), "$y$", {"rows": 2, "in": 3, "out": 1.2})

# %% [markdown]
# For its gradients, write it with indices:
#
# $$y_{rj} = \sum_i x_{ri} W_{ij} + b_j .$$
#
# Three things act on the loss through $y$: $x$, $W$ and $b$. For each, the chain rule is the same sentence: *sum over all
# the $y$ that it acts on.* Take $W_{ij}$. It appears in column $j$ of $y$, in every row, where it is multiplied by
# $x_{ri}$:
#
# $$dW_{ij} = \sum_r \sum_k dy_{rk} \frac{\partial y_{rk}}{\partial W_{ij}} = \sum_r x_{ri} \, dy_{rj} ,
# \qquad\text{since}\qquad \frac{\partial y_{rk}}{\partial W_{ij}} = x_{ri} \text{ if } k = j \text{, else } 0 .$$
#
# $b_j$ appears in the same places, multiplied by 1. And $x_{ri}$ appears in row $r$ of $y$, in every column:
#
# $$db_j = \sum_r dy_{rj} , \qquad\qquad dx_{ri} = \sum_j dy_{rj} \, W_{ij} .$$
#
# Each of these sums is a product of two matrices, one of them transposed, or a sum over an axis. **The shapes say which**,
# if you remember that a gradient has the shape of what it is the gradient of.
#
# ### Exercise 2.1: Linear
#
# Turn the three sums into one line each. `dW` and `db` are added to `self.dW` and `self.db`, as in 01; `dx` is returned.
#
# <details><summary>Hint</summary>
#
# In a matrix product, the index that is summed over stands last in the first factor and first in the second. In $\sum_r
# x_{ri} dy_{rj}$ it is $r$, which stands first in both: so $x$ has to be transposed.
# </details>


# %% exercise="linear"
class Linear:
    """y = x W + b, with x (rows, n_in), W (n_in, n_out), b (n_out,)."""

    def __init__(self, n_in, n_out, rng, gain=1.0):
        self.W = rng.standard_normal((n_in, n_out)) * gain / np.sqrt(n_in)
        self.b = np.zeros(n_out)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        return x @ self.W + self.b, x  # the cache is x

    def backward(self, dy, cache):
        x = cache
        ### BEGIN SOLUTION
        self.dW += x.T @ dy  #            dW_ij = sum_r x_ri dy_rj
        self.db += dy.sum(axis=0)  #      db_j  = sum_r dy_rj
        return dy @ self.W.T  #           dx_ri = sum_j dy_rj W_ij
        ### END SOLUTION


# %% check="linear" points=3
check(Linear)

# %% [markdown]
# The same in rectangles. $dW = x^T dy$ sums over rows, $dx = dy\,W^T$ over outputs:

# %%
figures.draw_product(("$x^T$", "in", "rows"), ("$dy$", "rows", "out"), "$dW$", {"rows": 2, "in": 3, "out": 1.2})

# %%
figures.draw_product(("$dy$", "rows", "out"), ("$W^T$", "out", "in"), "$dx$", {"rows": 2, "in": 3, "out": 1.2})

# %% [markdown]
# Note what the sum over rows does: the gradient of a layer that is used on many rows is the sum of what each row asks
# for. Whether the loss is a mean over rows is the loss's business; it will be hidden in $dy$.
#
# ## 2. ReLU
#
# Without something bent between them, two Linears are one. The ReLU is the cheapest bend:
#
# $$y = \max(x, 0) .$$
#
# ### Exercise 2.2: ReLU
#
# It is elementwise, so you know from 01 what to do. As there, backward gets the output `y` and not `x`: is that enough?
#
# <details><summary>Hint</summary>
#
# $f'(x)$ is 1 where $x > 0$, else 0. Where is $y > 0$?
# </details>


# %% exercise="relu"
def relu(x):
    return np.maximum(x, 0)


def relu_backward(dy, y):
    """dx from dy and the output y."""
    ### BEGIN SOLUTION
    return dy * (y > 0)  #                dx = dy where x > 0, else 0
    ### END SOLUTION


# %% check="relu" points=1
check(relu, relu_backward)

# %% [markdown]
# ## 3. Softmax
#
# The last Linear gives A numbers for each row, the *logits* $z$: any numbers. Softmax makes them probabilities, and the
# loss will want their logarithm:
#
# $$p_a = \frac{e^{z_a}}{\sum_k e^{z_k}} , \qquad\qquad \log p_a = z_a - \log \sum_k e^{z_k} .$$
#
# On paper, that is all. In float32, $e^z$ is infinite from $z = 89$ on, and zero below $-104$. Here is $\log p_0$ for two
# classes with logits $(z, 0)$:

# %%
z = np.linspace(-150, 150, 601, dtype=np.float32)
with np.errstate(all="ignore"):
    naive = np.log(np.exp(z) / (np.exp(z) + 1))
_, axes = plt.subplots()
axes.plot(z, -np.logaddexp(0, -z.astype(float)), color=figures.SKY, lw=6, label=r"the truth, $-\log(1 + e^{-z})$")
axes.plot(z, naive, color=figures.RED, label="as written, in float32")
for edge, text in ((-104, r"$-\infty$"), (89, "NaN")):
    axes.axvline(edge, color=figures.INK, lw=0.8, ls=":")
    axes.text(edge + (-4 if edge < 0 else 4), -140, text, ha="right" if edge < 0 else "left")
axes.set(xlabel="logit $z$", ylabel=r"$\log p_0$", title="softmax, done naively")
_ = axes.legend(loc="center", bbox_to_anchor=(0.57, 0.3))

# %% [markdown]
# The way out is that softmax does not change when the same number is added to all logits of a row:
#
# $$\frac{e^{z_a + m}}{\sum_k e^{z_k + m}} = \frac{e^m \, e^{z_a}}{e^m \sum_k e^{z_k}} = p_a .$$
#
# So one may choose $m$ such that nothing overflows, and such that the sum is never zero.
#
# ### Exercise 2.3: log-softmax
#
# Write `log_softmax` for logits of shape (rows, A), so that it is right for logits of any size.
#
# <details><summary>Hint</summary>
#
# Which number should be the largest in each row after the shift, so that $e$ to it is 1? NumPy's `max` and `sum` take
# `axis=1, keepdims=True`, which leaves shapes that fit.
# </details>


# %% exercise="log-softmax"
def log_softmax(z):
    """log p over each row of z (rows, A)."""
    ### BEGIN SOLUTION
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # log p_a = z_a - log sum_k e^z_k
    ### END SOLUTION


# %% check="log-softmax" points=2
z = np.array([[0.0, 1.0, 2.0], [-1.0, 0.5, -2.0]])
log_p = np.log([[0.09003057317, 0.24472847105, 0.66524095577], [0.1709527802, 0.76615720656, 0.06289001324]])
largest = z.max(axis=1, keepdims=True)
print("small logits", end=": ")
check_output(
    log_softmax,
    z,
    expected=log_p,
    mistakes={
        "these are the probabilities: their logarithm is missing": np.exp(log_p),
        "the sum runs over the rows of a class: take it over the classes of a row": z - np.log(np.exp(z).sum(axis=0)),
        "the sum runs over all rows: take it over the classes of a row": z - np.log(np.exp(z).sum()),
        "the sum runs over all rows: take it over the classes of each": z - largest - np.log(np.exp(z - largest).sum()),
        "that is only the shifted logits: log sum exp of them is missing": z - largest,
        "the shift is in the sum, but not in front of it": log_p + largest,
    },
)
print("logits near 1000 and -1000", end=": ")
check_output(log_softmax, z + np.array([[1000.0], [-1000.0]]), expected=log_p)
print("logits of 1000 and -1000 in one row", end=": ")
check_output(log_softmax, np.array([[1000.0, 0.0, -1000.0]]), expected=[[0, -1000, -2000]])

# %% [markdown]
# ## 4. Cross-entropy
#
# The loss is the mean over rows of $-\log p$ of the right class, the label:
#
# $$L = -\frac{1}{B} \sum_r \log p_{r,\, \text{label}_r} .$$
#
# It is the *surprise*: 0 for somebody who is sure and right, and large for somebody who is sure and wrong.
#
# ### Exercise 2.4: what ignorance costs
#
# A network that knows nothing gives all A = 10 digits the same probability. What is its cross-entropy? It is the
# first number you should see when a training starts with small logits, as in section 5.
#
# <details><summary>Hint</summary>
#
# $p$ is the same for all classes, and they sum to 1. So which label it is does not matter.
# </details>

# %% exercise="ignorance"
loss_of_ignorance = None  # replace None: a number, or a formula
### BEGIN SOLUTION
loss_of_ignorance = np.log(10)  # -log(1/10)
### END SOLUTION

# %% check="ignorance" points=1
check_answer(
    loss_of_ignorance,
    expected=2.302585,
    mistakes={
        "a surprise is not negative: where is the minus sign?": -2.302585,
        "that is p; the loss is -log p": 0.1,
        "that is the logarithm to base 10; e is meant": 1,
        "that is the logarithm to base 2; e is meant": 3.321928,
    },
)

# %% [markdown]
# Now its gradient. One could run backward through $\log$, then through softmax with its full Jacobian. It is shorter to
# take both at once. Put $\log p$ of section 3 into the loss of one row:
#
# $$-\log p_\text{label} = -z_\text{label} + \log \sum_k e^{z_k} .$$
#
# Differentiate with respect to $z_a$. The second term gives something that you know:
#
# $$\frac{\partial}{\partial z_a} \log \sum_k e^{z_k} = \frac{e^{z_a}}{\sum_k e^{z_k}} = p_a ,$$
#
# and the first is yours.
#
# ### Exercise 2.5: cross-entropy, both ways
#
# Write the loss, and its gradient *with respect to the logits* $z$: softmax is included. Both get `log_p` of shape
# (rows, A) and `labels`, integers of shape (rows,).
#
# <details><summary>Hint</summary>
#
# `log_p[np.arange(rows), labels]` picks one number from each row. $\partial z_\text{label} / \partial z_a$ is 1 for $a$ =
# label, else 0: over all $a$, that is a row of zeros with a one, called one-hot. And do not forget what "mean" means for
# a gradient.
# </details>


# %% exercise="cross-entropy"
def cross_entropy(log_p, labels):
    """The mean over rows of -log p[label]: a number."""
    rows = len(labels)
    ### BEGIN SOLUTION
    return -log_p[np.arange(rows), labels].mean()
    ### END SOLUTION


def cross_entropy_backward(log_p, labels):
    """dlogits (rows, A)."""
    rows = len(labels)
    ### BEGIN SOLUTION
    dlogits = np.exp(log_p)
    dlogits[np.arange(rows), labels] -= 1  # dz = (p - onehot) / B
    return dlogits / rows
    ### END SOLUTION


# %% check="cross-entropy" points=3
check(cross_entropy, cross_entropy_backward)

# %% [markdown]
# $$dz = \frac{p - \text{onehot}(\text{label})}{B}$$
#
# *What you believe, minus what is true.* It is worth remembering: every step that a classifier takes starts with it. For
# somebody who thinks a 3 is probably an 8:

# %%
log_p = log_softmax(np.array([[0.0, 0.5, 1.0, 2.5, 0.0, 1.2, 0.0, 0.3, 3.0, 0.6]]))
dlogits = cross_entropy_backward(log_p, np.array([3]))
_, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
left.bar(range(10), np.exp(log_p[0]), color=figures.BLUE)
left.set(xlabel="digit", ylabel="probability p", title="belief", xticks=range(10))
right.bar(range(10), -dlogits[0], color=[figures.GREEN if d < 0 else figures.RED for d in dlogits[0]])
right.axhline(0, color=figures.INK, lw=0.8)
_ = right.set(xlabel="digit", ylabel="-dz", title="a step raises the 3 and lowers the rest", xticks=range(10))

# %% [markdown]
# The numbers of a row of $dz$ sum to zero. Why must they? Because adding the same number to all logits changes nothing.
#
# ## 5. A network
#
# ### Exercise 2.6: put together
#
# A network with one hidden layer: Linear, ReLU, Linear. Its forward is given. Write `backward`: from `dlogits` to `dx`,
# with your three parts. The gradients of the weights are found on the way.
#
# <details><summary>Hint</summary>
#
# Three lines, in reverse order of the three lines of forward. Each hands its result to the next, with its own cache.
# </details>


# %% exercise="network"
class Network:
    """logits = relu(x W_1 + b_1) W_2 + b_2."""

    def __init__(self, n_in, n_out, rng, n_hidden=64):
        self.hidden = Linear(n_in, n_hidden, rng, gain=np.sqrt(2))
        self.output = Linear(n_hidden, n_out, rng)

    def forward(self, x):
        a, hidden_cache = self.hidden.forward(x)
        h = relu(a)
        logits, output_cache = self.output.forward(h)
        return logits, (hidden_cache, h, output_cache)

    def backward(self, dlogits, cache):
        hidden_cache, h, output_cache = cache
        ### BEGIN SOLUTION
        dh = self.output.backward(dlogits, output_cache)
        da = relu_backward(dh, h)
        return self.hidden.backward(da, hidden_cache)
        ### END SOLUTION


# %% check="network" points=3
check(Network)

# %% [markdown]
# Every gradient of a network, right to seven digits, and no derivation was longer than three lines. Now let it read. A
# training step is: forward, loss, backward, and a small step of every parameter against its gradient. (*Stochastic
# gradient descent*: each step sees only a batch of the images.)

# %%
digits = data.load(Config(dataset="mnist"))  # 5,000 of the training images are held out for validation


def rows_of(split, count):
    return split.images[:count].reshape(count, -1) / 255, split.labels[:count]


def train(network, x, labels, steps, rng, batch=100, lr=0.2):
    layers, losses = (network.hidden, network.output), []
    for _ in range(steps):
        chosen = rng.integers(0, len(x), batch)
        logits, cache = network.forward(x[chosen])
        log_p = log_softmax(logits)
        losses.append(cross_entropy(log_p, labels[chosen]))
        for layer in layers:
            layer.dW[:], layer.db[:] = 0, 0
        network.backward(cross_entropy_backward(log_p, labels[chosen]), cache)
        for layer in layers:
            layer.W -= lr * layer.dW  #    W <- W - lr dW
            layer.b -= lr * layer.db
    return np.array(losses)


rng = np.random.default_rng(0)
network = Network(28 * 28, 10, rng)
x, labels = rows_of(digits.train, 20_000)
losses = train(network, x, labels, 100 if SHORT else 2000, rng)

x, labels = rows_of(digits.validation, 5000)
wrong = network.forward(x)[0].argmax(axis=1) != labels
print(f"first loss {losses[0]:.2f}; error on {len(x):,} digits it has never seen: {100 * wrong.mean():.1f} %")

# %%
_, axes = plt.subplots()
axes.plot(np.arange(len(losses)) + 1, losses, lw=0.6, alpha=0.5, label="each batch of 100")
smooth = np.convolve(losses, np.ones(50) / 50, mode="valid")
axes.plot(np.arange(len(smooth)) + 50, smooth, label="mean over 50 batches")
axes.axhline(np.log(10), color=figures.INK, ls=":", lw=1)
axes.text(len(losses), np.log(10), "knows nothing: log 10", ha="right", va="bottom", fontsize=9)
axes.set(xlabel="step", ylabel="cross-entropy (nats)", title="your layers learn to read", ylim=(0, 2.6))
_ = axes.legend(loc="center right")

# %% [markdown]
# ## 6. In the real thing
#
# Recurrent attention is built of the parts you just wrote: seven of its layers are Linear, with ReLUs between them and a
# cross-entropy at the end. `using` puts yours in the place of those in `ramnp`, and everything else stays. Below, ramnp's
# model is trained for a moment, twice from the same seed: once with ramnp's parts, and once with yours.

# %%
steps = 20 if SHORT else 200
theirs = train_briefly(Config(), digits, steps)
with using(Linear, relu_backward, log_softmax, cross_entropy, cross_entropy_backward):
    yours = train_briefly(Config(), digits, steps)

difference = np.abs(yours.losses["action"] - theirs.losses["action"]).max()
print(f"largest difference of the losses: {difference:.1e}")

# %%
_, axes = plt.subplots()
axes.plot(theirs.steps, theirs.losses["action"], color=figures.SKY, lw=6, label="with ramnp's parts")
axes.plot(yours.steps, yours.losses["action"], color=figures.RED, label="with yours")
axes.axhline(np.log(10), color=figures.INK, ls=":", lw=1)
axes.set(xlabel="step", ylabel="cross-entropy (nats)", title="recurrent attention, first steps", ylim=(0, 3.5))
_ = axes.legend()

# %% [markdown]
# One curve lies on the other. And this is what your network does by now: it looks at a digit through a window of 8 by 8
# pixels, six times, and moves the window itself. Press play.

# %%
animate_glimpses(yours.model, digits.validation.images[:5], digits.validation.labels[:5])

# %% [markdown]
# The dotted line is ignorance, green is the right digit. (The curve starts above that line: this network is deep, its
# first logits are not small, and so it is sure of wrong answers.) After so short a training it is still often wrong;
# `make train` trains for 30 epochs. How it knows where to look, although looking somewhere cannot be differentiated, is
# the story of the next notebooks.
#
# ## What you can now do
#
# - Derive the gradients of a matrix product with indices, and read them off the shapes.
# - Say why weight gradients are sums over rows, and where the 1/B of a mean belongs.
# - Write softmax so that it never overflows, and cross-entropy with its gradient, $p$ minus one-hot.
# - Chain layers to a network, check all of it at once, and train it.
#
# **Next:** [03](03_glimpse_sensor.ipynb), the glimpse sensor: how a network sees a little, in many places at once.
