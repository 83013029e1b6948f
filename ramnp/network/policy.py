"""The location policy: where to look next.

    mu_t = squash(h_t W_mu + b_mu),      l_{t+1} ~ N(mu_t, std^2 I)

with a fixed standard deviation `std`, in the units of l (paper, section 3.1, "Actions", and section 4).
Between h_t and W_mu there may be one hidden layer, relu(h_t W_1 + b_1). Sampling cannot be
differentiated. The log-probability of the sample can:

    log pi(l | mu) = -|l - mu|^2 / (2 std^2) - log(2 pi std^2),     d log pi / d mu = (l - mu) / std^2.

The first location has no h_0 to depend on. If it is learned, its mean is squash(first), with a parameter `first`
of two numbers.

Here l is the sample itself, which may lie outside [-1, 1]^2. The sensor looks at the sample clipped to
the image. The clipped location has no density under the Gaussian, so its log-probability would be wrong.
"""

from math import log, pi
from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.errors import UsageError
from ramnp.network.layers import RELU_GAIN, Linear, relu, relu_backward, tanh, tanh_backward
from ramnp.network.parameters import Part
from ramnp.registry import register

SQUASHES = ("tanh", "clip", "linear")


@register("policy", "learned")
@register("policy", "random")
@register("policy", "centre")
class GaussianPolicy(Part):
    """A Gaussian over locations, its mean a function of h_t.

    The controls "random" and "centre" build this policy too, but never use it.

    Another distribution is a subclass with its own `noise`, `log_prob` and `log_prob_backward`, and perhaps `sample`.

    Args:
        units: N, width of h_t.
        std: standard deviation, in units of l: the image is 2 wide.
        squash: "tanh"; "clip" to [-1, 1], with no gradient where it clips; or "linear" for none.
        hidden_units: width of the hidden layer, or 0 for none (the paper's policy).
        learns_first: whether there is a `first`.

    Raises:
        UsageError: the squash is unknown.
    """

    first: Array
    dfirst: Array

    def __init__(
        self,
        units: int,
        std: float,
        rng: np.random.Generator,
        squash: str = "tanh",
        hidden_units: int = 0,
        xp: Any = np,
        dtype: Any = np.float32,
        learns_first: bool = False,
    ) -> None:
        super().__init__(xp, dtype)
        if squash not in SQUASHES:
            raise UsageError(f"unknown squash '{squash}': choose {', '.join(SQUASHES)}")
        self.std, self.squash, self.hidden_units = std, squash, hidden_units
        self.parts = ("hidden", "mean") if hidden_units else ("mean",)
        if learns_first:
            self.names = ("first",)
            self.add("first", np.zeros(2))
        if hidden_units:
            # Spread biases let the path turn. h_t grows as glimpses add up; with every kink at h = 0, a longer h_t
            # would only push the mean outwards, along a ray.
            self.hidden = Linear(units, hidden_units, rng, RELU_GAIN, xp, dtype, spread=2.0)
        # With a small gain a new policy looks near the centre, where no squash is flat.
        self.mean = Linear(hidden_units or units, 2, rng, 0.1, xp, dtype)

    def buffers(self, *leading: int) -> tuple[Array, ...]:
        """Room for what `forward` computes: the hidden layer, if there is one, and mu."""
        widths = (self.hidden_units, 2) if self.hidden_units else (2,)
        return tuple(self.xp.empty((*leading, width), dtype=self.dtype) for width in widths)

    def forward(self, h: Array, out: tuple[Array, ...] | None = None) -> tuple[Array, tuple[Array, ...]]:
        """mu (rows, 2) from h (rows, N). The cache is (h, mu), or (h, hidden layer, mu)."""
        *between, mu = self.buffers(len(h)) if out is None else out
        x = h
        if between:
            x, _ = self.hidden.forward(h, out=between[0])
            relu(x, out=x, xp=self.xp)
        self.mean.forward(x, out=mu)
        self._squash(mu)
        return mu, (h, *between, mu)

    def backward(
        self, dmu: Array, cache: tuple[Array, ...], input_gradient: bool = True, out: Array | None = None
    ) -> Array:
        """dh from dmu, or None if `input_gradient` is false. `out` is room for the hidden layer's gradient."""
        h, *between, mu = cache
        da = self._squash_backward(dmu, mu)
        if not between:
            return self.mean.backward(da, h, input_gradient)
        dx = self.mean.backward(da, between[0], out=out)
        dx = relu_backward(dx, between[0], out=dx, xp=self.xp)
        return self.hidden.backward(dx, h, input_gradient)

    def forward_first(self, out: Array) -> Array:
        """mu_0 = squash(first), the same in all rows of `out` (rows, 2)."""
        out[...] = self.first
        self._squash(out)
        return out

    def backward_first(self, dmu: Array, mu: Array) -> None:
        """dfirst += the sum over rows of da."""
        self.dfirst += self._squash_backward(dmu, mu).sum(axis=0)

    def _squash(self, a: Array) -> None:
        """mu from a, in place."""
        if self.squash == "tanh":
            tanh(a, out=a, xp=self.xp)
        elif self.squash == "clip":
            self.xp.clip(a, -1, 1, out=a)

    def _squash_backward(self, dmu: Array, mu: Array) -> Array:
        """da = dmu (1 - mu^2) for tanh; da = dmu where |mu| < 1, else 0, for clip."""
        if self.squash == "tanh":
            return tanh_backward(dmu, mu)
        return dmu * (self.xp.abs(mu) < 1) if self.squash == "clip" else dmu

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normal noise (..., 2) for `sample`, drawn on the host."""
        return rng.standard_normal(shape, dtype=self.dtype)

    def sample(self, mu: Array, noise: Array, out: Array | None = None) -> Array:
        """l = mu + std noise, with the noise (rows, 2) handed in. Zeros give the mean."""
        sample = self.xp.multiply(noise, self.std, out=out)
        sample += mu
        return sample

    def log_prob(self, sample: Array, mu: Array) -> Array:
        """log pi(l | mu), summed over the two coordinates: (...,) from (..., 2)."""
        deviation = (sample - mu) / self.std
        return -0.5 * (deviation * deviation).sum(axis=-1) - log(2 * pi * self.std**2)

    def log_prob_backward(self, dlog_prob: Array, sample: Array, mu: Array) -> Array:
        """dmu = dlog_prob (l - mu) / std^2. The sample is a constant."""
        return dlog_prob[..., None] * (sample - mu) / self.std**2
