"""Small files in the formats of the data sets, and damaged ones; and how readers are to take them."""

import errno
import io
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image

from ramnp.data import cifar10, files, omniglot
from ramnp.errors import DataError

CIFAR_FILES = (*cifar10.TRAIN, cifar10.TEST)
REPOSITORY = Path(__file__).resolve().parents[1]
# Archives that are too large for the repository may lie beside it.
SHARED = REPOSITORY.parent / "shared" / "datasets"
needs_shared = pytest.mark.skipif(
    not (SHARED / "omniglot" / "images_background_small1.zip").exists(),
    reason="needs the archives that may lie beside the repository",
)


def png(pixels, mode=None):
    """An array (H, W) or (H, W, 3) as a PNG file."""
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, format="png")
    return file.getvalue()


def png_that_claims(width, height):
    """A PNG file of a few bytes whose header announces any size."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def write_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    """A zip archive of {name: bytes}."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path, members):
    """A tar.gz archive of {name: bytes, or a TarInfo to be taken as it is}."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def npy(array):
    """An array as an .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def write_npz(path, **members):
    """An .npz file of arrays, or of bytes to be taken as they are."""
    return write_zip(
        path, {f"{name}.npy": value if isinstance(value, bytes) else npy(value) for name, value in members.items()}
    )


def npy_that_claims(header, content=b""):
    """An .npy file with any header."""
    header = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def damaged(content, kept, position, flip):
    """`content` cut to `kept` bytes, with one byte changed: positions are taken modulo the length."""
    content = bytearray(content[: kept % (len(content) + 1)])
    if content:
        content[position % len(content)] ^= flip
    return bytes(content)


fuzz = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
damage = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 255))


@contextmanager
def little_memory(limit=8 << 20):
    """Whatever a file holds, reading it takes no more memory than such a file can need."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def forbid(monkeypatch, name):
    """Files of a name may not be read. Permissions would not stop a test that runs as root."""
    right = files.open_regular

    def refuse(path):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return right(path)

    monkeypatch.setattr(files, "open_regular", refuse)


def survives(read, path):
    """`read` takes the file, or raises a DataError of one line that names it."""
    try:
        read(path)
    except DataError as error:
        said = str(error)
    else:
        return
    assert str(path) in said
    assert "\n" not in said


def all_splits(dataset):
    """The images and the labels of all splits, one after the other."""
    splits = (dataset.train, dataset.validation, dataset.test)
    return [np.concatenate(parts) for parts in zip(*((split.images, split.labels) for split in splits), strict=True)]


def cifar_records(seed=0, count=3):
    """Records (count, 3073) with random labels and pixels."""
    rng = np.random.default_rng(seed)
    records = rng.integers(0, 256, (count, cifar10.RECORD), np.uint8)
    records[:, 0] %= 10
    return records


def cifar_members(**changed):
    """What the archive of CIFAR-10 holds, with three records a file; `changed` is put in or added."""
    members = {f"{cifar10.FOLDER}/{name}": cifar_records(n).tobytes() for n, name in enumerate(CIFAR_FILES)}
    return {f"{cifar10.FOLDER}/batches.meta.txt": b"airplane\n"} | members | changed


def write_cifar_folder(path):
    """The same as a folder."""
    for name, content in cifar_members().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def drawing(alphabet, character, person, size=omniglot.SIDE):
    """Paper with one black pixel whose place says what it is."""
    pixels = np.full((size, size), 255, np.uint8)
    pixels[person, 10 * alphabet + character] = 0
    return png(pixels, "1")


def omniglot_members(alphabets=("Latin", "Greek"), characters=3, people=range(1, 21), top="images_background"):
    """What an archive of Omniglot holds."""
    members = {f"{top}/": b""}
    for alphabet, name in enumerate(alphabets):
        for character in range(1, characters + 1):
            for person in people:
                path = f"{top}/{name}/character{character:02}/{alphabet * 50 + character:04}_{person:02}.png"
                members[path] = drawing(alphabet, character, person)
    return members
