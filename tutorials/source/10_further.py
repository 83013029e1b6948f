# %% [markdown]
# # 10 Further
#
# **What you will build:** four things that `ramnp` does not provide, or that you have only used so far: a recurrent core of
# your own, a convolution forward and backward, an optimizer for matrices, and a task of your own images. Each goes to work in
# the model.
#
# *About 60 minutes. You need 05 and 07.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import functools
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from ramnp import data
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.gradcheck import check_answer, check_gradient, check_output, numerical_gradient, require
from ramnp.network import build
from ramnp.network.core import Core, CoreCache
from ramnp.network.layers import sigmoid
from ramnp.registry import register
from ramnp.teaching import SHORT, figures
from ramnp.teaching.animations import animate_glimpses
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import using
from ramnp.training import optim
from ramnp.training.optim import ITERATIONS
from ramnp.training.trainer import Trainer

figures.use_style()
digits = data.load(Config())
steps = 20 if SHORT else 200

# %% [markdown]
# ## 1. A core of your own
#
# An LSTM (05) has four gates and four times the weights of the plain core. Are all needed? In an LSTM, $f$ says what to
# keep and $i$ what to write. Let what is not kept be written, $i = 1 - f$, and show the cell as it is, $h_t = c_t$. Then two are
# left, of $z_t = [z_f \,|\, z_u]$:
#
# $$f = \sigma(z_f) , \qquad u = \tanh(z_u) , \qquad c_t = f \, c_{t-1} + (1 - f) \, u , \qquad h_t = c_t .$$
#
# Each unit is a *running average* of what it is told, and decides itself how fast it forgets.
#
# In `ramnp` a core is a subclass of `Core`, which owns the affine map $z_t$, the loop over time and the gradients of the
# weights. What you add is elementwise: `gate`, from $z_t$ to $h_t$, and `gate_backward`. Two gradients meet there:
#
# - `dh`, the gradient of $h_t$ from everything above it and from $z_{t+1}$;
# - `dc`, what $c_t$ gets *directly* from $c_{t+1}$. When `gate_backward` returns, `dc` must be what $c_{t-1}$ gets directly
#   from $c_t$: so the loop can hand it to the step before.

# %%
figure, axes = figures.blank(8.2, 2.5)
for x, text in ((0.6, "$c_{t-1}$"), (3.3, "$f c_{t-1} + (1 - f) \\, u$"), (5.9, "$c_t = h_t$")):
    figures.node(axes, x, 1.5, text)
figures.node(axes, 3.3, 0.3, "$z_t = [\\, z_f \\, | \\, z_u \\,]$")
figures.arrow(axes, (1.0, 1.6), (2.3, 1.6), "", figures.FORWARD)
figures.arrow(axes, (2.3, 1.4), (1.0, 1.4), "dc, afterwards", figures.BACKWARD, above=False)
figures.arrow(axes, (4.3, 1.6), (5.3, 1.6), "", figures.FORWARD)
figures.arrow(axes, (5.3, 1.4), (4.3, 1.4), "dc + dh", figures.BACKWARD, above=False)
figures.arrow(axes, (3.2, 0.55), (3.2, 1.25), "", figures.FORWARD)
figures.arrow(axes, (3.4, 1.25), (3.4, 0.55), "", figures.BACKWARD)
axes.text(3.5, 0.88, "dz", color=figures.BACKWARD, va="center")
figures.arrow(axes, (8.0, 1.4), (6.5, 1.4), "dc, from $c_{t+1}$", figures.BACKWARD, above=False)
figures.arrow(axes, (6.5, 1.6), (8.0, 1.6), "", figures.FORWARD)
figures.arrow(axes, (5.8, 1.75), (5.8, 2.4), "", figures.FORWARD)
figures.arrow(axes, (6.0, 2.4), (6.0, 1.75), "", figures.BACKWARD)
axes.text(6.1, 2.1, "dh, from above and $z_{t+1}$", color=figures.BACKWARD, va="center")
figure

# %% [markdown]
# ### Exercise 10.1: a running average
#
# Write `gate` and `gate_backward`. `f` and `u` are there already, as views of the cache's `gates[t]`, where the second
# finds what the first left. `cache.c[t]` is $c_{t-1}$, and `cache.c[t + 1]` is $c_t$. Write into `cache`, `dz` and `dc`;
# return nothing.
#
# <details><summary>Hint</summary>
#
# $h_t$ and $c_t$ are one thing, so first of all `dc += dh`. Then $\partial c_t / \partial f = c_{t-1} - u$, $\partial c_t /
# \partial u = 1 - f$ and $\partial c_t / \partial c_{t-1} = f$; and 01 has the derivatives of sigmoid and tanh. Change `dc`
# last.
# </details>


