"""Recurrent cores: the state h_t that remembers, and backpropagation through time.

Every core computes the same affine map of its input g_t and its last state,

    z_t = h_{t-1} W_hh + g_t W_gh + b,

and then something elementwise of z_t, its gate:

    RNN    h_t = relu(z_t)                                                     (paper, section 3.1)
    LSTM   i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o);  u = tanh(z_u)
           c_t = f c_{t-1} + i u;  h_t = o tanh(c_t)             (Hochreiter & Schmidhuber 1997,
                                                            with the forget gate of Gers et al. 2000)
    GRU    r, k = sigmoid(z_r), sigmoid(z_k);  n = tanh(x_n + r y_n)
           h_t = k h_{t-1} + (1 - k) n                                         (Cho et al. 2014)

The GRU's reset gate r stands between what comes from the input, x_n, and what comes from the state, y_n. So these two
are kept apart: z has a column for each of them (see `Core.apart`).

`Core` owns the map, the loop over time and the weight gradients; a subclass adds only `gate` and
`gate_backward`. Storage is time-major, so that the T steps of the R rollouts are T R rows of one matrix:
the loop backwards in time carries dh alone, and each weight gradient is one matrix product after the loop.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from ramnp.backend import Array
from ramnp.network.layers import flatten_time, relu, relu_backward, sigmoid, sigmoid_backward, tanh_backward
from ramnp.network.parameters import Part
from ramnp.registry import register


class CoreCache(NamedTuple):
    """What a core keeps of T steps. h[t] and c[t] are the states before step t, and 0 at t = 0.

    Attributes:
        h: (T + 1, R, N) hidden states.
        c: (T + 1, R, N) LSTM cells, or None.
        gates: (T, R, width N) what the gates made of z, or None if h itself is enough.
    """

    h: Array
    c: Array
    gates: Array


class Core(Part):
    """The affine map, the loop over time, and the weight gradients.

    Args:
        inputs: G, width of g_t.
        units: N, width of h_t.

    Attributes:
        width: z is this many times as wide as h.
        apart: the first `apart` N columns of z depend on g_t alone, the last `apart` N on h_{t-1} alone. With 0 every
            column is a sum of both.
    """

    names = ("W_hh", "W_gh", "b")
    W_hh: Array
    W_gh: Array
    b: Array
    dW_hh: Array
    dW_gh: Array
    db: Array
    width: ClassVar[int]
    apart: ClassVar[int] = 0

    def __init__(
        self,
        inputs: int,
        units: int,
        rng: np.random.Generator,
        xp: Any = np,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(xp, dtype)
        self.inputs, self.units = inputs, units
        self.add("W_hh", self.initial_recurrence(rng))
        self.add("W_gh", rng.standard_normal((inputs, (self.width - self.apart) * units)) / np.sqrt(inputs))
        self.add("b", np.zeros(self.width * units))

    def initial_recurrence(self, rng: np.random.Generator) -> np.ndarray:
        """A new W_hh (N, (width - apart) N)."""
        return rng.standard_normal((self.units, (self.width - self.apart) * self.units)) / np.sqrt(self.units)

    def from_input(self, z: Array) -> Array:
        """The columns of z that g_t W_gh is added to, as a view."""
        return z[..., : (self.width - self.apart) * self.units]

    def from_state(self, z: Array) -> Array:
        """The columns of z that h_{t-1} W_hh is added to, as a view."""
        return z[..., self.apart * self.units :]

    def cache(self, steps: int, rows: int) -> CoreCache:
        """Room for T steps of R rows. The states before the first step are zero, and stay so."""
        h = self.xp.zeros((steps + 1, rows, self.units), dtype=self.dtype)
        return CoreCache(h, None, None)

    def gradient_buffers(self, steps: int, rows: int) -> tuple[Array, Array]:
        """Room for dz and dg."""
        dz = self.xp.empty((steps, rows, self.width * self.units), dtype=self.dtype)
        return dz, self.xp.empty((steps, rows, self.inputs), dtype=self.dtype)

    def gate(self, z: Array, t: int, cache: CoreCache) -> None:
        """Write h[t + 1] (and c[t + 1]) from z.

        z is `cache.gates[t]`, or h[t + 1] itself if there are no gates. Leave in it what `gate_backward` needs.
        """
        raise NotImplementedError

    def gate_backward(self, dh: Array, dc: Array, t: int, cache: CoreCache, dz: Array) -> None:
        """Write dz from dh, the gradient of h[t + 1]; turn dc from that of c[t + 1] into that of c[t].

        dc starts at zero and is handed on from step to step. A core without c may carry in it what reaches h[t] other
        than through z.
        """
        raise NotImplementedError

    def step(self, g: Array, t: int, cache: CoreCache) -> Array:
        """h_{t+1} from g_{t+1} (R, G), with t counted from 0: one step, written into the cache."""
        z = cache.h[t + 1] if cache.gates is None else cache.gates[t]
        self.xp.matmul(g, self.W_gh, out=self.from_input(z))
        if self.apart:
            z[:, (self.width - self.apart) * self.units :] = 0
        if t:  # h_0 is zero
            from_state = self.from_state(z)
            from_state += cache.h[t] @ self.W_hh
        z += self.b
        self.gate(z, t, cache)
        return cache.h[t + 1]

    def forward(self, g: Array) -> tuple[Array, tuple[Array, CoreCache]]:
        """h (T, R, N) from inputs g (T, R, G) that are all known. The cache is (g, CoreCache).

        The model calls `step`, since there g_{t+1} depends on h_t.
        """
        cache = self.cache(*g.shape[:2])
        for t in range(len(g)):
            self.step(g[t], t, cache)
        return cache.h[1:], (g, cache)

    def backward(self, dh: Array, cache: tuple[Array, CoreCache], out: tuple[Array, Array] | None = None) -> Array:
        """dg (T, R, G) from dh (T, R, N), the gradient that each h_t receives from above. Overwrites dh.

        h_t reaches the loss from above and through z_{t+1}, so, from the last step to the first,

            dh_t += dz_{t+1} W_hh^T,     dz_t = gate_backward(dh_t).

        With all dz known, over all T R rows at once,

            dW_hh += h_{t-1}^T dz,   dW_gh += g^T dz,   db += sum dz,   dg = dz W_gh^T,

        where W_hh and W_gh meet those columns of dz that they made.
        """
        g, states = cache
        steps, rows, _ = dh.shape
        dz, dg = self.gradient_buffers(steps, rows) if out is None else out
        dc = self.xp.zeros((rows, self.units), dtype=self.dtype)
        for t in reversed(range(steps)):
            if t + 1 < steps:
                dh[t] += self.from_state(dz[t + 1]) @ self.W_hh.T
            self.gate_backward(dh[t], dc, t, states, dz[t])
        all_dz = flatten_time(dz)
        self.dW_hh += flatten_time(states.h[1:-1]).T @ self.from_state(flatten_time(dz[1:]))  # h_0 is zero
        self.dW_gh += flatten_time(g).T @ self.from_input(all_dz)
        self.db += all_dz.sum(axis=0)
        self.xp.matmul(self.from_input(all_dz), self.W_gh.T, out=flatten_time(dg))
        return dg


@register("core", "rnn")
class RNN(Core):
    """h_t = relu(z_t).

    W_hh starts as the identity (Le, Jaitly & Hinton 2015), so a new network adds up what its glimpses show. A random
    W_hh would have forgotten the first glimpses before the last.
    """

    width = 1

    def initial_recurrence(self, rng: np.random.Generator) -> np.ndarray:
        return np.eye(self.units)

    def gate(self, z: Array, t: int, cache: CoreCache) -> None:
        relu(z, out=z, xp=self.xp)  # z is h[t + 1]

    def gate_backward(self, dh: Array, dc: Array, t: int, cache: CoreCache, dz: Array) -> None:
        relu_backward(dh, cache.h[t + 1], out=dz, xp=self.xp)


@register("core", "lstm")
class LSTM(Core):
    """c_t = f c_{t-1} + i u,  h_t = o tanh(c_t), with z = [z_i | z_f | z_o | z_u].

    The forget gate's bias starts at 1, so that a new network remembers (Jozefowicz et al. 2015).
    """

    width = 4

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.b[self.units : 2 * self.units] = 1

    def cache(self, steps: int, rows: int) -> CoreCache:
        h = super().cache(steps, rows).h
        gates = self.xp.empty((steps, rows, 4 * self.units), dtype=self.dtype)
        return CoreCache(h, self.xp.zeros_like(h), gates)

    def split(self, z: Array) -> tuple[Array, Array, Array, Array]:
        """The four gates' columns (i, f, o, u) of z (R, 4 N), as views."""
        n = self.units
        return z[:, :n], z[:, n : 2 * n], z[:, 2 * n : 3 * n], z[:, 3 * n :]

    def gate(self, z: Array, t: int, cache: CoreCache) -> None:
        i_f_o = z[:, : 3 * self.units]
        sigmoid(i_f_o, out=i_f_o, xp=self.xp)
        i, f, o, u = self.split(z)
        self.xp.tanh(u, out=u)
        c = self.xp.multiply(f, cache.c[t], out=cache.c[t + 1])
        c += i * u
        self.xp.multiply(o, self.xp.tanh(c), out=cache.h[t + 1])

    def gate_backward(self, dh: Array, dc: Array, t: int, cache: CoreCache, dz: Array) -> None:
        i, f, o, u = self.split(cache.gates[t])
        dz_i, dz_f, dz_o, dz_u = self.split(dz)
        tanh_c = self.xp.tanh(cache.c[t + 1])
        dc += tanh_backward(dh * o, tanh_c)
        dz_i[...] = sigmoid_backward(dc * u, i)
        dz_f[...] = sigmoid_backward(dc * cache.c[t], f)
        dz_o[...] = sigmoid_backward(dh * tanh_c, o)
        dz_u[...] = tanh_backward(dc * i, u)
        dc *= f


