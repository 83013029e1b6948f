"""Optimizers, learning-rate schedules, and gradient clipping, on the one vector of all parameters.

Everything works in place, and nothing is brought to the host.
"""

import math
from typing import Any, ClassVar

import numpy as np

from ramnp.backend import Array
from ramnp.config import LearningConfig
from ramnp.parameters import Parameters


class SGD:
    """Gradient descent with momentum (the paper's, section 4): v = momentum v + gradient; values -= lr v."""

    state: ClassVar[tuple[str, ...]] = ("velocity",)

    def __init__(self, parameters: Parameters, config: LearningConfig, xp: Any = np) -> None:
        self.parameters, self.momentum, self.xp = parameters, config.momentum, xp
        self.velocity: Array = xp.zeros_like(parameters.values)
        self._scratch: Array = xp.empty_like(parameters.values)

    def step(self, lr: float) -> None:
        """One update."""
        self.velocity *= self.momentum
        self.velocity += self.parameters.gradients
        self.parameters.values -= self.xp.multiply(self.velocity, lr, out=self._scratch)


class Adam:
    """Adam (Kingma & Ba 2015), with the defaults of that paper.

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2,
        values -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    The number of steps t is kept in a 0-d array on the host: there it costs no synchronisation to read.
    """

    state: ClassVar[tuple[str, ...]] = ("m", "v", "t")
    b1, b2, eps = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Parameters, config: LearningConfig, xp: Any = np) -> None:
        self.parameters, self.xp = parameters, xp
        self.m: Array = xp.zeros_like(parameters.values)
        self.v: Array = xp.zeros_like(parameters.values)
        self.t = np.zeros((), dtype=np.int64)
        self._scratch: Array = xp.empty_like(parameters.values)

    def step(self, lr: float) -> None:
        """One update."""
        xp, g, scratch = self.xp, self.parameters.gradients, self._scratch
        self.t += 1
        t = int(self.t)
        self.m *= self.b1
        self.m += xp.multiply(g, 1 - self.b1, out=scratch)
        xp.multiply(g, g, out=scratch)
        scratch *= 1 - self.b2
        self.v *= self.b2
        self.v += scratch
        xp.multiply(self.v, 1 / (1 - self.b2**t), out=scratch)
        xp.sqrt(scratch, out=scratch)
        scratch += self.eps
        xp.divide(self.m, scratch, out=scratch)
        scratch *= lr / (1 - self.b1**t)
        self.parameters.values -= scratch


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}


def clip_gradients(parameters: Parameters, norm: Array, limit: float, xp: Any = np) -> None:
    """Scale all gradients so that their joint norm, given as a 0-d array, is at most `limit`."""
    parameters.gradients *= xp.minimum(limit / (norm + 1e-12), 1)


def learning_rate(config: LearningConfig, step: int, steps_per_epoch: int) -> float:
    """The rate of update number `step`, counted from 0.

    It rises linearly over the warm-up, then falls from `lr` to 1% of it over the rest of `decay_epochs`, by
    half a cosine or linearly, or stays. It depends on nothing that happens later, `epochs` included, so a run that
    is stopped and continued takes the same steps as one that is not.
    """
    epoch = step / steps_per_epoch
    warmup = config.warmup_epochs
    if epoch < warmup:
        return config.lr * (step + 1) / (warmup * steps_per_epoch + 1)
    progress = min((epoch - warmup) / max(config.decay_epochs - warmup, 1e-9), 1.0)
    if config.schedule == "cosine":
        fraction = (1 + math.cos(math.pi * progress)) / 2
    elif config.schedule == "linear":
        fraction = 1 - progress
    else:
        fraction = 1.0
    return config.lr * max(fraction, 0.01)
