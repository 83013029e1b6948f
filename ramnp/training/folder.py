"""A run folder: one process writes into it at a time, and a killed process leaves nothing in the way.

The lock is a file, `.lock`, that the system locks for the process. If the process is killed, the system gives the lock
back. The file names its holder, so that a second process can say who is in the way.
"""

import os
import re
import socket
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from ramnp import schema
from ramnp.errors import OutputError, UsageError, first_line
from ramnp.files import make_folder, read_json

LOCK = ".lock"
LEFTOVER = re.compile(r".+\.\d+\.tmp")  # a file that `write_atomically` did not finish, because the process was killed
PATIENCE = 1.0  # seconds until a process that has just taken the lock must have written its name


class Lock:
    """The right to write into a run folder, from now until `release`.

    Raises:
        UsageError: another process, or another run in this process, has the lock.
        OutputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / LOCK
        self.lock = FileLock(self.file, blocking=False, thread_local=False)
        try:
            self.lock.acquire()
            self.file.write_text(f"process {os.getpid()} on {socket.gethostname()}")
            self.identity = self.file.stat()
        except Timeout:
            raise UsageError(
                f"{folder} is in use by {self.holder()}: wait until it ends, or choose another folder"
            ) from None
        except OSError as error:
            raise OutputError(
                f"cannot write into {folder} ({error.strerror or first_line(error)}): choose another place"
            ) from error

    def holder(self) -> str:
        """The process that has the lock, in words."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with suppress(OSError):
                if text := self.file.read_text(errors="replace"):
                    return first_line(ValueError(text[:200]))
            time.sleep(0.02)
        return "another process"

    def check(self) -> None:
        """Check that the folder is still there, and has not been made again by another run.

        Raises:
            OutputError: it was deleted or moved.
        """
        if not self.is_mine():
            raise OutputError(f"{self.folder} was deleted or moved while the run was using it: nothing can be saved")

    def is_mine(self) -> bool:
        """Whether the lock file is the one that was locked. As long as it is open, no other gets its number."""
        try:
            return os.path.samestat(self.file.stat(), self.identity)
        except OSError:
            return False

    def release(self) -> None:
        """Give the lock back. The file goes first: whoever opened it before finds that it is gone, and looks again."""
        with suppress(OSError):
            if self.is_mine():
                self.file.unlink(missing_ok=True)
        self.lock.release()


def foreign(folder: Path) -> list[str]:
    """The names in a folder, apart from the lock and what killed processes left."""
    return sorted(name for name in os.listdir(folder) if name != LOCK and not LEFTOVER.fullmatch(name))


def unstarted(folder: Path) -> bool:
    """Whether no run has finished its start here: the folder is empty, or holds no more than config.json of a run."""
    names = foreign(folder)
    if names != ["config.json"]:
        return not names
    try:
        read_json(folder / "config.json", schema.RunConfigFile)  # a config.json by hand is not ours to replace
    except UsageError:
        return False
    return True


def claim_new(folder: Path, numbered: bool = False) -> Lock:
    """Make the folder of a new run, and lock it. What killed processes left there is removed.

    Args:
        numbered: if the folder exists, make the next free one of `folder`-2, `folder`-3, ...

    Raises:
        UsageError: the folder holds files, or another process uses it.
        OutputError: the folder cannot be made or listed.
    """
    if numbered:
        folder = make_numbered(folder)
    else:
        make_folder(folder)
    lock = Lock(folder)
    if not unstarted(folder):
        lock.release()
        raise not_empty(folder)
    clean(folder)
    return lock


def make_numbered(folder: Path) -> Path:
    """Make the first of `folder`, `folder`-2, `folder`-3, ... that does not exist. No two processes make the same one.

    Raises:
        OutputError: it cannot be made.
    """
    make_folder(folder.parent)
    for number in count(1):
        path = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            path.mkdir(exist_ok=False)
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(f"cannot make the folder {path} ({error.strerror}): choose another place") from error
        return path
    raise AssertionError  # `count` has no end


def not_empty(folder: Path) -> UsageError:
    """The error about a folder that cannot be used for a new run."""
    return UsageError(
        f"{folder} is not an empty folder: choose another --out, or resume that run with --resume {folder}"
    )


def clean(folder: Path) -> None:
    """Remove the unfinished files of killed processes. Hold the lock of the folder."""
    for name in os.listdir(folder):
        if LEFTOVER.fullmatch(name):
            with suppress(OSError):
                (folder / name).unlink()
