# %% [markdown]
# # 06 A policy that cannot be differentiated
#
# **What you will build:** the part of the network that decides where to look, and the learning rule that trains it
# although a decision has no derivative. You measure that rule against a problem whose answer is known, see how noisy it
# is, and take most of the noise away. Then it goes to work in the real model.
#
# *About 45 minutes. You need 05, and what an expectation and a variance are.*

# %%
# On a hosted notebook: put this course's repository for REPOSITORY, and remove the "#" of the next line.
# %pip install "ramnp[cuda12] @ git+REPOSITORY"
import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from ramnp import data
from ramnp.config import Config
from ramnp.gradcheck import check, check_answer, check_output, numerical_gradient
from ramnp.network.layers import Linear
from ramnp.teaching import SHORT, figures
from ramnp.teaching.animations import film
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import using

figures.use_style()

# %% [markdown]
# ## 1. A reward has no slope
#
# The network looks at a location $l$, answers, and is told one thing: right or wrong. That is the *reward*: 1 or 0.
# How should $l$ change for more of it? Let us make the problem as small as it gets. There is a square somewhere in the
# image, and whoever looks into it is rewarded:
#
# $$R(l) = 1 \text{ if } |l_x - c_x| < w \text{ and } |l_y - c_y| < w \text{, else } 0 .$$

# %%
CENTRE, HALF = np.array([0.5, 0.3]), 0.4  # c and w; as everywhere, the image reaches from -1 to 1


def reward_at(location):
    """R (...,) of locations l (..., 2)."""
    return (np.abs(location - CENTRE) < HALF).all(axis=-1).astype(float)


# %% [markdown]
# $R$ is flat nearly everywhere: its derivative is 0 inside and outside, and at the edge there is none. Backward through
# it gives zero, however right the code. The same is true of a network's answer, and the samples that lead to it.
#
# The way out is not to choose $l$, but the *odds* of each $l$. A Gaussian with mean $\mu$ and a fixed standard
# deviation is drawn from,
#
# $$l \sim \mathcal{N}(\mu, \text{std}^2 I) ,$$
#
# and what shall grow is the reward that is *expected*: $J(\mu) = E[R(l)]$. Move $\mu$ a little, and a little more of
# the Gaussian lies in the square. So $J$ has a slope, although $R$ has none. For a square, $J$ is even known: with
# $\Phi$, the distribution function of the standard normal,
#
# $$J(\mu) = \prod_{k = x, y} \left[ \Phi\!\left(\frac{c_k + w - \mu_k}{\text{std}}\right) -
# \Phi\!\left(\frac{c_k - w - \mu_k}{\text{std}}\right) \right] .$$

# %%
Phi = np.vectorize(lambda z: (1 + math.erf(z / math.sqrt(2))) / 2)


def expected_reward(mu, std, centre=CENTRE):
    """J (...,) of means mu (..., 2)."""
    return (Phi((centre + HALF - mu) / std) - Phi((centre - HALF - mu) / std)).prod(axis=-1)


x = np.linspace(-1, 1.5, 501)
along_x = np.stack([x, np.full_like(x, CENTRE[1])], axis=1)
_, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
left.plot(x, reward_at(along_x), color=figures.INK)
left.set(xlabel="where it looks, $l_x$ (image: -1 to 1)", ylabel="reward $R$", title="of one look")
for std, style in ((0.05, ":"), (0.15, "--"), (0.4, "-")):
    right.plot(x, expected_reward(along_x, std), ls=style, label=f"std {std}")
right.set(xlabel=r"mean $\mu_x$ (image: -1 to 1)", ylabel="expected reward $J$", title="expected")
_ = right.legend(loc="upper left")

# %% [markdown]
# Note what std does. A wide Gaussian is blurred: it cannot stay in the square even when its mean does. A narrow one
# hardly has a slope where its mean is far away: it never looks there, so it never learns that there is something.
# This is *exploration*, and std is all there is of it here.
#
# For one mean and one std, these are the true values. We shall see how near one gets *without knowing the square*,
# only by looking and being rewarded.

