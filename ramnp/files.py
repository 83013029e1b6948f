"""Files that are written whole or not at all, and JSON objects in them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ramnp.errors import OutputError, UsageError


def make_folder(folder: Path) -> None:
    """Make a folder where there is none.

    Raises:
        OutputError: that failed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}: choose another place") from error


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Let `write` fill a file beside `path`, whose folder is made, then put it in the place of `path` in one step.

    Raises:
        OutputError: that failed, as on a full disk. An older file stays as it was.
    """
    make_folder(path.parent)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # of this process: two may write the same file
    try:
        with open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}: make room, or choose another place"
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        UsageError: there is none.
    """
    try:
        values = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} does not hold a JSON object")
    return values


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write an object, indented."""
    write_atomically(path, lambda file: file.write((json.dumps(values, indent=2) + "\n").encode()))
