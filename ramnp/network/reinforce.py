"""The learning rule: a hybrid of supervised learning and REINFORCE (paper, section 3.2).

The answer is trained by cross-entropy. The locations cannot be differentiated, so they are trained by the score
function. Let the reward be 1 for a right answer and 0 for a wrong one, and J its expectation. Then

    grad J = E[ sum_t (reward - b_t) grad log pi(l_{t+1} | mu_t) ].

The baseline b_t changes the variance of this estimate, not its mean. It is regressed on the reward. The function whose
gradient is all of this is the surrogate loss

    L =   cross-entropy(log p, label)
        - policy_weight * mean over rollouts of  sum over t of  advantage_t log pi(l_{t+1} | mu_t)
        + mean over rollouts and t of (b_t - reward)^2,

in which the sampled l, the reward and advantage_t = reward - b_t are constants (Williams 1992).

That is the paper's rule: one answer, and the same reward for all locations. `Gain` is another. The network also answers
from h_t at each t before the last. These early answers are trained: L gains their cross-entropies, with the weight
`early_weight`. A glimpse's gain is what it adds to the probability of the label. Instead of the reward, l_{t+1} gets a
return, which is a constant too:

    return_t = gain_{t+1} + discount gain_{t+2} + discount^2 gain_{t+3} + ...,
    gain_t = p_t - p_{t-1},    p_t = softmax(h_t W_a + b_a)[label],    p_0 = 0.

With a discount of 0, each location is rewarded for its own glimpse alone, so each has its own objective. With 1, the
gains add up to p_T - p_t. All locations then share one objective again, the probability of a right answer at the end:
p_t does not depend on the location, so subtracting it changes only the variance.

If classes differ in size, each image can count with a weight w of its class. The objective is then E[w reward], and
the cross-entropy and the REINFORCE term of each rollout are multiplied by w:

    L =   mean of w (-log p[label])
        - policy_weight * mean of  w sum over t of  advantage_t log pi(l_{t+1} | mu_t)
        + mean of (b_t - reward)^2.

With w inversely proportional to the size of the class, both train for the mean of the error over the classes. The
baseline has no weight: the reward to expect from a state does not depend on how much an image counts.
"""

from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import Array
from ramnp.config import LearningConfig
from ramnp.network.layers import cross_entropy, cross_entropy_backward, one_hot
from ramnp.network.policy import GaussianPolicy

TERMS = ("action", "policy", "baseline")


class Gain(NamedTuple):
    """The rule that rewards each location for what its glimpse adds. See the top of this file.

    Attributes:
        early_weight: weight of the cross-entropy of the answers before the last.
        discount: discount per later glimpse; 0 rewards the next one only.
    """

    early_weight: float
    discount: float


class LearningRule(NamedTuple):
    """How the terms of L are weighed, and where the policy's gradient goes.

    Attributes:
        routing: "detached": REINFORCE trains the policy alone, cross-entropy everything from sensor to answer.
            "paper": REINFORCE flows on through h_t into the core and the glimpse network.
        policy_weight: weight of the REINFORCE term.
        gain: rewards each location for what its glimpse adds; None is the paper's rule, one reward for all.
        class_weights: (A,) w of the images of each class; None if all count alike.
    """

    routing: str = "detached"
    policy_weight: float = 1.0
    gain: Gain | None = None
    class_weights: Array | None = None

    @classmethod
    def of(cls, config: LearningConfig) -> "LearningRule":
        """The rule that a configuration names."""
        gain = Gain(config.early_weight, config.discount) if config.reward == "gain" else None
        return cls(config.routing, config.policy_weight, gain)


def weighed(values: Array, labels: Array, rule: LearningRule) -> Array:
    """Values (..., R, n) times the weight w of each row's label."""
    return values if rule.class_weights is None else values * rule.class_weights.take(labels)[:, None]


class Decisions(NamedTuple):
    """The S sampled locations of R rollouts: what was aimed at, what came, and the reward expected then.

    Attributes:
        mu: (S, R, 2) means.
        samples: (S, R, 2) samples, not clipped to the image.
        baseline: (S, R).
    """

    mu: Array
    samples: Array
    baseline: Array


class HybridLoss(NamedTuple):
    """The loss by terms, and the gradients that start the backward pass.

    R rollouts, S sampled locations in each, A classes.

    Attributes:
        terms: the three terms of L by name (`TERMS`), 0-d arrays; "action" includes the early answers.
        reward: the share of right answers after the last glimpse, a 0-d array.
        dlogits: (R, A) gradient of the logits of the last answer.
        dmu: (S, R, 2).
        dbaseline: (S, R).
        dearly: (T - 1, R, A) gradient of the logits of the early answers; None if they are not trained.
    """

    terms: dict[str, Array]
    reward: Array
    dlogits: Array
    dmu: Array
    dbaseline: Array
    dearly: Array | None = None


