# %% [markdown]
# # 07 Putting it together
#
# **What you will build:** the backward pass of the whole network, from three losses to every weight, and the training
# step. Then six glimpses learn to read digits before your eyes. At the end you are shown four trainings that went
# wrong, and say from their curves what is wrong.
#
# *About 45 minutes, of which about one is waiting. You need 03, 04 and 06.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import contextlib
import dataclasses

import matplotlib.pyplot as plt
import numpy as np

import ramnp.network.model
from ramnp import data
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.batch import Batch
from ramnp.gradcheck import check, check_output, require
from ramnp.gradcheck.student.whole import MistakenModel
from ramnp.network.layers import flatten_time
from ramnp.network.reinforce import LearningRule, hybrid_loss
from ramnp.registry import get
from ramnp.teaching import SHORT, figures
from ramnp.teaching.animations import animate_glimpses
from ramnp.teaching.using import using
from ramnp.training.optim import clip_gradients
from ramnp.training.trainer import Trainer

figures.use_style()

# %% [markdown]
# ## 1. The whole network
#
# You have written every part. Here they are, for three glimpses: the sensor and the glimpse network make $g_t$ of
# what is seen at $l_t$, the core makes $h_t$, and of $h_t$ come the next location, an expectation, and at the end the
# answer.


# %%
def draw_network():
    """Three glimpses, unrolled: blue is forward, a double stroke is where no gradient passes."""
    columns, top, see, core, heads, losses = (2.4, 6.7, 11.0), 6.6, 5.1, 3.6, 2.1, 0.5
    figure, axes = figures.blank(12.2, 7.1, (9.6, 5.6))

    def lead(start, end):
        figures.arrow(axes, start, end, color=figures.FORWARD)

    figures.node(axes, 0.5, core, "$h_0 = 0$", size=9)
    axes.text(columns[0] - 0.35, top, "given", fontsize=8, ha="right", va="center")
    for t, x in enumerate(columns, 1):
        figures.node(axes, x, top, f"$l_{t}$")
        figures.node(axes, x, see, f"$g_{t}$", figures.BLUE)
        figures.node(axes, x, core, f"$h_{t}$", figures.BLUE)
        lead((x, top - 0.22), (x, see + 0.22))
        lead((x, see - 0.22), (x, core + 0.22))
        lead((x - 1.4 if t == 1 else columns[t - 2] + 0.25, core), (x - 0.25, core))
        if t == 3:
            break
        for shift, name, loss in ((-0.9, f"$b_{t}$", "squared error"), (0.9, rf"$\mu_{t}$", "REINFORCE")):
            lead((x + 0.2 * shift, core - 0.22), (x + 0.8 * shift, heads + 0.24))
            figures.node(axes, x + shift, heads, name, figures.BLUE)
            lead((x + shift, heads - 0.22), (x + shift, losses + 0.2))
            figures.node(axes, x + shift, losses, loss, size=8)
            figures.stop(axes, x + 0.5 * shift, (core + heads) / 2)
        axes.text(x + 0.65, (core + heads) / 2, '"detached"', fontsize=7, va="center")
        lead((x - 0.65, heads - 0.22), (x + 0.6, losses + 0.2))
        figures.stop(axes, x - 0.02, (heads + losses) / 2)
        start, end = np.array([x + 1.25, heads + 0.05]), np.array([columns[t] - 0.25, top - 0.15])
        line = {"arrowstyle": "-|>", "color": figures.FORWARD, "lw": 1.4, "ls": "--"}
        axes.annotate("", xy=end, xytext=start, arrowprops=line)
        middle = start + 0.6 * (end - start)
        figures.stop(axes, *middle)
        axes.text(middle[0] - 0.3, middle[1], "sampled", fontsize=8, ha="right")
    lead((x, core - 0.22), (x, heads + 0.22))
    figures.node(axes, x, heads, r"$\log p$", figures.BLUE)
    lead((x, heads - 0.22), (x, losses + 0.22))
    figures.node(axes, x, losses, "cross-entropy", size=8)
    return figure


draw_network()

