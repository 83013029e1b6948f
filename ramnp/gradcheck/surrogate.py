"""The function whose gradient `RecurrentAttentionModel.backward` computes.

REINFORCE differentiates a surrogate in which some things are constants: the sampled locations, the rewards and
the advantages; to the baseline, the states; with "detached" routing, the states to the policy, too. A finite
difference of the plain loss would move them all. So they are frozen at one rollout, and the surrogate is computed
again from the parameters with only what may move moving.
"""

from dataclasses import dataclass

from ramnp.backend import Array
from ramnp.network.layers import flatten_time
from ramnp.network.model import RecurrentAttentionModel, Rollout
from ramnp.network.reinforce import (
    LearningRule,
    answer_loss,
    baseline_loss,
    gain_returns,
    policy_loss,
    rewards,
    weighed,
)
from ramnp.network.sensor import Canvas


@dataclass(frozen=True)
class Frozen:
    """What is constant to the estimator: copies from one rollout.

    Attributes:
        samples: (S, R, 2); decisions: (S, R, N) the states at which they were sampled; reward: (R,), or (S, R);
        advantage: (S, R), weighed by class if the rule does; labels: (R,) tiled over the rollouts.
    """

    samples: Array
    decisions: Array
    reward: Array
    advantage: Array
    labels: Array


def freeze(model: RecurrentAttentionModel, rollout: Rollout, labels: Array, rule: LearningRule) -> Frozen:
    """Copy what is constant from a rollout with labels (B,)."""
    labels = model.tile(labels, rollout)
    if rule.gain:
        early, sampled = model.answers(rollout.h[:-1]), len(rollout.samples)
        reward = gain_returns(early, rollout.log_p, labels, sampled, rule.gain.discount, model.xp)
    else:
        reward = rewards(rollout.log_p, labels)
    return Frozen(
        samples=rollout.samples.copy(),
        decisions=model.deciding(rollout).copy(),
        reward=reward,
        advantage=weighed((reward - rollout.baseline).T, labels, rule).T,
        labels=labels,
    )


def surrogate_loss(
    model: RecurrentAttentionModel, canvas: Canvas, randomness: Array, frozen: Frozen, rule: LearningRule
) -> float:
    """The hybrid loss at the model's present parameters, with all else frozen."""
    rollout = model.forward(canvas, randomness, samples=frozen.samples)
    mu, blind = rollout.mu, model.blind
    if rule.routing == "detached":
        of_states, _ = model.policy.forward(flatten_time(frozen.decisions[blind:]))
        mu = model.xp.concatenate([mu[:blind], of_states.reshape(mu[blind:].shape)])
    log_pi = model.policy.log_prob(frozen.samples, mu)
    baseline = model.baseline.forward(flatten_time(frozen.decisions))[0].reshape(rollout.baseline.shape)
    early = model.answers(rollout.h[:-1]) if rule.gain else None
    return float(
        answer_loss(rollout.log_p, frozen.labels, rule, early, model.xp)
        + rule.policy_weight * policy_loss(frozen.advantage, log_pi)
        + baseline_loss(baseline, frozen.reward)
    )
