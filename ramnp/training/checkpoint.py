"""Checkpoints: one .npz file with parameters, optimizer state, configuration and epoch.

No random state needs saving: the random numbers of each epoch are seeded by (seed, purpose, epoch).

| key                | content                                              |
|--------------------|------------------------------------------------------|
| `meta`             | UTF-8 bytes of a JSON object, see `Checkpoint`       |
| `parameter/<name>` | one parameter                                        |
| `optimizer/<name>` | one vector of the optimizer; absent in `best.npz`    |

A new checkpoint replaces the old one in a single step, so a run that is killed leaves an intact file. Reading never
unpickles.
"""

import json
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ramnp.backend import NUMPY, Backend
from ramnp.config import Config
from ramnp.data.files import open_zip, read_member
from ramnp.data.npy import parse_npy
from ramnp.errors import CheckpointError, DataError, UnknownPartError, UsageError, first_line
from ramnp.files import write_atomically
from ramnp.network import Classifier, build

FORMAT = "ramnp-1"
MEMBERS, LIMIT = 1000, 4 << 30  # most arrays in a file; most bytes in an array


@dataclass
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        config: the configuration of the run.
        image_shape: (H, W, C) of its images.
        classes: A, the number of classes.
        epoch: number of finished epochs.
        best: {"epoch": ..., "validation_error": {...}} of the best epoch so far; None without validation.
        seconds: time spent training and validating so far.
        parameters, optimizer: arrays by name.
        path: the file it was read from; None if it was not read from a file.
    """

    config: Config
    image_shape: tuple[int, int, int]
    classes: int
    epoch: int
    best: dict[str, Any] | None
    seconds: float
    parameters: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    path: Path | None = None

    def model(self, backend: Backend = NUMPY) -> Classifier:
        """Build the model and give it these parameters."""
        model = build(self.config, self.image_shape, self.classes, backend, self.config.seed)
        self.restore(model)
        return model

    def restore(self, model: Classifier) -> None:
        """Copy the parameters into `model`.

        Raises:
            CheckpointError: the model is for other images or classes, or has other parameter names or shapes.
        """
        if (self.image_shape, self.classes) != (model.image_shape, model.classes):
            raise CheckpointError(
                f"{self.path} is for images of {self.image_shape} in {self.classes} classes, "
                f"and these have {model.image_shape} in {model.classes} classes"
            )
        if set(self.parameters) != set(model.parameters):
            raise CheckpointError(f"{self.path}: the names of the parameters do not match its configuration")
        for name, value in self.parameters.items():
            if value.shape != model.parameters[name].shape:
                raise CheckpointError(
                    f"{self.path}: {name} has shape {value.shape}, but {model.parameters[name].shape} in the model"
                )
            model.parameters[name][...] = model.backend.asarray(value.astype(model.dtype))


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint.

    Raises:
        OutputError: the file cannot be written. An older file stays as it was.
    """
    arrays = {f"parameter/{name}": value for name, value in checkpoint.parameters.items()}
    arrays |= {f"optimizer/{name}": value for name, value in checkpoint.optimizer.items()}
    meta = {
        "format": FORMAT,
        "arrays": sorted(arrays),  # zip verifies each member, but not that all are there
        "config": checkpoint.config.to_json(),
        "image_shape": list(checkpoint.image_shape),
        "classes": checkpoint.classes,
        "epoch": checkpoint.epoch,
        "best": checkpoint.best,
        "seconds": checkpoint.seconds,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of ramnp.
        UnknownPartError: it has a part that is not registered.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with open_zip(path, MEMBERS) as archive:
            arrays = {
                name.removesuffix(".npy"): parse_npy(read_member(archive, name, LIMIT), name)
                for name in archive.namelist()
            }
    except (DataError, MemoryError) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint ({first_line(error)})") from error
    try:
        meta = json.loads(arrays["meta"].tobytes())
        if meta["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {meta['format']!r}; this version reads {FORMAT!r}")
        if sorted(arrays.keys() - {"meta"}) != meta["arrays"]:
            raise CheckpointError(f"{path} is damaged (arrays are missing)")
        height, width, channels = map(operator.index, meta["image_shape"])
        return Checkpoint(
            config=Config.from_json(dict(meta["config"])),
            image_shape=(height, width, channels),
            classes=operator.index(meta["classes"]),
            epoch=operator.index(meta["epoch"]),
            best=meta["best"],
            seconds=float(meta["seconds"]),
            parameters=_below("parameter/", arrays),
            optimizer=_below("optimizer/", arrays),
            path=path,
        )
    except UnknownPartError as error:
        raise UnknownPartError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of ramnp ({first_line(error)})") from error


def _below(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
