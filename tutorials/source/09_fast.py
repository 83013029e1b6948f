# %% [markdown]
# # 09 Fast
#
# **What you will build:** a stopwatch that can be trusted, and with it an answer to *where does the time of a training
# step go, and how much of it is necessary?* Then you save memory traffic, share a batch among cores, and write code
# that runs on a GPU unchanged, and never makes it wait.
#
# *About 45 minutes. You need 05 and 07. Times below are those of your machine: if it does other things meanwhile, they
# scatter, and a figure may look odd. Run its cell again.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import cProfile
import functools
import pstats
import threading
import time
import tracemalloc
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ramnp
from ramnp import data
from ramnp.backend import NUMPY, get_backend, limit_threads
from ramnp.config import Config
from ramnp.data.batch import Batch
from ramnp.gradcheck import check_answer, check_output, require
from ramnp.teaching import SHORT, figures
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import using
from ramnp.training.provenance import count_cores
from ramnp.training.trainer import Trainer

figures.use_style()
limit_threads(1)  # but for section 5, one processor core does all the work
backends = [NUMPY] if get_backend("auto") is NUMPY else [NUMPY, get_backend("auto")]
print("processor cores:", count_cores(), "  GPU:", backends[-1].device or "none: the course goes on without")

# %% [markdown]
# ## 1. A stopwatch
#
# Here is a training step of the default network as a function: 256 digits, six glimpses each, forward, backward, clip,
# update. Beside it stands a function that waits until the step is done. On NumPy it has been done when `step` returns.
# On a GPU it has only been *asked for*: the processor puts work into a queue and goes on.

# %%
digits = data.load(Config())


def make_step(config, backend=NUMPY):
    """A training step, and a function that waits for it."""
    trainer = Trainer(config, digits.image_shape, digits.classes, backend)
    canvas = trainer.model.canvas(digits.train.images[: config.batch_size])
    labels = backend.asarray(digits.train.labels[: config.batch_size])
    rng = np.random.default_rng(0)

    def step():
        trainer.step(Batch(canvas, labels, trainer.model.draw(rng, config.batch_size)), 1e-5)

    def wait():
        backend.to_host(trainer.totals)  # a number that depends on all that came before

    return step, wait


step, wait = make_step(Config())
times = []
for _ in range(6 if SHORT else 60):
    started = time.perf_counter()
    step()
    wait()
    times.append(1000 * (time.perf_counter() - started))

_, axes = plt.subplots()
axes.plot(np.arange(len(times)) + 1, times, "o", ms=4)
axes.axhline(np.mean(times), color=figures.RED, ls=":", label=f"mean, {np.mean(times):.1f} ms")
axes.axhline(np.median(times), color=figures.GREEN, label=f"median, {np.median(times):.1f} ms")
axes.set(xlabel="step", ylabel="time (ms)", title="the same step, again and again", ylim=(0, None))
_ = axes.legend()

# %% [markdown]
# The same work, and never the same time. Two things are seen in most such figures:
#
# - The **first** steps take longer. Memory is touched for the first time, caches are empty, on a GPU kernels are compiled.
# - There are **outliers**, and only upwards: now and then the machine does something else. The mean follows them, the
#   median does not.
#
# ### Exercise 9.1: a stopwatch
#
# Write `seconds`: the median time of a step, over `repeats` of them that are timed one by one, after one that does not
# count. `clock()` gives the time in seconds. Do not stop the clock before the work is done.
#
# <details><summary>Hint</summary>
#
# `wait()` is called once after every `step()`: also after the one that does not count, or else its work is still under
# way when the clock starts. `np.median` takes a list.
# </details>


# %% exercise="stopwatch"
def seconds(step, wait, repeats=9, clock=time.perf_counter):
    """Median seconds of a step."""
    ### BEGIN SOLUTION
    step()
    wait()
    times = []
    for _ in range(repeats):
        started = clock()
        step()
        wait()
        times.append(clock() - started)
    return np.median(times)
    ### END SOLUTION


