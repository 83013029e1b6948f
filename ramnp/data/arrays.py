"""Your own images as arrays: an .npz file with `images` and `labels`, and optionally `test_images` and `test_labels`.

Images are (n, H, W) or (n, H, W, C) with C from 1 to 4, as uint8 or as floats in [0, 1]. Labels are integers (n,) from
0 to A-1, and each class must occur. `numpy.savez("mine.npz", images=..., labels=...)` writes such a file.
"""

from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.content import digests
from ramnp.data.files import open_zip, read_member
from ramnp.data.npy import HEADER, parse_npy
from ramnp.data.source import DataSet, Split
from ramnp.data.task import OwnTask
from ramnp.errors import DataError, UsageError
from ramnp.network.classifier import check_bytes
from ramnp.registry import register

LIMIT = 8 << 30  # largest array, in bytes
MEMBERS = 100  # most arrays in a file
LONGEST_LABEL = 8  # bytes


def check_images(images: np.ndarray, name: str) -> np.ndarray:
    """Check that an array holds images; return them as (n, H, W, C), uint8 or float32.

    Raises:
        DataError: the array does not hold images, or has values outside [0, 1].
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise DataError(f"{name} has {images.ndim} axes; images must be (n, H, W) or (n, H, W, C)")
    if not 1 <= images.shape[3] <= 4:
        advice = ", as transpose(0, 2, 3, 1) makes them" if images.shape[1] <= 4 else ""
        raise DataError(
            f"{name} has {images.shape[3]} channels; images must be (n, H, W, C) with C from 1 to 4{advice}"
        )
    if images.dtype == np.uint8:
        try:
            check_bytes(images)
        except UsageError as error:
            raise DataError(f"{name}: {error}") from error
        return np.ascontiguousarray(images)
    if images.dtype.kind != "f":
        raise DataError(f"{name} holds {images.dtype}; images must be uint8, or floats in [0, 1]")
    if not (images.min() >= 0 and images.max() <= 1):  # written so that NaN fails too
        raise DataError(f"{name} has values outside [0, 1]: scale the images, or save them as uint8")
    return np.ascontiguousarray(images, dtype=np.float32)


def read_arrays(path: Path) -> tuple[Split, Split | None]:
    """Read the images of an .npz file, and its test images or None.

    Raises:
        DataError: the file is damaged, or does not have the arrays that this module describes.
    """
    if path.suffix == ".npy":
        raise DataError(f"{path} holds one array: save an .npz file, numpy.savez('mine.npz', images=..., labels=...)")
    arrays: dict[str, np.ndarray] = {}
    with open_zip(path, MEMBERS) as archive:
        for name in ("images", "labels", "test_images", "test_labels"):
            if f"{name}.npy" in archive.namelist():
                # Sorted labels shrink to almost nothing, so their size is bounded by the number of images instead.
                images = arrays.get(name.replace("labels", "images"))
                most = HEADER + LONGEST_LABEL * len(images) if images is not None and images.ndim else None
                content = read_member(archive, f"{name}.npy", most or LIMIT, counted=most is None)
                arrays[name] = parse_npy(content, f"{path}, {name}")
    splits: list[Split] = []
    for prefix in ("", "test_"):
        images, labels = arrays.get(f"{prefix}images"), arrays.get(f"{prefix}labels")
        if images is None and labels is None and prefix:
            return splits[0], None
        if images is None or labels is None:
            raise DataError(f"{path} must hold {prefix}images and {prefix}labels")
        images = check_images(images, f"{path}, {prefix}images")
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui":
            raise DataError(
                f"{path}, {prefix}labels has shape {labels.shape} of {labels.dtype}, not one integer per image"
            )
        splits.append(Split(images, labels.astype(np.int64), digests(images)))
    return splits[0], splits[1]


@register("dataset", "arrays")
class Arrays(OwnTask):
    """Your own arrays in an .npz file."""

    text = "your own arrays: an .npz file with images and labels (--data-path)"
    folder = "arrays"

    def load(self, config: DataConfig) -> DataSet:
        """Read the arrays; `OwnTask.data_set` splits them."""
        path = self.path(config)
        if path.is_dir():
            raise DataError(f"{path} is a folder: image files are read by --dataset folder")
        images, test = read_arrays(path)
        present = np.unique(images.labels)
        if len(present) < 2 or not np.array_equal(present, np.arange(len(present))):
            raise DataError(f"{path}, labels must be 0, 1, ..., A-1, with at least two classes and no class empty")
        if test and not (test.labels.min() >= 0 and test.labels.max() < len(present)):
            raise DataError(f"{path}, test_labels has labels that do not occur in labels")
        if test and (test.images.shape[1:], test.images.dtype) != (images.images.shape[1:], images.images.dtype):
            raise DataError(f"{path}: images and test_images differ in shape or type; save both alike")
        return self.data_set({"train": images} | ({"test": test} if test else {}), config, None)
