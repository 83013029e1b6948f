# %% [markdown]
# # 00 What attention buys
#
# **What you will do:** play with a trained network that looks at an image through a small window and decides by itself
# where to look next. You watch it, choose its path in its place, and count what looking costs. Nothing is derived yet:
# that is what the other notebooks are for.
#
# *About 25 minutes. You need Python and a little NumPy.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colormaps
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from ramnp import data, load_pretrained
from ramnp.analysis.policy import look_along
from ramnp.backend import limit_threads
from ramnp.config import Config
from ramnp.gradcheck import check_answer, check_output, require
from ramnp.network import build
from ramnp.network.sensor import corner
from ramnp.pretrained import pretrained_names
from ramnp.teaching import SHORT, figures
from ramnp.teaching.animations import animate_glimpses

figures.use_style()

# %% [markdown]
# ## 1. Watch it
#
# The weights of a few trained networks come with the package. (Is a name missing? The error lists those there are:
# `python -m ramnp.train --preset NAME` trains any other.) `mnist-6` reads handwritten digits of 28 by 28 pixels in six
# glimpses of 8 by 8.

# %%
print("trained networks:", ", ".join(pretrained_names()))
model = load_pretrained("mnist-6", "numpy")
digits = data.load(model.config).test  # it was not trained on these
images, labels = digits.images[: 500 if SHORT else 2000], digits.labels[: 500 if SHORT else 2000]
shown = 2 if SHORT else 5  # in a film
print("images, height, width, channels:", images.shape)

# %% [markdown]
# Press play. Each column is a digit. The network sees nothing but the bright squares, one after the other; the orange
# line is its path. Below is what the window shows, and at the bottom what the network would answer if it had to stop
# here: the right digit is green.

# %%
animate_glimpses(model, images[:shown], labels[:shown])

# %% [markdown]
# The first glimpse falls anywhere: it is thrown like dice. Watch what the network does with a first glimpse that shows
# nothing, and how the bars change when a stroke comes into sight.
#
# In training its locations are thrown around a little, too (why, is a story for 06). The film does without, and so does
# the first line below. With that noise, and another first glimpse each time, it can look several times, and average what
# it answers:

# %%
for rollouts in (1, 10):
    wrong = model.predict(images, rollouts=rollouts) != labels
    print(f"rollouts an image: {rollouts:2}, {100 * wrong.mean():.1f} % of {len(images):,} test digits misread")

# %% [markdown]
# ## 2. See what it sees
#
# Here is one rollout as the network gets it. The squares at the bottom are all that it knows of the image, apart from
# where each of them was. It gets a square as a row of 64 numbers, the *glimpse* $\rho$.

# %%
rollout = model.forward(model.canvas(images[:1]), model.draw(np.random.default_rng(3), 1, deterministic=True))
side = model.sensor.patch
seen = np.zeros((28, 28), dtype=bool)
colors = colormaps["viridis"](np.linspace(0.15, 0.95, len(rollout.rho)))
figure, grid = plt.subplot_mosaic(
    "WWWSSS;WWWSSS;WWWSSS;012345", figsize=(7, 5.2), gridspec_kw={"height_ratios": [1, 1, 1, 1.2]}
)
for t, ((x, y), rho) in enumerate(zip(rollout.locations[:, 0], rollout.rho[:, 0], strict=True)):
    left, top = int(corner(x, 28, side)), int(corner(y, 28, side))
    seen[max(top, 0) : top + side, max(left, 0) : left + side] = True
    grid["W"].add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, color=colors[t], lw=2))
    grid[str(t)].imshow(rho.reshape(side, side), vmin=0, vmax=1)
    grid[str(t)].set_title(f"glimpse {t + 1}", fontsize=9, color=figures.INK)
    grid[str(t)].spines[:].set(visible=True, color=colors[t], lw=2.5)