# %%
MU, STD = np.array([0.35, 0.05]), 0.2
J = expected_reward(MU, STD)
exact = numerical_gradient(lambda: expected_reward(MU, STD), MU)  # central differences, as in 01
print(f"J = {J:.3f},  dJ/dmu = ({exact[0]:.3f}, {exact[1]:.3f})")

# %% [markdown]
# ## 2. What can be differentiated
#
# The sample cannot, but its probability can. The density of two independent Gaussians is a product, its logarithm a sum
# over x and y:
#
# $$\pi(l \mid \mu) = \frac{1}{2 \pi \, \text{std}^2} \, e^{-|l - \mu|^2 / (2\, \text{std}^2)} , \qquad
# \log \pi(l \mid \mu) = - \frac{|l - \mu|^2}{2\, \text{std}^2} - \log (2 \pi \, \text{std}^2) .$$
#
# ### Exercise 6.1: the log-probability, both ways
#
# `sample` and `mu` have shape (..., 2), and `log_prob` returns (...,): one number for a pair of coordinates. Derive its
# gradient with respect to $\mu$. The sample is a constant here: it was drawn, and now it is a fact.
#
# <details><summary>Hint</summary>
#
# $|l - \mu|^2 = (l_x - \mu_x)^2 + (l_y - \mu_y)^2$: sum over `axis=-1`. Its derivative with respect to $\mu_x$ is $-2
# (l_x - \mu_x)$. `dlog_prob` lacks the last axis that the result has: `dlog_prob[..., None]` adds it.
# </details>


# %% exercise="log-prob"
def log_prob(sample, mu, std):
    """log pi(l | mu), (...,) from (..., 2)."""
    ### BEGIN SOLUTION
    squares = ((sample - mu) ** 2).sum(axis=-1)
    return -squares / (2 * std**2) - np.log(2 * np.pi * std**2)
    ### END SOLUTION


def log_prob_backward(dlog_prob, sample, mu, std):
    """dmu (..., 2)."""
    ### BEGIN SOLUTION
    return dlog_prob[..., None] * (sample - mu) / std**2  # d log pi / d mu = (l - mu) / std^2
    ### END SOLUTION


# %% check="log-prob" points=2
check(log_prob, log_prob_backward)

# %% [markdown]
# $$\nabla_\mu \log \pi(l \mid \mu) = \frac{l - \mu}{\text{std}^2}$$
#
# is called the *score*. It is an arrow from the mean to the sample: follow it, and this sample becomes likelier.
#
# **Which sample?** Some samples lie outside the image, and the sensor then looks at the nearest place inside. It is
# tempting to put that clipped location into $\log \pi$. But it was not drawn from the Gaussian: all that lies outside
# is squeezed onto the edge, where the Gaussian's density knows nothing of it. $\log \pi$ wants *the sample as it was
# drawn*.
#
# ## 3. The trick
#
# Write the expectation as an integral and differentiate. $R$ does not depend on $\mu$, only the odds do:
#
# $$\nabla J = \nabla \int \pi(l \mid \mu) \, R(l) \, dl = \int \nabla \pi(l \mid \mu) \, R(l) \, dl .$$
#
# That is no expectation any more, so it cannot be sampled. But $\nabla \log \pi = \nabla \pi / \pi$, and therefore
# $\nabla \pi = \pi \, \nabla \log \pi$:
#
# $$\nabla J = \int \pi(l \mid \mu) \; R(l) \, \nabla \log \pi(l \mid \mu) \, dl
# = E\big[ R(l) \, \nabla \log \pi(l \mid \mu) \big] .$$
#
# There is no derivative of $R$ in it. Draw an $l$, see what reward it brings, and multiply the score by it: the
# average of many such products is the gradient. This is **REINFORCE** (Williams 1992), or the score-function
# estimator.
#
# ### Exercise 6.2: one estimate from each look
#
# Write `estimates`: for n samples and their rewards, n estimates of $\nabla J$. Do not average them yet. The
# `baseline` is a number that is taken from every reward first; its time will come in section 5, and until then it is
# zero.
#
# <details><summary>Hint</summary>
#
# The score is `log_prob_backward` with a certain `dlog_prob`. Which one gives reward times score?
# </details>


