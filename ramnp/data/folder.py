"""Your own image files: a folder with one sub-folder per class; its name is the name of the class.

The classes may lie in the folder itself, and are then split by content (`content.py`); or in sub-folders train, val and
test of it. The images may have several sizes if they are resized. They are read as gray if all of them are gray, else
as colour. `prepare.py` says what is done to an image, and docs/own-images.md how a folder is laid out.
"""

import unicodedata
import warnings
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.content import digest_of, joined
from ramnp.data.images import TooLarge, decode_file, suffixes
from ramnp.data.prepare import coloured, prepared
from ramnp.data.source import DataSet, Split
from ramnp.data.task import OwnTask
from ramnp.errors import DataError, UsageError, some
from ramnp.files import expand
from ramnp.network.classifier import check_bytes
from ramnp.registry import register

# Names of the sub-folders that hold a split each, in small letters.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# What systems leave in folders; besides these, names that start with a dot are hidden.
SYSTEM = ("__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin")


class File(NamedTuple):
    """An image file: the split and the class that its folder stands for."""

    part: str
    class_name: str
    path: Path


class Left:
    """What is left out of a folder: paths, by the reason."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: dict[str, list[Path]] = {}

    def add(self, reason: str, path: Path) -> None:
        self.paths.setdefault(reason, []).append(path)

    def notes(self) -> tuple[str, ...]:
        """A line for each reason, with the first names."""
        return tuple(
            f"left out ({reason}): {some([str(path.relative_to(self.root)) for path in paths])}"
            for reason, paths in self.paths.items()
        )


def listed(folder: Path) -> list[Path]:
    """What is in a folder, sorted.

    Raises:
        DataError: it cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}") from error


def visible(path: Path) -> bool:
    """Whether a file or folder is the user's, and neither hidden nor put there by the system, such as `__MACOSX`."""
    return not path.name.startswith(".") and path.name.lower() not in SYSTEM


def sub_folders(folder: Path, left: Left | None = None) -> list[Path]:
    """The folders in a folder. The rest goes to `left`."""
    found = []
    for path in listed(folder):
        if path.is_dir() and visible(path):
            found.append(path)
        elif left and not visible(path):
            left.add("hidden or made by the system", path)
        elif left:
            left.add("in no folder of a class", path)
    return found


def images_in(folder: Path, left: Left | None = None) -> list[Path]:
    """The image files in a folder. The rest goes to `left`."""
    found = []
    for path in listed(folder):
        if not visible(path):
            reason = "hidden or made by the system"
        elif path.is_dir():
            reason = "a folder inside the folder of a class"
        elif not path.is_file():
            reason = "neither a file nor a folder"
        elif path.suffix.lower() not in suffixes():
            reason = f"no image that Pillow reads, {path.suffix.lower() or 'no ending'}"
        else:
            found.append(path)
            continue
        if left:
            left.add(reason, path)
    return found


def parts_below(path: Path, left: Left) -> dict[str, Path] | None:
    """The folders train, val and test below a path, if these are what is there; None if they are classes.

    Raises:
        DataError: other folders lie beside them, or a split has two.
    """
    folders = sub_folders(path)
    found: dict[str, Path] = {}
    others = []
    for folder in folders:
        part = PARTS.get(folder.name.lower())
        if part is None or images_in(folder) or not sub_folders(folder):
            others.append(folder)
        elif part in found:
            raise DataError(f"{path} has two folders for one split, {found[part].name} and {folder.name}: join them")
        else:
            found[part] = folder
    if "train" not in found:
        return None
    if others:
        raise DataError(
            f"{path} has {', '.join(each.name for each in found.values())} with folders of classes in them, and beside "
            f"them {some([each.name for each in others])}: move the others away"
        )
    sub_folders(path, left)
    return found


