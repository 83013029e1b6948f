# %% [markdown]
# # 03 The glimpse sensor
#
# **What you will build:** an eye. It is told a place, and it returns a few hundred numbers: the image there, sharp in the
# middle and coarse around it. However large the image is, they stay as many. At the end it goes to work in the real model.
#
# *About 40 minutes. You need 01, and 02 for the last section.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from ramnp import data
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.gradcheck import check_answer, check_output, require
from ramnp.network import sensor
from ramnp.network.sensor import Canvas, pad, ruler
from ramnp.teaching import SHORT, figures
from ramnp.teaching.animations import animate_glimpses, film
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import using

figures.use_style()

# %% [markdown]
# ## 1. Where is (0.3, -0.4)?
#
# The network says where it wants to look with two numbers, the *location* $l = (x, y)$. It knows nothing of pixels, so
# $l$ is measured in images: from $-1$ to $1$ both ways, $(0, 0)$ is the centre and $(-1, -1)$ the top left corner.
#
# Pixels need a definition, too. **Lay a ruler along the image.** It goes from 0 to $W$, the width, and pixel column $j$
# covers it from $j$ to $j + 1$. A location falls on the ruler at
#
# $$p = \frac{l_x + 1}{2} \, W .$$
#
# Rows are the same with $l_y$ and the height $H$.

# %%
digits = data.load(Config(dataset="mnist"))  # 5,000 of the training images are held out for validation
digit = digits.validation.images[4]
location = (0.3, -0.4)


def draw_image(axes, image, title=""):
    """An image on its rulers: pixel column j covers j to j + 1."""
    height, width, _ = image.shape
    axes.imshow(image.squeeze(), extent=(0, width, height, 0), vmin=0, vmax=255)
    axes.set_title(title, fontsize=10)
    axes.grid(False)


def draw_patch(axes, left, top, side, color):
    axes.add_patch(Rectangle((left, top), side, side, fill=False, ec=color, lw=2))


_, axes = plt.subplots(figsize=(4.6, 4.4))
draw_image(axes, digit)
axes.set(
    xlabel="ruler along x (pixels)", ylabel="ruler along y (pixels)", xticks=range(0, 29, 7), yticks=range(0, 29, 7)
)
ticks = {"functions": (lambda p: p / 14 - 1, lambda location: (location + 1) * 14)}
axes.secondary_xaxis("top", **ticks).set(xlabel="$l_x$", xticks=[-1, -0.5, 0, 0.5, 1])
axes.secondary_yaxis("right", **ticks).set(ylabel="$l_y$", yticks=[-1, -0.5, 0, 0.5, 1])
for x, y in ((-1, -1), (0, 0), location):
    point = ruler(np.array([x, y]), 28)
    axes.plot(*point, "o", color=figures.ORANGE, ms=6, clip_on=False)
    beside = (21.5, point[1] + 0.4) if x > -1 else (1, 2)
    line = {"arrowstyle": "-", "color": figures.ORANGE} if x > -1 else None
    axes.annotate(f"({x:g}, {y:g})", point, beside, color=figures.ORANGE, arrowprops=line)
print("(0.3, -0.4) falls on", ruler(np.array(location), 28), "of the rulers")

# %% [markdown]
# **The trap.** A location is (x, y), and an array is indexed `[row, column]`, which is (y, x). They are
# easily mixed up, and you will see at the end how long that can go unnoticed.
#
# A patch of side $s$ covers $s$ whole pixels each way. If it starts at column $c$, it covers the ruler from $c$ to $c + s$,
# and its centre lies at $c + s / 2$. We want the centre to be as near to $p$ as whole pixels allow: $c$ is $p - s / 2$,
# rounded. Rounded to the nearest, and up where two are equally near:
#
# $$c = \left\lfloor p - \frac{s}{2} + \frac{1}{2} \right\rfloor .$$


