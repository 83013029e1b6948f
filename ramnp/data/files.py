"""Find, download and read data files safely.

Each data set has a folder of its own. These folders lie in

1. `$RAMNP_DATA`, if it is set;
2. else `datasets/` beside the package, in a clone of the repository;
3. else the user's cache folder.
"""

import gzip
import hashlib
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ramnp.errors import DataError, first_line
from ramnp.files import expand, open_regular


def data_root() -> Path:
    """The folder that holds one folder per data set."""
    if chosen := os.environ.get("RAMNP_DATA"):
        return expand(chosen)
    beside = Path(__file__).resolve().parents[2] / "datasets"
    if beside.is_dir():
        return beside
    import pooch  # here and below: MNIST is in the clone, and needs neither network nor pooch

    return Path(pooch.os_cache("ramnp"))


def locate(dataset: str, name: str, mirrors: Sequence[str], md5: str) -> Path:
    """Return the path of the file `name` of a data set; download it if it is missing.

    Args:
        mirrors: URLs of folders that hold the file, tried in order.
        md5: checksum of the file on the mirrors.

    Raises:
        DataError: the file is missing, and no mirror could provide it.
    """
    folder = data_root() / dataset
    path = folder / name
    if path.exists():
        return path
    reason = "no mirror is known"
    for mirror in mirrors:
        try:
            import pooch

            pooch.get_logger().setLevel("ERROR")  # the progress bar says enough
            pooch.retrieve(mirror + name, f"md5:{md5}", fname=name, path=folder, progressbar=True)
        except Exception as error:  # no network, no such file, a wrong checksum: try the next mirror
            reason = first_line(error)
            continue
        return path
    raise DataError(
        f"{path} is missing and could not be downloaded ({reason}): put {name} into {folder}, "
        "or set RAMNP_DATA to the folder that holds your data sets"
    )


class Published(NamedTuple):
    """A published file: its name, its MD5, and URLs of folders that hold it."""

    name: str
    md5: str
    mirrors: Sequence[str]


def check_regular(path: Path) -> None:
    """Check that a path is a file that can be read to its end: not a folder, a device or a pipe.

    Raises:
        DataError: it is not, or it does not exist, or you may not read it.
    """
    try:
        open_regular(path).close()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def md5_of(path: Path) -> str:
    """The MD5 of a file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_file(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes.

    Raises:
        DataError: the file cannot be read, or is longer.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise DataError(f"{path} has {size:,} bytes, more than the limit of {limit:,}")
            return file.read(size)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_gzip(path: Path, size: int, sha256: str | None = None) -> bytes:
    """Read a gzip file whose content must have exactly `size` bytes and, if given, this SHA-256.

    It never decompresses more than `size` + 1 bytes, whatever the file claims.

    Raises:
        DataError: the file cannot be read, is truncated, or has different content.
    """
    check_regular(path)
    advice = "delete it and run again to download a new copy, or restore it from the repository"
    try:
        with open_regular(path) as packed, gzip.open(packed) as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or truncated ({error}): {advice}") from error
    if len(content) != size or (sha256 and hashlib.sha256(content).hexdigest() != sha256):
        raise DataError(f"{path} has unexpected content (its size or its SHA-256 differs): {advice}")
    return content


# A file may unpack to so many times its size, plus a little. Real images stay far below: drawings on empty canvases
# shrink by some tens. Deflate shrinks zeros a thousand times, so a file that claims more is made to fill the memory.
RATIO, LITTLE = 100, 1 << 20


class Archive(zipfile.ZipFile):
    """A zip archive, open for reading. `left` is how many bytes its members may still unpack to, all together."""

    left: int


def open_zip(path: Path, members: int, ratio: int = RATIO) -> Archive:
    """Open a zip archive of at most `members` members, for reading only; nothing is extracted to disk.

    Args:
        ratio: the members that are read may have so many times the size of the file, plus `LITTLE`.

    Raises:
        DataError: the file cannot be read, is not a zip archive, has too many members, two of one name, or one whose
            name points outside it.
    """
    check_regular(path)
    try:
        archive = Archive(path)
        archive.left = ratio * path.stat().st_size + LITTLE
    except Exception as error:  # zipfile reports damage in many types
        raise DataError(f"{path} cannot be read as a zip archive ({first_line(error)})") from error
    names = archive.namelist()
    if len(names) > members:
        archive.close()
        raise DataError(f"{path} has {len(names):,} members, more than the limit of {members:,}")
    if len(set(names)) != len(names):
        archive.close()
        raise DataError(f"{path} has two members of one name")
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            archive.close()
            raise DataError(f"{path} has a member that points outside the archive: {name!r}")
    return archive


def read_member(archive: Archive, name: str, limit: int, counted: bool = True) -> bytearray:
    """Read a member of a zip archive of at most `limit` bytes.

    The memory used depends on the data that are really there, not on the size that the archive claims.

    Args:
        counted: whether it counts towards what the members may unpack to all together; else `limit` alone bounds it.

    Raises:
        DataError: the member is damaged, is too long, or is compressed by a method whose memory use cannot be bounded.
    """
    info = archive.getinfo(name)
    where = f"{archive.filename}, {name}"
    if info.file_size > limit:
        raise DataError(f"{where}: claims {info.file_size:,} bytes, more than the limit of {limit:,}")
    archive.left -= info.file_size if counted else 0
    if archive.left < 0:
        raise DataError(
            f"{where}: claims {info.file_size:,} bytes compressed to {info.compress_size:,}, too few to be real data: "
            "save it without compression"
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where}: is compressed by a method that is not supported: use stored or deflated members")
    content = bytearray()
    try:
        with archive.open(info) as file:
            while chunk := file.read(1 << 20):
                content += chunk
    except Exception as error:  # zipfile reports damage in many types
        raise DataError(f"{where}: damaged or truncated ({first_line(error)})") from error
    if len(content) != info.file_size:
        raise DataError(f"{where}: damaged: it holds {len(content):,} bytes, not the {info.file_size:,} it claims")
    return content


def read_start(archive: Archive, name: str, size: int) -> bytes:
    """Read the first `size` bytes of a member, or all of a shorter one. Its checksum is not verified.

    Raises:
        DataError: the member is damaged.
    """
    try:
        with archive.open(name) as file:
            return file.read(size)
    except Exception as error:  # zipfile reports damage in many types
        raise DataError(f"{archive.filename}, {name}: damaged or truncated ({first_line(error)})") from error
