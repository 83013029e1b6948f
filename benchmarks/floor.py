"""The matrix products of a training step, alone: what the step would take if all else took no time.

They are not written down here but recorded from a step: while it runs, NumPy's functions that make arrays make
`Recorded` ones, whose products are noted with their operands. These very arrays are then multiplied again: the same
shapes, the same layouts in memory, and weights that several products share.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from benchmarks.backends import backend_called
from benchmarks.contestants import Ramnp
from benchmarks.task import Task
from ramnp.backend import Array, Backend, limit_threads
from ramnp.training.workers import SPAWN

MAKERS = ("empty", "zeros", "ones", "array", "asarray", "ascontiguousarray", "empty_like", "zeros_like", "ones_like")


class Product(NamedTuple):
    """out = a b, of matrices."""

    a: Array
    b: Array
    out: Array

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.out.size * self.a.shape[-1]


class Recorded(np.ndarray):
    """An array that notes the matrix products it takes part in. What is computed from it is one, too."""

    products: list[Product]  # of the class: where they are noted

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        inputs = tuple(plain(x) for x in inputs)
        out = options.pop("out", None)
        if out is not None:
            options["out"] = tuple(plain(x) for x in out)
        result = getattr(ufunc, method)(*inputs, **options)
        if ufunc is np.matmul:
            self.products.append(Product(*inputs, result))
        return out[0] if out is not None else recorded(result)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(function, types, args, kwargs)
        if function is np.dot and result.ndim == 2:
            self.products.append(Product(*map(plain, (*args[:2], result))))
        return result


def plain(x: Any) -> Any:
    """An array as it is without its recording; other things unchanged."""
    return x.view(np.ndarray) if isinstance(x, Recorded) else x


def recorded(x: Any) -> Any:
    """An array as one that records; other things unchanged."""
    return x.view(Recorded) if isinstance(x, np.ndarray) else x


@contextmanager
def recording() -> Iterator[list[Product]]:
    """Note the products of all arrays that are made in this context. One thread at a time can do so."""
    products = Recorded.products = []

    def recording_maker(make: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        return lambda *args, **kwargs: recorded(make(*args, **kwargs))

    with ExitStack() as stack:
        for name in MAKERS:
            stack.enter_context(mock.patch.object(np, name, recording_maker(getattr(np, name))))
        yield products


def products_of_a_step(task: Task) -> list[Product]:
    """The products of the step that one worker takes with its share of the batch."""
    config = task.config
    share = dataclasses.replace(config, workers=1, batch_size=config.batch_size // config.workers)
    with recording() as products:
        Ramnp(Task(share, task.side)).step()
    return products


def on(backend: Backend, products: list[Product]) -> Iterator[Product]:
    """The products on a backend. Operands that several share, as weights, are one array there as well."""
    there: dict[Any, Array] = {}

    def moved(x: np.ndarray) -> Array:
        place = x.ctypes.data, x.shape, x.strides
        if place not in there:
            there[place] = backend.asarray(x)
        return there[place]

    for product in products:
        yield Product(*map(moved, product))


class Floor:
    """The products of all workers, each in a process of its own as in a training: a contestant."""

    def __init__(self, task: Task) -> None:
        self.backend = backend_called(task.backend)
        workers = task.config.workers if self.backend.xp is np else 1
        task = dataclasses.replace(task, config=dataclasses.replace(task.config, workers=workers))
        self.products = list(on(self.backend, products_of_a_step(task)))
        limit_threads(1 if workers > 1 else None)
        self.pipes = []
        for _ in range(workers - 1):
            ours, theirs = SPAWN.Pipe()
            SPAWN.Process(target=multiply_when_told, args=(theirs, task), daemon=True).start()
            self.pipes.append(ours)

    def step(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)
        multiply(self.products, self.backend.xp)
        for pipe in self.pipes:
            pipe.recv()

    def wait(self) -> None:
        self.backend.to_host(self.products[-1].out)


def multiply(products: list[Product], xp: Any = np) -> None:
    """One worker's products, in their order."""
    for a, b, out in products:
        xp.matmul(a, b, out=out)


def multiply_when_told(pipe: Connection, task: Task) -> None:
    """Be another worker, until the other end of the pipe is closed."""
    products = products_of_a_step(task)
    limit_threads(1)
    with suppress(EOFError, OSError):
        while True:
            pipe.recv()
            multiply(products)
            pipe.send(None)