# %% exercise="estimates"
def estimates(rewards, samples, mu, std, baseline=0.0):
    """(n, 2) estimates of dJ/dmu from rewards (n,) and samples (n, 2), with mu (2,)."""
    ### BEGIN SOLUTION
    return log_prob_backward(rewards - baseline, samples, mu, std)
    ### END SOLUTION


# %% check="estimates" points=2
rewards, samples = np.array([1.0, 0.0, 1.0]), np.array([[0.5, 0.0], [-0.4, 0.2], [0.1, -0.7]])
arrows = np.array([[7.5, 2.5], [-15, 7.5], [-2.5, -15]])  # (l - mu) / std^2 with std 0.2
for baseline in (0.0, 0.25):
    advantage = (rewards - baseline)[:, None]
    mistakes = {
        "the rewards are not used: a score alone points anywhere": arrows,
        "the baseline is not used: it is taken from each reward": rewards[:, None] * arrows,
        "the baseline is added: it is taken from each reward": (rewards + baseline)[:, None] * arrows,
        "the baseline is taken from the estimates: take it from the rewards": rewards[:, None] * arrows - baseline,
        "the sign is wrong: J is to grow, and this is its gradient, not that of a loss": -advantage * arrows,
        "divided by std, not by std^2": 0.2 * advantage * arrows,
    }
    if baseline == 0:
        mistakes = {text: wrong for text, wrong in mistakes.items() if "the baseline" not in text}
    print(f"baseline {baseline}", end=": ")
    check_output(
        estimates,
        rewards,
        samples,
        np.array([0.2, -0.1]),
        0.2,
        baseline,
        expected=advantage * arrows,
        mistakes=mistakes,
    )

# %% [markdown]
# Let us look at it. Below on the left are 60 looks. The arrows point to those that hit; the others count as zero,
# and the average over all 60 is the estimate. On the right, the average over more and more looks.

# %%
rng = np.random.default_rng(0)
samples = MU + STD * rng.standard_normal((100_000, 2))  # l = mu + std noise
rewards = reward_at(samples)
each = estimates(rewards, samples, MU, STD)

_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
left.add_patch(Rectangle(CENTRE - HALF, 2 * HALF, 2 * HALF, fc=figures.PAPER, ec=figures.INK))
for sample, reward in zip(samples[:60], rewards[:60], strict=True):
    if reward:
        left.plot(*np.stack([MU, sample], axis=1), color=figures.GREEN, lw=0.6)
    left.plot(*sample, "o" if reward else "x", ms=4, color=figures.GREEN if reward else figures.ORANGE)
few = each[:60].mean(axis=0)
for vector, color, label in ((exact, figures.INK, "exact"), (few, figures.RED, "from these 60")):
    left.quiver(*MU, *vector, angles="xy", scale_units="xy", scale=2.5, color=color, width=0.012, label=label, zorder=3)
left.set(xlabel="$l_x$ (image: -1 to 1)", ylabel="$l_y$", xlim=(-1, 1), ylim=(1, -1), aspect="equal")
left.set_title(r"looks, and $\nabla J$ (arrows to scale among themselves)", fontsize=9)
left.legend(fontsize=8, loc="upper left")

count = np.arange(1, len(each) + 1)
means = each.cumsum(axis=0) / count[:, None]
band = 2 * each.std(axis=0) / np.sqrt(count)[:, None]
for axis, (name, color) in enumerate((("x", figures.BLUE), ("y", figures.ORANGE))):
    right.semilogx(count, means[:, axis], color=color, label=f"along {name}")
    right.fill_between(count, *(exact[axis] + sign * band[:, axis] for sign in (-1, 1)), color=color, alpha=0.2, lw=0)
    right.axhline(exact[axis], color=color, ls=":", lw=1)
right.set(xlabel="looks averaged", ylabel=r"estimate of $\partial J / \partial \mu$", ylim=(-5, 7))
right.set_title("dotted: exact; shaded: two standard errors", fontsize=9)
_ = right.legend()