# %% exercise="core"
class Average(Core):
    """c_t = f c_{t-1} + (1 - f) u, h_t = c_t, with z = [z_f | z_u]."""

    width = 2  # z is twice as wide as h

    def cache(self, steps, rows):
        h = super().cache(steps, rows).h
        return CoreCache(h, np.zeros_like(h), np.empty((steps, rows, 2 * self.units), self.dtype))

    def gate(self, z, t, cache):
        f, u = z[:, : self.units], z[:, self.units :]
        sigmoid(f, out=f)
        np.tanh(u, out=u)
        ### BEGIN SOLUTION
        cache.c[t + 1] = f * cache.c[t] + (1 - f) * u
        cache.h[t + 1] = cache.c[t + 1]
        ### END SOLUTION

    def gate_backward(self, dh, dc, t, cache, dz):
        f, u = cache.gates[t][:, : self.units], cache.gates[t][:, self.units :]
        dz_f, dz_u = dz[:, : self.units], dz[:, self.units :]
        ### BEGIN SOLUTION
        dc += dh  #                                        h_t = c_t
        dz_f[...] = dc * (cache.c[t] - u) * f * (1 - f)  # through sigmoid
        dz_u[...] = dc * (1 - f) * (1 - u * u)  #          through tanh
        dc *= f  #                                         what c_{t-1} gets directly
        ### END SOLUTION


# %% check="core" points=4
core = Average(2, 3, np.random.default_rng(0), dtype=np.float64)
before = np.array([[0.5, -0.2, 0.9]])
z = np.array([[1.0, -0.5, 0.3, 0.7, 0.4, -1.2]])
of_c, of_h = np.array([[0.3, -1.1, 0.6]]), np.array([[1.0, 0.4, -0.7]])


def state_after(z, before, dtype=np.float64):
    """A cache after one step from the state `before`."""
    cache = core.cache(1, 1)
    cache.c[0], cache.gates[0], cache.h[1], cache.c[1] = before, z, 7, 7
    core.gate(cache.gates[0], 0, cache)
    return cache


@functools.wraps(Average.gate)
def c_and_h():
    cache = state_after(z, before)
    return np.stack([cache.c[1], cache.h[1]])


new = np.array([[0.52806882, 0.16099464, 0.16223031]])
check_output(
    c_and_h,
    expected=np.stack([new, new]),
    mistakes={
        "c_t is not written: cache.c[t + 1] = ...": np.stack([0 * new + 7, new]),
        "h_t is not written: cache.h[t + 1] = ...": np.stack([new, 0 * new + 7]),
        "nothing is written into cache.c[t + 1] and cache.h[t + 1]": np.full((2, 1, 3), 7),
        "f and 1 - f are swapped: f is what is kept": np.stack([[[0.57629896, 0.01895432, -0.09588492]]] * 2),
        "that is an LSTM's h_t = tanh(c_t): here h_t = c_t": np.stack([new, np.tanh(new)]),
    },
    tolerance=1e-5,
)


def loss(z, before):
    """What dh and dc are the gradients of."""
    cache = state_after(z, before)
    return (of_h * cache.h[1] + of_c * cache.c[1]).sum()


def returned(which, of_h=of_h):
    """One of the arrays that gate_backward writes."""

    @functools.wraps(Average.gate_backward)
    def written():
        cache, dc, dz = state_after(z, before), of_c.copy(), np.full_like(z, 7.0)
        core.gate_backward(of_h.copy(), dc, 0, cache, dz)
        return {"z_f": dz[:, :3], "z_u": dz[:, 3:], "c": dc}[which]

    return written


dz, dc = z.copy(), before.copy()
right_z, right_c = numerical_gradient(lambda: loss(dz, before), dz), numerical_gradient(lambda: loss(z, dc), dc)
alone = of_c / (of_c + of_h)  # what becomes of a gradient that lacks dh
f, u = 1 / (1 + np.exp(-z[:, :3])), np.tanh(z[:, 3:])
wrong = {
    "z_f": {
        "the derivative of sigmoid is missing": 1 / (f * (1 - f)),
        "the 1 - f of sigmoid's derivative is missing": 1 / (1 - f),
        "the - u is missing: f also takes from u": before / (before - u),
        "it is f times too small: is dc changed too early, or c_t taken for c_{t-1}?": f,
    },
    "z_u": {
        "the 1 - f in front of u is missing": 1 / (1 - f),
        "the derivative of tanh is missing": 1 / (1 - u * u),
        "the derivative of tanh is 1 - u^2": 1 / (1 + u),
        "dc was multiplied by f too early: compute dz first": f,
    },
    "c": {
        "dc is to become what c_{t-1} gets: times f, after dz is computed": 1 / f,
        "1 - f stands where f belongs: f of c_{t-1} is kept": (1 - f) / f,
        "it is multiplied by f twice": f,
    },
}
for name, right in (("z_f", right_z[:, :3]), ("z_u", right_z[:, 3:]), ("c", right_c)):
    print(f"d{name}", end=" of ")
    check_output(
        returned(name),
        expected=right,
        mistakes={
            "dh is missing: h_t is c_t, so its gradient belongs to dc": right * alone,
            f"d{name} is not written: write into the array, as in d{name}[...] = or d{name} *=": of_c if name == "c" else 7 + 0 * right,
            "the sign is wrong": -right,
            **{text: right * factor for text, factor in wrong[name].items()},
        },
    )  # fmt: skip

