"""Times of contestants that take turns.

Every contestant lives in a process of its own, and one works at a time: thread pools, memory allocators and settings of
the one cannot disturb the other, as they do within a process, where PyTorch's threads spin for a while after a step.
They take turns in short bursts, in changing order, so that a slow minute of the machine meets all of them. A burst
begins with a step that is not timed, which brings caches and threads back, and yields one number, the mean over its
steps; the median over the bursts is the figure.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol

from ramnp.errors import RamnpError
from ramnp.training.workers import SPAWN, uninterrupted

PATIENCE = 5  # seconds for a process to end by itself, before it is ended
PAUSE = 0.1  # seconds before a burst, in which the threads of the last contestant, which spin for a while, go to sleep


class Contestant(Protocol):
    """Something whose steps are timed."""

    def step(self) -> None:
        """One step; on a GPU it may still be under way afterwards."""

    def wait(self) -> None:
        """Until all steps are done."""


class Unavailable(Exception):
    """A contestant cannot run here; the message says why."""


class Times(NamedTuple):
    """Milliseconds a step, over the bursts: the median, the fastest, and the quartiles."""

    median: float
    best: float
    q1: float
    q3: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Times":
        """The summary of bursts, at least two."""
        q1, median, q3 = (1000 * value for value in statistics.quantiles(seconds, n=4, method="inclusive"))
        return cls(median, 1000 * min(seconds), q1, q3)


class Plan(NamedTuple):
    """How much is measured: rounds, in each of which every contestant has a burst of about so many seconds."""

    rounds: int
    seconds: float


def burst(contestant: Contestant, steps: int) -> float:
    """Seconds a step, after one step that is not timed."""
    contestant.step()
    contestant.wait()
    started = time.perf_counter()
    for _ in range(steps):
        contestant.step()
    contestant.wait()
    return (time.perf_counter() - started) / steps


def serve(connection: Connection, make: Callable[..., Contestant], arguments: tuple[Any, ...]) -> None:
    """Be the contestant `make(*arguments)`: answer every number of steps with the time of such a burst."""
    try:
        contestant = make(*arguments)
        burst(contestant, 2)  # what happens only once: compilation, first touch of memory
    except Unavailable as reason:
        connection.send(str(reason))
        return
    connection.send(None)
    with suppress(EOFError, OSError):  # nobody asks any more
        while True:
            connection.send(burst(contestant, connection.recv()))


@contextmanager
def child(target: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """A fresh process that runs `target(connection, *arguments)`, and our end of the connection.

    Raises:
        RamnpError: the process died.
    """
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(theirs, *arguments))
    with uninterrupted():  # inherited: Ctrl-C is for this process, which ends the other
        process.start()
    theirs.close()  # so that its end is noticed here
    try:
        yield ours
    except (EOFError, ConnectionError) as error:
        raise RamnpError("the process of a contestant died: too little memory, or see above") from error
    finally:
        ours.close()
        process.join(PATIENCE)
        process.terminate()
        process.join()


def measure(contestants: Mapping[str, tuple[Any, ...]], plan: Plan) -> tuple[dict[str, Times], dict[str, str]]:
    """The times of contestants, each given as (make, *arguments), and why those are missing that cannot run here."""
    with ExitStack() as stack:
        pipes = {
            name: stack.enter_context(child(serve, make, tuple(arguments)))
            for name, (make, *arguments) in contestants.items()
        }
        missing = {name: reason for name, pipe in pipes.items() if (reason := pipe.recv())}
        for name in missing:
            del pipes[name]
        times: dict[str, list[float]] = {name: [] for name in pipes}
        steps: dict[str, int] = {}
        for name, pipe in pipes.items():
            pipe.send(3)
            steps[name] = max(2, round(plan.seconds / pipe.recv()))
        for turn in range(plan.rounds):
            for name in list(pipes) if turn % 2 else reversed(pipes):
                time.sleep(PAUSE)
                pipes[name].send(steps[name])
                times[name].append(pipes[name].recv())
    return {name: Times.of(seconds) for name, seconds in times.items()}, missing
