"""Worker processes: the cores of one machine share every batch.

Each has a model with the same weights, which lie in memory that all share, as do the pixels of the batch (`Rooms`),
and leaves the gradients of its share of the batch in memory of its own, where the trainer finds them. Processes and
not threads, because a thread that returns from NumPy waits for Python's lock while another one holds it: a training
step is some hundred short calls, and with two threads that waiting took longer than the second thread saved.
"""

import multiprocessing
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ramnp.backend import NUMPY, Array, limit_threads
from ramnp.config import Config, LearningConfig
from ramnp.errors import BackendError, UsageError, first_line
from ramnp.network import build
from ramnp.network.classifier import Classifier
from ramnp.network.reinforce import Gain
from ramnp.network.sensor import Canvas
from ramnp.training.provenance import count_cores

# NaN and infinity are looked for by `Trainer.finite`; a warning for each would say less.
quiet_overflow = np.errstate(over="ignore", invalid="ignore", divide="ignore")

# Spawned, as on every system: a fork would copy locks that other threads hold.
SPAWN = multiprocessing.get_context("spawn")
Layout = dict[str, tuple[tuple[int, ...], np.dtype]]  # of arrays in shared memory: shape and type by name
ALIGNMENT = 64  # bytes: a cache line


def rule(config: LearningConfig) -> tuple[Gain, ...]:
    """What `backward` is told beyond the paper's rule; nothing where that is the rule: one need not know more."""
    return (Gain(config.early_weight, config.discount),) if config.reward == "gain" else ()


@quiet_overflow
def work(model: Classifier, config: Config, share: tuple[Canvas, Array, Array], storage: Any) -> Array:
    """Forward and backward of a share of a batch, into the model's gradients; the loss by term, and the reward."""
    canvas, labels, randomness = share
    model.parameters.gradients.fill(0)
    outcome = model.forward(canvas, randomness, out=storage)
    loss = model.backward(outcome, labels, config.routing, config.policy_weight, *rule(config))
    return model.xp.stack([*(loss.terms[term] for term in model.terms), loss.reward])


def default_workers(config: Config) -> int:
    """Processes for a run that does not say how many: a core each, up to 4, as far as they share a batch evenly."""
    return max(n for n in range(1, min(count_cores(), 4) + 1) if config.batch_size % n == 0)


class Rooms:
    """Two places for the pixels of a batch, which all workers see: one that is made there need not be copied for them.

    While the batch in one of them is used, the next can be made in the other.

    Args:
        shape: of a batch of canvases, (B, H, W, C).
        dtype: of its pixels.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.layout: Layout = dict.fromkeys(("0", "1"), (shape, np.dtype(dtype)))
        self.memory = shared(self.layout)
        self.pixels = list(arrays_in(self.memory, self.layout).values())

    def find(self, pixels: Array) -> int:
        """Number of the room where these pixels lie. If they were made elsewhere they are copied into the first.

        Raises:
            UsageError: the batch is not like the first one.
        """
        for number, room in enumerate(self.pixels):
            if pixels is room:
                return number
        fill(self.pixels[0], pixels, "pixels")
        return 0


class Worker:
    """A process that takes its share of every batch.

    Args:
        model: whose weights it uses; they must lie in memory from `shared`.
        config: of the training.
        values: that memory.
        rooms: where it finds pixels.
        images: which of a batch are its own.
        share: their canvases, labels and randomness in the first step; all later ones have these shapes and types.
    """

    def __init__(
        self,
        model: Classifier,
        config: Config,
        values: Any,
        rooms: Rooms,
        images: slice,
        share: tuple[Canvas, Array, Array],
    ) -> None:
        canvas, labels, randomness = share
        layout: Layout = {
            "labels": (labels.shape, labels.dtype),
            "randomness": (randomness.shape, randomness.dtype),
            "gradients": (model.parameters.gradients.shape, model.dtype),
            "losses": ((len(model.terms) + 1,), model.dtype),
        }
        memory = shared(layout)
        self.arrays = arrays_in(memory, layout)
        self.pipe, theirs = SPAWN.Pipe()
        seen = (rooms.memory, rooms.layout, images, canvas.margin)
        arguments = (theirs, config, model.image_shape, model.classes, values, seen, (memory, layout))
        self.process = SPAWN.Process(target=serve, args=arguments, daemon=True)
        with uninterrupted():
            self.process.start()
        theirs.close()
        self.told = self.heard = 0  # steps
        weakref.finalize(self, dismiss, self.pipe, self.process)

    def start(self, room: int, labels: Array, randomness: Array) -> None:
        """Hand it its share of the batch in a room. It works until `finish`.

        Raises:
            BackendError: the process has failed.
            UsageError: the share is not like the first one.
        """
        self.finish()  # the last step, if it was interrupted
        fill(self.arrays["labels"], labels, "labels")
        fill(self.arrays["randomness"], randomness, "randomness")
        self.told += 1
        self.exchange(lambda: self.pipe.send((self.told, room)))

    def finish(self) -> tuple[Array, Array]:
        """Wait for it; its gradients, and its losses.

        Raises:
            BackendError: the process has failed.
        """
        while self.heard < self.told:
            answer = self.exchange(self.pipe.recv)
            if isinstance(answer, str):
                self.heard = self.told  # nothing more comes of this step
                raise BackendError(f"a worker process failed ({answer}): try again with --workers 1")
            self.heard = answer
        return self.arrays["gradients"], self.arrays["losses"]

    def exchange(self, act: Callable[[], Any]) -> Any:
        """Send to the process, or receive from it."""
        try:
            return act()
        except (EOFError, OSError) as error:
            advice = "try again with --workers 1"
            if not self.heard:
                advice += ', or, in a script of your own, train below `if __name__ == "__main__":`'
            raise BackendError(f"a worker process has ended: {advice}") from error


def fill(room: Array, array: Array, name: str) -> None:
    """Copy an array into shared memory that is laid out for the first of its name.

    Raises:
        UsageError: it is not like that one.
    """
    if array.shape != room.shape or array.dtype != room.dtype:
        raise UsageError(
            f"a trainer keeps to the {name} of its first step, {room.dtype} {room.shape}: "
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
    pipe: Connection,
    config: Config,
    image_shape: tuple[int, int, int],
    classes: int,
    values: Any,
    seen: tuple[Any, Layout, slice, int],
    own: tuple[Any, Layout],
) -> None:
    """Be a worker, until the other end of the pipe is closed. It knows what importing ramnp gives, and nothing else."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # not every system hands that down
    limit_threads(1)
    memory, layout, images, margin = seen
    rooms = [Canvas(room[images], margin) for room in arrays_in(memory, layout).values()]
    arrays = arrays_in(*own)
    model = build(config, image_shape, classes, NUMPY)
    model.parameters.use(model, np.frombuffer(values, model.dtype, model.parameters.size), arrays["gradients"])
    storage = model.storage(arrays["randomness"].shape[1])
    with suppress(EOFError, OSError):
        while True:
            answer, room = pipe.recv()  # the number of the step, which is sent back
            share = rooms[room], arrays["labels"], arrays["randomness"]
            try:
                arrays["losses"][...] = work(model, config, share, storage)
            except Exception as error:
                answer = first_line(error)
            pipe.send(answer)


def dismiss(pipe: Connection, process: Any) -> None:
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