# %% check="stopwatch" points=2
class PretendGPU:
    """Its steps return at once, after 0.1 s, and are done some seconds later."""

    def __init__(self):
        self.now, self.queue, self.lasts = 0.0, 0.0, iter([100.0, 5.0, 6.0, 90.0, 7.0, 4.0])

    def step(self):
        self.now += 0.1
        self.queue += next(self.lasts, 50.0)

    def wait(self):
        self.now, self.queue = self.now + self.queue, 0.0

    def clock(self):
        self.was_read = True
        return self.now

    was_read = False


@functools.wraps(seconds)
def timed():
    gpu = PretendGPU()
    result = seconds(gpu.step, gpu.wait, 5, gpu.clock)
    require(gpu.was_read or result is None, "seconds: the clock that it is given is not read: call clock()")
    return result


check_output(
    timed,
    expected=6.1,
    mistakes={
        "the clock is stopped before the work is done: call wait() first": 0.1,
        "the first step counts: take one, and wait for it, before the clock starts": 7.1,
        "that is the mean, which follows outliers: take the median": 22.5,
        "that is the fastest step: take the median": 4.1,
        "that is the slowest step: take the median": 90.1,
        "that is the time of all steps together: the median of each is wanted": 112.5,
        "more steps are taken than one that does not count and `repeats` others": 50.1,
        "the clock gives seconds, and seconds are wanted": 6100,
    },
)

# %%
step_time = seconds(step, wait)
print(f"a training step: {1000 * step_time:.1f} ms, {256 / step_time:,.0f} images a second")

# %% [markdown]
# ## 2. Where does it go?
#
# Guessing is a bad habit; people guess wrong. A *profiler* notes which function is at work. Python has one, `cProfile`.
# Time inside NumPy's operators counts for the function that uses them, which is just what we want.

# %%
profile = cProfile.Profile()
profile.enable()
for _ in range(2 if SHORT else 30):
    step()
profile.disable()

package = Path(ramnp.__file__).parent
own = {}  # seconds in each function itself, without those that it calls
for (path, _, name), (_, _, in_itself, *_) in pstats.Stats(profile).stats.items():
    where = f"{Path(path).stem}.{name}" if Path(path).is_relative_to(package) else "everything else"
    own[where] = own.get(where, 0) + in_itself
total = sum(own.values())
largest = sorted(own, key=own.get)[-12:]

_, axes = plt.subplots(figsize=(6.5, 4))
axes.barh(largest, [100 * own[name] / total for name in largest], color=figures.BLUE)
axes.grid(axis="y")
_ = axes.set(xlabel="share of the step (%)", title="where the time goes")

# %% [markdown]
# What stands on top is mostly `layers.backward`, `layers.forward`, `core.backward` and `core.step`: the functions with
# *matrix products* in them. That is good news, since a matrix product is the one thing that computers do at full
# speed. The other bars move data: the sensor (`sense_nested`, `crop`) copies pixels, `optim.step` walks several times
# over all weights, `relu` over all activations.
#
# ## 3. What has to be done
#
# How fast *could* a step be? Whatever else we save, the matrix products must be done. Count them. The product of
# (rows, in) with (in, out) makes rows times out numbers, each from *in* multiplications and *in* additions.
#
# ### Exercise 9.2: count
#
# How many operations, multiplications and additions, does a Linear take in a training step, forward and backward
# together? Count matrix products only, and return **millions**. `input_gradient` says whether $dx$ is needed; it is not
# for the first layer of all.
#
# <details><summary>Hint</summary>
#
# $y = xW$ is one product. $dW = x^T dy$ and $dx = dy\,W^T$ are two more. Their shapes differ; does the product of the
# three sizes?
# </details>


# %% exercise="count"
def operations(rows, n_in, n_out, input_gradient):
    """Millions of operations of the matrix products of a Linear, forward and backward."""
    ### BEGIN SOLUTION
    products = 3 if input_gradient else 2  # y = x W, dW = x^T dy, dx = dy W^T
    return products * 2 * rows * n_in * n_out / 1e6
    ### END SOLUTION


# %% check="count" points=2
@functools.wraps(operations)
def counted(*sizes):
    count = operations(*sizes)
    return None if count is None else float(count)