# %% [markdown]
# Three losses stand at the bottom. Their sum is the *hybrid loss*:
#
# $$L = \underbrace{- \frac{1}{R} \sum_r \log p_{r,\,\text{label}}}_{\text{cross-entropy}}
# \; \underbrace{- \; w \, \frac{1}{R} \sum_r \sum_t \text{advantage}_{tr} \log \pi(l_{t+1} \mid
# \mu_t)}_{\text{REINFORCE}}
# \; + \underbrace{\frac{1}{S R} \sum_t \sum_r (b_{tr} - \text{reward}_r)^2}_{\text{squared error of the baseline}}$$
#
# with R rollouts, S = T - 1 decisions in each, a weight $w$ (`policy_weight`), and advantage = reward - $b_t$. The
# first you know from 02, the second from 06.
#
# **Where no gradient passes.** The double strokes say what is a constant to whom.
#
# - *The samples.* $l_{t+1}$ was drawn from $\mu_t$, and a draw has no derivative. So nothing comes back from
#   $g_{t+1}$ to $\mu_t$.
# - *The advantage.* REINFORCE uses $b_t$, but must not change it: it would learn to expect whatever makes its own loss
#   small. So no gradient to $b_t$ from there, nor to the reward.
# - *$h_t$ for the baseline.* It is there to describe, not to shape what it describes.
# - *$h_t$ for the policy* is a choice, `routing`. The paper lets its gradient flow on into the core. "detached" stops
#   it: then the eye learns to see by cross-entropy alone, and its noise is kept out.
#
# ### Exercise 7.1: the baseline's loss
#
# The third term is new. `baseline` has shape (S, R), `reward` (R,): the reward comes at the end, and is the same for
# all decisions of a rollout.
#
# <details><summary>Hint</summary>
#
# NumPy subtracts (R,) from every row of (S, R). It is a mean over all S R elements, and the derivative of a square
# has a 2.
# </details>


# %% exercise="baseline-loss"
def baseline_loss(baseline, reward):
    """The mean of (b_t - reward)^2: a number."""
    ### BEGIN SOLUTION
    return ((baseline - reward) ** 2).mean()
    ### END SOLUTION


def baseline_loss_backward(baseline, reward):
    """dbaseline (S, R)."""
    ### BEGIN SOLUTION
    return 2 * (baseline - reward) / baseline.size  # db = 2 (b_t - reward) / (S R)
    ### END SOLUTION


# %% check="baseline-loss" points=1
check(baseline_loss, baseline_loss_backward)

# %% [markdown]
# ## 2. Who learns from what?
#
# ### Exercise 7.2: the routes
#
# Each loss sends its gradient back along the arrows, against their direction, until a double stroke. The parts with
# weights are `"glimpse"` ($g_t$), `"core"` ($h_t$), `"policy"` ($\mu_t$), `"baseline"` ($b_t$) and `"action"` ($\log
# p$). For each loss, which of them get a gradient from it?
#
# <details><summary>Hint</summary>
#
# Start at the loss in the picture, and walk against the arrows. The core's arrows lead from $h_3$ to $h_2$ to $h_1$,
# and each $h_t$ was made from $g_t$.
# </details>

# %% exercise="routes"
from_cross_entropy = None  # replace None: a set of names, as {"glimpse", "core"}
from_reinforce_detached = None
from_reinforce_paper = None
from_baseline = None
### BEGIN SOLUTION
from_cross_entropy = {"action", "core", "glimpse"}
from_reinforce_detached = {"policy"}
from_reinforce_paper = {"policy", "core", "glimpse"}
from_baseline = {"baseline"}
### END SOLUTION

# %% check="routes" points=2
digits = data.load(Config(dataset="mnist"))
small = Config(
    units=128, glimpse_units=128, what_units=64, where_units=64, policy_hidden=0, batch_size=128, std=0.1,
    lr=0.002,
)  # fmt: skip


def norms_from(gradient, routing):
    """What one loss alone sends to each part: the norms, by part. The others' gradients are set to zero."""
    model = ramnp.network.model.RecurrentAttentionModel(small, digits.image_shape, digits.classes)
    model.policy.mean.W *= 10  # a little beyond the centre
    images, labels = digits.validation.images[:64], digits.validation.labels[:64]
    rollout = model.forward(model.canvas(images), model.draw(np.random.default_rng(0), 64))
    whole = hybrid_loss

    def alone(*arguments):
        loss = whole(*arguments)
        return loss._replace(**{d: 0 * getattr(loss, d) for d in ("dlogits", "dmu", "dbaseline") if d != gradient})

    alone.__name__ = "hybrid_loss"
    with using(alone):
        model.backward(rollout, labels, LearningRule(routing))
    gradients = model.parameters.gradients
    return {part: np.linalg.norm(gradients[span]) for part, span in model.parameters.spans().items()}


