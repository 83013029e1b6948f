"""The learning rule: a hybrid of supervised learning and REINFORCE (paper, section 3.2).

The answer is trained by cross-entropy. The locations are not differentiable, so they are trained by
the score function: with R = 1 for a right answer and 0 for a wrong one,

    grad J = E[ sum_t (R - b_t) grad log pi(l_{t+1} | mu_t) ],

and the baseline b_t, which changes the variance of that estimate and not its mean, is regressed on R. The
function whose gradient is all of this is the surrogate loss

    L =   cross-entropy(log p, label)
        - policy_weight * mean over rollouts of  sum over t of  A_t log pi(l_{t+1} | mu_t)
        + mean over rollouts and t of (b_t - R)^2,

in which the sampled l, the reward R and the advantage A_t = R - b_t are constants (Williams 1992).
"""

from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import Array
from ramnp.layers import cross_entropy, cross_entropy_backward
from ramnp.policy import GaussianPolicy


class HybridLoss(NamedTuple):
    """The loss by parts, and the gradients that start the backward pass.

    Attributes:
        action, policy, baseline: the three terms of L, 0-d arrays.
        reward: mean of R, a 0-d array.
        dlogits: (R, A), dmu: (T - 1, R, 2), db: (T - 1, R).
    """

    action: Array
    policy: Array
    baseline: Array
    reward: Array
    dlogits: Array
    dmu: Array
    db: Array


def rewards(log_p: Array, labels: Array) -> Array:
    """(rows,) 1 where the likeliest class is the label, else 0, in the type of log_p."""
    return (log_p.argmax(axis=1) == labels).astype(log_p.dtype)


def policy_loss(advantage: Array, log_pi: Array) -> Array:
    """-mean over rollouts of the sum over t of A_t log pi, from (T - 1, R) each. A 0-d array."""
    return -(advantage * log_pi).sum() / advantage.shape[1]


def policy_loss_backward(advantage: Array) -> Array:
    """d policy_loss / d log pi = -A / R. The advantage is a constant."""
    return advantage / -advantage.shape[1]


def baseline_loss(baseline: Array, reward: Array) -> Array:
    """mean of (b_t - R)^2, from b (T - 1, R) and R (R,). A 0-d array."""
    error = baseline - reward
    return (error * error).sum() / max(error.size, 1)  # T = 1: there are no decisions


def baseline_loss_backward(baseline: Array, reward: Array) -> Array:
    """db = 2 (b - R) / size. The reward is a constant."""
    return (baseline - reward) * (2 / max(baseline.size, 1))


def hybrid_loss(
    log_p: Array,
    labels: Array,
    mu: Array,
    samples: Array,
    baseline: Array,
    policy: GaussianPolicy,
    policy_weight: float,
    xp: Any = np,
) -> HybridLoss:
    """L and where its gradient enters the network.

    Args:
        log_p: (R, A) after the last glimpse.
        labels: (R,) integers.
        mu, samples: (T - 1, R, 2) means and unclipped samples of the locations 2..T.
        baseline: (T - 1, R).
    """
    reward = rewards(log_p, labels)
    advantage = reward - baseline
    log_pi = policy.log_prob(samples, mu)
    dlog_pi = policy_weight * policy_loss_backward(advantage)
    return HybridLoss(
        action=cross_entropy(log_p, labels, xp),
        policy=policy_weight * policy_loss(advantage, log_pi),
        baseline=baseline_loss(baseline, reward),
        reward=reward.mean(),
        dlogits=cross_entropy_backward(log_p, labels, xp),
        dmu=policy.log_prob_backward(dlog_pi, samples, mu),
        db=baseline_loss_backward(baseline, reward),
    )
