"""Worker processes: the cores of one machine share every batch.

Each has a model with the same weights, which lie in memory that all share, and leaves the gradients of its share of the
batch in memory of its own, where the trainer finds them. Processes and not threads, because a thread that returns from
NumPy waits for Python's lock while another one holds it: a training step is some hundred short calls, and with two
threads that waiting took longer than the second thread saved.
"""

import multiprocessing
import signal
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ramnp.backend import NUMPY, Array
from ramnp.classifier import Classifier
from ramnp.config import Config
from ramnp.errors import BackendError, UsageError, first_line
from ramnp.models import build
from ramnp.sensor import Canvas

# NaN and infinity are looked for by `Trainer.finite`; a warning for each would say less.
quiet_overflow = np.errstate(over="ignore", invalid="ignore", divide="ignore")

# Spawned, as on every system: a fork would copy locks that other threads hold.
SPAWN = multiprocessing.get_context("spawn")
Layout = dict[str, tuple[tuple[int, ...], np.dtype]]  # of arrays in shared memory: shape and type by name
ALIGNMENT = 64  # bytes: a cache line


@quiet_overflow
def work(model: Classifier, config: Config, share: tuple[Canvas, Array, Array], storage: Any) -> Array:
    """Forward and backward of a share of a batch, into the model's gradients; the loss by term, and the reward."""
    canvas, labels, randomness = share
    model.parameters.gradients.fill(0)
    outcome = model.forward(canvas, randomness, out=storage)
    loss = model.backward(outcome, labels, config.routing, config.policy_weight)
    return model.xp.stack([*(loss.terms[term] for term in model.terms), loss.reward])


class Worker:
    """A process that takes its share of every batch.

    Args:
        model: whose weights it uses; they must lie in memory from `shared`.
        config: of the training.
        values: that memory.
        share: the first share it will get; all later ones have its shapes and types.
    """

    def __init__(self, model: Classifier, config: Config, values: Any, share: tuple[Canvas, Array, Array]) -> None:
        canvas, labels, randomness = share
        layout: Layout = {
            "pixels": (canvas.pixels.shape, canvas.pixels.dtype),
            "labels": (labels.shape, labels.dtype),
            "randomness": (randomness.shape, randomness.dtype),
            "gradients": (model.parameters.gradients.shape, model.dtype),
            "losses": ((len(model.terms) + 1,), model.dtype),
        }
        memory = shared(layout)
        self.arrays = arrays_in(memory, layout)
        self.pipe, theirs = SPAWN.Pipe()
        arguments = (theirs, config, model.image_shape, model.classes, values, memory, layout, canvas.margin)
        self.process = SPAWN.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.told = self.heard = 0  # steps
        weakref.finalize(self, dismiss, self.pipe, self.process)

    def start(self, share: tuple[Canvas, Array, Array]) -> None:
        """Hand it a share. It works until `finish`.

        Raises:
            BackendError: the process has failed.
            UsageError: the share is not like the first one.
        """
        self.finish()  # the last step, if it was interrupted, wherever that was
        canvas, labels, randomness = share
        given = {"pixels": canvas.pixels, "labels": labels, "randomness": randomness}
        for name, array in given.items():
            room = self.arrays[name]
            if array.shape != room.shape or array.dtype != room.dtype:
                raise UsageError(
                    f"a trainer keeps to the {name} of its first step, {room.dtype} {room.shape} for each worker: "
                    f"got {array.dtype} {array.shape}"
                )
            room[...] = array
        self.told += 1
        self.exchange(lambda: self.pipe.send(self.told))

    def finish(self) -> tuple[Array, Array]:
        """Wait for it; its gradients, and its losses.

        Raises:
            BackendError: the process has failed.
        """
        while self.heard < self.told:
            answer = self.exchange(self.pipe.recv)
            if isinstance(answer, str):
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


def serve(
    pipe: Connection,
    config: Config,
    image_shape: tuple[int, int, int],
    classes: int,
    values: Any,
    memory: Any,
    layout: Layout,
    margin: int,
) -> None:
    """Be a worker, until the other end of the pipe is closed. It knows what importing ramnp gives, and nothing else."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's affair
    threadpool_limits(1, user_api="blas")
    arrays = arrays_in(memory, layout)
    model = build(config, image_shape, classes, NUMPY)
    model.parameters.use(model, np.frombuffer(values, dtype=model.dtype), arrays["gradients"])
    storage = model.storage(arrays["randomness"].shape[1])
    share = Canvas(arrays["pixels"], margin), arrays["labels"], arrays["randomness"]
    with suppress(EOFError, OSError):
        while True:
            answer = pipe.recv()  # the number of the step, which is sent back
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