g = np.random.default_rng(1).standard_normal((4, 5, 2))
weights = np.random.default_rng(2).standard_normal((4, 5, 3))
_, states = core.forward(g)
dg = core.backward(weights.copy(), states)
for name, x, analytic in (("W_hh", core.W_hh, core.dW_hh), ("W_gh", core.W_gh, core.dW_gh), ("b", core.b, core.db), ("g", g, dg)):  # fmt: skip
    found = check_gradient(lambda: (core.forward(g)[0] * weights).sum(), x, analytic)
    print(f"through four steps, d{name}: error {found.error:.0e}")
    require(found.passed, f"d{name} is wrong through several steps: is dc handed on by every one of them?")

# %% [markdown]
# Now let it look at digits. `register` gives your core a name, and the configuration knows it from then on. (As a
# decorator in a file of your own, `@register("core", "average")` makes it a choice of `python -m ramnp.train`, too:
# [docs/extending.md](../docs/extending.md).)

# %%
config = Config(batch_size=64)
moments = {
    "rnn": train_briefly(config, digits, steps),
    "lstm": train_briefly(Config(batch_size=64, core="lstm"), digits, steps),
}
register("core", "average")(Average)
moments["yours"] = train_briefly(Config(batch_size=64, core="average"), digits, steps)

_, axes = plt.subplots()
for name, style in (("rnn", "-"), ("lstm", "--"), ("yours", "-")):
    core = moments[name].model.core
    count = core.W_hh.size + core.W_gh.size + core.b.size
    axes.plot(moments[name].steps, moments[name].losses["action"], ls=style, label=f"{name}: {count:,} weights")
axes.axhline(np.log(10), color=figures.INK, ls=":", lw=1)
axes.set(xlabel="step, of 64 digits", ylabel="cross-entropy (nats)", title="three cores, first steps", ylim=(0, 3.5))
_ = axes.legend()

# %% [markdown]
# A moment of training says who starts fast, not who ends well. To know that, train on for 100 epochs, with several seeds,
# and choose on validation images: `python -m ramnp.train --preset mnist-6-lstm --seed 1`.
#
# ## 2. Convolutions
#
# The glimpse network multiplies a patch by one large matrix: it has to learn separately, for every pixel, that a stroke is
# a stroke. A convolution looks at every k x k *window* of the image through the same weights:
#
# $$y_{rij} = \text{window}_{rij} \, W + b , \qquad \text{window}_{rij} = x_{r,\; i : i+k,\; j : j+k} \text{ as one row of } k\,k\,C \text{ numbers.}$$
#
# Lay out all windows as the rows of a matrix, and **a convolution is a Linear**. All you know about Linear holds: $dW =
# \text{windows}^T dy$, $db$ is a sum over rows, $d\text{windows} = dy \, W^T$. What is new is only how windows are laid out, and
# the way back from them to the image.
#
# ### Exercise 10.2: windows
#
# `x` has shape (rows, H, W, C). There are H' = H - k + 1 windows from top to bottom and W' = W - k + 1 from left to right.
# Return the matrix (rows H' W', k k C), in which a window's numbers are ordered (row, column, channel).
#
# <details><summary>Hint</summary>
#
# Make an array of shape (rows, H', W', k, k, C) first. Its part `[:, :, :, i, j]` holds pixel (i, j) of all windows:
# that is a piece of `x`, H' high and W' wide, which starts at (i, j). Two loops over i and j are enough. `reshape` at the end.
# </details>


# %% exercise="windows"
def windows(x, k):
    """(rows H' W', k k C): every k x k window of x (rows, H, W, C) as a row."""
    rows, height, width, channels = x.shape
    down, across = height - k + 1, width - k + 1
    ### BEGIN SOLUTION
    laid_out = np.empty((rows, down, across, k, k, channels), x.dtype)
    for i in range(k):
        for j in range(k):
            laid_out[:, :, :, i, j] = x[:, i : i + down, j : j + across]
    return laid_out.reshape(rows * down * across, k * k * channels)
    ### END SOLUTION


# %% check="windows" points=2
x = np.random.default_rng(0).standard_normal((2, 5, 6, 2))
view = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))  # (rows, H', W', C, k, k)
check_output(
    windows,
    x,
    3,
    expected=view.transpose(0, 1, 2, 4, 5, 3).reshape(24, 18),
    mistakes={
        "a window's numbers are ordered (channel, row, column)": view.reshape(24, 18),
        "the rows and columns of the windows are swapped": view.transpose(0, 1, 2, 5, 4, 3).reshape(24, 18),
        "the windows are ordered (column, row)": view.transpose(0, 2, 1, 4, 5, 3).reshape(24, 18),
        "an array of six axes was filled in one order and reshaped in another": view.transpose(3, 4, 5, 0, 1, 2).reshape(24, 18),
    },
)  # fmt: skip

# %% [markdown]
# Now the way back. A pixel is in many windows, and acts on the loss through all of them. So its gradient is the **sum**
# of what they say.
#
# ### Exercise 10.3: the way back
#
# From `dwindows`, the gradient of `windows(x, k)`, to `dx`, in the shape of `x`.
#
# <details><summary>Hint</summary>
#
# It is the same two loops, read backwards: what was copied from `x` is now added to `dx`, at the same place. Start from zeros.
# </details>


