# %% [markdown]
# # 05 The recurrent core
#
# **What you will build:** the memory of the network. It sees one glimpse at a time, so something must carry what it
# has seen from glimpse to glimpse. You write that as a recurrent network, run its gradient backwards through time,
# see what of it is lost on the way, and build an LSTM, in which more of it arrives.
#
# *About 45 minutes. You need 02.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import inspect
import time
from itertools import cycle
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np

import ramnp.network.core
from ramnp import data
from ramnp.config import Config
from ramnp.gradcheck import check, check_answer, check_output
from ramnp.network.core import Core
from ramnp.network.layers import (
    Linear,
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh_backward,
)
from ramnp.network.parameters import Parameters, Part
from ramnp.teaching import SHORT, figures
from ramnp.teaching.recurrence import animate_unrolled, draw_lstm, draw_time_as_rows, draw_unrolled
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import using
from ramnp.training.optim import Adam

figures.use_style()

# %% [markdown]
# ## 1. A state
#
# After each glimpse the network has a vector $g_t$: what it saw, and where. It also has a *state* $h_t$, which is made
# from the new glimpse and from the state before it:
#
# $$z_t = h_{t-1} W_{hh} + g_t W_{gh} + b , \qquad\qquad h_t = \max(z_t, 0) .$$
#
# | | shape | | shape |
# |---|---|---|---|
# | $g_t$ | (R, G) | $W_{gh}$ | (G, N) |
# | $h_t$, $z_t$ | (R, N) | $W_{hh}$ | (N, N) |
#
# R rows are looked at together, as ever, and T steps make a sequence. It begins with $h_0 = 0$: nothing has been
# seen. The weights have no index t. **The same weights are used at every step**; drawn out in time, *unrolled*, it
# looks as if there were many of them:

# %%
draw_unrolled(4)

# %% [markdown]
# Everything the loss wants to know, it reads from the states: the answer is made from the last one. The dashed
# arrows are what makes this network one of attention: $h_t$ decides the next location $l_{t+1}$, and so what
# $g_{t+1}$ will be. A location is *sampled*, which cannot be differentiated. The two strokes mean that no gradient
# comes back this way; how the locations are trained all the same is for 06. So today the glimpses $g_t$ are given
# numbers.
#
# ### Exercise 5.1: a step
#
# Write one step, with the parts of 02: two matrix products, a bias and a ReLU.
#
# <details><summary>Hint</summary>
#
# The equation of $z_t$ is the code. `relu` is imported from `ramnp`.
# </details>


# %% exercise="step"
def rnn_step(h_before, g, W_hh, W_gh, b):
    """h_t (R, N) from h_{t-1} (R, N) and g_t (R, G)."""
    ### BEGIN SOLUTION
    return relu(h_before @ W_hh + g @ W_gh + b)  #    h_t = relu(h_{t-1} W_hh + g_t W_gh + b)
    ### END SOLUTION


# %% check="step" points=1
rng = np.random.default_rng(0)
W_hh, W_gh, b = rng.standard_normal((6, 6)), rng.standard_normal((4, 6)), rng.standard_normal(6)
h_before, g = rng.standard_normal((5, 6)), rng.standard_normal((5, 4))


def affine(*pairs):
    """One Linear on everything side by side."""
    x, W = np.hstack([x for x, _ in pairs]), np.vstack([W for _, W in pairs])
    layer = Linear(*W.shape, rng, dtype=np.float64)
    layer.W[:] = W
    return layer.forward(x)[0]


z = affine((h_before, W_hh), (g, W_gh)) + b
arguments = (h_before, g, W_hh, W_gh, b)
check_output(
    rnn_step,
    *arguments,
    expected=relu(z),
    mistakes={
        "that is z_t: the ReLU is missing": z,
        "that is tanh(z_t), and this core has a ReLU": np.tanh(z),
        "the bias is missing": relu(z - b),
        "the state before is not used": relu(affine((g, W_gh)) + b),
        "the glimpse is not used": relu(affine((h_before, W_hh)) + b),
        "W_hh is transposed: weights are (in, out)": relu(affine((h_before, W_hh.T), (g, W_gh)) + b),
        "the bias is added after the ReLU": relu(z - b) + b,
        "each product has a ReLU of its own": relu(affine((h_before, W_hh))) + relu(affine((g, W_gh)) + b),
    },
)