# %% [markdown]
# The average comes out where it should, and only the rewards were used. (The y axis of locations points down, as in
# images.) But look how long it takes: with ten looks, even the sign may be wrong.
#
# ## 4. How noisy?
#
# ### Exercise 6.3: when nothing is to be learned
#
# Suppose that the network is good: *every* answer is right, so $R = 1$ wherever it looks. There is nothing to
# improve, and the exact gradient is zero. What is the standard deviation of one estimate of $\partial J / \partial
# \mu_x$, with a std of 0.05?
#
# <details><summary>Hint</summary>
#
# With $R = 1$ the estimate is $(l_x - \mu_x) / \text{std}^2$, and $l_x - \mu_x = \text{std} \cdot \text{noise}$,
# where the noise has standard deviation 1.
# </details>

# %% exercise="noise"
deviation = None  # replace None: a number, or a formula
### BEGIN SOLUTION
deviation = 1 / 0.05  # std noise / std^2
### END SOLUTION

# %% check="noise" points=1
check_answer(
    deviation,
    expected=20,
    mistakes={
        "that is the variance; its root is asked for": 400,
        "that is the mean of the estimates; how far do they spread?": 0,
        "that is how far the samples spread; what are they divided by?": 0.05,
        "that is the noise alone; it is multiplied by std and divided by std^2": 1,
    },
)

# %% [markdown]
# So a network that does everything right is told, after each look, to move its mean by 20 in a random direction, in
# an image that is 2 wide. The smaller std, the worse.
#
# One remedy is patience: average over many looks, over M *rollouts* of each image and all images of a batch. The
# variance falls as 1/M. There is a cheaper one.
#
# ## 5. The baseline
#
# Subtract a number $b$ from the reward. The estimates change, but their mean does not:
#
# $$E\big[ b \, \nabla \log \pi \big] = b \int \pi \, \nabla \log \pi \, dl = b \int \nabla \pi \, dl
# = b \, \nabla \! \int \pi \, dl = b \, \nabla 1 = 0 .$$
#
# So $\nabla J = E\big[ (R - b) \, \nabla \log \pi \big]$ for any $b$ that does not depend on $l$. What is left of the
# reward, $R - b$, is the *advantage*: better or worse than expected. In the example above, $b = 1$ takes all the
# noise away.
#
# ### Exercise 6.4: the best baseline
#
# Which $b$ is best? Write $s$ for the score. The mean is the same for all $b$, so the variance is smallest where
# $E\big[ (R - b)^2 |s|^2 \big]$ is. Set its derivative with respect to $b$ to zero, solve for $b$, and write it with
# means over samples in place of expectations.
#
# <details><summary>Hint</summary>
#
# The derivative is $E\big[ {-2} (R - b) |s|^2 \big]$. Split it in two, and $b$ stands before one of them.
# </details>


# %% exercise="best-baseline"
def best_baseline(rewards, scores):
    """The b of least variance, from rewards (n,) and scores (n, 2): a number."""
    ### BEGIN SOLUTION
    squares = (scores**2).sum(axis=1)
    return (rewards * squares).mean() / squares.mean()  # b = E[R |s|^2] / E[|s|^2]
    ### END SOLUTION


# %% check="best-baseline" points=2
check_output(
    best_baseline,
    np.array([1.0, 0.0, 0.5]),
    np.array([[1.0, -2.0], [0.5, 0.5], [3.0, 1.0]]),
    expected=10 / 15.5,
    mistakes={
        "that is the mean reward: the looks with a long score count more": 0.5,
        "the denominator is missing: E[|s|^2]": 10 / 3,
        "|s| is not squared": (5**0.5 + 0.5 * 10**0.5) / (5**0.5 + 0.5**0.5 + 10**0.5),
        "|s|^2 is a sum over x and y, before the mean": (np.array([5.5, 4.5]) / np.array([10.25, 5.25])).mean(),
        "|s|^2 is that of a pair: it is not (s_x + s_y)^2": (1 + 8) / (1 + 1 + 16),
    },
)

# %%
scores = estimates(np.ones(len(samples)), samples, MU, STD)
candidates = np.linspace(-0.3, 1.1, 29)
variances = [estimates(rewards, samples, MU, STD, b).var(axis=0).sum() for b in candidates]
best = best_baseline(rewards, scores)
sizes, repeats = [1, 4, 16, 64, 256], 300
of_means = [
    [estimates(rewards, samples, MU, STD, b)[: repeats * m].reshape(repeats, m, 2).mean(axis=1).var(axis=0).sum()
     for m in sizes]
    for b in (0.0, best)
]  # fmt: skip

