# %% [markdown]
# # 04 The glimpse network: what and where
#
# **What you will build:** the layer that turns a glimpse into one vector $g_t$. It has two inputs, what the sensor saw and
# where it looked, and so it is your first network with a fork. You derive its backward, write it, and take away each of its
# halves in turn to see what it is worth.
#
# *About 40 minutes. You need 02 and 03.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from ramnp import data
from ramnp.config import Config
from ramnp.gradcheck import check, check_answer, check_output
from ramnp.network.layers import RELU_GAIN, Linear, relu, relu_backward
from ramnp.network.sensor import GlimpseSensor, corner, pad
from ramnp.teaching import SHORT, figures
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import using

figures.use_style()

# %% [markdown]
# ## 1. The same picture in two places
#
# Here are patches of different digits that look nearly the same, cut out at different places: the closest pairs that
# 300 images have to offer.

# %%
digits = data.load(Config(dataset="mnist"))  # 5,000 of the training images are held out for validation
images, labels = digits.validation.images[:300], digits.validation.labels[:300]
sensor = GlimpseSensor(8, 1)
places = np.array([(x, y) for x in (-0.4, 0, 0.4) for y in (-0.4, 0, 0.4)], dtype=np.float32)
canvas = pad(images, sensor.margin)
seen = np.stack([sensor.forward(canvas, np.tile(place, (len(images), 1))) for place in places])  # place, image, D
rows = seen.reshape(-1, 64)
place, image = np.divmod(np.arange(len(rows)), len(images))
busy = np.flatnonzero((rows > 0.5).sum(axis=1) > 18)  # patches that show something
squares = (rows[busy] ** 2).sum(axis=1)
distance = squares[:, None] + squares - 2 * rows[busy] @ rows[busy].T
apart = np.abs(places[place[busy]][:, None] - places[place[busy]]).max(axis=2) > 0.7
distance[~apart | (labels[image[busy]][:, None] == labels[image[busy]])] = np.inf

_, axes = plt.subplots(3, 4, figsize=(5.6, 4.4))
for row in axes:
    one, two = np.unravel_index(distance.argmin(), distance.shape)
    for number, at in enumerate(busy[[one, two]]):
        whole, patch = row[[0, 1]] if number == 0 else row[[3, 2]]
        color = (figures.BLUE, figures.ORANGE)[number]
        whole.imshow(images[image[at]].squeeze())
        patch.imshow(rows[at].reshape(8, 8), vmin=0, vmax=1)
        left, top = (corner(each, 28, 8) - 0.5 for each in places[place[at]])
        whole.add_patch(Rectangle((left, top), 8, 8, fill=False, ec=color, lw=2))
        whole.set_ylabel(f"it is {labels[image[at]]}", fontsize=9)
        for each in (whole, patch):
            each.set(xticks=[], yticks=[])
        for spine in patch.spines.values():
            spine.set(visible=True, color=color, lw=3)
        used = image[busy] == image[at]
        distance[used] = distance[:, used] = np.inf

# %% [markdown]
# A stroke says little as long as you do not know where it is. So the network gets the location along with the patch, and
# what it makes of a glimpse depends on both.
#
# ## 2. Two paths
#
# $$h_g = \mathrm{relu}(\rho \, W_g + b_g) \qquad\qquad h_l = \mathrm{relu}(l \, W_l + b_l)$$
#
# $$g = \mathrm{relu}(h_g W_{hg} + h_l W_{hl} + b)$$
#
# One path is for *what* was seen, $\rho$ with $D$ values a row, one for *where*, $l$ with two, and the third line mixes them.
# Why not one Linear on $\rho$ and $l$ side by side? It would see 64 pixels and 2 coordinates, and the coordinates would be
# lost among them. Besides, $g$ should be able to say "a stroke *and* on the left", and for that something bent must lie
# between.


# %%
def draw_network():
    figure, axes = figures.blank(11.4, 3.6, (9.5, 3.0))
    what, where, middle = 2.8, 0.7, 1.75
    names = {
        "what": (2.6, what, "what"), "where": (2.6, where, "where"), "join": (6.2, middle, "join"),
        "mix": (8.4, middle, "mix"),
    }  # fmt: skip
    for x, y, name in names.values():
        axes.add_patch(Rectangle((x - 0.6, y - 0.4), 1.2, 0.8, fc=figures.PAPER, ec=figures.INK, lw=1.4))
        axes.text(x, y, name, ha="center", va="center", fontsize=11)
    for start, end, text in (
        ((0.4, what), (2.0, what), r"\rho"), ((0.4, where), (2.0, where), "l"),
        ((3.2, what), (5.6, middle + 0.2), "h_g"), ((3.2, where), (5.6, middle - 0.2), "h_l"),
        ((6.8, middle), (7.8, middle), "h"), ((9.0, middle), (10.6, middle), "g"),
    ):  # fmt: skip
        for sign, color, name in ((1, figures.FORWARD, text), (-1, figures.BACKWARD, "d" + text)):
            one, two = ((x, y + 0.13 * sign) for x, y in (start, end))
            figures.arrow(axes, *((one, two) if sign > 0 else (two, one)), f"${name}$", color, above=sign > 0)
    return figure


