"""A training run and its folder, from which a stopped run can be resumed.

`ramnp/train.py` lists the files in the folder.
"""

import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ramnp import schema
from ramnp.backend import Backend
from ramnp.config import Config
from ramnp.data.source import SPLITS, DataSet
from ramnp.errors import CheckpointError, DataError, DivergenceError, UnknownPartError, UsageError, first_line
from ramnp.files import LONGEST_JSON, open_regular, read_json, write_atomically, write_json
from ramnp.presets import changes, title
from ramnp.schema import SchemaError
from ramnp.training import checkpoint
from ramnp.training.folder import Lock, claim_new, clean, not_empty, unstarted
from ramnp.training.measure import answers
from ramnp.training.optim import learning_rate
from ramnp.training.progress import Bar
from ramnp.training.provenance import provenance
from ramnp.training.trained import transfer
from ramnp.training.trainer import Trainer

LOG_STEPS = 50  # steps between two looks at the losses; on a GPU, each look waits for all queued work
MAY_CHANGE = ("epochs", "import_", "data_path")  # fields of the configuration that may change when a run is resumed
# Fields that may change on request: the learning rate, and when the training ends.
CHANGEABLE = ("lr", "policy_lr", "schedule", "decay_epochs", "patience")
VALIDATION_ROLLOUTS = 3  # rollouts of the averaged figure after each epoch; the final figures average over 10