# %% exercise="windows-backward"
def windows_backward(dwindows, shape, k):
    """dx, of shape (rows, H, W, C), from dwindows (rows H' W', k k C)."""
    rows, height, width, channels = shape
    down, across = height - k + 1, width - k + 1
    ### BEGIN SOLUTION
    laid_out = dwindows.reshape(rows, down, across, k, k, channels)
    dx = np.zeros(shape, dwindows.dtype)
    for i in range(k):
        for j in range(k):
            dx[:, i : i + down, j : j + across] += laid_out[:, :, :, i, j]
    return dx
    ### END SOLUTION


# %% check="windows-backward" points=2
times = np.minimum(np.minimum(np.arange(1, 6), np.arange(5, 0, -1)), 3)  # in how many windows of 3 a row of 5 is
times = np.multiply.outer(times, times)[None, :, :, None]
print("the gradient of every window is 1", end=": ")
check_output(
    windows_backward,
    np.ones((9, 9)),
    (1, 5, 5, 1),
    3,
    expected=times,
    mistakes={
        "a window overwrites what another one said: add, with +=": np.ones((1, 5, 5, 1)),
        "that is the mean over a pixel's windows, the sum is wanted": times / times.max(),
        "nothing is added: it is all zero": 0 * times,
    },
)
places = np.arange(x.size).reshape(x.shape)  # which pixel each number of a window is
places = np.lib.stride_tricks.sliding_window_view(places, (3, 3), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
dwindows = np.random.default_rng(1).standard_normal((24, 18))
print("random gradients", end=": ")
check_output(
    windows_backward,
    dwindows,
    x.shape,
    3,
    expected=np.bincount(places.reshape(-1), dwindows.reshape(-1)).reshape(x.shape),
)

# %% [markdown]
# This is what the two do with an image of 6 by 6 pixels and windows of 3 by 3:

# %%
image = digits.validation.images[3:4, 2:26, 2:26].reshape(1, 6, 4, 6, 4, 1).mean(axis=(2, 4)) / 255
_, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 3.4), width_ratios=(1, 0.75, 1.2))
left.imshow(image[0, :, :, 0], vmin=0, vmax=1)
left.add_patch(plt.Rectangle((0.5, 1.5), 3, 3, fill=False, ec=figures.ORANGE, lw=2.5))
left.set_title("an image, and window (2, 1)")
middle.imshow(windows(image, 3), vmin=0, vmax=1)
middle.add_patch(plt.Rectangle((-0.5, 8.5), 9, 1, fill=False, ec=figures.ORANGE, lw=2.5))
middle.set(title="its windows", xlabel="pixel of the window", ylabel="window")
counts = windows_backward(np.ones((16, 9)), image.shape, 3)[0, :, :, 0]
shown = right.imshow(counts, cmap="viridis")
right.set_title("in how many windows\na pixel is")
plt.colorbar(shown, ax=right, shrink=0.8)
for axes in (left, middle, right):
    axes.grid(False)
for axes in (left, right):
    axes.set(xticks=[], yticks=[])

# %% [markdown]
# The convolutional glimpse network of `ramnp` (`--glimpse-network conv`) is two such convolutions with a ReLU each, and a
# pooling between them: $f(\rho)$ in the place of $\rho$. Yours takes the place of ramnp's. The few lines around it add
# the border of zeros, so that the image keeps its size.


# %%
class Conv2D:
    def windows(self, x):
        p = self.padding
        return windows(np.pad(x, ((0, 0), (p, p), (p, p), (0, 0))), self.kernel)

    def add_windows(self, dwindows, shape):
        (rows, height, width, channels), p = shape, self.padding
        dpadded = windows_backward(dwindows, (rows, height + 2 * p, width + 2 * p, channels), self.kernel)
        return dpadded[:, p : p + height, p : p + width]


conv = Config(batch_size=64, glimpse_network="conv")
few = train_briefly(conv, digits, 10, every=1)
with using(Conv2D):
    yours = train_briefly(conv, digits, 10 if SHORT else 100, every=1)
print("largest difference of the first ten losses:", np.abs(yours.losses["action"][:10] - few.losses["action"]).max())

# %%
linear = train_briefly(config, digits, len(yours.steps), every=1)
_, axes = plt.subplots()
for moment, label in ((linear, "linear glimpses"), (yours, "with your convolution")):
    smooth = np.convolve(moment.losses["action"], np.ones(5) / 5, mode="valid")
    axes.plot(np.arange(len(smooth)) + 5, smooth, label=f"{label}: {moment.model.parameters.size:,} weights")
axes.axhline(np.log(10), color=figures.INK, ls=":", lw=1)
axes.set(
    xlabel="step, of 64 digits",
    ylabel="cross-entropy (nats),\nmean of 5 steps",
    title="two glimpse networks, first steps",
)
_ = axes.set_ylim(0, 3.5)
_ = axes.legend(loc="lower left")