_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.plot(candidates, variances)
for b, name, color in ((0, "none", figures.RED), (J, "$J$", figures.GREEN), (best, "best", figures.PURPLE)):
    left.plot(b, np.interp(b, candidates, variances), "o", color=color, label=f"{name}: b = {b:.2f}")
left.set(xlabel="baseline b", ylabel="variance of one estimate", title="the baseline", ylim=(0, None))
left.legend()
for found, name, color in zip(of_means, ("none", "best"), (figures.RED, figures.PURPLE), strict=True):
    right.loglog(sizes, found, "o-", color=color, label=f"baseline: {name}")
right.loglog(sizes, of_means[0][0] / np.array(sizes), color=figures.INK, ls=":", lw=1, label="slope of 1/M")
right.set(xlabel="looks averaged, M", ylabel="variance of their mean", title="patience")
_ = right.legend()

# %% [markdown]
# A parabola, as the derivation says. The best $b$ is below the mean reward $J$, since looks that go far, which weigh
# most, are rewarded less often. But $J$ takes most of that noise away, too, and $J$ is what everybody uses: it can be
# learned by regression, whatever the policy. In the real model it even depends on what has been seen so far, $b_t =
# h_t W_b + b_b$: a clear digit deserves a high expectation. That is allowed: $b_t$ may depend on all that came before
# the sample $l_{t+1}$, only not on $l_{t+1}$ itself.
#
# ## 6. The policy
#
# Where $\mu$ comes from is an ordinary network, so from here on all is as in 02. The state says where to look next:
#
# $$\mu_t = \tanh(h_t W_\mu + b_\mu) , \qquad l_{t+1} \sim \mathcal{N}(\mu_t, \text{std}^2 I) .$$
#
# The tanh, the *squash*, keeps the mean in the image. (`ramnp` puts a hidden layer in front, unless told `policy_hidden=0`.)
#
# ### Exercise 6.5: the policy network
#
# Write its backward: from `dmu` to `dh`.
#
# <details><summary>Hint</summary>
#
# Two steps, in reverse. First the tanh of 01, $da = d\mu \, (1 - \mu^2)$, then the Linear, whose backward takes `da`
# and its own cache.
# </details>


# %% exercise="policy"
class LocationPolicy:
    """mu = tanh(h W_mu + b_mu), with h (rows, N) and mu (rows, 2)."""

    def __init__(self, units, rng):
        self.mean = Linear(units, 2, rng, gain=0.1, dtype=np.float64)  # a small gain: at first it looks near the centre

    def forward(self, h):
        a, mean_cache = self.mean.forward(h)
        mu = np.tanh(a)
        return mu, (mean_cache, mu)

    def backward(self, dmu, cache):
        mean_cache, mu = cache
        ### BEGIN SOLUTION
        da = dmu * (1 - mu * mu)  #                    da = dmu (1 - mu^2)
        return self.mean.backward(da, mean_cache)  #   dW += h^T da,  db += sum da,  dh = da W^T
        ### END SOLUTION


# %% check="policy" points=1
check(LocationPolicy)

# %% [markdown]
# ## 7. A loss
#
# Two things are still missing for the real model. It makes several decisions before it is rewarded. The probability
# of a whole path is the product of those of its steps, so its logarithm is a sum, and *every* decision on the path is
# credited with the same final reward:
#
# $$\nabla J = E\Big[ \sum_t (R - b_t) \, \nabla \log \pi(l_{t+1} \mid \mu_t) \Big] .$$
#
# And an optimizer goes down, not up. So one writes a function whose *gradient* is minus this estimate, and calls it a
# loss:
#
# $$L = - \frac{1}{\text{rollouts}} \sum_r \sum_t \text{advantage}_{tr} \, \log \pi_{tr} ,$$
#
# in which the advantage is a **constant**. It is computed from $b_t$, but nothing flows back through it. The value of
# this *surrogate* loss means nothing; only its gradient does.
#
# ### Exercise 6.6: the surrogate loss
#
# Both arrays have shape (T, rollouts). `policy_loss_backward` returns the gradient with respect to `log_pi`.
#
# <details><summary>Hint</summary>
#
# `advantage.shape[1]` is the number of rollouts: over these it is a mean, over time a sum. $L$ is linear in each
# $\log \pi_{tr}$: what stands before it?
# </details>


