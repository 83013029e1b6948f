"""A part in a process of its own, up to a time limit: each line that it prints is a JSON object, something found."""

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parents[2]
GRACE = 5  # seconds for a process that has said all it has to say


def follow(command: list[str], seconds: float, log: BinaryIO, heard: Callable[[dict[str, Any]], None]) -> str | None:
    """Run a command, hand each object that it prints to `heard`, and end it and all that it started.

    Args:
        command: the command, run in the clone's folder.
        seconds: its time limit.
        log: where its errors go.

    Returns:
        Why it failed, in a line; None: it did not.
    """
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    lines: queue.Queue[bytes] = queue.Queue()
    reader = threading.Thread(target=read, args=(process.stdout, lines), daemon=True)
    reader.start()
    deadline = time.monotonic() + seconds
    try:
        while line := lines.get(timeout=max(0.0, deadline - time.monotonic())):
            heard(json.loads(line))
        code = process.wait(GRACE)
    except (queue.Empty, subprocess.TimeoutExpired):
        return f"it was stopped after {seconds:.0f} s, its time limit"
    finally:
        end(process)
        reader.join()  # nobody writes any more
        process.stdout.close()
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}" if code else None


def read(pipe: BinaryIO, lines: queue.Queue[bytes]) -> None:
    """Put whole lines into a queue, and an empty one at the end."""
    for line in pipe:
        if line.endswith(b"\n"):
            lines.put(line)
    lines.put(b"")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, with those that it started and did not end itself."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()


def end_with_parent() -> None:
    """End this process, and those that it started, when the one that follows it is gone, however that ended."""
    own = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def watch() -> None:
        while os.read(own, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
