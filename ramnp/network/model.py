"""The recurrent attention model: a rollout forward in time, and one backward pass.

                      l_1          l_2          l_3                     l_t   location (x, y)
                       |         ~/ |         ~/ |                      ~     sampled: no gradient
    image --> sensor --+--> g_1  /  +--> g_2  /  +--> g_3               g_t   glimpse network
                             |  /         |  /         |
                     h_0 --> h_1 -------> h_2 -------> h_3              h_t   core
                             |            |            |
                         mu_1, b_1    mu_2, b_2      log p              policy and baseline; answer

The first location is given (uniform in the image, or its centre), or it is learned. A control has no policy: all its
locations are given. So the last S of the T locations are sampled: S = T - 1, T or 0.

Equations count time from 1, arrays from 0: locations[t] is l_{t+1}, and h[t] is h_{t+1}. core.h has h_0 = 0 in front,
so core.h[t] is h_t. mu[s] is the mean of locations[T - S + s].

A sampled location is a constant. So gradients pass from one time step to another only through the core, and all other
parts run backward once, on the rows of all time steps together.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ramnp.backend import NUMPY, Array, Backend
from ramnp.config import Config
from ramnp.errors import UsageError
from ramnp.network.classifier import Classifier
from ramnp.network.core import CoreCache
from ramnp.network.heads import ActionNetwork, Baseline
from ramnp.network.layers import flatten_time, log_softmax
from ramnp.network.parameters import Parameters
from ramnp.network.reinforce import TERMS, Decisions, HybridLoss, LearningRule, hybrid_loss
from ramnp.network.sensor import Canvas, GlimpseSensor
from ramnp.registry import get, register


@dataclass
class Rollout:
    """Everything a forward pass computed, time-major. It is also the storage of the next one.

    T glimpses, S of them sampled, R rollouts (row r looks at image r mod B), D sensor values, N units, A classes.

    Attributes:
        rho: (T, R, D) what the sensor saw.
        locations: (T, R, 2) where: as given, and the last S the samples clipped to the image.
        samples: (S, R, 2) the last S locations as sampled.
        glimpse: buffers of the glimpse network, each (T, R, .); the last is g.
        core: states of the core.
        policy: buffers of the policy, each (S, R, .); the last is mu.
        log_p: (R, A) log-probabilities of the classes after the last glimpse.
        baseline: (S, R) rewards expected at each decision.
        gradients: room for what `backward` computes. It is kept from step to step, like all storage: fresh memory
            costs a page fault for every few thousand bytes.
    """

    rho: Array
    locations: Array
    samples: Array
    glimpse: tuple[Array, ...]
    core: CoreCache
    policy: tuple[Array, ...]
    gradients: "Gradients"
    log_p: Array = None
    baseline: Array = None

    @property
    def mu(self) -> Array:
        """(S, R, 2) means of the samples."""
        return self.policy[-1]

    @property
    def decisions(self) -> Decisions:
        """The S sampled locations, as the learning rule takes them."""
        return Decisions(self.mu, self.samples, self.baseline)

    @property
    def h(self) -> Array:
        """(T, R, N) states h_1 .. h_T."""
        return self.core.h[1:]

    def arrays(self) -> dict[str, tuple[Array, ...]]:
        """The storage by part."""
        core = tuple(array for array in self.core if array is not None)
        return {
            "sensor": (self.rho,),
            "locations": (self.locations, self.samples),
            "glimpse": self.glimpse,
            "core": core,
            "policy": self.policy,
            "gradients": self.gradients.arrays(),
        }


class Gradients(NamedTuple):
    """Room for gradients: of h (T, R, N); z and g in the core; the hidden layers of glimpse network and policy."""

    h: Array
    core: tuple[Array, Array]
    glimpse: Array
    policy: Array | None

    def arrays(self) -> tuple[Array, ...]:
        """Every array."""
        return self.h, *self.core, self.glimpse, *(() if self.policy is None else (self.policy,))


def at(t: int, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Step t of time-major arrays, as views."""
    return tuple(array[t] for array in arrays)


