"""Optimizers against their plain formulas, learning rates, and clipping."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from ramnp.config import Config
from ramnp.network.layers import Linear
from ramnp.network.parameters import Parameters, Part
from ramnp.training.optim import ITERATIONS, SGD, Adam, Muon, Stack, clip_gradients, learning_rate, orthogonalise

RATES = [0.1, 0.05, 0.2, 0.1, 0.01]
STEPS = 20  # per epoch, in the tests of the learning rate


def parameters(dtype=np.float64):
    return Parameters(Linear(3, 2, np.random.default_rng(0), dtype=dtype))


def gradients(count=5):
    """A different gradient each step, over several orders of magnitude, with an exact zero."""
    rng = np.random.default_rng(1)
    all_steps = rng.standard_normal((count, 8)) * 10.0 ** rng.integers(-4, 3, (count, 8))
    all_steps[:, 3] = 0
    return all_steps


def trajectory(optimizer, vector):
    values = []
    for gradient, lr in zip(gradients(), RATES, strict=True):
        vector.gradients[...] = gradient
        optimizer.step(lr)
        values.append(vector.values.copy())
    return np.array(values)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sgd_is_its_formula(momentum):
    vector = parameters()
    expected, velocity, values = [], [0.0] * 8, vector.values.tolist()
    for gradient, lr in zip(gradients().tolist(), RATES, strict=True):
        for i in range(8):
            velocity[i] = momentum * velocity[i] + gradient[i]
            values[i] = values[i] - lr * velocity[i]
        expected.append(list(values))
    optimizer = SGD(vector, Config(momentum=momentum))
    np.testing.assert_allclose(trajectory(optimizer, vector), expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(optimizer.velocity, velocity, rtol=1e-13)


def test_adam_is_its_formula():
    vector = parameters()
    expected, m, v, values = [], [0.0] * 8, [0.0] * 8, vector.values.tolist()
    for t, (gradient, lr) in enumerate(zip(gradients().tolist(), RATES, strict=True), start=1):
        for i in range(8):
            m[i] = 0.9 * m[i] + 0.1 * gradient[i]
            v[i] = 0.999 * v[i] + 0.001 * gradient[i] ** 2
            m_hat, v_hat = m[i] / (1 - 0.9**t), v[i] / (1 - 0.999**t)
            values[i] = values[i] - lr * m_hat / (math.sqrt(v_hat) + 1e-8)
        expected.append(list(values))
    optimizer = Adam(vector, Config())
    np.testing.assert_allclose(trajectory(optimizer, vector), expected, rtol=1e-12, atol=1e-12)
    assert optimizer.t == 5


class Wide(Part):
    """Wide matrices, lying and standing, and what is not for Muon: biases, a narrow matrix, the policy."""

    parts = ("glimpse", "square", "core", "head", "policy")
    shapes = ((96, 64), (64, 64), (64, 96), (200, 63), (64, 64))

    def __init__(self, xp=np, dtype=np.float64):
        super().__init__(xp, dtype)
        rng = np.random.default_rng(0)
        for name, (rows, columns) in zip(self.parts, self.shapes, strict=True):
            setattr(self, name, Linear(rows, columns, rng, xp=xp, dtype=dtype))


TAKEN = {"glimpse.W": math.sqrt(96 / 64), "square.W": 1, "core.W": 1}  # by Muon, with the factors s of their rates


def wide_gradients(vector, count=5):
    """Gradients (count, P) in which the singular values of wide matrices go over several orders of magnitude."""
    all_steps = np.random.default_rng(1).standard_normal((count, vector.size))
    for gradient in all_steps:
        for name in TAKEN:
            u, s, vt = np.linalg.svd(vector.view(gradient, name), full_matrices=False)
            vector.view(gradient, name)[...] = (u * s * np.geomspace(1, 1e-3, len(s))) @ vt
    return all_steps


def walk(optimizer, all_gradients):
    """The values after each step."""
    vector, values = optimizer.parameters, []
    for gradient, lr in zip(all_gradients, RATES, strict=True):
        vector.gradients[...] = gradient
        optimizer.step(lr)
        values.append(vector.values.copy())
    return np.array(values)


def by_polynomials(s):
    """Where `orthogonalise` takes singular values, without a product of matrices."""
    s = s / np.sqrt((s**2).sum())
    for a, b, c in ITERATIONS:
        s = a * s + b * s**3 + c * s**5
    return s


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_muon_is_its_formula_computed_from_an_svd(momentum):
    vector = Parameters(Wide())
    expected, moments = {name: vector[name].copy() for name in TAKEN}, dict.fromkeys(TAKEN, 0.0)
    gradients = wide_gradients(vector)
    # lr 0.01 and muon_lr 0.05: whatever the schedule makes of lr, the matrices move at 5 times that rate.
    path = walk(Muon(vector, Config(lr=0.01, muon_lr=0.05, momentum=momentum)), gradients)
    for gradient, lr, values in zip(gradients, RATES, path, strict=True):
        for name, factor in TAKEN.items():
            g = vector.view(gradient, name)
            moments[name] = momentum * moments[name] + g
            u, s, vt = np.linalg.svd(g + momentum * moments[name], full_matrices=False)
            expected[name] -= 5 * lr * factor * (u * by_polynomials(s)) @ vt
            np.testing.assert_allclose(vector.view(values, name), expected[name], rtol=1e-9, atol=1e-9)


def test_biases_narrow_matrices_and_the_policy_are_adams():
    vector, other = Parameters(Wide()), Parameters(Wide())
    config = Config(lr=0.01, muon_lr=0.05, policy_lr=0.3)
    muon, adam = (walk(kind(each, config), wide_gradients(each)) for kind, each in ((Muon, vector), (Adam, other)))
    for name, span in vector.slices.items():
        assert np.array_equal(muon[:, span], adam[:, span]) == (name not in TAKEN), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(64, 64), (64, 200)])
def test_orthogonal_matrices_have_the_singular_vectors_of_the_given_and_singular_values_near_1(backend, shape, dtype):
    rng, xp = np.random.default_rng(0), backend.xp
    u, _, vt = np.linalg.svd(rng.standard_normal((3, *shape)), full_matrices=False)
    singular = np.geomspace(1, 0.2, shape[0])  # over 0.03 once divided by their norm
    given = u * singular @ vt * np.array([1e-6, 1.0, 1e6])[:, None, None]
    stack = Stack(["a", "b", "c"], shape, xp.zeros(1, dtype=dtype), xp)
    stack.X[...] = xp.asarray(given.astype(dtype))
    found = backend.to_host(orthogonalise(stack, xp))
    assert found.dtype == dtype
    for each, left, right in zip(found, u, vt, strict=True):
        np.testing.assert_allclose(left.T @ each @ right.T, np.diag(by_polynomials(singular)), atol=1e-5)
        values = np.linalg.svd(each.astype(np.float64), compute_uv=False)
        assert values.min() > 0.6
        assert values.max() < 1.4


def test_the_polynomials_are_the_best_for_two_iterations():
    """Each is equally far below and above 1, in turn, at four points: so no other of its degree stays nearer to 1."""
    low, high = 0.03, 1.0
    for a, b, c in ITERATIONS:
        s = np.linspace(low, high, 100_001)
        p = a * s + b * s**3 + c * s**5
        turns = np.flatnonzero(np.diff(np.sign(np.diff(p)))) + 1
        extremes = p[[0, *turns, -1]] - 1
        np.testing.assert_allclose(extremes, np.abs(extremes).max() * np.array([-1, 1, -1, 1]), atol=1e-3)
        low, high = p.min(), p.max()
    assert (round(low, 2), round(high, 2)) == (0.62, 1.38)


def test_muon_leaves_a_matrix_without_a_gradient_where_it_is():
    vector = Parameters(Wide())
    before = vector.values.copy()
    walk(Muon(vector, Config()), np.zeros((5, vector.size)))
    np.testing.assert_array_equal(vector.values, before)


def test_muon_makes_no_arrays_of_the_size_of_a_matrix():
    """They would be made anew in every step, and a captured graph of a GPU could not have them."""
    vector = Parameters(Linear(300, 256, np.random.default_rng(0)))
    optimizer = Muon(vector, Config())
    vector.gradients[...] = 1
    optimizer.step(0.1)
    tracemalloc.start()
    optimizer.step(0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < vector.values.nbytes / 4


class Couple(Part):
    parts = ("policy", "core")

    def __init__(self):
        super().__init__(np, np.float64)
        self.policy, self.core = (Linear(1, 2, np.random.default_rng(0), dtype=np.float64) for _ in self.parts)


@pytest.mark.parametrize("kind", [SGD, Adam, Muon])
def test_the_policy_has_a_rate_of_its_own(kind):
    moved = {}
    for factor in (1.0, 0.25, 0.0):
        vector = Parameters(Couple())
        start = vector.values.copy()
        moved[factor] = trajectory(kind(vector, Config(policy_lr=factor)), vector) - start
    policy, core = vector.spans()["policy"], vector.spans()["core"]
    for factor, path in moved.items():
        np.testing.assert_allclose(path[:, policy], factor * moved[1.0][:, policy], rtol=1e-9)
        np.testing.assert_array_equal(path[:, core], moved[1.0][:, core])


@pytest.mark.parametrize("kind", [SGD, Adam, Muon])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_keeps_arrays_types_and_gradients(kind, dtype):
    vector = Parameters(Wide(dtype=dtype))
    optimizer = kind(vector, Config())
    values, view = vector.values, vector["square.W"]
    vector.gradients[...] = wide_gradients(vector, 1)[0]
    before = vector.gradients.copy()
    optimizer.step(np.float64(0.1))
    assert vector.values is values
    assert np.shares_memory(view, values)
    assert values.dtype == dtype
    np.testing.assert_array_equal(vector.gradients, before)
    for name in optimizer.state:
        assert name == "t" or getattr(optimizer, name).dtype == dtype


@pytest.mark.parametrize("kind", [SGD, Adam, Muon])
def test_the_listed_state_is_all_an_optimizer_remembers(kind):
    vector, copy = Parameters(Wide()), Parameters(Wide())
    optimizer, other = kind(vector, Config()), kind(copy, Config())
    walk(optimizer, wide_gradients(vector))
    copy.values[...] = vector.values
    for name in optimizer.state:
        getattr(other, name)[...] = getattr(optimizer, name)
    np.testing.assert_array_equal(walk(other, wide_gradients(copy)), walk(optimizer, wide_gradients(vector)))


def rates(**changes):
    """The rate of every step of 12 epochs, 10 of them decaying, the first 2 of those warming up."""
    config = replace(Config(lr=0.5, decay_epochs=10, warmup_epochs=2.0), **changes)
    return np.array([learning_rate(config, step, STEPS) for step in range(12 * STEPS)])


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_warm_up_rises_by_equal_steps_from_above_zero_to_the_peak(schedule):
    lr = rates(schedule=schedule)
    rising = lr[: 2 * STEPS + 1]
    np.testing.assert_allclose(np.diff(rising), rising[0], rtol=1e-9)
    assert rising[0] > 0
    assert rising[-1] == lr.max() == 0.5


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_without_warm_up_the_first_step_has_the_peak_rate(schedule):
    assert rates(schedule=schedule, warmup_epochs=0.0)[0] == 0.5


def test_a_fraction_of_an_epoch_can_warm_up():
    lr = rates(warmup_epochs=0.25)
    assert lr[0] == pytest.approx(0.5 / 6)
    assert lr[5] == lr.max() == 0.5


def test_the_cosine_falls_by_half_a_cosine_to_one_percent():
    lr = rates(schedule="cosine")
    assert lr[6 * STEPS] == pytest.approx(0.25)  # halfway between the epochs 2 and 10
    assert lr[4 * STEPS] == pytest.approx(0.25 * (1 + math.sqrt(0.5)))
    assert (np.diff(lr[2 * STEPS :]) <= 0).all()
    np.testing.assert_allclose(lr[10 * STEPS :], 0.005)


def test_linear_falls_by_equal_steps_to_one_percent():
    lr = rates(schedule="linear")
    assert lr[6 * STEPS] == pytest.approx(0.25)
    assert lr[4 * STEPS] == pytest.approx(0.375)
    np.testing.assert_allclose(lr[10 * STEPS :], 0.005)


def test_constant_stays_at_the_peak():
    np.testing.assert_array_equal(rates(schedule="constant")[2 * STEPS :], 0.5)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("warmup", [0.0, 2.0, 10.0, 11.0])
def test_no_rate_is_below_one_percent_after_the_warm_up(schedule, warmup):
    lr = rates(schedule=schedule, warmup_epochs=warmup)
    assert (lr > 0).all()
    assert lr[int(warmup * STEPS) :].min() == pytest.approx(0.005)
    assert lr.max() <= 0.5


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_does_not_depend_on_the_number_of_epochs(schedule):
    np.testing.assert_array_equal(rates(schedule=schedule, epochs=1), rates(schedule=schedule, epochs=1000))


@pytest.mark.parametrize("factor", [1.001, 3.0, 1e6])
def test_gradients_over_the_limit_are_scaled_to_it(factor):
    vector = parameters()
    direction = gradients(1)[0]
    direction /= np.linalg.norm(direction)
    vector.gradients[...] = direction * 2 * factor
    clip_gradients(vector, np.linalg.norm(vector.gradients), 2.0)
    np.testing.assert_allclose(vector.gradients, direction * 2, rtol=1e-9)


@pytest.mark.parametrize("norm", [0.0, 1e-20, 0.5, 1.999])
def test_gradients_under_the_limit_stay_as_they_are(norm):
    vector = parameters()
    direction = gradients(1)[0]
    vector.gradients[...] = direction / np.linalg.norm(direction) * norm
    before = vector.gradients.copy()
    clip_gradients(vector, np.linalg.norm(vector.gradients), 2.0)
    np.testing.assert_array_equal(vector.gradients, before)


def test_clipping_keeps_single_precision():
    vector = parameters(np.float32)
    vector.gradients[...] = 5
    clip_gradients(vector, np.sqrt(np.dot(vector.gradients, vector.gradients)), 1.0)
    assert vector.gradients.dtype == np.float32
    assert np.linalg.norm(vector.gradients) == pytest.approx(1, rel=1e-6)