def find(path: Path) -> tuple[list[File], tuple[str, ...], tuple[str, ...]]:
    """Find the image files of a folder: the files; the sorted names of the classes; and notes on what is left out.

    Raises:
        DataError: there are fewer than two classes, or one of them is empty.
    """
    if not path.is_dir():
        raise DataError(f"{path} is no folder: an .npz file is read by --dataset arrays")
    left = Left(path)
    parts = parts_below(path, left)
    files: list[File] = []
    empty: list[Path] = []
    for part, root in (parts or {"train": path}).items():
        for folder in sub_folders(root, left):
            # macOS takes an umlaut apart in names, other systems do not: the class is the same.
            name = unicodedata.normalize("NFC", folder.name)
            found = images_in(folder, left)
            files += [File(part, name, file) for file in found]
            empty += [] if found else [folder]
    names = tuple(sorted({file.class_name for file in files} | {each.name for each in empty}))
    if len(names) < 2:
        inside = next((each for each in sub_folders(path) if len(sub_folders(each)) > 1), None)
        hint = f"; did you mean {inside}?" if inside and not parts else ""
        raise DataError(f"{path} must have at least two sub-folders, one per class{hint}")
    trained = {file.class_name for file in files if file.part == "train"}
    for folder in empty:
        if parts is None or folder.parent == parts["train"]:
            raise DataError(
                f"{folder} holds no images that Pillow reads{describe_contents(folder)}: add some, or remove the folder"
            )
    if unknown := sorted(set(names) - trained):
        (other, *_) = (file.path.parent for file in files if file.class_name == unknown[0])
        raise DataError(f"{other} is a class without training images: add some, or remove the folder")
    return files, names, left.notes()


def describe_contents(folder: Path) -> str:
    """What else is in a folder without images, in words."""
    there = [path.name + ("/" if path.is_dir() else "") for path in listed(folder)]
    return f" (but {some(there)})" if there else ""


def read_files(files: list[File], names: tuple[str, ...], config: DataConfig, root: Path) -> dict[str, Split]:
    """Read image files, prepared as the configuration says: the images of each split that has any.

    Raises:
        DataError: images cannot be read (all are named), are too large, or differ in size.
    """
    images: list[np.ndarray] = []
    known: list[int] = []
    bad: list[str] = []
    large: list[str] = []
    for file in files:
        try:
            pixels = decode_file(file.path, bool(config.resize))
        except TooLarge as error:
            large.append(str(error))
        except DataError as error:
            bad.append(str(error))
        else:
            known.append(digest_of(pixels))
            images.append(prepared(pixels, config))
    if bad:
        raise DataError(f"{len(bad)} of {len(files)} images cannot be read: {'; '.join(bad)}: repair or remove them")
    if large:
        raise DataError(
            f"{large[0]} ({len(large)} of {len(files)} images are larger): choose a size for all with --resize SIDE"
        )
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            (height, width, _), (first_height, first_width, _) = image.shape, images[0].shape
            raise DataError(
                f"{file.path} is {width}x{height} pixels, and {files[0].path} is {first_width}x{first_height}: "
                "choose one size for all with --resize SIDE, and --fit crop, pad or stretch"
            )
    channels = max(image.shape[2] for image in images)
    stacked = np.stack([coloured(image, channels) for image in images])
    try:
        check_bytes(stacked)
    except UsageError as error:
        raise DataError(f"{root}: {error}") from error
    labels = np.array([names.index(file.class_name) for file in files], dtype=np.int64)
    whole, part = Split(stacked, labels, np.array(known, np.uint64)), np.array([file.part for file in files])
    return {each: whole[part == each] for each in dict.fromkeys(part.tolist())}


def read_folder(
    path: str | PathLike[str], *, resize: int = 0, fit: Any = "crop", background: str = "white", colour: Any = "auto"
) -> tuple[Split, tuple[str, ...]]:
    """Read a folder: all its images and labels, and the sorted names of its classes.

    A warning says which files are left out, unless they are hidden.

    Args:
        resize, fit, background, colour: how the images are prepared, see `ramnp.Config`. Give them to `ramnp.fit` as
            well, so that the model prepares other images in the same way.

    Raises:
        DataError: there are fewer than two classes, a class is empty, images cannot be read, or sizes differ.
        UsageError: an argument has an invalid value.
    """
    path = expand(path)
    config = DataConfig(dataset="folder", resize=resize, fit=fit, background=background, colour=colour)
    files, names, notes = find(path)
    for note in notes:
        if "hidden" not in note:
            warnings.warn(f"{path}: {note}", stacklevel=2)
    return joined(list(read_files(files, names, config, path).values())), names


@register("dataset", "folder")
class Folder(OwnTask):
    """Your own image files, in one sub-folder per class."""

    text = "your own images: a folder with one sub-folder per class (--data-path)"
    folder = "folder"

    def load(self, config: DataConfig) -> DataSet:
        """Read the images; `OwnTask.data_set` splits those that lie in no folder of a split."""
        path = self.path(config)
        files, names, notes = find(path)
        return self.data_set(read_files(files, names, config, path), config, names, notes)