class Run:
    """Trains a model epoch by epoch and saves everything in a run folder.

    Call `start` for a new run or `resume` for a stopped one, then `fit`, then `finish`.

    Args:
        config: what to train, and how.
        dataset: the data.
        backend: where to train.
        folder: the run folder.
        limit_batches: train and evaluate on only this many batches per epoch; None for all.
        quiet: print nothing.

    Raises:
        UsageError: the training images do not fill one batch, or the workers cannot share it evenly; or there are no
            validation images to be patient with.
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
        if config.patience and not len(dataset.validation):
            raise UsageError(f"--patience {config.patience} needs validation images: there are none")
        self.trainer = Trainer(config, dataset.image_shape, dataset.classes, backend, dataset.train.labels)
        margin = self.trainer.model.margin
        self.train, self.validation, self.test = (dataset.source(split, backend, margin) for split in SPLITS)
        self.steps_per_epoch = self.trainer.steps_per_epoch(self.train)
        self.record = dataset.record()
        self.from_start = True  # whether the record has all images that this run was trained on
        self.epoch = 0
        self.best: dict[str, Any] | None = None
        self.seconds = 0.0
        self.metrics: list[dict[str, Any]] = []
        self.init: str | None = None
        self.changed: list[str] = []
        self.earlier: dict[str, list[str | None]] = {"earlier_revisions": [], "earlier_machines": []}
        self.lock: Lock | None = None

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes use the folder. A run is closed at the end of a `with`, too."""
        if self.lock:
            self.lock.release()
            self.lock = None

    def say(self, text: str) -> None:
        """Print a line above the progress bar, unless quiet."""
        if not self.quiet:
            Bar.write(text, file=sys.stdout)

    def start(self, init: checkpoint.Checkpoint | None = None, numbered: bool = False) -> None:
        """Make the folder and save the untrained model, so that the run can be resumed from the very start.

        Args:
            init: trained weights to start from; those that fit are taken (`transfer`).
            numbered: if the folder exists, make the next free one: its name followed by -2, -3, ...

        Raises:
            UsageError: the folder is not empty, or another process uses it; or no weights of `init` fit.
            OutputError: the files cannot be written.
        """
        if init:
            new = transfer(init, self.trainer.model, self.class_names)
            if init.data:  # what those weights were trained on is no test image here
                self.record = self.record.joined(init.data)
            source = "/".join(init.path.parts[-2:]) if init.path else "a model in memory"
            self.init = f"{source}, epoch {init.epoch}"
            self.say(f"starts from {self.init}; new weights: {', '.join(new) or 'none'}")
        self.lock = claim_new(self.folder, numbered)
        self.folder = self.lock.folder
        self.write_config()
        self.save()

    def resume(self, changing: tuple[str, ...] = (), changed_data: bool = False) -> None:
        """Restore the run after its last finished epoch, or at its start if it was stopped before the first checkpoint.

        Args:
            changing: fields of the configuration that may have changed since, besides `MAY_CHANGE`.
            changed_data: whether the data may have changed since.

        Raises:
            CheckpointError: a checkpoint is missing, damaged, or belongs to another configuration.
            DataError: the run was started with different data.
            UsageError: the run already has more epochs than the configuration asks for, or another process uses it.
            OutputError: a file cannot be written.
        """
        self.lock = Lock(self.folder)
        started_with = read_started(self.folder)
        self.init, self.changed = started_with.get("init"), started_with.get("changed_when_resumed", [])
        if unstarted(self.folder):  # stopped before the first checkpoint: nothing to restore
            if self.init:
                raise CheckpointError(
                    f"{self.folder} lacks the weights that it started from: "
                    f"start it again with --init and --out {self.folder}"
                )
            if not changed_data:
                self.check_data(started_with)
            self.save()
        else:
            saved = checkpoint.load(self.folder / "checkpoint.npz")
            self.check_config(saved, changing)
            self.trainer.restore(saved)
            if not changed_data:
                self.check_data(started_with)
            self.epoch, self.best, self.seconds = saved.epoch, saved.best, saved.seconds
            changed = self.remember(saved)
            self.restore_best()
            if changed:
                self.note_changed_data()
            # metrics.jsonl is written before the checkpoint: drop the line of an epoch that will be trained again.
            self.metrics = [line for line in read_lines(self.folder / "metrics.jsonl") if line["epoch"] <= self.epoch]
            self.write_metrics()
            self.note_changes(saved, changing)
        clean(self.folder)
        self.add_earlier(started_with)
        self.write_config()

    def check_data(self, started_with: dict[str, Any]) -> None:
        """Check that the run was started with these data. Runs of old versions do not say.

        Raises:
            DataError: it was started with others.
        """
        if started_with.get("data_sha256", self.record.sha256) != self.record.sha256:
            raise DataError(
                f"{self.folder} was started with different data: restore them, start a new run, or add "
                "--allow-changed-data"
            )

    def remember(self, saved: checkpoint.Checkpoint) -> bool:
        """Keep what a checkpoint knows of the data; return whether they have changed since."""
        if saved.data is None:
            self.from_start = not self.record.images  # nobody knows on which of the user's images it was trained
            return False
        changed, self.record = saved.data.sha256 != self.record.sha256, self.record.joined(saved.data)
        return changed

    def note_changed_data(self) -> None:
        """Note that the data have changed, and write what is known of them into the checkpoints."""
        self.changed.append(f"after epoch {self.epoch}: the data")
        self.save()
        if (self.folder / "best.npz").exists():
            checkpoint.save(self.folder / "best.npz", dataclasses.replace(self.load_best(), data=self.record))

    def note_changes(self, saved: checkpoint.Checkpoint, changing: tuple[str, ...]) -> None:
        """Note what is changed of the configuration of a checkpoint, and write the checkpoint with the new one."""
        for name in changing:
            if (old := getattr(saved.config, name)) != (new := getattr(self.config, name)):
                self.changed.append(f"after epoch {self.epoch}: {name} from {old} to {new}")
                self.save()

    def restore_best(self) -> None:
        """Check best.npz. If the run was stopped before it was written, write it now.

        Raises:
            CheckpointError: it is missing, damaged, or not the one of this run.
        """
        if self.epoch and self.best_epoch == self.epoch:
            # best.npz is written after the checkpoint, so the run may have been stopped in between: write it again.
            self.save_best()
        elif self.epoch and not (self.folder / "best.npz").is_file():
            raise CheckpointError(f"{self.folder}/best.npz is missing: restore it, or start a new run")
        elif self.epoch:
            self.load_best()

    def load_best(self) -> checkpoint.Checkpoint:
        """Read best.npz.

        Raises:
            CheckpointError: it is missing or damaged, or what it says of itself does not fit this run.
        """
        best = checkpoint.load(self.folder / "best.npz")
        self.check_config(best, CHANGEABLE)  # it may be older than a change
        if best.epoch != self.best_epoch:
            raise CheckpointError(
                f"{best.path} holds epoch {best.epoch}, but the best epoch of this run is {self.best_epoch}: "
                "restore it, or start a new run"
            )
        return best

    def check_config(self, saved: checkpoint.Checkpoint, changing: tuple[str, ...]) -> None:
        """Check that a checkpoint has this run's configuration, apart from `MAY_CHANGE` and `changing`, and not
        too many epochs.

        Raises:
            CheckpointError: it belongs to another configuration.
            UsageError: it already has more epochs than the configuration asks for.
        """
        if saved.epoch > self.config.epochs:
            raise UsageError(f"--epochs {self.config.epochs}: {self.folder} already has {saved.epoch} epochs")
        for name, value in self.config.to_json().items():
            if name not in (*MAY_CHANGE, *changing) and value != getattr(saved.config, name):
                raise CheckpointError(
                    f"{saved.path} belongs to another configuration: "
                    f"its {name} is {getattr(saved.config, name)!r}, not {value!r}"
                )

    def add_earlier(self, started_with: dict[str, Any]) -> None:
        """Note the code revisions and machines, if other than the present ones, that trained this run before."""
        now = provenance()
        for earlier, last in (("earlier_revisions", "git_revision"), ("earlier_machines", "machine")):
            known = dict.fromkeys([*started_with.get(earlier, []), started_with.get(last)])
            self.earlier[earlier] = [each for each in known if each != now[last]]

    def check_folder(self) -> None:
        """Check that the run folder is still there. Without this, a write would make it again, with half of its files.

        Raises:
            OutputError: it was deleted or moved.
        """
        if self.lock:
            self.lock.check()

    def write_config(self) -> None:
        """Write config.json."""
        self.check_folder()
        description: dict[str, Any] = {"config": self.config.to_json(), "limit_batches": self.limit_batches}
        description["backend"] = self.trainer.backend.name
        write_json(self.folder / "config.json", description | self.provenance())

    def provenance(self) -> dict[str, Any]:
        """Versions, machine, git revision and data of this run, and the revisions and machines that trained before."""
        history = {"init": self.init, "changed_when_resumed": self.changed}
        happened = {name: value for name, value in history.items() if value}
        return provenance() | {"data_sha256": self.record.sha256} | happened | self.earlier

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes 0..A-1."""
        return self.dataset.names()

    def snapshot(self) -> checkpoint.Checkpoint:
        """All that is needed to resume the run after its last finished epoch."""
        snapshot = self.trainer.checkpoint(self.epoch, self.best, self.seconds)
        known = self.record if self.from_start else None
        return dataclasses.replace(snapshot, class_names=self.class_names, data=known)

    @property
    def best_epoch(self) -> int:
        """The epoch in best.npz: that of the lowest validation error, or without validation images the last."""
        return self.best["epoch"] if self.best else self.epoch

    @property
    def out_of_patience(self) -> bool:
        """Whether the best epoch lies --patience epochs back. The checkpoint tells a resumed run which it was."""
        return 0 < self.config.patience <= self.epoch - self.best_epoch

    def is_best(self, errors: dict[str, float], loss: float) -> bool:
        """Whether an epoch with these validation errors and this loss is better than the best so far."""
        if self.best is None or errors["averaged"] != self.best["validation_error"]["averaged"]:
            return self.best is None or errors["averaged"] < self.best["validation_error"]["averaged"]
        return self.config.ties == "loss" and loss <= self.best.get("validation_loss", math.inf)

    def save(self) -> None:
        """Write checkpoint.npz."""
        self.check_folder()
        checkpoint.save(self.folder / "checkpoint.npz", self.snapshot())

    def write_metrics(self) -> None:
        """Write metrics.jsonl."""
        self.check_folder()
        lines = "".join(json.dumps(line) + "\n" for line in self.metrics)
        write_atomically(self.folder / "metrics.jsonl", lambda file: file.write(lines.encode()))

    def fit(self, on_epoch: Callable[[dict[str, Any]], bool | None] | None = None) -> None:
        """Train to the last epoch; validate and save after each.

        Args:
            on_epoch: called with the metrics of each epoch. If it returns True, the training ends there.

        Raises:
            DivergenceError: a loss, a gradient or a parameter is no longer finite. The last finished epoch stays saved.
            OutputError: a file cannot be written.
        """
        config, size = self.config, self.config.batch_size
        self.say("\n".join(heading(self.trainer, self.dataset)))
        if config.schedule != "constant" and config.epochs != config.decay_epochs:
            self.say(
                f"note: the learning rate decays over {config.decay_epochs} epochs (--decay-epochs), "
                f"but the run ends after {config.epochs} (--epochs)"
            )
        steps = min(self.steps_per_epoch, self.limit_batches or self.steps_per_epoch)
        with Bar(
            total=config.epochs * steps * size,
            initial=self.epoch * steps * size,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=True if self.quiet else None,  # None: off if stderr is not a terminal
        ) as bar:
            while self.epoch < config.epochs and not self.out_of_patience:
                self.fit_epoch(steps, bar)
                if on_epoch and on_epoch(self.metrics[-1]):
                    break
        if self.out_of_patience:
            self.say(
                f"ended after epoch {self.epoch}: no better validation error in {config.patience} epochs (--patience)"
            )

    def fit_epoch(self, steps: int, bar: Bar) -> None:
        """Train one epoch, validate, save."""
        config, trainer, epoch = self.config, self.trainer, self.epoch + 1
        started = time.perf_counter()
        trainer.reset()
        lr = 0.0
        for step, batch in enumerate(islice(trainer.batches(self.train, epoch), steps)):
            lr = learning_rate(config, self.epoch * self.steps_per_epoch + step, self.steps_per_epoch)
            trainer.step(batch, lr)
            bar.update(config.batch_size)
            if (step + 1) % LOG_STEPS == 0 or step + 1 == steps:
                self.check_finite(epoch)
                means = trainer.means()
                bar.set_postfix_str(f"epoch {epoch}/{config.epochs}, training error {100 - 100 * means['reward']:.1f}%")
        trained = time.perf_counter() - started  # without the validation, for images_per_second
        errors = loss = None
        if len(self.validation):
            found = answers(trainer.model, self.validation, VALIDATION_ROLLOUTS, self.limit_batches)
            errors, loss = found.errors(), round(found.loss, 6)
        self.seconds += time.perf_counter() - started
        self.epoch = epoch
        line = {"epoch": epoch, "lr": lr} | trainer.means()
        line |= {"validation_error": errors, "validation_loss": loss}
        line |= {"images_per_second": round(steps * config.batch_size / trained, 1)}
        self.metrics.append(line | {"seconds": round(self.seconds, 2)})
        if errors and loss is not None and self.is_best(errors, loss):
            self.best = {"epoch": epoch, "validation_error": errors, "validation_loss": loss}
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
                f"the training diverged in epoch {epoch} (a loss or gradient is NaN or infinite): "
                f"try a smaller --lr or --clip; {self.folder}/checkpoint.npz still holds epoch {self.epoch}"
            )

    def save_best(self) -> None:
        """Write best.npz, which is checkpoint.npz without the optimizer."""
        self.check_folder()
        checkpoint.save(self.folder / "best.npz", dataclasses.replace(self.snapshot(), optimizer={}))

    def finish(self) -> None:
        """Evaluate the best epoch on the test split; write result.json and the pictures.

        Raises:
            CheckpointError: best.npz is missing, damaged, or not that of this run.
            OutputError: a file cannot be written.
        """
        best = self.load_best()
        best.restore(self.trainer.model)
        found = answers(self.trainer.model, self.test, limit_batches=self.limit_batches)
        errors = found.errors()
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
            "balanced_test_error": found.balanced_errors(),
            "limit_batches": self.limit_batches,
            "backend": self.trainer.backend.name,
        }
        self.check_folder()
        write_json(self.folder / "result.json", result | self.provenance())
        # Whatever the surroundings do to matplotlib, which is slow to import as well, the figures are written.
        from ramnp.pictures.curves import plot_curves
        from ramnp.pictures.glimpses import plot_images

        if self.metrics:
            plot_curves(self.metrics, self.folder / "curves.png")
        picture = plot_images(self.trainer.model, self.test, self.folder, self.dataset.class_names)
        kinds = ", ".join(f"{kind} {error:.2f} %" for kind, error in errors.items())
        partly = f" on {self.limit_batches} batches only" if self.limit_batches else ""
        self.say(f"test error of epoch {best.epoch}{partly}: {kinds}")
        self.say(f"the results are in {self.folder}; look at {picture}")


def heading(trainer: Trainer, dataset: DataSet) -> list[str]:
    """The lines that describe a run: preset, backend, size of the model, data, parts of the model."""
    config, backend = trainer.config, trainer.backend
    height, width, channels = dataset.image_shape
    where = backend.name + (f", {trainer.workers} workers" if trainer.workers > 1 else "")
    return [
        f"preset {title(config)} on {where}: {trainer.model.parameters.size:,} parameters",
        f"{config.dataset}, {height}x{width}x{channels}, {dataset.classes} classes; {len(dataset.train):,} training, "
        f"{len(dataset.validation):,} validation, {len(dataset.test):,} test images",
        *(dataset.counts() if dataset.train.digests is not None else ()),
        *(f"note: {note}" for note in dataset.notes),
        *(f"warning: {warning}" for warning in dataset.warnings),
        *trainer.model.describe(),
    ]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The epochs in metrics.jsonl, up to the first damaged line; empty if there is no file.

    Raises:
        CheckpointError: the file cannot be read.
    """
    lines: list[dict[str, Any]] = []
    try:
        with open_regular(path) as file:
            content = file.read(LONGEST_JSON).decode(errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({error.strerror}): move it away") from error
    for text in content.splitlines():
        try:
            lines.append(schema.parse(text, schema.Metrics))
        except SchemaError:
            break
    return lines


def new_folder(out: Path | None, config: Config) -> Path:
    """The folder of a new run: `out`, or if None, a folder in runs/ named after preset, seed and time.

    Raises:
        UsageError: something is there that is not a folder, or in which a run was started.
    """
    if out is None:
        now = datetime.now().strftime("%Y%m%d-%H%M%S")
        name = config.preset + ("-changed" if changes(config) else "")
        return Path("runs") / f"{name}-seed{config.seed}-{now}"
    if out.exists() and not (out.is_dir() and unstarted(out)):
        raise not_empty(out)
    return out


def read_run_config(folder: Path) -> tuple[Config, int | None]:
    """Read the configuration of a run folder, and its --limit-batches.

    Raises:
        CheckpointError: config.json is missing or damaged.
        UnknownPartError: it names a part that is not registered.
    """
    described = read_started(folder)
    try:
        return Config.from_json(described["config"]), described["limit_batches"]
    except UnknownPartError as error:
        raise UnknownPartError(f"{folder}: {error}") from error
    except UsageError as error:
        raise damaged_config(folder, error) from error


def read_started(folder: Path) -> dict[str, Any]:
    """Read config.json of a run folder.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        return read_json(folder / "config.json", schema.RunConfigFile)
    except UsageError as error:
        raise damaged_config(folder, error) from error


def damaged_config(folder: Path, error: UsageError) -> CheckpointError:
    """The error about a config.json that cannot be used."""
    return CheckpointError(
        f"{folder}/config.json is missing or damaged ({first_line(error)}): restore it, or move {folder} away"
    )