draw_network()

# %% [markdown]
# (*what*, *where* and *mix* are a Linear and a ReLU each.) In the drawing the third line is a *join* and one Linear: $h_g$
# and $h_l$ are put side by side, $h = [h_g \mid h_l]$, and the two weights on top of one another,
#
# $$h_g W_{hg} + h_l W_{hl} = [\, h_g \mid h_l \,] \begin{bmatrix} W_{hg} \\ W_{hl} \end{bmatrix} = h W .$$
#
# The numbers are the same, but it is one matrix product in place of two and a sum.
#
# ### Exercise 4.1: how large is it?
#
# How many parameters has the glimpse network of the paper, all weights and biases? The patch is 8 by 8, $h_g$ and $h_l$ have
# 128 units each, and $g$ has 256.
#
# <details><summary>Hint</summary>
#
# A Linear from $m$ to $n$ has $m \cdot n$ weights and $n$ biases. There are three of them: from 64, from 2, and from the
# width of $h$.
# </details>

# %% exercise="size"
parameters = None  # replace None: a number, or a formula
### BEGIN SOLUTION
parameters = (64 * 128 + 128) + (2 * 128 + 128) + (256 * 256 + 256)
### END SOLUTION

# %% check="size" points=1
check_answer(
    parameters,
    expected=74496,
    tolerance=1e-6,
    mistakes={
        "nearly: are all three biases there, and nothing counted twice?": 74000,
        "the third Linear is as wide as h, which is h_g and h_l side by side": 41728,
        "the image is not what it sees: the patch has 8 x 8 values": 166656,
    },
)

# %% [markdown]
# Most of it is the mixing. Note what is *not* in this number: the size of the image.
#
# ## 3. Joining and splitting
#
# What is the gradient of a join? Each element of $h_g$ goes to exactly one place in $h$, unchanged. So its gradient is the one
# that arrives there: nothing is added, nothing multiplied, and the numbers only have to be taken apart again.
#
# ### Exercise 4.2: join
#
# Write both passes. `units` is the width of $h_g$.
#
# <details><summary>Hint</summary>
#
# `np.concatenate` with `axis=1`: rows stay rows. Columns up to `units` belong to $h_g$.
# </details>


# %% exercise="join"
def join(h_g, h_l):
    """h = [h_g | h_l], of (rows, units) and (rows, other units)."""
    ### BEGIN SOLUTION
    return np.concatenate([h_g, h_l], axis=1)
    ### END SOLUTION


def join_backward(dh, units):
    """(dh_g, dh_l)."""
    ### BEGIN SOLUTION
    return dh[:, :units], dh[:, units:]
    ### END SOLUTION


# %% check="join" points=2
rng = np.random.default_rng(0)
h_g, h_l, dh = rng.random((3, 2)), rng.random((3, 4)), rng.random((3, 6))


def gradient_of_h_g(dh, units):
    dh_g, _ = join_backward(dh, units)
    return dh_g


def gradient_of_h_l(dh, units):
    _, dh_l = join_backward(dh, units)
    return dh_l


check_output(
    join,
    h_g,
    h_l,
    expected=[[*a, *b] for a, b in zip(h_g, h_l, strict=True)],
    mistakes={"h_l comes first: h = [h_g | h_l]": [[*b, *a] for a, b in zip(h_g, h_l, strict=True)]},
)
check_output(
    gradient_of_h_g,
    dh,
    2,
    expected=np.delete(dh, [2, 3, 4, 5], axis=1),
    mistakes={"these are the last columns, and h_g is in the first": np.delete(dh, [0, 1, 2, 3], axis=1)},
)
check_output(
    gradient_of_h_l,
    dh,
    2,
    expected=np.delete(dh, [0, 1], axis=1),
    mistakes={"these are the first columns, and h_l is in the last": np.delete(dh, [4, 5], axis=1)},
)