ROUTES = {
    "cross-entropy": ("dlogits", "detached"),
    "REINFORCE, detached": ("dmu", "detached"),
    "REINFORCE, paper": ("dmu", "paper"),
    "squared error": ("dbaseline", "detached"),
}
answers = (from_cross_entropy, from_reinforce_detached, from_reinforce_paper, from_baseline)
for (name, route), answer in zip(ROUTES.items(), answers, strict=True):
    require(answer is not None, f"{name}: not written yet: it is still None")
    norms = norms_from(*route)
    require(isinstance(answer, set | list | tuple), f'{name}: write a set of names, as {{"glimpse", "core"}}')
    unknown = set(answer) - norms.keys()
    require(not unknown, f"{name}: there is no part {sorted(unknown, key=str)[:1]}; there are {', '.join(norms)}")
    for part in sorted(answer):
        require(norms[part], f"{name}: no gradient gets to the part {part!r}: is there a double stroke on the way?")
    missing = sum(norms[part] > 0 for part in norms) - len(set(answer))
    require(not missing, f"{name}: {missing} missing: walk on against the arrows, as far as they go")
print("the routes: right")

# %% [markdown]
# You need not believe a picture. Below, the gradient of each loss alone is measured in a new network: zero means
# exactly zero.

# %%
measured = {name: norms_from(*route) for name, route in ROUTES.items()}
parts = list(measured["cross-entropy"])
table = np.array([[norms[part] for part in parts] for norms in measured.values()])
_, axes = plt.subplots(figsize=(7.5, 2.9))
axes.imshow(np.where(table > 0, 1.0, np.nan), cmap="Blues", vmin=0, vmax=3, aspect="auto")
for (row, column), norm in np.ndenumerate(table):
    axes.text(column, row, f"{norm:.2g}", ha="center", va="center", color=figures.INK)
axes.set_xticks(range(len(parts)), parts)
axes.set_yticks(range(len(measured)), measured)
axes.grid(False)
_ = axes.set(title="norm of the gradient that a part gets", ylabel="from")

# %% [markdown]
# ## 3. Backward through everything
#
# A sampled location is a constant, so nothing flows back from $g_{t+1}$ to $h_t$ except through the core. That makes
# the backward pass short. Only the core loops over time. All other parts run *once*, on the rows of all time steps
# together, which is what `flatten_time` is for: (T, R, ...) becomes (T R, ...).
#
# ### Exercise 7.3: the backward pass of the model
#
# `rollout` holds what forward computed: `rollout.h` is (T, R, N), the states $h_1 \ldots h_T$. `loss` holds the
# gradients where the three losses touch the network: `loss.dlogits` (R, A), `loss.dmu` (S, R, 2) and `loss.dbaseline`
# (S, R). The decisions were made from $h_1 \ldots h_{T-1}$. All caches are made ready; each part is called as
# `part.backward(dy, cache)` and keeps its own `dW`. Fill `dh`, the gradient that each $h_t$ gets *from above*, (T, R,
# N), and go on from there.
#
# <details><summary>Hint</summary>
#
# In the picture, from the bottom to the top. The answer is read off the last state: `dh[-1] = ...`. The baseline's
# result goes nowhere. The policy's goes, if `rule.routing == "paper"`, to `dh[:-1]`, which has time in front again:
# `.reshape(dh[:-1].shape)`. Then `self.core.backward` makes `dg` of `dh`, and `self.glimpse.backward` wants that with
# time flattened.
# </details>