# %% exercise="policy-loss"
def policy_loss(advantage, log_pi):
    """L: a number, from advantage and log_pi (T, rollouts)."""
    ### BEGIN SOLUTION
    return -(advantage * log_pi).sum() / advantage.shape[1]
    ### END SOLUTION


def policy_loss_backward(advantage):
    """dlog_pi (T, rollouts)."""
    ### BEGIN SOLUTION
    return -advantage / advantage.shape[1]
    ### END SOLUTION


# %% check="policy-loss" points=2
check(policy_loss, policy_loss_backward)

# %% [markdown]
# ## 8. It learns
#
# Now all of it together, on a problem that wants *looking*: there are four squares, a state $h$ that says which of them
# counts, and a policy that must find out what the states mean. It is told rewards, nothing else.

# %%
SQUARES, SPREAD = np.array([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]), 0.2


def learn(steps, seed, with_baseline, rollouts=64, lr=0.1):
    """The means of the four states after each step, (steps + 1, 4, 2)."""
    rng = np.random.default_rng(seed)
    policy, b, path = LocationPolicy(4, rng), np.zeros(4), []
    for _ in range(steps):
        path.append(policy.forward(np.eye(4))[0])
        state = rng.integers(0, 4, rollouts)
        mu, cache = policy.forward(np.eye(4)[state])
        sample = mu + SPREAD * rng.standard_normal(mu.shape)  #            l ~ N(mu, std^2 I)
        reward = (np.abs(sample - SQUARES[state]) < HALF).all(axis=1).astype(float)
        advantage = reward - b[state] * with_baseline  #                   R - b
        dlog_pi = policy_loss_backward(advantage[None])[0]  #              one decision: T = 1
        policy.mean.dW[:], policy.mean.db[:] = 0, 0
        policy.backward(log_prob_backward(dlog_pi, sample, mu, SPREAD), cache)
        policy.mean.W -= lr * policy.mean.dW
        policy.mean.b -= lr * policy.mean.db
        np.add.at(b, state, 0.05 * (reward - b[state]))  #                 b follows the mean reward of its state
    return np.array([*path, policy.forward(np.eye(4))[0]])


steps = 60 if SHORT else 200
runs = {name: [learn(steps, seed, name == "baseline") for seed in range(8)] for name in ("no baseline", "baseline")}
best_possible = expected_reward(SQUARES[0], SPREAD, SQUARES[0])

_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
for (name, paths), color in zip(runs.items(), (figures.RED, figures.BLUE), strict=True):
    curves = np.array([expected_reward(path, SPREAD, SQUARES).mean(axis=1) for path in paths])
    for axes, values in ((left, curves), (right, best_possible - curves)):
        axes.plot(values.T, color=color, lw=0.5, alpha=0.4)
        axes.plot(values.mean(axis=0), color=color, label=name)
left.axhline(best_possible, color=figures.INK, ls=":", lw=1)
left.text(len(curves[0]), best_possible, "the most with this std", va="bottom", ha="right", fontsize=9)
left.set(xlabel="step (64 looks each)", ylabel="expected reward J", title="thin: 8 seeds; thick: mean", ylim=(0, 1.05))
right.set(xlabel="step (64 looks each)", ylabel="most, less J", title="what it still misses", yscale="log")
_ = left.legend(loc="lower right")

# %% [markdown]
# Both get there, since both are right on average. In the end, where nearly every look is rewarded, noise is all that
# is left, and the one with the baseline has less of it. (Thin lines that pause on the way wait for a
# square that hardly a look has hit yet: where nothing is rewarded, nothing is learned.)
#
# Here is the path of one. Press play: dots are looks, green ones were rewarded.