# %% [markdown]
# ## 3. Colours
#
# Little changes but C. The sensor crops all channels alike, a glimpse has $D = K g g C$ values, and a convolution takes
# them as channels. CIFAR-10, photographs in ten classes, is 32 by 32 with C = 3. A digit is white on black, so that most
# of its pixels are 0. A photograph's are not: they lie around 0.47, which says nothing of what it shows, and would be most of
# what every weight sees. So the sensor takes the mean away and divides what is left by 0.25. CIFAR-10 does not come with this
# repository: `python -m ramnp.data fetch cifar10` downloads it, and `python -m ramnp.data list` says where it is looked for. If
# it is there, the next cell takes some steps with it, else it says so.

# %%
cifar = Config(
    dataset="cifar10", core="lstm", glimpse_network="conv", glimpses=4, batch_size=64,
    pixel_mean=0.47, pixel_std=0.25,
)  # fmt: skip
photographs = data.load(cifar) if data.find_task("cifar10").whole(cifar) else None
if photographs is None:
    print("CIFAR-10 is not here; go on with section 5, which has colours, too")
else:
    seen = train_briefly(cifar, photographs, 10 if SHORT else 60)
    print(f"training error of the last ten batches: {seen.error[-1]:.0f} %; who knows nothing has 90 %")

# %%
animate_glimpses(
    seen.model, photographs.validation.images[:4], photographs.validation.labels[:4], photographs.class_names
) if photographs else None

# %% [markdown]
# A minute is not enough here. `python -m ramnp.train --preset cifar10-4-conv` trains on, and
# `ramnp.load_pretrained("cifar10-4-conv")` is such a network, trained to the end.
#
# ## 4. An optimizer that sees the matrix
#
# SGD and Adam take the weights for a list of numbers, and change each one by itself. But $W$ is a map. Change it by $D$, and
# what $x$ is mapped to moves by $x D$. How far depends on the direction of $x$, and the *singular values* of $D$ say how:
#
# $$D = U S V^T , \qquad U^T U = V^T V = I , \qquad S \text{ diagonal, not negative.}$$
#
# An $x$ along column $i$ of $U$ comes out along column $i$ of $V$, $s_i$ times as long. Here are the singular values of a
# gradient: that of `core.W_gh`, in a new network, from one batch of digits.

# %%
small = Config(batch_size=64, warmup_epochs=0, schedule="constant")
new = Trainer(small, digits.image_shape, digits.classes, NUMPY)
new.step(next(new.batches(digits.source("train", NUMPY, new.model.margin), epoch=1)), lr=1e-9)
gradient = new.model.core.dW_gh.copy()
singular = np.linalg.svd(gradient, compute_uv=False)
print(
    f"{len(singular)} singular values; the largest is {singular[0] / np.median(singular):,.0f} times the one in the middle"
)
print(f"the first five hold {100 * (singular[:5] ** 2).sum() / (singular**2).sum():.0f} % of the sum of squares")

# %% [markdown]
# So a step along the gradient is a step in a handful of directions, and the network waits for the others. *Muon* (Jordan et
# al. 2024) gives every direction the same step: it puts $1$ in place of each $s_i$, and changes $W$ by $U V^T$. That is the
# orthogonal matrix which is nearest to $D$.
#
# `np.linalg.svd` finds it, but is too slow for every step, above all on a GPU. Products of matrices are fast, and they are
# enough.
# Because $X X^T = U S^2 U^T$,
#
# $$\left( a I + b A + c A^2 \right) X = U \left( a S + b S^3 + c S^5 \right) V^T , \qquad A = X X^T .$$
#
# $U$ and $V$ stay, and every singular value goes through the polynomial $a s + b s^3 + c s^5$. Nothing had to be decomposed!
# It remains to choose $a$, $b$, $c$ so that a few rounds take every $s$ between 0 and 1 close to 1. (This is a *Newton-Schulz
# iteration*.) The usual choice, 1.5, -0.5 and 0, is exact in the end, but takes small values up by a factor of 1.5 a round. In
# `ITERATIONS` each round has its own, found so that the worst $s$ from 0.03 to 1 ends as near to 1 as possible (Amsel et al.
# 2025).

# %%
s = np.geomspace(1e-3, 1, 500)
_, axes = plt.subplots()
for name, rounds, style in (
    ("usual choice", [(1.5, -0.5, 0)] * len(ITERATIONS), ":"),
    ("usual choice, 12 rounds", [(1.5, -0.5, 0)] * 12, "--"),
    (f"ITERATIONS, {len(ITERATIONS)} rounds", ITERATIONS, "-"),
):
    values = s
    for a, b, c in rounds:
        values = a * values + b * values**3 + c * values**5
    axes.plot(s, values, ls=style, label=name)
axes.set(xscale="log", xlabel="singular value before", ylabel="afterwards", title="what becomes of a singular value")
_ = axes.legend()

