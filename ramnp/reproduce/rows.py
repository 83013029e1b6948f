"""Train, resume, evaluate and list the rows of the published tables, and the points of curves over glimpses."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from ramnp import data
from ramnp.analysis.policy import analyse
from ramnp.backend import Backend, limit_threads
from ramnp.config import Config
from ramnp.data.source import GeneratedSource
from ramnp.errors import CheckpointError, UsageError
from ramnp.files import read_json
from ramnp.network.model import RecurrentAttentionModel
from ramnp.presets import PRESETS, ROWS, Row, columns, glimpses_and_sensor, number
from ramnp.reproduce.results import (
    POINTS,
    check_same,
    describe_verdict,
    point_config,
    point_name,
    read_result,
    result_path,
    row_config,
    write_result,
)
from ramnp.training.measure import evaluate_redrawn
from ramnp.training.run import Run, read_run_config
from ramnp.training.workers import default_workers

RUNS = Path("runs/reproduce")
RESULTS = Path("results")
DRAWINGS = 5  # further compositions of generated test images, besides the one that floors and goals are set for


def run_folder(name: str, seed: int) -> Path:
    """The run folder of a row and a seed."""
    return RUNS / f"{name}-seed{seed}"


class Training(NamedTuple):
    """A network to train.

    Attributes:
        name: what it is called in messages.
        config: its configuration.
        row: the row of the tables that it is; None if it is none.
        result, folder: its result file and its run folder.
    """

    name: str
    config: Config
    row: Row | None
    result: Path
    folder: Path


def of_row(name: str, seed: int, out: Path) -> Training:
    """A row of the tables, with its result in `out`."""
    return Training(name, row_config(name, seed), ROWS[name], result_path(out, name, seed), run_folder(name, seed))


def of_point(name: str, glimpses: int, epochs: int, seed: int, out: Path) -> Training:
    """A point of the curve of a row: the row with another number of glimpses, and a training of `epochs`."""
    config = point_config(name, glimpses, epochs, seed)
    point = point_name(name, glimpses)
    return Training(point, config, None, result_path(out / POINTS, point, seed), run_folder(point, seed))


def reproduce(training: Training, backend: Backend, workers: int | None, limit: int | None) -> None:
    """Train and evaluate one network, and print its figure. A run is resumed; a finished result is kept.

    Args:
        training: the network.
        backend: where to train.
        workers: number of workers; None for the default, or for that of the run to resume.
        limit: number of batches per epoch, to try it out; None for all.

    Raises:
        CheckpointError: a result or a run folder is damaged, or belongs to another configuration.
        UsageError: the run was started with another number of workers.
        DataError, DivergenceError, OutputError: as in training.
    """
    name, config, row, path, _ = training
    finished = path.exists()
    if finished:
        result = read_result(path)
        check_same(path, result["config"], config, (result["limit_batches"], limit))
    else:
        result = train(training, backend, workers, limit)
        write_result(path, result)
    error = result["test_error"]["averaged"]
    if limit is not None:
        verdict = f" does not count: a trial on {limit} batches per epoch"
    else:
        verdict = f" {describe_verdict(row, error)}" if row else ""
    when = ", finished before" if finished else ""
    print(f"{name}, seed {config.seed}: averaged test error {number(error)} %{verdict} ({path}{when})")


def train(training: Training, backend: Backend, workers: int | None, limit: int | None) -> dict[str, Any]:
    """Train a network in its run folder, resuming it if it was started, and return its result."""
    config, folder = training.config, training.folder
    title = f"{training.name}, seed {config.seed}"
    earlier = resumable_config(folder, config, limit)
    if earlier is None:
        config = dataclasses.replace(config, workers=workers or default_workers(config))
    elif workers not in (None, earlier.workers):
        raise UsageError(
            f"--workers {workers}: {folder} was started with {earlier.workers} and keeps that number; "
            "leave --workers out to resume"
        )
    else:
        config = dataclasses.replace(config, workers=earlier.workers)
    with Run(config, data.load(config), backend, folder, limit) as run:
        if earlier is None:
            print(f"{title}: a new run in {folder}")
            run.start()
        else:
            run.resume()
            if len(run.metrics) != run.epoch:  # the result needs the errors of every epoch
                raise CheckpointError(
                    f"{folder}/metrics.jsonl is missing or damaged: restore it, or move {folder} aside to train again"
                )
            print(f"{title}: resuming {folder} after epoch {run.epoch} of {config.epochs}")
        with limit_threads(run.trainer.threads):
            run.fit()
            run.finish()
            return collect(run)


def resumable_config(folder: Path, config: Config, limit: int | None) -> Config | None:
    """The configuration of a run folder that can be resumed; None if there is no started run in it.

    Raises:
        CheckpointError: the folder is damaged, or has another configuration than `config`.
    """
    if not (folder / "checkpoint.npz").exists():  # `Run.start` writes the checkpoint last
        return None
    earlier, saved_limit = read_run_config(folder)
    check_same(folder, earlier.to_json(), config, (saved_limit, limit))
    return earlier


def collect(training: Run) -> dict[str, Any]:
    """Measure what the tables need of a finished run, and return its result.

    `Run.finish` has put the weights of the best epoch into the model.
    """
    config, task, model = training.config, data.find_task(training.config.dataset), training.trainer.model
    limit = training.limit_batches
    steps = min(training.steps_per_epoch, limit or training.steps_per_epoch)
    training.say("analysing the policy, and evaluating on further compositions of generated test images")
    redrawn = analysis = None
    if isinstance(training.test, GeneratedSource):
        redrawn = evaluate_redrawn(model, training.test, DRAWINGS, limit_batches=limit)
    if isinstance(model, RecurrentAttentionModel):
        analysis = analyse(model, training.test, limit_batches=limit)
    return read_json(training.folder / "result.json") | {
        "config": config.to_json(),
        "training_images": training.epoch * steps * config.batch_size,
        "device": training.trainer.backend.device,
        "data": {path.name: task.check(path) for path in task.files(config)},
        "history": [
            {
                "epoch": line["epoch"],
                "training_error": round(100 - 100 * line["reward"], 4),
                "validation_error": line["validation_error"],
            }
            for line in training.metrics
        ],
        "redrawn": redrawn,
        "analysis": analysis,
    }


def listing(out: Path, seeds: list[int]) -> str:
    """A table of all rows: published figures, targets, and the state of each seed."""
    heading = ("row", "glimpses", "sensor", "paper a / b", "TF", "best", "floor", "goal", "averaged error by seed")
    lines: list[tuple[str, ...]] = [heading]
    for name, row in ROWS.items():
        floor = "{:g} to {:g}".format(*row.control) if row.control else number(row.floor)
        paper = f"{number(row.paper_a)} / {number(row.paper_b)}"
        states = ", ".join(f"{seed}: {state(name, seed, out)}" for seed in seeds)
        figures = (paper, number(row.tensorflow), number(row.best), floor, number(row.goal))
        lines.append((name, *glimpses_and_sensor(PRESETS[name]), *figures, states))
    return (
        columns(lines) + "\n\ntest errors in %; a row is reproduced if its averaged error is at or below the floor;\n"
        "its goal is met if it is below the goal"
    )


def state(name: str, seed: int, out: Path) -> str:
    """The averaged error of a row and a seed, or why there is none yet, in a few words."""
    _, config, _, path, folder = of_row(name, seed, out)
    try:
        if path.exists():
            result = read_result(path)
            check_same(path, result["config"], config, (result["limit_batches"], None))
            return number(result["test_error"]["averaged"])
        return "unfinished" if resumable_config(folder, config, None) else "open"
    except CheckpointError:
        return "does not match the preset, or is damaged"