# %%
def draw_ruler(width, location, patches):
    """A row of pixels, where a location falls on it, and the patches (first column, side) that are centred there."""
    p = (location + 1) / 2 * width
    height = 2 + 0.75 * len(patches)
    figure, axes = figures.blank(width + 1.6, height, (7.5, 7.5 * height / (width + 1.6)))
    left, bottom = 1.2, 0.5 + 0.75 * len(patches)
    for column in range(width):
        axes.add_patch(Rectangle((left + column, bottom), 1, 0.8, fc=figures.PAPER, ec=figures.INK, lw=1))
        axes.text(left + column + 0.5, bottom + 0.4, str(column), ha="center", va="center", fontsize=10)
    for tick in range(width + 1):
        axes.text(left + tick, bottom - 0.08, str(tick), ha="center", va="top", fontsize=8, color=figures.INK)
    axes.text(left - 0.3, bottom + 0.4, "pixels", ha="right", va="center", fontsize=9)
    axes.text(left - 0.3, bottom - 0.25, "ruler", ha="right", va="center", fontsize=9)
    axes.plot([left + p, left + p], [0.2, bottom + 1.05], color=figures.ORANGE, lw=2)
    axes.text(
        left + p, bottom + 1.15, f"$l_x$ = {location:g},  p = {p:g}", ha="center", fontsize=10, color=figures.ORANGE
    )
    for number, (first, side) in enumerate(patches):
        y = bottom - 0.95 - 0.75 * number
        axes.add_patch(Rectangle((left + first, y), side, 0.42, fc=figures.SKY, ec=figures.BLUE, alpha=0.5))
        axes.plot([left + first + side / 2], [y + 0.21], "o", color=figures.BLUE, ms=6)
        axes.text(left - 0.3, y + 0.21, f"s = {side}", ha="right", va="center", fontsize=9)
    return figure


draw_ruler(10, 0.3, [(5, 4), (5, 3)])

# %% [markdown]
# With $s = 4$ the patch starts at $\lfloor 6.5 - 2 + 0.5 \rfloor = 5$, and its centre, the dot, is at 7, half a pixel from
# $p$. With $s = 3$ it starts at $\lfloor 6.5 - 1.5 + 0.5 \rfloor = 5$, too, and its centre is $p$ itself.
#
# ### Exercise 3.1: from a location to a pixel
#
# Write `corner`: the first pixel of a patch along one axis. `location` is an array of one coordinate of many locations,
# and `extent` is $W$ or $H$. The result will be used as an index, so return integers. They may be negative: near the edge,
# a patch sticks out of the image.
#
# <details><summary>Hint</summary>
#
# Two lines: $p$, then $c$. `np.floor` returns floats, and `.astype(int)` makes integers of them. (`.astype(int)` alone
# will not do: it cuts off the digits, which takes $-3.5$ to $-3$.)
# </details>


# %% exercise="corner"
def corner(location, extent, side):
    """First pixel of a patch of `side` pixels centred on `location`, along one axis: integers."""
    ### BEGIN SOLUTION
    p = (location + 1) / 2 * extent
    return np.floor(p - side / 2 + 1 / 2).astype(int)  # c = floor(p - s/2 + 1/2)
    ### END SOLUTION


# %% check="corner" points=2
l_x = np.array([-1, -0.9, -0.5, -0.05, 0.33, 0.65, 1.0])
right = np.array([-4, -3, 3, 9, 15, 19, 24])
p, smaller = ruler(l_x, 28), ruler(l_x, 27)
check_output(
    corner,
    l_x,
    28,
    8,
    expected=right,
    mistakes={
        "the patch does not start half its side left of p": np.floor(p + 0.5),
        "the patch starts a whole side left of p: half a side is right": np.floor(p - 8 + 0.5),
        "1/2 is missing before the floor: that rounds down, not to the nearest": np.floor(p - 4),
        "the ruler ends at W, not at W - 1": np.floor(smaller - 4 + 0.5),
        "1/2 and np.floor are missing: .astype(int) alone cuts the digits off": np.trunc(p - 4),
        "below zero it is rounded towards zero: np.floor first, then .astype(int)": np.trunc(p - 4 + 0.5),
        "it is kept from being negative; but a patch near the edge does stick out": np.maximum(right, 0),
        "it is kept inside the image; but a patch near the edge does stick out": np.clip(right, 0, 20),
        "l begins at -1: add 1 first": np.floor(p - 14 - 4 + 0.5),
        "the image is 2 wide in units of l: divide by 2": np.floor(2 * p - 4 + 0.5),
        "that is the last pixel, and the first is asked for": np.floor(p + 4 - 0.5),
    },
)
check_output(
    corner,
    np.array([-0.75, -0.3125, 0.0, 0.5]),
    8,
    3,
    expected=[0, 1, 3, 5],
    mistakes={
        "np.round takes 2.5 to 2, and 3.5 to 4; a half goes up here: np.floor": [0, 1, 2, 4],
        "half of 3 is 1.5: side / 2, not side // 2": [0, 2, 3, 5],
    },
)
require(corner(l_x, 28, 8).dtype.kind == "i", "these are floats, and an index must be an integer: .astype(int)")

