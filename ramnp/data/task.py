"""What the registry holds: for every task, what it is, where its files lie, and how they become a data set."""

from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.files import Published, data_root, locate, md5_of
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.errors import DataError, UsageError

SEED = 0  # of the order into which the user's own images are shuffled


class Task:
    """A task whose files are published somewhere. A new one says what these attributes are, and defines `load`.

    Attributes:
        text: what it is, in a line.
        folder: where its files lie, below the folder of all data sets.
        published: the files as their makers publish them.
    """

    text: str
    folder: str
    published: tuple[Published, ...]

    def load(self, config: DataConfig) -> DataSet:
        """The data set, from files that are downloaded first where they are missing.

        Raises:
            DataError: a file is missing or damaged.
            UsageError: the configuration does not fit it.
        """
        raise NotImplementedError

    def place(self, config: DataConfig) -> Path:
        """Where its files are looked for."""
        return data_root() / self.folder

    def files(self, config: DataConfig) -> list[Path]:
        """The files that `load` would read, as far as they are there."""
        paths = (self.place(config) / file.name for file in self.published)
        return [path for path in paths if path.exists()]

    def whole(self, config: DataConfig) -> bool:
        """Whether all that `load` needs is there, to judge by the names of the files."""
        return len(self.files(config)) == len(self.published)

    def fetch(self, config: DataConfig) -> None:
        """Download what is missing.

        Raises:
            DataError: no mirror gave it.
        """
        for file in self.published:
            locate(self.folder, file.name, file.mirrors, file.md5)

    def check(self, path: Path) -> str:
        """What the checksum of one of `files` says.

        Raises:
            DataError: it cannot be read.
        """
        official = {file.name: file.md5 for file in self.published}[path.name]
        found = md5_of(path)
        return "as published (MD5)" if found == official else f"not the published file (MD5 {found}, not {official})"


class OwnTask(Task):
    """A task made of the user's own files, at `--data-path`."""

    published = ()

    def place(self, config: DataConfig) -> Path:
        return Path(config.data_path).expanduser()

    def files(self, config: DataConfig) -> list[Path]:
        return [self.place(config)] if config.data_path and self.place(config).exists() else []

    def whole(self, config: DataConfig) -> bool:
        return bool(self.files(config))

    def fetch(self, config: DataConfig) -> None:
        raise UsageError(f"there is nothing to fetch for {self.folder}: these are your own images, at --data-path")

    def check(self, path: Path) -> str:
        return "no checksum is known of your own images"

    def path(self, config: DataConfig) -> Path:
        """Where the user says that the images are.

        Raises:
            UsageError: --data-path is not given.
            DataError: there is nothing.
        """
        if not config.data_path:
            raise UsageError(f"{self.folder} needs --data-path: {self.text}")
        path = self.place(config)
        if not path.exists():
            raise DataError(f"--data-path {path}: there is nothing")
        return path

    def data_set(
        self, images: Split, test: Split | None, config: DataConfig, class_names: tuple[str, ...] | None
    ) -> DataSet:
        """The user's images in splits.

        Nothing says in what order they are, so they are shuffled first, always in the same way. Where no test
        images are given, a sixth is set aside; then the last `validation` are held out.

        Raises:
            UsageError: too many are to be held out.
        """
        images = images[np.random.default_rng(SEED).permutation(len(images))]
        classes = int(images.labels.max()) + 1
        if test is None:
            kept = len(images) - max(1, len(images) // 6)
            images, test = images[:kept], images[kept:]
        train, held_out = hold_out(images, config.validation)
        return DataSet(self.folder, classes, train, held_out, test, class_names)
