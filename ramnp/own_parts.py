"""Files with parts of your own: imported if you name them, and remembered by their content.

A checkpoint or a run folder may come from anybody, so nothing that it names is run. The exception is a file that you
have named with `--import` yourself, and that has not changed since. So `evaluate` and `--resume` find your parts again.
"""

import hashlib
import os
import traceback
from importlib.util import find_spec
from pathlib import Path

from ramnp import registry
from ramnp.errors import UsageError, first_line


def load(source: str) -> None:
    """Import a file or module that registers parts.

    Raises:
        UsageError: that failed.
    """
    if source.endswith(".py") and Path(source).exists() and not Path(source).is_file():
        raise UsageError(f"--import {source}: it is not a file")
    try:
        registry.load(source)
    except Exception as error:
        missing = isinstance(error, FileNotFoundError | ModuleNotFoundError)
        if missing and source in (getattr(error, "filename", None), getattr(error, "name", None)):
            raise UsageError(f"--import {source}: there is no such file or module") from error
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source]
        where = f"line {lines[-1]}: " if lines else ""
        raise UsageError(f"--import {source}: {where}{type(error).__name__}: {first_line(error)}") from error


def remember(source: str) -> None:
    """Note that you named this file, as it is now. Where nothing can be noted, you will have to name it again."""
    line = _fingerprint(source)
    if line is None or is_remembered(source):
        return
    try:
        _notes().parent.mkdir(parents=True, exist_ok=True)
        with _notes().open("a") as notes:
            notes.write(line + "\n")
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        pass


def is_remembered(source: str) -> bool:
    """Whether you named this file before, and it has not changed since."""
    line = _fingerprint(source)
    try:
        return line is not None and line in _notes().read_text().splitlines()
    except (OSError, RuntimeError):
        return False


def _notes() -> Path:
    """The list of what was named: a line each, of checksum and path."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "ramnp" / "imports"


def _fingerprint(source: str) -> str | None:
    """Checksum and path of the file behind a source. None without one, or if only an import could find it."""
    try:
        spec = None if source.endswith(".py") or "." in source else find_spec(source)
        path = Path(source if source.endswith(".py") else (spec and spec.origin) or "")
        return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.resolve()}"
    except (OSError, ValueError):
        return None