# %% [markdown]
# ## 2. An image that knows where it is
#
# How do you test an eye? Show it something where every answer is known. On a **ramp** the value of a pixel is the
# position of its centre on the ruler: column $j$ has the value $j + \frac{1}{2}$. Then what the sensor sees says where it
# looked: the mean over a patch is the position of the patch's centre.
#
# ### Exercise 3.2: on the ramp
#
# A ramp is 10 pixels wide, and a patch of side 2 looks at $l_x = -0.66$. Draw the ruler on paper: which pixels are in the
# patch, and what is the mean of their values?
#
# <details><summary>Hint</summary>
#
# $p = 0.34 / 2 \cdot 10$. Where does the patch start? Its pixels are that column and the next.
# </details>

# %% exercise="ramp"
mean_on_ramp = None  # replace None by a number
### BEGIN SOLUTION
mean_on_ramp = (1.5 + 2.5) / 2  # p = 1.7, c = floor(1.7 - 1 + 0.5) = 1: columns 1 and 2
### END SOLUTION

# %% check="ramp" points=1
check_answer(
    mean_on_ramp,
    expected=2,
    mistakes={
        "that is the mean of the columns' numbers; the value of column j is j + 1/2": 1.5,
        "that is p; a patch covers whole pixels, and its centre is only near p": 1.7,
        "the patch lies one column too far left: is 1/2 added before the floor?": 1,
        "that is the sum; the mean is asked for": 4,
        "the patch lies one column too far right": 3,
    },
)

# %% [markdown]
# So a ramp draws a picture of `corner`: a staircase around the line $p$, never farther from it than half a pixel, the
# grey band. Below are yours and two wrong ones. They are off by about a pixel at most, and on a picture of a digit nobody
# would see it.

# %%
l_x = np.linspace(-0.6, 0.6, 2401)
p = ruler(l_x, 28)
kinds = {
    "yours": (corner(l_x, 28, 8), figures.BLUE),
    "the 1/2 forgotten": (np.floor(p - 4), figures.RED),
    "a ruler to W - 1": (np.floor(ruler(l_x, 27) - 4 + 0.5), figures.PURPLE),
}
_, (stairs, *others) = plt.subplots(1, 4, figsize=(10, 2.9), width_ratios=(1.4, 1, 1, 1))
stairs.plot(l_x, p, color=figures.INK, lw=1, ls="--", label="$p$")
stairs.plot(l_x, corner(l_x, 28, 8) + 4, color=figures.BLUE, label="mean of the patch")
stairs.set(xlabel="$l_x$", ylabel="position (pixels)", title="side 8 on a ramp 28 wide")
stairs.legend()
for axes, (name, (first, color)) in zip(others, kinds.items(), strict=True):
    axes.axhspan(-0.5, 0.5, color=figures.INK, alpha=0.12, lw=0)
    axes.plot(l_x, first + 4 - p, color=color, lw=0.8)
    axes.set(xlabel="$l_x$", title=name, ylim=(-1.5, 1.1))
_ = others[0].set_ylabel("mean - $p$ (pixels)")