def rewards(log_p: Array, labels: Array) -> Array:
    """(R,) 1 where the likeliest class is the label, else 0, in the type of log_p."""
    return (log_p.argmax(axis=1) == labels).astype(log_p.dtype)


def gain_returns(early: Array, log_p: Array, labels: Array, sampled: int, discount: float, xp: Any = np) -> Array:
    """(S, R) returns of the last S = `sampled` locations, from the early answers (T - 1, R, A) and the last (R, A)."""
    answers = xp.concatenate([early, log_p[None]])
    p = (xp.exp(answers) * one_hot(labels, answers.shape[2], xp)).sum(axis=2)
    returns = p.copy()
    returns[1:] -= p[:-1]  # the gains
    returns = returns[len(p) - sampled :]
    for s in reversed(range(sampled - 1)):
        returns[s] += discount * returns[s + 1]
    return returns


def answer_loss(log_p: Array, labels: Array, rule: LearningRule, early: Array | None = None, xp: Any = np) -> Array:
    """The cross-entropy of the last answer (R, A) and, if gains are rewarded, of the early ones (T - 1, R, A). 0-d.

    It is linear in log p, so weighed rows of log p give the weighed loss.
    """
    loss = cross_entropy(weighed(log_p, labels, rule), labels, xp)
    if rule.gain:
        loss += rule.gain.early_weight * cross_entropy(weighed(early, labels, rule), labels, xp)
    return loss


def answer_loss_backward(
    log_p: Array, labels: Array, rule: LearningRule, early: Array | None = None, xp: Any = np
) -> tuple[Array, Array | None]:
    """Its gradients, log-softmax included: of the last logits (R, A), and of the early ones or None."""
    dlogits = weighed(cross_entropy_backward(log_p, labels, xp), labels, rule)
    if not rule.gain:
        return dlogits, None
    return dlogits, rule.gain.early_weight * weighed(cross_entropy_backward(early, labels, xp), labels, rule)


def policy_loss(advantage: Array, log_pi: Array) -> Array:
    """-mean over rollouts of the sum over t of advantage_t log pi, from (S, R) each. A 0-d array."""
    return -(advantage * log_pi).sum() / advantage.shape[1]


def policy_loss_backward(advantage: Array) -> Array:
    """d policy_loss / d log pi = -advantage / (number of rollouts). The advantage is a constant."""
    return advantage / -advantage.shape[1]


def baseline_loss(baseline: Array, reward: Array) -> Array:
    """mean of (b_t - reward)^2, from the baseline (S, R) and the reward, (R,) or (S, R). A 0-d array."""
    error = baseline - reward
    return (error * error).sum() / max(error.size, 1)  # a control decides nothing: S = 0


def baseline_loss_backward(baseline: Array, reward: Array) -> Array:
    """dbaseline = 2 (b_t - reward) / size. The reward is a constant."""
    return (baseline - reward) * (2 / max(baseline.size, 1))


def hybrid_loss(
    log_p: Array,
    labels: Array,
    decisions: Decisions,
    policy: GaussianPolicy,
    rule: LearningRule,
    early: Array | None = None,
    xp: Any = np,
) -> HybridLoss:
    """L, and its gradients where it touches the network.

    Args:
        log_p: (R, A) log-probabilities after the last glimpse.
        labels: (R,) integers.
        decisions: the S sampled locations.
        policy: which gives their log-probability.
        rule: how the terms are weighed.
        early: (T - 1, R, A) log-probabilities after the earlier glimpses, if gains are rewarded.
    """
    mu, samples, baseline = decisions
    reward = rewards(log_p, labels)
    returns = gain_returns(early, log_p, labels, len(mu), rule.gain.discount, xp) if rule.gain else reward
    advantage = weighed((returns - baseline).T, labels, rule).T
    log_pi = policy.log_prob(samples, mu)
    dlog_pi = rule.policy_weight * policy_loss_backward(advantage)
    dlogits, dearly = answer_loss_backward(log_p, labels, rule, early, xp)
    return HybridLoss(
        terms={
            "action": answer_loss(log_p, labels, rule, early, xp),
            "policy": rule.policy_weight * policy_loss(advantage, log_pi),
            "baseline": baseline_loss(baseline, returns),
        },
        reward=reward.mean(),
        dlogits=dlogits,
        dmu=policy.log_prob_backward(dlog_pi, samples, mu),
        dbaseline=baseline_loss_backward(baseline, returns),
        dearly=dearly,
    )