@register("model", "ram")
class RecurrentAttentionModel(Classifier):
    """Recurrent Models of Visual Attention (Mnih, Heess, Graves, Kavukcuoglu 2014).

    Args:
        config: sizes and kinds of the parts.
        image_shape: (H, W, C).
        classes: A.
        backend: where the arrays live.
        seed: of the initial weights, which are drawn on the host and so are the same everywhere.

    Attributes:
        given: how many of the T locations are given, not sampled: 1, 0 (the first is learned), or T (controls).
    """

    parts: tuple[str, ...] = ("glimpse", "core", "policy", "action", "baseline")
    terms: tuple[str, ...] = TERMS

    def __init__(
        self,
        config: Config,
        image_shape: tuple[int, int, int],
        classes: int,
        backend: Backend = NUMPY,
        seed: int = 0,
    ) -> None:
        super().__init__(config, image_shape, classes, backend)
        xp, dtype = self.xp, self.dtype
        rng = np.random.default_rng(seed)
        units = config.units
        control, learns_first = config.control, config.first_location == "learned"
        self.given = config.glimpses if control else 0 if learns_first else 1
        self.sensor = GlimpseSensor(config.patch, config.scales, xp, dtype, config.pixel_mean, config.pixel_std)
        self.margin = self.sensor.margin
        self.glimpse = get("glimpse_network", config.glimpse_network)(
            self.sensor.shape(image_shape[2]),
            config.what_units,
            config.where_units,
            config.glimpse_units,
            rng,
            xp,
            dtype,
        )
        self.core = get("core", config.core)(config.glimpse_units, units, rng, xp, dtype)
        self.policy = get("policy", config.policy)(
            units, config.std, rng, config.squash, config.policy_hidden, xp, dtype, learns_first
        )
        self.action = ActionNetwork(units, classes, rng, xp, dtype)
        self.baseline = Baseline(units, rng, xp, dtype)
        if control:  # it decides nothing: policy and baseline are no parameters of it
            self.parts, self.terms = ("glimpse", "core", "action"), ("action",)
        self.parameters = Parameters(self)

    def rollouts(self, wanted: int) -> int:
        """M: `wanted`, or 1 if every location is the centre: all rollouts would be the same."""
        return 1 if self.config.policy == "centre" else wanted

    def draw(self, rng: np.random.Generator, rows: int, deterministic: bool = False) -> Array:
        """The randomness of R rollouts, (T, R, 2): drawn on the host, one transfer.

        First come the given locations: uniform in the image, or zeros, the centre. Then comes the policy's noise. If
        `deterministic` it is zero, so that each location is the policy's mean.
        """
        config, steps = self.config, self.config.glimpses
        randomness = np.zeros((steps, rows, 2), dtype=self.dtype)
        if config.policy == "random" or (not config.control and config.first_location == "uniform"):
            randomness[: self.given] = rng.uniform(-1, 1, (self.given, rows, 2))
        if not deterministic:
            randomness[self.given :] = self.policy.noise(rng, (steps - self.given, rows, 2))
        return self.backend.asarray(randomness)

    def storage(self, rows: int) -> Rollout:
        """Room for R rollouts."""
        steps, xp, dtype = self.config.glimpses, self.xp, self.dtype
        sampled = steps - self.given
        glimpse, policy = self.glimpse.buffers(steps, rows), self.policy.buffers(sampled, rows)
        return Rollout(
            rho=xp.empty((steps, rows, self.sensor.size(self.image_shape[2])), dtype=dtype),
            locations=xp.empty((steps, rows, 2), dtype=dtype),
            samples=xp.empty((sampled, rows, 2), dtype=dtype),
            glimpse=glimpse,
            core=self.core.cache(steps, rows),
            policy=policy,
            gradients=Gradients(
                h=xp.empty((steps, rows, self.core.units), dtype=dtype),
                core=self.core.gradient_buffers(steps, rows),
                glimpse=xp.empty_like(glimpse[-2]),
                policy=xp.empty_like(policy[0]) if len(policy) > 1 else None,
            ),
        )

    def forward(
        self,
        canvas: Canvas,
        randomness: Array,
        samples: Array | None = None,
        *,
        out: Rollout | None = None,
    ) -> Rollout:
        """Look T times and answer.

        Args:
            canvas: B images, of any height and width.
            randomness: (T, R, 2) from `draw`, R a multiple of B.
            samples: (S, R, 2) locations to replay instead of sampling; a gradient check needs them.
            out: a rollout of as many rows, to be overwritten. Default: new storage.

        Raises:
            UsageError: shapes do not fit together.
        """
        steps, xp = self.config.glimpses, self.xp
        rollout = self.storage(randomness.shape[1]) if out is None else out
        if randomness.shape != rollout.locations.shape:
            raise UsageError(f"randomness must be {rollout.locations.shape}, (T, R, 2), got {randomness.shape}")
        rollout.locations[: self.given] = randomness[: self.given]
        for t in range(steps):
            s = t - self.given
            if s >= 0:
                self.choose(t, rollout)
                if samples is None:
                    self.policy.sample(rollout.mu[s], randomness[t], out=rollout.samples[s])
                else:
                    rollout.samples[s] = samples[s]
                # fmin and fmax turn a NaN into a number; clip would keep it. A diverged policy would then look
                # outside the array, and training would end in an index error instead of saying that it diverged.
                xp.fmax(xp.fmin(rollout.samples[s], 1), -1, out=rollout.locations[t])
            location = rollout.locations[t]
            rho = self.sensor.forward(canvas, location, out=rollout.rho[t])
            g, _ = self.glimpse.forward(rho, location, out=at(t, rollout.glimpse))
            self.core.step(g, t, rollout.core)
        logits, _ = self.action.forward(rollout.h[-1])
        rollout.log_p = log_softmax(logits, xp)
        baseline, _ = self.baseline.forward(flatten_time(self.deciding(rollout)))
        rollout.baseline = baseline.reshape(rollout.samples.shape[:2])
        return rollout

    def choose(self, t: int, rollout: Rollout) -> None:
        """Write the mean of the location of step t (from 0): from h_t or, for a learned first location, from none."""
        buffers = at(t - self.given, rollout.policy)
        if t == 0:
            self.policy.forward_first(out=buffers[-1])
        else:
            self.policy.forward(rollout.core.h[t], out=buffers)

    @property
    def blind(self) -> int:
        """How many decisions are made before anything was seen: 1 if the first location is learned, else 0."""
        return int(self.given == 0)

    def deciding(self, rollout: Rollout) -> Array:
        """(S, R, N) states from which the locations were sampled: the last S of h_0 .. h_{T-1}, with h_0 = 0."""
        return rollout.core.h[self.given : -1]

    def answers(self, h: Array) -> Array:
        """(n, R, A) log p from states (n, R, N): what it would answer if it stopped there."""
        logits, _ = self.action.forward(flatten_time(h))
        return log_softmax(logits, self.xp).reshape(*h.shape[:2], self.classes)

    def backward(self, rollout: Rollout, labels: Array, rule: LearningRule) -> HybridLoss:
        """Accumulate the gradient of the hybrid loss (see `reinforce`) into `parameters.gradients`.

        From the loss down to the glimpses, in the order of the calls: each step adds to `dh`, the gradient that every
        h_t receives from above, until the core carries all of it back through time.

        Args:
            rollout: what `forward` returned.
            labels: (B,) integers.
            rule: the learning rule.
        """
        loss = self.loss(rollout, labels, rule)
        dh = rollout.gradients.h  # (T, R, N): of h_1 .. h_T
        self.backward_heads(loss, rollout, dh)
        self.backward_policy(loss, rollout, rule, dh)
        self.backward_through_time(rollout, dh)
        return loss

    def loss(self, rollout: Rollout, labels: Array, rule: LearningRule) -> HybridLoss:
        """L, and its gradients with respect to what the heads and the policy put out."""
        early = self.answers(rollout.h[:-1]) if rule.gain else None
        return hybrid_loss(
            rollout.log_p, self.tile(labels, rollout), rollout.decisions, self.policy, rule, early, self.xp
        )

    def backward_heads(self, loss: HybridLoss, rollout: Rollout, dh: Array) -> None:
        """Write dh from the answers: dh_T = dlogits W_a^T, and 0 for the other states, which no answer was read off.

        If gains are rewarded, early answers were read off h_1 .. h_{T-1}. The baseline's gradient goes nowhere: to the
        baseline, h_t is a constant.
        """
        h = rollout.h
        dh[:-1] = 0
        if loss.dearly is not None:
            self.action.backward(flatten_time(loss.dearly), flatten_time(h[:-1]), out=flatten_time(dh[:-1]))
        self.action.backward(loss.dlogits, h[-1], out=dh[-1])
        self.baseline.backward(flatten_time(loss.dbaseline), flatten_time(self.deciding(rollout)), input_gradient=False)

    def backward_policy(self, loss: HybridLoss, rollout: Rollout, rule: LearningRule, dh: Array) -> None:
        """The gradient of the locations: into the policy and, with "paper" routing, on into the states it saw.

        mu_t, the mean of l_{t+1}, was made from h_t: the decisions on l_2 .. l_T belong to h_1 .. h_{T-1}. A learned
        first location was made from no state.
        """
        if not len(loss.dmu):
            return  # a control, or a single glimpse: nothing was decided
        if self.blind:
            self.policy.backward_first(loss.dmu[0], rollout.mu[0])
        seen = slice(self.blind, None)  # l_2 .. l_T
        states, room = self.deciding(rollout)[seen], rollout.gradients.policy
        d_states = self.policy.backward(
            flatten_time(loss.dmu[seen]),
            (flatten_time(states), *(flatten_time(buffer[seen]) for buffer in rollout.policy)),
            input_gradient=rule.routing == "paper",
            out=None if room is None else flatten_time(room[seen]),
        )
        if rule.routing == "paper":
            dh[:-1] += d_states.reshape(states.shape)

    def backward_through_time(self, rollout: Rollout, dh: Array) -> None:
        """dh back through the core to every g_t, and on into the glimpse network: T R rows at once."""
        dg = self.core.backward(dh, (rollout.glimpse[-1], rollout.core), out=rollout.gradients.core)
        cache = tuple(flatten_time(array) for array in (rollout.rho, rollout.locations, *rollout.glimpse))
        # Pixels and locations are constants, so the glimpse network's own input needs no gradient.
        self.glimpse.backward(
            flatten_time(dg), cache, input_gradient=False, out=flatten_time(rollout.gradients.glimpse)
        )

    def tile(self, labels: Array, rollout: Rollout) -> Array:
        """(R,) labels of the rollouts, from those of the B images."""
        return self.xp.tile(labels, len(rollout.log_p) // len(labels))

    def describe(self) -> list[str]:
        """Lines for people: what it sees of an image, and how far its locations spread."""
        config, (height, width, channels) = self.config, self.image_shape
        sides = ", ".join(f"{side}x{side}" for side in self.sensor.sides)
        lines = [
            f"{config.glimpses} glimpses of {sides} pixels: {self.sensor.size(channels)} of "
            f"{height * width * channels} values each"
        ]
        if config.control:
            return [*lines, f"locations: a control, {config.policy}"]
        spread = f"{config.std * width / 2:.2f} pixels along x, {config.std * height / 2:.2f} along y"
        return [*lines, f"locations: the first {config.first_location}; std {config.std:g} is {spread}"]