# %% [markdown]
# ## 3. Cutting out
#
# Near the edge a patch sticks out of the image, and what is not there shall be zero. With slices that is a trap of its
# own: `image[-3:5]` does not start outside, it counts from the end. So images get a border of zeros beforehand, once,
# wide enough for every patch. In `ramnp` an image in its border is a `Canvas`:

# %%
images = digits.validation.images[:4]
canvas = pad(images, margin=8)
print("images:", images.shape, " canvas:", canvas.pixels.shape, " margin:", canvas.margin)
print("of the images inside:", canvas.image_shape)

# %% [markdown]
# ### Exercise 3.3: crop
#
# Write `crop` for a batch: row $b$ of `location` says where to look at image $b$. Patches are (B, side, side, C).
#
# <details><summary>Hint</summary>
#
# `corner` counts pixels of the image, and the canvas has `canvas.margin` more of them to the left and above. $l_x$ belongs
# to the width and to columns, $l_y$ to the height and to rows; columns are the second index. Then a loop over the rows,
# `for pixels, row, column in zip(canvas.pixels, top, left)`, and `np.stack`.
# </details>


# %% exercise="crop"
def crop(canvas, location, side):
    """(B, side, side, C): the patches of `side` pixels centred on the locations (B, 2)."""
    height, width, _ = canvas.image_shape
    ### BEGIN SOLUTION
    top = corner(location[:, 1], height, side) + canvas.margin
    left = corner(location[:, 0], width, side) + canvas.margin
    corners = zip(canvas.pixels, top, left, strict=True)
    return np.stack([pixels[row : row + side, column : column + side] for pixels, row, column in corners])
    ### END SOLUTION


# %% check="crop" points=3
rng = np.random.default_rng(3)
H, W, border, side = 16, 21, 9, 4
small = pad(rng.random((3, H, W, 2)), border)
middle = np.array([[0.1, -0.25], [-0.2, 0.3], [0.3, 0.1]])


def elsewhere(location):  # what somebody gets whose patches lie at other places
    return sensor.GlimpseSensor(side, 1, dtype=np.float64).forward(small, location).reshape(3, side, side, 2)


both, size = 2 * border / np.array([W, H]), np.array([W, H])
check_output(
    crop,
    small,
    middle,
    side,
    expected=elsewhere(middle),
    mistakes={
        "x and y are swapped: location[:, 0] is x, which belongs to columns": elsewhere(middle[:, ::-1]),
        "rows and columns are swapped: pixels[rows, columns]": elsewhere((middle[:, ::-1] + 1) * size[::-1] / size - 1),
        "width and height are swapped": elsewhere((middle + 1) * size[::-1] / size - 1),
        "the margin is forgotten: pixel 0 of the image is pixel `margin` of the canvas": elsewhere(middle - both),
        "the margin is added twice": elsewhere(middle + both),
        "l is measured on the canvas, with its border: (-1, -1) is the image's corner": elsewhere(middle * (1 + both)),
        "the extent is that of the image: canvas.image_shape": elsewhere((middle + 1) * (1 + both) - 1),
        "all rows look at the first image": [elsewhere(middle)[0]] * 3,
    },
)
edges = np.array([[-1, 0.3], [1, 1], [-0.9, -1.0]])
inside = elsewhere(np.clip(edges, side / size - 1, 1 - side / size))
print("at the edges", end=": ")
check_output(
    crop,
    small,
    edges,
    side,
    expected=elsewhere(edges),
    mistakes={"the patch is pushed back into the image; it is to stick out, and show zeros there": inside},
)

# %% [markdown]
# Look at what you cut. The orange patch sticks out.

# %%
where = np.array([location, (-0.25, 0.2), (0.0, -0.2), (0.95, -0.6)])
same = pad(np.stack([digit] * 4), margin=8)
colors = (figures.BLUE, figures.GREEN, figures.PURPLE, figures.ORANGE)
_, (whole, *parts) = plt.subplots(1, 5, figsize=(9.5, 2.4), width_ratios=(1.5, 1, 1, 1, 1))
draw_image(whole, digit, "the image")
whole.set(xlim=(0, 32), xticks=(0, 14, 28), yticks=(0, 14, 28))
for axes, patch, (x, y), color in zip(parts, crop(same, where, 8), where, colors, strict=True):
    draw_patch(whole, corner(x, 28, 8), corner(y, 28, 8), 8, color)
    draw_image(axes, patch, f"({x:g}, {y:g})")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=color, lw=3)

