# %% [markdown]
# # 08 Where is the digit?
#
# **What you will build:** images in which a digit hides, and the instruments that tell whether a network *looks for*
# it or only seems to. A film of glimpses proves nothing: people see intention in any moving square. So you will swap
# paths, measure distances and information, and keep beside each figure what a network would get that does not look for
# anything.
#
# *About 45 minutes. You need 03 (locations) and 07 (a trained network); probabilities and logarithms.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import matplotlib.pyplot as plt
import numpy as np

from ramnp import data, load_pretrained
from ramnp.analysis import policy as analysis
from ramnp.analysis.plots import plot_maps
from ramnp.analysis.policy import CHOOSERS, answers_by_glimpse, cells, look_along, looks_at_digit, pixel_paths
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.generate import Scene
from ramnp.data.source import DataSet, Split
from ramnp.gradcheck import check_answer, check_output, require
from ramnp.network import build
from ramnp.presets import ROWS
from ramnp.teaching import SHORT, figures
from ramnp.teaching.animations import animate_glimpses
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import using

figures.use_style()

# %% [markdown]
# ## 1. Hide it
#
# MNIST's digits lie in the middle of their images. The paper hides them in two steps. *Translated*: the digit lies
# anywhere on a canvas of 60 x 60 pixels. *Cluttered*: so do four pieces, 8 x 8 pixels each, cut out of other digits.
# First the pieces are added to the empty canvas, then the digit; where the sum is more than 255, it is 255:
#
# $$\text{canvas} = \min\Big(255, \; \sum_p \text{piece}_p + \text{digit}\Big) .$$
#
# ### Exercise 8.1: compose
#
# Write it. `digit` is (28, 28) and each piece (8, 8), uint8 from 0 to 255; a corner is the (row, column) of the top
# left pixel. Return an array (size, size).
#
# <details><summary>Hint</summary>
#
# The digit is one more piece. And beware of uint8: 200 + 100 is 44 in it. In which type is there room?
# </details>


# %% exercise="compose"
def compose(digit, corner, pieces, size):
    """The canvas of a digit and of pieces, a list of (piece, corner)."""
    ### BEGIN SOLUTION
    canvas = np.zeros((size, size), dtype=int)
    for patch, (row, column) in [*pieces, (digit, corner)]:
        height, width = patch.shape
        canvas[row : row + height, column : column + width] += patch
    return np.minimum(canvas, 255)  #              canvas = min(255, sum of pieces + digit)
    ### END SOLUTION


# %% check="compose" points=2
digits = data.load(Config(dataset="mnist"))
some = digits.train.images[[7, 5, 20]]
# Number of the digit, its corner, and twice: number of another, where the piece begins in it, where it goes.
recipe = np.array([[0, 3, 9, 1, 8, 10, 12, 15, 2, 12, 12, 29, 31]])
pieces = [(some[1, 8:16, 10:18, 0], (12, 15)), (some[2, 12:20, 12:20, 0], (29, 31))]
right = Scene(40, 2, 8).render(some, recipe, 0).pixels[0, :, :, 0]


def composed(*arguments):
    canvas = compose(*arguments)
    return canvas if canvas is None else np.asarray(canvas, dtype=float)


composed.__name__ = "compose"  # for the messages


plain = np.zeros((3, 40, 40))
for layer, (patch, (row, column)) in zip(plain, [*pieces, (some[0, :, :, 0], (3, 9))], strict=True):
    layer[row : row + len(patch), column : column + len(patch)] = patch
check_output(
    composed,
    some[0, :, :, 0],
    (3, 9),
    pieces,
    40,
    expected=right,
    mistakes={
        "uint8 overflows: 200 + 100 is 44 in it": plain.sum(axis=0) % 256,
        "sums are more than 255: cut them off": plain.sum(axis=0),
        "the pieces are missing": plain[2],
        "the digit is missing": plain[:2].sum(axis=0).clip(max=255),
        "what lies below is replaced, and not added to": np.where(
            np.pad(np.ones((28, 28)), ((3, 9), (9, 3))) > 0, plain[2], plain[:2].max(axis=0)
        ),
        "that is the larger of the two where they overlap: add": plain.max(axis=0),
        "rows and columns are swapped": Scene(40, 2, 8)
        .render(some, recipe[:, [0, 2, 1, 3, 4, 5, 7, 6, 8, 9, 10, 12, 11]], 0)
        .pixels[0, :, :, 0],
    },
)

