"""Small files in the formats of the data sets, and damaged ones."""

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
# Archives that are too large for the repository may lie beside it.
SHARED = REPOSITORY.parent / "shared" / "datasets"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the archives that may lie beside the repository")


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