# %% [markdown]
# ## 4. More than a keyhole
#
# Through a window of 8 by 8 pixels it is hard to know where to look next. The eye's way out: sharp in the middle, coarse
# around it. The sensor takes $K$ patches with one centre, of sides $g, 2g, 4g, \dots$, and shrinks each to $g \times g$
# by averaging: a pixel of patch $k$ is the mean of a square of $2^k \times 2^k$ pixels.
#
# ### Exercise 3.4: average pooling
#
# Write `pool`. `patches` is (B, s, s, C), $s$ a multiple of $g$, and the result is (B, g, g, C): each square of $f \times
# f$ pixels becomes its mean, with $f = s / g$.
#
# <details><summary>Hint</summary>
#
# Rows come in $g$ groups of $f$ neighbours: row $i$ is number $i \bmod f$ of group $\lfloor i / f \rfloor$. `reshape` can
# split an axis like that, (s,) into (g, f), the group first. Split both, and take the mean over the two axes of length $f$.
# </details>


# %% exercise="pool"
def pool(patches, g):
    """(B, g, g, C) from patches (B, s, s, C): the mean of every square of s/g by s/g pixels."""
    batch, side, _, channels = patches.shape
    f = side // g
    ### BEGIN SOLUTION
    return patches.reshape(batch, g, f, g, f, channels).mean(axis=(2, 4))
    ### END SOLUTION


# %% check="pool" points=2
patches = np.random.default_rng(4).random((2, 6, 6, 3))
squares = np.lib.stride_tricks.sliding_window_view(patches, (3, 3), axis=(1, 2))
tiles = patches.reshape(2, 3, 2, 3, 2, 3)
check_output(
    pool,
    patches,
    2,
    expected=squares[:, ::3, ::3].mean((-2, -1)),
    mistakes={
        "that takes every f-th pixel, and no mean": patches[:, ::3, ::3],
        "that is the sum; the mean is asked for": squares[:, ::3, ::3].sum((-2, -1)),
        "that is the largest of each square; the mean is asked for": squares[:, ::3, ::3].max((-2, -1)),
        "it averages pixels that are g apart, not neighbours: reshape to (g, f), not (f, g)": tiles.mean((1, 3)),
        "after mean(axis=2) the axes behind it have moved up: take both at once": squares[:, ::3, ::3].mean((-3, -2)),
        "each axis is to be split: (g, f, g, f), not (g, g, f, f)": patches.reshape(2, 2, 2, 3, 3, 3).mean((3, 4)),
    },
)

# %% [markdown]
# Averaging a ramp gives a ramp, so section 2's test holds for every scale: the mean over a patch is the position of its
# centre. And all $K$ patches have one centre if $g$ is even. (If $g$ is odd, so is the finest patch's side alone, and its
# centre lies half a pixel beside the others'.)
#
# ### Exercise 3.5: the sensor
#
# Put it together. `forward` gets a `Canvas` of B images, bytes from 0 to 255, and locations (B, 2). It returns $\rho$,
# (B, D) with $D = K g^2 C$: one row of numbers from 0 to 1 for each image. Their order is a convention that others rely
# on: the finest patch first, and within a patch (row, column, channel).
#
# <details><summary>Hint</summary>
#
# A list of $K$ arrays (B, g, g, C), made by `crop` and `pool`. `np.stack` with `axis=1` makes (B, K, g, g, C) of it, and
# `reshape(batch, -1)` a row of each image.
# </details>


