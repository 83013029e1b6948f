"""`python -m benchmarks.time_to_accuracy --target PERCENT`: how long a training takes to reach an error.

Trains as `python -m ramnp.train` does, mnist-6 unless told, the learning rate falling over all of --epochs. After each
epoch the averaged error (ten rollouts an image) on the validation images alone decides which targets are reached. The
weights of that moment are kept, and meet the test images once, when the training is over.

Two times are given, of the training alone and with its validation; neither holds the reading of the data, nor the test.

Exit codes: those of ramnp.train; 1 also if a target was not reached.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record
from benchmarks.section import Section, table
from ramnp import data
from ramnp.backend import Backend, limit_threads
from ramnp.cli import Parser, add_backend_flags, add_config_flags, chosen_backend, chosen_config, count, run
from ramnp.config import Config
from ramnp.errors import DivergenceError, UsageError
from ramnp.files import make_folder, write_json
from ramnp.presets import title
from ramnp.training.measure import evaluate
from ramnp.training.optim import learning_rate
from ramnp.training.provenance import provenance
from ramnp.training.trainer import Trainer
from ramnp.training.workers import default_workers


class Race:
    """A training against targets.

    Args:
        config: what to train, its epochs at most.
        targets: averaged validation errors in percent.
        backend: where to train.
        limit_batches: train and evaluate on only so many batches an epoch.
        say: tells how it goes.
    """

    def __init__(
        self,
        config: Config,
        targets: list[float],
        backend: Backend,
        limit_batches: int | None,
        say: Callable[[str], None],
    ) -> None:
        self.config, self.limit_batches, self.say = config, limit_batches, say
        dataset = data.load(config)
        self.trainer = Trainer(config, dataset.image_shape, dataset.classes, backend)
        margin = self.trainer.model.margin
        self.train, self.validation, self.test = (
            dataset.source(split, backend, margin) for split in ("train", "validation", "test")
        )
        if not len(self.validation):
            raise UsageError("--validation 0: without validation images nothing can say when a target is reached")
        self.pending = sorted(targets, reverse=True)
        self.reached: list[dict[str, Any]] = []
        self.weights: dict[int, np.ndarray] = {}

    def run(self) -> dict[str, Any]:
        """Train until all targets are reached or the epochs are over; then test.

        Raises:
            DivergenceError: a loss or a gradient is not finite.
        """
        trained = total = 0.0
        for epoch in range(1, self.config.epochs + 1):
            started = time.perf_counter()
            self.fit_epoch(epoch)
            if not self.trainer.finite():  # which waits for the epoch's end, too
                raise DivergenceError(f"the training diverged in epoch {epoch}: try a smaller --lr or --clip")
            trained += time.perf_counter() - started
            errors = evaluate(self.trainer.model, self.validation, limit_batches=self.limit_batches)
            total += time.perf_counter() - started
            self.say(f"epoch {epoch:>3}: validation error {errors['averaged']:.2f} %, {trained:.1f} s of training")
            while self.pending and errors["averaged"] <= self.pending[0]:
                moment = {"epoch": epoch, "training_s": trained, "with_validation_s": total, "validation": errors}
                self.reached.append({"target": self.pending.pop(0)} | moment)
                self.weights[epoch] = self.trainer.backend.to_host(self.trainer.model.parameters.values).copy()
            if not self.pending:
                break
        for row in self.reached:
            self.trainer.model.parameters.values[...] = self.trainer.backend.asarray(self.weights[row["epoch"]])
            row["test"] = evaluate(self.trainer.model, self.test, limit_batches=self.limit_batches)
        return {
            "configuration": title(self.config),
            "seed": self.config.seed,
            "epochs": self.config.epochs,
            "workers": self.trainer.workers,
            "reached": self.reached,
            "missed": self.pending,
        }

    def fit_epoch(self, epoch: int) -> None:
        """An epoch, with the random numbers and the learning rates of `ramnp.train`."""
        config, trainer = self.config, self.trainer
        steps = trainer.steps_per_epoch(self.train)
        for step, batch in enumerate(islice(trainer.batches(self.train, epoch), self.limit_batches)):
            trainer.step(batch, learning_rate(config, (epoch - 1) * steps + step, steps))


def text(result: dict[str, Any]) -> str:
    """A table of the targets."""
    lines = [
        f"{result['configuration']}, seed {result['seed']}, at most {result['epochs']} epochs, {result['workers']} "
        "workers. Errors in percent, averaged over ten rollouts (and deterministic), at the moment when the averaged "
        "error on the validation images reached the target. Neither time holds the reading of the data.",
        table(
            ("target, %", "epoch", "training, s", "with validation, s", "validation error", "test error"),
            (
                (
                    f"{row['target']:g}",
                    str(row["epoch"]),
                    f"{row['training_s']:.1f}",
                    f"{row['with_validation_s']:.1f}",
                    *(
                        f"{row[split]['averaged']:.2f} ({row[split]['deterministic']:.2f})"
                        for split in ("validation", "test")
                    ),
                )
                for row in result["reached"]
            ),
        ),
        *(f"Not reached: {target:g} %." for target in result["missed"]),
    ]
    return "\n\n".join(lines)


ACCURACY = Section("Time to an accuracy", text)


def build_parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.time_to_accuracy", usage="%(prog)s [flags]", description=__doc__.split(": ", 1)[1]
    )
    add_config_flags(parser)
    group = parser.add_argument_group("this run")
    group.add_argument(
        "--target",
        type=float,
        action="append",
        metavar="PERCENT",
        help="an averaged validation error; any number (1.29)",
    )
    group.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="of weights, order and samples (0)")
    group.add_argument("--workers", type=int, default=argparse.SUPPRESS, help="as of ramnp.train (the cores, up to 4)")
    add_backend_flags(group)
    group.add_argument("--limit-batches", type=count, metavar="N", help="train and evaluate on N batches an epoch only")
    group.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    config = chosen_config(arguments)
    if "decay_epochs" not in arguments:
        config = dataclasses.replace(config, decay_epochs=config.epochs)
    if "workers" not in arguments and arguments.config is None:
        config = dataclasses.replace(config, workers=default_workers(config))
    backend = chosen_backend(arguments)
    if arguments.json:
        make_folder(arguments.json.parent)  # now, and not after the training
    race = Race(
        config, arguments.target or [1.29], backend, arguments.limit_batches, lambda line: print(line, flush=True)
    )
    known = provenance()
    with limit_threads(1):  # as evaluation has it, and a training with several workers
        found = race.run()
    print("\n" + text(found))
    if arguments.json:
        command = " ".join(["python -m benchmarks.time_to_accuracy", *(sys.argv[1:] if argv is None else argv)])
        write_json(arguments.json, record(command, backend.name, backend.device, known, {"accuracy": found}))
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    run(main)
