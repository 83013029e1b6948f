"""The function whose gradient `RecurrentAttentionModel.backward` computes.

REINFORCE differentiates a surrogate in which some things are constants: the sampled locations, the rewards and
the advantages; to the baseline, the states; with "detached" routing, the states to the policy, too. A finite
difference of the plain loss would move them all. So they are frozen at one rollout, and the surrogate is computed
again from the parameters with only what may move moving.
"""

from dataclasses import dataclass

from ramnp.backend import Array
from ramnp.model import RecurrentAttentionModel, Rollout, flatten_time
from ramnp.reinforce import loss_terms, rewards
from ramnp.sensor import Canvas


@dataclass(frozen=True)
class Frozen:
    """What is constant to the estimator: copies from one rollout.

    Attributes:
        samples: (T - 1, R, 2); decisions: ((T - 1) R, N) the states h_1..h_{T-1}; reward: (R,);
        advantage: (T - 1, R); labels: (R,) tiled over the rollouts.
    """

    samples: Array
    decisions: Array
    reward: Array
    advantage: Array
    labels: Array


def freeze(model: RecurrentAttentionModel, rollout: Rollout, labels: Array) -> Frozen:
    """Copy what is constant from a rollout with labels (B,)."""
    labels = model.tile(labels, rollout)
    reward = rewards(rollout.log_p, labels)
    return Frozen(
        samples=rollout.samples.copy(),
        decisions=flatten_time(rollout.h[:-1]).copy(),
        reward=reward,
        advantage=reward - rollout.baseline,
        labels=labels,
    )


def surrogate_loss(
    model: RecurrentAttentionModel,
    canvas: Canvas,
    randomness: Array,
    frozen: Frozen,
    routing: str,
    policy_weight: float,
) -> float:
    """The hybrid loss at the model's present parameters, with all else frozen."""
    rollout = model.forward(canvas, randomness, samples=frozen.samples)
    shape = rollout.baseline.shape
    mu = rollout.mu
    if routing == "detached":
        mu = model.policy.forward(frozen.decisions)[0].reshape(mu.shape)
    baseline = model.baseline.forward(frozen.decisions)[0].reshape(shape)
    terms = loss_terms(
        rollout.log_p,
        frozen.labels,
        model.policy.log_prob(frozen.samples, mu),
        frozen.advantage,
        baseline,
        frozen.reward,
        policy_weight,
        model.xp,
    )
    return float(sum(terms.values()))