# %% exercise="sensor"
class GlimpseSensor:
    """rho(x, l): K patches of sides g, 2g, 4g, ... centred on l, each pooled to g by g."""

    def __init__(self, patch, scales):
        self.patch, self.scales = patch, scales  # g and K

    def forward(self, canvas, location):
        """rho (B, D) from B images, bytes, and locations (B, 2)."""
        batch, g = len(location), self.patch
        ### BEGIN SOLUTION
        patches = [pool(crop(canvas, location, g * 2**k), g) for k in range(self.scales)]
        return np.stack(patches, axis=1).reshape(batch, -1) / 255
        ### END SOLUTION


# %% check="sensor" points=3
rng = np.random.default_rng(5)
small, at = pad(rng.integers(0, 256, (3, 17, 12, 2), dtype=np.uint8), 16), rng.uniform(-1, 1, (3, 2))
four = sensor.GlimpseSensor(4, 4, dtype=np.float64).forward(small, at).reshape(3, 4, 4, 4, 2)  # row, K, g, g, C
scales, rho = four[:, :3], four[:, :3].reshape(3, -1)
odd = scales.copy()
odd[:, 2] = pool(crop(small, at, 12), 4) / 255
check_output(
    GlimpseSensor(4, 3).forward,
    small,
    at,
    expected=rho,
    mistakes={
        "bytes are to be divided by 255": 255 * rho,
        "the coarsest patch comes first: the finest should": scales[:, ::-1].reshape(3, -1),
        "all patches are the finest one: sides are g, 2g, 4g": scales[:, [0, 0, 0]].reshape(3, -1),
        "the sides are g, 2g, 3g: each is twice the one before": odd.reshape(3, -1),
        "the sides are 2g, 4g, 8g: the first is g": four[:, 1:].reshape(3, -1),
        "// leaves whole numbers: divide with /": np.floor(rho),
        "rows are mixed: np.stack makes (K, B, ...), so use axis=1 before reshape": scales.swapaxes(0, 1).reshape(
            3, -1
        ),
        "the scales of a pixel stand side by side: stack along axis 1, not the last": np.moveaxis(
            scales, 1, -1
        ).reshape(3, -1),
        "the scales stand between rows and columns: stack along axis 1": np.moveaxis(scales, 1, 2).reshape(3, -1),
        "channel by channel: (row, column, channel) is the order, as the image has it": np.moveaxis(
            scales, -1, 2
        ).reshape(3, -1),
    },
)

# %% [markdown]
# ## 5. What it sees
#
# A digit among pieces of others, on 100 by 100 pixels: 10,000 values, and your sensor with $g = 12$ and $K = 4$ returns
# $4 \cdot 12^2 = 576$ of them.

# %%
scenes = data.load(Config(dataset="cluttered-mnist", size=100, pieces=8))
eye = GlimpseSensor(12, 4)
scene, labels, *_ = next(scenes.source("validation", NUMPY, margin=48).batches(64))
corners = scenes.source("validation", NUMPY, margin=48).corners()
one = 8  # an image with little clutter
place = (corners[one][::-1] + 14)[None] / 50 - 1  # (x, y) of its digit's centre


def only(canvas, row):
    """The canvas of one of the images."""
    return Canvas(canvas.pixels[row : row + 1], canvas.margin)


def without_border(canvas):
    """The first image of a canvas."""
    height, width, _ = canvas.image_shape
    return canvas.pixels[0, canvas.margin :, canvas.margin :][:height, :width]


scales_of = eye.forward(only(scene, one), place).reshape(4, 12, 12, 1)
_, (whole, *parts) = plt.subplots(1, 5, figsize=(10, 2.6), width_ratios=(1.5, 1, 1, 1, 1))
draw_image(whole, without_border(only(scene, one)), f"the image: {labels[one]} and clutter")
whole.set(xlim=(-25, 125), ylim=(125, -25), xticks=(0, 50, 100), yticks=(0, 50, 100))
for axes, patch, color, k in zip(parts, scales_of, colors, range(4), strict=True):
    side = 12 * 2**k
    draw_patch(whole, *(corner(each, 100, side) for each in place[0]), side, color)
    draw_image(axes, 255 * patch, f"{side} x {side} pixels")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=color, lw=3)

# %% [markdown]
# Put the four over one another, each back at its own size and the finest on top, and you see what the network knows of
# the image. Now let the eye wander. Press play.


