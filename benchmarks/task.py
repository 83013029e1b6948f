"""What is trained in a benchmark: the same for ramnp and for PyTorch."""

from dataclasses import dataclass

import numpy as np

from benchmarks.backends import backend_called
from ramnp.config import Config
from ramnp.data.batch import Batch
from ramnp.network.classifier import Classifier
from ramnp.training.trainer import Trainer

CLASSES = 10
LR = 1e-5  # small, so that what is timed does not depend on how far the training has come


@dataclass(frozen=True)
class Task:
    """What is to be trained.

    Attributes:
        config: its `workers` are processes of ramnp, and threads of the others.
        side: of the images, in pixels.
        backend: "numpy", "cupy" or "stand-in".
    """

    config: Config
    side: int
    backend: str = "numpy"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.side, self.side, 1

    def trainer(self) -> Trainer:
        """ramnp's trainer."""
        return Trainer(self.config, self.image_shape, CLASSES, backend_called(self.backend))

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """A batch of random images (B, H, W, 1), uint8, with labels: what there is to see does not change the time."""
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (self.config.batch_size, *self.image_shape), dtype=np.uint8)
        return images, rng.integers(0, CLASSES, len(images))

    def batches(self, model: Classifier) -> list[Batch]:
        """Two batches in different memory, as a training makes them in turn."""
        images, labels = self.images()
        return [Batch(model.canvas(images), model.backend.asarray(labels)) for _ in range(2)]
