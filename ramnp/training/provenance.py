"""Where a figure comes from: versions, machine, and revision of the code."""

import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from ramnp.version import VERSION


def provenance() -> dict[str, Any]:
    """Versions, kind of machine and git revision, for the files of a run."""
    return {
        "versions": {"ramnp": VERSION, "numpy": np.__version__, "python": platform.python_version()},
        "machine": f"{platform.system()} {platform.machine()}, {count_cores()} cores, {processor()}".removesuffix(", "),
        "git_revision": git_revision(),
    }


def count_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The model of the processor, or "" if the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


@functools.cache
def git_revision() -> str | None:
    """The revision of the source tree, followed by "-dirty" if it has changes; None outside a clone.

    Cached, so that files which this process later writes into the tree do not make it look changed.
    """
    here = Path(__file__).resolve().parents[1]
    if not (here.parent / ".git").exists():
        return None
    try:
        revision, changes = (
            # Without optional locks git only reads; a run must not change anything in the user's repository.
            subprocess.run(
                ["git", "--no-optional-locks", *command], cwd=here, capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision + ("-dirty" if changes else "")