# %%
def animate_learning(path, looks=12):
    """A film of the four means, and some looks from each."""
    figure, axes = plt.subplots(figsize=(4, 4.2), dpi=80)
    rng, colors = np.random.default_rng(0), (figures.BLUE, figures.ORANGE, figures.PURPLE, figures.SKY)

    def draw(step):
        axes.clear()
        for state, color in enumerate(colors):
            corner = SQUARES[state] - HALF
            axes.add_patch(Rectangle(corner, 2 * HALF, 2 * HALF, fc=color, alpha=0.15))
            samples = path[step, state] + SPREAD * rng.standard_normal((looks, 2))
            hit = (np.abs(samples - SQUARES[state]) < HALF).all(axis=1)
            axes.scatter(*samples.T, s=8, marker="o", color=[figures.GREEN if each else figures.INK for each in hit])
            axes.plot(*path[: step + 1, state].T, color=color, lw=2)
            axes.plot(*path[step, state], "o", color=color, ms=9, mec=figures.INK)
        axes.set(xlim=(-1, 1), ylim=(1, -1), aspect="equal", title=f"step {step}", xlabel="$l_x$", ylabel="$l_y$")

    frames = np.unique(np.linspace(0, np.sqrt(len(path) - 1), 6 if SHORT else 25).astype(int) ** 2)
    return film(figure, draw, frames, 0.3)


animate_learning(runs["baseline"][0])

# %% [markdown]
# ## 9. In the real model
#
# `ramnp`'s policy has `log_prob` and `log_prob_backward` as methods, which know their std. Two lines of glue, and yours
# take their place, with your surrogate loss. Below, six glimpses are trained on digits, twice from the same seed.


# %%
class GaussianPolicy:
    def log_prob(self, sample, mu):
        return log_prob(sample, mu, self.std)

    def log_prob_backward(self, dlog_prob, sample, mu):
        return log_prob_backward(dlog_prob, sample, mu, self.std)


digits = data.load(Config(dataset="mnist"))
small = Config(units=128, glimpse_units=128, what_units=64, where_units=64, policy_hidden=0, batch_size=128)
steps = 20 if SHORT else 400
theirs = train_briefly(small, digits, steps)
with using(GaussianPolicy, policy_loss, policy_loss_backward):
    yours = train_briefly(small, digits, steps)

difference = np.abs(yours.losses["policy"] - theirs.losses["policy"]).max()
print(f"largest difference of the surrogate losses: {difference:.1e}")

# %%
_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
for moment, color, width, name in ((theirs, figures.SKY, 6, "ramnp's"), (yours, figures.RED, 1.8, "yours")):
    left.plot(moment.steps, moment.losses["policy"], color=color, lw=width, label=name)
    right.plot(moment.steps, moment.error, color=color, lw=width, label=name)
left.axhline(0, color=figures.INK, lw=0.8, ls=":")
left.set(xlabel="step", ylabel="surrogate loss", title="the surrogate: says nothing")
right.set(xlabel="step", ylabel="training error (%)", title="the error: says it all", ylim=(0, 100))
_ = right.legend()

# %% [markdown]
# One curve lies on the other again. And as promised, the surrogate says nothing: it stays a little below zero, and if
# anything rises, while the network gets better. Never judge a training by it.
#
# `python -m ramnp.gradcheck.estimator` repeats section 3 for the code of `ramnp` itself, with 400,000 looks and a
# reward that is integrated by quadrature; `docs/gradcheck.md` has what it found.
#
# **A thought to take along.** One reward for a whole path: the fifth look is praised for what the second one saw. Who
# answers after *every* look can praise each for what it added, which is far less noisy, and is no longer quite the same
# aim. `ramnp/network/reinforce.py` has this rule beside the paper's (`--reward gain`), and `docs/results_log.md` tells what it
# did to a policy that had to find its digit.
#
# ## What you can now do
#
# - Say why a sampled decision cannot be differentiated, and what can.
# - Derive REINFORCE, and measure that it is right on average.
# - Say how noisy it is, and what std, rollouts and a baseline do about it.
# - Prove that a baseline leaves the mean alone, and find the best one.
# - Write a Gaussian policy and its surrogate loss, and say what is constant in it.
#
# **Next:** [07](07_putting_it_together.ipynb), putting it together: three losses, one network, and where each gradient must stop.
