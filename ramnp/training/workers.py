"""Worker processes: the cores of one machine share every batch.

Each worker has a model with the same weights. The weights lie in memory that all processes share, and so do the pixels
of the batch (`Slots`). A worker leaves the gradients of its share of the batch in shared memory, too, where the trainer
finds them.

These are processes and not threads because of Python's lock. A training step is some hundred short calls, and a thread
that returns from NumPy waits for the lock while another holds it. With two threads this waiting took longer than the
second thread saved.
"""

import multiprocessing
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ramnp.backend import NUMPY, Array, limit_threads
from ramnp.config import Config
from ramnp.data.augment import warp
from ramnp.data.batch import Batch
from ramnp.errors import BackendError, UsageError, first_line
from ramnp.network import build
from ramnp.network.classifier import Classifier
from ramnp.network.reinforce import LearningRule
from ramnp.network.sensor import Canvas
from ramnp.registry import load, modules_of
from ramnp.training.provenance import count_cores

if TYPE_CHECKING:
    from multiprocessing.connection import Connection  # a browser's Python cannot import it, and needs none

# NaN and infinity are looked for by `Trainer.finite`; a warning for each would say less.
quiet_overflow = np.errstate(over="ignore", invalid="ignore", divide="ignore")

# Spawned, as on every system: a fork would copy locks that other threads hold.
SPAWN = multiprocessing.get_context("spawn")
Layout = dict[str, tuple[tuple[int, ...], np.dtype]]  # of arrays in shared memory: shape and type by name
ALIGNMENT = 64  # bytes: a cache line


@quiet_overflow
def work(model: Classifier, rule: LearningRule, share: Batch, storage: Any) -> Array:
    """Forward and backward on a share of a batch, into the model's gradients. Returns the losses and the reward."""
    model.parameters.gradients.fill(0)
    canvas = share.canvas if share.maps is None else warp(share.canvas, share.maps, model.xp)
    outcome = model.forward(canvas, share.randomness, out=storage)
    loss = model.backward(outcome, share.labels, rule)
    return model.xp.stack([*(loss.terms[term] for term in model.terms), loss.reward])


def default_workers(config: Config) -> int:
    """Processes for a run that does not name a number: one per core, up to 4, that share a batch evenly."""
    if multiprocessing.current_process().daemon:  # a worker of somebody else, such as Dask's: it may not start any
        return 1
    return max(n for n in range(1, min(count_cores(), 4) + 1) if config.batch_size % n == 0)


