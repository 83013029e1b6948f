"""The recurrent attention model: a rollout forward in time, and one backward pass.

                      l_1          l_2          l_3                     l_t   location (x, y)
                       |         ~/ |         ~/ |                      ~     sampled: no gradient
    image --> sensor --+--> g_1  /  +--> g_2  /  +--> g_3               g_t   glimpse network
                             |  /         |  /         |
                     h_0 --> h_1 -------> h_2 -------> h_3              h_t   core
                             |            |            |
                         mu_1, b_1    mu_2, b_2      log p              policy and baseline; answer

Nothing but the core connects one time step with the next, as far as gradients go: a sampled location
is a constant. So all other parts run backward once, on the rows of all time steps together.
"""

from dataclasses import dataclass

import numpy as np

from ramnp.backend import NUMPY, Array, Backend
from ramnp.config import ModelConfig
from ramnp.core import CORES, CoreCache
from ramnp.errors import UsageError
from ramnp.glimpse import GLIMPSES
from ramnp.heads import ActionNetwork, Baseline
from ramnp.layers import log_softmax
from ramnp.parameters import Parameters, Part
from ramnp.policy import GaussianPolicy
from ramnp.reinforce import HybridLoss, hybrid_loss
from ramnp.sensor import Canvas, GlimpseSensor, pad


@dataclass
class Rollout:
    """Everything a forward pass computed, time-major. It is also the storage of the next one.

    T glimpses, R rollouts (row r looks at image r mod B), D sensor values, N units, A classes.

    Attributes:
        rho: (T, R, D) what the sensor saw.
        locations: (T, R, 2) where: the first as given, the others the samples clipped to the image.
        samples: (T - 1, R, 2) the locations 2..T as sampled.
        glimpse: buffers of the glimpse network, each (T, R, .); the last is g.
        core: states of the core.
        policy: buffers of the policy, each (T - 1, R, .); the last is mu.
        log_p: (R, A) log-probabilities of the classes after the last glimpse.
        baseline: (T - 1, R) rewards expected at each decision.
    """

    rho: Array
    locations: Array
    samples: Array
    glimpse: tuple[Array, ...]
    core: CoreCache
    policy: tuple[Array, ...]
    log_p: Array | None = None
    baseline: Array | None = None

    @property
    def mu(self) -> Array:
        """(T - 1, R, 2) means of the locations 2..T."""
        return self.policy[-1]

    @property
    def h(self) -> Array:
        """(T, R, N) states h_1..h_T."""
        return self.core.h[1:]