# %% [markdown]
# ## 2. The way back
#
# Unrolled, the network is a chain of layers like any other, and backward runs through it from the right to the left.
# This is called *backpropagation through time*. Only two things are new.
#
# **A state reaches the loss in two ways:** directly, and through the next step. By the chain rule both are added:
#
# $$dh_t = \underbrace{\text{above}_t}_{\text{what reads } h_t} + \underbrace{dz_{t+1} W_{hh}^T}_{\text{step } t+1} ,
# \qquad\qquad dz_t = dh_t \text{ where } h_t > 0 \text{, else } 0 .$$
#
# The first term comes from outside: it is zero where nothing reads the state. The second is $dx = dy\,W^T$ of 02,
# for the Linear that makes $z_{t+1}$ from $h_t$. After the last step nothing follows, so $dh_T = \text{above}_T$. To
# know $dh_t$ one needs $dz_{t+1}$: the loop runs from T down to 1.
#
# **A weight acts on the loss at every step.** Its gradient is the sum of what each step asks for, each of them $dW =
# x^T dy$ again:
#
# $$dW_{hh} = \sum_t h_{t-1}^T \, dz_t , \qquad dW_{gh} = \sum_t g_t^T \, dz_t , \qquad db = \sum_t \sum_r dz_{tr} .$$
#
# And each glimpse gets its own $dg_t = dz_t W_{gh}^T$, with which the network that made it goes on. Press play: blue
# is forward, red is backward.

# %%
animate_unrolled(4)

# %% [markdown]
# ### Exercise 5.2: by hand
#
# Before you write it, do it once on paper. All is one number wide, and there is no bias:
#
# $$h_t = \max(w \, h_{t-1} + g_t, 0) , \qquad w = 0.5 , \qquad g_1, g_2, g_3 = 1, 2, 3 , \qquad h_0 = 0 .$$
#
# The loss is $L = 3 h_2 + 2 h_3$. What is $dw = \partial L / \partial w$?
#
# <details><summary>Hint</summary>
#
# Forward first: $h_1, h_2, h_3$; all are positive, so $dz_t = dh_t$. Above: 0, 3 and 2. Then $dz_3$, $dz_2$, $dz_1$
# in this order, and the sum of $h_{t-1} \, dz_t$ last.
# </details>

# %% exercise="by-hand"
dw = None  # replace None by a number
### BEGIN SOLUTION
dz_3 = 2
dz_2 = 3 + 0.5 * dz_3  #                  dh_t = above_t + dz_{t+1} w
dz_1 = 0 + 0.5 * dz_2
dw = 0 * dz_1 + 1 * dz_2 + 2.5 * dz_3  #  dw = sum_t h_{t-1} dz_t
### END SOLUTION

# %% check="by-hand" points=1
check_answer(
    dw,
    expected=9,
    mistakes={
        "that is only what h_3 asks for with h_2 as a constant: w made h_2, too": 5,
        "nearly: h_2 also receives something through h_3": 8,
        "nearly: the loss also reads h_2 itself": 6,
        "the state that w is multiplied by is h_{t-1}, not h_t": 20.5,
        "w does not multiply the glimpses: that is sum of g_t dz_t": 16,
    },
    tolerance=1e-6,
)

# %% [markdown]
# Does the function agree? Move $w$ a little, and let the whole sequence run again:


# %%
def loss_of(w):
    h = [0.0]
    for g in (1, 2, 3):
        h.append(max(w * h[-1] + g, 0))
    return 3 * h[2] + 2 * h[3]


eps = 1e-5
print("central difference:", round((loss_of(0.5 + eps) - loss_of(0.5 - eps)) / (2 * eps), 6))

# %% [markdown]
# ### Exercise 5.3: backpropagation through time
#
# Now for all of it. `Core` of `ramnp` holds the parameters `self.W_hh`, `self.W_gh`, `self.b` and their gradients
# `self.dW_hh`, ... Its forward calls your step T times and stores all states: backward will need them. They are in one
# array of shape (T + 1, R, N) that begins with $h_0$. Python counts from 0, so in step `t` of the loop
#
# | in the equations | in the code |
# |---|---|
# | $h_{t-1}$, the state before the step | `h[t]` |
# | $h_t$, the state after it | `h[t + 1]` |
# | $g_t$ and $\text{above}_t$ | `g[t]` and `dh[t]` |
#
# Write the loop of `backward`. It gets `dh`, which holds $\text{above}_t$ for all steps, adds to the gradients of the
# parameters, and fills `dg`.
#
# <details><summary>Hint</summary>
#
# `for t in reversed(range(len(g))):` counts down. Carry one array from step to step, `back`, which is what $h_t$
# receives from the step after it, and starts at zero. Inside the loop: one line for $dz_t$, which is `relu_backward`
# of a sum; one line for each of the three parameters; one for `dg[t]`; and the last one makes the new `back`.
# </details>