# %% [markdown]
# Yours gives what ramnp's `Scene.render` does, which makes a whole batch at once. Now the three tasks side by side:

# %%
tasks = {
    "mnist": digits,
    "translated-mnist": data.load(Config(dataset="translated-mnist")),
    "cluttered-mnist": data.load(Config(dataset="cluttered-mnist")),
}
_, grid = plt.subplots(3, 6, figsize=(8, 4.2), height_ratios=(28, 60, 60))
for row, (name, dataset) in zip(grid, tasks.items(), strict=True):
    canvas, labels, *_ = next(dataset.source("validation", NUMPY, margin=0).batches(6))
    for axes, image, label in zip(row, canvas.pixels, labels, strict=True):
        axes.imshow(image[:, :, 0], vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.set_title(str(label), fontsize=9)
    row[0].set_ylabel(f"{name}\n{canvas.image_shape[0]} x {canvas.image_shape[1]}", fontsize=9)

# %% [markdown]
# ## 2. Who sees everything
#
# Does it matter to a network that sees the whole image at once? Count.
#
# ### Exercise 8.2: how many places?
#
# At how many positions can a digit of 28 x 28 pixels lie on a canvas of 60 x 60, so that all of it is on the canvas?
#
# <details><summary>Hint</summary>
#
# In one row: the first column that the digit's left edge can be in is 0. Which is the last one? How many are these?
# </details>

# %% exercise="positions"
positions = None  # replace None: a number, or a formula
### BEGIN SOLUTION
positions = (60 - 28 + 1) ** 2
### END SOLUTION

# %% check="positions" points=1
check_answer(
    positions,
    expected=1089,
    mistakes={
        "that is for one direction: it can move in two": 33,
        "nearly: 0 is a position, and so is 32": 32**2,
        "then a part of it would stick out": 60**2,
    },
)

# %% [markdown]
# A fully connected layer has a weight of its own for every pixel. What it learned of a 7 at one position says nothing
# about a 7 at the next. A convolution uses the same weights everywhere, but the layer behind it knows each place
# apart. Let us see. Three networks are trained for a moment: two on digits in the middle of the canvas, one on digits
# anywhere. Then the digit is pushed aside. The fourth was trained for long, and brings its window to the digit:
# `translated60-8`, from the package. (If the name is missing, the error lists those there are.)


# %%
def at(images, row, column):
    """Digits (n, 28, 28, 1) on canvases of 60 x 60, their top left pixel at (row, column)."""
    return np.pad(images, ((0, 0), (row, 32 - row), (column, 32 - column), (0, 0)))


train, some = digits.train[: 1000 if SHORT else 20_000], digits.test[: 200 if SHORT else 500]
middle = Split(at(train.images, 16, 16), train.labels)
centred = DataSet("centred", 10, middle, middle[:0], middle[:0])
short = {"batch_size": 100, "warmup_epochs": 0.0}
steps = 20 if SHORT else 400
networks = {
    "fully connected, trained in the middle": train_briefly(
        Config(model="fc", fc_units=64, **short), centred, steps
    ).model,
    "convolutional, trained in the middle": train_briefly(Config(model="cnn", **short), centred, steps).model,
    "fully connected, trained anywhere": train_briefly(
        Config(model="fc", fc_units=64, **short), tasks["translated-mnist"], steps
    ).model,
    "attention, trained anywhere, for long": load_pretrained("translated60-8", "numpy"),
}

# %%
shifts = np.arange(0, 17, 8 if SHORT else 2)
_, axes = plt.subplots(figsize=(7, 3.8))
for (name, network), mark in zip(networks.items(), ("o-", "s--", "^:", "D-"), strict=True):
    wrong = [100 * (network.predict(at(some.images, 16, 16 + s)) != some.labels).mean() for s in shifts]
    axes.plot(shifts, wrong, mark, label=name)
axes.axhline(90, color=figures.INK, lw=0.8, ls=":")
axes.text(0, 90.5, "guessing", va="bottom", fontsize=9)
axes.set(
    xlabel="shift of the digit to the right (pixels)",
    ylabel=f"error (% of {len(some)} test digits)",
    title="a digit is pushed aside",
    ylim=(0, 119),
)
_ = axes.legend(ncols=2, fontsize=8, loc="upper left")

# %% [markdown]
# A push by the width of a stroke or two, and what was learned in the middle is worth nothing. The third network has to
# learn each position by itself: the same steps get it less far. The fourth line is flat: its windows find the digit
# wherever it is. *This is no race:* three of the networks learned for seconds, one through all its epochs. For a race, all must
# be trained to the end. These are the figures that the paper published (test errors in %; it has two versions, with
# different figures):

# %%
print(f"{'':<24}{'translated 60 x 60':>20}{'among 4 pieces':>20}")
for text, rows in {
    "fully connected, 2 x 64": ("fc64-translated60", "fc64-cluttered60"),
    "fully connected, 2 x 256": ("fc256-translated60", "fc256-cluttered60"),
    "convolutional": ("cnn-translated60", "cnn-cluttered60"),
    "8 glimpses": ("translated60-8", "cluttered60-8"),
    "8 glimpses, at random": (None, "cluttered60-8-random"),
}.items():
    figures_of = [(ROWS[row].paper_a, ROWS[row].paper_b) if row else () for row in rows]
    print(
        f"{text:<24}"
        + "".join(f"{' / '.join(f'{each:.2f}' for each in both if each) or '-':>20}" for both in figures_of)
    )

# %% [markdown]
# Clutter costs everybody, and those most who look at all of the image: to them a piece of a 7 far from the digit is as
# good a reason to say 7 as the digit is. What ramnp itself reaches on these tasks is in `docs/results.md`, with the
# command that makes it again.
#
# ## 3. Does it look at the digit?
#
# Here is the network for the cluttered task, with its eight glimpses of three squares. (Each of its locations was
# rewarded for what the glimpse added: the thought at the end of 06.)

# %%
searcher = load_pretrained("cluttered60-8", "numpy")
source = tasks["cluttered-mnist"].source("test", NUMPY, searcher.margin)
canvas, labels, *_ = next(source.batches(200 if SHORT else 2000))  # test images: nothing is chosen by them
border, shown = slice(searcher.margin, -searcher.margin), 2 if SHORT else 4
images = canvas.pixels[:, border, border]
animate_glimpses(searcher, images[:shown], labels[:shown])

# %% [markdown]
# It seems to look for the digit. But of these three, which would you *not* take for a search?
#
# - The network follows one path, the same for all images, and that path crosses the middle, where digits mostly are.
# - Its glimpses move with what they see, as a leaf moves with the wind: another image, another path, but no better
#   one.
# - It finds the digit and then looks at its parts.
#
# The first two make films as lively as the third. To have a leaf to compare with, take the same network and give its
# policy new, random weights. All else stays as trained: it sees, remembers and reads as before.

# %%
leaf = load_pretrained("cluttered60-8", "numpy")
fresh = build(leaf.config, leaf.image_shape, leaf.classes, NUMPY, seed=1)
for name in leaf.parameters:
    if name.startswith("policy."):
        leaf.parameters[name][...] = fresh.parameters[name]

# %% [markdown]
# ## 4. Swap the paths
#
# The most direct question: **is a path worth more on its own image than on another one?** Let the network look at each
# image along the path that it chose for another. A fixed path would not suffer from that, and neither would a leaf's.
#
# ### Exercise 8.3: another one's path
#
# `locations` (T, B, 2) holds the paths of B images. Return an array of the same shape in which every image has the
# path of another one.
#
# <details><summary>Hint</summary>
#
# `np.roll` moves things round in a circle. Along which axis do the images lie?
# </details>


# %% exercise="another"
def another(locations):
    """(T, B, 2): paths, none of them with its own image."""
    ### BEGIN SOLUTION
    return np.roll(locations, 1, axis=1)
    ### END SOLUTION


# %% check="another" points=1
sums = np.arange(24.0).reshape(3, 4, 2)


def all_numbers(locations):
    paths = another(locations)
    return paths if paths is None else np.sort(paths, axis=None)


all_numbers.__name__ = "another"  # for the messages


check_output(all_numbers, sums, expected=np.arange(24.0))  # nothing lost, nothing new
swapped = np.asarray(another(sums))
require(swapped.shape == sums.shape, f"another returns the shape {swapped.shape}, and {sums.shape} is right")
for b in range(4):
    origin = np.flatnonzero((swapped[:, b] == sums.transpose(1, 0, 2)).all(axis=(1, 2)))
    require(len(origin), "a path is torn: its T locations must stay together, and in their order")
    require(origin[0] != b, f"image {b} keeps its own path")
print("another: every image has the path of another one")


# %%
def choices(model, canvas, count, rng):
    """Who chooses the locations -> (T, B, 2)."""
    own = model.forward(canvas, model.draw(rng, count, deterministic=True)).locations
    return {
        "policy": own,
        "another": another(own),
        "random": rng.uniform(-1, 1, own.shape).astype(own.dtype),
        "centre": np.zeros_like(own),
    }


def errors_along(model, canvas, labels, locations):
    """(T,) errors in percent after each glimpse, from one rollout an image."""
    rollout = look_along(model, canvas, locations)
    return 100 * (answers_by_glimpse(model, rollout, len(labels)) != labels).mean(axis=1)


glimpses = np.arange(searcher.config.glimpses) + 1
_, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
for axes, model, title in zip(panels, (searcher, leaf), ("trained policy", "random policy, the leaf"), strict=True):
    locations = choices(model, canvas, len(labels), np.random.default_rng(0))
    for (chooser, each), mark in zip(locations.items(), ("o-", "s--", "^:", "v-."), strict=True):
        axes.plot(glimpses, errors_along(model, canvas, labels, each), mark, label=CHOOSERS[chooser])
    axes.set(xlabel="glimpses", title=title)
panels[0].set(ylabel=f"error (% of {len(labels):,} test images)", ylim=(0, None))
_ = panels[1].legend(title="locations", fontsize=9)

# %% [markdown]
# How to read it, line by line:
#
# - *its policy* below *another image* (left): the path is worth something because it was made for this image. For the
#   leaf it is two points at most, against twenty to forty. **This gap is the evidence.**
# - *another image*, far below *at random* after two glimpses, and above it in the end: a typical second glimpse is a
#   good one, but a path that stays where some other digit was sees nothing new, and random ones do.
# - *at the centre*: a blurred look at the middle shows roughly what is there. More looks at the same place add nothing,
#   and confuse a network that was never made to stare.
#
# One thing it does not say is how well a network could do with random glimpses. This one never trained for them, and
# is lost for lack of practice as well. The honest control is a network *trained* with random glimpses, the last row of
# the table in section 2 (`python -m ramnp.train --preset cluttered60-8-random`).
#
# ## 5. Measure the distance
#
# We made the images, so we know where the digit is. `source.corners()` gives (row, column) of its top left pixel.
#
# ### Exercise 8.4: how far away?
#
# Write the mean distance in pixels from each glimpse to the digit, centre to centre, as an array (T,). `locations` (T,
# n, 2) holds $(x, y)$ in [-1, 1], as in 03, so that the pixel is $p = (l + 1) / 2 \cdot \text{size}$; `corners` (n, 2)
# holds (row, column).
#
# <details><summary>Hint</summary>
#
# Bring both to pixels, both to (x, y), and both to centres. `corners[:, ::-1]` swaps the two columns. Then Pythagoras,
# then the mean over images.
# </details>


# %% exercise="distance"
def distance_to_digit(locations, corners, size=60, side=28):
    """(T,) mean distances in pixels."""
    ### BEGIN SOLUTION
    looks = (locations + 1) / 2 * size  #              p = (l + 1) / 2 size
    away = looks - (corners[:, ::-1] + side / 2)
    return np.sqrt((away**2).sum(axis=2)).mean(axis=1)
    ### END SOLUTION


# %% check="distance" points=2
looks = np.array([[[-0.5, 0.2], [0.4, 0.9], [0.0, 0.0]], [[0.3, -0.1], [-0.8, 0.6], [1.0, -0.25]]])
corners = np.array([[3, 10], [30, 1], [12, 25]])
check_output(
    distance_to_digit,
    looks,
    corners,
    expected=[20.27976732, 16.38876101],
    mistakes={
        "corners are (row, column), locations (x, y)": [21.35399165, 36.77490547],
        "that is the distance to the digit's corner: its centre is half a side away": [33.71664369, 30.95522497],
        "half a side leads from the corner to the centre, not a whole one": [20.55182727, 16.01701829],
        "the locations are not in pixels yet": [40.69487125, 40.53221901],
        "locations begin at -1 and pixels at 0": [34.88548075, 35.52002024],
        "that is the mean square of the distance": [479.0, 291.75],
        "take the root of each distance first, and then the mean": [21.88606863, 17.08069085],
        "that is |x| + |y|: take the root of the sum of squares": [27.0, 20.83333333],
        "the canvas has 60 pixels, the digit 28": [20.90993444, 17.0313149],
    },
)

# %% [markdown]
# And what would a network get that does not look for anything? Two come to mind: one that looks at random, and one
# that stares at the centre.
#
# ### Exercise 8.5: staring at the centre
#
# The row and the column of the digit's corner are whole numbers from 0 to 32, all equally likely. What is the mean
# distance from the centre of the canvas to that of the digit? Let NumPy do it: a formula for the 33 x 33 positions, or
# many random ones.
#
# <details><summary>Hint</summary>
#
# The digit's centre is at corner + 14, the canvas' at 30. `np.hypot(a, b)` is $\sqrt{a^2 + b^2}$; with `a` of shape
# (33, 1) and `b` of shape (33,) it gives all pairs.
# </details>

# %% exercise="staring"
distance_of_staring = None  # replace None: a number, or a formula
### BEGIN SOLUTION
away = np.arange(33) + 14 - 30
distance_of_staring = np.hypot(away[:, None], away).mean()
### END SOLUTION

# %% check="staring" points=1
check_answer(
    distance_of_staring,
    expected=12.62,
    tolerance=0.04,
    mistakes={
        "that is the root of the mean square: take the mean of the roots": 13.47,
        "that is the mean in one direction": 8.24,
        "row and column do not go together: take all pairs of them": 11.66,
        "that is the largest distance": 22.6,
        "that is for positions from 0 to 60": 22.95,
    },
)


# %%
def paths_of(model):
    """Where it looks: pixels (T, n, 2) along x and y; one rollout an image."""
    return pixel_paths(model, source, limit_batches=5 if SHORT else 20)  # of 200 images


paths = {"trained policy": paths_of(searcher), "random policy, the leaf": paths_of(leaf)}
corners = source.corners()[: paths["trained policy"].shape[1]]
_, axes = plt.subplots()
for (name, looks), mark in zip(paths.items(), ("o-", "s--"), strict=True):
    axes.plot(glimpses, distance_to_digit(looks / 30 - 1, corners), mark, label=name)
at_random = distance_to_digit(np.random.default_rng(0).uniform(-1, 1, paths["trained policy"].shape), corners).mean()
axes.axhline(at_random, color=figures.GREEN, ls=":", label="at random")
if distance_of_staring is not None:
    axes.axhline(distance_of_staring, color=figures.RED, ls="-.", label="at the centre (exercise 8.5)")
axes.set(xlabel="glimpse", ylabel="mean distance to the digit (pixels)", title="how far from the digit?", ylim=(0, 30))
_ = axes.legend(ncols=2, fontsize=9, loc="upper right", bbox_to_anchor=(1, 0.83))

# %% [markdown]
# Whoever compares with random glimpses alone will be delighted with any network that stays in the middle: staring
# halves the distance. So it is the red line that counts: *below* it, somebody went to the digit. And even then mind
# what is asked: a digit is 28 pixels wide, and to read it one looks at its strokes and ends, not at its centre. A good
# path may well leave the centre again. (The last glimpses of this one leave the digit altogether in some images: once
# the answer is known there is nothing to gain, and an empty corner cannot spoil it.) So distance can speak for a policy,
# and hardly against it.
#
# ## 6. Measure the information
#
# Better to ask without assuming *which* part of the digit is worth a look: **how much does the place of the glimpse
# tell about the place of the digit?** Divide both into cells $i$ and $j$, and count how often the two occur together:
# $p_{ij}$. If they had nothing to do with each other, it would be $p_i p_j$. Their *mutual information* is how far it
# is from that:
#
# $$I = \sum_{ij} p_{ij} \log_2 \frac{p_{ij}}{p_i \, p_j} \;\text{bits},
# \qquad p_i = \sum_j p_{ij}, \quad p_j = \sum_i p_{ij} .$$
#
# One bit halves the places where the digit can be. Here are such tables along x, six cells each, cut so that each row
# and each column holds as many images:


# %%
def sixths(x):
    return np.searchsorted(np.quantile(x, np.arange(1, 6) / 6), x, side="right")


_, panels = plt.subplots(1, 4, figsize=(9, 2.7))
for axes, t in zip(panels, (0, 1, 2, 5), strict=True):
    table = np.zeros((6, 6))
    np.add.at(table, (sixths(corners[:, 1]), sixths(paths["trained policy"][t, :, 0])), 100 / len(corners))
    image = axes.imshow(table, cmap="magma", vmin=0, vmax=10, origin="lower")
    axes.set(xlabel="glimpse, x (sixth)", xticks=range(6), yticks=range(6), title=f"glimpse {t + 1}")
    axes.grid(False)
panels[0].set_ylabel("digit, x (sixth)")
_ = plt.colorbar(image, ax=panels, label="% of the images", shrink=0.8)

# %% [markdown]
# The first glimpse is thrown before anything is seen: even, as $p_i p_j$ is. A diagonal means that the glimpse goes
# left where the digit is on the left.
#
# ### Exercise 8.6: mutual information
#
# Write the sum. `a` and `b` (n, 2) are points; `cells` of ramnp gives each the number of its cell, 0 to 35 (6 along x,
# 6 along y), and the table of $p_{ij}$ is made for you. Cells that never occur together count 0, since $p \log p \to
# 0$ for $p \to 0$: NumPy needs to be told.
#
# <details><summary>Hint</summary>
#
# `p.sum(axis=1, keepdims=True)` times `p.sum(axis=0)` gives the table of all $p_i p_j$. Choose with `p[p > 0]` before
# taking the logarithm, to base 2.
# </details>


# %% exercise="information"
def information(a, b):
    """Mutual information in bits between points a and b, (n, 2) each."""
    p = np.zeros((36, 36))
    np.add.at(p, (cells(a), cells(b)), 1 / len(a))
    ### BEGIN SOLUTION
    independent = p.sum(axis=1, keepdims=True) * p.sum(axis=0)  #        p_i p_j
    there = p > 0
    return (p[there] * np.log2(p[there] / independent[there])).sum()  #  I = sum_ij p_ij log2(p_ij / (p_i p_j))
    ### END SOLUTION


# %% check="information" points=3
rng = np.random.default_rng(3)
a = rng.standard_normal((3600, 2))
b = a + 0.7 * rng.standard_normal(a.shape)
right = analysis.information(a, b)
_, together = np.unique(36 * cells(a) + cells(b), return_counts=True)
entropy = np.log2(3600) - (together * np.log2(together)).sum() / 3600
print("points that go together", end=": ")
check_output(
    information,
    a,
    b,
    expected=right,
    mistakes={
        "it is in nats: take the logarithm to base 2": right * np.log(2),
        "it is in units of log 10: take the logarithm to base 2": right * np.log10(2),
        "the sign is wrong": -right,
        "that is the entropy of the pairs: divide by p_i p_j": entropy,
        "the sign is wrong, and p_i p_j is missing": -entropy,
        "the logarithms are not weighted with p_ij": 197.6202548,
        "the logarithms are weighted with p_i p_j, not with p_ij": 0.1502824667,
        "p_i p_j must be a table, (36, 36): keep the axis of one of them": 1.5324692464,
    },
    tolerance=1e-4,  # so that a tiny number in the logarithm will do, too
)
print("the same points twice, nearly log2 36", end=": ")
check_output(information, a, a, expected=np.log2(36), tolerance=0.002)

# %% [markdown]
# **Beware of counting.** With n images the counts in the table are off by chance, and each deviation looks like
# knowledge. Even of independent points one finds about $(36 - 1)^2 / (2 n \ln 2)$ bits. So we also compute it with the
# digits' positions shuffled among the images, where the truth is 0. Your function goes to work in `ramnp.analysis`,
# which does all that:

# %%
print(f"to be expected of nothing: {35**2 / (2 * len(corners) * np.log(2)):.2f} bits")
with using(information):
    found = {name: looks_at_digit(looks, source) for name, looks in paths.items()}
_, axes = plt.subplots()
for (name, each), mark, color in zip(found.items(), ("o-", "s--"), (figures.BLUE, figures.ORANGE), strict=True):
    axes.plot(glimpses, each["information"]["bits"], mark, color=color, label=name)
axes.plot(
    glimpses, found["trained policy"]["information"]["shuffled"], ":", color=figures.INK, label="positions shuffled"
)
axes.set(
    xlabel="glimpse",
    ylabel="mutual information (bits)",
    title="what the glimpse tells of the digit's place",
    ylim=(0, None),
)
_ = axes.legend()

# %% [markdown]
# Look at the leaf. It knows nothing of looking for digits, and its line is not on the dotted one: it moves with what
# it has seen, and what it has seen depends on where the digit is. So **information shows that a policy reacts, not
# that it seeks.** For that, the swap of section 4 is needed: the leaf's paths were worth only a little more on their own
# images.
# One instrument alone can be fooled; the two together are hard to fool.
#
# Last, the picture of all this: where the glimpses of all images lie *relative to the digit*, whose square is dashed.

# %%
figure = plt.figure(figsize=(11, 1.9))
plot_maps(figure, found["trained policy"], len(corners), found["trained policy"]["side"])

# %%
figure = plt.figure(figsize=(11, 1.9))
plot_maps(figure, found["random policy, the leaf"], len(corners), found["random policy, the leaf"]["side"])

# %% [markdown]
# Top: trained. Bottom: the leaf, which stays near the centre of the canvas, so that its maps show little more than
# where digits are. All of these figures, for any network that you trained:
#
#     python -m ramnp.analysis runs/... --plot analysis.png
#
# ## What you can now do
#
# - Compose translated and cluttered images, and say why they are hard for a network that sees everything at once.
# - Test whether a policy is worth something: swap paths between images.
# - Choose controls: random glimpses, the centre, a random policy, shuffled positions; and say what each of them rules
#   out.
# - Compute mutual information from counts, and know by how much counting overstates it.
# - Distrust a film.
#
# **Next:** [09](09_fast.ipynb), fast: where the time goes, and the same code on a GPU.
