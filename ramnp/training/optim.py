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

    Adam divides the gradient's size out. So `policy_weight` hardly changes the policy's steps, but `policy_lr` does.

    Args:
        parameters: values and gradients.
        config: the learning rule.
    """

    state: ClassVar[tuple[str, ...]]  # names of the arrays it remembers
    counted: ClassVar[tuple[str, ...]] = ()  # those of them that are never negative: counts, and sums of squares

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
    counted: ClassVar[tuple[str, ...]] = ("v", "t")
    b1, b2, eps = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Parameters, config: LearningConfig, xp: Any = np) -> None:
        super().__init__(parameters, config, xp)
        self.m: Array = xp.zeros_like(parameters.values)
        self.v: Array = xp.zeros_like(parameters.values)
        self.t = np.zeros((), dtype=np.int64)

    def step(self, lr: float) -> None:
        self.t += 1
        self.adapt(slice(None), lr)
        self.subtract(self._scratch)

    def adapt(self, span: slice, lr: float) -> None:
        """Write Adam's change of the parameters in `span` to the scratch vector."""
        xp, t = self.xp, int(self.t)
        g, m, v, scratch = (vector[span] for vector in (self.parameters.gradients, self.m, self.v, self._scratch))
        xp.subtract(g, m, out=scratch)  # m += (1 - b1) (g - m): the mean of about the last 10 gradients
        scratch *= 1 - self.b1
        m += scratch
        xp.multiply(g, g, out=scratch)  # v += (1 - b2) (g^2 - v): the mean of about the last 1,000 squares
        scratch -= v
        scratch *= 1 - self.b2
        v += scratch
        c = math.sqrt(1 - self.b2**t)
        xp.sqrt(v, out=scratch)  # m / (sqrt(v) + c eps): about 1 if all gradients agree, about 0 if they are noise
        scratch += c * self.eps
        xp.divide(m, scratch, out=scratch)
        scratch *= lr * c / (1 - self.b1**t)  # the rate, and the corrections: both means start at 0