# %% [markdown]
# **The rule of forks.** A join is undone by a split. The opposite happens where one value is *used twice*: then both users send
# a gradient, and these are **added**. You have met that already: $W$ is used by every row, and $dW$ is a sum over rows. You
# will meet it again in 05, where $h_t$ is used by everything that comes after.
#
# ## 4. The network
#
# ### Exercise 4.3: the glimpse network
#
# Write both passes. `self.what`, `self.where` and `self.mix` are Linears as you wrote in 02: `forward(x)` returns `(y,
# cache)` with the input `x` for a cache, and `backward(dy, cache)` returns `dx`. There are `relu(x)` and
# `relu_backward(dy, y)`, and your `join` and `join_backward`.
#
# - `forward` returns $g$ and the cache, which must be `(rho, location, h, g)`.
# - `backward` returns $d\rho$ and $dl$. The gradients of the weights are found on the way.
#
# <details><summary>Hint</summary>
#
# Backward goes through the lines of forward from the last to the first: the ReLU of $g$, *mix*, the ReLU of $h$ (one for
# both halves will do, since it works element by element), the split, and then *what* and *where* side by side. The cache
# that a Linear wants is the input that it had.
# </details>


# %% exercise="network"
class GlimpseNetwork:
    """g = relu([h_g | h_l] W + b), from rho (rows, D) and location (rows, 2)."""

    def __init__(self, sensor_size, what_units, where_units, units, rng, dtype=np.float64):
        self.what = Linear(sensor_size, what_units, rng, RELU_GAIN, dtype=dtype)
        self.where = Linear(2, where_units, rng, RELU_GAIN, dtype=dtype)
        self.mix = Linear(what_units + where_units, units, rng, RELU_GAIN, dtype=dtype)
        self.what_units = what_units

    def forward(self, rho, location):
        """g (rows, units), and the cache (rho, location, h, g)."""
        ### BEGIN SOLUTION
        a_g, _ = self.what.forward(rho)
        a_l, _ = self.where.forward(location)
        h = relu(join(a_g, a_l))  #            h = [h_g | h_l]
        a, _ = self.mix.forward(h)
        g = relu(a)  #                         g = relu(h W + b)
        return g, (rho, location, h, g)
        ### END SOLUTION

    def backward(self, dg, cache):
        """(drho, dlocation)."""
        rho, location, h, g = cache
        ### BEGIN SOLUTION
        da = relu_backward(dg, g)
        dh = self.mix.backward(da, h)
        da_g, da_l = join_backward(relu_backward(dh, h), self.what_units)
        drho = self.what.backward(da_g, rho)
        dlocation = self.where.backward(da_l, location)
        return drho, dlocation
        ### END SOLUTION


# %% check="network" points=4
check(GlimpseNetwork)

# %% [markdown]
# ## 5. What each half is worth
#
# Now it goes to work in the real model. The task is small, so that only the glimpse network matters: **one** glimpse of 12
# by 12 pixels at a random place, and then the answer. We train four times: with ramnp's glimpse network, with yours, and with
# yours after somebody has covered one of its inputs with zeros.
#
# ### Exercise 4.4: where alone
#
# Think before you look. The network that gets only the location knows exactly where it looked, and nothing of what was
# there. The place was random. How many of 100 digits will it get wrong, once it is trained?
#
# <details><summary>Hint</summary>
#
# Does a random place say anything about the digit? There are 10 digits, about equally frequent.
# </details>

# %% exercise="where-alone"
percent_wrong = None  # replace None by a number
### BEGIN SOLUTION
percent_wrong = 90  # a random place says nothing: it can only guess
### END SOLUTION

# %% check="where-alone" points=1
check_answer(
    percent_wrong,
    expected=90,
    tolerance=0.02,
    mistakes={
        "that many it gets right; how many are wrong?": 10,
        "a guess is right for one digit in ten": 100,
        "of 100 digits": 0.9,
        "there are ten digits to guess from, not two": 50,
    },
)


# %%
def covered(mine, what=1, where=1):
    """A glimpse network whose input rho, or location, is covered with zeros."""

    class GlimpseNetwork:
        def forward(self, rho, location):
            return mine.forward(self, what * rho, where * location)

        def backward(self, dg, cache):
            rho, location, h, g = cache
            return mine.backward(self, dg, (what * rho, where * location, h, g))

    return GlimpseNetwork


config = Config(
    policy="random", glimpses=1, patch=12, batch_size=64, lr=3e-3, warmup_epochs=0.1,
    what_units=64, where_units=64, glimpse_units=128, units=128,
)  # fmt: skip
steps = 80 if SHORT else 800
theirs = train_briefly(config, digits, steps, every=40)
with using(GlimpseNetwork):
    yours = train_briefly(config, digits, steps, every=40)
with using(covered(GlimpseNetwork, where=0)):
    what_alone = train_briefly(config, digits, steps, every=40)
