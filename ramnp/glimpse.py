"""The glimpse network: from what was seen, and where, to one vector g_t.

    h_g = relu(rho W_g + b_g)                "what"
    h_l = relu(l W_l + b_l)                  "where"
    g_t = relu(h_g W_hg + h_l W_hl + b)      "mix"

(paper, section 3.1 and figure 1B; sizes in section 4). h_g and h_l are stored side by side, so that the
last line is one product with W = [W_hg; W_hl].
"""

from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.layers import Linear, relu, relu_backward
from ramnp.parameters import Part


class GlimpseNetwork(Part):
    """The linear glimpse network.

    Args:
        sensor_size: D, values in one glimpse.
        what_units, where_units: width of h_g and of h_l.
        units: G, width of g_t.
    """

    parts = ("what", "where", "mix")

    def __init__(
        self,
        sensor_size: int,
        what_units: int,
        where_units: int,
        units: int,
        rng: np.random.Generator,
        xp: Any = np,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(xp, dtype)
        relu_gain = np.sqrt(2)  # keeps the size of activations through a ReLU (He et al. 2015)
        self.what = Linear(sensor_size, what_units, rng, relu_gain, xp, dtype)
        self.where = Linear(2, where_units, rng, relu_gain, xp, dtype)
        self.mix = Linear(what_units + where_units, units, rng, relu_gain, xp, dtype)
        self.what_units, self.where_units, self.units = what_units, where_units, units

    def buffers(self, *leading: int) -> tuple[Array, Array]:
        """Room for what `forward` computes: h = [h_g | h_l] and g."""
        hidden = self.what_units + self.where_units
        return (
            self.xp.empty((*leading, hidden), dtype=self.dtype),
            self.xp.empty((*leading, self.units), dtype=self.dtype),
        )

    def forward(
        self, rho: Array, location: Array, out: tuple[Array, Array] | None = None
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
        self, dg: Array, cache: tuple[Array, ...], input_gradient: bool = True
    ) -> tuple[Array | None, Array | None]:
        """The three lines above, read from the bottom up. Overwrites dg.

        Returns (drho, dlocation), or (None, None) where `input_gradient` is false: in training both
        inputs are constants.
        """
        rho, location, h, g = cache
        dg = relu_backward(dg, g, out=dg, xp=self.xp)
        dh = self.mix.backward(dg, h)
        dh = relu_backward(dh, h, out=dh, xp=self.xp)
        drho = self.what.backward(dh[:, : self.what_units], rho, input_gradient)
        dlocation = self.where.backward(dh[:, self.what_units :], location, input_gradient)
        return drho, dlocation