# %% exercise="model"
class RecurrentAttentionModel(ramnp.network.model.RecurrentAttentionModel):
    def backward(self, rollout, labels, rule):
        """Add the gradient of the hybrid loss to the gradients of all parts."""
        loss = hybrid_loss(rollout.log_p, self.tile(labels, rollout), rollout.decisions, self.policy, rule)

        h = rollout.h  #                                 h_1 .. h_T
        decisions = flatten_time(h[:-1])  #              h_1 .. h_{T-1}
        action_cache, baseline_cache = h[-1], decisions
        policy_cache = (decisions, *(flatten_time(buffer) for buffer in rollout.policy))
        core_cache = (rollout.glimpse[-1], rollout.core)
        glimpse_cache = tuple(flatten_time(a) for a in (rollout.rho, rollout.locations, *rollout.glimpse))
        dmu, dbaseline = flatten_time(loss.dmu), flatten_time(loss.dbaseline)
        dh = np.zeros_like(h)
        ### BEGIN SOLUTION
        dh[-1] = self.action.backward(loss.dlogits, action_cache)  #      cross-entropy enters at h_T
        self.baseline.backward(dbaseline, baseline_cache)  #              and this stops here
        d_decisions = self.policy.backward(dmu, policy_cache)
        if rule.routing == "paper":
            dh[:-1] += d_decisions.reshape(dh[:-1].shape)  #              REINFORCE enters at h_1 .. h_{T-1}
        dg = self.core.backward(dh, core_cache)  #                        back through time
        self.glimpse.backward(flatten_time(dg), glimpse_cache)
        ### END SOLUTION
        return loss


# %% check="model" points=4
check(RecurrentAttentionModel)

# %% [markdown]
# Finite differences of the *whole model*, all weights, both routings. (What is a constant to the estimator is held
# fixed while the weights are moved; `ramnp/gradcheck/surrogate.py` is the list of it.)
#
# ## 4. The training step
#
# ### Exercise 7.4: one step
#
# The five things of every training: gradients to zero, forward, backward, clip, update. *Clipping* scales the whole
# gradient down if its norm is larger than a limit, so that a single bad batch cannot throw the network out of its
# valley.
#
# `model.parameters.gradients` is one vector of all gradients. `model.forward(canvas, randomness)` gives a rollout;
# `model.backward(rollout, labels, rule)` adds to the gradients; `LearningRule.of(config)` is the rule. `clip_gradients(parameters,
# norm, limit)` clips, given the norm; `optimizer.step(lr)` updates. `config` also has `clip` and `lr`.
#
# <details><summary>Hint</summary>
#
# `gradients[:] = 0` sets the vector in place. Its norm is `np.linalg.norm(gradients)`, after backward.
# </details>


# %% exercise="step"
def training_step(model, optimizer, canvas, labels, randomness, config):
    """One update of all weights. Returns the rollout and its loss."""
    parameters = model.parameters
    ### BEGIN SOLUTION
    parameters.gradients[:] = 0
    rollout = model.forward(canvas, randomness)
    loss = model.backward(rollout, labels, LearningRule.of(config))
    clip_gradients(parameters, np.linalg.norm(parameters.gradients), config.clip)
    optimizer.step(config.lr)
    ### END SOLUTION
    return rollout, loss


# %% check="step" points=2
plain = dataclasses.replace(small, optimizer="sgd", lr=0.1, clip=0.3, policy_weight=0.5, dtype="float64")


def prepared(config):
    """A trainer, and a batch with its randomness."""
    trainer = Trainer(config, digits.image_shape, digits.classes, NUMPY)
    canvas, labels = trainer.model.canvas(digits.validation.images[:128]), digits.validation.labels[:128]
    return trainer, Batch(canvas, labels, trainer.model.draw(np.random.default_rng(0), 128))


def weights_by_ramnp(steps=1, **changes):
    trainer, batch = prepared(dataclasses.replace(plain, **changes))
    for _ in range(steps):
        trainer.step(batch, trainer.config.lr)
    return trainer.model.parameters.values, trainer.means()["gradient_norm"]["total"]


def weights_after_step(left_over=0.0, steps=1):
    trainer, batch = prepared(plain)
    trainer.model.parameters.gradients[:] = left_over
    for _ in range(steps):
        training_step(trainer.model, trainer.optimizer, batch.canvas, batch.labels, batch.randomness, plain)
    return trainer.model.parameters.values


