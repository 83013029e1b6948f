"""`python -m ramnp.train`: train a model, recurrent attention or one to compare it with.

The result is a run folder.

| file             | content                                                                          |
|------------------|----------------------------------------------------------------------------------|
| config.json      | the resolved configuration, backend, versions, git revision                      |
| metrics.jsonl    | a line an epoch: losses, reward, validation error, images/s, gradient norms      |
| checkpoint.npz   | all that --resume needs                                                          |
| best.npz         | weights of the best epoch by validation error (--validation 0: of the last)      |
| result.json      | the three test errors of best.npz, in percent                                    |
| curves.png       | learning curves                                                                  |
| glimpses.png     | images, where the network looked, and what it saw; or, of a network that sees    |
| or answers.png   | the whole image, images with its answers                                         |

Exit codes: 0 fine; 1 the training diverged; 2 usage; 3 backend, data or checkpoint missing or damaged;
4 the results could not be written; 130 after Ctrl-C, with the last finished epoch saved.
"""

import argparse
import dataclasses
import functools
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import ramnp
from ramnp import checkpoint, data
from ramnp.backend import Array, Backend, get_backend
from ramnp.checkpoint import Checkpoint, write_atomically
from ramnp.cli import INTERRUPTED, Parser, add_config_flags, chosen_config, count, given_flags, read_json, run
from ramnp.config import Config, flag, idle
from ramnp.data.source import SPLITS, DataSet, Source
from ramnp.errors import CheckpointError, DivergenceError, OutputError, UsageError, first_line
from ramnp.evaluate import evaluate
from ramnp.models import build
from ramnp.optim import OPTIMIZERS, clip_gradients, learning_rate
from ramnp.presets import changes, listing, title
from ramnp.sensor import Canvas
from ramnp.workers import Layout, Rooms, Worker, arrays_in, quiet_overflow, shared, work

LOG_STEPS = 50  # between two looks at the losses, which on a GPU wait for all work to finish
VALIDATION_ROLLOUTS = 3  # for the averaged figure after each epoch; the final figures take 10

# Every stream of training is made from (seed, purpose, epoch), so a resumed run draws the same numbers.
ORDER, LOCATIONS = 1, 2


