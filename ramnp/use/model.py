"""A trained network in use: its weights, the names of its classes, and answers for images as people have them.

model = ramnp.load("mnist-6")
model.predict("digit.png"), model.class_names, model.look("digit.png")
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ramnp.backend import Backend, get_backend
from ramnp.config import Config
from ramnp.data.images import Images, batch_of
from ramnp.data.source import Record
from ramnp.errors import UsageError
from ramnp.files import expand
from ramnp.network.classifier import Classifier
from ramnp.network.look import Floats, Look, looks
from ramnp.network.model import RecurrentAttentionModel
from ramnp.training import checkpoint
from ramnp.training.checkpoint import Checkpoint
from ramnp.training.trained import find_weights, names_of

BATCH = 256  # images at a time


class TrainedModel:
    """A network, and all that it takes to ask it about images.

    Attributes:
        network: the network itself; `network.parameters` are its weights.
        class_names: names of the classes 0..A-1.
        epoch: epochs that it was trained for.
        data: by what the images that it was trained on are recognized; None if that is not known.
    """

    def __init__(
        self, network: Classifier, class_names: Sequence[str], epoch: int = 0, data: Record | None = None
    ) -> None:
        self.network, self.class_names, self.epoch, self.data = network, tuple(class_names), epoch, data

    def __repr__(self) -> str:
        return f"TrainedModel({self.network!r}, {self.config.preset}, epoch {self.epoch})"

    @property
    def config(self) -> Config:
        """The configuration that it was trained with."""
        return self.network.config

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images that it is for."""
        return self.network.image_shape

    @property
    def has_path(self) -> bool:
        """Whether it looks at glimpses, one after the other, and not at the whole image at once."""
        return isinstance(self.network, RecurrentAttentionModel)

    def prepare(self, images: Images) -> npt.NDArray[Any]:
        """(n, H, W, C) the images as the network takes them: files and Pillow images prepared as those of the training.

        They are turned by their EXIF data, put on the background, made gray or coloured, and resized if those were.

        Raises:
            UsageError, DataError: as `probabilities`.
        """
        return batch_of(images, self.image_shape, self.config)

    def probabilities(self, images: Images, rollouts: int = 1, seed: int = 0, workers: int = 1) -> Floats:
        """(n, A) class probabilities.

        Args:
            images: an array (H, W), (H, W, C), (n, H, W) or (n, H, W, C), uint8 or floats in [0, 1]; a Pillow image;
                the path of an image file; or a list of these. A single image gives n = 1.
            rollouts: M. With one, every chosen location is the mean of the policy. With more, locations are sampled and
                the probabilities averaged.
            seed: of first locations and samples.
            workers: threads that share the images on the CPU.

        Raises:
            UsageError: the images are not of the shape, the type or the range that the model is for.
            DataError: a file is missing, damaged or no image.
        """
        batch = self.prepare(images)
        return self.network.probabilities(batch, rollouts, seed, BATCH, workers)

    def predict(self, images: Images, rollouts: int = 1, seed: int = 0, workers: int = 1) -> npt.NDArray[np.int64]:
        """(n,) the likeliest class of each image, an integer; `class_names` names it. See `probabilities`."""
        return self.probabilities(images, rollouts, seed, workers).argmax(axis=1)

    def look(self, images: Images, seed: int = 0) -> list[Look]:
        """Where the model looks in each image, what it sees there, and its answer after every glimpse.

        Each location is the mean of the policy, so the last answers are those of `predict`.

        Raises:
            UsageError: as `probabilities`; or the network sees the whole image at once.
            DataError: as `probabilities`.
        """
        model = self.network
        if not isinstance(model, RecurrentAttentionModel):
            raise UsageError(f"a network of kind {self.config.model} sees the whole image at once, and has no path")
        batch = model.checked(self.prepare(images))
        found: list[Look] = []
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + BATCH]
            rollout = model.forward(model.canvas(part), model.randomness(len(part), 1, seed, start))
            found += looks(model, part, rollout, self.class_names)
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model into an .npz file, which `ramnp.load` and the commands read.

        Raises:
            OutputError: that failed.
        """
        checkpoint.save(expand(path), self.checkpoint())

    def checkpoint(self) -> Checkpoint:
        """The weights, and what else makes the model."""
        network = self.network
        return Checkpoint(
            config=self.config,
            image_shape=self.image_shape,
            classes=network.classes,
            epoch=self.epoch,
            best=None,
            seconds=0.0,
            parameters={name: network.backend.to_host(network.parameters[name]) for name in network.parameters},
            optimizer={},
            class_names=self.class_names,
            data=self.data,
        )


def load(path: str | os.PathLike[str], backend: Backend | str = "auto", *, glimpses: int | None = None) -> TrainedModel:
    """Load a trained model.

    Args:
        path: a run folder, a checkpoint (.npz), or the name of weights that come with the package, such as "mnist-6".
        backend: a backend, or its name: "numpy", "cupy" or "auto".
        glimpses: T, if it is to look another number of times than it was trained for.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged; the message lists the names.
        BackendError: the backend cannot be used.
        UsageError: the model sees the whole image, and has no glimpses.
    """
    saved = checkpoint.load(find_weights(expand(path)))
    if glimpses is not None:
        saved = saved.adapted(glimpses)
    model = saved.model(get_backend(backend) if isinstance(backend, str) else backend)
    return TrainedModel(model, names_of(saved), saved.epoch, saved.data)
