"""CIFAR-10: colour photographs, 32 x 32, in ten classes; 50,000 to train and 10,000 to test (Krizhevsky 2009).

This module reads the binary version, from the folder `cifar-10-batches-bin/` if it is there, else from the archive
`cifar-10-binary.tar.gz`, which is never extracted to disk. A record is one byte for the label and 3,072 for the
pixels: the red plane, row by row, then the green, then the blue.
"""

import gzip
import tarfile
from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.files import Published, check_regular, read_file
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.data.task import Task
from ramnp.errors import DataError, first_line
from ramnp.files import open_regular
from ramnp.registry import register

SIDE, CHANNELS = 32, 3
RECORD = 1 + CHANNELS * SIDE * SIDE
RECORDS = 10_000  # in each file
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = "test_batch.bin"
OTHER = 1 << 20  # bytes the archive may hold besides its records: headers, a read-me, the names of the classes
MEMBERS = 100  # the published archive has nine
FIRST = (3, 8, 8, 0, 6, 6, 1, 6, 3, 1)  # labels of the first published test images, in order
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def parse_records(content: bytes, name: str) -> Split:
    """Parse the images (n, 32, 32, 3) and labels of one file.

    Raises:
        DataError: the file does not hold exactly `RECORDS` records, or a label is not 0..9.
    """
    if len(content) != RECORDS * RECORD:
        raise DataError(f"{name} has {len(content):,} bytes, not {RECORDS * RECORD:,} ({RECORDS:,} records)")
    records = np.frombuffer(content, dtype=np.uint8).reshape(RECORDS, RECORD)
    if records[:, 0].max() > 9:
        raise DataError(f"{name} is damaged: it has the label {records[:, 0].max()}, and labels end at 9")
    planes = records[:, 1:].reshape(RECORDS, CHANNELS, SIDE, SIDE)
    return Split(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64))


class Bounded:
    """A stream that raises an error after `limit` bytes, so that a small archive cannot unpack to fill the memory."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self.stream, self.left = stream, limit

    def read(self, size: int) -> bytes:
        content = self.stream.read(min(size, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise DataError("it unpacks to more data than CIFAR-10 has")
        return content


def read_archive(path: Path) -> dict[str, Split]:
    """Read the six files in the tar.gz, by name.

    Raises:
        DataError: the archive is damaged, holds too much, or lacks one of the files.
    """
    check_regular(path)
    found = {}
    limit = (len(TRAIN) + 1) * RECORDS * RECORD + OTHER
    try:
        with open_regular(path) as packed, gzip.open(packed) as unzipped:
            stream = Bounded(unzipped, limit)
            with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
                for number, member in enumerate(archive):
                    if archive.offset > limit:  # where the next member starts; tarfile would try for hours to get there
                        raise DataError(f"{member.name} claims {member.size:,} bytes, more data than there are")
                    folder, _, name = member.name.removeprefix("./").rpartition("/")
                    if number >= MEMBERS:
                        raise DataError(f"more than {MEMBERS} members")
                    if folder != FOLDER or name not in (*TRAIN, TEST):
                        continue
                    if not member.isreg() or member.size != RECORDS * RECORD or name in found:
                        raise DataError(f"{member.name} must be one file of {RECORDS * RECORD:,} bytes")
                    found[name] = parse_records(archive.extractfile(member).read(), member.name)
            while stream.read(1 << 20):  # gzip's checksum stands at the very end, behind what tarfile reads
                pass
    except Exception as error:  # tarfile and zlib report damage in many types
        raise DataError(f"{path} is damaged or not CIFAR-10's binary version ({first_line(error)})") from error
    for name in (*TRAIN, TEST):
        if name not in found:
            raise DataError(f"{path} lacks {FOLDER}/{name}: download the archive again")
    return found


def read_folder(path: Path) -> dict[str, Split]:
    """Read the six files in the folder that the archive unpacks to, by name.

    Raises:
        DataError: a file is missing or damaged.
    """
    return {name: parse_records(read_file(path / name, RECORDS * RECORD), str(path / name)) for name in (*TRAIN, TEST)}


@register("dataset", "cifar10")
class Cifar10(Task):
    """CIFAR-10, from its archive or from the folder it unpacks to."""

    text = "photographs in ten classes, 32x32, colour"
    folder = "cifar10"
    class_names = CLASSES
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
        """Read CIFAR-10, and hold out the last `validation` training images."""
        self.fetch(config)
        (path,) = self.files(config)
        parts = read_folder(path) if path.is_dir() else read_archive(path)
        images = np.concatenate([parts[name].images for name in TRAIN])
        labels = np.concatenate([parts[name].labels for name in TRAIN])
        train, held_out = hold_out(Split(images, labels), config.validation)
        return DataSet("cifar10", 10, train, held_out, parts[TEST], CLASSES, notes=self.notes(config))

    def check(self, path: Path) -> str:
        if not path.is_dir():
            return super().check(path)
        # No checksums are published for the extracted files, so compare the order of the images.
        test = parse_records(read_file(path / TEST, RECORDS * RECORD), str(path / TEST))
        if tuple(test.labels[: len(FIRST)]) != FIRST:
            return "complete, but not the published files: their images are in another order, as in JPEG copies"
        return "complete, with the images in the published order (no checksums are published for extracted files)"
