"""The losses, and the heads they are computed from."""

import numpy as np
import pytest
from checking import failures, wrong_gradients

from ramnp.network import reinforce
from ramnp.network.heads import ActionNetwork, Baseline
from ramnp.network.layers import cross_entropy, cross_entropy_backward, log_softmax
from ramnp.network.policy import GaussianPolicy


def test_the_action_network(backend, rng):
    head = ActionNetwork(4, 3, rng, backend.xp, np.float64)
    h, labels = backend.asarray(rng.standard_normal((5, 4))), backend.asarray(np.array([0, 2, 1, 1, 0]))
    logits, cache = head.forward(h)
    dh = head.backward(cross_entropy_backward(log_softmax(logits, backend.xp), labels, backend.xp), cache)
    f = lambda: float(cross_entropy(log_softmax(head.forward(h)[0], backend.xp), labels, backend.xp))  # noqa: E731
    assert failures(f, {"W": (head.W, head.dW), "b": (head.b, head.db), "h": (h, dh)}) == []


def test_the_baseline(backend, rng):
    head = Baseline(4, rng, backend.xp, np.float64)
    h = backend.asarray(rng.standard_normal((5, 4)))
    np.testing.assert_array_equal(backend.to_host(head.forward(h)[0]), np.zeros(5))
    head.W[...] = backend.asarray(rng.standard_normal((4, 1)))
    backward = lambda db, cache: head.backward(db, cache, input_gradient=True)  # noqa: E731
    assert wrong_gradients(head, head.forward, backward, {"h": h}, rng) == []
    assert head.backward(backend.xp.ones(5), h) is None  # to the baseline, the state is a constant


def test_the_reward_is_one_for_a_right_answer(rng):
    log_p = np.log(np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]]))
    np.testing.assert_array_equal(reinforce.rewards(log_p, np.array([1, 2])), [1, 0])


def test_gradients_of_the_losses(backend, rng):
    advantage, log_pi, baseline = (backend.asarray(rng.standard_normal((3, 5))) for _ in range(3))
    reward = backend.asarray((rng.random(5) < 0.5).astype(float))
    policy = lambda: float(reinforce.policy_loss(advantage, log_pi))  # noqa: E731
    squared = lambda: float(reinforce.baseline_loss(baseline, reward))  # noqa: E731
    dlog_pi, db = reinforce.policy_loss_backward(advantage), reinforce.baseline_loss_backward(baseline, reward)
    assert failures(policy, {"log_pi": (log_pi, dlog_pi)}) == []
    assert failures(squared, {"b": (baseline, db)}) == []
    for factor in (-1, 5, 3, 0.5):  # sign; sum over rollouts; sum over time; lost factor 2
        assert failures(policy, {"log_pi": (log_pi, dlog_pi * factor)}) == ["log_pi"]
        assert failures(squared, {"b": (baseline, db * factor)}) == ["b"]


def test_hybrid_loss_puts_the_parts_together(rng):
    policy = GaussianPolicy(4, 0.3, rng, dtype=np.float64)
    log_p, labels = np.log(rng.dirichlet(np.ones(3), 5)), np.array([0, 2, 1, 1, 0])
    mu, samples, baseline = (rng.standard_normal(shape) for shape in ((3, 5, 2), (3, 5, 2), (3, 5)))
    loss = reinforce.hybrid_loss(
        log_p, labels, reinforce.Decisions(mu, samples, baseline), policy, reinforce.LearningRule(policy_weight=0.7)
    )
    reward = reinforce.rewards(log_p, labels)
    advantage = reward - baseline
    assert loss.reward == reward.mean()
    expected = -0.7 * (advantage * policy.log_prob(samples, mu)).sum(axis=0).mean()
    np.testing.assert_allclose(loss.terms["policy"], expected)
    np.testing.assert_allclose(loss.dmu, -0.7 / 5 * advantage[..., None] * (samples - mu) / 0.3**2)
    np.testing.assert_allclose(loss.terms["action"], -log_p[np.arange(5), labels].mean())
    np.testing.assert_allclose(loss.terms["baseline"], ((baseline - reward) ** 2).mean())


def gains_of(log_p, labels, decisions, discount):
    """The definition, one rollout and one location at a time."""
    steps, rows, _ = log_p.shape
    returns = np.zeros((decisions, rows))
    for s, row in np.ndindex(decisions, rows):
        for later in range(steps - decisions + s, steps):
            before = np.exp(log_p[later - 1, row, labels[row]]) if later else 0.0
            gain = np.exp(log_p[later, row, labels[row]]) - before
            returns[s, row] += discount ** (later - (steps - decisions + s)) * gain
    return returns


@pytest.mark.parametrize("discount", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("decisions", [0, 3, 4])
def test_a_location_is_rewarded_with_what_is_gained_from_then_on(backend, rng, decisions, discount):
    answers, labels = np.log(rng.dirichlet(np.ones(3), (4, 5))), np.array([0, 2, 1, 1, 0])
    arrays = (backend.asarray(array) for array in (answers[:-1], answers[-1], labels))
    returns = reinforce.gain_returns(*arrays, decisions, discount, backend.xp)
    assert returns.shape == (decisions, 5)
    np.testing.assert_allclose(backend.to_host(returns), gains_of(answers, labels, decisions, discount), atol=1e-12)
    if discount == 1 and decisions == 3:  # the sum telescopes
        p = np.exp(answers[:, np.arange(5), labels])
        np.testing.assert_allclose(backend.to_host(returns), p[-1] - p[:-1])


def test_hybrid_loss_with_gains(rng):
    policy, gain = GaussianPolicy(4, 0.3, rng, dtype=np.float64), reinforce.Gain(early_weight=0.4, discount=0.6)
    answers, labels = np.log(rng.dirichlet(np.ones(3), (4, 5))), np.array([0, 2, 1, 1, 0])
    mu, samples, baseline = (rng.standard_normal(shape) for shape in ((3, 5, 2), (3, 5, 2), (3, 5)))
    decisions, rule = reinforce.Decisions(mu, samples, baseline), reinforce.LearningRule("paper", 0.7, gain)
    loss = reinforce.hybrid_loss(answers[-1], labels, decisions, policy, rule, early=answers[:-1])
    advantage = gains_of(answers, labels, 3, 0.6) - baseline
    right = answers[:, np.arange(5), labels].mean(axis=1)
    assert loss.reward == reinforce.rewards(answers[-1], labels).mean()
    np.testing.assert_allclose(loss.terms["action"], -right[-1] - 0.4 * right[:-1].sum())
    np.testing.assert_allclose(loss.dmu, -0.7 / 5 * advantage[..., None] * (samples - mu) / 0.3**2)
    np.testing.assert_allclose(loss.terms["baseline"], (advantage**2).mean())


def test_one_glimpse_has_no_decisions(rng):
    policy = GaussianPolicy(4, 0.3, rng, dtype=np.float64)
    log_p, none = np.log(rng.dirichlet(np.ones(3), 5)), np.empty((0, 5))
    loss = reinforce.hybrid_loss(
        log_p,
        np.zeros(5, int),
        reinforce.Decisions(none[..., None], none[..., None], none),
        policy,
        reinforce.LearningRule(),
    )
    assert loss.terms["policy"] == 0
    assert loss.terms["baseline"] == 0
