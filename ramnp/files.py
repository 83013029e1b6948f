"""Write a file completely or not at all; read and write JSON objects."""

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


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file in one step: `write` fills a temporary file beside `path`, which then replaces `path`.

    The folder is made if it is missing.

    Raises:
        OutputError: the file cannot be written, for example because the disk is full. An older file stays as it was.
    """
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


def read_json(path: Path, kind: Any = dict[str, Any]) -> Any:
    """Read a JSON file and check it, see `ramnp/schema.py`.

    Args:
        kind: what it must hold; any object if left out.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        if (size := path.stat().st_size) > LONGEST_JSON:
            raise UsageError(f"{path} has {size:,} bytes, more than the limit of {LONGEST_JSON:,}")
        return schema.parse(path.read_bytes(), kind)
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
