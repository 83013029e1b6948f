"""Who takes part: the training steps of ramnp and of PyTorch, and two things that are timed without a rival.

A training step is the same for all. It draws its random numbers, goes forward and backward, clips, updates, and adds
the losses and the gradient's norm to running sums. Its batch is there already: what that costs is measured apart.
"""

import dataclasses
import itertools

import numpy as np

from benchmarks.backends import backend_called
from benchmarks.task import CLASSES, LR, Task
from benchmarks.timing import Contestant, Unavailable
from ramnp.backend import limit_threads
from ramnp.data.batch import Batch
from ramnp.data.source import Source, Split
from ramnp.errors import first_line
from ramnp.network import build
from ramnp.network.sensor import Canvas


class Ramnp:
    """The step of `ramnp.training.trainer.Trainer`, as `python -m ramnp.train` takes it."""

    def __init__(self, task: Task, lr: float = LR) -> None:
        self.lr = lr
        limit_threads(1 if task.config.workers > 1 else None)
        self.trainer = task.trainer()
        batches = task.batches(self.trainer.model)
        if self.trainer.workers > 1:  # in the shared memory where a training makes its batches
            canvas, labels, *_ = batches[0]
            slots = self.trainer.slots_for(canvas.pixels.shape, canvas.pixels.dtype).pixels
            for pixels in slots:
                pixels[...] = canvas.pixels
            batches = [Batch(Canvas(pixels, canvas.margin), labels, slot=slot) for slot, pixels in enumerate(slots)]
        self.batches = itertools.cycle(batches)
        self.rng = np.random.default_rng(0)

    def step(self) -> None:
        batch = next(self.batches)
        randomness = self.trainer.model.draw(self.rng, len(batch.labels) * self.trainer.rollouts)
        self.trainer.step(batch._replace(randomness=randomness), self.lr)

    def wait(self) -> None:
        self.trainer.backend.to_host(self.trainer.totals)


def one_worker(task: Task) -> Contestant:
    """ramnp with a whole batch to one worker, and the threads inside each matrix product."""
    contestant = Ramnp(dataclasses.replace(task, config=dataclasses.replace(task.config, workers=1)))
    limit_threads(task.config.workers)
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


class BatchMaking:
    """Making a batch: its images are gathered from those of a split, which is as large."""

    def __init__(self, task: Task) -> None:
        self.trainer = task.trainer()
        self.source = Source(Split(*task.images()), self.trainer.backend, self.trainer.model.margin)

    def step(self) -> None:
        next(self.source.batches(len(self.source)))

    def wait(self) -> None:
        self.trainer.backend.to_host(self.trainer.totals)


class Prediction:
    """Answering all images of a batch, each after some rollouts."""

    def __init__(self, task: Task, rollouts: int) -> None:
        self.model = build(task.config, task.image_shape, CLASSES, backend_called(task.backend), task.config.seed)
        self.rollouts = rollouts
        self.images, _ = task.images()

    def step(self) -> None:
        self.model.probabilities(self.images, rollouts=self.rollouts)

    def wait(self) -> None:
        """The answers are on the host already."""


# (make, *arguments after the task)
STEPS = {
    "ramnp": (Ramnp,),
    "ramnp, 1 worker": (one_worker,),
    "PyTorch": (pytorch, "eager"),
    "compiled": (pytorch, "compiled"),
    "patch loop": (pytorch, "patch loop"),
}