with using(covered(GlimpseNetwork, what=0)):
    where_alone = train_briefly(config, digits, steps, every=40)

# %%
_, axes = plt.subplots()
axes.plot(where_alone.steps, where_alone.losses["action"], color=figures.PURPLE, ls=":", label="where alone")
axes.plot(what_alone.steps, what_alone.losses["action"], color=figures.ORANGE, ls="--", label="what alone")
axes.plot(theirs.steps, theirs.losses["action"], color=figures.SKY, lw=6, label="both, ramnp's")
axes.plot(yours.steps, yours.losses["action"], color=figures.RED, label="both, yours")
axes.axhline(np.log(10), color=figures.INK, lw=0.6)
axes.set(xlabel="step", ylabel="cross-entropy (nats)", title="one glimpse at a random place")
_ = axes.legend(loc="lower left")

# %% [markdown]
# The place alone says nothing, and the loss stays at $\log 10$, the thin line. Yet added to the picture it is worth a lot:
# after a few hundred steps, what alone falls behind. The same stroke here and there is all one to it, and training longer
# cannot change that. **So a glimpse needs its place, and the mixing brings them together.**
#
# Look inside. Below are eight units of each path of your network: for *what*, the weights of the patch's pixels, and for
# *where*, how strongly the unit answers to each place in the image.

# %%
model = yours.model
grid = np.linspace(-1, 1, 41, dtype=np.float32)
plane = np.stack([each.ravel() for each in np.meshgrid(grid, grid)], axis=1)  # (x, y) of 41 x 41 places
answers = relu(model.glimpse.where.forward(plane)[0]).reshape(41, 41, -1)
filters = model.glimpse.what.W.reshape(12, 12, -1)

what, where = (np.argsort(-np.abs(part.W).sum(axis=0))[:8] for part in (model.glimpse.what, model.glimpse.where))
diverging = {"cmap": "PuOr", "vmin": -np.abs(filters).max(), "vmax": np.abs(filters).max()}
_, (upper, lower) = plt.subplots(2, 8, figsize=(10, 3))
for each, unit in zip(upper, what, strict=True):
    weights = each.imshow(filters[..., unit], **diverging)
    each.set(xticks=[], yticks=[])
for each, unit in zip(lower, where, strict=True):
    strength = each.imshow(answers[..., unit], cmap="viridis", extent=(-1, 1, 1, -1), vmin=0, vmax=answers.max())
    each.set(xticks=[-1, 1], yticks=[], xlabel="$l_x$")
    each.grid(False)
upper[0].set_ylabel("what")
lower[0].set(yticks=[-1, 1], ylabel="where: $l_y$")
plt.colorbar(weights, ax=list(upper), label="weight", shrink=0.75)
_ = plt.colorbar(strength, ax=list(lower), label="$h_l$", shrink=0.75)

# %% [markdown]
# The *what* units begin to look for strokes and edges; after so short a training they are noisy. A *where* unit is a ramp: zero on one
# side of a line, and rising on the other. Sums of such ramps can mark out any region, and that is how the network
# tells places apart.
#
# ## 6. A gradient for the location, after all?
#
# Your `backward` returns `dlocation`, and `check` found it right. In 03 you saw that the sensor has no gradient for the
# location. Is this the way out? Let us see. An image, a row across it, and the log-probability of the right answer as
# the eye moves along that row. The red strokes have the slope that backpropagation gives.

# %%
shown, y = 12, -0.1
picture, label = digits.validation.images[shown], digits.validation.labels[shown]


def look(l_x):
    """log p of the label at places (l_x, y), and its gradient with respect to l_x."""
    location = np.stack([l_x, np.full_like(l_x, y)], axis=1)
    canvas = pad(np.repeat(picture[None], len(l_x), axis=0), model.margin)
    rollout = model.forward(canvas, location[None])
    dlogits = (np.arange(10) == label) - np.exp(rollout.log_p)  # of log p[label]: onehot - p
    dh = model.action.backward(dlogits, rollout.h[-1])
    dg = model.core.backward(dh[None], (rollout.glimpse[-1], rollout.core))
    cache = (rollout.rho[0], location, *(each[0] for each in rollout.glimpse))
    _, dlocation = GlimpseNetwork.backward(model.glimpse, dg[0], cache)
    return rollout.log_p[:, label], dlocation[:, 0]


