"""A task: a data set's description, where its files are, and how to read them."""

from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.content import TEST, TRAIN, VALIDATION, joined, parts_of, warnings_about, without
from ramnp.data.files import Published, data_root, locate, md5_of
from ramnp.data.source import DataSet, Split
from ramnp.errors import DataError, UsageError
from ramnp.files import expand


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
            raise DataError(f"--data-path {path} does not exist: if the images were moved, give their new place")
        return path

    def data_set(
        self,
        given: dict[str, Split],
        config: DataConfig,
        class_names: tuple[str, ...] | None,
        notes: tuple[str, ...] = (),
    ) -> DataSet:
        """Make the three splits of the user's images, by their content if the user has not made them.

        The training images are in the order of their digests, whatever they are called and wherever they lie.

        Args:
            given: the images with their digests: those to train on ("train"); and, if the user has set some aside,
                those of "validation" and "test". With `validation` 0 the former are trained on.
            class_names: names of the classes; None if they are numbers.
            notes: what to say about the files.

        Raises:
            DataError: a class has too few images.
        """
        train, held_out, test = given["train"], given.get("validation"), given.get("test")
        if held_out and not config.validation:
            train, held_out = joined([train, held_out]), None
        names = class_names or tuple(map(str, range(int(train.labels.max()) + 1)))
        validation_share = config.validation_share if config.validation and held_out is None else 0.0
        part = parts_of(train, names, config.test_share if test is None else 0.0, validation_share)
        assert train.digests is not None
        order = np.argsort(train.digests, kind="stable")
        whole, part = train[order], part[order]
        train = whole[part == TRAIN]
        held_out = whole[part == VALIDATION] if held_out is None else held_out
        test = whole[part == TEST] if test is None else test
        rest = {"validation": without(without(held_out, train), test), "test": without(test, train)}
        odd = [
            f"{kind} images left out, because they are images of another split as well, pixel by pixel: {twice:,}"
            for kind, split in (("validation", held_out), ("test", test))
            if (twice := len(split) - len(rest[kind]))
        ]
        held_out, test = rest["validation"], rest["test"]
        odd += warnings_about([train, held_out, test], names)
        return DataSet(self.folder, len(names), train, held_out, test, class_names, notes=notes, warnings=tuple(odd))
