"""Checkpoints: one .npz file with parameters, optimizer state, configuration and epoch.

No random state needs saving: the random numbers of each epoch are seeded by (seed, purpose, epoch).

| key                | content                                              |
|--------------------|------------------------------------------------------|
| `meta`             | UTF-8 bytes of a JSON object, see `Checkpoint`       |
| `parameter/<name>` | one parameter                                        |
| `optimizer/<name>` | one vector of the optimizer; absent in `best.npz`    |
| `data/<split>`     | digests of the images, uint64, if they are your own  |

A new checkpoint replaces the old one in a single step, so a run that is killed leaves an intact file. Reading never
unpickles.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ramnp import schema
from ramnp.backend import NUMPY, Backend
from ramnp.config import Config
from ramnp.data.files import Archive, check_regular, open_zip, read_member, read_start
from ramnp.data.npy import HEADER, Header, parse_header, parse_npy
from ramnp.data.source import SPLITS, Record
from ramnp.errors import CheckpointError, DataError, UnknownPartError, UsageError, first_line
from ramnp.files import write_atomically
from ramnp.network import Classifier, build
from ramnp.network.model import RecurrentAttentionModel
from ramnp.registry import get, is_added
from ramnp.schema import SchemaError

FORMAT = "ramnp-1"
MEMBERS, MOST_STATES = 1000, 16  # most arrays in a file; most of them that belong to the optimizer
LONGEST_META = 1 << 20  # bytes
RATIO = 8  # weights hardly shrink, and we do not compress them: a file unpacks to at most so many times its size
T = TypeVar("T")


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
        class_names: names of the classes 0..A-1; None in files of earlier versions, and for digits.
        data: by what the data of the run are recognized; None in files of earlier versions.
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
    class_names: tuple[str, ...] | None = None
    data: Record | None = None
    path: Path | None = None

    def model(self, backend: Backend = NUMPY) -> Classifier:
        """Build the model and give it these parameters."""
        model = build(self.config, self.image_shape, self.classes, backend, self.config.seed)
        self.restore(model)
        return model

    def adapted(self, glimpses: int | None = None, size: int | None = None) -> "Checkpoint":
        """The same weights for another number of glimpses, or for images of another size, which a RAM has not learned.

        Raises:
            UsageError: the model sees the whole image at once.
        """
        if not issubclass(get("model", self.config.model), RecurrentAttentionModel):
            raise UsageError(f"{self.path} sees the whole image at once, and always of one size: it has no glimpses")
        given = (("glimpses", glimpses), ("size", size))
        changed: dict[str, Any] = {name: value for name, value in given if value is not None}
        height, width, channels = self.image_shape
        shape = (size or height, size or width, channels)
        return dataclasses.replace(self, config=dataclasses.replace(self.config, **changed), image_shape=shape)

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
    if checkpoint.data:
        arrays |= {f"data/{split}": known for split, known in checkpoint.data.images.items() if len(known)}
    meta = {
        "format": FORMAT,
        "arrays": sorted(arrays),  # zip verifies each member, but not that all are there
        "config": checkpoint.config.to_json(),
        "image_shape": list(checkpoint.image_shape),
        "classes": checkpoint.classes,
        "class_names": checkpoint.class_names,
        "data_sha256": checkpoint.data.sha256 if checkpoint.data else None,
        "epoch": checkpoint.epoch,
        "best": checkpoint.best,
        "seconds": checkpoint.seconds,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    What the file says of its arrays is compared with its configuration before any of them is read, so that a small
    file costs little time and memory, whatever it says.

    Raises:
        CheckpointError: the file is missing, damaged, holds NaN, or is not a checkpoint of ramnp.
        UnknownPartError: it has a part that is not registered.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        check_regular(path)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    try:
        with open_zip(path, MEMBERS, RATIO) as archive:
            meta = read_meta(archive)
            config = Config.from_json(meta["config"])
            headers = read_headers(archive, meta["arrays"])
            height, width, channels = meta["image_shape"]
            check_headers(headers, config, (height, width, channels), meta["classes"])
            arrays = {name: read_array(archive, name) for name in headers}
    except (DataError, MemoryError) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint ({first_line(error)})") from error
    except UnknownPartError as error:
        raise UnknownPartError(f"{path}: {error}") from error
    except (SchemaError, UsageError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of ramnp ({first_line(error)})") from error
    return Checkpoint(
        config=config,
        image_shape=(height, width, channels),
        classes=meta["classes"],
        epoch=meta["epoch"],
        best=meta["best"],
        seconds=float(meta["seconds"]),
        parameters=_below("parameter/", arrays),
        optimizer=_below("optimizer/", arrays),
        class_names=tuple(meta["class_names"]) if meta.get("class_names") else None,
        data=record_in(meta, arrays),
        path=path,
    )


def record_in(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> Record | None:
    """By what the data are recognized, as a file says."""
    if not meta.get("data_sha256"):
        return None
    known = _below("data/", arrays)
    none = np.empty(0, np.uint64)
    return Record(meta["data_sha256"], {split: known.get(split, none) for split in SPLITS} if known else {})


def read_meta(archive: Archive) -> dict[str, Any]:
    """Read and check the description of a checkpoint.

    Raises:
        DataError, SchemaError: it is missing or damaged, or of another version.
    """
    if "meta.npy" not in archive.namelist():
        raise SchemaError("it lacks meta")
    content = parse_npy(read_member(archive, "meta.npy", LONGEST_META), "meta").tobytes()
    meta = schema.parse(content)
    if meta.get("format") != FORMAT:
        raise SchemaError(f"it has format {meta.get('format')!r}; this version reads {FORMAT!r}")
    schema.check(meta, schema.Meta)
    if meta["best"] and meta["best"]["epoch"] > meta["epoch"]:
        raise SchemaError(f"its best epoch is {meta['best']['epoch']}, but it has {meta['epoch']} epochs")
    if meta.get("class_names") and len(meta["class_names"]) != meta["classes"]:
        raise SchemaError(f"it has {len(meta['class_names'])} class_names, but {meta['classes']} classes")
    return meta


def read_headers(archive: Archive, names: list[str]) -> dict[str, Header]:
    """Read the shapes and types of the arrays, by name.

    Raises:
        DataError: a header is damaged.
        SchemaError: arrays are missing, or there are others than the description lists.
    """
    members = [name.removesuffix(".npy") for name in archive.namelist() if name != "meta.npy"]
    if sorted(members) != sorted(names):
        raise SchemaError("arrays are missing")
    return {name: parse_header(read_start(archive, f"{name}.npy", HEADER), name) for name in members}


def check_headers(headers: dict[str, Header], config: Config, image_shape: tuple[int, int, int], classes: int) -> None:
    """Check that the arrays have the names and shapes that the model of this configuration has.

    Raises:
        SchemaError: they do not.
        UsageError: there is no such model.
    """
    parameters = _below("parameter/", headers)
    size = sum(header.size for header in parameters.values())
    expected = shapes(config, image_shape, classes, size)
    if set(parameters) != set(expected):
        raise SchemaError("the names of the parameters do not match its configuration")
    for name, header in parameters.items():
        if header.shape != expected[name]:
            raise SchemaError(f"{name} has shape {header.shape}, but {expected[name]} in the model")
        if header.dtype.kind != "f":
            raise SchemaError(f"{name} holds {header.dtype}, not floats")
    optimizer = _below("optimizer/", headers)
    known = _below("data/", headers)
    if len(parameters) + len(optimizer) + len(known) != len(headers) or len(optimizer) > MOST_STATES:
        raise SchemaError("it holds other arrays than parameters, the state of an optimizer and digests of images")
    for name, header in known.items():
        if name not in SPLITS or header.dtype != np.uint64 or len(header.shape) != 1:
            raise SchemaError(f"data/{name} is not a list of digests")
    for name, header in optimizer.items():
        if header.size > size:
            raise SchemaError(f"{name} has {header.size:,} values, more than the {size:,} parameters")


class Ration(np.random.Generator):
    """Random numbers for the initial weights of a model of at most `size` parameters."""

    def __init__(self, size: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = size

    def take(self, shape: Any) -> None:
        """Count the values of an array that is about to be drawn.

        Raises:
            SchemaError: there are more than the model may have.
        """
        self.left -= math.prod(shape) if isinstance(shape, tuple) else shape or 1
        if self.left < 0:
            raise SchemaError("the model of its configuration has more parameters than it holds")

    def standard_normal(self, size: Any = None, *arguments: Any, **options: Any) -> Any:
        self.take(size)
        return super().standard_normal(size, *arguments, **options)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        self.take(size)
        return super().uniform(low, high, size)


def shapes(config: Config, image_shape: tuple[int, int, int], classes: int, size: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters of a model, by name.

    It builds the model, but draws no more than `size` weights for it: a file must not cost more than it holds.

    Raises:
        SchemaError: the model has more parameters.
        UsageError: there is no such model.
    """
    # The one large matrix that is not drawn: the identity that a plain recurrent core starts with.
    if config.model == "ram" and config.core == "rnn" and config.units**2 > size:
        raise SchemaError("the model of its configuration has more parameters than it holds")
    if config.control:  # it draws a policy and a baseline, which are no parameters of it
        config, size = dataclasses.replace(config, policy_hidden=0), size + 3 * config.units + 3
    # ramnp's parts take it in the place of a seed: NumPy's default_rng returns a generator as it is. Yours may do more
    # with a seed than that, so they get a number, and their size is yours to watch.
    own = any(is_added(kind, getattr(config, kind)) for kind in ("model", "glimpse_network", "core", "policy"))
    seed: Any = 0 if own else Ration(size)
    parameters = build(config, image_shape, classes, NUMPY, seed).parameters
    return {name: parameters[name].shape for name in parameters}


def read_array(archive: Archive, name: str) -> np.ndarray:
    """Read an array of finite numbers.

    Raises:
        DataError: it is damaged.
        SchemaError: it holds NaN or infinity.
    """
    array = parse_npy(read_member(archive, f"{name}.npy", archive.getinfo(f"{name}.npy").file_size), name)
    if not np.isfinite(array).all():
        raise SchemaError(f"{name} holds values that are not finite")
    return array


def _below(prefix: str, named: dict[str, T]) -> dict[str, T]:
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
