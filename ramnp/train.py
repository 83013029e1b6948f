"""`python -m ramnp.train`: train a recurrent attention model, or a network to compare it with.

The results go into a run folder:

| file             | content                                                                          |
|------------------|----------------------------------------------------------------------------------|
| config.json      | the complete configuration, backend, versions, git revision, SHA-256 of the data |
| metrics.jsonl    | per epoch: losses, reward, validation error, images/s, gradient norms            |
| checkpoint.npz   | everything that --resume needs                                                   |
| best.npz         | weights of the epoch with the lowest validation error (--validation 0: the last) |
| result.json      | the three test errors of best.npz, in percent                                    |
| curves.png       | learning curves                                                                  |
| glimpses.png     | test images, where the network looked, and what it saw                           |
| answers.png      | instead of glimpses.png, for a network that sees the whole image: its answers    |

Exit codes: 0 success; 1 the training diverged; 2 usage; 3 backend, data or checkpoint missing or damaged;
4 the results could not be written; 130, 143 or 129 stopped with Ctrl-C, SIGTERM or SIGHUP, with the last finished epoch
saved.
"""

import argparse
import dataclasses
import math
from pathlib import Path

from ramnp import data
from ramnp.backend import Backend, limit_threads
from ramnp.cli import (
    Parser,
    add_backend_flags,
    add_changed_data_flag,
    add_config_flags,
    add_import_flag,
    chosen_backend,
    chosen_config,
    code_of,
    count,
    description,
    given_flags,
    import_parts,
    note,
    run,
    tell,
)
from ramnp.config import Config, flag, idle
from ramnp.data.content import remembered
from ramnp.data.source import DataSet
from ramnp.errors import DivergenceError, OutputError, UsageError, first_line, is_too_big
from ramnp.presets import OWN, listing
from ramnp.training import checkpoint
from ramnp.training.checkpoint import Checkpoint
from ramnp.training.memory import too_large
from ramnp.training.run import CHANGEABLE, MAY_CHANGE, Run, heading, new_folder, read_run_config
from ramnp.training.suited import suited
from ramnp.training.trained import TRAINED, find_weights, moved, recognized
from ramnp.training.trainer import Trainer
from ramnp.training.workers import default_workers


def dry_run(config: Config, dataset: DataSet, backend: Backend) -> None:
    """Print the model, its shapes, its memory and the spread of its policy, then train on one batch.

    Raises:
        UsageError: the training images do not fill one batch, or the workers cannot share it evenly.
        DivergenceError: the loss of the batch is not finite.
    """
    trainer = Trainer(config, dataset.image_shape, dataset.classes, backend, dataset.train.labels)
    model, parameters = trainer.model, trainer.model.parameters
    source = dataset.source("train", backend, model.margin)
    trainer.steps_per_epoch(source)  # raises an error unless there is a batch
    rows = config.batch_size * trainer.rollouts
    print("\n".join(heading(trainer, dataset)))
    print(f"\n{'parameter':<22}{'shape':>14}{'count':>12}")
    for name in parameters:
        shape = "x".join(map(str, parameters[name].shape))
        print(f"{name:<22}{shape:>14}{parameters[name].size:>12,}")
    print(f"{'total':<22}{'':>14}{parameters.size:>12,}")
    each = f", each of {trainer.workers} workers" if trainer.workers > 1 else ""
    print(f"\n{'kept per step' + each:<22}{'shape':>22}")
    for part, arrays in trainer.storage.arrays().items():
        for array in arrays:
            print(f"{part:<22}{'x'.join(map(str, array.shape)):>22}")
    print(f"memory: {trainer.nbytes / 2**20:.1f} MiB for parameters, optimizer and the activations of {rows} rollouts")
    trainer.step(next(trainer.batches(source, epoch=1)), config.lr)
    loss = ", ".join(f"{part} {value:.4f}" for part, value in trainer.means()["loss"].items())
    if not trainer.finite():
        raise DivergenceError(f"the loss of the first batch is not finite ({loss}): check the data, or lower --lr")
    print(f"one batch: loss {loss} (the cross-entropy of a random guess is {math.log(dataset.classes):.4f})")


def resumed_config(arguments: argparse.Namespace) -> Config:
    """The configuration of the run to resume.

    Only --epochs, --data-path and --import may change it, and what --change names.

    Sets `arguments.limit_batches` to that of the run.

    Raises:
        UsageError: there is no such folder, or a flag contradicts its configuration.
        CheckpointError: its config.json is missing or damaged.
    """
    if not arguments.resume.is_dir():
        raise UsageError(f"--resume {arguments.resume}: there is no such run folder")
    saved, limit = read_run_config(arguments.resume)
    given = given_flags(arguments)
    for name, value in given.items():
        if name not in (*MAY_CHANGE, *arguments.change) and value != getattr(saved, name):
            allowed = f", change it with --change {name}" if name in CHANGEABLE else ""
            raise UsageError(
                f"{flag(name)} {value}: a resumed run keeps its {name}, which is {getattr(saved, name)}; "
                f"leave the flag out{allowed}, or start a new run"
            )
    for name in arguments.change:
        if name not in given:
            raise UsageError(f"--change {name} needs {flag(name)} with the new value")
    if arguments.limit_batches not in (None, limit):
        kept = "it has none" if limit is None else f"which is {limit}"
        raise UsageError(f"--limit-batches {arguments.limit_batches}: a resumed run keeps its limit; {kept}")
    arguments.limit_batches = limit
    for name in ("preset", "config", "init", "out"):
        if getattr(arguments, name) is not None:
            raise UsageError(f"{flag(name)} cannot be combined with --resume: the run folder determines it")
    changed = {name: given[name] for name in (*MAY_CHANGE, *arguments.change) if name in given}
    if "data_path" in changed:
        saved = moved(saved, changed.pop("data_path"))
    return dataclasses.replace(saved, **changed)


