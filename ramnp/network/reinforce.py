"""The learning rule: a hybrid of supervised learning and REINFORCE (paper, section 3.2).

The answer is trained by cross-entropy. The locations are not differentiable, so they are trained by
the score function: with a reward of 1 for a right answer and 0 for a wrong one, and J its expectation,

    grad J = E[ sum_t (reward - b_t) grad log pi(l_{t+1} | mu_t) ],

and the baseline b_t, which changes the variance of that estimate and not its mean, is regressed on the
reward. The function whose gradient is all of this is the surrogate loss

    L =   cross-entropy(log p, label)
        - policy_weight * mean over rollouts of  sum over t of  advantage_t log pi(l_{t+1} | mu_t)
        + mean over rollouts and t of (b_t - reward)^2,

in which the sampled l, the reward and advantage_t = reward - b_t are constants (Williams 1992).

That is the paper's rule: one answer, and one reward for all locations alike. Beside it stands another (`Gain`). What
the network would answer if it stopped at t is read off h_t in the same way, and trained: the cross-entropy of each
answer before the last is added to L, with the weight `early_weight`. A glimpse gains what it adds to the probability of
the label, and in place of the reward l_{t+1} has, as a constant like it,

    return_t = gain_{t+1} + discount gain_{t+2} + discount^2 gain_{t+3} + ...,
    gain_t = p_t - p_{t-1},    p_t = softmax(h_t W_a + b_a)[label],    p_0 = 0.

With a discount of 0 each location is rewarded for its own glimpse alone: every one then has an objective of its own.
With 1 the gains add up to p_T - p_t. That is one objective for all again, the probability of a right answer at the end:
p_t was known before the location was chosen, and so, like a baseline, changes nothing but the variance.
"""

from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import Array
from ramnp.network.layers import cross_entropy, cross_entropy_backward, one_hot
from ramnp.network.policy import GaussianPolicy

TERMS = ("action", "policy", "baseline")


class Gain(NamedTuple):
    """The rule that rewards locations for what their glimpses add: see above.

    Attributes:
        early_weight: of the cross-entropy of the answers before the last.
        discount: of the gains of later glimpses.
    """

    early_weight: float
    discount: float


class HybridLoss(NamedTuple):
    """The loss by terms, and the gradients that start the backward pass.

    R rollouts, S sampled locations in each, A classes.

    Attributes:
        terms: the three terms of L by name (`TERMS`), 0-d arrays; "action" has the earlier answers in it.
        reward: the share of right answers after the last glimpse, a 0-d array.
        dlogits: (R, A), of the last answer.
        dmu: (S, R, 2).
        dbaseline: (S, R).
        dearlier: (T - 1, R, A), of the logits of the answers before, or None where they are not trained.
    """

    terms: dict[str, Array]
    reward: Array
    dlogits: Array
    dmu: Array
    dbaseline: Array
    dearlier: Array | None = None


def rewards(log_p: Array, labels: Array) -> Array:
    """(R,) 1 where the likeliest class is the label, else 0, in the type of log_p."""
    return (log_p.argmax(axis=1) == labels).astype(log_p.dtype)


def gain_returns(earlier: Array, log_p: Array, labels: Array, sampled: int, discount: float, xp: Any = np) -> Array:
    """(S, R) the returns of the last S = `sampled` locations, from the answers before the last and the last."""
    answers = xp.concatenate([earlier, log_p[None]])
    p = (xp.exp(answers) * one_hot(labels, answers.shape[2], xp)).sum(axis=2)
    returns = p.copy()
    returns[1:] -= p[:-1]
    returns = returns[len(p) - sampled :]
    for s in reversed(range(sampled - 1)):
        returns[s] += discount * returns[s + 1]
    return returns


def policy_loss(advantage: Array, log_pi: Array) -> Array:
    """-mean over rollouts of the sum over t of advantage_t log pi, from (S, R) each. A 0-d array."""
    return -(advantage * log_pi).sum() / advantage.shape[1]


def policy_loss_backward(advantage: Array) -> Array:
    """d policy_loss / d log pi = -advantage / (number of rollouts). The advantage is a constant."""
    return advantage / -advantage.shape[1]


def baseline_loss(baseline: Array, reward: Array) -> Array:
    """mean of (b_t - reward)^2, from the baseline (S, R) and the reward, (R,) or (S, R). A 0-d array."""
    error = baseline - reward
    return (error * error).sum() / max(error.size, 1)  # S = 0: nothing was decided


def baseline_loss_backward(baseline: Array, reward: Array) -> Array:
    """dbaseline = 2 (b_t - reward) / size. The reward is a constant."""
    return (baseline - reward) * (2 / max(baseline.size, 1))


def loss_terms(
    log_p: Array,
    labels: Array,
    log_pi: Array,
    advantage: Array,
    baseline: Array,
    reward: Array,
    policy_weight: float,
    xp: Any = np,
    earlier: Array | None = None,
    gain: Gain | None = None,
) -> dict[str, Array]:
    """The three terms of L, from the shapes above and below."""
    action = cross_entropy(log_p, labels, xp)
    if gain:
        action += gain.early_weight * cross_entropy(earlier, labels, xp)
    return {
        "action": action,
        "policy": policy_weight * policy_loss(advantage, log_pi),
        "baseline": baseline_loss(baseline, reward),
    }


def hybrid_loss(
    log_p: Array,
    labels: Array,
    mu: Array,
    samples: Array,
    baseline: Array,
    policy: GaussianPolicy,
    policy_weight: float,
    xp: Any = np,
    earlier: Array | None = None,
    gain: Gain | None = None,
) -> HybridLoss:
    """L and where its gradient enters the network.

    Args:
        log_p: (R, A) after the last glimpse.
        labels: (R,) integers.
        mu, samples: (S, R, 2) means and unclipped samples of the last S locations.
        baseline: (S, R).
        earlier: (T - 1, R, A) after the glimpses before, where `gain` is the rule, and not the paper's.
    """
    right = rewards(log_p, labels)
    reward = gain_returns(earlier, log_p, labels, len(mu), gain.discount, xp) if gain else right
    advantage = reward - baseline
    log_pi = policy.log_prob(samples, mu)
    dlog_pi = policy_weight * policy_loss_backward(advantage)
    return HybridLoss(
        terms=loss_terms(log_p, labels, log_pi, advantage, baseline, reward, policy_weight, xp, earlier, gain),
        reward=right.mean(),
        dlogits=cross_entropy_backward(log_p, labels, xp),
        dmu=policy.log_prob_backward(dlog_pi, samples, mu),
        dbaseline=baseline_loss_backward(baseline, reward),
        dearlier=gain.early_weight * cross_entropy_backward(earlier, labels, xp) if gain else None,
    )
