"""`python -m ramnp.reproduce [ROW ...]`: train the rows of the published tables, and report what they come to.

A row is a preset (`python -m ramnp.train --list-presets`); without ROW, all of them in the order of the tables. Each is
trained exactly as the preset says, in the run folder runs/reproduce/ROW-seedS, and evaluated on the test split. What
the tables need is written to results/ROW-seedS.json, see results.py.

After Ctrl-C or a crash the same command goes on: finished results are skipped, and unfinished run folders taken up
after their last finished epoch, to the same bits as without the interruption. If only the file in results/ is deleted,
the run is evaluated again, not trained again. A folder or file made with another configuration than the preset now has
is never mixed with it: the command says what differs, and leaves it alone.

Exit codes: those of `ramnp.train`. Where a row fails the others are still trained, unless a file cannot be written, and
the code is that of the last failure; a figure that misses its floor is said, and is no failure.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from ramnp import data
from ramnp.analysis import analyse
from ramnp.backend import Backend, get_backend
from ramnp.cli import INTERRUPTED, Parser, count, read_json, run
from ramnp.config import Config
from ramnp.data import DATASETS
from ramnp.data.source import GeneratedSource
from ramnp.errors import CheckpointError, OutputError, RamnpError, UsageError
from ramnp.evaluate import evaluate_redrawn
from ramnp.model import RecurrentAttentionModel
from ramnp.presets import PRESETS, ROWS, columns, glimpses_and_sensor, number
from ramnp.pretrained.ship import ship
from ramnp.results import check_same, describe_verdict, read_result, result_path, write_result
from ramnp.run import Run, begun
from ramnp.workers import default_workers, limit_threads

RUNS = Path("runs/reproduce")
RESULTS = Path("results")
REPORT = Path("docs/results.md")
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
    with limit_threads(training.trainer.workers):
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


def parse_seeds(text: str) -> list[int]:
    """The seeds in "0,1,2"."""
    seeds = [int(part) for part in text.split(",")]
    if min(seeds) < 0:
        raise ValueError
    return list(dict.fromkeys(seeds))


parse_seeds.__name__ = "list of seeds"  # for the message of argparse


def build_parser() -> Parser:
    parser = Parser(prog="python -m ramnp.reproduce", description=__doc__.split(": ", 1)[1])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="presets (all, in the order of the tables)")
    parser.add_argument("--seeds", type=parse_seeds, default=[0], metavar="S,...", help="every row with each (0)")
    parser.add_argument("--resume", action="store_true", help="only go on with what was begun; start no new run")
    parser.add_argument(
        "--list", action="store_true", help="print the rows, what they are to reach, and how far they are"
    )
    parser.add_argument(
        "--backend", choices=("numpy", "cupy", "auto"), default="auto", help="(auto: a GPU if it works)"
    )
    parser.add_argument(
        "--workers", type=count, metavar="N", help="processes that share each batch (the cores, up to 4)"
    )
    parser.add_argument(
        "--report", type=Path, nargs="?", const=REPORT, metavar="FILE.md",
        help=f"write the tables and plots of all results; trains nothing ({REPORT})",
    )  # fmt: skip
    parser.add_argument(
        "--ship", metavar="ROW", help="put the weights of a finished run into the package, with a card; one seed"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where results go (results)")
    parser.add_argument("--limit-batches", type=count, metavar="N", help="only a try, on N batches an epoch: no result")
    return parser


def chosen_rows(arguments: argparse.Namespace) -> list[str]:
    """The rows to go through.

    Raises:
        UsageError: there is no such row.
    """
    for name in arguments.rows:
        if name not in ROWS:
            raise UsageError(f"there is no row {name!r}: `python -m ramnp.reproduce --list` prints them")
    return list(dict.fromkeys(arguments.rows)) or list(ROWS)


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    names, out = chosen_rows(arguments), arguments.out
    if arguments.list:
        print(listing(out, arguments.seeds))
        return 0
    if arguments.report:
        if arguments.report.suffix != ".md":
            raise UsageError(f"--report {arguments.report}: the report is Markdown, and its name is to end in .md")
        from ramnp.report import write_report  # matplotlib takes its time

        print("\n".join(map(str, write_report(out, arguments.report))))
        return 0
    backend, code = get_backend(arguments.backend), 0
    if arguments.ship:
        if arguments.ship not in ROWS or len(arguments.seeds) > 1:
            raise UsageError(f"--ship {arguments.ship}: takes one row of --list and one of --seeds")
        (seed,) = arguments.seeds
        files = ship(arguments.ship, result_path(out, arguments.ship, seed), run_folder(arguments.ship, seed), backend)
        print("\n".join(map(str, files)))
        return 0
    # Seed by seed, so that every row has one figure before any has three.
    for name, seed in ((name, seed) for seed in arguments.seeds for name in names):
        if arguments.resume and not (run_folder(name, seed) / "checkpoint.npz").exists():
            continue
        try:
            reproduce(name, seed, backend, out, arguments.workers, arguments.limit_batches)
        except KeyboardInterrupt:
            print(
                f"\nstopped in {name}, seed {seed}; finished epochs are saved, the same command goes on",
                file=sys.stderr,
            )
            return INTERRUPTED
        except OutputError:
            raise
        except RamnpError as error:  # the other rows can still be done
            print(f"error: {name}, seed {seed}: {error}", file=sys.stderr)
            code = error.exit_code
    return code


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # in a log file, too, the lines are there when they are said
    run(main)
