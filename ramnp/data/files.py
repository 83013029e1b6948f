"""Where data files lie, how they get there, and whether they are whole.

Files are looked for in, and downloaded to, one folder a data set, below

1. `$RAMNP_DATA`, where it is set;
2. `datasets/` beside the package, in a clone of the repository;
3. the user's cache folder.
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

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


def read_gzip(path: Path, size: int, sha256: str) -> bytes:
    """The content of a gzip file, which must have exactly `size` bytes and the given SHA-256.

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
    if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path} does not hold what it should (its SHA-256 differs): {advice}")
    return content
