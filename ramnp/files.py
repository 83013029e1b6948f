"""Read regular files only; write a file completely or not at all; read and write JSON objects."""

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ramnp import schema
from ramnp.errors import OutputError, UsageError, first_line
from ramnp.schema import SchemaError

LONGEST_JSON = 64 << 20  # bytes


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it exists.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder} ({error.strerror}): choose another place") from error


def expand(path: str | os.PathLike[str]) -> Path:
    """A path with `~` and `~user` replaced, as a shell does it: the name of an unknown user stays."""
    return Path(os.path.expanduser(path))


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading. A pipe or a device may never end, or let its reader wait for ever.

    Raises:
        OSError: it is no regular file, or cannot be opened.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return open(path, "rb")


def is_device(path: Path) -> bool:
    """Whether to write into what is there, such as /dev/null or /dev/stdout, and not to put a file in its place."""
    return path.parent in (Path("/dev"), Path("/dev/fd")) or path.is_char_device()


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file in one step: `write` fills a temporary file beside `path`, which then replaces `path`.

    The folder is made if it is missing. A device, such as /dev/stdout, is written to as it is.

    Raises:
        OutputError: the file cannot be written, for example because the disk is full. An older file stays as it was.
    """
    if not path.name or path.is_dir():
        raise OutputError(f"cannot write {path} (it is a folder): choose the name of a file")
    if is_device(path):
        write_device(path, write)
        return
    make_folder(path.parent)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # named after the process: two may write the same file
    try:
        with open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error}): free some space, or choose another place"
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def write_device(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write into a device.

    Raises:
        OutputError: that failed.
    """
    content = io.BytesIO()  # a device cannot seek, and some writers have to
    write(content)
    try:
        with open(path, "wb") as file:
            file.write(content.getbuffer())
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error.strerror or error}): choose another place") from error


def read_json(path: Path, kind: Any = dict[str, Any]) -> Any:
    """Read a JSON file and check it, see `ramnp/schema.py`.

    Args:
        kind: what it must hold; any object if left out.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        with open_regular(path) as file:
            content = file.read(LONGEST_JSON + 1)
        if len(content) > LONGEST_JSON:
            raise UsageError(f"{path} has more bytes than the limit of {LONGEST_JSON:,}")
        return schema.parse(content, kind)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except SchemaError as error:
        raise UsageError(f"{path} cannot be used: {first_line(error)}") from error


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON object, indented.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, lambda file: file.write((json.dumps(values, indent=2) + "\n").encode()))
