"""Where data files lie, how they get there, and whether they are whole.

Files are looked for in, and downloaded to, one folder a data set, below

1. `$RAMNP_DATA`, where it is set;
2. `datasets/` beside the package, in a clone of the repository;
3. the user's cache folder.
"""

import gzip
import hashlib
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pooch

from ramnp.errors import DataError, first_line


def data_root() -> Path:
    """The folder that holds one folder a data set."""
    if chosen := os.environ.get("RAMNP_DATA"):
        return Path(chosen).expanduser()
    beside = Path(__file__).resolve().parents[2] / "datasets"
    return beside if beside.is_dir() else Path(pooch.os_cache("ramnp"))


def locate(dataset: str, name: str, mirrors: Sequence[str], md5: str) -> Path:
    """The path of the file `name` of a data set, downloaded from the first mirror that has it if need be.

    Args:
        mirrors: addresses of folders that hold the file.
        md5: checksum of the file as the mirrors hold it.

    Raises:
        DataError: the file is not there and no mirror gave it.
    """
    folder = data_root() / dataset
    path = folder / name
    if path.exists():
        return path
    reason = "no mirror is known"
    pooch.get_logger().setLevel("ERROR")  # the progress bar says enough
    for mirror in mirrors:
        try:
            pooch.retrieve(mirror + name, f"md5:{md5}", fname=name, path=folder, progressbar=True)
        except Exception as error:  # no network, no such file, a wrong checksum: the next mirror may do better
            reason = first_line(error)
            continue
        return path
    raise DataError(
        f"{path} is missing and could not be downloaded ({reason}): put the file {name} into {folder}, "
        "or point RAMNP_DATA to the folder that holds the data sets"
    )


class Published(NamedTuple):
    """A file as its makers publish it: its name, its MD5, and addresses of folders that hold it."""

    name: str
    md5: str
    mirrors: Sequence[str]


def md5_of(path: Path) -> str:
    """The MD5 of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_file(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        DataError: it cannot be read, or is longer.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise DataError(f"{path} has {size:,} bytes, more than {limit:,}")
            return file.read(size)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_gzip(path: Path, size: int, sha256: str | None = None) -> bytes:
    """The content of a gzip file, which must have exactly `size` bytes and, where it is given, that SHA-256.

    Never decompresses more than `size` bytes, whatever the file claims.

    Raises:
        DataError: the file cannot be read, is truncated, or has another content.
    """
    advice = "delete it and run again to fetch a whole copy, or restore it from the repository"
    try:
        with gzip.open(path, "rb") as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or truncated ({error}): {advice}") from error
    if len(content) != size or (sha256 and hashlib.sha256(content).hexdigest() != sha256):
        raise DataError(f"{path} does not hold what it should (its size or its SHA-256 differs): {advice}")
    return content


RATIO = 500  # deflate makes zeros a thousand times smaller; drawings on empty canvases, some hundred times


def open_zip(path: Path, members: int) -> zipfile.ZipFile:
    """A zip archive with at most so many members, to be read and never extracted.

    Raises:
        DataError: it is no such archive, has more members, or one whose name points outside the archive.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile reports damage in many types
        raise DataError(f"{path} cannot be read as a zip archive ({first_line(error)})") from error
    names = archive.namelist()
    if len(names) > members:
        archive.close()
        raise DataError(f"{path} has {len(names):,} members, more than {members:,}")
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            archive.close()
            raise DataError(f"{path} has a member that points outside the archive: {name!r}")
    return archive


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytearray:
    """The content of a member of a zip archive, of at most `limit` bytes.

    The memory used is that of what is really there, whatever the archive claims.

    Raises:
        DataError: it is damaged, longer, or stored in a way whose memory cannot be bounded.
    """
    info = archive.getinfo(name)
    where = f"{archive.filename}, {name}"
    if info.file_size > limit:
        raise DataError(f"{where}: claims {info.file_size:,} bytes, more than {limit:,}")
    if info.file_size > RATIO * (info.compress_size + 1024):
        raise DataError(f"{where}: {info.file_size:,} bytes in {info.compress_size:,} are no images")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where}: only stored and deflated members are read")
    content = bytearray()
    try:
        with archive.open(info) as file:
            while chunk := file.read(1 << 20):
                content += chunk
    except Exception as error:  # zipfile reports damage in many types
        raise DataError(f"{where}: damaged or truncated ({first_line(error)})") from error
    if len(content) != info.file_size:
        raise DataError(f"{where}: holds {len(content):,} bytes, not the {info.file_size:,} it claims")
    return content