class Trainer:
    """The model and the optimizer, and one training step.

    On the CPU several processes can share a batch, this one and its `workers` (see `workers.py`). Two with a matrix
    product each keep two cores busier than one product on both.

    Attributes:
        totals: running sums over the steps since `reset`: losses by term, reward, gradient norms by part and
            in total. They stay on the backend until `means` fetches them.

    Raises:
        UsageError: the workers cannot share a batch evenly.
    """

    def __init__(self, config: Config, image_shape: tuple[int, int, int], classes: int, backend: Backend) -> None:
        self.config, self.backend, self.xp = config, backend, backend.xp
        self.model = build(config, image_shape, classes, backend, config.seed)
        self.rollouts = self.model.rollouts(config.rollouts)
        self.workers = config.workers if backend.xp is np else 1
        if config.batch_size % self.workers:
            raise UsageError(f"--workers {self.workers} cannot share --batch-size {config.batch_size} evenly")
        self.storage = self.model.storage(config.batch_size // self.workers * self.rollouts)
        self.others: list[Worker] = []  # beside this process; they are started by the first step
        self.rooms: Rooms | None = None
        if self.workers > 1:
            parameters = self.model.parameters
            layout: Layout = {"values": (parameters.values.shape, parameters.values.dtype)}
            self.memory = shared(layout)
            values = arrays_in(self.memory, layout)["values"]
            values[...] = parameters.values
            parameters.use(self.model, values, parameters.gradients)
        self.optimizer = OPTIMIZERS[config.optimizer](self.model.parameters, config, self.xp)
        self.spans = self.model.parameters.spans()
        self.reset()

    def reset(self) -> None:
        """Start the running sums anew."""
        self.steps = 0
        self.totals: Array = self.xp.zeros(len(self.model.terms) + 1 + len(self.spans) + 1, dtype=np.float64)

    @quiet_overflow
    def step(self, canvas: Canvas, labels: Array, randomness: Array, lr: float) -> None:
        """Forward, backward, update: one batch, and nothing brought to the host.

        Raises:
            UsageError: the batch is not of `batch_size` images.
            BackendError: a worker process has failed.
        """
        config, parameters = self.config, self.model.parameters
        if len(labels) != config.batch_size:
            raise UsageError(f"a step takes {config.batch_size} images, got {len(labels)}")
        first, *rest = (self.share(images, canvas, labels, randomness) for images in self.shares)
        if rest:
            self.start(canvas, rest)
        losses = work(self.model, config, first, self.storage).astype(np.float64)
        for worker in self.others:
            gradients, its_losses = worker.finish()
            parameters.gradients += gradients
            losses += its_losses
        if self.workers > 1:  # losses are means over the batch
            parameters.gradients /= self.workers
            losses /= self.workers
        squares = [self.xp.dot(parameters.gradients[span], parameters.gradients[span]) for span in self.spans.values()]
        norms = self.xp.sqrt(self.xp.stack([*squares, sum(squares)]))
        if config.clip:
            clip_gradients(parameters, norms[-1], config.clip, self.xp)
        self.optimizer.step(lr)
        self.totals += self.xp.concatenate([losses, norms])
        self.steps += 1

    def start(self, canvas: Canvas, rest: list[tuple[Canvas, Array, Array]]) -> None:
        """Have the other workers begin with their shares of a batch."""
        self.make_rooms(canvas.pixels.shape, canvas.pixels.dtype)
        room = self.rooms.find(canvas.pixels)
        if not self.others:
            self.others = [
                Worker(self.model, self.config, self.memory, self.rooms, images, share)
                for images, share in zip(self.shares[1:], rest, strict=True)
            ]
        for worker, (_, labels, randomness) in zip(self.others, rest, strict=True):
            worker.start(room, labels, randomness)

    def make_rooms(self, shape: tuple[int, ...], dtype: Any) -> list[Array] | None:
        """Where batches can be made in turn, so that nothing is copied for the workers; None: one worker needs none."""
        if self.workers == 1:
            return None
        if self.rooms is None:
            self.rooms = Rooms(shape, dtype)
        return self.rooms.pixels

    def batches(self, source: Source, epoch: int) -> Iterator[tuple[Canvas, Array, Array]]:
        """The batches of epoch number `epoch`, for `step`. Each stays until the next is asked for."""
        size, seed = self.config.batch_size, self.config.seed
        order, locations = (np.random.default_rng([seed, purpose, epoch]) for purpose in (ORDER, LOCATIONS))
        for canvas, labels in source.batches(size, order, self.make_rooms(*source.room(size))):
            yield canvas, labels, self.model.draw(locations, size * self.rollouts)

    def steps_per_epoch(self, source: Source) -> int:
        """How many those are.

        Raises:
            UsageError: there is no batch of images.
        """
        size = self.config.batch_size
        if size > len(source):
            raise UsageError(f"--batch-size {size} is more than the {len(source)} training images")
        return len(source) // size

    @property
    def shares(self) -> list[slice]:
        """Which images of a batch are whose: first this process', then the other workers'."""
        images = self.config.batch_size // self.workers
        return [slice(start, start + images) for start in range(0, self.config.batch_size, images)]

    def share(self, images: slice, canvas: Canvas, labels: Array, randomness: Array) -> tuple[Canvas, Array, Array]:
        """Some images of a batch of B, and of the randomness (T, M B, 2) that of their M rollouts."""
        by_image = randomness.reshape(len(randomness), self.rollouts, len(labels), 2)
        rows = by_image[:, :, images].reshape(len(randomness), self.rollouts * (images.stop - images.start), 2)
        return Canvas(canvas.pixels[images], canvas.margin), labels[images], rows

    @property
    def nbytes(self) -> int:
        """Bytes of the parameters, their gradients, the optimizer's state and the activations."""
        arrays = [self.model.parameters.values, *(getattr(self.optimizer, name) for name in self.optimizer.state)]
        of_each = [self.model.parameters.gradients, *chain(*self.storage.arrays().values())]
        return sum(array.nbytes for array in arrays) + self.workers * sum(array.nbytes for array in of_each)

    def means(self) -> dict[str, Any]:
        """The running sums as means over the steps: {"loss": {...}, "reward", "gradient_norm": {...}}."""
        means = (self.backend.to_host(self.totals) / max(self.steps, 1)).tolist()
        return {
            "loss": {term: means.pop(0) for term in self.model.terms},
            "reward": means.pop(0),
            "gradient_norm": dict(zip((*self.spans, "total"), means, strict=True)),
        }

    def finite(self) -> bool:
        """Whether all losses and gradients so far, and all parameters, are finite."""
        healthy = self.xp.isfinite(self.totals).all() & self.xp.isfinite(self.model.parameters.values).all()
        return bool(self.backend.to_host(healthy))

    def checkpoint(self, epoch: int, best: dict[str, Any] | None, seconds: float) -> Checkpoint:
        """All that is needed to go on from here. On NumPy these are views: save them before the next step."""
        host = self.backend.to_host
        return Checkpoint(
            config=self.config,
            image_shape=self.model.image_shape,
            classes=self.model.classes,
            epoch=epoch,
            best=best,
            seconds=seconds,
            parameters={name: host(self.model.parameters[name]) for name in self.model.parameters},
            optimizer={name: host(getattr(self.optimizer, name)) for name in self.optimizer.state},
        )

    def restore(self, saved: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: it does not fit.
        """
        saved.restore(self.model)
        for name in self.optimizer.state:
            mine = getattr(self.optimizer, name)
            if name not in saved.optimizer or saved.optimizer[name].shape != mine.shape:
                raise CheckpointError(f"{saved.path} holds no {name} that fits the {self.config.optimizer} optimizer")
            theirs = saved.optimizer[name]
            # Adam's step count stays on the host.
            mine[...] = theirs if isinstance(mine, np.ndarray) else self.backend.asarray(theirs)


class Run:
    """A run folder being filled, epoch by epoch.

    Args:
        config: what to train.
        dataset: its data.
        backend: where to train.
        folder: the run folder.
        limit_batches: train and evaluate on only so many batches an epoch.
        quiet: print nothing.

    Raises:
        UsageError: there is no batch of images, or the workers cannot share one evenly.
    """

    def __init__(
        self,
        config: Config,
        dataset: DataSet,
        backend: Backend,
        folder: Path,
        limit_batches: int | None = None,
        quiet: bool = False,
    ) -> None:
        self.config, self.dataset, self.folder, self.quiet = config, dataset, folder, quiet
        self.limit_batches = limit_batches
        self.trainer = Trainer(config, dataset.image_shape, dataset.classes, backend)
        margin = self.trainer.model.margin
        self.train, self.validation, self.test = (dataset.source(split, backend, margin) for split in SPLITS)
        self.steps_per_epoch = self.trainer.steps_per_epoch(self.train)
        self.epoch = 0
        self.best: dict[str, Any] | None = None
        self.seconds = 0.0
        self.metrics: list[dict[str, Any]] = []
        self.earlier_revisions: list[str | None] = []  # of the code, where others began the run

    def say(self, text: str) -> None:
        """Print a line above the progress bar, unless quiet."""
        if not self.quiet:
            tqdm.write(text, file=sys.stdout)

    def start(self) -> None:
        """Make the folder, with what it takes to resume the run from its very start.

        Raises:
            OutputError: that failed.
        """
        self.write_config()
        self.save()

    def resume(self) -> None:
        """Take up a run folder after its last finished epoch.

        Raises:
            CheckpointError: a checkpoint is missing, damaged, or of another configuration.
            UsageError: it holds more epochs than are wanted.
        """
        saved = checkpoint.load(self.folder / "checkpoint.npz")
        if saved.epoch > self.config.epochs:
            raise UsageError(f"--epochs {self.config.epochs}: {self.folder} holds {saved.epoch} epochs already")
        if saved.epoch and not (self.folder / "best.npz").is_file():
            raise CheckpointError(f"{self.folder}/best.npz is missing: restore it, or train anew")
        if dataclasses.replace(saved.config, epochs=self.config.epochs) != self.config:
            name = next(
                name for name, value in self.config.to_json().items()
                if value != getattr(saved.config, name) and name != "epochs"
            )  # fmt: skip
            raise CheckpointError(
                f"{self.folder}/checkpoint.npz belongs to another configuration: "
                f"its {name} is {getattr(saved.config, name)!r}, not {getattr(self.config, name)!r}"
            )
        self.trainer.restore(saved)
        self.epoch, self.best, self.seconds = saved.epoch, saved.best, saved.seconds
        # Lines of an epoch that did not reach its checkpoint are written again.
        self.metrics = [line for line in read_lines(self.folder / "metrics.jsonl") if line["epoch"] <= self.epoch]
        self.write_metrics()
        begun = read_json(self.folder / "config.json")
        revisions = [*begun.get("earlier_revisions", []), begun.get("git_revision")]
        self.earlier_revisions = [each for each in dict.fromkeys(revisions) if each != git_revision()]
        self.write_config()

    def write_config(self) -> None:
        """Write config.json."""
        description = {"config": self.config.to_json(), "limit_batches": self.limit_batches}
        description["backend"] = self.trainer.backend.name
        write_json(self.folder / "config.json", description | self.provenance())

    def provenance(self) -> dict[str, Any]:
        """Versions, machine kind and git revision, and the revisions of those that trained the epochs before."""
        return provenance() | {"earlier_revisions": self.earlier_revisions}

    def save(self) -> None:
        """Write checkpoint.npz."""
        checkpoint.save(self.folder / "checkpoint.npz", self.trainer.checkpoint(self.epoch, self.best, self.seconds))

    def write_metrics(self) -> None:
        """Write metrics.jsonl."""
        lines = "".join(json.dumps(line) + "\n" for line in self.metrics)
        write_atomically(self.folder / "metrics.jsonl", lambda file: file.write(lines.encode()))

    def fit(self) -> None:
        """Train up to the last epoch, saving after each.

        Raises:
            DivergenceError: something is no longer finite; the last finished epoch stays saved.
        """
        config, size = self.config, self.config.batch_size
        self.say("\n".join(heading(self.trainer, self.dataset)))
        if config.schedule != "constant" and config.epochs != config.decay_epochs:
            self.say(
                f"note: the learning rate falls over {config.decay_epochs} epochs (--decay-epochs), "
                f"and the run ends after {config.epochs} (--epochs)"
            )
        steps = min(self.steps_per_epoch, self.limit_batches or self.steps_per_epoch)
        with tqdm(
            total=config.epochs * steps * size,
            initial=self.epoch * steps * size,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=True if self.quiet else None,  # None: off where stderr is not a terminal
        ) as bar:
            while self.epoch < config.epochs:
                self.fit_epoch(steps, bar)

    def fit_epoch(self, steps: int, bar: tqdm) -> None:
        """Train one epoch, validate, save."""
        config, trainer, epoch = self.config, self.trainer, self.epoch + 1
        started = time.perf_counter()
        trainer.reset()
        for step, batch in enumerate(islice(trainer.batches(self.train, epoch), steps)):
            lr = learning_rate(config, self.epoch * self.steps_per_epoch + step, self.steps_per_epoch)
            trainer.step(*batch, lr)
            bar.update(config.batch_size)
            if (step + 1) % LOG_STEPS == 0 or step + 1 == steps:
                self.check_finite(epoch)
                means = trainer.means()
                bar.set_postfix_str(f"epoch {epoch}/{config.epochs}, training error {100 - 100 * means['reward']:.1f}%")
        trained = time.perf_counter() - started
        errors = None
        if len(self.validation):
            errors = evaluate(trainer.model, self.validation, VALIDATION_ROLLOUTS, self.limit_batches)
        self.seconds += time.perf_counter() - started
        self.epoch = epoch
        line = {"epoch": epoch, "lr": lr} | trainer.means()
        line |= {"validation_error": errors, "images_per_second": round(steps * config.batch_size / trained, 1)}
        self.metrics.append(line | {"seconds": round(self.seconds, 2)})
        if errors is None or self.best is None or errors["averaged"] < self.best["validation_error"]["averaged"]:
            self.best = {"epoch": epoch, "validation_error": errors} if errors else None
            self.save_best()
        self.write_metrics()
        self.save()
        validation = f"validation error {errors['averaged']:.2f} %  " if errors else ""
        self.say(
            f"epoch {epoch:>3}/{config.epochs}  training error {100 - 100 * line['reward']:.2f} %  "
            f"{validation}{line['images_per_second']:,.0f} images/s"
        )

    def check_finite(self, epoch: int) -> None:
        """Raise a DivergenceError if a loss, a gradient or a parameter is not finite."""
        if not self.trainer.finite():
            raise DivergenceError(
                f"the training diverged in epoch {epoch} (a loss or gradient is NaN or infinite); "
                f"{self.folder}/checkpoint.npz holds epoch {self.epoch}: try a smaller --lr or --clip"
            )

    def save_best(self) -> None:
        """Write best.npz: as checkpoint.npz, without the optimizer."""
        saved = self.trainer.checkpoint(self.epoch, self.best, self.seconds)
        checkpoint.save(self.folder / "best.npz", dataclasses.replace(saved, optimizer={}))

    def finish(self) -> None:
        """Evaluate the best epoch on the test split; write result.json and the pictures."""
        from ramnp.visualize import plot_curves, plot_images  # matplotlib takes its time

        best = checkpoint.load(self.folder / "best.npz")
        best.restore(self.trainer.model)
        errors = evaluate(self.trainer.model, self.test, limit_batches=self.limit_batches)
        result = {
            "preset": self.config.preset,
            "changed": changes(self.config),
            "seed": self.config.seed,
            "parameters": self.trainer.model.parameters.size,
            "seconds": round(self.seconds, 3),
            "epochs": self.epoch,
            "evaluated_epoch": best.epoch,
            "validation_error": self.best["validation_error"] if self.best else None,
            "test_error": errors,
            "limit_batches": self.limit_batches,
            "backend": self.trainer.backend.name,
        }
        write_json(self.folder / "result.json", result | self.provenance())
        if self.metrics:
            plot_curves(self.metrics, self.folder / "curves.png")
        picture = plot_images(self.trainer.model, self.test, self.folder, self.dataset.class_names)
        kinds = ", ".join(f"{kind} {error:.2f} %" for kind, error in errors.items())
        partly = f" on {self.limit_batches} batches only" if self.limit_batches else ""
        self.say(f"test error of epoch {best.epoch}{partly}: {kinds}")
        self.say(f"all of it is in {self.folder}; look at {picture}")


def heading(trainer: Trainer, dataset: DataSet) -> list[str]:
    """Lines on what is trained, on what, where."""
    config, backend = trainer.config, trainer.backend
    height, width, channels = dataset.image_shape
    where = backend.name + (f", {trainer.workers} workers" if trainer.workers > 1 else "")
    return [
        f"preset {title(config)} on {where}: {trainer.model.parameters.size:,} parameters",
        f"{config.dataset}, {height}x{width}x{channels}, {dataset.classes} classes; {len(dataset.train):,} training, "
        f"{len(dataset.validation):,} validation, {len(dataset.test):,} test images",
        *trainer.model.describe(),
    ]


def dry_run(config: Config, dataset: DataSet, backend: Backend) -> None:
    """Print the model, its shapes, its memory and the policy's spread, and try one batch."""
    trainer = Trainer(config, dataset.image_shape, dataset.classes, backend)
    model, parameters = trainer.model, trainer.model.parameters
    source = dataset.source("train", backend, model.margin)
    trainer.steps_per_epoch(source)  # there is a batch
    rows = config.batch_size * trainer.rollouts
    print("\n".join(heading(trainer, dataset)))
    print(f"\n{'parameter':<22}{'shape':>14}{'count':>12}")
    for name in parameters:
        shape = "x".join(map(str, parameters[name].shape))
        print(f"{name:<22}{shape:>14}{parameters[name].size:>12,}")
    print(f"{'total':<22}{'':>14}{parameters.size:>12,}")
    each = f" by each of {trainer.workers} workers" if trainer.workers > 1 else ""
    print(f"\n{'kept per step' + each:<22}{'shape':>22}")
    for part, arrays in trainer.storage.arrays().items():
        for array in arrays:
            print(f"{part:<22}{'x'.join(map(str, array.shape)):>22}")
    print(f"memory: {trainer.nbytes / 2**20:.1f} MiB of parameters, optimizer and activations for {rows} rollouts")
    trainer.step(*next(trainer.batches(source, epoch=1)), config.lr)
    loss = ", ".join(f"{part} {value:.4f}" for part, value in trainer.means()["loss"].items())
    if not trainer.finite():
        raise DivergenceError(f"the first batch gives a loss that is not finite ({loss})")
    print(f"one batch: loss {loss} (a guess costs {math.log(dataset.classes):.4f})")


def default_workers(config: Config) -> int:
    """Processes for a run that does not say how many: a core each, up to 4, as far as they share a batch evenly."""
    return max(n for n in range(1, min(count_cores(), 4) + 1) if config.batch_size % n == 0)


def provenance() -> dict[str, Any]:
    """Versions, machine kind and git revision, for the files of a run."""
    return {
        "versions": {"ramnp": ramnp.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "machine": f"{platform.system()} {platform.machine()}, {count_cores()} cores",
        "git_revision": git_revision(),
    }


def count_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def git_revision() -> str | None:
    """The revision of the source tree, with "-dirty" where it was changed; None outside a clone.

    Found once: what runs is the code of the start, whatever is written into the tree meanwhile, results among it.
    """
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    try:
        revision, changes = (
            # Without optional locks git only reads: a run must leave nothing behind in somebody's repository.
            subprocess.run(
                ["git", "--no-optional-locks", *command], cwd=here, capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision + ("-dirty" if changes else "")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write an object, indented."""
    write_atomically(path, lambda file: file.write((json.dumps(values, indent=2) + "\n").encode()))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file, up to the first line that is not one; none if there is no file."""
    lines: list[dict[str, Any]] = []
    if path.exists():
        for text in path.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                break
            if not isinstance(line, dict) or "epoch" not in line:
                break
            lines.append(line)
    return lines


def new_folder(out: Path | None, config: Config) -> Path:
    """The folder of a new run; without --out, one named after preset, seed and time, below runs/.

    Raises:
        UsageError: it exists and is not empty.
    """
    if out is None:
        now = datetime.now().strftime("%Y%m%d-%H%M%S")
        name = config.preset + ("-changed" if changes(config) else "")
        out = Path("runs") / f"{name}-seed{config.seed}-{now}"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder: choose another --out, or go on with --resume {out}")
    return out


def begun(folder: Path) -> tuple[Config, int | None]:
    """The configuration of a run folder, and its limit of batches.

    Raises:
        CheckpointError: its config.json is missing or damaged.
    """
    try:
        described = read_json(folder / "config.json")
        return Config.from_json(described["config"]), described["limit_batches"]
    except (UsageError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}/config.json is missing or damaged ({first_line(error)}): restore it, or delete {folder}"
        ) from error


def resumed_config(arguments: argparse.Namespace) -> Config:
    """The configuration of the run folder; only --epochs may change it. Takes over its --limit-batches, too.

    Raises:
        UsageError: a flag contradicts it.
        CheckpointError: its config.json is missing or damaged.
    """
    if not arguments.resume.is_dir():
        raise UsageError(f"--resume {arguments.resume}: there is no such run folder")
    saved, limit = begun(arguments.resume)
    for name, value in given_flags(arguments).items():
        if name != "epochs" and value != getattr(saved, name):
            raise UsageError(f"{flag(name)} {value}: a resumed run keeps its {name}, {getattr(saved, name)}")
    if arguments.limit_batches not in (None, limit):
        raise UsageError(f"--limit-batches {arguments.limit_batches}: a resumed run keeps its limit, {limit}")
    arguments.limit_batches = limit
    for name in ("preset", "config", "out"):
        if getattr(arguments, name) is not None:
            raise UsageError(f"{flag(name)} does not go with --resume, which takes all from the run folder")
    return dataclasses.replace(saved, epochs=getattr(arguments, "epochs", saved.epochs))


def build_parser() -> Parser:
    parser = Parser(prog="python -m ramnp.train", usage="%(prog)s [flags]", description=__doc__.split(": ", 1)[1])
    add_config_flags(parser)
    group = parser.add_argument_group("this run")
    group.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="of weights, order and samples (0)")
    group.add_argument("--backend", choices=("numpy", "cupy", "auto"), default="auto", help="(auto: a GPU if it works)")
    group.add_argument(
        "--workers", type=int, metavar="N", default=argparse.SUPPRESS,
        help="processes that share each batch on the CPU; the same number gives the same bits (the cores, up to 4)",
    )  # fmt: skip
    group.add_argument("--out", type=Path, metavar="DIR", help="the run folder (runs/PRESET-seedS-TIME)")
    group.add_argument("--resume", type=Path, metavar="DIR", help="go on with a run; only --epochs may change")
    group.add_argument("--limit-batches", type=count, metavar="N", help="train and evaluate on N batches an epoch only")
    group.add_argument("--list-presets", action="store_true", help="print the presets, with the figures to expect")
    group.add_argument("--dry-run", action="store_true", help="print the model, try one batch, write nothing")
    group.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    if arguments.list_presets:
        print(listing())
        return 0
    config = resumed_config(arguments) if arguments.resume else chosen_config(arguments)
    backend = get_backend(arguments.backend)
    if arguments.resume is None and arguments.config is None and "workers" not in arguments:
        config = dataclasses.replace(config, workers=default_workers(config))
    if not arguments.quiet:
        for line in idle(config, given_flags(arguments)):
            print(f"note: {line}")
    dataset = data.load(config)
    if arguments.dry_run:
        dry_run(config, dataset, backend)
        return 0
    folder = arguments.resume or new_folder(arguments.out, config)
    training = Run(config, dataset, backend, folder, arguments.limit_batches, arguments.quiet)
    if arguments.resume:
        training.resume()
    else:
        training.start()
    try:
        # One thread a product where processes share the batch already: with more, they would wait for each other.
        with threadpool_limits(1 if training.trainer.workers > 1 else None, user_api="blas"):
            training.fit()
            training.finish()
    except OutputError as error:
        raise OutputError(f"{error}, then go on with --resume {folder}") from error
    except KeyboardInterrupt:
        print(
            f"\nstopped; {folder} holds epoch {training.epoch} of {config.epochs}; "
            f"go on with: python -m ramnp.train --resume {folder}",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    run(main)