right, norm = weights_by_ramnp()
start = prepared(plain)[0].model.parameters.values
check_output(
    weights_after_step,
    expected=right,
    mistakes={
        "no weight has moved": start,
        "it goes uphill": 2 * start - right,
        "the gradient is not clipped, or only after the update": weights_by_ramnp(clip=0.0)[0],
        "clip_gradients wants the norm, not its square": weights_by_ramnp(clip=plain.clip / norm)[0],
        "the rule is not that of config: policy_weight": weights_by_ramnp(policy_weight=1.0)[0],
        "the rule is not that of config: routing": weights_by_ramnp(routing="paper")[0],
    },
    tolerance=1e-9,
)
zeroed = np.allclose(weights_after_step(left_over=1.0), right, rtol=0, atol=1e-9)
require(zeroed, "the gradients of the step before are still in there: set them to zero before backward")
second = np.allclose(weights_after_step(steps=2), weights_by_ramnp(steps=2)[0], rtol=0, atol=1e-9)
require(second, "the first step is right, the second is not: is the update that of the optimizer, which has a memory?")

# %% [markdown]
# ## 5. It learns to look
#
# Everything is in place. The backward pass and the step are yours; the parts are those of `ramnp`, which are what you wrote
# in 02 to 06. While training, we keep what one should always look at: the error, the three losses, the gradient of each
# part, and where the policy points.


# %%
source = digits.source("train", NUMPY, prepared(small)[0].model.margin)  # with the border that the sensor needs