# %% [markdown]
# ### Exercise 10.4: make it orthogonal
#
# `X` has shape (m, n), with m at most n. Divide it by the root of the sum of its squares, so that no singular value is larger
# than 1. Then, for each `(a, b, c)` in turn, put $(a I + b A + c A^2) X$ in its place, with $A = X X^T$ of the *present* X. Return
# the last one, and leave the argument as it is.
#
# <details><summary>Hint</summary>
#
# `A @ A` is the square of a matrix; `A * A` squares its elements. You need no $I$: $a I X = a X$.
# </details>


# %% exercise="orthogonalise"
def orthogonalise(X, iterations):
    """Nearly U V^T, where X = U S V^T."""
    ### BEGIN SOLUTION
    X = X / np.sqrt((X * X).sum())
    for a, b, c in iterations:
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X
    ### END SOLUTION


# %% check="orthogonalise" points=3
X = np.array([[3.0, -1.0, 0.5, 2.0], [0.5, 2.0, -1.5, 1.0], [1.0, 0.0, 2.5, -2.0]])
rounds = [(3.0, -4.0, 1.8), (2.0, -1.4, 0.4)]
u, s, vt = np.linalg.svd(X, full_matrices=False)


def by_svd(s, *rounds, quintic=5):
    """The singular values taken through polynomials, without a product with X X^T."""
    for a, b, c in rounds:
        s = a * s + b * s**3 + c * s**quintic
    return u * s @ vt


def with_squared_elements(X):
    """Somebody's A * A."""
    for a, b, c in rounds:
        A = X @ X.T
        X = a * X + (b * A + c * A * A) @ X
    return X


def with_the_first_A(X):
    """Somebody's A, computed before the loop."""
    A = X @ X.T
    for a, b, c in rounds:
        X = a * X + (b * A + c * A @ A) @ X
    return X


norm = np.linalg.norm(X)
check_output(
    orthogonalise,
    X,
    rounds,
    expected=by_svd(s / norm, *rounds),
    mistakes={
        "X is not divided by the root of the sum of its squares": by_svd(s, *rounds),
        "the root is missing: X is divided by the sum of its squares": by_svd(s / norm**2, *rounds),
        "X is divided by its largest singular value: right, but only a decomposition finds that": by_svd(s / s[0], *rounds),
        "only X / |X| is returned": X / norm,
        "the first round alone": by_svd(s / norm, *rounds[:1]),
        "the last round alone: go on with the X of the round before": by_svd(s / norm, *rounds[1:]),
        "A stands where A^2 belongs": by_svd(s / norm, *rounds, quintic=3),
        "A * A squares the elements: A @ A is the square of the matrix": with_squared_elements(X / norm),
        "A is that of the first X in every round": with_the_first_A(X / norm),
        "that is U V^T to the last digit, by a decomposition: use products": u @ vt,
    },
)  # fmt: skip

# %% [markdown]
# Back to the gradient. Watch its singular values go to one:

# %%
_, axes = plt.subplots()
axes.plot(singular / np.linalg.norm(gradient), color=figures.INK, ls=":", label="gradient, divided by its norm")
for count in (5, 10, 20, 30):
    values = np.linalg.svd(orthogonalise(gradient, [(1.5, -0.5, 0)] * count), compute_uv=False)
    axes.plot(values, label=f"usual choice, {count} rounds")
values = np.linalg.svd(orthogonalise(gradient, ITERATIONS), compute_uv=False)
axes.plot(values, color=figures.INK, label=f"ITERATIONS, {len(ITERATIONS)} rounds")
axes.set(xlabel="number of the singular value", ylabel="singular value", yscale="log", ylim=(1e-5, 3))
axes.set(title="the singular values of a gradient")
_ = axes.legend(loc="lower left", fontsize=8)

# %% [markdown]
# Thirty rounds take all of them to 1, but for those that are 0. An optimizer needs less. In two rounds the large singular
# values, which hold nearly the whole gradient, come near 1. The small ones grow a good deal and stay small. They are mostly
# noise, and training is as fast without them: `docs/results_log.md` has the comparison.
#
# Now your function goes to work in `ramnp`'s Muon. It makes momentum orthogonal, not a single gradient, and leaves biases,
# narrow matrices and the policy to Adam. Three optimizers, each with a learning rate that suits it (of a few that were tried):

# %%
rates = {"sgd": {"lr": 0.01}, "adam": {"lr": 1e-3}, "muon": {"lr": 1e-3, "muon_lr": 0.02}}
raced, seconds = {}, {}
yours = lambda stack, xp: np.stack([orthogonalise(X, ITERATIONS) for X in stack.X])  # noqa: E731
with patch.object(optim, "orthogonalise", yours):
    for name, rate in rates.items():
        started = time.perf_counter()
        raced[name] = train_briefly(replace(small, optimizer=name, **rate), digits, steps)
        seconds[name] = time.perf_counter() - started

_, axes = plt.subplots()
for name, moment in raced.items():
    axes.plot(moment.steps, moment.error, label=f"{name}: {1000 * seconds[name] / steps:.0f} ms a step")
axes.set(xlabel="step, of 64 digits", ylabel="training error (%)", title="three optimizers, first steps", ylim=(0, 100))
_ = axes.legend()

