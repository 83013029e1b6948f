"""The rows of the published tables: each trained, resumed, evaluated and listed."""

import dataclasses
from pathlib import Path
from typing import Any

from ramnp import data
from ramnp.analysis.policy import analyse
from ramnp.backend import Backend, limit_threads
from ramnp.config import Config
from ramnp.data import DATASETS
from ramnp.data.source import GeneratedSource
from ramnp.errors import CheckpointError, UsageError
from ramnp.files import read_json
from ramnp.network.model import RecurrentAttentionModel
from ramnp.presets import PRESETS, ROWS, columns, glimpses_and_sensor, number
from ramnp.reproduce.results import check_same, describe_verdict, read_result, result_path, write_result
from ramnp.training.measure import evaluate_redrawn
from ramnp.training.run import Run, begun
from ramnp.training.workers import default_workers

RUNS = Path("runs/reproduce")
RESULTS = Path("results")
DRAWINGS = 5  # of generated test images, beside the one that floors and goals are for


def run_folder(name: str, seed: int) -> Path:
    """Where a row is trained."""
    return RUNS / f"{name}-seed{seed}"


def reproduce(name: str, seed: int, backend: Backend, out: Path, workers: int | None, limit: int | None) -> None:
    """Train and evaluate one row with one seed, or go on with it, unless its result is there.

    Raises:
        CheckpointError: a result or a run folder is damaged, or of another configuration.
        UsageError: a run folder was begun with another number of workers.
        DataError, DivergenceError, OutputError: as in training.
    """
    path, folder = result_path(out, name, seed), run_folder(name, seed)
    finished = path.exists()
    if finished:
        result = read_result(path)
        check_same(path, result["config"], name, seed, (result["limit_batches"], limit))
    else:
        result = train(name, seed, backend, folder, workers, limit)
        write_result(path, result)
    error = result["test_error"]["averaged"]
    said = describe_verdict(ROWS[name], error) if limit is None else f"a try on {limit} batches an epoch, no result"
    when = ", made before" if finished else ""
    print(f"{name}, seed {seed}: averaged test error {number(error)} %: {said} ({path}{when})")


def train(name: str, seed: int, backend: Backend, folder: Path, workers: int | None, limit: int | None) -> dict:
    """Train one row in its run folder, from where it stands, and return its result."""
    config = dataclasses.replace(PRESETS[name], seed=seed)
    earlier = begun_with(folder, name, seed, limit)
    if earlier is None:
        config = dataclasses.replace(config, workers=workers or default_workers(config))
    elif workers not in (None, earlier.workers):
        raise UsageError(f"--workers {workers}: {folder} was begun with {earlier.workers}, which it keeps")
    else:
        config = earlier
    training = Run(config, data.load(config), backend, folder, limit)
    if earlier is None:
        print(f"{name}, seed {seed}: a new run in {folder}")
        training.start()
    else:
        training.resume()
        if len(training.metrics) != training.epoch:  # the result is to hold the errors of every epoch
            raise CheckpointError(
                f"{folder}/metrics.jsonl is missing or damaged: restore it, or move {folder} away to train anew"
            )
        print(f"{name}, seed {seed}: going on in {folder}, which holds epoch {training.epoch} of {config.epochs}")
    with limit_threads(training.trainer.threads):
        training.fit()
        training.finish()
        return collect(training)


def begun_with(folder: Path, name: str, seed: int, limit: int | None) -> Config | None:
    """The configuration of a run folder that can be gone on with; None where there is nothing to go on with.

    Raises:
        CheckpointError: it is damaged, or of another configuration than the preset's, or another seed.
    """
    if not (folder / "checkpoint.npz").exists():  # not even started: the checkpoint is the last that `start` writes
        return None
    config, begun_limit = begun(folder)
    check_same(folder, config.to_json(), name, seed, (begun_limit, limit))
    return config


def collect(training: Run) -> dict[str, Any]:
    """The result of a finished run, whose model now has the weights of the best epoch."""
    config, task, model = training.config, DATASETS[training.config.dataset], training.trainer.model
    limit = training.limit_batches
    steps = min(training.steps_per_epoch, limit or training.steps_per_epoch)
    training.say("asking further what it does on the test images")
    composed, recurrent = isinstance(training.test, GeneratedSource), isinstance(model, RecurrentAttentionModel)
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
        "redrawn": evaluate_redrawn(model, training.test, DRAWINGS, limit_batches=limit) if composed else None,
        "analysis": analyse(model, training.test, limit_batches=limit) if recurrent else None,
    }


def listing(out: Path, seeds: list[int]) -> str:
    """A line a row: what is published, what it is to reach, and how far it is."""
    lines = [("row", "glimpses", "sensor", "paper a / b", "TF", "best", "floor", "goal", "averaged error by seed")]
    for name, row in ROWS.items():
        floor = "{:g} to {:g}".format(*row.control) if row.control else number(row.floor)
        paper = f"{number(row.paper_a)} / {number(row.paper_b)}"
        states = ", ".join(f"{seed}: {state(name, seed, out)}" for seed in seeds)
        figures = (paper, number(row.tensorflow), number(row.best), floor, number(row.goal))
        lines.append((name, *glimpses_and_sensor(PRESETS[name]), *figures, states))
    return (
        columns(lines) + "\n\ntest errors in %; a row is done at its floor or below, and the goal is to come below it"
    )


def state(name: str, seed: int, out: Path) -> str:
    """How far a row is, in a few words."""
    path, folder = result_path(out, name, seed), run_folder(name, seed)
    try:
        if path.exists():
            result = read_result(path)
            check_same(path, result["config"], name, seed, (result["limit_batches"], None))
            return number(result["test_error"]["averaged"])
        return "unfinished" if begun_with(folder, name, seed, None) else "open"
    except CheckpointError:
        return "of another configuration, or damaged"
