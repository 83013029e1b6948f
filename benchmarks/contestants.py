"""Who takes part: the training steps of ramnp and of PyTorch. A step is the same for all.

It draws its random numbers, goes forward and backward, clips, updates, and adds the losses and the gradient's norm to
running sums. Its batch is there already: what making that costs is measured apart.
"""

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.timing import Contestant, Unavailable
from ramnp.backend import Array, get_backend
from ramnp.config import Config
from ramnp.errors import first_line
from ramnp.sensor import Canvas
from ramnp.train import Trainer

CLASSES = 10
LR = 1e-5  # small, so that what is timed does not depend on how far the training has come
BATCH_BYTES = 2**29  # that the batches may take together


@dataclass(frozen=True)
class Task:
    """What is to be trained.

    Attributes:
        config: its `workers` are the number of threads, for all contestants.
        side: of the images, in pixels.
        backend: "numpy" or "cupy".
    """

    config: Config
    side: int
    backend: str = "numpy"

    def trainer(self) -> Trainer:
        """ramnp's trainer."""
        return Trainer(self.config, (self.side, self.side, 1), CLASSES, get_backend(self.backend))

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """A batch of random images (B, H, W, 1), uint8, with labels: what there is to see does not change the time."""
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (self.config.batch_size, self.side, self.side, 1), dtype=np.uint8)
        return images, rng.integers(0, CLASSES, len(images))

    def batches(self, trainer: Trainer) -> list[tuple[Canvas, Array]]:
        """Up to four batches in different memory, so that no cache holds what a training would have to fetch."""
        images, labels = self.images()
        count = min(4, max(1, BATCH_BYTES // images.nbytes))
        return [(trainer.model.canvas(images), trainer.backend.asarray(labels)) for _ in range(count)]


class Ramnp:
    """The step of `ramnp.train.Trainer`, as `python -m ramnp.train` takes it."""

    def __init__(self, task: Task) -> None:
        threadpool_limits(1 if task.config.workers > 1 else None, user_api="blas")
        self.trainer = task.trainer()
        self.batches = itertools.cycle(task.batches(self.trainer))
        self.rng = np.random.default_rng(0)

    def step(self) -> None:
        canvas, labels = next(self.batches)
        randomness = self.trainer.model.draw(self.rng, len(labels) * self.trainer.rollouts)
        self.trainer.step(canvas, labels, randomness, LR)

    def wait(self) -> None:
        self.trainer.backend.to_host(self.trainer.totals)


def one_worker(task: Task) -> Contestant:
    """ramnp with a whole batch to one worker, and the threads inside each matrix product."""
    contestant = Ramnp(dataclasses.replace(task, config=dataclasses.replace(task.config, workers=1)))
    threadpool_limits(task.config.workers, user_api="blas")
    return contestant


def pytorch(task: Task, kind: str) -> Contestant:
    """PyTorch, "eager", "compiled" or with the sensor as a "patch loop".

    Raises:
        Unavailable: it cannot run here.
    """
    try:
        from benchmarks.pytorch import Training  # here, and not in every contestant's process
    except ImportError as error:
        raise Unavailable("PyTorch is not installed: pip install -e .[bench]") from error
    try:
        contestant = Training(task, kind)
        contestant.step()
    except Exception as error:  # no GPU, or no compiler: PyTorch reports that in many types
        raise Unavailable(f"PyTorch ({kind}) does not run here: {first_line(error)}") from error
    return contestant


STEPS = {
    "ramnp": (Ramnp,),
    "ramnp, 1 worker": (one_worker,),
    "PyTorch": (pytorch, "eager"),
    "PyTorch compiled": (pytorch, "compiled"),
    "PyTorch patch loop": (pytorch, "patch loop"),
}