# %% exercise="rnn"
class RNN(Core):
    """h_t = relu(h_{t-1} W_hh + g_t W_gh + b)."""

    width = 1  # z_t is once as wide as h_t

    def step(self, g, t, cache):
        cache.h[t + 1] = rnn_step(cache.h[t], g, self.W_hh, self.W_gh, self.b)
        return cache.h[t + 1]

    def backward(self, dh, cache):
        """dg (T, R, G) from dh (T, R, N): what each h_t receives from above."""
        g, h = cache[0], cache[1].h
        dg = np.zeros_like(g)
        ### BEGIN SOLUTION
        back = np.zeros_like(h[0])
        for t in reversed(range(len(g))):
            dz = relu_backward(dh[t] + back, h[t + 1])  #   dz_t = above_t + dz_{t+1} W_hh^T where h_t > 0, else 0
            self.dW_hh += h[t].T @ dz  #                    dW_hh = sum_t h_{t-1}^T dz_t
            self.dW_gh += g[t].T @ dz  #                    dW_gh = sum_t g_t^T dz_t
            self.db += dz.sum(axis=0)  #                    db = sum_t sum_r dz_tr
            dg[t] = dz @ self.W_gh.T  #                     dg_t = dz_t W_gh^T
            back = dz @ self.W_hh.T
        ### END SOLUTION
        return dg


# %% check="rnn" points=3
check(RNN)

# %% [markdown]
# ## 3. What it is good for, and what is lost without it
#
# A test of memory: at the first step one of four symbols is shown, then there is noise, and after the last step the
# network is asked which symbol it was. Chance knows one in four, a cross-entropy of log 4. The network is a core and
# a Linear, its training what you know from 02 (with Adam, which chooses the size of each step itself).


# %%
class Recall(Part):
    """An answer from the last state."""

    parts = ("core", "answer")

    def __init__(self, core, rng):
        super().__init__()
        self.core, self.answer = core, Linear(core.units, 4, rng)


def train_recall(core, length, steps, seed=0, rows=64, lr=3e-3):
    """Cross-entropies of a training to remember the first of `length` inputs."""
    rng = np.random.default_rng(seed)
    network, losses = Recall(core, rng), []
    parameters = Parameters(network)
    optimizer = Adam(parameters, Config())
    for _ in range(steps):
        labels = rng.integers(0, 4, rows)
        g = rng.standard_normal((length, rows, 4), dtype=np.float32)
        g[0] = 2 * np.eye(4)[labels]
        h, cache = core.forward(g)
        logits, answer_cache = network.answer.forward(h[-1])
        log_p = log_softmax(logits)
        losses.append(cross_entropy(log_p, labels))

        parameters.gradients[:] = 0
        above = np.zeros_like(h)  # the loss reads the last state alone
        above[-1] = network.answer.backward(cross_entropy_backward(log_p, labels), answer_cache)
        core.backward(above, cache)
        optimizer.step(lr)
    return np.array(losses)


def plot_recall(curves, title):
    _, axes = plt.subplots()
    for (label, losses), style in zip(curves.items(), cycle(("-", "--")), strict=False):  # some curves lie on others
        smooth = np.convolve(losses, np.ones(20) / 20, mode="valid")
        axes.plot(np.arange(len(smooth)) + 20, smooth, style, label=label)
    axes.axhline(np.log(4), color=figures.INK, ls=":", lw=1)
    axes.text(len(losses), np.log(4) - 0.03, "knows nothing: log 4", ha="right", va="top", fontsize=9)
    axes.set(xlabel="step", ylabel="cross-entropy (nats),\nmean over 20 batches", title=title, ylim=(0, 2.2))
    _ = axes.legend(loc="upper center", ncols=2)


# %% [markdown]
# For comparison, the commonest mistake: $dz_{t+1} W_{hh}^T$ is forgotten. Then each step takes the state it was
# given as a constant. (Where $W_{hh}$ is zero, nothing comes back through it, so your own backward will do that.)


