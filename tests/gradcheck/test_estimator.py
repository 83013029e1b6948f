"""REINFORCE estimates the gradient of the expected reward: the mean, the baseline, and the number of rollouts."""

import numpy as np
import pytest

from ramnp.gradcheck import estimator
from ramnp.network.policy import GaussianPolicy

SAMPLES = 200_000


def test_the_quadrature_agrees_with_the_closed_form():
    """The product of two Gaussians integrates to a Gaussian of the distance."""
    total = estimator.STD**2 + estimator.WIDTH**2
    distance = estimator.MU - estimator.TARGET
    closed = estimator.WIDTH**2 / total * np.exp(-(distance @ distance) / (2 * total))
    assert estimator.expected_reward(estimator.MU) == pytest.approx(closed, rel=1e-10)
    np.testing.assert_allclose(estimator.exact_gradient(), -distance / total * closed, rtol=1e-8)


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_the_estimate_converges_to_the_exact_gradient(baseline):
    found = estimator.study(SAMPLES, baseline, seed=0)
    assert found.deviation < 4
    assert (found.error < 0.02).all()  # tight enough to tell


def test_the_baseline_leaves_the_mean_and_shrinks_the_variance():
    without = estimator.study(SAMPLES, 0.0, seed=0)
    using = estimator.study(SAMPLES, estimator.expected_reward(estimator.MU), seed=0)
    assert (np.abs(without.mean - using.mean) < 4 * (without.error + using.error)).all()
    assert using.variance < without.variance / 3


def test_m_rollouts_divide_the_variance_by_m():
    rollouts = [1, 4, 16]
    variances = estimator.rollout_variances(rollouts, 10_000, seed=0)
    np.testing.assert_allclose(np.array(variances) * rollouts, variances[0], rtol=0.1)


def clipped(self, dlog_prob, sample, mu):
    return right(self, dlog_prob, np.clip(sample, -0.2, 0.2), mu)


def lost_std(self, dlog_prob, sample, mu):
    return right(self, dlog_prob, sample, mu) * self.std


right = GaussianPolicy.log_prob_backward


@pytest.mark.parametrize("bug", [clipped, lost_std])
def test_a_wrong_score_is_found(monkeypatch, bug):
    monkeypatch.setattr(GaussianPolicy, "log_prob_backward", bug)
    assert estimator.study(SAMPLES, 0.7, seed=0).deviation > 10


def test_the_command_prints_the_study(capsys):
    assert estimator.main(["--samples", "20000"]) == 0
    assert "divides the variance by" in capsys.readouterr().out
