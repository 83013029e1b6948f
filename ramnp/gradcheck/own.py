"""The checks of every part of ramnp itself, on any backend."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import Array, Backend
from ramnp.config import Config
from ramnp.gradcheck import over_time
from ramnp.gradcheck.numeric import check_gradient
from ramnp.gradcheck.report import OK, WRONG, Row
from ramnp.gradcheck.surrogate import freeze, surrogate_loss
from ramnp.network import build, layers, reinforce
from ramnp.network.convolution import Conv2D, average_pool, average_pool_backward
from ramnp.network.heads import ActionNetwork, Baseline
from ramnp.network.layers import Linear
from ramnp.network.model import RecurrentAttentionModel
from ramnp.network.parameters import Part
from ramnp.network.policy import SQUASHES, GaussianPolicy
from ramnp.network.reinforce import Gain, LearningRule
from ramnp.registry import HOMES, get, is_added, names

SAMPLE = 40  # coordinates of a large array that are checked
OVER_TIME = "reinforce-over-time"


class Subject(NamedTuple):
    """Something to check: a scalar function, and what is claimed of its gradient.

    Attributes:
        f: the function.
        arrays: name -> (array to perturb, gradient claimed).
    """

    f: Callable[[], float]
    arrays: dict[str, tuple[Array, Array]]


def of_part(part: Part, forward: Callable[..., Any], backward: Callable[..., Any], inputs: dict[str, Array]) -> Subject:
    """A part whose outputs are weighted at random, in all its parameters and inputs."""
    y, cache = forward(*inputs.values())
    weights = part.xp.asarray(np.random.default_rng(1).standard_normal(y.shape))
    d_inputs = backward(weights.copy(), cache)
    d_inputs = d_inputs if isinstance(d_inputs, tuple) else (d_inputs,)
    arrays = {name: (getattr(owner, own), getattr(owner, "d" + own)) for name, owner, own in part.walk()}
    arrays |= {name: (x, dx) for (name, x), dx in zip(inputs.items(), d_inputs, strict=True)}
    return Subject(lambda: float((forward(*inputs.values())[0] * weights).sum()), arrays)


def of_function(forward: Callable[[], Array], x: Array, name: str, dx: Callable[[Array], Array], xp: Any) -> Subject:
    """A function of one array, weighted at random unless it is a scalar."""
    weights = xp.asarray(np.random.default_rng(1).standard_normal(forward().shape))
    return Subject(lambda: float((forward() * weights).sum()), {name: (x, dx(weights))})


def linear(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    for rows in (1, 5):
        part = Linear(4, 3, rng, xp=backend.xp, dtype=np.float64)
        yield of_part(part, part.forward, part.backward, {"x": backend.asarray(rng.standard_normal((rows, 4)))})


def elementwise(
    forward: Callable[..., Array], backward: Callable[..., Array]
) -> Callable[[Backend, np.random.Generator], Iterator[Subject]]:
    """Checks of a pair y = forward(x), dx = backward(dy, y)."""

    def checks(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
        x, xp = backend.asarray(rng.standard_normal((5, 4))), backend.xp
        yield of_function(lambda: forward(x, xp=xp), x, "x", lambda dy: backward(dy, forward(x, xp=xp), xp), xp)

    return checks


def cross_entropy(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    xp = backend.xp
    x, labels = backend.asarray(rng.standard_normal((5, 4))), backend.asarray(rng.integers(0, 4, 5))
    loss = lambda: layers.cross_entropy(layers.log_softmax(x, xp), labels, xp)  # noqa: E731
    gradient = lambda dy: dy * layers.cross_entropy_backward(layers.log_softmax(x, xp), labels, xp)  # noqa: E731
    yield of_function(loss, x, "logits", gradient, xp)


def convolution(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    for side, channels, kernel, stride, padding in ((4, 2, 3, 1, 1), (7, 1, 3, 2, 0), (9, 1, 3, 4, 0)):
        part = Conv2D(channels, 3, kernel, rng, stride, padding, xp=backend.xp, dtype=np.float64)
        x = backend.asarray(rng.standard_normal((2, side, side + 1, channels)))
        yield of_part(part, part.forward, part.backward, {"x": x})


def pool(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    x, xp = backend.asarray(rng.standard_normal((2, 4, 6, 2))), backend.xp
    backward = lambda dy: average_pool_backward(dy, xp)  # noqa: E731
    yield of_function(lambda: average_pool(x, xp=xp), x, "x", backward, xp)


def glimpse(name: str) -> Callable[[Backend, np.random.Generator], Iterator[Subject]]:
    def checks(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
        for rows, shape in ((1, (1, 2, 2, 3)), (7, (2, 2, 2, 1))):
            part = get("glimpse_network", name)(shape, 4, 3, 5, rng, backend.xp, np.float64)
            inputs = {
                "rho": backend.asarray(rng.random((rows, math.prod(shape)))),
                "location": backend.asarray(rng.uniform(-1, 1, (rows, 2))),
            }
            yield of_part(part, part.forward, part.backward, inputs)

    return checks


def core(name: str) -> Callable[[Backend, np.random.Generator], Iterator[Subject]]:
    def checks(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
        for steps, rows in ((4, 3), (1, 1)):
            part = get("core", name)(3, 4, rng, backend.xp, np.float64)
            # The identity, with which W_hh may start, would hide a transpose that is missing.
            part.W_hh += backend.asarray(0.3 * rng.standard_normal(part.W_hh.shape))
            g = backend.asarray(rng.standard_normal((steps, rows, 3)))
            yield of_part(part, part.forward, part.backward, {"g": g})

    return checks


def policy(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    for squash in SQUASHES:
        for hidden in (0, 3):
            part = GaussianPolicy(4, 0.3, rng, squash, hidden, backend.xp, np.float64)
            part.mean.W *= 10  # the policy starts near the centre; here its squash is to matter
            h = backend.asarray(rng.standard_normal((5, 4)))
            yield of_part(part, part.forward, part.backward, {"h": h})


def first_location(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    for squash in SQUASHES:
        part = GaussianPolicy(4, 0.3, rng, squash, 0, backend.xp, np.float64, learns_first=True)
        part.first += backend.asarray(np.array([0.4, -0.3]))
        mu = lambda part=part: part.forward_first(backend.xp.empty((5, 2), dtype=np.float64))  # noqa: E731

        def backward(dmu: Array, part: GaussianPolicy = part, mu: Callable[[], Array] = mu) -> Array:
            part.backward_first(dmu, mu())
            return part.dfirst

        yield of_function(mu, part.first, "first", backward, backend.xp)


def log_prob(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    part = GaussianPolicy(4, 0.3, rng, xp=backend.xp, dtype=np.float64)
    mu, sample = (backend.asarray(rng.standard_normal((3, 5, 2))) for _ in range(2))
    backward = lambda d: part.log_prob_backward(d, sample, mu)  # noqa: E731
    yield of_function(lambda: part.log_prob(sample, mu), mu, "mu", backward, backend.xp)


def heads(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    action = ActionNetwork(4, 3, rng, backend.xp, np.float64)
    yield of_part(action, action.forward, action.backward, {"h": backend.asarray(rng.standard_normal((5, 4)))})


def baseline(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    part = Baseline(4, rng, backend.xp, np.float64)
    part.W += backend.asarray(rng.standard_normal((4, 1)))  # it starts at zero
    backward = lambda db, cache: part.backward(db, cache, input_gradient=True)  # noqa: E731
    yield of_part(part, part.forward, backward, {"h": backend.asarray(rng.standard_normal((5, 4)))})


def policy_loss(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    advantage, log_pi = (backend.asarray(rng.standard_normal((3, 5))) for _ in range(2))
    gradient = lambda dy: dy * reinforce.policy_loss_backward(advantage)  # noqa: E731
    yield of_function(lambda: reinforce.policy_loss(advantage, log_pi), log_pi, "log_pi", gradient, backend.xp)


def baseline_loss(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    b, reward = backend.asarray(rng.standard_normal((3, 5))), backend.asarray(rng.integers(0, 2, 5).astype(float))
    gradient = lambda dy: dy * reinforce.baseline_loss_backward(b, reward)  # noqa: E731
    yield of_function(lambda: reinforce.baseline_loss(b, reward), b, "baseline", gradient, backend.xp)


def model(rule: LearningRule) -> Callable[[Backend, np.random.Generator], Iterator[Subject]]:
    def checks(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
        small = Config(
            glimpses=3,
            patch=2,
            units=5,
            what_units=4,
            where_units=3,
            glimpse_units=4,
            std=0.3,
            policy_hidden=0,
            dtype="float64",
        )
        larger = dataclasses.replace(small, core="lstm", scales=2, policy_hidden=6, first_location="learned")
        for config, channels, rollouts in ((small, 1, 2), (larger, 3, 1)):
            made = RecurrentAttentionModel(config, (9, 7, channels), 4, backend, seed=1)
            made.parameters.values += backend.asarray(0.2 * rng.standard_normal(made.parameters.size))
            canvas = made.canvas(rng.random((3, 9, 7, channels)))
            labels = backend.asarray(rng.integers(0, 4, 3))
            randomness = made.draw(rng, 3 * rollouts)
            yield of_model(made, canvas, labels, randomness, rule)

    return checks


def of_model(
    made: RecurrentAttentionModel, canvas: Any, labels: Array, randomness: Array, rule: LearningRule
) -> Subject:
    """A whole model, with all frozen that the estimator takes as constant (`surrogate.py`)."""
    rollout = made.forward(canvas, randomness)
    frozen = freeze(made, rollout, labels, rule)
    made.parameters.gradients.fill(0)
    made.backward(rollout, labels, rule)
    arrays = {name: (made.parameters[name], made.parameters.gradient(name)) for name in made.parameters}
    return Subject(lambda: surrogate_loss(made, canvas, randomness, frozen, rule), arrays)


def estimator(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
    """REINFORCE over time: minus the expected reward, by quadrature, and the policy's gradient of it."""
    for case in over_time.cases(backend, rng):
        parameters = case.model.parameters
        parameters.gradients[...] = over_time.policy_gradient(case)
        reached = [name for name in parameters if case.rule.routing == "paper" or name.startswith("policy.")]
        arrays = {name: (parameters[name], parameters.gradient(name)) for name in reached}
        yield Subject(functools.partial(over_time.expected_loss, case), arrays)


