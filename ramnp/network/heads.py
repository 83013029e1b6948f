"""What is read off the state: the answer, and the reward to expect.

log p = log softmax(h_T W_a + b_a)       the action network (paper, section 3.1)
b_t   = h_t W_b + b_b                    the baseline (paper, section 3.2)
"""

from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.network.layers import Linear


class ActionNetwork(Linear):
    """Logits (rows, A) over the classes, from h (rows, N). Log-softmax comes with the loss."""

    def __init__(
        self, units: int, classes: int, rng: np.random.Generator, xp: Any = np, dtype: Any = np.float32
    ) -> None:
        super().__init__(units, classes, rng, 1.0, xp, dtype)


class Baseline(Linear):
    """b (rows,): the reward expected from h (rows, N)."""

    def __init__(self, units: int, rng: np.random.Generator, xp: Any = np, dtype: Any = np.float32) -> None:
        super().__init__(units, 1, rng, 0.0, xp, dtype)  # zero weights: at first it expects nothing

    def forward(self, h: Array, out: Array | None = None) -> tuple[Array, Array]:
        """b. The cache is h."""
        b, cache = super().forward(h, out)
        return b[:, 0], cache

    def backward(self, dy: Array, cache: Array, input_gradient: bool = False, out: Array | None = None) -> Array:
        """Gradients of W_b and b_b alone: h is a constant to the baseline, which must not shape it."""
        return super().backward(dy[:, None], cache, input_gradient, out)
