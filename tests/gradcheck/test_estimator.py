"""REINFORCE estimates the gradient of the expected reward: the mean, the baseline, and the number of rollouts."""

import numpy as np
import pytest

from ramnp.backend import NUMPY
from ramnp.gradcheck import estimator, over_time
from ramnp.gradcheck.own import OVER_TIME, check_part
from ramnp.network import reinforce
from ramnp.network.model import RecurrentAttentionModel
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
    out = capsys.readouterr().out
    assert "divides the variance by" in out
    assert "over T = 2 and 3 glimpses, 32 models" in out


def test_the_cases_are_all_that_the_model_can_be():
    found = list(over_time.cases(NUMPY, np.random.default_rng(0)))
    assert len({case.name for case in found}) == 32
    assert {len(case.samples) for case in found} == {1, 2, 3}
    telling = [case for case in found if 0.05 < case.reward.mean() < 0.95]
    assert len(telling) > 24  # a reward that is the same everywhere shows nothing


def test_the_density_of_all_paths_is_1_and_stays_1(rng):
    """What the baseline rests on: a path's probability has no mean gradient."""
    case = next(over_time.cases(NUMPY, rng))
    case = case._replace(reward=np.ones_like(case.reward))
    assert over_time.expected_reward(case) == 1
    step = 1e-5 * rng.standard_normal(case.model.parameters.size)
    case.model.parameters.values += step
    assert over_time.expected_reward(case) == pytest.approx(1, abs=1e-8)


def averaged_over_time(advantage):
    return advantage / -advantage.size


def clipped_to_the_image(self, dlog_prob, sample, mu):
    return right(self, dlog_prob, np.clip(sample, -1, 1), mu)


def one_step_late(self, rollout):
    return rollout.core.h[self.given + 1 :]


def forgotten(self, dmu, mu):
    pass


def without_the_way_back(self, loss, rollout, rule, dh):
    to_the_policy(self, loss, rollout, rule._replace(routing="detached"), dh)


to_the_policy = RecurrentAttentionModel.backward_policy


@pytest.mark.parametrize(
    ("owner", "name", "bug"),
    [
        (reinforce, "policy_loss_backward", averaged_over_time),
        (GaussianPolicy, "log_prob_backward", clipped_to_the_image),
        (RecurrentAttentionModel, "deciding", one_step_late),
        (GaussianPolicy, "backward_first", forgotten),
        (RecurrentAttentionModel, "backward_policy", without_the_way_back),
    ],
)
def test_a_mistake_over_time_is_found(monkeypatch, owner, name, bug):
    monkeypatch.setattr(owner, name, bug)
    assert {row.verdict for row in check_part(OVER_TIME, NUMPY, seed=0)} >= {"WRONG"}


@pytest.mark.parametrize("seed", range(3))
def test_the_rule_holds_over_time(seed):
    rows = check_part(OVER_TIME, NUMPY, seed)
    assert {row.verdict for row in rows} == {"ok"}
    assert {"dpolicy.first", "dpolicy.mean.W", "dcore.W_hh", "dglimpse.what.W"} <= {row.name for row in rows}
