"""`python -m ramnp.gradcheck.estimator`: REINFORCE against the exact gradient of an expected reward.

Finite differences of the surrogate loss show that the code differentiates the surrogate. They do not show that
the surrogate's gradient is, on average, the gradient of the expected reward. That is shown here, on a problem
whose expected reward can be integrated:

    reward(l) = exp(-|l - target|^2 / (2 width^2)),     l ~ N(mu, std^2 I),     J(mu) = E[reward(l)].

The exact dJ/dmu comes from Gauss-Hermite quadrature, as a centred difference of J, without any use of the score
function; the estimate from the model's own `policy_loss_backward` and `GaussianPolicy.log_prob_backward`.

Then the same for whole models over T = 2 and 3 glimpses, without samples: see over_time.py.
"""

from typing import NamedTuple

import numpy as np

from ramnp.backend import NUMPY
from ramnp.cli import Parser, description, run
from ramnp.errors import UsageError
from ramnp.gradcheck.own import OVER_TIME, check_part
from ramnp.gradcheck.report import passed
from ramnp.network.policy import GaussianPolicy
from ramnp.network.reinforce import policy_loss_backward

MU = np.array([0.2, -0.1])
TARGET = np.array([0.5, 0.3])
STD, WIDTH = 0.3, 0.5
NODES = 40  # of the quadrature, along each axis: its error is below rounding here


def reward(location: np.ndarray) -> np.ndarray:
    """(...,) from (..., 2)."""
    return np.exp(-((location - TARGET) ** 2).sum(axis=-1) / (2 * WIDTH**2))


def expected_reward(mu: np.ndarray) -> float:
    """J(mu), by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    x, y = np.meshgrid(nodes, nodes)
    locations = mu + STD * np.stack([x, y], axis=-1)
    return float((np.outer(weights, weights) * reward(locations)).sum() / weights.sum() ** 2)


def exact_gradient(eps: float = 1e-5) -> np.ndarray:
    """dJ/dmu (2,), by centred differences of the quadrature."""
    steps = eps * np.eye(2)
    return np.array([(expected_reward(MU + step) - expected_reward(MU - step)) / (2 * eps) for step in steps])


def estimates(samples: int, baseline: float, rng: np.random.Generator) -> np.ndarray:
    """Independent one-sample REINFORCE estimates of dJ/dmu, (samples, 2), made by the model's own code."""
    policy = GaussianPolicy(1, STD, rng, dtype=np.float64)
    mu = np.broadcast_to(MU, (1, samples, 2))
    locations = policy.sample(mu, rng.standard_normal((1, samples, 2)))
    advantage = reward(locations) - baseline
    # The loss is minus the reward, averaged over rollouts: undo both for single estimates.
    dlog_pi = -samples * policy_loss_backward(advantage)
    return policy.log_prob_backward(dlog_pi, locations, mu)[0]


class Study(NamedTuple):
    """What many estimates look like.

    Attributes:
        exact: (2,) the true gradient.
        mean, error: (2,) the average of the estimates, and its standard error.
        variance: of one estimate, summed over the two coordinates.
    """

    exact: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    variance: float

    @property
    def deviation(self) -> float:
        """How many standard errors the mean is off, in the worse coordinate."""
        return float((np.abs(self.mean - self.exact) / self.error).max())


def study(samples: int, baseline: float, seed: int) -> Study:
    """Estimates with one baseline, summed up."""
    values = estimates(samples, baseline, np.random.default_rng(seed))
    return Study(
        exact_gradient(), values.mean(axis=0), values.std(axis=0) / np.sqrt(samples), float(values.var(axis=0).sum())
    )


def rollout_variances(rollouts: list[int], repeats: int, seed: int) -> list[float]:
    """The variance of the estimate that averages M rollouts, for each M, summed over the coordinates."""
    found = []
    for m in rollouts:
        values = estimates(repeats * m, expected_reward(MU), np.random.default_rng([seed, m]))
        found.append(float(values.reshape(repeats, m, 2).mean(axis=1).var(axis=0).sum()))
    return found


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m ramnp.gradcheck.estimator", description=description(__doc__))
    parser.add_argument("--samples", type=int, default=400_000, metavar="N", help="estimates to average (400000)")
    parser.add_argument("--seed", type=int, default=0, help="(0)")
    arguments = parser.parse_args(argv)
    if arguments.samples < 2 or arguments.seed < 0:
        raise UsageError("--samples must be at least 2, and --seed at least 0")
    exact = exact_gradient()
    print(f"exact dJ/dmu by quadrature             ({exact[0]:.5f}, {exact[1]:.5f})")
    without = study(arguments.samples, 0.0, arguments.seed)
    using = study(arguments.samples, expected_reward(MU), arguments.seed)
    for name, found in (("no baseline", without), ("baseline J", using)):
        print(
            f"REINFORCE, {name:<12} mean of {arguments.samples:,}: ({found.mean[0]:.5f}, {found.mean[1]:.5f}), "
            f"{found.deviation:.1f} standard errors off, variance {found.variance:.3f}"
        )
    print(f"the baseline divides the variance by {without.variance / using.variance:.2f}, and leaves the mean")
    rollouts = [1, 2, 4, 8, 16, 32]
    variances = rollout_variances(rollouts, 20_000, arguments.seed)
    for m, variance in zip(rollouts, variances, strict=True):
        print(f"M = {m:>2} rollouts: variance {variance:.4f}, times M {m * variance:.4f}")
    rows = check_part(OVER_TIME, NUMPY, arguments.seed)
    print(
        f"over T = 2 and 3 glimpses, 32 models: at most {max(row.error or 0 for row in rows):.1e} off (relative error)"
    )
    return 0 if passed(rows) and max(without.deviation, using.deviation) < 4 else 1


if __name__ == "__main__":
    run(main)