def comparison(name: str) -> Callable[[Backend, np.random.Generator], Iterator[Subject]]:
    def checks(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
        for channels in (1, 3):
            made = build(Config(model=name, fc_units=4, dtype="float64"), (15, 11, channels), 4, backend)
            made.parameters.values += backend.asarray(0.2 * rng.standard_normal(made.parameters.size))
            canvas, randomness = made.canvas(rng.random((3, 15, 11, channels))), made.draw(rng, 3)
            labels = backend.asarray(rng.integers(0, 4, 3))
            made.backward(made.forward(canvas, randomness), labels, LearningRule())
            arrays = {each: (made.parameters[each], made.parameters.gradient(each)) for each in made.parameters}

            def loss(made: Any = made, canvas: Any = canvas, labels: Array = labels, noise: Any = randomness) -> float:
                return float(layers.cross_entropy(made.forward(canvas, noise).log_p, labels, made.xp))

            yield Subject(loss, arrays)

    return checks


PARTS: dict[str, Callable[[Backend, np.random.Generator], Iterator[Subject]]] = {
    "linear": linear,
    "relu": elementwise(layers.relu, lambda dy, y, xp: layers.relu_backward(dy, y, xp=xp)),
    "tanh": elementwise(layers.tanh, lambda dy, y, xp: layers.tanh_backward(dy, y)),
    "sigmoid": elementwise(layers.sigmoid, lambda dy, y, xp: layers.sigmoid_backward(dy, y)),
    "log-softmax": elementwise(layers.log_softmax, lambda dy, y, xp: layers.log_softmax_backward(dy, y, xp)),
    "cross-entropy": cross_entropy,
    "convolution": convolution,
    "average-pool": pool,
    **{f"glimpse-{name}": glimpse(name) for name in HOMES["glimpse_network"]},
    **{name: core(name) for name in HOMES["core"]},
    "policy": policy,
    "first-location": first_location,
    "log-prob": log_prob,
    "action": heads,
    "baseline": baseline,
    "policy-loss": policy_loss,
    "baseline-loss": baseline_loss,
    "model-detached": model(LearningRule("detached", 0.7)),
    "model-paper": model(LearningRule("paper", 0.7)),
    "fc": comparison("fc"),
    "cnn": comparison("cnn"),
    "model-gain": model(LearningRule("paper", 0.7, Gain(early_weight=0.4, discount=0.6))),
    OVER_TIME: estimator,
}


def registered(name: str) -> Callable[[Backend, np.random.Generator], Iterator[Subject]]:
    """Checks of a policy that somebody registered: what it makes of h, and the log-probability of its samples."""

    def checks(backend: Backend, rng: np.random.Generator) -> Iterator[Subject]:
        part = get("policy", name)(4, 0.3, rng, xp=backend.xp, dtype=np.float64)
        h = backend.asarray(rng.standard_normal((5, 4)))
        yield of_part(part, part.forward, part.backward, {"h": h})
        part = get("policy", name)(4, 0.3, rng, xp=backend.xp, dtype=np.float64)
        mu = part.forward(h)[0].copy()
        sample, weights = (backend.asarray(rng.standard_normal(shape)) for shape in ((5, 2), (5,)))
        dmu = part.log_prob_backward(weights, sample, mu)
        arrays = {own: (getattr(owner, own), getattr(owner, "d" + own)) for _, owner, own in part.walk()}
        yield Subject(lambda: float((part.log_prob(sample, mu) * weights).sum()), arrays | {"mu": (mu, dmu)})

    return checks


def added() -> dict[str, Callable[[Backend, np.random.Generator], Iterator[Subject]]]:
    """The checks of your own cores, glimpse networks and policies, by the names that they are registered with."""
    kinds = {"core": core, "glimpse_network": glimpse, "policy": registered}
    return {name: check(name) for kind, check in kinds.items() for name in names(kind) if is_added(kind, name)}


def check_part(name: str, backend: Backend, seed: int) -> list[Row]:
    """Rows about one part of ramnp, or of yours."""
    rows = []
    for number, subject in enumerate((PARTS | added())[name](backend, np.random.default_rng([seed, number_of(name)]))):
        for array, (x, gradient) in subject.arrays.items():
            rng = np.random.default_rng([seed, number])
            check = check_gradient(subject.f, x, backend.to_host(gradient), sample=SAMPLE, rng=rng)
            verdict = OK if check.passed else WRONG
            rows.append(Row(name, f"d{array}", x.shape, check.checked, check.kinks, check.error, check.where, verdict))
    return rows


def number_of(name: str) -> int:
    """A part's own stream of random numbers, whatever else is checked."""
    return list(PARTS | added()).index(name)
