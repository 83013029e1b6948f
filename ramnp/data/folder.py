"""Your own image files: a folder with one sub-folder per class; its name is the name of the class.

All images must have the same size. They are read as gray if all of them are gray, else as colour.
"""

import os
from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.images import read_image_file
from ramnp.data.source import DataSet, Split
from ramnp.data.task import OwnTask
from ramnp.errors import DataError
from ramnp.files import expand
from ramnp.registry import register

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".webp")


def visible(path: Path) -> bool:
    """Whether a file or folder is the user's, and not hidden or put there by the system, such as `__MACOSX`."""
    return not path.name.startswith((".", "__"))


def read_folder(path: str | os.PathLike[str]) -> tuple[Split, tuple[str, ...]]:
    """Read a folder: its images and labels, and the sorted names of its classes. Other files are ignored.

    Raises:
        DataError: there are fewer than two classes, a class is empty, an image is damaged, or sizes differ.
    """
    path = expand(path)
    try:
        classes = sorted(entry for entry in path.iterdir() if entry.is_dir() and visible(entry))
        files = [(label, file) for label, folder in enumerate(classes) for file in sorted(folder.iterdir())]
    except OSError as error:
        raise DataError(f"cannot list {error.filename or path}: {error.strerror}") from error
    files = [each for each in files if visible(each[1]) and each[1].is_file() and each[1].suffix.lower() in SUFFIXES]
    if len(classes) < 2:
        raise DataError(f"{path} must have at least two sub-folders, one per class")
    if empty := set(range(len(classes))) - {label for label, _ in files}:
        raise DataError(f"{classes[min(empty)]} holds no images ({', '.join(SUFFIXES)})")
    images: list[np.ndarray] = []
    for _, file in files:
        images.append(read_image_file(file))
        if images[-1].shape[:2] != images[0].shape[:2]:
            (height, width, _), (first_height, first_width, _) = images[-1].shape, images[0].shape
            raise DataError(
                f"{file} is {width}x{height} pixels, and {files[0][1]} is {first_width}x{first_height}: "
                "all images must have the same size"
            )
    channels = max(image.shape[2] for image in images)
    stacked = np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
    labels = np.array([label for label, _ in files], dtype=np.int64)
    return Split(stacked, labels), tuple(folder.name for folder in classes)


@register("dataset", "folder")
class Folder(OwnTask):
    """Your own image files, in one sub-folder per class."""

    text = "your own images: a folder with one sub-folder per class (--data-path)"
    folder = "folder"

    def load(self, config: DataConfig) -> DataSet:
        """Read the images; `OwnTask.data_set` shuffles and splits them."""
        images, class_names = read_folder(self.path(config))
        return self.data_set(images, None, config, class_names)