grid["W"].imshow(images[0, :, :, 0])
grid["W"].set(title="what you see, and where it looks", xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
grid["S"].imshow(np.where(seen, images[0, :, :, 0], 70), vmin=0, vmax=255)
grid["S"].set_title(f"what it has seen: {100 * seen.mean():.0f} % of the pixels")
for axes in grid.values():
    axes.grid(False)
    axes.set(xticks=[], yticks=[])

# %% [markdown]
# ### Exercise 0.1: how much it gets
#
# Count the numbers that the network gets of an image, in percent of the image's pixels. Count a pixel twice if it is
# seen twice.
#
# 1. `mnist-6`: six glimpses of 8 x 8, of an image of 28 x 28.
# 2. `cluttered60-8`, which you will meet below: eight glimpses of an image of 60 x 60. Each glimpse is three squares
#    of 12 x 12 numbers: one shows 12 x 12 pixels as they are, one 24 x 24 pixels at half the resolution, and one 48 x
#    48 pixels at a quarter of it. Sharp in the middle, blurred around it, as in your own eye.
#
# <details><summary>Hint</summary>
#
# Glimpses, times the numbers in a glimpse, divided by the pixels of the image. A blurred square has as many numbers as
# a sharp one.
# </details>

# %% exercise="how-much"
percent_28 = None  # replace None: a number, or a formula
percent_60 = None
### BEGIN SOLUTION
percent_28 = 100 * 6 * 8 * 8 / 28**2
percent_60 = 100 * 8 * 3 * 12 * 12 / 60**2
### END SOLUTION

# %% check="how-much" points=1
share = "that is a share: in percent it is 100 times as much"
check_answer(percent_28, expected=48.98, mistakes={share: 0.4898, "that is one glimpse: there are six": 8.16})
check_answer(
    percent_60,
    expected=96,
    mistakes={
        share: 0.96,
        "that is one of the three squares: a glimpse has three": 32,
        "that is one glimpse: there are eight": 12,
        "a blurred square is 12 x 12 numbers, whatever it covers": 100 * 8 * (12**2 + 24**2 + 48**2) / 60**2,
    },
)

# %% [markdown]
# Half of the pixels of a small image, and at 60 x 60 nearly as many numbers as there are pixels. So at these sizes
# attention does not save much reading. Keep that in mind until section 4.
#
# ## 3. Choose the path yourself
#
# Who says that it chooses its path well? Take its place. A location is a pair $l = (x, y)$ from -1 to 1: (0, 0) is the
# image's centre, (-1, -1) its top left corner, (1, -1) its top right one. The network reads whatever it is shown; only
# where it looks is now up to you.

# %%
_, axes = plt.subplots(figsize=(4.2, 3.8))
axes.imshow(images[:200, :, :, 0].mean(axis=0), extent=(-1, 1, 1, -1))
axes.add_patch(Rectangle((-8 / 28, -8 / 28), 16 / 28, 16 / 28, fill=False, color=figures.ORANGE, lw=2))
for x, y in ((0, 0), (-1, -1), (1, -1), (0.5, 0.5)):
    axes.plot(x, y, "o", color=figures.ORANGE, clip_on=False)
    name = axes.annotate(f"({x:g}, {y:g})", (x, y), xytext=(6, -12), textcoords="offset points", fontsize=9)
    name.set_bbox({"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1})
axes.grid(False)
_ = axes.set(xlabel="x (the image is 2 wide)", ylabel="y", title="the mean of 200 digits; the window at (0, 0)")

# %% [markdown]
# ### Exercise 0.2: your path
#
# Write six locations. The network will go along them on *every* digit, whatever it sees, and your path is to be better
# than staring at the centre six times. How low can you get?
#
# <details><summary>Hint</summary>
#
# Which parts of the mean digit above has the window at the centre not seen? The window is 8/28 = 0.29 to each side of
# its location.
# </details>

# %% exercise="your-path"
my_path = None  # replace None: [(x, y), (x, y), ...], six of them
### BEGIN SOLUTION
my_path = [(-0.2, -0.2), (0.2, -0.2), (-0.2, 0), (0.2, 0), (-0.2, 0.2), (0.2, 0.2)]
### END SOLUTION


# %% check="your-path" points=2
def misread(path):
    """Errors in percent along a path: six locations for all digits (6, 2), or for each of them (6, digits, 2)."""
    path = np.array(path, dtype=model.dtype)
    path = path[:, None].repeat(len(images), axis=1) if path.ndim == 2 else path
    rollout = look_along(model, model.canvas(images), path)
    return 100 * (rollout.log_p.argmax(axis=1) != labels).mean()


require(my_path is not None, "not written yet: my_path is still None")
require(isinstance(my_path, list | tuple | np.ndarray), "my_path must be a list of pairs (x, y)")
shapes = {np.shape(pair) for pair in my_path}
require(shapes == {(2,)}, "my_path must be a list of pairs (x, y)")
require(len(my_path) == 6, f"the network looks six times, and your path has {len(my_path)} locations")
require(
    np.abs(my_path).max() <= 1,
    f"{np.abs(my_path).max():g} is outside the image: x and y go from -1 to 1, they are no pixels",
)
centre, mine = misread([(0, 0)] * 6), misread(my_path)
wide = ": most digits fill only the middle of the image" if np.abs(my_path).mean() > 0.35 else ""
require(mine < centre, f"{mine:.1f} % are misread along your path, and {centre:.1f} % from the centre{wide}")
print(f"{mine:.1f} % misread, and {centre:.1f} % from the centre: right")

# %% [markdown]
# Now watch the network on your path:

# %%
path = np.array([(0, 0)] * 6 if my_path is None else my_path)
animate_glimpses(model, images[:shown], labels[:shown], locations=path[:, None].repeat(shown, axis=1))

# %% [markdown]
# And now against the one whose place you took. "Its mean path" takes the mean of its locations over all digits, from the
# second glimpse on, and follows that on every digit, as you did: it is what is left of the policy if it may not react to
# what it sees.

# %%
rng = np.random.default_rng(0)
own = model.forward(model.canvas(images), model.draw(rng, len(images), deterministic=True))
mean_path = own.locations.copy()
mean_path[1:] = mean_path[1:].mean(axis=1, keepdims=True)  # the first glimpse falls anywhere, as it does for the policy
errors = {
    "six random places": np.mean([misread(rng.uniform(-1, 1, (6, 2))) for _ in range(10)]),
    "the centre": misread([(0, 0)] * 6),
    "your path": misread(path),
    "its mean path": misread(mean_path),
    "its own choice": 100 * (own.log_p.argmax(axis=1) != labels).mean(),
}
_, axes = plt.subplots(figsize=(6.5, 2.8))
bars = axes.barh(
    list(errors), list(errors.values()), color=[figures.SKY, figures.SKY, figures.ORANGE, figures.BLUE, figures.BLUE]
)
axes.bar_label(bars, fmt="%.1f", padding=3)
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
_ = axes.set(xlabel=f"error (% of {len(images):,} test digits)", title="who chooses the locations?")

# %% [markdown]
# The places decide: the network is the same in all five rows. But compare the last two. These digits all lie in the
# middle of the image and fill it, so a path that suits one of them suits the next. For attention to show what it can
# do, the digit has to hide. That is what 08 is about.
#
# ## 4. What a look costs
#
# A computer's time goes into multiplications. A layer that makes n_out numbers of n_in has a weight for each pair, and
# multiplies once with each: n_in n_out multiplications. These are the layers of the network, with the sizes of
# the paper (the networks that you load here have one more, of 128, before "where next"):
#
# | | makes | of | when |
# |---|---|---|---|
# | what was seen | 128 numbers $h_g$ | the D numbers of the glimpse $\rho$ | at each of T glimpses |
# | where it was | 128 numbers $h_l$ | the 2 of $l$ | at each |
# | both | 256 numbers $g_t$ | the 128 of $h_g$ and the 128 of $h_l$ | at each |
# | the memory | 256 numbers $h_t$ | the 256 of $h_{t-1}$ and the 256 of $g_t$ | at each |
# | where next | 2 numbers $l_{t+1}$ | the 256 of $h_t$ | at each but the last |
# | the answer | 10 numbers | the 256 of $h_T$ | once |
#
# ### Exercise 0.3: count
#
# Write a function that returns the number of multiplications for an image.
#
# <details><summary>Hint</summary>
#
# "256 numbers of the 128 and the 128" is 256 times (128 + 128). Add up the four lines that say "at each", multiply by
# T, then add the other two.
# </details>


# %% exercise="count"
def multiplications(T, D):
    """For one image, with T glimpses of D numbers each."""
    ### BEGIN SOLUTION
    glimpse = 128 * D + 128 * 2 + 256 * (128 + 128)
    core = 256 * (256 + 256)
    return T * (glimpse + core) + (T - 1) * 2 * 256 + 10 * 256
    ### END SOLUTION


# %% check="count" points=2
def count(T, D):
    number = multiplications(T, D)
    return number if number is None else float(number)


count.__name__ = "multiplications"  # for the messages


# The weights of the network itself, each of which multiplies once.
paper = build(Config(policy_hidden=0), (28, 28, 1), 10)
sizes = {name: paper.parameters[name].size for name in paper.parameters if paper.parameters[name].ndim == 2}
each = sum(size for name, size in sizes.items() if name.startswith(("glimpse.", "core.")))
both, where = sizes["glimpse.mix.W"], sizes["glimpse.where.W"]
next_place, answer = sizes["policy.mean.W"], 10 * 256
right = 6 * each + 5 * next_place + answer
check_output(
    count,
    6,
    64,
    expected=right,
    mistakes={
        "that is one glimpse: T is not used": each + next_place + answer,
        "one glimpse is counted: there are T": each + 5 * next_place + answer,
        "the last glimpse chooses no place: that is T - 1 times": right + next_place,
        "the answer is given once, not T times": right + 5 * answer,
        "the place is chosen T - 1 times and the answer given once, not T times each": 6 * (each + next_place + answer),
        "the place is chosen T - 1 times, not once": right - 4 * next_place,
        "the memory also takes in h_(t-1)": right - 6 * 256 * 256,
        "g is made of h_g and of h_l: 128 + 128": right - 6 * both // 2,
        "g is made of 128 and 128 numbers: they add up, they are not multiplied": right + 6 * (256 * 128 * 128 - both),
        "where it was is left out": right - 6 * where,
        "the choice of the next place is left out": right - 5 * next_place,
        "the answer is left out": right - answer,
    },
)
right = 8 * (each + 128 * (432 - 64)) + 7 * next_place + answer
check_output(
    count,
    8,
    432,
    expected=right,
    mistakes={"D is not used: a glimpse has not always 64 numbers": right - 8 * 128 * (432 - 64)},
)

# %% [markdown]
# Nowhere is there the size of the image. A network that takes in all of it has no such luck. The paper compares
# attention with two of them: one *fully connected*, whose first layer makes 256 numbers of all $S^2$ pixels, followed
# by 256 of 256 and 10 of 256; and one *convolutional*.
#
# ### Exercise 0.4: when does it pay?
#
# Eight glimpses with D = 3 x 12 x 12 = 432 numbers each. From which side $S$ of the image, in pixels, does the fully
# connected network take more multiplications than that?
#
# <details><summary>Hint</summary>
#
# 256 $S^2$ + 256 x 256 + 10 x 256 = `multiplications(8, 432)`. Solve for $S$.
# </details>

# %% exercise="break-even"
side_where_it_pays = None  # replace None: a number, or a formula
### BEGIN SOLUTION
side_where_it_pays = np.sqrt((multiplications(8, 432) - 256 * 256 - 10 * 256) / 256)
### END SOLUTION

# %% check="break-even" points=1
check_answer(
    side_where_it_pays,
    expected=87.4,
    mistakes={
        "that is the number of pixels; its root is the side": 7638,
        "nearly: are the second and the third layer of the fully connected network in?": 88.9,
        "that is for six glimpses of 64 numbers: here it is 8 and 432": 65.65,
    },
)


# %%
def fully_connected(S):
    return 256 * S**2 + 256 * 256 + 10 * 256


def convolutional(S):
    places = (S // 5 - 1) ** 2  #      8 filters of 10 x 10, every 5 pixels, then 256 numbers of what they find
    return 8 * 100 * places + 256 * 8 * places + 10 * 256


def scales_to_cover(S):
    """Squares of 12, 24, 48, ... pixels, until one is as wide as the image."""
    return max(int(np.ceil(np.log2(S / 12))), 0) + 1


sides = np.unique(np.geomspace(30, 2000, 60).astype(int))
_, axes = plt.subplots()
axes.loglog(sides, fully_connected(sides), color=figures.RED, label="fully connected, 256")
axes.loglog(sides, convolutional(sides), color=figures.ORANGE, ls="--", label="convolutional")
axes.loglog(
    sides, [multiplications(8, 144 * scales_to_cover(S)) for S in sides], color=figures.BLUE,
    label="8 glimpses, as many scales as the image needs",
)  # fmt: skip
if side_where_it_pays is not None:
    axes.plot([side_where_it_pays] * 2, [1e5, fully_connected(side_where_it_pays)], color=figures.INK, lw=1, ls=":")
    axes.text(side_where_it_pays * 1.05, 1.2e5, "exercise 0.4", fontsize=9)
axes.set(
    xlabel="side of the image (pixels)", ylabel="multiplications an image", title="the cost of seeing", ylim=(1e5, 2e9)
)
axes.set_xticks([30, 60, 100, 200, 500, 1000, 2000], [30, 60, 100, 200, 500, 1000, 2000])
_ = axes.legend()

# %% [markdown]
# That is the first thing attention buys: **the work of the network does not grow with the number of pixels.** An image
# twice as wide asks for one more square in each glimpse, a small step of the blue line, and not for four times the
# work. And it has a price: up to some 90 pixels even the fully connected network takes less, and the convolutional
# one, which uses the same few weights at every place, does for longer.
#
# Multiplications are not time. So take the time, and of two sensors: one that adds squares until the image is covered,
# and one that always has three.

# %%
KINDS = {  # name: model, scales for an image of side S, colour, mark
    "fully connected, 256": ("fc", scales_to_cover, figures.RED, "o-"),
    "convolutional": ("cnn", scales_to_cover, figures.ORANGE, "s--"),
    "8 glimpses that cover the image": ("ram", scales_to_cover, figures.SKY, "^-"),
    "8 glimpses of three scales": ("ram", lambda S: 3, figures.BLUE, "v-"),
}


def microseconds(kind, S, scales, batch=50):
    """For one image of S x S pixels, forward, on one core."""
    network = build(Config(model=kind, patch=12, scales=scales, glimpses=8), (S, S, 1), 10)
    canvas = network.canvas(rng.integers(0, 256, (batch, S, S, 1), dtype=np.uint8))
    randomness, storage, seconds = network.draw(rng, batch), network.storage(batch), []
    for _ in range(3):  # the first time is slower, and other programs disturb: the best one counts
        start = time.perf_counter()
        network.forward(canvas, randomness, out=storage)
        seconds.append(time.perf_counter() - start)
    return 1e6 * min(seconds) / batch


some_sides = (48, 96) if SHORT else (48, 96, 192, 384)
_, axes = plt.subplots()
with limit_threads(1):
    for name, (kind, scales, color, mark) in KINDS.items():
        times = [microseconds(kind, S, scales(S)) for S in some_sides]
        axes.loglog(some_sides, times, mark, color=color, label=name)
axes.set(
    xlabel="side of the image (pixels)", ylabel="time an image (µs)", title="measured, on one core of this computer"
)
axes.set_xticks(some_sides, some_sides)
axes.xaxis.set_minor_locator(NullLocator())
_ = axes.legend(fontsize=9, loc="upper left")

# %% [markdown]
# Three scales take about the same time of an image of any size. The other two surprises are not in the count. The
# sensor that covers the image climbs: a blurred square is made by averaging, and who averages has to read every pixel,
# in every glimpse. And the convolution multiplies less than the fully connected network, but its windows overlap, and
# each is copied out before it is multiplied: that may well take longer. So attention is cheap as long as a glimpse
# reads a small part of the image. Where your lines cross is a matter of your computer; 09 asks where the time goes.
#
# ## 5. What else it buys
#
# A network that looks at one place at a time can leave the rest alone. Here the digit lies anywhere among pieces of
# other digits. This network looks eight times, through the three squares of exercise 0.1: the two outer ones are
# blurred, and the film shows the inner one below.

# %%
searcher = load_pretrained("cluttered60-8", "numpy")
scenes = data.load(searcher.config).source("test", searcher.backend, margin=0)
canvas, scene_labels, *_ = next(scenes.batches(200))
animate_glimpses(searcher, canvas.pixels[:shown], scene_labels[:shown])

# %% [markdown]
# And its path can be looked at: what the network never had in its window cannot have made its answer. Whether it
# *searches* for the digit, or only seems to, is another question. Do not trust a film: 08 will measure it.
#
# ## 6. The course
#
# Everything that you saw is made of few parts, and every one of them you will derive, write and check.


# %%
def draw_course():
    figure, axes = figures.blank(10.6, 5.1, (9.2, 4.43))
    places = {
        "image": (0.8, 3.4),
        "glimpse sensor\n03": (2.9, 3.4),
        "glimpse network\n04": (5.1, 3.4),
        "recurrent core\n05": (7.3, 3.4),
        "answer\n02": (9.6, 3.4),
        "location policy\n06": (7.3, 1.9),
    }
    for text, (x, y) in places.items():
        figures.node(axes, x, y, text, figures.BLUE)
    for start, end in ((1.25, 2.1), (3.72, 4.18), (6.02, 6.48), (8.12, 9.15)):
        figures.arrow(axes, (start, 3.4), (end, 3.4), color=figures.BLUE)
    axes.annotate(
        "", xy=(6.9, 3.82), xytext=(7.7, 3.82),
        arrowprops={"arrowstyle": "-|>", "color": figures.BLUE, "lw": 1.4, "connectionstyle": "arc3,rad=0.9"},
    )  # fmt: skip
    axes.text(7.3, 4.32, "memory", ha="center", fontsize=9, color=figures.BLUE)
    figures.arrow(axes, (7.3, 3.0), (7.3, 2.3), color=figures.BLUE)
    axes.plot([6.45, 2.9], [1.9, 1.9], color=figures.BLUE, lw=1.4)
    figures.arrow(axes, (2.9, 1.9), (2.9, 3.0), color=figures.BLUE)
    axes.text(4.7, 1.95, "where to look next", ha="center", va="bottom", fontsize=9, color=figures.BLUE)
    axes.add_patch(Rectangle((1.75, 1.35), 8.6, 3.35, fill=False, ec=figures.INK, ls="--", lw=1))
    for y, text in (
        (4.85, "07: all of it together, trained"),
        (0.85, "01: forward and backward, and how to check a gradient      02: the layers"),
        (0.3, "08: where is the digit?      09: fast, and on a GPU      10: further"),
    ):
        axes.text(5.3, y, text, ha="center", fontsize=10, color=figures.INK)
    return figure


draw_course()

# %% [markdown]
# One arrow is special: "where to look next" is thrown like dice, and dice have no derivative. How to learn from them
# all the same is the heart of the matter, and of 06.
#
# ## What you can now do
#
# - Load a trained network, let it read images, and watch it do so.
# - Say what a glimpse is, and where $l = (-1, -1)$ lies.
# - Replace the policy by your own, and see what its choice is worth.
# - Count what a network costs, and say from which image size on attention is cheaper, and that it is not below.
#
# **Next:** [01](01_forward_and_backward.ipynb): forward and backward, the first layers, and the tool that checks them.
