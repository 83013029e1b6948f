"""The glimpse network: from what was seen, and where, to one vector g_t.

    h_g = relu(rho W_g + b_g)                "what"
    h_l = relu(l W_l + b_l)                  "where"
    g_t = relu(h_g W_hg + h_l W_hl + b)      "mix"

(paper, section 3.1 and figure 1B; sizes in section 4). h_g and h_l are stored side by side, so that the
last line is one product with W = [W_hg; W_hl].

A convolutional glimpse network puts features f(rho) in the place of rho. That is not in the paper; Ba, Mnih &
Kavukcuoglu (2015, section 3) use convolutions in this place.
"""

import math
from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.errors import UsageError
from ramnp.network.convolution import Conv2D, average_pool, average_pool_backward
from ramnp.network.layers import RELU_GAIN, Linear, relu, relu_backward
from ramnp.network.parameters import Part
from ramnp.registry import register


@register("glimpse_network", "linear")
class GlimpseNetwork(Part):
    """The linear glimpse network.

    Args:
        sensor_shape: of one glimpse, (K, g, g, C); D is its product.
        what_units, where_units: width of h_g and of h_l.
        units: G, width of g_t.
    """

    parts: tuple[str, ...] = ("what", "where", "mix")

    def __init__(
        self,
        sensor_shape: tuple[int, ...],
        what_units: int,
        where_units: int,
        units: int,
        rng: np.random.Generator,
        xp: Any = np,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(xp, dtype)
        self.what = Linear(math.prod(sensor_shape), what_units, rng, RELU_GAIN, xp, dtype)
        # Spread biases put the kinks of the ReLUs all over the image. With every kink at l = 0, h_l would encode only
        # direction, not position.
        self.where = Linear(2, where_units, rng, RELU_GAIN, xp, dtype, spread=1.0)
        self.mix = Linear(what_units + where_units, units, rng, RELU_GAIN, xp, dtype)
        self.what_units, self.where_units, self.units = what_units, where_units, units

    def buffers(self, *leading: int) -> tuple[Array, ...]:
        """Room for what `forward` computes: h = [h_g | h_l] and g."""
        hidden = self.what_units + self.where_units
        return (
            self.xp.empty((*leading, hidden), dtype=self.dtype),
            self.xp.empty((*leading, self.units), dtype=self.dtype),
        )

    def forward(
        self, rho: Array, location: Array, out: tuple[Array, ...] | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        """g (rows, G) from rho (rows, D) and location (rows, 2). The cache is (rho, location, h, g)."""
        h, g = self.buffers(len(rho)) if out is None else out
        self.what.forward(rho, out=h[:, : self.what_units])
        self.where.forward(location, out=h[:, self.what_units :])
        relu(h, out=h, xp=self.xp)
        self.mix.forward(h, out=g)
        relu(g, out=g, xp=self.xp)
        return g, (rho, location, h, g)

    def backward(
        self, dg: Array, cache: tuple[Array, ...], input_gradient: bool = True, out: Array | None = None
    ) -> tuple[Array | None, Array | None]:
        """The three equations of the class, the last one first. Overwrites dg. `out` is room for the gradient of h.

        Returns (drho, dlocation), or (None, None) if `input_gradient` is false: in training both
        inputs are constants.
        """
        rho, location, h, g = cache
        dg = relu_backward(dg, g, out=dg, xp=self.xp)
        dh = self.mix.backward(dg, h, out=out)
        dh = relu_backward(dh, h, out=dh, xp=self.xp)
        drho = self.what.backward(dh[:, : self.what_units], rho, input_gradient)
        dlocation = self.where.backward(dh[:, self.what_units :], location, input_gradient)
        return drho, dlocation


class GlimpseFeatures(Part):
    """f(rho) = flat relu(conv(pool(relu(conv(image))))), both convolutions 3 x 3 with a border of zeros.

    The image is the glimpse with the C colours of its K scales as channels: patches of all scales are g x g, and a
    pixel of each looks in the same direction. Pooling takes the mean and not the maximum: it has no ties, of which a
    ReLU makes many, so that its gradient is one number on every backend, and nothing must be remembered for it.

    Args:
        sensor_shape: (K, g, g, C), g even.

    Raises:
        UsageError: g is odd.
    """

    parts = ("first", "second")
    filters = (32, 64)

    def __init__(
        self, sensor_shape: tuple[int, ...], rng: np.random.Generator, xp: Any = np, dtype: Any = np.float32
    ) -> None:
        super().__init__(xp, dtype)
        scales, side, _, colours = self.sensor_shape = sensor_shape
        if side % 2:
            raise UsageError(f"a convolutional glimpse network pools 2x2 pixels: --patch must be even, got {side}")
        first, second = self.filters
        self.first = Conv2D(scales * colours, first, 3, rng, padding=1, gain=RELU_GAIN, xp=xp, dtype=dtype)
        self.second = Conv2D(first, second, 3, rng, padding=1, gain=RELU_GAIN, xp=xp, dtype=dtype)
        self.size = (side // 2) ** 2 * second

    def buffers(self, *leading: int) -> tuple[Array, ...]:
        """Room for what `forward` computes: the image, its first maps, these pooled, and the flat second maps."""
        scales, side, _, colours = self.sensor_shape
        half = side // 2
        shapes = (
            (side, side, scales * colours),
            (side, side, self.first.filters),
            (half, half, self.first.filters),
            (self.size,),
        )
        return tuple(self.xp.empty((*leading, *shape), dtype=self.dtype) for shape in shapes)

    def forward(self, rho: Array, out: tuple[Array, ...] | None = None) -> tuple[Array, tuple[Array, ...]]:
        """f (rows, size) from rho (rows, D). The cache is (rho, image, first maps, pooled maps, f)."""
        image, first, pooled, f = self.buffers(len(rho)) if out is None else out
        rows, side, _, _ = image.shape
        scales, _, _, colours = self.sensor_shape
        patches = rho.reshape(rows, scales, side, side, colours)
        image.reshape(rows, side, side, scales, colours)[...] = patches.transpose(0, 2, 3, 1, 4)
        self.first.forward(image, out=first)
        relu(first, out=first, xp=self.xp)
        average_pool(first, out=pooled, xp=self.xp)
        second = f.reshape(rows, side // 2, side // 2, -1)
        self.second.forward(pooled, out=second)
        relu(second, out=second, xp=self.xp)
        return f, (rho, image, first, pooled, f)

    def backward(self, df: Array, cache: tuple[Array, ...], input_gradient: bool = True) -> Array:
        """drho, or None if `input_gradient` is false. Overwrites df."""
        _, image, first, pooled, f = cache
        rows, side, _, _ = image.shape
        scales, _, _, colours = self.sensor_shape
        dsecond = relu_backward(df, f, out=df, xp=self.xp).reshape(rows, side // 2, side // 2, -1)
        dpooled = self.second.backward(dsecond, pooled)
        dfirst = average_pool_backward(dpooled, self.xp)
        dfirst = relu_backward(dfirst, first, out=dfirst, xp=self.xp)
        dimage = self.first.backward(dfirst, image, input_gradient)
        if not input_gradient:
            return None
        return dimage.reshape(rows, side, side, scales, colours).transpose(0, 3, 1, 2, 4).reshape(rows, -1)


@register("glimpse_network", "conv")
class ConvGlimpseNetwork(GlimpseNetwork):
    """The convolutional glimpse network: the linear one, on features of what was seen.

        h_g = relu(f(rho) W_g + b_g)

    Args:
        sensor_shape: of one glimpse, (K, g, g, C), g even.
        what_units, where_units, units: as in the linear one.
    """

    parts = ("features", *GlimpseNetwork.parts)

    def __init__(
        self,
        sensor_shape: tuple[int, ...],
        what_units: int,
        where_units: int,
        units: int,
        rng: np.random.Generator,
        xp: Any = np,
        dtype: Any = np.float32,
    ) -> None:
        self.features = GlimpseFeatures(sensor_shape, rng, xp, dtype)
        super().__init__((self.features.size,), what_units, where_units, units, rng, xp, dtype)

    def buffers(self, *leading: int) -> tuple[Array, ...]:
        """Room for the features and for what the linear network computes of them."""
        return *self.features.buffers(*leading), *super().buffers(*leading)

    def forward(
        self, rho: Array, location: Array, out: tuple[Array, ...] | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        """g (rows, G) from rho (rows, D) and location (rows, 2). The cache is (rho, location, *buffers)."""
        *between, h, g = self.buffers(len(rho)) if out is None else out
        f, _ = self.features.forward(rho, out=tuple(between))
        super().forward(f, location, out=(h, g))
        return g, (rho, location, *between, h, g)

    def backward(
        self, dg: Array, cache: tuple[Array, ...], input_gradient: bool = True, out: Array | None = None
    ) -> tuple[Array | None, Array | None]:
        """(drho, dlocation), or (None, None) if `input_gradient` is false. Overwrites dg."""
        rho, location, *between, h, g = cache
        df, dlocation = super().backward(dg, (between[-1], location, h, g), out=out)
        drho = self.features.backward(df, (rho, *between), input_gradient)
        return (drho, dlocation) if input_gradient else (None, None)
