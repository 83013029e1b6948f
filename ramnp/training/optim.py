"""Optimizers, learning-rate schedules, and gradient clipping, on the one vector of all parameters.

Everything works in place, and nothing is brought to the host.
"""

import math
from typing import Any, ClassVar

import numpy as np

from ramnp.backend import Array
from ramnp.config import LearningConfig
from ramnp.network.parameters import Parameters
from ramnp.registry import register


class Optimizer:
    """An update of all parameters from their gradients: values -= lr change, and of the policy's, policy_lr times that.

    Adam divides the gradient's size out, so that a weight of the policy's loss cannot slow the policy down; this does.

    Args:
        parameters: values and gradients.
        config: the learning rule.
    """

    state: ClassVar[tuple[str, ...]]  # names of the arrays it remembers

    def __init__(self, parameters: Parameters, config: LearningConfig, xp: Any = np) -> None:
        self.parameters, self.xp = parameters, xp
        self._scratch: Array = xp.empty_like(parameters.values)
        self._policy, self._policy_lr = parameters.spans().get("policy"), config.policy_lr

    def step(self, lr: float) -> None:
        """One update, with the learning rate `lr`."""
        raise NotImplementedError

    def subtract(self, change: Array) -> None:
        """values -= change, the learning rate included but for the policy's factor. Overwrites `change`."""
        if self._policy is not None and self._policy_lr != 1:
            change[self._policy] *= self._policy_lr
        self.parameters.values -= change


@register("optimizer", "sgd")
class SGD(Optimizer):
    """Gradient descent with momentum (the paper's, section 4): v = momentum v + gradient; values -= lr v."""

    state: ClassVar[tuple[str, ...]] = ("velocity",)

    def __init__(self, parameters: Parameters, config: LearningConfig, xp: Any = np) -> None:
        super().__init__(parameters, config, xp)
        self.momentum = config.momentum
        self.velocity: Array = xp.zeros_like(parameters.values)

    def step(self, lr: float) -> None:
        self.velocity *= self.momentum
        self.velocity += self.parameters.gradients
        self.subtract(self.xp.multiply(self.velocity, lr, out=self._scratch))


@register("optimizer", "adam")
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), with the defaults of that paper.

        m += (1 - b1) (g - m),   v += (1 - b2) (g^2 - v),
        values -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    The two corrections are taken out of the fraction, as that paper says in section 2, which saves passes:

        c = sqrt(1 - b2^t):   values -= (lr c / (1 - b1^t)) m / (sqrt(v) + c eps)

    The number of steps t is kept in a 0-d array on the host: there it costs no synchronisation to read.
    """

    state: ClassVar[tuple[str, ...]] = ("m", "v", "t")
    b1, b2, eps = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Parameters, config: LearningConfig, xp: Any = np) -> None:
        super().__init__(parameters, config, xp)
        self.m: Array = xp.zeros_like(parameters.values)
        self.v: Array = xp.zeros_like(parameters.values)
        self.t = np.zeros((), dtype=np.int64)

    def step(self, lr: float) -> None:
        self.t += 1
        xp, t = self.xp, int(self.t)
        g, m, v, scratch = self.parameters.gradients, self.m, self.v, self._scratch
        xp.subtract(g, m, out=scratch)
        scratch *= 1 - self.b1
        m += scratch
        xp.multiply(g, g, out=scratch)
        scratch -= v
        scratch *= 1 - self.b2
        v += scratch
        c = math.sqrt(1 - self.b2**t)
        xp.sqrt(v, out=scratch)
        scratch += c * self.eps
        xp.divide(m, scratch, out=scratch)
        scratch *= lr * c / (1 - self.b1**t)
        self.subtract(scratch)


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