# %%
def known(canvas, location):
    """What a glimpse tells of an image: its patches at their places, the finest on top; -1 where it tells nothing."""
    height, width, _ = canvas.image_shape
    picture = np.full((height + 96, width + 96), -1.0)
    patches = eye.forward(canvas, location[None]).reshape(4, 12, 12)
    for k in reversed(range(4)):
        side = 12 * 2**k
        top, left = (corner(location[axis], 100, side) + 48 for axis in (1, 0))
        picture[top : top + side, left : left + side] = patches[k].repeat(2**k, 0).repeat(2**k, 1)
    return picture[48:-48, 48:-48]


figure, (whole, picture) = plt.subplots(1, 2, figsize=(6.4, 3.3), dpi=80, layout="none")
figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=0.9)
stops = np.array([[-0.7, -0.7], [0.6, -0.5], [-0.4, 0.5], place[0]])
path = np.concatenate([a + (b - a) * np.arange(5)[:, None] / 5 for a, b in pairwise(stops)])
path = np.concatenate([path, place])


def draw(number):
    here = path[number]
    for axes in (whole, picture):
        axes.clear()
    draw_image(whole, without_border(only(scene, one)), "the image")
    seen = known(only(scene, one), here)
    draw_image(picture, 255 * np.maximum(seen, 0)[..., None], "what one glimpse tells of it")
    picture.imshow(np.where(seen < 0, 0.5, np.nan), extent=(0, 100, 100, 0), cmap="Blues", vmin=0, vmax=1)
    for k in range(4):
        draw_patch(whole, *(corner(each, 100, 12 * 2**k) for each in here), 12 * 2**k, colors[k])
    for axes in (whole, picture):
        axes.set(xlim=(0, 100), ylim=(100, 0), xticks=[], yticks=[])


film(figure, draw, range(len(path)), 0.4)

# %% [markdown]
# (Blue: the glimpse says nothing about it.) At most places you could not read the digit, but could say where to look
# next. That is what the coarse scales are for. How often does a glimpse at a random place see anything at all? Here are
# digits alone on a black canvas of 60 by 60, with $g = 12$:

# %%
alone = data.load(Config(dataset="translated-mnist", size=60))
eye = GlimpseSensor(12, 3)
shown, *_ = next(alone.source("validation", NUMPY, margin=24).batches(500))
anywhere = np.random.default_rng(6).uniform(-1, 1, (500, 2))
rho = eye.forward(shown, anywhere).reshape(500, 3, -1)
sees = [100 * (rho[:, : k + 1].max(axis=(1, 2)) > 0.1).mean() for k in range(3)]
_, axes = plt.subplots(figsize=(5, 2.8))
bars = axes.bar(["K = 1\n12 x 12", "K = 2\nto 24 x 24", "K = 3\nto 48 x 48"], sees, color=figures.BLUE)
axes.bar_label(bars, fmt="%.0f %%")
_ = axes.set(ylabel="of 500 glimpses (%)", ylim=(0, 109), title="glimpses at random places that see something")

# %% [markdown]
# ## 6. Why it has no backward
#
# In this course every forward has its backward. Not here. Nobody needs a gradient of the *pixels*: an image is not trained.
# But a gradient of the *location* would be worth a lot: "move right, and the loss falls".
#
# ### Exercise 3.6: the slope of a glimpse
#
# A ramp is 28 pixels wide, and $m(l_x)$ is the mean over a patch of side 8 on it: the blue staircase of section 2. You
# want $dm / dl_x$ at $l_x = 0.3$. What does the central difference of 01 say, with $\varepsilon = 10^{-5}$?
#
# <details><summary>Hint</summary>
#
# Work out $p$ at $0.3 + \varepsilon$ and at $0.3 - \varepsilon$, and then where the two patches start.
# </details>

# %% exercise="slope"
slope = None  # replace None by a number
### BEGIN SOLUTION
slope = 0  # p = 18.2 +- 0.00014: both patches start at floor(14.7) = 14, and see the same
### END SOLUTION