# %%
def without_recurrence(self, dh, cache, backward=RNN.backward):
    W_hh, self.W_hh = self.W_hh, 0 * self.W_hh
    dg = backward(self, dh, cache)
    self.W_hh = W_hh
    return dg


def small_core():
    return RNN(4, 32, np.random.default_rng(1))


steps = 60 if SHORT else 400
curves = {"your gradient": train_recall(small_core(), 6, steps)}
with patch.object(RNN, "backward", without_recurrence):
    curves["recurrence forgotten"] = train_recall(small_core(), 6, steps)
plot_recall(curves, "remember the first of six inputs")

# %% [markdown]
# With the right gradient it learns in a moment. Without, nothing ever told the first step that what it writes into the
# state would be asked for at the last.
#
# That was a clear case, made for the purpose. Now the real thing: six glimpses of a digit, the model of
# `ramnp`, trained for a moment with its own core, with yours, and with yours after the same mistake.

# %%
digits = data.load(Config(dataset="mnist"))
config, steps = Config(batch_size=64), 20 if SHORT else 300

moments = {"ramnp's core": train_briefly(config, digits, steps)}
with using(RNN):
    moments["yours"] = train_briefly(config, digits, steps)
    first = np.abs(moments["yours"].losses["action"][0] - moments["ramnp's core"].losses["action"][0])
with patch.object(RNN, "backward", without_recurrence), using(RNN):
    moments["recurrence forgotten"] = train_briefly(config, digits, steps)
print(f"ramnp's core and yours: first losses differ by {first:.1e}")

# %%
STYLES = {
    "ramnp's core": {"color": figures.SKY, "lw": 6},
    "yours": {"color": figures.RED},
    "recurrence forgotten": {"color": figures.INK, "ls": "--"},
    "your LSTM": {"color": figures.GREEN},
}


def plot_moments(title):
    _, axes = plt.subplots()
    for label, moment in moments.items():
        axes.plot(moment.steps, moment.losses["action"], label=label, **STYLES[label])
    axes.axhline(np.log(10), color=figures.INK, ls=":", lw=1)
    axes.text(moment.steps[-1], np.log(10) + 0.02, "knows nothing: log 10", ha="right", va="bottom", fontsize=9)
    axes.set(xlabel="step", ylabel="cross-entropy (nats)", title=title, ylim=(0, 3.5))
    _ = axes.legend(loc="lower left")


plot_moments("recurrent attention, first steps")

# %% [markdown]
# Two lessons. Yours follows ramnp's: at first to the last digit, later only nearly, since a sum in another order is
# rounded otherwise, and a last digit decides where a glimpse goes. And look at the dashed curve: **a network with a
# wrong gradient learns, too**, only worse, and only a little: here from about step 200 on. Nothing crashes, no curve
# looks broken. That is why gradients are checked.
#
# ## 4. Time is more rows
#
# Your loop makes T small products for each weight. But by the time it ends all $dz_t$ are known, and a sum over time
# of sums over rows is one sum over T R rows:
#
# $$dW_{hh} = \sum_t h_{t-1}^T \, dz_t = \begin{pmatrix} h_0 \\ h_1 \\ \vdots \end{pmatrix}^T
# \begin{pmatrix} dz_1 \\ dz_2 \\ \vdots \end{pmatrix} .$$

# %%
draw_time_as_rows(3)

# %% [markdown]
# To stack them costs nothing. Arrays are *time-major*, (T, R, ...), and lie in memory as one step after another: as
# (T R, ...) they are the same numbers in the same places, and `reshape` only says so.
#
# ### Exercise 5.4: without a loop
#
# From all inputs, states and $dz$, make the three gradients with one product, or one sum, each.
#
# <details><summary>Hint</summary>
#
# `array.reshape(-1, array.shape[-1])` makes rows of all but the last axis. `h` holds T + 1 states: which one belongs
# to no $h_{t-1}$?
# </details>


# %% exercise="time-as-rows"
def weight_gradients(g, h, dz):
    """(dW_hh, dW_gh, db) from g (T, R, G), h (T + 1, R, N) with h[0] the state before the first step, dz (T, R, N)."""
    ### BEGIN SOLUTION
    rows_of_dz = dz.reshape(-1, dz.shape[-1])  #        (T R, N)
    dW_hh = h[:-1].reshape(-1, h.shape[-1]).T @ rows_of_dz
    dW_gh = g.reshape(-1, g.shape[-1]).T @ rows_of_dz
    return dW_hh, dW_gh, rows_of_dz.sum(axis=0)
    ### END SOLUTION


