"""A task: a data set's description, where its files are, and how to read them."""

from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.files import Published, data_root, locate, md5_of
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.errors import DataError, UsageError
from ramnp.files import expand

SEED = 0  # seeds the order into which the user's own images are shuffled


class Task:
    """A task whose files are published online. To add one, set these attributes and define `load`.

    Attributes:
        text: one line that describes the data.
        folder: name of its folder below `data_root()`.
        published: the published files; none if the images are yours, or made by code.
        source: for people, where the images come from if no files are published.
        class_names: what the labels 0..A-1 stand for, if that is known without reading the files; None for digits.
    """

    text: str
    folder: str
    published: tuple[Published, ...] = ()
    source: str = "made by its own code"
    class_names: tuple[str, ...] | None = None

    def load(self, config: DataConfig) -> DataSet:
        """Read the data set; missing files are downloaded first.

        Raises:
            DataError: a file is missing or damaged.
            UsageError: the configuration does not fit the data.
        """
        raise NotImplementedError

    def place(self, config: DataConfig) -> Path:
        """The folder (or the file) where the data belong."""
        return data_root() / self.folder

    def files(self, config: DataConfig) -> list[Path]:
        """Those of the files that `load` reads which exist."""
        paths = (self.place(config) / file.name for file in self.published)
        return [path for path in paths if path.exists()]

    def whole(self, config: DataConfig) -> bool:
        """Whether all files that `load` needs exist. Their content is not checked."""
        return len(self.files(config)) == len(self.published)

    def fetch(self, config: DataConfig) -> None:
        """Download the missing files.

        Raises:
            DataError: no mirror could provide a file.
        """
        for file in self.published:
            locate(self.folder, file.name, file.mirrors, file.md5)

    def check(self, path: Path) -> str:
        """Compare the checksum of one of `files` with the published one; return the outcome in words.

        Raises:
            DataError: the file cannot be read.
        """
        official = {file.name: file.md5 for file in self.published}[path.name]
        found = md5_of(path)
        return "as published (MD5)" if found == official else f"not the published file (MD5 {found}, not {official})"

    def notes(self, config: DataConfig) -> tuple[str, ...]:
        """One line for each of `files` that is not known to be the published one, with the outcome of its check.

        Raises:
            DataError: a file cannot be read.
        """
        checks = ((path, self.check(path)) for path in self.files(config))
        return tuple(f"{path}: {outcome}" for path, outcome in checks if not outcome.startswith("as published"))


class OwnTask(Task):
    """A task made from the user's own files, at `--data-path`."""

    source = "--data-path"

    def place(self, config: DataConfig) -> Path:
        return expand(config.data_path)

    def files(self, config: DataConfig) -> list[Path]:
        return [self.place(config)] if config.data_path and self.place(config).exists() else []

    def whole(self, config: DataConfig) -> bool:
        return bool(self.files(config))

    def fetch(self, config: DataConfig) -> None:
        raise UsageError(f"{self.folder} has nothing to download: it reads your own images from --data-path")

    def check(self, path: Path) -> str:
        return "your own images, which have no published checksum"

    def path(self, config: DataConfig) -> Path:
        """The path that the user gave for the images.

        Raises:
            UsageError: --data-path is not given.
            DataError: the path does not exist.
        """
        if not config.data_path:
            raise UsageError(f"{self.folder} needs --data-path: {self.text}")
        path = self.place(config)
        if not path.exists():
            raise DataError(f"--data-path {path} does not exist")
        return path

    def data_set(
        self, images: Split, test: Split | None, config: DataConfig, class_names: tuple[str, ...] | None
    ) -> DataSet:
        """Split the user's images.

        They may be sorted by class, so they are shuffled first, in an order that is always the same. Without test
        images, a sixth of them is set aside for testing. Of the rest, the last `validation` are held out.

        Raises:
            UsageError: no images would be left to train on.
        """
        images = images[np.random.default_rng(SEED).permutation(len(images))]
        classes = int(images.labels.max()) + 1
        if test is None:
            kept = len(images) - max(1, len(images) // 6)
            images, test = images[:kept], images[kept:]
        train, held_out = hold_out(images, config.validation)
        return DataSet(self.folder, classes, train, held_out, test, class_names)