for needed, right in ((True, 1.5), (False, 1.0)):
    print("with dx" if needed else "without dx", end=": ")
    check_output(
        counted, 100, 50, 50, needed,
        expected=right,
        mistakes={
            "half of it: an addition goes with every multiplication": right / 2,
            "that is forward alone, or backward alone": 0.5,
            "dx counts where it is not needed": 1.5,
            "dx is missing": 1.0,
            "in millions, please": right * 1e6,
            "it counts an addition less than multiplications: 2 n, not 2 n - 1, is the custom": right * 99 / 100,
        },
    )  # fmt: skip

# %% [markdown]
# Now all Linear maps of a step. T R rows pass through the glimpse network, (T - 1) R decisions are made, and one answer
# is given for each of the R images. The locations are constants, so `what` and `where` need no $dx$; the policy's
# gradient stays in the policy.

# %%
T, R, D, N = 6, 256, 64, 256
linear_maps = {  # rows, in, out, dx
    "glimpse: what": (T * R, D, 128, False),
    "glimpse: where": (T * R, 2, 128, False),
    "glimpse: mix": (T * R, 256, 256, True),
    "core: g W_gh": (T * R, 256, N, True),
    "core: h W_hh": ((T - 1) * R, N, N, True),
    "policy: hidden": ((T - 1) * R, N, 128, False),
    "policy: mean": ((T - 1) * R, 128, 2, True),
    "action": (R, N, 10, True),
    "baseline": ((T - 1) * R, N, 1, False),
}
millions = {name: operations(*sizes) for name, sizes in linear_maps.items()}
for name, count in millions.items():
    print(f"{name:<15} {count:8.1f}")
print(f"{'all':<15} {sum(millions.values()):8.1f} million operations a step")

# %% [markdown]
# Three maps of 256 by 256 are nearly nine tenths of it. And how fast can this machine multiply? It depends on how many rows it
# gets at once:

# %%
rng = np.random.default_rng(0)
W = rng.standard_normal((256, 256), dtype=np.float32)
all_rows = [1, 4, 16, 64, 256] if SHORT else [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1536, 4096]