# %% [markdown]
# Count steps, and Muon is ahead. Count seconds, and it has to make up for its products of matrices, which cost the same for
# a batch of any size: 64 images are too few to pay for them. So Muon goes with larger batches, in `ramnp` too. Which optimizer
# ends best is another question, for long trainings with several seeds: `docs/results_log.md` has some.
#
# ## 5. Your own images
#
# The best test of what you have learned is a task that nobody prepared. `ramnp` takes images in two ways:
#
# - `--dataset folder --data-path PATH`: a folder of image files with one sub-folder a class; `--resize SIDE` brings them to one size;
# - `--dataset arrays --data-path FILE.npz`: arrays `images` (n, H, W, C), uint8 or floats in [0, 1], and `labels` (n,), integers from 0.
#
# Here is a task: a small disc, square or triangle somewhere in a noisy colour picture. Colour and place say nothing.
# Another library made them, and hands them over in *its* way: channels first, (n, C, H, W), values from -1 to 1, and labels as words.

# %%
SIDE, NAMES = 40, ("disc", "square", "triangle")


def draw(name, rng):
    """A picture (3, SIDE, SIDE) from -1 to 1."""
    r, (cx, cy) = rng.uniform(6, 9), rng.uniform(10, SIDE - 10, 2)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    x, y = x - cx, y - cy
    shape = {
        "disc": x * x + y * y < r * r,
        "square": np.maximum(abs(x), abs(y)) < 0.85 * r,
        "triangle": (y < 0.7 * r) & (2 * abs(x) < y + 1.3 * r),
    }[name]
    dark, bright = rng.uniform(-1, -0.3, (3, 1, 1)), rng.uniform(0.3, 1, (3, 1, 1))
    return np.clip(np.where(shape, bright, dark) + rng.normal(0, 0.15, (3, SIDE, SIDE)), -1, 1)


rng = np.random.default_rng(0)
words = [str(word) for word in rng.choice(NAMES, 300 if SHORT else 4000)]
pictures = np.stack([draw(word, rng) for word in words]).astype(np.float32)
print(pictures.shape, pictures.dtype, f"from {pictures.min():g} to {pictures.max():g};", words[:4])

_, row = plt.subplots(1, 6, figsize=(9, 1.8))
for axes, picture, word in zip(row, pictures, words, strict=False):
    axes.imshow((picture.transpose(1, 2, 0) + 1) / 2)
    axes.set(xticks=[], yticks=[], title=word)
    axes.grid(False)

# %% [markdown]
# ### Exercise 10.5: hand them over
#
# Turn them into what `ramnp` takes. Return three things: `images` (n, H, W, C), floats in [0, 1]; `labels` (n,), integers 0 to
# A-1; and `names`, the A words in the order of the labels, sorted by alphabet.
#
# <details><summary>Hint</summary>
#
# `reshape` would keep the numbers in their order and mix up the pixels; `transpose` moves axes. `np.unique(words,
# return_inverse=True)` gives the sorted words, and for each word its number among them.
# </details>


# %% exercise="own-arrays"
def hand_over(pictures, words):
    """images, labels, names."""
    ### BEGIN SOLUTION
    images = (pictures.transpose(0, 2, 3, 1) + 1) / 2
    names, labels = np.unique(words, return_inverse=True)
    return images, labels, [str(name) for name in names]
    ### END SOLUTION


# %% check="own-arrays" points=2
example = np.random.default_rng(0).uniform(-1, 1, (5, 3, 2, 4))
channels_last = np.stack([example[:, channel] for channel in range(3)], axis=-1)


@functools.wraps(hand_over)
def images_of(pictures):
    result = hand_over(pictures, ["emu", "ant", "bee", "emu", "ant"])
    require(isinstance(result, tuple) and len(result) == 3, "hand_over: return images, labels, names")
    return result[0]


print("images", end=" of ")
check_output(
    images_of,
    example,
    expected=channels_last / 2 + 0.5,
    mistakes={
        "reshape mixes up the pixels: move the axis with transpose": example.reshape(5, 2, 4, 3) / 2 + 0.5,
        "reshape mixes up the pixels, and the values go from -1 to 1": example.reshape(5, 2, 4, 3),
        "the values still go from -1 to 1": channels_last,
        "the values go from 0 to 2": channels_last + 1,
        "the values go from -0.5 to 0.5": channels_last / 2,
        "the values go from 0 to 255: that is for uint8": 127.5 * channels_last + 127.5,
        "what is below the middle is cut off": np.clip(channels_last, 0, 1),
        "the sign is lost": abs(channels_last),
    },
)
_, labels, names = hand_over(example, ["emu", "ant", "bee", "emu", "ant"])
require(
    list(names) == ["ant", "bee", "emu"], f"names are {list(names)}; each word once, sorted, is ['ant', 'bee', 'emu']"
)
require(np.shape(labels) == (5,), f"labels have shape {np.shape(labels)}, not (5,)")
require(np.asarray(labels).dtype.kind in "iu", f"labels are {np.asarray(labels).dtype}, not integers")
require(
    list(labels) == [2, 0, 1, 2, 0],
    f"labels are {[int(each) for each in labels]}: each is to be the place of its word among the names, from 0",
)
print("labels and names: right")