# %% check="time-as-rows" points=2
rng = np.random.default_rng(0)
g, h, dz = rng.standard_normal((3, 5, 4)), rng.standard_normal((4, 5, 6)), rng.standard_normal((3, 5, 6))


def dW_hh(g, h, dz):
    return weight_gradients(g, h, dz)[0]


def dW_gh(g, h, dz):
    return weight_gradients(g, h, dz)[1]


def db(g, h, dz):
    return weight_gradients(g, h, dz)[2]


def summed(x):
    return np.einsum("trn,trm->nm", x, dz)


arguments = (g, h, dz)
common = "a reshape mixes rows and columns: first (T R, n), then transpose"
check_output(
    dW_hh,
    *arguments,
    expected=summed(h[:3]),
    mistakes={
        "h_t is used where h_{t-1} belongs": summed(h[1:]),
        "it is transposed: the factors are swapped": summed(h[:3]).T,
        "averaged over time: it is a sum": summed(h[:3]) / 3,
        "divided by the number of rows: it is a sum": summed(h[:3]) / 15,
        common: h[:3].reshape(6, 15) @ dz.reshape(15, 6),
    },
)
check_output(
    dW_gh,
    *arguments,
    expected=summed(g),
    mistakes={
        "averaged over time: it is a sum": summed(g) / 3,
        "divided by the number of rows: it is a sum": summed(g) / 15,
        common: g.reshape(4, 15) @ dz.reshape(15, 6),
    },
)
check_output(
    db,
    *arguments,
    expected=np.einsum("trn->n", dz),
    mistakes={
        "averaged: it is a sum": np.einsum("trn->n", dz) / 15,
        "averaged over time: it is a sum": np.einsum("trn->n", dz) / 3,
        "averaged over the rows: it is a sum": np.einsum("trn->n", dz) / 5,
    },
)

# %% [markdown]
# Is it worth it? That depends on how many rows there are: a product of few rows is mostly overhead.


# %%
def seconds(function, h, dz, repeats):
    """The shortest of some runs: what the work takes where nothing disturbs it."""
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(h, dz)
        durations.append(time.perf_counter() - start)
    return min(durations)


def with_a_loop(h, dz):
    dW = np.zeros((256, 256), np.float32)
    for t in range(len(dz)):
        dW += h[t].T @ dz[t]


def with_one_product(h, dz):
    dW = np.zeros((256, 256), np.float32)
    dW += h[:-1].reshape(-1, 256).T @ dz.reshape(-1, 256)


rows, gains = 2 ** np.arange(1, 10), []
for R in rows:
    h, dz = np.ones((7, R, 256), np.float32), np.ones((6, R, 256), np.float32)
    repeats = 5 if SHORT else 30
    gains.append(seconds(with_a_loop, h, dz, repeats) / seconds(with_one_product, h, dz, repeats))
_, axes = plt.subplots()
axes.semilogx(rows, gains, "o-", base=2)
axes.axhline(1, color=figures.INK, lw=0.8)
axes.set(
    xlabel="rows R in each step", ylabel="time with a loop /\ntime with one product", ylim=(0, None),
    title="$dW_{hh}$ of six steps, N = 256",
)  # fmt: skip
axes.minorticks_off()
_ = axes.set_xticks(rows, rows)

# %% [markdown]
# (Measured just now, on your machine.) It pays where a step has few rows; with hundreds of them, each step's product
# keeps the processor busy by itself.
#
# The idea goes further. Since no gradient comes back through the locations, the core is *the only part* that must run
# step by step on the way back. The glimpse network, the policy and the baseline all take their T steps as rows of one
# batch.
#
# And here is your exercise in `ramnp`. Read it: but for `dc`, which is for section 6, you have derived each of its lines.
# `gate_backward`, for the RNN, is the line with the ReLU; `out` is storage to write into. Since $h_0 = 0$, the product
# for $dW_{hh}$ leaves the first step out.

# %%
print(inspect.getsource(Core.backward))