def resumed_data(arguments: argparse.Namespace, config: Config) -> DataSet:
    """The data of the run to resume, compared with those that it was started with.

    Raises:
        CheckpointError: its checkpoint is damaged.
        DataError: the data are missing or damaged, or have changed.
    """
    path = arguments.resume / "checkpoint.npz"
    if not path.exists():  # stopped before its first checkpoint: `Run.resume` compares the data with config.json
        return data.load(config)
    saved = dataclasses.replace(checkpoint.load(path), config=config)
    return recognized(saved, arguments.allow_changed_data, note)


def build_parser() -> Parser:
    parser = Parser(prog="python -m ramnp.train", usage="%(prog)s [flags]", description=description(__doc__))
    add_config_flags(parser)
    add_import_flag(parser)
    group = parser.add_argument_group("this run")
    group.add_argument(
        "--seed",
        type=int,
        default=argparse.SUPPRESS,
        help="seed of the weights, the order of the images and the sampled locations (0)",
    )
    add_backend_flags(group)
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help="processes that share each batch on the CPU; the same number gives the same bits (the cores, up to 4)",
    )
    group.add_argument("--out", type=Path, metavar="DIR", help="the run folder (runs/PRESET-seedS-TIME)")
    group.add_argument(
        "--init", type=Path, metavar="PATH", help=f"start from the weights and configuration of {TRAINED}"
    )
    group.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="resume the run in DIR; --epochs, --data-path, --import and what --change names may differ",
    )
    group.add_argument(
        "--change",
        choices=CHANGEABLE,
        action="append",
        default=[],
        help="with --resume: a setting that may differ, too",
    )
    add_changed_data_flag(group)
    group.add_argument(
        "--limit-batches", type=count, metavar="N", help="train and evaluate on only N batches per epoch, to try it out"
    )
    group.add_argument("--list-presets", action="store_true", help="print the presets and the published figures")
    group.add_argument("--dry-run", action="store_true", help="print the model, try one batch, write nothing")
    group.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def main(argv: list[str] | None = None) -> int:
    import_parts(argv)
    arguments = build_parser().parse_args(argv)
    if arguments.list_presets:
        print(listing())
        return 0
    if arguments.change and not arguments.resume:
        raise UsageError("--change is for a run that is resumed: add --resume")
    if arguments.allow_changed_data and not arguments.resume:
        raise UsageError("--allow-changed-data is for a run that is resumed: add --resume")
    init = checkpoint.load(find_weights(arguments.init)) if arguments.init and not arguments.resume else None
    if arguments.resume:
        config = resumed_config(arguments)
    else:
        config = chosen_config(arguments, dataclasses.replace(init.config, seed=0) if init else None)
    backend = chosen_backend(arguments)
    if not arguments.quiet:
        for line in idle(config, given_flags(arguments)):
            print(f"note: {line}")
    dataset = resumed_data(arguments, config) if arguments.resume else data.load(config)
    if init and init.data:  # what the weights were trained on is no test image
        dataset = remembered(dataset, init.data)
    if config.preset == OWN and not (arguments.resume or arguments.config or (init and not arguments.preset)):
        config = suited(config, dataset, given_flags(arguments))
    # A run to resume and a configuration file know their number of workers; it decides how sums are rounded.
    if arguments.resume is None and arguments.config is None and "workers" not in arguments:
        config = dataclasses.replace(config, workers=default_workers(config))
    try:
        if arguments.dry_run:
            dry_run(config, dataset, backend)
            return 0
        return train(arguments, config, dataset, backend, init)
    except (MemoryError, ValueError) as error:
        if not is_too_big(error):
            raise
        reason = first_line(error)
    # The error is gone here, and with it the arrays of the training.
    raise too_large(config, dataset, backend, reason)


def train(
    arguments: argparse.Namespace, config: Config, dataset: DataSet, backend: Backend, init: Checkpoint | None
) -> int:
    """Fill a run folder, from its last epoch or from the weights of `init`; return the exit code."""
    folder = arguments.resume or new_folder(arguments.out, config)
    with Run(config, dataset, backend, folder, arguments.limit_batches, arguments.quiet) as training:
        if arguments.resume:
            training.resume(tuple(arguments.change), arguments.allow_changed_data)
        else:
            training.start(init, numbered=arguments.out is None)
        return fit(training)


def fit(training: Run) -> int:
    """Train and evaluate a run that is started or resumed. Returns the exit code."""
    resume = f"--resume {training.folder}"
    try:
        with limit_threads(training.trainer.threads):
            training.fit()
            training.finish()
    except OutputError as error:
        if not (training.folder / "checkpoint.npz").exists():
            raise
        raise OutputError(f"{error}, then resume with {resume}") from error
    except KeyboardInterrupt as stop:
        tell(
            f"\nstopped; {training.folder} holds epoch {training.epoch} of {training.config.epochs}; "
            f"resume with: python -m ramnp.train {resume}"
        )
        return code_of(stop)
    return 0


if __name__ == "__main__":
    run(main)
