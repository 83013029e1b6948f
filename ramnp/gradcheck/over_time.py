"""REINFORCE over a whole rollout, against the gradient of an expected reward by quadrature.

`estimator.py` does this for one location. Here a model looks T times, and each location depends on those before it:

    J(theta) = integral over the paths l of  prod_t N(l_t; mu_t, std^2 I) reward(l),    mu_t made from l_1 .. l_{t-1}.

Each coordinate's noise takes a few values that are equally likely. The paths that they give at the parameters theta_0
are the nodes of a quadrature, with which J is known near theta_0:

    J(theta) = mean over paths of  prod_t [N(l_t; mu_t) / N(l_t; mu_t at theta_0)] reward(l).

It has densities, and no score function. Its finite differences must be the gradient of the policy's term as `backward`
computes it, with all its sums over time, its baseline and its way back through the core. The baseline has no place in
J: it is known before the location is chosen, and the noise of each location adds up to 0.

What a path is worth is a constant, as it is to the learning rule: 1 if the answer is right; or, if gains are rewarded
and not discounted, the probability of the label after the last glimpse.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np

from ramnp.backend import Array, Backend
from ramnp.config import Config
from ramnp.network.layers import one_hot
from ramnp.network.model import RecurrentAttentionModel, Rollout
from ramnp.network.reinforce import Gain, LearningRule, rewards
from ramnp.network.sensor import Canvas

VALUES = {1: 8, 2: 4, 3: 3}  # sampled locations -> values of each coordinate's noise: 64 to 729 paths
FIRST: tuple[Literal["uniform", "learned"], ...] = ("uniform", "learned")
SMALL = Config(
    patch=2, units=3, what_units=2, where_units=2, glimpse_units=3, std=1.0, policy_hidden=0, dtype="float64"
)


class Case(NamedTuple):
    """A model and all paths that its noise can take.

    P paths, S sampled locations.

    Attributes:
        name: which model and rule it is.
        randomness: (T, P, 2).
        rollout: of the parameters theta_0.
        samples, mu: (S, P, 2) at theta_0.
        reward: (P,).
    """

    name: str
    model: RecurrentAttentionModel
    rule: LearningRule
    canvas: Canvas
    labels: Array
    randomness: Array
    rollout: Rollout
    samples: Array
    mu: Array
    reward: Array


def noise(sampled: int) -> np.ndarray:
    """All noise that the S = `sampled` locations can take, (S, P, 2): every value of each with every of the others."""
    count = VALUES[sampled]
    values = [NormalDist().inv_cdf((k + 0.5) / count) for k in range(count)]
    paths = np.array(list(itertools.product(values, repeat=2 * sampled)))
    return paths.reshape(-1, sampled, 2).transpose(1, 0, 2)


def cases(backend: Backend, rng: np.random.Generator) -> Iterator[Case]:
    """T = 2 and 3, with both cores, both routings, both rewards, the first location given and learned."""
    choices = itertools.product((2, 3), ("rnn", "lstm"), ("detached", "paper"), (None, Gain(0.4, 1.0)), FIRST)
    for glimpses, core, routing, gain, first in choices:
        config = dataclasses.replace(SMALL, glimpses=glimpses, core=core, first_location=first)
        name = f"T = {glimpses}, {core}, {routing}, {'gain' if gain else 'answer'}, first {first}"
        yield make_case(name, config, LearningRule(routing, 1.0, gain), backend, rng)


def make_case(name: str, config: Config, rule: LearningRule, backend: Backend, rng: np.random.Generator) -> Case:
    """A model with random parameters, at one image."""
    model = RecurrentAttentionModel(config, (9, 7, 1), 3, backend, seed=1)
    model.parameters.values += backend.asarray(0.5 * rng.standard_normal(model.parameters.size))
    canvas = model.canvas(rng.random((1, 9, 7, 1)))
    chosen = noise(config.glimpses - model.given)
    given = np.full((model.given, *chosen.shape[1:]), 0.1)
    randomness = backend.asarray(np.concatenate([given, chosen]))
    # About half of the paths are to answer 0: a reward that is the same everywhere would show nothing.
    log_p = backend.to_host(model.forward(canvas, randomness).log_p)
    model.action.b[0] += float(np.median(log_p[:, 1:].max(axis=1) - log_p[:, 0]))
    rollout, labels = model.forward(canvas, randomness), backend.asarray(np.array([0]))
    reward = worth(model, rollout, model.tile(labels, rollout), rule)
    return Case(
        name, model, rule, canvas, labels, randomness, rollout, rollout.samples.copy(), rollout.mu.copy(), reward
    )


def worth(model: RecurrentAttentionModel, rollout: Rollout, labels: Array, rule: LearningRule) -> Array:
    """(P,) what each path earns."""
    if rule.gain:
        return (model.xp.exp(rollout.log_p) * one_hot(labels, model.classes, model.xp)).sum(axis=1)
    return rewards(rollout.log_p, labels)


def expected_reward(case: Case) -> float:
    """J at the model's present parameters."""
    model, samples = case.model, case.samples
    mu = model.forward(case.canvas, case.randomness, samples=samples).mu
    nearer = ((samples - case.mu) ** 2 - (samples - mu) ** 2).sum(axis=(0, 2)) / (2 * model.policy.std**2)
    return float((model.xp.exp(nearer) * case.reward).mean())


def expected_loss(case: Case) -> float:
    """-J: the policy's term of the loss goes down where the expected reward goes up."""
    return -expected_reward(case)


def policy_gradient(case: Case) -> Array:
    """The gradient of the policy's term alone, as the model's vector of parameters: what its weight adds."""
    gradients = []
    for weight in (1.0, 0.0):
        case.model.parameters.gradients.fill(0)
        case.model.backward(case.rollout, case.labels, case.rule._replace(policy_weight=weight))
        gradients.append(case.model.parameters.gradients.copy())
    return gradients[0] - gradients[1]
