"""Runs that are killed, inside every write and at random, and then resumed: they must end in the same bits."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from running import REPOSITORY, assert_same_run

EPOCHS = 3
# Runs ramnp.train, and kills it at a certain point of a certain write (see `points`): in the middle of the temporary
# file, when that is whole, or just after it has taken the place of the old file.
KILLED = """
import os, runpy, signal, sys
from ramnp import files
at, fsync, replace, passed = int(sys.argv.pop(1)), os.fsync, os.replace, [0]
def point():
    passed[0] += 1
    if passed[0] == at:
        os.kill(os.getpid(), signal.SIGKILL)
def cut(number):
    if passed[0] + 1 == at:
        os.ftruncate(number, os.fstat(number).st_size // 2)
    point()
    fsync(number)
    point()
def then(source, target):
    replace(source, target)
    point()
class Watched:
    fsync, replace = staticmethod(cut), staticmethod(then)
    def __getattr__(self, name):
        return getattr(os, name)
files.os = Watched()
runpy.run_module("ramnp.train", run_name="__main__", alter_sys=True)
"""
# Python runs this at the start of each process. Pictures take longer than these trainings: they are written, not drawn.
UNDRAWN = """
import sys, types
def picture(path):
    from ramnp.files import write_atomically
    write_atomically(path, lambda file: file.write(b"a picture"))
    return path
curves, glimpses = types.ModuleType("curves"), types.ModuleType("glimpses")
curves.plot_curves = lambda metrics, path: picture(path)
glimpses.plot_images = lambda model, source, folder, names: picture(folder / "glimpses.png")
sys.modules |= {"ramnp.pictures.curves": curves, "ramnp.pictures.glimpses": glimpses}
"""
WRITES = 2 + 3 * EPOCHS + 3  # config, checkpoint; metrics, checkpoint, best for each epoch; result, two pictures


@dataclass
class Kills:
    """What became of the killed runs."""

    kills: int = 0
    right: int = 0
    places: str = ""
    wrong: list[str] = field(default_factory=list)


def flags(place: Path, workers: int) -> list[str]:
    """Flags for a small training on data of one's own."""
    sizes = "--glimpses 3 --patch 4 --units 16 --what-units 8 --where-units 8 --glimpse-units 16 --batch-size 16"
    rest = f"--epochs {EPOCHS} --decay-epochs {EPOCHS} --validation 20 --backend numpy --workers {workers}"
    return [*sizes.split(), *rest.split(), "--dataset", "arrays", "--data-path", str(place / "own.npz")]


def start(place: Path, *arguments: str, at: int | None = None) -> subprocess.Popen[str]:
    """A training in a process, with what `prepare` put into `place`. It kills itself at point `at`, if given."""
    code = ["-m", "ramnp.train"] if at is None else ["-c", KILLED, str(at)]
    path = os.pathsep.join((str(place), *filter(None, (os.environ.get("PYTHONPATH"),))))
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *code, *arguments], cwd=REPOSITORY, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def prepare(place: Path) -> None:
    """Put the data of the trainings into a folder, and `UNDRAWN`."""
    draw = np.random.default_rng(0)
    np.savez(place / "own.npz", images=draw.random((120, 12, 12)), labels=np.arange(120) % 3)
    (place / "sitecustomize.py").write_text(UNDRAWN)


def kill_runs(count: int, seed: int) -> Kills:
    """Kill `count` runs and resume each: one half inside the writes, in turn, and one half at random times."""
    found, rng = Kills(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        prepare(place)
        seconds = {}
        for workers in (1, 2):
            began = time.monotonic()
            process = start(place, *flags(place, workers), "--out", str(place / f"whole{workers}"))
            _, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            seconds[workers] = time.monotonic() - began
        points = rng.sample(range(1, 3 * WRITES + 1), 3 * WRITES)
        inside = 0
        for number in range(count):
            workers = 1 + number // 2 % 2
            at = points[number // 2 % len(points)] if number % 2 == 0 else None
            inside += at is not None
            after = rng.uniform(0.05, 1.0) * seconds[workers]
            stop = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
            said = kill_one(place, place / f"run{number}", workers, at, after, stop)
            where = f"at point {at}" if at else f"by {stop.name} after {after:.2f} s"
            found.kills += 1
            if said:
                found.wrong.append(f"kill {number}, {workers} workers, {where}: {said}")
            else:
                found.right += 1
            shutil.rmtree(place / f"run{number}", ignore_errors=True)
    found.places = (
        f"inside a write ({inside}) or at a random time ({count - inside}; by SIGKILL, SIGTERM, SIGHUP or SIGINT), "
        "with one worker and with two"
    )
    return found


def kill_one(place: Path, folder: Path, workers: int, at: int | None, after: float, stop: signal.Signals) -> str:
    """Kill one run and resume it; what went wrong, or ""."""
    process = start(place, *flags(place, workers), "--out", str(folder), at=at)
    try:
        _, err = process.communicate(timeout=None if at else after)
    except subprocess.TimeoutExpired:
        process.send_signal(stop)
        _, err = process.communicate(timeout=120)
        # A process that does not listen yet is ended by the system.
        if stop != signal.SIGKILL and process.returncode not in (128 + stop, -stop, 0):
            return f"ended with {process.returncode}: {err}"
        if "Traceback" in err and str(REPOSITORY / "ramnp") in err:  # before ramnp is found, Python has its own
            return f"a traceback: {err}"
    if (folder / "config.json").exists():
        process = start(place, "--resume", str(folder), "--backend", "numpy")
    else:  # killed before there was anything to resume
        process = start(place, *flags(place, workers), "--out", str(folder))
    _, err = process.communicate(timeout=300)
    if process.returncode or err:
        return f"not resumed, {process.returncode}: {err}"
    try:
        assert_same_run(place / f"whole{workers}", folder)
    except AssertionError as error:
        return f"other bits: {error}"
    left = set(os.listdir(folder)) ^ set(os.listdir(place / f"whole{workers}"))
    return f"other files: {left}" if left else ""