# %% check="slope" points=1
check_answer(
    slope,
    expected=0,
    mistakes={
        "that is dp/dl; but between p and the pixels stands a floor": 14,
        "l is 2 wide, so dp/dl would be 14; but between p and the pixels stands a floor": 28,
        "that is the mean itself, and its slope is asked for": 18,
    },
)

# %% [markdown]
# The staircase is flat, so the derivative is zero: nearly everywhere, and not by mistake. What does happen when the eye
# moves happens in jumps, when a new column of pixels comes in, and at a jump there is no derivative. Backpropagation sees
# nothing but the flat parts. (One could cut out patches between pixels, by interpolation, and differentiate that. Then the
# gradient knows about the next pixel, and still nothing about a digit ten pixels away.)
#
# So the location gets no gradient through the sensor, and a sampled location is treated as a constant. The network must
# learn where to look in another way: by trying places, and remembering what came of it. That is 06.
#
# ## 7. In the real thing
#
# Your sensor takes the place of ramnp's in the model of `ramnp`, with two scales and four glimpses. The third training
# has a bug: somebody swapped x and y.


# %%
def with_x_and_y_swapped(mine):
    class GlimpseSensor:
        def forward(self, canvas, location):
            return mine.forward(self, canvas, location[:, ::-1])

    return GlimpseSensor


steps = 20 if SHORT else 150
config = Config(scales=2, glimpses=4, std=0.2, batch_size=128, warmup_epochs=0.5)
theirs = train_briefly(config, digits, steps)
with using(GlimpseSensor):
    yours = train_briefly(config, digits, steps)
with using(with_x_and_y_swapped(GlimpseSensor)):
    swapped = train_briefly(config, digits, steps)

# %%
_, axes = plt.subplots()
axes.plot(theirs.steps, theirs.losses["action"], color=figures.SKY, lw=6, label="with ramnp's sensor")
axes.plot(yours.steps, yours.losses["action"], color=figures.RED, label="with yours")
axes.plot(swapped.steps, swapped.losses["action"], color=figures.INK, ls="--", label="with x and y swapped")
axes.axhline(np.log(10), color=figures.INK, ls=":", lw=1)
axes.set(xlabel="step", ylabel="cross-entropy (nats)", title="recurrent attention, first steps", ylim=(0, 3.5))
_ = axes.legend(loc="lower left")

# %% [markdown]
# Yours follows ramnp's: exactly at first, and nearly later, since now and then a last digit decides on which pixel a
# glimpse falls. And the swapped one learns as well as they do! It looks at $(y, x)$ where it says
# $(x, y)$, always, and the network has no way to know, and no need to. The mistake shows when somebody draws the paths over
# the images and wonders, when images are not square, or when the trained weights meet a right sensor:


# %%
def error(model):
    """Validation error in percent."""
    shown = digits.validation[:2000]
    return 100 * (model.predict(shown.images) != shown.labels).mean()


with using(GlimpseSensor):
    print(f"trained with your sensor:      {error(yours.model):.0f} % wrong")
with using(with_x_and_y_swapped(GlimpseSensor)):
    print(f"trained and tested swapped:    {error(swapped.model):.0f} % wrong")
with using(GlimpseSensor):
    print(f"trained swapped, tested right: {error(swapped.model):.0f} % wrong")

# %% [markdown]
# **A network learns around many bugs, so a falling loss proves nothing.** That is why parts are tested alone: layers with
# finite differences, and an eye on a ramp.
#
# This is your eye at work, large window and small. It was trained for a moment only, so it is often wrong.

# %%
animate_glimpses(yours.model, digits.validation.images[:5], digits.validation.labels[:5])

# %% [markdown]
# ## What you can now do
#
# - Say how a location becomes a pixel, and what goes wrong with (x, y), the border and rounding.
# - Cut out patches of many images at once, and pool them by reshaping.
# - Build a sensor whose cost does not depend on the image's size, and say what its coarse scales are for.
# - Say why it has no gradient for the location.
# - Test with an input on which the right answer is known.
#
# **Next:** [04](04_glimpse_network.ipynb), the glimpse network: what and where.