# %% [markdown]
# ## 5. How far back?
#
# From step to step $dh$ is multiplied by a matrix and loses what the ReLUs cut. After many steps, is there anything
# left of it?
#
# In a wide network this can be worked out. Let the elements of $W_{hh}$ be drawn at random with standard deviation
# $\gamma / \sqrt{N}$. Then
#
# - $dz_{t+1} W_{hh}^T$ is, in each element, a sum of N products; their variances add up to $\gamma^2 |dz_{t+1}|^2 /
#   N$. Over all N elements, $|dh_t|^2 \approx \gamma^2 \, |dz_{t+1}|^2$;
# - at the start of a training half of all ReLUs are closed, so $|dz_t|^2 \approx \tfrac{1}{2} \, |dh_t|^2$.
#
# ### Exercise 5.5: what arrives
#
# The network takes six glimpses, $\gamma$ is 1 as in a new `Core`, and the loss reads $h_6$. What share of the length of
# $dh_6$ arrives as $dh_1$: how large is $|dh_1| / |dh_6|$ about?
#
# <details><summary>Hint</summary>
#
# The two estimates together give $|dh_t|^2$ from $|dh_{t+1}|^2$. How often is that step taken from $h_6$ to $h_1$?
# And mind that the question is about the length, not about its square.
# </details>

# %% exercise="reach"
share = None  # replace None: a number, or a formula
### BEGIN SOLUTION
share = 0.5 ** (5 / 2)  #   |dh_t| = gamma / sqrt(2) |dh_{t+1}|, five times
### END SOLUTION

# %% check="reach" points=1
check_answer(
    share,
    expected=0.176777,
    mistakes={
        "that is the share of the squared length": 0.03125,
        "nearly: from h_6 to h_1 there are five steps": 0.125,
        "nearly: from h_6 to h_1 there are five steps, and the question is about the length": 0.015625,
        "that is what one step leaves; there are five": 0.70711,
        "the ReLUs cut: half of |dh_t|^2 is lost at each step": 1,
        "a ReLU cuts, it does not add: is a sign wrong?": 5.65685,
    },
    tolerance=0.02,
)

# %% [markdown]
# Is it so? Below, the gradient of a random loss on the last of 30 states is sent back through your `backward`, and the
# length of what arrives at each glimpse measured, $|dg_t|$.


# %%
def reach(core, length=30, rows=32):
    """|dg_t| relative to |dg_T|, from the last step to the first."""
    rng = np.random.default_rng(0)
    h, cache = core.forward(rng.standard_normal((length, rows, core.inputs), dtype=np.float32))
    above = np.zeros_like(h)
    above[-1] = rng.standard_normal(h[-1].shape)
    lengths = np.sqrt((core.backward(above, cache) ** 2).sum(axis=(1, 2)))
    return lengths[::-1] / lengths[-1]


def with_gain(gain, inputs=256, units=256):
    core = RNN(inputs, units, np.random.default_rng(0))
    core.W_hh *= gain
    return core


def with_identity(inputs=256, units=256):
    core = RNN(inputs, units, np.random.default_rng(0))
    core.W_hh[...] = np.eye(units)
    return core


back = np.arange(30)
_, axes = plt.subplots()
for gain, name, color in ((2, "2", figures.RED), (np.sqrt(2), r"\sqrt{2}", figures.GREEN), (1, "1", figures.BLUE)):
    axes.semilogy(back, reach(with_gain(gain)), color=color, label=rf"$\gamma = {name}$")
    axes.semilogy(back, (gain / np.sqrt(2)) ** back, color=color, ls=":", lw=1)
axes.plot([], [], color=figures.INK, ls=":", lw=1, label=r"$(\gamma / \sqrt{2})^k$")
axes.semilogy(back, reach(with_identity()), color=figures.PURPLE, label="$W_{hh} = I$")
if share is not None:
    axes.plot(5, share, "o", color=figures.ORANGE, label="exercise 5.5", zorder=3)
