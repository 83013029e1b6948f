"""A run: a training up to its last epoch, and the folder that keeps it, so that it can be stopped and gone on with.

`train.py` says what is in the folder.
"""

import dataclasses
import json
import sys
import time
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ramnp.backend import Backend
from ramnp.config import Config
from ramnp.data.source import SPLITS, DataSet
from ramnp.errors import CheckpointError, DataError, DivergenceError, UsageError, first_line
from ramnp.files import read_json, write_atomically, write_json
from ramnp.presets import changes, title
from ramnp.training import checkpoint
from ramnp.training.measure import evaluate
from ramnp.training.optim import learning_rate
from ramnp.training.provenance import provenance
from ramnp.training.trainer import Trainer

LOG_STEPS = 50  # between two looks at the losses, which on a GPU wait for all work to finish
VALIDATION_ROLLOUTS = 3  # for the averaged figure after each epoch; the final figures take 10


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
        self.data_sha256 = dataset.sha256()
        self.epoch = 0
        self.best: dict[str, Any] | None = None
        self.seconds = 0.0
        self.metrics: list[dict[str, Any]] = []
        self.earlier: dict[str, list[str | None]] = {"earlier_revisions": [], "earlier_machines": []}

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
            DataError: it was begun on other images or labels.
            UsageError: it holds more epochs than are wanted.
        """
        saved = checkpoint.load(self.folder / "checkpoint.npz")
        if saved.epoch > self.config.epochs:
            raise UsageError(f"--epochs {self.config.epochs}: {self.folder} holds {saved.epoch} epochs already")
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
        begun, now = read_json(self.folder / "config.json"), provenance()
        if begun.get("data_sha256", self.data_sha256) != self.data_sha256:
            raise DataError(f"{self.folder} was begun on other images or labels: bring them back, or train anew")
        self.epoch, self.best, self.seconds = saved.epoch, saved.best, saved.seconds
        if self.epoch and self.best_epoch == self.epoch:
            self.save_best()  # it is written after the checkpoint, which may have been the last
        elif self.epoch and not (self.folder / "best.npz").is_file():
            raise CheckpointError(f"{self.folder}/best.npz is missing: restore it, or train anew")
        # Lines of an epoch that did not reach its checkpoint are written again.
        self.metrics = [line for line in read_lines(self.folder / "metrics.jsonl") if line["epoch"] <= self.epoch]
        self.write_metrics()
        for earlier, last in (("earlier_revisions", "git_revision"), ("earlier_machines", "machine")):
            known = dict.fromkeys([*begun.get(earlier, []), begun.get(last)])
            self.earlier[earlier] = [each for each in known if each != now[last]]
        self.write_config()

    def write_config(self) -> None:
        """Write config.json."""
        description = {"config": self.config.to_json(), "limit_batches": self.limit_batches}
        description["backend"] = self.trainer.backend.name
        write_json(self.folder / "config.json", description | self.provenance())

    def provenance(self) -> dict[str, Any]:
        """Versions, machine kind, git revision and data, and the revisions and machines that trained before."""
        return provenance() | {"data_sha256": self.data_sha256} | self.earlier

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are in best.npz: the best by validation error, or the last if none is held out."""
        return self.best["epoch"] if self.best else self.epoch

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
            trainer.step(batch, lr)
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
        self.write_metrics()
        self.save()
        if self.best_epoch == epoch:
            self.save_best()
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
        from ramnp.pictures.curves import plot_curves  # matplotlib takes its time
        from ramnp.pictures.glimpses import plot_images  # matplotlib takes its time

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
            f"{folder}/config.json is missing or damaged ({first_line(error)}): restore it, or move {folder} away"
        ) from error
