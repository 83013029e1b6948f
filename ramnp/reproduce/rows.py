"""Train, resume, evaluate and list the rows of the published tables."""

import dataclasses
from pathlib import Path
from typing import Any

from ramnp import data
from ramnp.analysis.policy import analyse
from ramnp.backend import Backend, limit_threads
from ramnp.config import Config
from ramnp.data.source import GeneratedSource
from ramnp.errors import CheckpointError, UsageError
from ramnp.files import read_json
from ramnp.network.model import RecurrentAttentionModel
from ramnp.presets import PRESETS, ROWS, columns, glimpses_and_sensor, number
from ramnp.reproduce.results import check_same, describe_verdict, read_result, result_path, write_result
from ramnp.training.measure import evaluate_redrawn
from ramnp.training.run import Run, read_run_config
from ramnp.training.workers import default_workers

RUNS = Path("runs/reproduce")
RESULTS = Path("results")
DRAWINGS = 5  # further compositions of generated test images, besides the one that floors and goals are set for


def run_folder(name: str, seed: int) -> Path:
    """The run folder of a row and a seed."""
    return RUNS / f"{name}-seed{seed}"


def reproduce(
    name: str, seed: int, backend: Backend, out: Path, workers: int | None, limit: int | None, import_: str = ""
) -> None:
    """Train and evaluate one row with one seed, and print its figure. A run is resumed; a finished result is kept.

    Args:
        name, seed: the row and the seed.
        backend: where to train.
        out: the folder of the result files.
        workers: number of workers; None for the default, or for that of the run to resume.
        limit: number of batches per epoch, to try it out; None for all.
        import_: what `--import` named.

    Raises:
        CheckpointError: a result or a run folder is damaged, or belongs to another configuration.
        UsageError: the run was started with another number of workers.
        DataError, DivergenceError, OutputError: as in training.
    """
    path, folder = result_path(out, name, seed), run_folder(name, seed)
    finished = path.exists()
    if finished:
        result = read_result(path)
        check_same(path, result["config"], name, seed, (result["limit_batches"], limit))
    else:
        result = train(name, seed, backend, folder, workers, limit, import_)
        write_result(path, result)
    error = result["test_error"]["averaged"]
    if limit is None:
        verdict = describe_verdict(ROWS[name], error)
    else:
        verdict = f"does not count: a trial on {limit} batches per epoch"
    when = ", finished before" if finished else ""
    print(f"{name}, seed {seed}: averaged test error {number(error)} % {verdict} ({path}{when})")


def train(
    name: str, seed: int, backend: Backend, folder: Path, workers: int | None, limit: int | None, import_: str
) -> dict:
    """Train one row in its run folder, resuming it if it was started, and return its result."""
    config = dataclasses.replace(PRESETS[name], seed=seed)
    earlier = resumable_config(folder, name, seed, limit)
    if earlier is None:
        config = dataclasses.replace(config, workers=workers or default_workers(config))
    elif workers not in (None, earlier.workers):
        raise UsageError(
            f"--workers {workers}: {folder} was started with {earlier.workers} and keeps that number; "
            "leave --workers out to resume"
        )
    else:
        config = earlier
    config = dataclasses.replace(config, import_=import_)
    with Run(config, data.load(config), backend, folder, limit) as training:
        if earlier is None:
            print(f"{name}, seed {seed}: a new run in {folder}")
            training.start(anew=True)
        else:
            training.resume()
            if len(training.metrics) != training.epoch:  # the result needs the errors of every epoch
                raise CheckpointError(
                    f"{folder}/metrics.jsonl is missing or damaged: restore it, or move {folder} aside to train again"
                )
            print(f"{name}, seed {seed}: resuming {folder} after epoch {training.epoch} of {config.epochs}")
        with limit_threads(training.trainer.threads):
            training.fit()
            training.finish()
            return collect(training)


def resumable_config(folder: Path, name: str, seed: int, limit: int | None) -> Config | None:
    """The configuration of a run folder that can be resumed; None if there is no started run in it.

    Raises:
        CheckpointError: the folder is damaged, or has another configuration than the preset, or another seed.
    """
    if not (folder / "checkpoint.npz").exists():  # `Run.start` writes the checkpoint last
        return None
    config, saved_limit = read_run_config(folder)
    check_same(folder, config.to_json(), name, seed, (saved_limit, limit))
    return config


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
    path, folder = result_path(out, name, seed), run_folder(name, seed)
    try:
        if path.exists():
            result = read_result(path)
            check_same(path, result["config"], name, seed, (result["limit_batches"], None))
            return number(result["test_error"]["averaged"])
        return "unfinished" if resumable_config(folder, name, seed, None) else "open"
    except CheckpointError:
        return "does not match the preset, or is damaged"