fine, few = np.linspace(-0.6, 0.6, 2401, dtype=np.float32), np.linspace(-0.55, 0.55, 12, dtype=np.float32)
log_p, _ = look(fine)
level, slopes = look(few)
_, (whole, axes) = plt.subplots(1, 2, figsize=(9.5, 3.4), width_ratios=(1, 2.4))
whole.imshow(picture.squeeze(), extent=(-1, 1, 1, -1))
whole.plot([-0.6, 0.6], [y, y], color=figures.ORANGE, lw=2)
whole.add_patch(Rectangle((-0.6 - 12 / 28, y - 12 / 28), 24 / 28, 24 / 28, fill=False, ec=figures.ORANGE, ls=":"))
whole.grid(False)
whole.set(xlabel="$l_x$", ylabel="$l_y$", title=f"it is {label}")
jumps = np.flatnonzero(np.diff(corner(fine, 28, 12))) + 1
axes.plot(np.insert(fine, jumps, np.nan), np.insert(log_p, jumps, np.nan), color=figures.BLUE, label="what happens")
for number, (x, value, slope) in enumerate(zip(few, level, slopes, strict=True)):
    ends = np.array([-0.04, 0.04])
    name = "what backpropagation says" if number == 0 else None
    axes.plot(x + ends, value + slope * ends, color=figures.RED, lw=3, alpha=0.8, label=name)
axes.set(xlabel="$l_x$", ylabel="$\\log p$ of the right answer (nats)", title="along the orange line")
axes.margins(y=0.22)
_ = axes.legend(loc="upper right", ncols=2)

# %% [markdown]
# The gradient is right: each stroke lies on its piece of the curve. And it is useless. It knows what happens if the eye were
# *told* another place while it goes on *seeing* the same pixels. All that matters, new pixels coming in, happens in the jumps
# between the pieces, and there it sees nothing. Compare the strokes with the way that the pieces go up and down.
#
# So in training `dlocation` is not even computed (`input_gradient=False` in `ramnp/network/model.py`), and locations are constants.
#
# ## 7. Another way to mix
#
# One can also multiply: $g = h_g \odot h_l$, element by element, with as many units in one as in the other (Ba, Mnih and
# Kavukcuoglu do so in 2015). Then *where* is a gate: it decides which features of *what* count at this place.
#
# ### Exercise 4.5: multiply
#
# Write `product_backward`.
#
# <details><summary>Hint</summary>
#
# The product rule, for one element: if $h_l$ is held fixed, $g$ is $h_g$ times a number. Which number?
# </details>


# %% exercise="product"
def product(h_g, h_l):
    return h_g * h_l


def product_backward(dg, h_g, h_l):
    """(dh_g, dh_l)."""
    ### BEGIN SOLUTION
    return dg * h_l, dg * h_g  #  dh_g = dg h_l,  dh_l = dg h_g
    ### END SOLUTION


# %% check="product" points=2
dg, h_g, h_l = np.array([[1.0, -2.0, 0.5]]), np.array([[3.0, 0.5, -1.0]]), np.array([[0.2, 4.0, 7.0]])


def gradient_of_what(dg, h_g, h_l):
    dh_g, _ = product_backward(dg, h_g, h_l)
    return dh_g


def gradient_of_where(dg, h_g, h_l):
    _, dh_l = product_backward(dg, h_g, h_l)
    return dh_l


mistakes = {
    "that is dg: it passes a sum unchanged, but not a product": dg,
    "dg is forgotten": [[0.2, 4.0, 7.0]],
    "dg is multiplied by g": [[0.6, -4.0, -3.5]],
}
check_output(
    gradient_of_what,
    dg,
    h_g,
    h_l,
    expected=[[0.2, -8.0, 3.5]],
    mistakes=mistakes | {"dg is multiplied by h_g: that is the gradient of h_l": [[3.0, -1.0, -0.5]]},
)
mistakes["dg is forgotten"] = h_g
check_output(
    gradient_of_where,
    dg,
    h_g,
    h_l,
    expected=[[3.0, -1.0, -0.5]],
    mistakes=mistakes | {"dg is multiplied by h_l: that is the gradient of h_g": [[0.2, -8.0, 3.5]]},
)

# %% [markdown]
# Compare: a join hands $dh$ on as it is, and a product multiplies each side's gradient by the *other* side's value. Where
# $h_l$ is zero, *what* learns nothing. That can be an advantage, for a place where nothing matters should teach nothing; or
# the reason why a training will not start. We stay with the paper's sum.
#
# ## What you can now do
#
# - Say why a glimpse must come with its place, and show it by covering one of the two.
# - Go backward through a fork: split what was joined, add where something was used twice.
# - Write a network with two inputs, both ways.
# - Read what units answer to.
# - Say why a correct gradient can still be useless.
#
# **Next:** [05](05_recurrence.ipynb), the recurrent core: how many glimpses become one answer.
