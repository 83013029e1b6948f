"""Training as a user meets it: the files of a run, what it prints, and its epochs."""

import io
import json
import os
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from running import (
    FIGURES,
    FILES,
    HELD_OUT,
    SMALL,
    TINY,
    TINY_DIGITS,
    assert_fails,
    assert_same_run,
    metrics,
    resolved,
)

from ramnp import evaluate, train
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.network.model import RecurrentAttentionModel
from ramnp.registry import PARTS
from ramnp.training import checkpoint, measure, run
from ramnp.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("fast")


# What a user sees of a whole run, on the real digits.


def test_a_run_ends_well_and_says_where_everything_is(real_run):
    process, folder = real_run
    assert process.returncode == 0, process.stderr
    for part in ("epoch   1/2", "epoch   2/2", "deterministic", "averaged", str(folder)):
        assert part in process.stdout


def test_without_a_terminal_there_is_no_progress_bar(real_run):
    assert real_run[0].stderr == ""
    assert "\r" not in real_run[0].stdout
    assert "\x1b" not in real_run[0].stdout


def test_a_run_writes_the_files_it_promises_and_no_others(real_run):
    folder = real_run[1]
    assert sorted(os.listdir(folder)) == FILES
    for name in FILES:
        assert f"| {name} " in train.__doc__
    for name in ("curves.png", "glimpses.png"):
        content = (folder / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000


def test_config_json_holds_the_configuration_and_where_it_ran(real_run):
    described = json.loads((real_run[1] / "config.json").read_text())
    config = Config.from_json(described["config"])
    assert (config.glimpses, config.batch_size, config.epochs, config.seed) == (3, 32, 2, 0)
    assert described["backend"] == "numpy"
    assert described["versions"]["numpy"] == np.__version__
    assert described["git_revision"] is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", described["git_revision"])


def test_metrics_have_a_line_an_epoch(real_run):
    lines = [json.loads(line) for line in (real_run[1] / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    for line in lines:
        assert set(line["loss"]) == {"action", "policy", "baseline"}
        assert list(line["gradient_norm"]) == ["glimpse", "core", "policy", "action", "baseline", "total"]
        assert list(line["validation_error"]) == FIGURES
        assert 2 < line["loss"]["action"] < 3  # a guess costs log(10) = 2.3
        assert 0 <= line["reward"] <= 1
        assert line["images_per_second"] > 0
        parts = [norm for part, norm in line["gradient_norm"].items() if part != "total"]
        assert max(parts) <= line["gradient_norm"]["total"] <= sum(parts)
    assert 0 < lines[0]["lr"] < lines[1]["lr"]
    assert lines[0]["seconds"] <= lines[1]["seconds"]


def test_result_json_holds_what_the_tables_need(real_run):
    result = json.loads((real_run[1] / "result.json").read_text())
    config = checkpoint.load(real_run[1] / "best.npz").config
    assert (result["preset"], result["seed"], result["limit_batches"]) == ("mnist-6", 0, 2)
    assert result["parameters"] == RecurrentAttentionModel(config, (28, 28, 1), 10).parameters.size
    assert result["seconds"] >= 0
    assert list(result["test_error"]) == FIGURES
    assert all(0 <= error <= 100 for error in result["test_error"].values())


def test_checkpoint_has_the_optimizer_and_best_does_not(real_run):
    last, best = (checkpoint.load(real_run[1] / name) for name in ("checkpoint.npz", "best.npz"))
    assert last.epoch == 2
    assert set(last.optimizer) == {"m", "v", "t"}
    assert last.optimizer["t"] == 4
    assert best.optimizer == {}
    lines = {line["epoch"]: line for line in metrics(real_run[1])}
    errors = {epoch: line["validation_error"] for epoch, line in lines.items()}
    loss = lines[best.epoch]["validation_loss"]
    assert last.best == {"epoch": best.epoch, "validation_error": errors[best.epoch], "validation_loss": loss}
    assert errors[best.epoch]["averaged"] == min(error["averaged"] for error in errors.values())


# What is printed.


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("quiet", "shown"), [([], True), (["--quiet"], False)])
def test_in_a_terminal_there_is_a_progress_bar_unless_quiet(tmp_path, monkeypatch, quiet, shown):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert train.main([*SMALL, *TINY, "--epochs", "1", "--out", str(tmp_path / "run"), *quiet]) == 0
    assert ("images/s" in sys.stderr.getvalue()) == shown


def test_quiet_prints_nothing(command, tmp_path):
    assert command(train.main, *SMALL, *TINY, "--epochs", 1, "--quiet", "--out", tmp_path / "run") == (0, "", "")
    assert (tmp_path / "run" / "result.json").exists()


def test_without_out_the_folder_is_named_after_preset_and_seed(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained("--epochs", 1, "--preset", "mnist-4", "--seed", 3)
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"mnist-4-changed-seed3-\d{8}-\d{6}", folder.name)  # the sizes here are not the preset's


def test_a_note_tells_when_the_run_ends_before_the_rate_has_fallen(trained, tmp_path):
    assert "--decay-epochs" in trained("--epochs", 1, "--out", tmp_path / "a")
    assert "--decay-epochs" not in trained("--epochs", 1, "--decay-epochs", 1, "--out", tmp_path / "b")


# The epochs.


def test_every_epoch_and_seed_has_its_own_order_and_samples(trained, tmp_path, monkeypatch):
    seen, step = [], Trainer.step

    def watched(self, batch, lr):
        seen.append((batch.labels.tobytes(), batch.randomness.tobytes()))
        step(self, batch, lr)

    monkeypatch.setattr(Trainer, "step", watched)
    trained("--epochs", 2, "--out", tmp_path / "a")
    trained("--epochs", 1, "--seed", 1, "--out", tmp_path / "b")
    assert len(seen) == 15
    assert len({labels for labels, _ in seen}) == len({randomness for _, randomness in seen}) == 15


def tell(monkeypatch, errors, losses=None):
    """Let the validation find these errors, and these losses. Returns the list of the parameters that are tested."""
    to_come, tested = list(zip(errors, losses or [1.0] * len(errors), strict=True)), []

    def told(model, source, rollouts=10, limit_batches=None):
        found = measure.answers(model, source, rollouts, limit_batches)
        if len(source) == HELD_OUT:
            error, loss = to_come.pop(0)
            return SimpleNamespace(errors=lambda: found.errors() | {"averaged": error}, loss=loss)
        tested.append({name: model.parameters[name].copy() for name in model.parameters})
        return found

    monkeypatch.setattr(run, "answers", told)
    return tested


@pytest.mark.parametrize(("worse", "chosen"), [([50.0, 60.0, 50.0], 1), ([50.0, 40.0, 45.0], 2), ([5.0, 4.0, 3.0], 3)])
def test_the_best_epoch_by_validation_is_the_one_that_is_tested(trained, tmp_path, monkeypatch, worse, chosen):
    tested = tell(monkeypatch, worse)
    trained("--epochs", 3, "--out", tmp_path / "run")
    best = checkpoint.load(tmp_path / "run" / "best.npz")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["evaluated_epoch"] == best.epoch == chosen
    assert result["validation_error"]["averaged"] == min(worse)
    for name, value in best.parameters.items():
        np.testing.assert_array_equal(tested[0][name], value)


@pytest.mark.parametrize(
    ("ties", "losses", "chosen"),
    [
        ("first", [1.0, 0.5, 0.2, 0.1], 1),
        ("loss", [1.0, 0.5, 0.7, 0.1], 2),  # the fourth has a higher error
        ("loss", [1.0, 1.0, 1.0, 0.1], 3),
        ("loss", [0.5, 1.0, 1.0, 0.1], 1),
    ],
)
def test_ties_in_the_validation_error(trained, tmp_path, monkeypatch, ties, losses, chosen):
    tell(monkeypatch, [40.0, 40.0, 40.0, 40.1], losses)
    trained("--epochs", 4, "--ties", ties, "--out", tmp_path / "run")
    assert checkpoint.load(tmp_path / "run" / "best.npz").epoch == chosen
    assert checkpoint.load(tmp_path / "run" / "checkpoint.npz").best["validation_loss"] == losses[chosen - 1]


def test_without_a_better_epoch_the_training_ends_when_patience_does(command, trained, tmp_path, monkeypatch):
    tell(monkeypatch, [50.0, 40.0, 45.0, 41.0, 1.0])
    folder = tmp_path / "run"
    out = trained("--epochs", 9, "--patience", 2, "--out", folder)
    assert "ended after epoch 4" in out
    result = json.loads((folder / "result.json").read_text())
    assert (result["epochs"], result["evaluated_epoch"]) == (4, 2)
    assert set(result["balanced_test_error"]) == set(result["test_error"])
    # Resumed, it knows that its patience is at an end, unless it is given more.
    assert "ended after epoch 4" in trained("--resume", folder)
    assert len(metrics(folder)) == 4
    assert_fails(command(train.main, "--resume", folder, "--patience", 3), 2, "--patience", "--change patience")
    trained("--resume", folder, "--patience", 3, "--change", "patience", "--epochs", 5)
    assert checkpoint.load(folder / "best.npz").epoch == 5


def test_a_run_with_patience_that_was_cut_resumes_to_the_same_bits(trained, tmp_path, monkeypatch):
    options = ("--patience", 2, "--ties", "loss", "--class-weights", "balanced", "--workers", 2)
    tell(monkeypatch, [50.0, 50.0, 50.0, 51.0, 52.0], [1.0, 0.8, 0.9, 0.7, 0.6])
    trained(*options, "--epochs", 9, "--out", tmp_path / "whole")
    tell(monkeypatch, [50.0, 50.0, 50.0], [1.0, 0.8, 0.9])
    trained(*options, "--epochs", 3, "--out", tmp_path / "parts")
    tell(monkeypatch, [51.0, 52.0], [0.7, 0.6])
    trained("--resume", tmp_path / "parts", "--epochs", 9)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert len(metrics(tmp_path / "parts")) == 4


def test_patience_without_validation_images_ends_with_2(command, tmp_path):
    options = (*SMALL, "--validation", 0, "--patience", 3, "--out", tmp_path / "run")
    assert_fails(command(train.main, *options), 2, "--patience 3 needs validation images")
    assert not (tmp_path / "run").exists()


def test_the_best_epoch_is_written_after_its_checkpoint(trained, tmp_path, monkeypatch):
    written, save = [], checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda path, saved: (written.append((path.name, saved.epoch)), save(path, saved))
    )
    trained("--epochs", 1, "--out", tmp_path / "run")
    assert written == [("checkpoint.npz", 0), ("checkpoint.npz", 1), ("best.npz", 1)]


# The dry run.


def test_a_dry_run_tells_parameters_and_spread_and_writes_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(train.main, *SMALL, *TINY, "--std", 0.25, "--dry-run", "--out", "run")
    assert (code, err) == (0, "")
    assert not list(tmp_path.iterdir())
    parameters = RecurrentAttentionModel(resolved(*SMALL), (28, 28, 1), 10).parameters
    total = re.search(r"^total +([\d,]+)$", out, re.MULTILINE)
    assert int(total[1].replace(",", "")) == parameters.size
    assert "3.50 pixels along x, 3.50 along y" in out
    for name in parameters:
        assert re.search(rf"^{re.escape(name)} ", out, re.MULTILINE)


def test_a_dry_run_that_diverges_ends_with_1(command):
    outcome = command(train.main, *SMALL, *TINY, "--dry-run", "--policy-weight", 1e300)
    assert_fails(outcome, 1)


# Every kind of network.


@pytest.mark.parametrize(
    "options",
    [
        ["--glimpses", 1],
        ["--core", "lstm", "--routing", "paper"],
        ["--scales", 3, "--squash", "clip"],
        ["--policy-hidden", 4, "--rollouts", 3],
        ["--dtype", "float64", "--squash", "linear"],
        ["--optimizer", "sgd", "--schedule", "linear", "--clip", 0],
        ["--optimizer", "muon", "--units", 64, "--glimpse-units", 80, "--muon-lr", 0.01],
        ["--validation", 0, "--schedule", "constant"],
        ["--patch", 28],
        ["--patch", 1, "--batch-size", 1],
        ["--glimpse-network", "conv", "--scales", 2],
        ["--first-location", "learned", "--glimpses", 1],
        ["--first-location", "centre"],
        ["--policy", "random"],
        ["--policy", "centre"],
        ["--model", "fc", "--fc-units", 8, "--rollouts", 3],
        ["--model", "cnn", "--fc-units", 8],
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_every_kind_of_network_can_be_tried_and_trained(command, trained, tmp_path, options):
    code, out, err = command(train.main, *SMALL, *TINY, *options, "--dry-run")
    assert (code, err) == (0, "")
    assert "one batch: loss action" in out
    trained("--epochs", 1, *options, "--limit-batches", 2, "--out", tmp_path / "run")
    assert evaluate.main([str(tmp_path / "run"), "--backend", "numpy"]) == 0


@pytest.mark.parametrize("glimpses", [1, 2])
def test_the_pictures_of_few_glimpses_can_be_drawn(tmp_path, monkeypatch, glimpses):
    monkeypatch.undo()
    monkeypatch.setitem(PARTS["dataset"], "mnist", TINY_DIGITS)
    folder = tmp_path / "run"
    arguments = [*SMALL, *TINY, "--glimpses", str(glimpses), "--epochs", "1", "--quiet", "--out", str(folder)]
    assert train.main(arguments) == 0
    assert sorted(os.listdir(folder)) == FILES


@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_a_run_of_a_whole_image_model_has_the_same_files_but_for_its_picture(tmp_path, monkeypatch, model):
    monkeypatch.undo()
    monkeypatch.setitem(PARTS["dataset"], "mnist", TINY_DIGITS)
    folder = tmp_path / "run"
    assert train.main([*SMALL, *TINY, "--model", model, "--epochs", "1", "--quiet", "--out", str(folder)]) == 0
    assert sorted(os.listdir(folder)) == sorted({*FILES, "answers.png"} - {"glimpses.png"})
    (line,) = metrics(folder)
    assert list(line["loss"]) == ["action"]
    assert list(line["gradient_norm"]) == ["hidden", "action", "total"]
    for error in (line["validation_error"], json.loads((folder / "result.json").read_text())["test_error"]):
        assert list(error) == FIGURES
        assert len(set(error.values())) == 1


def test_a_control_that_looks_at_the_centre_is_not_random(trained, tmp_path):
    trained("--policy", "centre", "--rollouts", 3, "--epochs", 1, "--out", tmp_path / "run")
    error = json.loads((tmp_path / "run" / "result.json").read_text())["test_error"]
    assert len(set(error.values())) == 1
    assert Trainer(resolved(*SMALL, "--policy", "centre", "--rollouts", 3), (28, 28, 1), 10, NUMPY).rollouts == 1
