"""Parameters, their gradients and their names.

A `Part` is a piece of the model that owns parameters: the array `W` has its gradient in `dW`.
`Parameters` gathers a part and all its sub-parts into one vector of values and one of gradients. An
optimizer, a norm or a checkpoint then sees a single array, and each `W` is a view into it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ramnp.backend import Array


class Part:
    """A piece of the model: its own parameters, and the parts it is made of.

    Subclasses list the attribute names of their parameters in `names` and of their sub-parts in
    `parts`. Parameter gradients accumulate: `backward` does `dW += ...`. Zero them
    before a new step.
    """

    names: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def __init__(self, xp: Any = np, dtype: Any = np.float32) -> None:
        self.xp = xp
        self.dtype = np.dtype(dtype)

    def add(self, name: str, value: np.ndarray) -> None:
        """Make `value`, drawn on the host, the parameter `name` with a zero gradient `d<name>`."""
        value = self.xp.asarray(value.astype(self.dtype))
        setattr(self, name, value)
        setattr(self, "d" + name, self.xp.zeros_like(value))

    def walk(self, prefix: str = "") -> Iterator[tuple[str, "Part", str]]:
        """All parameters below this part: dotted name, the part that owns it, its attribute."""
        for name in self.names:
            yield prefix + name, self, name
        for part in self.parts:
            yield from getattr(self, part).walk(f"{prefix}{part}.")


class Parameters:
    """All parameters of a part, by dotted name, in one vector.

    Attributes:
        values: (P,) every parameter, one after the other.
        gradients: (P,) their gradients.
    """

    def __init__(self, part: Part) -> None:
        owners = list(part.walk())
        xp = part.xp
        size = sum(getattr(owner, name).size for _, owner, name in owners)
        self.values: Array = xp.empty(size, dtype=part.dtype)
        self.gradients: Array = xp.zeros(size, dtype=part.dtype)
        self.slices: dict[str, slice] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        start = 0
        for dotted, owner, name in owners:
            initial = getattr(owner, name)
            self.slices[dotted] = slice(start, start + initial.size)
            self._shapes[dotted] = initial.shape
            start += initial.size
            self[dotted][...] = initial
            setattr(owner, name, self[dotted])
            setattr(owner, "d" + name, self.gradient(dotted))

    def use(self, part: Part, values: Array, gradients: Array) -> None:
        """Make `part` use these vectors (P,) instead of its own: those of another model, for example."""
        self.values, self.gradients = values, gradients
        for dotted, owner, name in part.walk():
            setattr(owner, name, self[dotted])
            setattr(owner, "d" + name, self.gradient(dotted))

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return self.values.size

    def __iter__(self) -> Iterator[str]:
        return iter(self.slices)

    def __getitem__(self, name: str) -> Array:
        """The parameter `name`: a view, so writing to it changes the model."""
        return self.view(self.values, name)

    def gradient(self, name: str) -> Array:
        """The gradient of the parameter `name`: a view."""
        return self.view(self.gradients, name)

    def view(self, vector: Array, name: str) -> Array:
        """What belongs to the parameter `name` in a vector (P,) that is laid out as `values`: a view."""
        return vector[self.slices[name]].reshape(self._shapes[name])

    def spans(self) -> dict[str, slice]:
        """Where the first-level parts ("glimpse", "core", ...) lie in the vectors."""
        spans: dict[str, slice] = {}
        for name, here in self.slices.items():
            part = name.split(".")[0]
            spans[part] = slice(spans[part].start if part in spans else here.start, here.stop)
        return spans