axes.set(xlabel="steps back from the loss, k", ylabel=r"$|dg_{T-k}| \; / \; |dg_T|$", title="what arrives")
_ = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# A factor below one *vanishes* with distance, a factor above one *explodes*, and only on the knife's edge between
# them does it do neither. A way of its own is to start at the identity, $W_{hh} = I$: what an open ReLU holds is handed
# on as it is, and so is its gradient. `ramnp`'s RNN starts so (`RNN.initial_recurrence`), and for six glimpses, where the
# paper uses an RNN as well, that is plenty. (Against the other side, `ramnp` limits the length of the whole gradient:
# `--clip`.) But training may carry $W_{hh}$ away from $I$, and an RNN cannot choose what to keep and what to forget.
#
# ## 6. A cell that keeps
#
# The LSTM of Hochreiter and Schmidhuber has a second state, the *cell* $c_t$. It is not multiplied by a matrix at
# each step, but by a number of its own for each unit, the forget gate, that can be as near to 1 as it likes. Four
# things are made from $z_t$, which is now 4 N wide, $z = [z_i \,|\, z_f \,|\, z_o \,|\, z_u]$:
#
# $$i, f, o = \sigma(z_i), \sigma(z_f), \sigma(z_o) , \quad u = \tanh z_u , \qquad
# c_t = f_t \, c_{t-1} + i_t \, u_t , \qquad h_t = o_t \tanh c_t .$$

# %%
draw_lstm()

# %% [markdown]
# $z_t = h_{t-1} W_{hh} + g_t W_{gh} + b$ is as before, and so is everything about weights and time: your loop stays
# as it is, and only what happens between $z_t$ and $h_t$ is new. It is elementwise, so each line is one of 01. The
# cell reaches the loss in two ways, through $h_t$ and through $c_{t+1}$, and both are added:
#
# $$dc_t = \underbrace{f_{t+1} \, dc_{t+1}}_{\text{from step } t+1} + \, dh_t \, o_t \, (1 - \tanh^2 c_t) .$$
#
# Along the cell a gradient is multiplied by $f$ at each step, and by nothing else. With $dc_t$ known, the gates
# follow. The forget gate, for one: $f_t$ is multiplied by $c_{t-1}$, and it is a sigmoid, so
#
# $$dz_f = dc_t \; c_{t-1} \; f_t (1 - f_t) .$$
#
# ### Exercise 5.6: the LSTM, backward
#
# Forward is given. Derive $dz_i$, $dz_o$ and $dz_u$ in the same way and write `lstm_gate_backward`. It gets `dc`,
# what $c_t$ receives from step $t+1$, so the first term of $dc_t$ is already there; and it returns, with `dz`, what
# $c_{t-1}$ receives from this step.
#
# <details><summary>Hint</summary>
#
# First add the second term to `dc`. (Not with `+=`, which would change the caller's array.) Then for each of $i, f,
# o, u$: what is it multiplied by in the forward pass, and is that product part of $c_t$ or of $h_t$?
# `sigmoid_backward(dy, y)` and `tanh_backward(dy, y)` are those of 01. `np.concatenate([...], axis=1)` puts four
# parts side by side.
# </details>


# %% exercise="lstm"
def lstm_gate(z, c_before):
    """h_t, c_t (R, N) and the values of the gates (R, 4 N), from z_t (R, 4 N) and c_{t-1} (R, N)."""
    z_i, z_f, z_o, z_u = np.split(z, 4, axis=1)
    i, f, o, u = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o), np.tanh(z_u)
    c = f * c_before + i * u  #             c_t = f c_{t-1} + i u
    h = o * np.tanh(c)  #                   h_t = o tanh(c_t)
    return h, c, np.concatenate([i, f, o, u], axis=1)


def lstm_gate_backward(dh, dc, gates, c_before, c):
    """dz_t (R, 4 N) and what c_{t-1} receives (R, N), from dh_t, and dc, what c_t receives from step t + 1."""
    i, f, o, u = np.split(gates, 4, axis=1)
    ### BEGIN SOLUTION
    tanh_c = np.tanh(c)
    dc = dc + tanh_backward(dh * o, tanh_c)  #            dc_t = ... + dh_t o (1 - tanh^2 c_t)
    dz_i = sigmoid_backward(dc * u, i)  #                 dz_i = dc_t u i (1 - i)
    dz_f = sigmoid_backward(dc * c_before, f)  #          dz_f = dc_t c_{t-1} f (1 - f)
    dz_o = sigmoid_backward(dh * tanh_c, o)  #            dz_o = dh_t tanh(c_t) o (1 - o)
    dz_u = tanh_backward(dc * i, u)  #                    dz_u = dc_t i (1 - u^2)
    return np.concatenate([dz_i, dz_f, dz_o, dz_u], axis=1), dc * f
    ### END SOLUTION