# %% [markdown]
# One more thing is yours to choose: how far locations scatter. `std` is in units of $l$, where the image is 2 wide, so
# what it means in pixels depends on the image. Too small, and the policy does not find out what is a little farther;
# too large, and it does not hit what it aims at (07).
#
# ### Exercise 10.6: how far is that?
#
# The pictures are 40 pixels wide. Which `std` lets locations scatter by 2 pixels?
#
# <details><summary>Hint</summary>
#
# From the left edge, $l_x = -1$, to the right one, $l_x = 1$, it is 40 pixels. How many pixels is one unit?
# </details>

# %% exercise="std"
std = None  # replace None: a number, or a formula
### BEGIN SOLUTION
std = 2 / (40 / 2)
### END SOLUTION

# %% check="std" points=1
check_answer(
    std,
    expected=0.1,
    mistakes={
        "the image is 2 wide, not 1: one unit is 20 pixels": 0.05,
        "that is in pixels; one unit is 20 of them": 2,
        "upside down: units by pixels": 10,
        "upside down: units by pixels, and the image is 2 wide": 20,
    },
)

# %% [markdown]
# Save, load, train. Four glimpses of 8 by 8 pixels, with two coarser scales around them, 16 and 32 pixels wide. The first one
# is at the centre: from there the widest patch sees most of the picture, coarsely, and can tell where to look next.
# (The folder here is a temporary one. Save `shapes.npz` in one of yours, and this trains for longer: `python -m ramnp.train
# --dataset arrays --data-path shapes.npz --validation 400 --glimpses 4 --patch 8 --scales 3 --first-location centre
# --batch-size 64`.)

# %%
images, labels, names = hand_over(pictures, words)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "shapes.npz"
    np.savez(path, images=images, labels=labels)
    own = Config(
        dataset="arrays", data_path=str(path), validation=len(images) // 10,
        glimpses=4, patch=8, scales=3, first_location="centre", batch_size=64,
        std=Config().std if std is None else std,
    )  # fmt: skip
    shapes = data.load(own)
print({split: len(getattr(shapes, split)) for split in ("train", "validation", "test")}, shapes.image_shape)

model = build(own, shapes.image_shape, shapes.classes)
print(*model.describe(), sep="\n")
trained = train_briefly(own, shapes, 2 * steps)

_, axes = plt.subplots()
axes.plot(trained.steps, trained.error)
axes.axhline(100 * 2 / 3, color=figures.INK, ls=":", lw=1)
axes.text(trained.steps[-1], 67, "knows nothing", ha="right", va="bottom", fontsize=9)
axes.set(xlabel="step, of 64 pictures", ylabel="training error (%)", title="disc, square or triangle?", ylim=(0, 75))
answers = trained.model.predict(shapes.validation.images)
print(f"error on {len(answers)} held-out pictures: {100 * (answers != shapes.validation.labels).mean():.1f} %")

# %%
animate_glimpses(trained.model, shapes.validation.images[:5], shapes.validation.labels[:5], names)

# %% [markdown]
# Look at the paths, too. Do they depend on the picture? After so short a training they may all go the same way, and then it
# is the coarse patches of the first glimpses that tell the shapes apart, not the policy. It is worth knowing before one
# praises attention; 08 has the tests for it.
#
# The same from image files. This writes a few of the pictures as a folder of PNG files and reads them back:

# %%
with tempfile.TemporaryDirectory() as folder:
    for number, (image, word) in enumerate(zip(images[:60], words, strict=False)):
        (Path(folder) / word).mkdir(exist_ok=True)
        Image.fromarray((255 * image).astype(np.uint8)).save(Path(folder) / word / f"{number:04}.png")
    print(sorted(str(path.relative_to(folder)) for path in Path(folder).glob("*/*"))[:3], "...")
    from_files = data.load(Config(dataset="folder", data_path=folder, validation=10))
print(from_files.class_names, from_files.train.images.shape, from_files.train.images.dtype)

# %% [markdown]
# Now take your own: `docs/own-images.md`. Photographs must get one size (`resize=64`); with large ones, more scales let the network see all of
# it coarsely. It hardly grows with them, but each scale reads four times as many pixels as the one before (00). What to look at when it does not learn: 07. Whether the policy does
# anything: `python -m ramnp.analysis`, and 08.
#
# ## What you can now do
#
# - Write a recurrent core with its backward pass, and put it into the model.
# - Write a convolution as a Linear on windows, and carry gradients back through windows that overlap.
# - Make a matrix orthogonal with nothing but products, and say what an optimizer gains by it.
# - Bring your own images, from arrays or files, and choose a sensor and a `std` for them.
#
# This is the end of the course. Every gradient of a network that decides where to look has gone through your hands. Where
# to go on: `docs/architecture.md`, the code itself, which is not much longer than these notebooks, and Mnih et al. (2014),
# [arXiv:1406.6247](https://arxiv.org/abs/1406.6247), which you can now read line by line.
