"""Resident memory, as a process reads it of itself from Linux' /proc: what the processes of `memory.py` do."""

import importlib
import itertools
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import Ramnp
from benchmarks.task import CLASSES, LR, Task
from benchmarks.timing import Contestant, Unavailable
from ramnp.data.source import Source, Split

STATUS = "/proc/{}/status"  # of a process
STEPS_TO_PEAK = 20
MB = 10**6


def resident(field: str) -> float:
    """MB of this process and its workers, what they share counted for each: "VmRSS", now; "VmHWM", at most so far."""
    total = 0
    for process in ("self", *(child.pid for child in multiprocessing.active_children())):
        lines = Path(STATUS.format(process)).read_text().splitlines()
        total += int(next(line for line in lines if line.startswith(field)).split()[1])
    return total * 1024 / MB


def peak(connection: Connection, make: Callable[..., Contestant], arguments: tuple[Any, ...]) -> None:
    """Train a little, and send the peak and, of ramnp, what its arrays take."""
    try:
        contestant = make(*arguments)
        for _ in range(STEPS_TO_PEAK):
            contestant.step()
        contestant.wait()
    except Unavailable as reason:
        connection.send({"missing": str(reason)})
        return
    found = {"peak": resident("VmHWM")}
    if isinstance(contestant, Ramnp):
        found["arrays"] = contestant.trainer.nbytes / MB
    connection.send(found)


def idle(connection: Connection, name: str) -> None:
    """Send what a process takes that has imported all it needs, and trains nothing."""
    if name != "ramnp":
        importlib.import_module("benchmarks.pytorch")
    connection.send(resident("VmRSS"))


def flatness(connection: Connection, task: Task, marks: tuple[int, ...]) -> None:
    """Train on shuffled batches of a split, and send the resident memory after so many steps."""
    trainer = task.trainer()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5_000, *task.image_shape), dtype=np.uint8)
    source = Source(Split(images, rng.integers(0, CLASSES, len(images))), trainer.backend, trainer.model.margin)
    epochs = (trainer.batches(source, epoch) for epoch in itertools.count(1))
    for step, batch in enumerate(itertools.chain.from_iterable(epochs), 1):
        trainer.step(batch, LR)
        if step in marks:
            connection.send(resident("VmRSS"))
        if step == marks[-1]:
            return
