"""The whole model with one mistake: what a missing detach, or a wrong estimator, does to every gradient."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.gradcheck.numeric import check_gradient
from ramnp.gradcheck.report import OK, WRONG, Row, merge
from ramnp.gradcheck.student.naming import describe
from ramnp.gradcheck.student.stress import close
from ramnp.gradcheck.surrogate import freeze, surrogate_loss
from ramnp.network.layers import flatten_time
from ramnp.network.model import RecurrentAttentionModel, Rollout
from ramnp.network.reinforce import HybridLoss, LearningRule, hybrid_loss, policy_loss_backward, rewards

ROUTINGS = ("detached", "paper")
POLICY_WEIGHT = 0.7
SIZES = {"the number of rows": 3.0, "the number of time steps": 4.0, "std": 0.6}
Arrays = dict[str, np.ndarray]


class Hint(NamedTuple):
    """A mistake, and the equation it breaks."""

    text: str
    equation: str


ROUTING = 'routing: "detached" stops the policy\'s gradient at h_t, "paper" lets it into the core'
SCORE = "d log pi / d mu = (l - mu) / std^2"
HINTS = {
    "baseline leaks": Hint(
        "the baseline's gradient leaks into the core: a detach is missing", "to the baseline, h_t is a constant"
    ),
    "policy not detached": Hint("the policy's gradient reaches the core: a detach is missing", ROUTING),
    "policy detached": Hint("the policy's gradient does not reach the core", ROUTING),
    "sign": Hint(
        "the sign is wrong: the loss is minus the expected reward",
        "dmu = -(reward - b) (l - mu) / std^2 / (number of rollouts)",
    ),
    "baseline missing": Hint("the baseline is not subtracted", "advantage_t = reward - b_t"),
    "clipped location": Hint(
        "the log-probability is taken at the clipped location", "log pi is that of the sample itself"
    ),
    "std missing": Hint("1/std^2 is missing", SCORE),
    "std for std^2": Hint("divided by std, not by std^2", SCORE),
    "policy sum": Hint("the mean over rollouts is missing in the policy's loss", "mean over rollouts"),
    "action sum": Hint("the mean over rows is missing in the cross-entropy", "(p - onehot) / rows"),
    "baseline sum": Hint("the mean is missing in the baseline's loss", "2 (b_t - reward) / size"),
    "baseline factor": Hint("the factor 2 is missing in the baseline's loss", "2 (b_t - reward) / size"),
    "weight ignored": Hint("the policy's weight is forgotten", "policy_weight times the policy's loss"),
    "answer not trained": Hint("the cross-entropy does not reach the core", "dh_T = dlogits W_a^T"),
    "answer everywhere": Hint(
        "the answer's gradient is sent to every h_t", "dh_T = dlogits W_a^T: the answer is read off h_T alone"
    ),
    "policy late": Hint(
        "the policy's gradient is sent to h_{t+1}, one step late", "mu_t is made from h_t, t = 1 .. T-1"
    ),
    "wrong decisions": Hint("the decisions are paired with h_{t+1}, one step late", "mu_t and b_t are made from h_t"),
}


class MistakenModel(RecurrentAttentionModel):
    """The model, its backward pass with the mistake `mistake`."""

    mistake = ""

    def backward(self, rollout: Rollout, labels: Any, rule: LearningRule) -> HybridLoss:
        """As in the model, step by step, but for the mistake."""
        mistake = self.mistake
        routing = {"policy not detached": "paper", "policy detached": "detached"}.get(mistake, rule.routing)
        tiled = self.tile(labels, rollout)
        weight = 1.0 if mistake == "weight ignored" else rule.policy_weight
        rule = LearningRule(routing, weight)
        loss = hybrid_loss(rollout.log_p, tiled, rollout.decisions, self.policy, rule, xp=self.xp)
        rows, decisions = len(tiled), flatten_time(rollout.h[:-1])
        if mistake == "wrong decisions":
            decisions = flatten_time(rollout.h[1:])
        dmu, dlogits, dbaseline = loss.dmu, loss.dlogits, loss.dbaseline
        factor = {"sign": -1, "std missing": self.policy.std**2, "std for std^2": self.policy.std, "policy sum": rows}
        dmu = dmu * factor.get(mistake, 1)
        if mistake in ("clipped location", "baseline missing"):
            reward = rewards(rollout.log_p, tiled) + 0 * rollout.baseline
            advantage = reward if mistake == "baseline missing" else reward - rollout.baseline
            samples = rollout.locations[1:] if mistake == "clipped location" else rollout.samples
            dmu = self.policy.log_prob_backward(weight * policy_loss_backward(advantage), samples, rollout.mu)
        dlogits = dlogits * (rows if mistake == "action sum" else 1)
        dbaseline = dbaseline * {"baseline sum": dbaseline.size, "baseline factor": 0.5}.get(mistake, 1)
        dh = self.xp.zeros_like(rollout.h)
        from_answer = self.action.backward(dlogits, rollout.h[-1])
        dh[slice(None) if mistake == "answer everywhere" else -1] = (
            0 if mistake == "answer not trained" else from_answer
        )
        leak = self.baseline.backward(flatten_time(dbaseline), decisions, input_gradient=True)
        earlier = flatten_time(dh[:-1])
        if mistake == "baseline leaks":
            earlier += leak
        into_core = self.policy.backward(
            flatten_time(dmu), (decisions, *(flatten_time(buffer) for buffer in rollout.policy))
        )
        if routing == "paper":
            target = flatten_time(dh[1:]) if mistake == "policy late" else earlier
            target += into_core
        dg = self.core.backward(dh, (rollout.glimpse[-1], rollout.core))
        cache = tuple(flatten_time(a) for a in (rollout.rho, rollout.locations, *rollout.glimpse))
        self.glimpse.backward(flatten_time(dg), cache, input_gradient=False)
        return loss


class Trial:
    """A small model of a given class, one rollout of it, and its gradients."""

    def __init__(self, cls: type[RecurrentAttentionModel], routing: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        config = Config(
            glimpses=4,
            patch=2,
            units=6,
            what_units=4,
            where_units=4,
            glimpse_units=5,
            std=SIZES["std"],
            policy_hidden=0,
            dtype="float64",
        )
        self.model = cls(config, (9, 7, 1), 4, NUMPY, 1)
        self.model.parameters.values += 0.3 * rng.standard_normal(self.model.parameters.size)
        self.canvas = self.model.canvas(rng.random((3, 9, 7, 1)))
        self.labels = rng.integers(0, 4, 3)
        self.randomness = self.model.draw(rng, 6)
        self.rule = LearningRule(routing, POLICY_WEIGHT)

    def gradients(self) -> Arrays:
        """All parameter gradients, by name."""
        parameters = self.model.parameters
        self.rollout = self.model.forward(self.canvas, self.randomness)
        parameters.gradients.fill(0)
        self.model.backward(self.rollout, self.labels, self.rule)
        return {name: parameters.gradient(name).copy() for name in parameters}


def mistaken_models(routing: str, seed: int) -> Iterator[tuple[Hint, Arrays]]:
    """The gradients of every mistake that changes something."""
    right = Trial(RecurrentAttentionModel, routing, seed).gradients()
    for mistake, hint in HINTS.items():
        wrong = Trial(type(mistake, (MistakenModel,), {"mistake": mistake}), routing, seed).gradients()
        if any(not close(wrong[name], right[name], 1e-4) for name in right):
            yield hint, wrong


def check_model(cls: type[RecurrentAttentionModel], name: str, seed: int) -> list[Row]:
    """Rows about somebody's subclass of the model, in both routings."""
    rows = []
    for routing in ROUTINGS:
        trial = Trial(cls, routing, seed)
        gradients = trial.gradients()
        frozen = freeze(trial.model, trial.rollout, trial.labels, trial.rule)

        def f(trial: Trial = trial, frozen: Any = frozen) -> float:
            return surrogate_loss(trial.model, trial.canvas, trial.randomness, frozen, trial.rule)

        parameters = trial.model.parameters
        checks = {key: check_gradient(f, parameters[key], gradients[key]) for key in gradients}
        wrong = [key for key, check in checks.items() if not check.passed]
        joint = None
        if wrong:
            fits = (hint for hint, found in mistaken_models(routing, seed) if _same(found, gradients))
            joint = next(fits, None)
        for key, check in checks.items():
            message = equation = pair = ""
            if key in wrong:
                message = joint.text if joint else in_words(gradients[key], check.numeric)
                equation = joint.equation if joint else ""
                if check.where:
                    mine, right = gradients[key][check.where], check.numeric[check.where]
                    at = ",".join(map(str, check.where))
                    pair = f"d{key}[{at}] is {mine:.4g}, and finite differences give {right:.4g}"
            verdict = WRONG if key in wrong else OK
            counts = (check.checked, check.kinks, check.error, check.where)
            rows.append(
                Row(f"{name} ({routing})", f"d{key}", gradients[key].shape, *counts, verdict, message, pair, equation)
            )
    return merge(rows)


def in_words(a: np.ndarray, n: np.ndarray) -> str:
    """A wrong gradient beside the right one, where no mistake of the table fits."""
    if not a.any():
        return "it is all zero: nothing is written to it"
    if not n.any():
        return "it should be zero: something flows here that is a constant, so a detach is missing"
    ratio = float((a * n).sum() / (n * n).sum())
    return describe(ratio, SIZES) if close(a, ratio * n, 1e-4) else "no known mistake fits"


def _same(a: Arrays, b: Arrays) -> bool:
    return all(close(a[name], b[name], 1e-4) for name in a)
