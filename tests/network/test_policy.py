"""The Gaussian location policy."""

import numpy as np
import pytest
from checking import failures, wrong_gradients
from subjects import LearnedStd

from ramnp.network.policy import SQUASHES, GaussianPolicy


def make(rng, squash="tanh", hidden=0, std=0.3, xp=np):
    policy = GaussianPolicy(4, std, rng, squash, hidden, xp, np.float64)
    policy.mean.W *= 30  # large enough that "clip" clips some rows and not others
    return policy


@pytest.mark.parametrize("squash", SQUASHES)
@pytest.mark.parametrize("hidden", [0, 5])
def test_gradients_of_the_mean(backend, rng, squash, hidden):
    policy = make(rng, squash, hidden, xp=backend.xp)
    h = backend.asarray(rng.standard_normal((9, 4)))
    if squash == "clip":
        clipped = np.abs(backend.to_host(policy.forward(h)[0])) == 1
        assert clipped.any()
        assert not clipped.all()
    assert wrong_gradients(policy, policy.forward, policy.backward, {"h": h}, rng) == []


def test_input_gradient_can_be_left_out(rng):
    for hidden in (0, 5):
        policy = make(rng, hidden=hidden)
        mu, cache = policy.forward(rng.standard_normal((3, 4)))
        assert policy.backward(np.ones_like(mu), cache, input_gradient=False) is None


def test_the_mean_stays_in_the_image_unless_linear(rng):
    h = 100 * rng.standard_normal((9, 4))
    largest = {squash: np.abs(make(rng, squash).forward(h)[0]).max() for squash in SQUASHES}
    assert largest["tanh"] <= 1
    assert largest["clip"] == 1
    assert largest["linear"] > 1


def test_std_is_a_standard_deviation_and_not_a_variance(rng):
    policy = make(rng, std=0.3)
    samples = policy.sample(np.zeros((100_000, 2)), rng.standard_normal((100_000, 2)))
    np.testing.assert_allclose(samples.std(axis=0), 0.3, rtol=0.01)


def test_without_noise_the_sample_is_the_mean(rng):
    mu = rng.uniform(-1, 1, (5, 2))
    np.testing.assert_array_equal(make(rng).sample(mu, np.zeros((5, 2))), mu)


def test_log_prob_is_a_density(rng):
    policy = make(rng, std=0.3)
    grid = np.linspace(-3, 3, 301)
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    total = np.exp(policy.log_prob(points, np.array([0.2, -0.4]))).sum() * (grid[1] - grid[0]) ** 2
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_gradient_of_log_prob(backend, rng):
    policy = make(rng, xp=backend.xp)
    mu, sample = (backend.asarray(rng.standard_normal((3, 5, 2))) for _ in range(2))
    weights = backend.asarray(rng.standard_normal((3, 5)))
    f = lambda: float((policy.log_prob(sample, mu) * weights).sum())  # noqa: E731
    dmu = policy.log_prob_backward(weights, sample, mu)
    assert failures(f, {"mu": (mu, dmu)}) == []
    assert failures(f, {"mu": (mu, dmu * policy.std**2)}) == ["mu"]  # lost 1 / std^2
    assert failures(f, {"mu": (mu, -dmu)}) == ["mu"]


def test_a_learned_std_is_a_subclass(backend, rng):
    policy = LearnedStd(4, 0.3, rng, xp=backend.xp, dtype=np.float64)
    usual = GaussianPolicy(4, 0.3, rng, xp=backend.xp, dtype=np.float64)
    mu, sample = (backend.asarray(rng.standard_normal((3, 5, 2))) for _ in range(2))
    close = lambda a, b: np.testing.assert_allclose(backend.to_host(a), backend.to_host(b))  # noqa: E731
    close(policy.log_prob(sample, mu), usual.log_prob(sample, mu))
    weights = backend.asarray(rng.standard_normal((3, 5)))
    dmu = policy.log_prob_backward(weights, sample, mu)
    close(dmu, usual.log_prob_backward(weights, sample, mu))
    policy.log_std += 0.1
    policy.dlog_std[...] = 0
    dmu = policy.log_prob_backward(weights, sample, mu)
    f = lambda: float((policy.log_prob(sample, mu) * weights).sum())  # noqa: E731
    assert failures(f, {"mu": (mu, dmu), "log_std": (policy.log_std, policy.dlog_std)}) == []