class Slots:
    """Two places for the pixels of a batch, in memory that all workers see: a batch made there need not be copied.

    While the batch in one slot is used, the next can be made in the other.

    Args:
        shape: of a batch of canvases, (B, H, W, C).
        dtype: of its pixels.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.layout: Layout = dict.fromkeys(("0", "1"), (shape, np.dtype(dtype)))
        self.memory = shared(self.layout)
        self.pixels = list(arrays_in(self.memory, self.layout).values())

    def place(self, batch: Batch) -> int:
        """Number of the slot that holds the batch's pixels. If they were made elsewhere, they are copied into slot 0.

        Raises:
            UsageError: the batch is not like the first one.
        """
        if batch.slot is not None and batch.canvas.pixels is self.pixels[batch.slot]:
            return batch.slot
        fill(self.pixels[0], batch.canvas.pixels, "pixels")
        return 0


class Worker:
    """A process that takes its share of every batch.

    Args:
        model: the model whose weights it uses; they must lie in memory from `shared`.
        config: the configuration of the training.
        rule: its learning rule.
        values: that memory.
        slots: where it finds pixels.
        images: which images of a batch are its own.
        share: its share of the first batch; all later ones have these shapes and types.
    """

    def __init__(
        self,
        model: Classifier,
        config: Config,
        rule: LearningRule,
        values: Any,
        slots: Slots,
        images: slice,
        share: Batch,
    ) -> None:
        layout: Layout = {
            "labels": (share.labels.shape, share.labels.dtype),
            "randomness": (share.randomness.shape, share.randomness.dtype),
            "gradients": (model.parameters.gradients.shape, model.dtype),
            "losses": ((len(model.terms) + 1,), model.dtype),
        }
        if share.maps is not None:
            layout["maps"] = share.maps.shape, share.maps.dtype
        memory = shared(layout)
        self.arrays = arrays_in(memory, layout)
        self.pipe, theirs = SPAWN.Pipe()
        seen = (slots.memory, slots.layout, images, share.canvas.margin)
        of_model = (config, modules_of(config), rule, model.image_shape, model.classes)
        arguments = (theirs, *of_model, values, seen, (memory, layout))
        self.process = SPAWN.Process(target=serve, args=arguments, daemon=True)
        with uninterrupted():
            try:
                self.process.start()
            except (AssertionError, ImportError, OSError, RuntimeError) as error:  # each system has its own way
                raise BackendError(
                    f"worker processes cannot be started here ({first_line(error)}): use --workers 1"
                ) from error
        theirs.close()
        self.sent = self.done = 0  # steps
        weakref.finalize(self, dismiss, self.pipe, self.process)

    def start(self, slot: int, share: Batch) -> None:
        """Hand it its share of the batch in a slot. It works until `finish`.

        Raises:
            BackendError: the process has failed.
            UsageError: the share is not like the first one.
        """
        self.finish()  # the last step, if it was interrupted
        fill(self.arrays["labels"], share.labels, "labels")
        fill(self.arrays["randomness"], share.randomness, "randomness")
        if share.maps is not None:
            fill(self.arrays["maps"], share.maps, "maps")
        self.sent += 1
        self.exchange(lambda: self.pipe.send((self.sent, slot)))

    def finish(self) -> tuple[Array, Array]:
        """Wait for it; its gradients, and its losses.

        Raises:
            BackendError: the process has failed.
        """
        while self.done < self.sent:
            answer = self.exchange(self.pipe.recv)
            if isinstance(answer, str):
                self.done = self.sent  # nothing more comes of this step
                raise BackendError(f"a worker process failed ({answer}): try again with --workers 1")
            self.done = answer
        return self.arrays["gradients"], self.arrays["losses"]

    def exchange(self, act: Callable[[], Any]) -> Any:
        """Send to the process, or receive from it."""
        try:
            return act()
        except (EOFError, OSError) as error:
            advice = "try again with --workers 1"
            if not self.done:
                advice += ', or, in a script of your own, train below `if __name__ == "__main__":`'
            raise BackendError(f"a worker process has ended: {advice}") from error


def fill(room: Array, array: Array, name: str) -> None:
    """Copy an array into shared memory that is laid out for the first of its name.

    Raises:
        UsageError: it is not like that one.
    """
    if array.shape != room.shape or array.dtype != room.dtype:
        raise UsageError(
            f"the {name} must have the type and shape of those of the first batch, {room.dtype} {room.shape}: "
            f"got {array.dtype} {array.shape}"
        )
    room[...] = array


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C, as what is started here does for good: it is the trainer's affair, not a worker's."""
    if threading.current_thread() is not threading.main_thread():  # no other may say so, nor gets Ctrl-C
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def serve(
    pipe: "Connection",
    config: Config,
    modules: list[str],
    rule: LearningRule,
    image_shape: tuple[int, int, int],
    classes: int,
    values: Any,
    seen: tuple[Any, Layout, slice, int],
    own: tuple[Any, Layout],
) -> None:
    """Be a worker until the other end of the pipe is closed. A spawned process has only ramnp, and these `modules`."""
    # The trainer decides when a worker ends. (Not every system hands down that SIGINT is ignored.)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    limit_threads(1)
    for module in modules:
        load(module)
    memory, layout, images, margin = seen
    canvases = [Canvas(pixels[images], margin) for pixels in arrays_in(memory, layout).values()]
    arrays = arrays_in(*own)
    model = build(config, image_shape, classes, NUMPY)
    model.parameters.use(model, np.frombuffer(values, model.dtype, model.parameters.size), arrays["gradients"])
    storage = model.storage(arrays["randomness"].shape[1])
    with suppress(EOFError, OSError):
        while True:
            answer, slot = pipe.recv()  # the number of the step, which is sent back
            share = Batch(canvases[slot], arrays["labels"], arrays["randomness"], maps=arrays.get("maps"))
            try:
                arrays["losses"][...] = work(model, rule, share, storage)
            except Exception as error:
                answer = first_line(error)
            pipe.send(answer)


def dismiss(pipe: "Connection", process: Any) -> None:
    """Let a worker go."""
    pipe.close()
    process.join(1)


def shared(layout: Layout) -> Any:
    """Memory for these arrays, which spawned processes can be given."""
    return SPAWN.RawArray("b", sum(size for _, size in places(layout)))


def arrays_in(memory: Any, layout: Layout) -> dict[str, np.ndarray]:
    """The arrays in such memory."""
    return {
        name: np.ndarray(shape, dtype, memory, start)
        for (name, (shape, dtype)), (start, _) in zip(layout.items(), places(layout), strict=True)
    }


def places(layout: Layout) -> Iterator[tuple[int, int]]:
    """Where each array starts, and the bytes up to the next."""
    start = 0
    for shape, dtype in layout.values():
        size = -(-int(np.prod(shape)) * dtype.itemsize // ALIGNMENT) * ALIGNMENT
        yield start, size
        start += size
