"""MNIST: 60,000 and 10,000 handwritten digits, 28 x 28, gray (LeCun, Cortes, Burges)."""

import numpy as np

from ramnp.data.files import locate, read_gzip
from ramnp.data.idx import parse_idx
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.errors import DataError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# name: (images, MD5 of the .gz that the mirrors hold, SHA-256 of the decompressed content)
FILES = {
    "train-images-idx3-ubyte": (
        60_000,
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        60_000,
        "d53e105ee54ea40749a09fcbcd1e9432",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        10_000,
        "9fb629c4189551a2d022fa330f9573f3",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        10_000,
        "ec29112dd5afa0611ce80d1b7f02629c",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}


def read(name: str) -> np.ndarray:
    """One of the four files, verified: images (n, 28, 28), or labels (n,), uint8."""
    count, md5, sha256 = FILES[name]
    images = "images" in name
    path = locate("mnist", name + ".gz", MIRRORS, md5)
    content = read_gzip(path, 16 + count * 28 * 28 if images else 8 + count, sha256)
    return parse_idx(content, 3 if images else 1, str(path))


def read_split(prefix: str) -> Split:
    """The images and labels of "train" or "t10k"."""
    images = read(f"{prefix}-images-idx3-ubyte")
    labels = read(f"{prefix}-labels-idx1-ubyte")
    if labels.max() > 9:
        raise DataError(f"mnist: {prefix} labels go up to {labels.max()}, not 9")
    return Split(images[..., None], labels.astype(np.int64))


def load(validation: int) -> DataSet:
    """MNIST with the last `validation` training digits held out."""
    train, held_out = hold_out(read_split("train"), validation)
    return DataSet("mnist", 10, train, held_out, read_split("t10k"))