class LSTM(ramnp.network.core.LSTM):
    """ramnp's, with the two functions above."""

    def gate(self, z, t, cache):
        cache.h[t + 1], cache.c[t + 1], cache.gates[t] = lstm_gate(z, cache.c[t])

    def gate_backward(self, dh, dc, t, cache, dz):
        dz[...], dc[...] = lstm_gate_backward(dh, dc, cache.gates[t], cache.c[t], cache.c[t + 1])


# %% check="lstm" points=4
check(LSTM)

# %% [markdown]
# How far does a gradient reach now? A new LSTM's forget gates are near $\sigma(b_f)$, where $b_f$ is the forget
# gate's bias. With $b_f = 0$ that is a half, and the cell forgets by half at each step. `ramnp` starts with 1,
# $\sigma(1) = 0.73$, so that a new network remembers; for long sequences one starts higher.


# %%
def with_forget_bias(bias, inputs=256, units=256):
    core = LSTM(inputs, units, np.random.default_rng(0))
    core.b[units : 2 * units] = bias
    return core


_, axes = plt.subplots()
axes.semilogy(back, reach(with_gain(1)), color=figures.BLUE, label=r"RNN, $\gamma = 1$")
for bias, color in ((0, figures.SKY), (1, figures.ORANGE), (3, figures.PURPLE)):
    forget = 1 / (1 + np.exp(-bias))
    label = rf"LSTM, $b_f = {bias}$: $f \approx {forget:.2f}$"
    axes.semilogy(back, reach(with_forget_bias(bias)), color=color, label=label)
axes.set(xlabel="steps back from the loss, k", ylabel=r"$|dg_{T-k}| \; / \; |dg_T|$", title="what arrives")
_ = axes.legend(loc="lower left")

# %% [markdown]
# A cell is as good as its forget gate: with $b_f = 0$ less arrives than in the RNN, with $b_f = 3$ about half, but from
# thirty steps back as much as from five.
#
# Back to the test of memory, which is harder now: the first of twenty inputs is asked for.

# %%
steps = 20 if SHORT else 300
curves = {
    r"your RNN, $\gamma = 1$": train_recall(with_gain(1, 4, 32), 20, steps),
    r"your RNN, $\gamma = \sqrt{2}$": train_recall(with_gain(np.sqrt(2), 4, 32), 20, steps),
    "your RNN, $W_{hh} = I$": train_recall(with_identity(4, 32), 20, steps),
    "your LSTM, $b_f = 1$": train_recall(with_forget_bias(1, 4, 32), 20, steps),
    "your LSTM, $b_f = 3$": train_recall(with_forget_bias(3, 4, 32), 20, steps),
}
plot_recall(curves, "remember the first of twenty inputs")

# %% [markdown]
# The RNN with $\gamma = 1$ learns nothing: its gradient is right, but a thousandth of it arrives. With $\gamma =
# \sqrt{2}$ all of it arrives, and that is not enough: on the way *forward* each step mixes its noise into the whole
# state, and twenty steps on the symbol is hard to find in it. The identity and the cell help both ways: what is held
# goes forward nearly unchanged, and so does its gradient going back. In the cell the factor is $f$, which the network
# sets for each unit and each step; and an input gate can close to noise. (With $b_f = 1$ a new cell keeps little for so
# long, $0.73^{20} = 0.002$, and has to learn that first.)
#
# Last, your LSTM in the model, for as many steps as the others:

# %%
with using(LSTM):
    moments["your LSTM"] = train_briefly(Config(batch_size=64, core="lstm"), digits, 20 if SHORT else 300)
plot_moments("recurrent attention, first steps")

# %% [markdown]
# Over six glimpses there is little to forget, and the two cores are not far apart; the LSTM has four times the
# weights and takes longer for each step.
#
# ## What you can now do
#
# - Unroll a recurrent network, and say which ways lead from a state to the loss.
# - Derive backpropagation through time, and write it for any core: $dh_t = \text{above}_t + dz_{t+1} W_{hh}^T$.
# - Turn a sum over time into one matrix product.
# - Say from a factor per step how far back a gradient reaches, and what an LSTM's forget gate does about it.
# - Tell a wrong gradient from one that is right but does not arrive.
#
# **Next:** [06](06_policy_gradient.ipynb), a policy that cannot be differentiated. What the two strokes in the first
# figure cut off comes back there, in another way.
