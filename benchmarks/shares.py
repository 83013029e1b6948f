"""Section `shares`: what the parts of a training step take of it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from matplotlib.figure import Figure

import ramnp.network.model
import ramnp.training.trainer
from benchmarks.contestants import Ramnp
from benchmarks.section import COLOURS, WIDTH, Options, Section, preset_task, table
from ramnp import data
from ramnp.backend import limit_threads
from ramnp.training.trainer import Trainer

PRESETS = ("mnist-6", "translated60-6", "cluttered100-8", "mnist-6-lstm")
BATCH = 256
REST, DATA = "rest", "data"
PARTS = ("sensor", "glimpse network", "core", "policy and heads", "losses", "optimizer", REST)


class Stopwatch:
    """Where the time goes: each moment counts for the innermost function that is timed.

    Args:
        wait: called before the clock is read; on a GPU it waits for what is under way.
    """

    def __init__(self, wait: Callable[[], object]) -> None:
        self.wait = wait
        self.seconds: Counter[str] = Counter()
        self.stack: list[str] = []
        self.since = 0.0

    def turn(self) -> None:
        """Book the time since the last turn."""
        self.wait()
        now = time.perf_counter()
        if self.stack:
            self.seconds[self.stack[-1]] += now - self.since
        self.since = now

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time booked on `part`."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.turn()
            self.stack.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.turn()
                self.stack.pop()

        return wrapper


def functions(trainer: Trainer) -> Iterator[tuple[str, Any, str]]:
    """(part, owner, name) of the functions that are timed."""
    model = trainer.model
    yield "sensor", model.sensor, "forward"
    for name in ("forward", "backward"):
        yield "glimpse network", model.glimpse, name
        for head in (model.policy, model.action, model.baseline):
            yield "policy and heads", head, name
    for name in ("step", "backward"):
        yield "core", model.core, name
    for name in ("sample", "log_prob", "log_prob_backward"):
        yield "policy and heads", model.policy, name
    yield "losses", ramnp.network.model, "hybrid_loss"
    yield "optimizer", ramnp.training.trainer, "clip_gradients"
    yield "optimizer", trainer.optimizer, "step"


@contextmanager
def watching(trainer: Trainer) -> Iterator[Stopwatch]:
    """A stopwatch on the parts of a trainer."""
    on_host = trainer.backend.xp is np
    watch = Stopwatch((lambda: None) if on_host else lambda: trainer.backend.to_host(trainer.totals))
    with ExitStack() as stack:
        for part, owner, name in functions(trainer):
            stack.enter_context(mock.patch.object(owner, name, watch.timed(part, getattr(owner, name))))
        yield watch


def measure(options: Options) -> dict[str, Any]:
    """Seconds a step by part, with one worker and one BLAS thread; and a batch's, made in one thread."""
    rows = []
    for preset in PRESETS[:1] if options.quick else PRESETS:
        options.say(preset)
        task = preset_task(preset, options.backend, batch_size=BATCH)
        task = replace(task, config=replace(task.config, workers=1))
        with limit_threads(1):
            contestant = Ramnp(task)
            contestant.step()
            steps = options.plan.rounds * 10
            with watching(contestant.trainer) as watch:
                step = watch.timed(REST, contestant.step)
                for _ in range(steps):
                    step()
        ms = {part: 1000 * watch.seconds[part] / steps for part in PARTS}
        rows.append({"preset": preset, "batch": BATCH, "ms": ms, "data_ms": 1000 * seconds_a_batch(contestant, steps)})
    return {"rows": rows}


def seconds_a_batch(contestant: Ramnp, count: int) -> float:
    """Seconds to make a batch of the task's own data, in one thread and with nothing else to do."""
    trainer = contestant.trainer
    dataset = data.load(trainer.config)
    source = dataset.source("train", trainer.backend, trainer.model.margin)
    batches = source.batches(trainer.config.batch_size, np.random.default_rng(0))
    next(batches)
    started = time.perf_counter()
    count = sum(1 for _ in zip(range(count), batches, strict=False))
    contestant.wait()
    return (time.perf_counter() - started) / count


def text(result: dict[str, Any]) -> str:
    """A table."""
    return "\n\n".join(
        [
            f"Percent of a training step of {result['rows'][0]['batch']} images, taken by one thread. Making a batch "
            '("data") goes on beside the step and is no part of it; its time is given in percent of the step.',
            table(
                ("preset", "step, ms", *PARTS, DATA),
                (
                    (
                        row["preset"],
                        f"{total(row):.1f}",
                        *(f"{100 * row['ms'][part] / total(row):.1f}" for part in PARTS),
                        f"{100 * row['data_ms'] / total(row):.1f}",
                    )
                    for row in result["rows"]
                ),
            ),
        ]
    )


def plot(result: dict[str, Any], figure: Figure) -> None:
    """Stacked bars."""
    rows = result["rows"][::-1]  # the first on top
    figure.set_size_inches(WIDTH, 1.6 + 0.5 * len(rows))
    axes = figure.subplots()
    names = [row["preset"] for row in rows]
    left = np.zeros(len(rows))
    for part, colour in zip(PARTS, COLOURS, strict=False):
        width = np.array([100 * row["ms"][part] / total(row) for row in rows])
        axes.barh(names, width, left=left, color=colour, edgecolor="white", label=part)
        left += width
    width = [100 * row["data_ms"] / total(row) for row in rows]
    axes.barh(names, width, left=left, color="white", edgecolor="black", hatch="///", label="data, beside the step")
    axes.axvline(100, color="black", linewidth=1)
    axes.set(xlabel="percent of the step")
    figure.legend(loc="outside lower center", ncols=4, fontsize=9)


def total(row: dict[str, Any]) -> float:
    """Milliseconds of the step."""
    return sum(row["ms"].values())


SHARES = Section("What a step is made of", text, plot, measure)