def train(config, steps, model_class, every=20):
    """Train a new network. Returns it, and means over every so many steps by name."""
    model = model_class(config, digits.image_shape, digits.classes, seed=config.seed)
    optimizer = get("optimizer", config.optimizer)(model.parameters, config)
    rng, spans, rows = np.random.default_rng(config.seed), model.parameters.spans(), []
    epochs = (source.batches(config.batch_size, rng) for _ in range(steps))
    stream = (batch for epoch in epochs for batch in epoch)
    for _, (canvas, labels, *_) in zip(range(steps), stream, strict=False):
        rollout, loss = training_step(model, optimizer, canvas, labels, model.draw(rng, len(labels)), config)
        gradients = model.parameters.gradients
        row = {"error": 100 - 100 * loss.reward} | loss.terms
        row |= {f"gradient of {part}": np.linalg.norm(gradients[span]) for part, span in spans.items()}
        if len(rollout.mu):
            row["|mu|"] = np.abs(rollout.mu).mean()
            row["spread of mu"] = rollout.mu.std(axis=1).mean()  # between the images of the batch
        rows.append(row)
    means = {name: np.array([row[name] for row in rows]).reshape(-1, every).mean(axis=1) for name in rows[0]}
    return model, means | {"step": every * np.arange(1, len(rows) // every + 1)}


steps = 40 if SHORT else 1000
model, learned = train(small, steps, RecurrentAttentionModel)
_, random = train(dataclasses.replace(small, policy="random"), steps, ramnp.network.model.RecurrentAttentionModel)

images, labels = digits.validation.images, digits.validation.labels
wrong = model.predict(images) != labels
print(f"error on {len(labels):,} digits it has never seen: {100 * wrong.mean():.1f} %")

# %%
_, ((error, terms), (norms, where)) = plt.subplots(2, 2, figsize=(9, 6))
error.plot(learned["step"], learned["error"], label="learned policy")
error.plot(random["step"], random["error"], ls="--", label="random locations")
error.set(ylabel="training error (%)", ylim=(0, 100), title="the error")
for name, style in (("action", "-"), ("baseline", "--"), ("policy", ":")):
    terms.plot(learned["step"], learned[name], ls=style, label={"action": "cross-entropy"}.get(name, name))
terms.axhline(np.log(10), color=figures.INK, lw=0.8, ls=":")
terms.text(learned["step"][-1], np.log(10), "knows nothing: log 10", ha="right", va="bottom", fontsize=8)
terms.set(ylabel="loss", ylim=(-0.1, 2.6), title="the three losses")
for name in learned:
    if name.startswith("gradient"):
        norms.semilogy(learned["step"], learned[name], label=name.removeprefix("gradient of "))
norms.set(ylabel="norm, after clipping", ylim=(0.005, 10), title="gradients by part", xlabel="step")
where.plot(learned["step"], learned["|mu|"], label=r"mean of $|\mu|$")
where.plot(learned["step"], learned["spread of mu"], ls="--", label="spread between images")
where.set(ylabel="unit: half the image", ylim=(0, 0.5), title="where the policy points", xlabel="step")
for axes in (error, terms, where):
    axes.legend(fontsize=8)
_ = norms.legend(fontsize=8, ncols=3, loc="lower left")

# %% [markdown]
# How to read them.
#
# - **The error** is what counts. The learned policy is far below random locations after as many steps: choosing where
#   to look is worth something, even after this little training.
# - **The cross-entropy** is above log 10 for the first few steps only, which the means over 20 steps hide: the state of
#   a new network is large, so it is sure, and wrong. **The baseline's loss** rises first, and that is no mistake:
#   who is always wrong is easily predicted. A reward of 0 or 1 is hardest to predict where it is a coin toss: 1/4.
#   **The policy's** says nothing.
# - **The gradients** should be neither zero nor growing. That of the policy is small here because its weight is.
# - **The policy** stays in the middle half of the image, where the digits are. The *spread between images* is the
#   interesting one, and keeps growing: while it is zero, the policy looks at the same places in all images, whatever it
#   sees.
#
# Press play.

# %%
shown = 2 if SHORT else 5
animate_glimpses(model, images[:shown], labels[:shown])

# %% [markdown]
# ## 6. What goes wrong
#
# A wrong gradient rarely raises an error. The program runs, the loss even falls, and the network is bad. Below are four
# trainings, A to D, each with *one* thing wrong:
#
# | name | what |
# |---|---|
# | `"narrow"` | std is 0.001: it hardly tries anything but its mean |
# | `"wide"` | std is 1: half the image |
# | `"sign"` | the minus sign of the surrogate loss is missing |
# | `"detach"` | the policy's gradient reaches the core, and its weight is 10 (0.01 in the right one) |

# %%
NAMES = ("narrow", "wide", "sign", "detach")
ORDER = np.random.default_rng(12).permutation(4)  # which of them is A, B, C, D


def policy_loss_backward(advantage):
    return advantage / advantage.shape[1]  # should be -advantage


def gone_wrong(name, steps):
    changes = {"narrow": {"std": 0.001}, "wide": {"std": 1.0}, "detach": {"routing": "paper", "policy_weight": 10.0}}
    config = dataclasses.replace(small, **changes.get(name, {}))
    with using(*([policy_loss_backward] if name == "sign" else [])):
        return train(config, steps, ramnp.network.model.RecurrentAttentionModel)


steps = 20 if SHORT else 300
failures = {letter: gone_wrong(NAMES[number], steps)[1] for letter, number in zip("ABCD", ORDER, strict=True)}

# %%
figure, rows = plt.subplots(3, 4, figsize=(10, 6), sharex=True, sharey="row")
few = learned["step"] <= steps
for column, (letter, run) in zip(rows.T, failures.items(), strict=True):
    for axes, name in zip(column, ("error", "gradient of policy", "|mu|"), strict=True):
        axes.plot(learned["step"][few], learned[name][few], color=figures.SKY, lw=4, label="the right one")
        axes.plot(run["step"], run[name], color=figures.RED, label=letter)
    column[2].plot(learned["step"][few], learned["spread of mu"][few], color=figures.SKY, lw=4, ls=":")
    column[2].plot(run["step"], run["spread of mu"], color=figures.RED, ls="--", label="spread between images")
    column[1].set(yscale="log")
    column[0].set_title(letter)
    column[2].set(xlabel="step", ylim=(0, 1.05))
for axes, name in zip(
    rows[:, 0], ("training error (%)", "policy's gradient\n(norm)", "$|\\mu|$ (1: half\nthe image)"), strict=True
):
    axes.set_ylabel(name)
figure.align_ylabels()
handles, names = rows[2, 0].get_legend_handles_labels()
_ = figure.legend(handles, [names[0], "with one thing wrong", names[2]], loc="outside lower center", ncols=3)

# %% [markdown]
# ### Exercise 7.5: which is which?
#
# Say for A, B, C and D what was wrong with it.
#
# <details><summary>Hint</summary>
#
# The score is $(l - \mu) / \text{std}^2$, and $l - \mu$ is about std: so how large is the policy's gradient for a
# tiny std, and for a large one? Where would a policy go that looks for *less* reward? And two have a gradient of the
# policy near 5, where clipping begins. In one of them that noise stays in the policy; in the other it goes on into the
# core, and shakes all that makes the state. Which of the two still learns to read?
# </details>

# %% exercise="which"
diagnosis = None  # replace None: {"A": "narrow", ...}
### BEGIN SOLUTION
diagnosis = {"A": "wide", "B": "sign", "C": "detach", "D": "narrow"}
### END SOLUTION

# %% check="which" points=2
CLUES = {
    "narrow": "its policy's gradient is near the limit, and yet it learns to read, slowly. What in the score is large?",
    "wide": "its policy's gradient is far below the right one from the first step. What in the score makes it small?",
    "sign": "its gradient starts like the right one, but its policy walks to the border, where the answers are wrong",
    "detach": "its policy's gradient is near the limit, and its answers stay bad: the whole network is shaken",
}
require(diagnosis is not None, "not written yet: it is still None")
require(isinstance(diagnosis, dict) and set(diagnosis) == set("ABCD"), 'write a dictionary: {"A": "narrow", "B": ...}')
for letter, number in zip("ABCD", ORDER, strict=True):
    said = diagnosis[letter]
    require(said in NAMES, f"{letter}: {said!r} is none of {', '.join(NAMES)}")
    require(said == NAMES[number], f"{letter} is not {said!r}: {CLUES[NAMES[number]]}")
print("all four: right")

# %% [markdown]
# What to remember of them:
#
# - **std too small.** The gradients are of the size of 1/std, nearly all of it noise. Clipping limits the norm of *all*
#   gradients together, here to 5, so the noise of the policy leaves the other parts a small share of it, and another
#   one at each step. (Adam, which divides by the usual size of a gradient, makes up for much of that.) And nothing is
#   explored. **std too large:** the locations are nearly random, many of them lie beyond the border, and the network
#   reads accordingly.
# - **A flipped sign** does not diverge. The policy goes where the answers are wrong, to the border, and the rest of the
#   network does what it can with that. Watch $|\mu|$.
# - **A collapse** is when all means sit at the border and are the same for all images: there, tanh is flat,
#   $1 - \mu^2$ is zero, and no gradient gets it out. Watch the spread between images.
# - **A missing detach** breaks everything if the weight is large, as in the run that hardly learned. With a small
#   weight, it does not even show. Below are two more: the policy's gradient in the core again, but with the usual
#   weight of 0.01, and the baseline's gradient in the core. (The first is what `routing="paper"` does: wrong here, where
#   the configuration says "detached".) Can you tell from the curves?


# %%
class PolicyLeaks(MistakenModel):
    mistake = "policy not detached"


class BaselineLeaks(MistakenModel):
    mistake = "baseline leaks"


leaks = {model_class.__name__: train(small, steps, model_class)[1] for model_class in (PolicyLeaks, BaselineLeaks)}
_, axes = plt.subplots()
axes.plot(learned["step"][few], learned["error"][few], color=figures.SKY, lw=6, label="the right one")
for (name, run), color, style in zip(leaks.items(), (figures.RED, figures.PURPLE), ("-", "--"), strict=True):
    axes.plot(run["step"], run["error"], color=color, ls=style, label=name)
axes.set(xlabel="step", ylabel="training error (%)", ylim=(0, 100), title="which of these is right?")
_ = axes.legend()

# %% [markdown]
# They can even look better: here by chance; and where a digit has to be found first, the paper's routing helps indeed
# ([what was tried](../docs/results_log.md)). Whether the code does what its configuration says, no curve tells. But this
# does, in a second:

# %%
for model_class in (PolicyLeaks, BaselineLeaks):
    try:
        with contextlib.redirect_stdout(None):  # the tables are long
            check(model_class)
    except AssertionError as error:
        print(f"{model_class.__name__}: ...", str(error).split(": ", 2)[-1])

# %% [markdown]
# That is why this course checks every gradient, and why a rule of this project says that a training is no test.
#
# ## What you can now do
#
# - Write down the hybrid loss, and say of each of its gradients where it goes and where it must stop.
# - Write the backward pass of a network that decides, and check all of it at once.
# - Write a training step, and say what each of its lines is for.
# - Read the curves: the error, three losses, gradients by part, where the policy points.
# - Recognise a std too small or too large, a flipped sign, a collapse; and know which mistakes do not show.
#
# **Next:** [08](08_where_is_the_digit.ipynb), where is the digit: images in which looking in the right place is everything.
