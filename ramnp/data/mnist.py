"""MNIST and Fashion-MNIST: gray images, 28 x 28, in ten classes; 60,000 to train and 10,000 to test; four idx files.

MNIST has handwritten digits (LeCun, Cortes, Burges). Fashion-MNIST has photographs of clothes and is made as a drop-in
replacement (Xiao, Rasul, Vollgraf, arXiv:1708.07747).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.files import Published, locate, md5_of, read_gzip
from ramnp.data.idx import parse_idx
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.data.task import Task
from ramnp.errors import DataError
from ramnp.registry import register

COUNTS = {"train": 60_000, "t10k": 10_000}


class IdxTask(Task):
    """A data set in four gzipped idx files: training images, training labels, test images, test labels.

    Args:
        folder: name of the data set and of its folder.
        text: one line that describes it.
        mirrors: URLs of folders that hold the files.
        md5: MD5 of the four .gz files on the mirrors.
        sha256: SHA-256 of their content, unpacked. If None, the .gz files themselves must have their MD5.
        class_names: names of the ten classes; None for digits.
    """

    def __init__(
        self,
        folder: str,
        text: str,
        mirrors: Sequence[str],
        md5: Sequence[str],
        sha256: Sequence[str] | None = None,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        self.folder, self.text, self.class_names = folder, text, class_names
        names = [f"{prefix}-{kind}-ubyte.gz" for prefix in COUNTS for kind in ("images-idx3", "labels-idx1")]
        self.published = tuple(Published(name, digest, mirrors) for name, digest in zip(names, md5, strict=True))
        self.sha256 = dict(zip(names, sha256, strict=True)) if sha256 else {}

    def read(self, name: str) -> np.ndarray:
        """Read and verify one of the four files: images (n, 28, 28) or labels (n,), uint8."""
        file = next(file for file in self.published if file.name == name)
        path = locate(self.folder, name, file.mirrors, file.md5)
        if name not in self.sha256 and (found := md5_of(path)) != file.md5:
            raise DataError(
                f"{path} is not the published file (its MD5 is {found}, not {file.md5}): "
                "delete it and run again to download it"
            )
        count, images = COUNTS[name.split("-")[0]], "images" in name
        # 16 and 8 bytes are the headers, see idx.py.
        content = read_gzip(path, 16 + count * 28 * 28 if images else 8 + count, self.sha256.get(name))
        return parse_idx(content, 3 if images else 1, str(path))

    def read_split(self, prefix: str) -> Split:
        """Read the images and labels of "train" or "t10k" (the test split)."""
        images = self.read(f"{prefix}-images-idx3-ubyte.gz")
        labels = self.read(f"{prefix}-labels-idx1-ubyte.gz")
        if labels.max() > 9:
            raise DataError(f"{self.folder}: the {prefix} labels go up to {labels.max()}; they must end at 9")
        return Split(images[..., None], labels.astype(np.int64))

    def load(self, config: DataConfig) -> DataSet:
        """Read the data set, and hold out the last `validation` training images."""
        train, held_out = hold_out(self.read_split("train"), config.validation)
        return DataSet(self.folder, 10, train, held_out, self.read_split("t10k"), self.class_names)

    def check(self, path: Path) -> str:
        self.read(path.name)
        return "content as published (SHA-256)" if self.sha256 else "as published (MD5)"  # else `read` raised an error


MNIST = IdxTask(
    "mnist",
    "handwritten digits, 28x28, gray",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    md5=(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    sha256=(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

FASHION_MNIST = IdxTask(
    "fashion-mnist",
    "photographs of clothes, 28x28, gray",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    md5=(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    class_names=(
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
)

register("dataset", "mnist")(MNIST)
register("dataset", "fashion-mnist")(FASHION_MNIST)