def speed(rows):
    """Billions of operations a second."""
    x, y = rng.standard_normal((rows, 256), dtype=np.float32), np.empty((rows, 256), np.float32)
    times = max(1, 4096 // rows)

    def multiply():
        for _ in range(times):
            np.matmul(x, W, out=y)

    return times * 2 * rows * 256 * 256 / seconds(multiply, lambda: None) / 1e9


speeds = [speed(rows) for rows in all_rows]
_, axes = plt.subplots()
axes.semilogx(all_rows, speeds, "o-")
marks = {1: "one image,\none glimpse", R: "R: one time step\nof a batch", T * R: "T R: all time\nsteps at once"}
for rows, text in marks.items():
    axes.axvline(rows, color=figures.INK, lw=0.8, ls=":")
    axes.text(rows * 1.1, 0.02 * max(speeds), text, fontsize=8, va="bottom")
axes.set(xlabel="rows of x in x W, W 256 x 256", ylabel="billion operations / s", title="many rows are cheap rows")
_ = axes.set_ylim(0, None)

# %% [markdown]
# One row uses each weight once: the machine fetches 256 kB of weights to do very little with them. With many rows each
# weight that was fetched works many times. **This is why all code here takes rows**, why the weight gradients of all
# time steps are one product (*time is just more rows*, 05), and why training in batches is fast.
#
# Now run the products of a step, and nothing else: forward in T pieces, as it must be, since $l_{t+1}$ depends on
# $h_t$, and backward at once.


# %%
def products_alone(maps):
    """A function that does the matrix products of a training step."""
    work = []
    for rows, n_in, n_out, input_gradient in maps.values():
        x, W, dy = (np.ones(shape, np.float32) for shape in ((rows, n_in), (n_in, n_out), (rows, n_out)))
        y, dW, dx = (np.empty_like(each) for each in (dy, W, x))
        work += [(x[r : r + R], W, y[r : r + R]) for r in range(0, rows, R)]  # y = x W
        work += [(x.T, dy, dW)]  #                                              dW = x^T dy
        work += [(dy, W.T, dx)] if input_gradient else []  #                    dx = dy W^T

    def multiply():
        for a, b, out in work:
            np.matmul(a, b, out=out)

    return multiply


def compare(step, wait, alone, rounds=2 if SHORT else 9):
    """Seconds of a step and of its products: they take turns, so that both meet the same bad moments."""
    pairs = [(seconds(step, wait, 3), seconds(alone, lambda: None, 3)) for _ in range(rounds)]
    return np.median(pairs, axis=0)


step_time, floor_time = compare(step, wait, products_alone(linear_maps))
bars = {"its matrix products": floor_time, "a training step": step_time}
_, axes = plt.subplots(figsize=(6.5, 1.9))
axes.barh(list(bars), [1000 * each for each in bars.values()], color=[figures.GREEN, figures.BLUE])
axes.grid(axis="y")
axes.set(xlabel="time (ms)", title=f"the floor: {100 * floor_time / step_time:.0f} % of the step")
print(f"products: {sum(millions.values()) / floor_time / 1e3:.0f} billion operations / s")

# %% [markdown]
# The green bar is the *floor*. No cleverness in Python goes below it; whoever wants to needs other hardware or another
# network. The distance between the bars is all there is to win by better code. (`python -m benchmarks` in the repository
# measures both with more care.)
#
# ### Exercise 9.3: what a wonder is worth
#
# Suppose matrix products take 60 % of a step, and you buy something that multiplies matrices **20 times** as fast. The
# rest stays as it is. How many times as fast is the step?
#
# <details><summary>Hint</summary>
#
# If the step takes 100 ms now, what takes how long afterwards?
# </details>

# %% exercise="amdahl"
speed_up = None  # replace None: a number, or a formula
### BEGIN SOLUTION
speed_up = 1 / (0.4 + 0.6 / 20)
### END SOLUTION

# %% check="amdahl" points=1
check_answer(
    speed_up,
    expected=2.325581,
    tolerance=0.02,
    mistakes={
        "nearly: that is for products that take no time at all": 2.5,
        "that is what the products win; the other 40 % win nothing": 20,
        "the parts of a time add up, not their speeds": 0.6 * 20 + 0.4,
        "the parts of a time add up, not their speeds: 40 % are not sped up at all": 12,
        "that is the time left, as a share of the old one; how many times as fast is that?": 0.43,
        "the shares are swapped: the products are 60 %": 1 / (0.6 + 0.4 / 20),
    },
)

# %% [markdown]
# That is Amdahl's law (1967): **what you do not speed up is soon all there is.** So look at the rest.
#
# ## 4. The rest: moving memory
#
# Adding two arrays is one operation for every three numbers that travel between memory and processor. Here it is done
# for arrays of many sizes:

# %%
_, axes = plt.subplots()
sizes = np.logspace(2, 5 if SHORT else 7, 6 if SHORT else 16).astype(int)
for backend, color in zip(backends, (figures.BLUE, figures.RED), strict=False):
    rates = []
    for size in sizes:
        x, y, z = (backend.asarray(np.ones(size, np.float32)) for _ in range(3))
        calls = int(max(1, min(500, 1e6 // size)))

        def add(x=x, y=y, z=z, calls=calls, xp=backend.xp):
            for _ in range(calls):
                xp.add(x, y, out=z)

        def done(z=z, backend=backend):
            backend.to_host(z[:1])

        rates.append(calls * 3 * z.nbytes / 1e9 / seconds(add, done))  # two arrays are read, one is written
    axes.semilogx(4e-3 * sizes, rates, "o-", color=color, label=backend.name)
if len(backends) > 1:
    axes.set_yscale("log")
else:
    axes.set_ylim(0, None)
axes.set(xlabel="size of an array (kB)", ylabel="memory moved (GB / s)", title="adding two arrays into a third")
_ = axes.legend()

# %% [markdown]
# - **On the left** it takes longer to *call* NumPy than to add. Many small arrays are expensive, and so are Python loops over
#   rows.
# - **In the middle** all three arrays fit into the processor's caches, and all goes well. (The jumps come from where in
#   memory the arrays happen to begin.)
# - **On the right** they come from main memory, which is several times slower, and the processor waits.
#
# Every array that is made on the way is written and read once more, and it has to come from somewhere: now and then the
# operating system is asked for it, and clears every page of it first.
#
# So a training step should make no large arrays at all. In `ramnp` they are made once: `model.storage`, which `forward`
# fills through `out=...`. The optimizer is the purest case, since it does nothing but walk over memory. SGD with
# momentum:
#
# $$v \leftarrow m\,v + \text{gradient} , \qquad\qquad \text{values} \leftarrow \text{values} - \text{lr} \; v .$$
#
# ### Exercise 9.4: no new memory
#
# Write `step` such that it makes no new array. There is one to work in, `self._scratch`, as large as all the others;
# what is in it does not matter. Write into `self.parameters.values`: each weight of the model is a *view* of that very
# array, and would not notice a new one. Leave the gradients alone.
#
# <details><summary>Hint</summary>
#
# `a *= b` and `a += b` write into `a`. In `a -= lr * v` the product is a new array: `np.multiply` takes `out=`, too.
# </details>


# %% exercise="sgd"
class SGD:
    """v = momentum v + gradients; values -= lr v. All are vectors of one length."""

    def __init__(self, parameters, momentum):
        self.parameters, self.momentum = parameters, momentum
        self.velocity = np.zeros_like(parameters.values)
        self._scratch = np.empty_like(parameters.values)

    def step(self, lr):
        ### BEGIN SOLUTION
        self.velocity *= self.momentum
        self.velocity += self.parameters.gradients  #           v = m v + gradient
        np.multiply(self.velocity, lr, out=self._scratch)
        self.parameters.values -= self._scratch  #              values -= lr v
        ### END SOLUTION


# %% check="sgd" points=3
def optimizer_of(size):
    parameters = types.SimpleNamespace(values=np.linspace(-1, 1, size), gradients=np.linspace(1, 3, size) ** 2)
    return SGD(parameters, 0.8), parameters.values


@functools.wraps(SGD.step)
def two_steps():
    optimizer, values = optimizer_of(3)
    gradients = optimizer.parameters.gradients.copy()
    for lr in (0.1, 0.01):
        optimizer.step(lr)
    require(np.array_equal(optimizer.parameters.gradients, gradients), "step: it overwrites the gradients")
    require(
        optimizer.parameters.values is values,
        "step: parameters.values is a new array, and the weights are views of the old one: write into it, with -=",
    )
    return values


def after(*factors):
    """The values after steps along the gradient of these lengths together."""
    return np.linspace(-1, 1, 3) - sum(factors) * np.linspace(1, 3, 3) ** 2


check_output(
    two_steps,
    expected=[-1.118, -0.472, -0.062],
    mistakes={
        "the values do not change: write into self.parameters.values": after(0),
        "the momentum is missing": after(0.1, 0.02),
        "v is made anew at every step: it has to keep what it was": after(0.1, 0.01),
        "v itself is multiplied by lr: do that in self._scratch": after(0.1108),
        "lr is in it twice": after(0.0109),
        "lr is part of v: it belongs into the second equation alone": after(0.1, 0.09),
        "the sign is wrong: values -= lr v": after(-0.118),
        "the step is taken along the old v: update v first": after(0.01),
        "the gradient is multiplied by momentum, too: only v is": after(0.08, 0.0144),
        "the gradient is multiplied by 1 - momentum": after(0.02, 0.0036),
        "lr is missing": after(1, 1.8),
    },
)
optimizer, _ = optimizer_of(100_000)
optimizer.step(0.1)
tracemalloc.start()
optimizer.step(0.1)
made = tracemalloc.get_traced_memory()[1]
tracemalloc.stop()
require(
    made < 100_000,
    f"right, but it makes new arrays, {made / optimizer.velocity.nbytes:.0f} at a time: a *= b writes into a, a * b does not",
)
print("no new array")

# %% [markdown]
# Is it worth it? Here is yours against the two lines as one would write them first, and then at work in the model:


# %%
class Careless(SGD):
    def step(self, lr):
        self.velocity = self.momentum * self.velocity + self.parameters.gradients
        self.parameters.values[:] = self.parameters.values - lr * self.velocity


size = 242_000  # about the number of weights of the model
for kind in (Careless, SGD):
    one = types.SimpleNamespace(values=np.ones(size, np.float32), gradients=np.ones(size, np.float32))
    optimizer = kind(one, 0.9)
    taken = seconds(functools.partial(optimizer.step, 0.1), lambda: None, 50)
    print(f"{kind.__name__:<9} {1e6 * taken:7.0f} microseconds a step")

steps = 10 if SHORT else 60
sgd = Config(optimizer="sgd", lr=0.01, batch_size=64)
theirs = train_briefly(sgd, digits, steps)
with using(SGD):
    yours = train_briefly(sgd, digits, steps)
print("largest difference of the losses:", np.abs(yours.losses["action"] - theirs.losses["action"]).max())

# %% [markdown]
# ## 5. Several cores
#
# So far one core did all the work. There are two ways to use the others:
#
# 1. **Inside each product.** The matrix library (BLAS) cuts every product into pieces. It needs no change of the code. But a
#    product of a few hundred rows takes a fraction of a millisecond: cutting it up and waiting for the slowest piece costs a good
#    part of it, and everything between the products still runs on one core.
# 2. **Share the batch.** Each worker takes some of the images, and goes through forward and backward alone. Workers meet
#    once a step, to put their gradients together.
#
# A worker can be a thread: Python's run one at a time, but NumPy lets go of Python while it computes. The second way
# needs a line of mathematics: what is the gradient of the whole batch, given those of its shares?
#
# ### Exercise 9.5: share a batch
#
# `gradient_of(x, labels)` returns the gradient of the **mean** loss over the rows that it is given. Cut `x` and `labels` into
# `workers` shares, let each thread work on one, and return the gradient of the mean loss over all rows. The shares may
# differ by a row.
#
# <details><summary>Hint</summary>
#
# `np.array_split(x, workers)` cuts. `ThreadPoolExecutor(workers).map(f, xs, labels)` calls `f` with one of each, all at
# the same time. A share with 3 rows of 8 says what 3/8 of the mean is.
# </details>


# %% exercise="share"
def shared_gradient(gradient_of, x, labels, workers):
    """The gradient of the mean loss over all rows, computed by several threads."""
    ### BEGIN SOLUTION
    xs, shares = np.array_split(x, workers), np.array_split(labels, workers)
    with ThreadPoolExecutor(workers) as pool:
        gradients = pool.map(gradient_of, xs, shares)
    return sum(len(share) / len(x) * gradient for share, gradient in zip(xs, gradients, strict=True))
    ### END SOLUTION


# %% check="share" points=2
def make_gradient(workers):
    """A gradient, and what happens to it: whether `workers` calls ran at the same time, on how many rows each."""
    together, seen = threading.Barrier(workers), []

    def gradient_of(x, labels):
        seen.append(len(x))
        try:
            together.wait(timeout=1)
        except threading.BrokenBarrierError:
            seen.append("alone")
        return (x * labels[:, None]).mean(axis=0)  # of the loss mean(labels * (x w)), with respect to w

    return gradient_of, seen


x, labels = np.arange(16.0).reshape(8, 2) ** 2, np.array([1, 2, 0, 3, 1, 5, 2, 7])
means = np.array([part.mean(axis=0) for part in np.array_split(x * labels[:, None], 3)])
gradient_of, seen = make_gradient(3)
check_output(
    shared_gradient,
    gradient_of,
    x,
    labels,
    3,
    expected=(x * labels[:, None]).mean(axis=0),
    mistakes={
        "all shares count the same, but they have 3, 3 and 2 rows": means.mean(axis=0),
        "it is the sum over the shares: the loss is a mean over all rows": means.sum(axis=0),
        "only the first share is in it": means[0],
        "only the last share is in it": means[-1],
        "it is the sum over the rows: the loss is their mean": (x * labels[:, None]).sum(axis=0),
        "weighed by rows, but not divided by the number of all rows": 8 * (x * labels[:, None]).mean(axis=0),
    },
)
require([rows for rows in seen if rows != "alone"].count(8) == 0, "right, but it is computed of all rows at once")
require("alone" not in seen, "right, but one share waits for the other: hand all to ThreadPoolExecutor(workers).map")

# %% [markdown]
# In `ramnp` it is the same, but for two things. All shares have one size, so `--workers` has to divide `--batch-size`.
# And `--workers 2` starts processes, not threads (`ramnp/training/workers.py`). A thread
# that comes back from NumPy needs Python again, and waits while another one has it. In your exercise that is nothing;
# in a training step, of some hundred short calls, it is a good part of what the second thread gains. Every process has a
# Python of its own. The weights lie in memory that all of them see, and so do the gradients of each. The two ways of the list above, the second with processes, timed:

# %%
cores = min(count_cores(), 4)
ways = {"one core": (1, 1)}
if cores > 1:
    ways |= {f"{cores} inside each product": (1, cores), f"{cores} processes share the batch": (cores, 1)}

per_step = {}
for way, (workers, inside) in ways.items():
    with limit_threads(inside):
        step, wait = make_step(Config(workers=workers, batch_size=256 // cores * cores))
        per_step[way] = seconds(step, wait, 3 if SHORT else 25)

_, axes = plt.subplots(figsize=(6.5, 0.8 + 0.5 * len(ways)))
bars = axes.barh(list(per_step)[::-1], [1000 * each for each in per_step.values()][::-1], color=figures.BLUE)
axes.bar_label(bars, fmt="%.0f", padding=3)
axes.grid(axis="y")
_ = axes.set(xlabel="time of a training step (ms)", title="several cores")

# %% [markdown]
# Two cores are at best twice as fast as one, and less if something else runs on them. On a busy machine the threads inside
# the products can take many times as long as one: at the end of each product they all wait for the one that has just lost
# its core to another program.
#
# ## 6. A GPU
#
# A GPU has thousands of small cores and memory of its own. CuPy has NumPy's functions under NumPy's names, for arrays in that
# memory. So there are three rules for code that runs on both:
#
# 1. **`xp`, not `np`**: the module is an argument. Operators (`+`, `@`, `x.sum()`) work as they are.
# 2. **Do not look.** `float(x)`, `if x > 1`, `print(x)`, `x.item()` need a number on the host. They wait until the queue
#    is empty, and the GPU stands still until the next work arrives.
# 3. **Few, large calls.** Every call costs some microseconds, whatever its size: see section 4.
#
# Rule 2 is broken most often by an innocent `if`. Clipping a gradient, for example, scales it down where its norm is
# larger than a limit:
#
#     if norm > limit:
#         gradients = gradients * (limit / norm)
#
# ### Exercise 9.6: clip without looking
#
# Write `clip_gradients` for both backends: scale `parameters.gradients` **in place** such that their norm, a 0-d array, becomes at
# most `limit`. Never look at a number.
#
# <details><summary>Hint</summary>
#
# The factor is limit / norm or 1, whichever is smaller. Which function takes the smaller of two arrays?
# </details>


# %% exercise="clip"
def clip_gradients(parameters, norm, limit, xp):
    ### BEGIN SOLUTION
    parameters.gradients *= xp.minimum(limit / norm, 1)
    ### END SOLUTION


# %% check="clip" points=3
class Watched(np.ndarray):
    """An array that notices when somebody looks at its numbers."""

    looks = ()


for look in ("__bool__", "__float__", "__int__", "__iter__", "item", "tolist"):

    def noticed(self, *args, look=look):
        Watched.looks += (look,)
        return getattr(np.ndarray, look)(self, *args)

    setattr(Watched, look, noticed)


class NotHere:
    """Stands in for np: arrays on a GPU are none of NumPy's."""

    def __getattr__(self, name):
        raise TypeError(f"np.{name} is called; on a GPU the array is not NumPy's: xp.{name}")


def on_gpu(function):
    """The function in a world where `np` cannot be used."""
    return types.FunctionType(function.__code__, function.__globals__ | {"np": NotHere(), "numpy": NotHere()})


@functools.wraps(clip_gradients)
def clipped(gradients, norm, limit):
    Watched.looks = ()
    parameters = types.SimpleNamespace(gradients=gradients.copy().view(Watched))
    before = parameters.gradients
    on_gpu(clip_gradients)(parameters, np.array(norm).view(Watched), limit, np)
    require(parameters.gradients is before, "clip_gradients: a new array; others are views of the old one: use *=")
    require(
        not Watched.looks,
        f"clip_gradients: it looks at a number ({', '.join(sorted(set(Watched.looks)))}): a GPU would have to wait",
    )
    return np.array(before)


gradients = np.array([3.0, 0.0, -4.0])
for limit, right in ((2.0, [1.2, 0.0, -1.6]), (10.0, [3.0, 0.0, -4.0])):
    print(f"norm 5, limit {limit:g}", end=": ")
    check_output(
        clipped, gradients, 5.0, limit,
        expected=right,
        mistakes={
            "the gradients are as before: take the smaller of limit / norm and 1, and write": gradients,
            "a gradient that is short enough becomes longer: the factor is at most 1": gradients * limit / 5,
            "each element is clipped by itself: the direction has to stay": np.clip(gradients, -limit, limit),
            "the factor is the larger of limit / norm and 1; take the smaller": gradients * max(limit / 5, 1),
            "the factor is upside down: limit / norm": gradients * min(5 / limit, 1),
            "it is divided by the norm, but not multiplied by the limit": gradients / 5,
        },
    )  # fmt: skip

# %% [markdown]
# Yours in the model, on every backend that there is here, as `ramnp` would call it:

# %%
for backend in backends:
    theirs = train_briefly(Config(batch_size=64), digits, steps, backend)
    with using(clip_gradients):
        yours = train_briefly(Config(batch_size=64), digits, steps, backend)
    difference = np.abs(yours.losses["action"] - theirs.losses["action"]).max()
    print(f"{backend.name}: largest difference of the losses {difference:.1e}")

# %% [markdown]
# And how fast? Images a second against the size of the batch, by backend. On the processor it soon makes little
# difference; a GPU has hardly begun to work where the processor is busy.

# %%
batches = [16, 64] if SHORT else [16, 32, 64, 128, 256, 512, 1024]
_, axes = plt.subplots()
for backend, color in zip(backends, (figures.BLUE, figures.RED), strict=False):
    sizes = batches if backend is NUMPY else [*batches, 4096, 16384]
    steps_and_waits = [make_step(Config(batch_size=size), backend) for size in sizes]
    rates = [size / seconds(*each, 3 if SHORT else 5) for size, each in zip(sizes, steps_and_waits, strict=True)]
    axes.plot(sizes, rates, "o-", color=color, label=backend.device or "NumPy, one core of this processor")
axes.set_xscale("log")
axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
axes.minorticks_off()
if len(backends) > 1:
    axes.set_yscale("log")
else:
    axes.set_ylim(0, None)
axes.set(xlabel="images in a batch", ylabel="images / s", title="training the same network with the same code")
_ = axes.legend(loc="lower right")

# %% [markdown]
# If you have no GPU here: open this notebook on a hosted one, with the line on top, and the same cells draw a second
# line into the figures of sections 4 and 6. With the commands it is `--backend cupy`.
#
# ## What you can now do
#
# - Time code so that the number means something: warm up, wait, repeat, take the median.
# - Profile before you improve; count operations; compare with the floor; use Amdahl's law to see what is worth it.
# - Write updates that make no new arrays, and say why that is faster.
# - Share a batch among several cores, and put the gradients together.
# - Write code for NumPy and CuPy at once that never makes a GPU wait.
#
# **Next:** [10](10_further.ipynb), other cores, convolutions, colours, and your own images.