@register("core", "gru")
class GRU(Core):
    """h_t = k h_{t-1} + (1 - k) n,  n = tanh(x_n + r y_n), with z = [x_n | z_r | z_k | y_n].

    x_n = g_t W + b comes from the input alone, and y_n = h_{t-1} W + b from the state alone. The reset gate r says how
    much of the state goes into the new value n, and the gate k (the update gate) how much of the state is kept. Cho et
    al. multiply by r before the product with W and not after it; this order, which cuDNN and PyTorch have too, needs
    but one product with h_{t-1}.

    The bias of k starts at 1, as that of the LSTM's forget gate does.
    """

    width, apart = 4, 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.b[2 * self.units : 3 * self.units] = 1

    def cache(self, steps: int, rows: int) -> CoreCache:
        gates = self.xp.empty((steps, rows, 4 * self.units), dtype=self.dtype)
        return CoreCache(super().cache(steps, rows).h, None, gates)

    def split(self, z: Array) -> tuple[Array, Array, Array, Array]:
        """The four columns (x_n, r, k, y_n) of z (R, 4 N), as views."""
        n = self.units
        return z[:, :n], z[:, n : 2 * n], z[:, 2 * n : 3 * n], z[:, 3 * n :]

    def gate(self, z: Array, t: int, cache: CoreCache) -> None:
        r_k = z[:, self.units : 3 * self.units]
        sigmoid(r_k, out=r_k, xp=self.xp)
        n, r, k, y_n = self.split(z)
        n += r * y_n  # what was x_n
        self.xp.tanh(n, out=n)
        h = self.xp.subtract(cache.h[t], n, out=cache.h[t + 1])
        h *= k
        h += n  # k h_{t-1} + (1 - k) n, with a product less

    def gate_backward(self, dh: Array, dc: Array, t: int, cache: CoreCache, dz: Array) -> None:
        n, r, k, y_n = self.split(cache.gates[t])
        dx_n, dz_r, dz_k, dy_n = self.split(dz)
        dh += dc  # from h_{t+1}, past its gates
        dx_n[...] = tanh_backward(dh * (1 - k), n)
        dy_n[...] = dx_n * r
        dz_r[...] = sigmoid_backward(dx_n * y_n, r)
        dz_k[...] = sigmoid_backward(dh * (cache.h[t] - n), k)
        self.xp.multiply(dh, k, out=dc)