def at(t: int, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Step t of time-major arrays, as views."""
    return tuple(array[t] for array in arrays)


def flatten_time(array: Array) -> Array:
    """(T, R, ...) as (T R, ...): time is just more rows. A view."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


class RecurrentAttentionModel(Part):
    """Recurrent Models of Visual Attention (Mnih, Heess, Graves, Kavukcuoglu 2014).

    Args:
        config: sizes and kinds of the parts.
        image_shape: (H, W, C).
        classes: A.
        backend: where the arrays live.
        seed: of the initial weights, which are drawn on the host and so are the same everywhere.

    Attributes:
        parameters: all weights and their gradients, by name and as one vector each.
    """

    parts = ("glimpse", "core", "policy", "action", "baseline")

    def __init__(
        self,
        config: ModelConfig,
        image_shape: tuple[int, int, int],
        classes: int,
        backend: Backend = NUMPY,
        seed: int = 0,
    ) -> None:
        xp, dtype = backend.xp, np.dtype(config.dtype)
        super().__init__(xp, dtype)
        self.config, self.image_shape, self.classes, self.backend = config, image_shape, classes, backend
        rng = np.random.default_rng(seed)
        units = config.units
        self.sensor = GlimpseSensor(config.patch, config.scales, xp, dtype)
        self.glimpse = GLIMPSES[config.glimpse_network](
            self.sensor.shape(image_shape[2]),
            config.what_units,
            config.where_units,
            config.glimpse_units,
            rng,
            xp,
            dtype,
        )
        self.core = CORES[config.core](config.glimpse_units, units, rng, xp, dtype)
        self.policy = GaussianPolicy(units, config.std, rng, config.squash, config.policy_hidden, xp, dtype)
        self.action = ActionNetwork(units, classes, rng, xp, dtype)
        self.baseline = Baseline(units, rng, xp, dtype)
        self.parameters = Parameters(self)

    def canvas(self, images: np.ndarray) -> Canvas:
        """Host images (B, H, W, C) on the backend, with the border the sensor needs."""
        return pad(self.backend.asarray(images), self.sensor.margin, self.xp)

    def draw(self, rng: np.random.Generator, rows: int, deterministic: bool = False) -> Array:
        """The randomness of R rollouts, (T, R, 2): drawn on the host, one transfer.

        [0] is the first location, uniform in the image; [1:] is the policy's standard normal noise, or
        zeros where `deterministic`, so that each location is the policy's mean.
        """
        steps = self.config.glimpses
        randomness = np.zeros((steps, rows, 2), dtype=self.dtype)
        randomness[0] = rng.uniform(-1, 1, (rows, 2))
        if not deterministic:
            randomness[1:] = rng.standard_normal((steps - 1, rows, 2), dtype=self.dtype)
        return self.backend.asarray(randomness)

    def storage(self, rows: int) -> Rollout:
        """Room for R rollouts."""
        steps, xp, dtype = self.config.glimpses, self.xp, self.dtype
        return Rollout(
            rho=xp.empty((steps, rows, self.sensor.size(self.image_shape[2])), dtype=dtype),
            locations=xp.empty((steps, rows, 2), dtype=dtype),
            samples=xp.empty((steps - 1, rows, 2), dtype=dtype),
            glimpse=self.glimpse.buffers(steps, rows),
            core=self.core.cache(steps, rows),
            policy=self.policy.buffers(steps - 1, rows),
        )

    def forward(
        self,
        canvas: Canvas,
        randomness: Array,
        samples: Array | None = None,
        out: Rollout | None = None,
    ) -> Rollout:
        """Look T times and answer.

        Args:
            canvas: B images.
            randomness: (T, R, 2) from `draw`, R a multiple of B.
            samples: (T - 1, R, 2) locations to replay instead of sampling; a gradient check needs them.
            out: a rollout of as many rows, to be overwritten. Default: new storage.

        Raises:
            UsageError: shapes do not fit together.
        """
        steps, xp = self.config.glimpses, self.xp
        rollout = self.storage(randomness.shape[1]) if out is None else out
        if randomness.shape != rollout.locations.shape:
            raise UsageError(f"randomness must be {rollout.locations.shape}, (T, R, 2), got {randomness.shape}")
        rollout.locations[0] = randomness[0]
        for t in range(steps):
            location = rollout.locations[t]
            rho = self.sensor.forward(canvas, location, out=rollout.rho[t])
            g, _ = self.glimpse.forward(rho, location, out=at(t, rollout.glimpse))
            h = self.core.step(g, t, rollout.core)
            if t + 1 < steps:
                mu, _ = self.policy.forward(h, out=at(t, rollout.policy))
                if samples is None:
                    self.policy.sample(mu, randomness[t + 1], out=rollout.samples[t])
                else:
                    rollout.samples[t] = samples[t]
                # Not clip, which keeps a NaN: a diverged policy would look outside the array, and the
                # training would end in an index error instead of saying that it diverged.
                xp.fmax(xp.fmin(rollout.samples[t], 1), -1, out=rollout.locations[t + 1])
        logits, _ = self.action.forward(rollout.h[-1])
        rollout.log_p = log_softmax(logits, xp)
        baseline, _ = self.baseline.forward(flatten_time(rollout.h[:-1]))
        rollout.baseline = baseline.reshape(rollout.samples.shape[:2])
        return rollout

    def backward(self, rollout: Rollout, labels: Array, routing: str, policy_weight: float) -> HybridLoss:
        """Accumulate the gradient of the hybrid loss (see `reinforce`) into `parameters.gradients`.

        Routing says where the policy's gradient goes: "detached" trains the policy alone by REINFORCE,
        and everything from the sensor to the answer by cross-entropy; "paper" lets it flow on through h_t
        into the core and the glimpse network. The baseline's gradient never leaves the baseline.

        Args:
            rollout: what `forward` returned.
            labels: (B,) integers.
            routing: "detached" or "paper".
            policy_weight: weight of the REINFORCE term.
        """
        h, decisions = rollout.h, flatten_time(rollout.h[:-1])
        loss = hybrid_loss(
            rollout.log_p,
            self.tile(labels, rollout),
            rollout.mu,
            rollout.samples,
            rollout.baseline,
            self.policy,
            policy_weight,
            self.xp,
        )
        dh = self.xp.zeros_like(h)
        dh[-1] = self.action.backward(loss.dlogits, h[-1])
        self.baseline.backward(flatten_time(loss.dbaseline), decisions)
        policy_cache = (decisions, *(flatten_time(buffer) for buffer in rollout.policy))
        into_core = routing == "paper"
        d_decisions = self.policy.backward(flatten_time(loss.dmu), policy_cache, input_gradient=into_core)
        if into_core:
            earlier = flatten_time(dh[:-1])
            earlier += d_decisions
        dg = self.core.backward(dh, (rollout.glimpse[-1], rollout.core))
        glimpse_cache = (rollout.rho, rollout.locations, *rollout.glimpse)
        self.glimpse.backward(flatten_time(dg), tuple(flatten_time(a) for a in glimpse_cache), input_gradient=False)
        return loss

    def tile(self, labels: Array, rollout: Rollout) -> Array:
        """(R,) labels of the rollouts, from those of the B images."""
        return self.xp.tile(labels, len(rollout.log_p) // len(labels))

    def predict(self, rollout: Rollout, images: int) -> Array:
        """(B, A) class probabilities of a rollout, averaged over each image's M rollouts."""
        return self.xp.exp(rollout.log_p).reshape(-1, images, self.classes).mean(axis=0)
