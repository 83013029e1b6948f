"""CIFAR-10: 50,000 and 10,000 photographs in ten classes, 32 x 32, colour (Krizhevsky 2009), binary version.

A record is a label byte and 3,072 bytes of pixels: the red plane, row by row, then the green and the blue one. Read
are either the archive `cifar-10-binary.tar.gz`, never extracted to disk, or the folder `cifar-10-batches-bin/` that
it unpacks to, which comes first where both are there.
"""

import gzip
import tarfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.files import Published, read_file
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.data.task import Task
from ramnp.errors import DataError, first_line

SIDE, CHANNELS = 32, 3
RECORD = 1 + CHANNELS * SIDE * SIDE
RECORDS = 10_000  # in each file
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = "test_batch.bin"
OTHER = 1 << 20  # bytes that the archive may hold beside its records: headers, a read-me, the names of the classes
MEMBERS = 100  # the published archive has nine
FIRST = (3, 8, 8, 0, 6, 6, 1, 6, 3, 1)  # labels of the published test images, in their order
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def parse_records(content: bytes, name: str) -> Split:
    """The images (n, 32, 32, 3) and labels of one file.

    Raises:
        DataError: it does not hold `RECORDS` records, or a label is not 0..9.
    """
    if len(content) != RECORDS * RECORD:
        raise DataError(f"{name} has {len(content):,} bytes, not {RECORDS * RECORD:,} ({RECORDS:,} records)")
    records = np.frombuffer(content, dtype=np.uint8).reshape(RECORDS, RECORD)
    if records[:, 0].max() > 9:
        raise DataError(f"{name}: labels go up to {records[:, 0].max()}, not 9")
    planes = records[:, 1:].reshape(RECORDS, CHANNELS, SIDE, SIDE)
    return Split(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64))


class Bounded:
    """A stream that refuses to give more than `limit` bytes, whatever is behind it."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self.stream, self.left = stream, limit

    def read(self, size: int) -> bytes:
        content = self.stream.read(min(size, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise DataError("more data than such an archive can hold")
        return content


def read_archive(path: Path) -> dict[str, Split]:
    """The six files in a tar.gz, by name.

    Raises:
        DataError: it is damaged, holds too much, lacks one of them, or has something else in its place.
    """
    found = {}
    try:
        with gzip.open(path) as unzipped:
            stream = Bounded(unzipped, (len(TRAIN) + 1) * RECORDS * RECORD + OTHER)
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for number, member in enumerate(archive):
                    folder, _, name = member.name.removeprefix("./").rpartition("/")
                    if number >= MEMBERS:
                        raise DataError(f"more than {MEMBERS} members")
                    if folder != FOLDER or name not in (*TRAIN, TEST):
                        continue
                    if not member.isreg() or member.size != RECORDS * RECORD or name in found:
                        raise DataError(f"{member.name} is not a file of {RECORDS * RECORD:,} bytes, once")
                    found[name] = parse_records(archive.extractfile(member).read(), member.name)
    except Exception as error:  # tarfile and zlib report damage in many types
        raise DataError(f"{path} is damaged or not CIFAR-10's binary version ({first_line(error)})") from error
    for name in (*TRAIN, TEST):
        if name not in found:
            raise DataError(f"{path} lacks {FOLDER}/{name}")
    return found


def read_folder(path: Path) -> dict[str, Split]:
    """The six files in the folder that the archive unpacks to, by name.

    Raises:
        DataError: one is missing or damaged.
    """
    return {name: parse_records(read_file(path / name, RECORDS * RECORD), str(path / name)) for name in (*TRAIN, TEST)}


class Cifar10(Task):
    """CIFAR-10, from its archive or from the folder that was in it."""

    text = "photographs in ten classes, 32x32, colour"
    folder = "cifar10"
    published = (
        Published("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", ("https://www.cs.toronto.edu/~kriz/",)),
    )

    def files(self, config: DataConfig) -> list[Path]:
        extracted = self.place(config) / FOLDER
        return [extracted] if extracted.exists() else super().files(config)

    def fetch(self, config: DataConfig) -> None:
        if not self.files(config):
            super().fetch(config)

    def load(self, config: DataConfig) -> DataSet:
        """CIFAR-10 with the last `validation` training images held out."""
        self.fetch(config)
        (path,) = self.files(config)
        parts = read_folder(path) if path.is_dir() else read_archive(path)
        images = np.concatenate([parts[name].images for name in TRAIN])
        labels = np.concatenate([parts[name].labels for name in TRAIN])
        train, held_out = hold_out(Split(images, labels), config.validation)
        return DataSet("cifar10", 10, train, held_out, parts[TEST], CLASSES)

    def check(self, path: Path) -> str:
        if not path.is_dir():
            return super().check(path)
        whole = "whole; no checksum is published for the extracted files"
        test = parse_records(read_file(path / TEST, RECORDS * RECORD), str(path / TEST))
        if tuple(test.labels[: len(FIRST)]) != FIRST:
            return f"{whole}, and these are others, in another order: such as a stand-in of JPEG-compressed copies"
        return f"{whole}, but their images are in the published order"