@register("optimizer", "muon")
class Muon(Adam):
    """Muon (Jordan et al. 2024) for the wide matrices, Adam for all other parameters.

    Adam takes a matrix W for a list of numbers. Muon takes it for a linear map, and makes its change orthogonal: the
    output then moves equally far for every direction of the input. Directions that are rare in the data have small
    gradients. With Muon they are learned as fast as the common ones.

        M = momentum M + dW
        W -= muon_lr s orthogonal(dW + momentum M),    s = sqrt(max(1, rows / columns))

    dW + momentum M is what M becomes in the next step if the gradient stays the same: Nesterov's momentum. The
    functions `orthogonalise` and `learning_rate` say the rest: muon_lr rises and falls as lr does.

    A matrix is wide if it has at least `WIDE` rows and columns. The first layer of the location, with 2 rows, is not,
    nor are the heads. The whole policy is left to Adam: its gradient is mostly noise, and an orthogonal change would
    make the noise as large as the signal.

    Source: K. Jordan, Y. Jin, V. Boza, J. You, F. Cesista, L. Newhouse and J. Bernstein (2024), "Muon: An optimizer for
    hidden layers in neural networks", https://kellerjordan.github.io/posts/muon/.
    """

    state: ClassVar[tuple[str, ...]] = Adam.state  # for a wide matrix, m is M, and v stays 0
    WIDE = 64

    def __init__(self, parameters: Parameters, config: LearningConfig, xp: Any = np) -> None:
        super().__init__(parameters, config, xp)
        self.momentum, self.ratio = config.momentum, config.muon_lr / config.lr
        wide = [name for name in parameters if self.takes(name)]
        shapes = {name: tuple(sorted(parameters[name].shape)) for name in wide}
        # Matrices of one shape are stacked: one call multiplies all of them.
        self.stacks = [
            Stack([name for name in wide if shapes[name] == shape], shape, parameters.values, xp)
            for shape in dict.fromkeys(shapes.values())
        ]
        spans = [parameters.slices[name] for name in wide]
        starts, stops = [0, *(span.stop for span in spans)], [*(span.start for span in spans), parameters.size]
        self.rest = [slice(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]

    def takes(self, name: str) -> bool:
        """Whether the parameter `name` is Muon's, and not Adam's."""
        shape = self.parameters[name].shape
        return len(shape) == 2 and min(shape) >= self.WIDE and not name.startswith("policy.")

    def step(self, lr: float) -> None:
        self.t += 1
        for span in self.rest:
            self.adapt(span, lr)
        for stack in self.stacks:
            for name, X in zip(stack.names, stack.X, strict=True):
                g, m = self.lying(self.parameters.gradients, name), self.lying(self.m, name)
                m *= self.momentum  # M = momentum M + dW
                m += g
                self.xp.multiply(m, self.momentum, out=X)  # X = dW + momentum M
                X += g
            for name, X in zip(stack.names, orthogonalise(stack, self.xp), strict=True):
                rows, columns = self.parameters[name].shape
                rate = lr * self.ratio * math.sqrt(max(1, rows / columns))
                self.xp.multiply(X, rate, out=self.lying(self._scratch, name))
        self.subtract(self._scratch)

    def lying(self, vector: Array, name: str) -> Array:
        """The matrix `name` in a vector of all parameters: a view, and transposed if it has more rows than columns."""
        matrix = self.parameters.view(vector, name)
        rows, columns = matrix.shape
        return matrix.T if rows > columns else matrix


class Stack:
    """Room for k matrices (m, n), m <= n, that are made orthogonal together.

    Attributes:
        names: which parameters they are of.
        X, Y: (k, m, n), and A, P, Q: (k, m, m); see `orthogonalise`.
    """

    def __init__(self, names: list[str], shape: tuple[int, ...], like: Array, xp: Any) -> None:
        self.names, (m, n), k = names, shape, len(names)
        self.X, self.Y = (xp.empty((k, m, n), dtype=like.dtype) for _ in range(2))
        self.A, self.P, self.Q = (xp.empty((k, m, m), dtype=like.dtype) for _ in range(3))


# (a, b, c) of each iteration of `orthogonalise`. The polynomials a s + b s^3 + c s^5 are those that leave the worst s
# from 0.03 to 1 as near to 1 as possible, at 0.62 or 1.38 (Amsel, Persson, Musco & Gower 2025, arXiv:2505.16932).
ITERATIONS = ((7.3625, -20.7434, 15.1606), (2.9175, -2.1824, 0.4755))


def orthogonalise(stack: Stack, xp: Any = np) -> Array:
    """Nearly the orthogonal matrix U V^T that is nearest to X = U S V^T, for each X of a stack (Newton-Schulz).

        X = X / |X|,    then for each (a, b, c) of ITERATIONS:    A = X X^T,    X = (a I + b A + c A^2) X

    A product with X X^T leaves the singular vectors as they are. So an iteration takes each singular value s to
    a s + b s^3 + c s^5, and nothing has to be decomposed. |X| is the root of the sum of squares, so that 0 <= s <= 1.

    Two iterations suffice because a gradient has few large singular values, which hold most of |X|^2. These come
    near 1. The small ones, half of them below about 0.01, grow 21 times; they are mostly noise, which need not be as
    large as the signal. (docs/results_log.md: two iterations train as well as five.)

    An iteration takes 4 m^2 n + 2 m^3 operations, whatever the batch. For the four wide matrices of `cluttered60-8`
    two iterations take 0.67 GFLOP, as much as 54 images forward and backward. So Muon suits larger batches.
    `python -m benchmarks optimizers` measures its part of a step.

    Overwrites the stack. Returns the array of it that holds the result.
    """
    X, Y, A, P, Q = stack.X, stack.Y, stack.A, stack.P, stack.Q
    k, m, n = X.shape
    flat = X.reshape(k, 1, m * n)
    X /= xp.sqrt(xp.matmul(flat, flat.transpose(0, 2, 1))) + 1e-12
    diagonal_of_P, diagonal_of_Q = (square.reshape(k, m * m)[:, :: m + 1] for square in (P, Q))
    for a, b, c in ITERATIONS:
        xp.matmul(X, X.transpose(0, 2, 1), out=A)  # NumPy recognises the transpose, and computes one half of A
        xp.multiply(A, c, out=P)  # P = b I + c A
        diagonal_of_P += b
        xp.matmul(P, A, out=Q)  # Q = a I + P A
        diagonal_of_Q += a
        xp.matmul(Q, X, out=Y)  # X = Q X
        X, Y = Y, X
    return X


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
