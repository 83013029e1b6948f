"""The user's own images as arrays: an .npz file with `images` and `labels`, and perhaps `test_images`, `test_labels`.

Images are (n, H, W) or (n, H, W, C) with C = 1 or 3, uint8 or floats in [0, 1]; labels (n,), integers 0..A-1, each
class at least once. `numpy.savez("mine.npz", images=..., labels=...)` writes such a file.
"""

from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.files import open_zip, read_member
from ramnp.data.npy import parse_npy
from ramnp.data.source import DataSet, Split
from ramnp.data.task import OwnTask
from ramnp.errors import DataError

LIMIT = 8 << 30  # bytes of an array
MEMBERS = 100


def check_images(images: np.ndarray, name: str) -> np.ndarray:
    """Images (n, H, W, C), uint8 or float32.

    Raises:
        DataError: these are no images, or not in [0, 1].
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise DataError(f"{name} has {images.ndim} axes; images are (n, H, W) or (n, H, W, C)")
    if images.shape[3] not in (1, 3):
        raise DataError(f"{name} has {images.shape[3]} channels; images are gray (1) or in colour (3)")
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind != "f":
        raise DataError(f"{name} holds {images.dtype}; images are uint8, or floats in [0, 1]")
    if not (images.min() >= 0 and images.max() <= 1):  # NaN fails both
        raise DataError(f"{name} is not within [0, 1]")
    return np.ascontiguousarray(images, dtype=np.float32)


def read_arrays(path: Path) -> tuple[Split, Split | None]:
    """The images of an .npz file, and its test images, where it has them.

    Raises:
        DataError: it is damaged, or does not hold what the module's text says.
    """
    with open_zip(path, MEMBERS) as archive:
        names = archive.namelist()
        arrays = {
            name: parse_npy(read_member(archive, f"{name}.npy", LIMIT), f"{path}, {name}")
            for name in ("images", "labels", "test_images", "test_labels")
            if f"{name}.npy" in names
        }
    splits = []
    for prefix in ("", "test_"):
        images, labels = arrays.get(f"{prefix}images"), arrays.get(f"{prefix}labels")
        if images is None and labels is None and prefix:
            return splits[0], None
        if images is None or labels is None:
            raise DataError(f"{path} must hold {prefix}images and {prefix}labels")
        images = check_images(images, f"{path}, {prefix}images")
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui":
            raise DataError(
                f"{path}, {prefix}labels has shape {labels.shape} of {labels.dtype}, not one integer an image"
            )
        splits.append(Split(images, labels.astype(np.int64)))
    return splits[0], splits[1]


class Arrays(OwnTask):
    """Arrays in an .npz file."""

    text = "your own arrays: an .npz file with images and labels (--data-path)"
    folder = "arrays"

    def load(self, config: DataConfig) -> DataSet:
        """The user's arrays, shuffled and split as `OwnTask` says."""
        path = self.path(config)
        images, test = read_arrays(path)
        present = np.unique(images.labels)
        if len(present) < 2 or not np.array_equal(present, np.arange(len(present))):
            raise DataError(f"{path}, labels must be 0, 1, ..., A-1, each at least once, and A at least 2")
        if test and not (test.labels.min() >= 0 and test.labels.max() < len(present)):
            raise DataError(f"{path}, test_labels has labels that labels has not")
        if test and (test.images.shape[1:], test.images.dtype) != (images.images.shape[1:], images.images.dtype):
            raise DataError(f"{path}: images and test_images differ in shape or type")
        return self.data_set(images, test, config, None)
