"""The commands as a user meets them: what they write, what they say, and how they end."""

import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from interrupting import interrupt_after
from running import (
    REPOSITORY,
    SMALL,
    assert_fails,
    assert_same_arrays,
    assert_same_run,
    contents,
    metrics,
    resolved,
    run_module,
)

from ramnp import cli, errors, evaluate, train
from ramnp.backend import NUMPY
from ramnp.config import Config, describe, flag
from ramnp.data import DATASETS
from ramnp.data.generate import Scene
from ramnp.data.mnist import MNIST
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.network.model import RecurrentAttentionModel
from ramnp.pictures import curves, glimpses
from ramnp.presets import PRESETS
from ramnp.training import checkpoint, run
from ramnp.training.trainer import Trainer

FILES = ["best.npz", "checkpoint.npz", "config.json", "curves.png", "glimpses.png", "metrics.jsonl", "result.json"]
FIGURES = ["deterministic", "stochastic", "averaged"]
HELD_OUT = 40
TINY = ["--validation", str(HELD_OUT)]  # of the 200 training images below


def tiny_digits(config):
    """200 training and 50 test images as MNIST's, but random, so that a run takes no time."""
    rng = np.random.default_rng(0)
    splits = [Split(rng.integers(0, 256, (n, 28, 28, 1), np.uint8), rng.integers(0, 10, n)) for n in (200, 50)]
    return DataSet("mnist", 10, *hold_out(splits[0], config.validation), splits[1])


TINY_DIGITS = SimpleNamespace(load=tiny_digits)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """In this process: tiny data and no pictures. Commands in a process of their own have the real ones."""
    monkeypatch.setitem(DATASETS, "mnist", TINY_DIGITS)
    monkeypatch.setattr(curves, "plot_curves", lambda *args: None)
    monkeypatch.setattr(glimpses, "plot_glimpses", lambda *args: None)


@pytest.fixture
def command(capsys):
    """Run a command in this process as `python -m` would, on NumPy unless told: (exit code, stdout, stderr)."""

    def call(main, *arguments):
        if "--backend" not in arguments:
            arguments = ("--backend", "numpy", *arguments)
        with pytest.raises(SystemExit) as stopped:
            cli.run(lambda: main([str(argument) for argument in arguments]))
        return stopped.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def trained(command, tmp_path):
    """Train in this process with a small network, to a given folder or a resumed one."""

    def call(*arguments, expect=0):
        code, out, err = command(train.main, *(() if "--resume" in arguments else (*SMALL, *TINY)), *arguments)
        assert (code, err.strip() if expect == 0 else "") == (expect, "")
        return out

    return call


@pytest.fixture
def run_folder(trained, tmp_path):
    """A finished run of one epoch."""
    trained("--epochs", 1, "--out", tmp_path / "run")
    return tmp_path / "run"


# What a user sees of a whole run, on the real digits.


@pytest.fixture(scope="module")
def real_run(tmp_path_factory):
    """(process, run folder) of two short epochs on MNIST."""
    folder = tmp_path_factory.mktemp("real") / "run"
    return run_module("ramnp.train", *SMALL, "--epochs", 2, "--limit-batches", 2, "--out", folder), folder


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
    errors = {line["epoch"]: line["validation_error"] for line in metrics(real_run[1])}
    assert last.best == {"epoch": best.epoch, "validation_error": errors[best.epoch]}
    assert errors[best.epoch]["averaged"] == min(error["averaged"] for error in errors.values())


def test_evaluate_takes_a_run_folder_of_real_digits(real_run):
    process = run_module("ramnp.evaluate", real_run[1], "--rollouts", 2, "--backend", "numpy")
    assert (process.returncode, process.stderr) == (0, "")
    assert "10000 test images" in process.stdout
    for figure in FIGURES:
        assert re.search(rf"{figure} +\d+\.\d\d % error", process.stdout)


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


@pytest.mark.parametrize("module", ["ramnp.train", "ramnp.evaluate", "ramnp.reproduce", "ramnp.analysis"])
def test_help_of_a_command_ends_well(module):
    process = run_module(module, "--help")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith(f"usage: python -m {module}")


def test_help_lists_a_flag_for_every_field_of_the_configuration(command):
    code, out, err = command(train.main, "--help")
    assert (code, err) == (0, "")
    for name in describe(Config):
        assert re.search(rf"^  {flag(name)} ", out, re.MULTILINE), name
    assert "--list-presets" in out


def test_the_presets_can_be_listed(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(train.main, "--list-presets")
    assert (code, err) == (0, "")
    for name in PRESETS:
        assert re.search(rf"^{name} ", out, re.MULTILINE)
    assert not list(tmp_path.iterdir())


def test_a_note_tells_when_the_run_ends_before_the_rate_has_fallen(trained, tmp_path):
    assert "--decay-epochs" in trained("--epochs", 1, "--out", tmp_path / "a")
    assert "--decay-epochs" not in trained("--epochs", 1, "--decay-epochs", 1, "--out", tmp_path / "b")


# Where a configuration comes from.


def test_without_arguments_the_default_preset_is_taken():
    assert resolved() == PRESETS["mnist-6"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_taken_by_name(name):
    assert resolved("--preset", name) == PRESETS[name]


def test_a_flag_wins_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"units": 7, "glimpses": 5}))
    config = resolved("--preset", "mnist-6-paper", "--config", file, "--glimpses", 9)
    assert (config.routing, config.units, config.glimpses, config.preset) == ("paper", 7, 9, "mnist-6-paper")


def test_a_file_may_name_its_preset_and_a_flag_another(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"preset": "cluttered60-8", "units": 7}))
    assert resolved("--config", file) == dataclasses.replace(PRESETS["cluttered60-8"], units=7)
    assert resolved("--config", file, "--preset", "mnist-4") == dataclasses.replace(PRESETS["mnist-4"], units=7)


def test_the_config_json_of_a_run_gives_its_configuration_back(run_folder):
    expected = checkpoint.load(run_folder / "checkpoint.npz").config
    assert resolved("--config", run_folder / "config.json") == expected


def test_every_flag_sets_its_field():
    values = {"core": "lstm", "squash": "clip", "dtype": "float64", "routing": "paper", "optimizer": "sgd"}
    values |= {"schedule": "linear", "dataset": "mnist", "glimpse_network": "conv", "model": "cnn"}
    values |= {"policy": "random", "first_location": "centre", "reward": "gain"}
    for name, field in describe(Config).items():
        if name == "preset":
            continue
        value = values.get(name, {int: 3, float: 0.25, str: "some"}.get(field.kind))
        expected = str(Path(value).resolve()) if name == "data_path" else value
        assert getattr(resolved(flag(name), value), name) == expected


# Resuming.


@pytest.mark.parametrize(
    "options", [["--core", "rnn", "--optimizer", "adam"], ["--core", "lstm", "--optimizer", "sgd"]]
)
def test_two_epochs_are_one_epoch_and_one_resumed(trained, tmp_path, options):
    trained(*options, "--epochs", 2, "--out", tmp_path / "whole")
    trained(*options, "--epochs", 1, "--out", tmp_path / "parts")
    trained("--resume", tmp_path / "parts", "--epochs", 2)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert json.loads((tmp_path / "parts" / "result.json").read_text())["epochs"] == 2


@pytest.mark.parametrize("steps", [1, 5, 8])  # of 5 an epoch
def test_a_run_that_was_interrupted_resumes_to_the_same_bits(command, trained, tmp_path, steps):
    trained("--epochs", 2, "--out", tmp_path / "whole")
    cut = tmp_path / "cut"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, steps)
        code, _, err = command(train.main, *SMALL, *TINY, "--epochs", 2, "--out", cut)
    assert code == 130
    assert f"--resume {cut}" in err
    assert "Traceback" not in err
    assert not list(cut.glob("*.tmp"))
    assert checkpoint.load(cut / "checkpoint.npz").epoch == (steps > 5)
    trained("--resume", cut)
    assert_same_run(tmp_path / "whole", cut)


def test_a_run_killed_between_metrics_and_checkpoint_writes_its_line_once(command, trained, tmp_path, monkeypatch):
    trained("--epochs", 2, "--out", tmp_path / "whole")
    trained("--epochs", 1, "--out", tmp_path / "cut")
    extra = json.dumps({"epoch": 2, "lr": 0}) + '\n{"epoch": 3, "lr'
    with open(tmp_path / "cut" / "metrics.jsonl", "a") as file:
        file.write(extra)
    trained("--resume", tmp_path / "cut", "--epochs", 2)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("held_out", [0, HELD_OUT])
@pytest.mark.parametrize("left", ["older", "none"])
def test_a_run_killed_between_checkpoint_and_best_resumes_with_the_best(trained, tmp_path, held_out, left):
    best = tmp_path / "run" / "best.npz"
    trained("--epochs", 1, "--validation", held_out, "--out", tmp_path / "run")
    whole = contents(tmp_path / "run")
    best.unlink()
    if left == "older":
        saved = checkpoint.load(tmp_path / "run" / "checkpoint.npz")
        zeros = {name: np.zeros_like(value) for name, value in saved.parameters.items()}
        checkpoint.save(best, dataclasses.replace(saved, epoch=0, parameters=zeros, optimizer={}))
    trained("--resume", tmp_path / "run")
    after = contents(tmp_path / "run")
    assert after["best.npz"] == whole["best.npz"]
    errors = [json.loads(files["result.json"])["test_error"] for files in (whole, after)]
    assert errors[0] == errors[1]


def test_the_best_epoch_is_written_after_its_checkpoint(trained, tmp_path, monkeypatch):
    written, save = [], checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda path, saved: (written.append((path.name, saved.epoch)), save(path, saved))
    )
    trained("--epochs", 1, "--out", tmp_path / "run")
    assert written == [("checkpoint.npz", 0), ("checkpoint.npz", 1), ("best.npz", 1)]


def test_ctrl_c_ends_with_130_and_a_folder_that_resumes(tmp_path):
    folder = tmp_path / "run"
    # A process started in the background may ignore SIGINT: the first lines see to it that this one does not.
    code = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "runpy.run_module('ramnp.train', run_name='__main__', alter_sys=True)"
    )
    argv = [sys.executable, "-c", code, *SMALL, "--epochs", "100000", "--limit-batches", "1", "--out", str(folder)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=REPOSITORY, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            while "epoch   2/" not in process.stdout.readline():
                assert process.poll() is None, process.stderr.read()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert f"--resume {folder}" in err
    assert sorted(os.listdir(folder)) == ["best.npz", "checkpoint.npz", "config.json", "metrics.jsonl"]
    done = checkpoint.load(folder / "checkpoint.npz").epoch
    assert done >= 2
    process = run_module(
        "ramnp.train", "--resume", folder, "--epochs", done + 1, "--limit-batches", 1, "--backend", "numpy"
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert checkpoint.load(folder / "checkpoint.npz").epoch == done + 1


def test_a_finished_run_can_be_resumed_without_harm(trained, run_folder):
    before = contents(run_folder)
    trained("--resume", run_folder)
    after = contents(run_folder)
    assert before["checkpoint.npz"] == after["checkpoint.npz"]
    assert before["metrics.jsonl"] == after["metrics.jsonl"]


def test_resuming_without_held_out_images_keeps_the_last_epoch(trained, tmp_path):
    trained("--epochs", 1, "--validation", 0, "--out", tmp_path / "run")
    trained("--resume", tmp_path / "run", "--epochs", 2)
    assert checkpoint.load(tmp_path / "run" / "best.npz").epoch == 2
    assert [line["validation_error"] for line in metrics(tmp_path / "run")] == [None, None]


def test_the_advice_after_an_interrupt_goes_on_to_the_epochs_asked_for(command, trained, run_folder, monkeypatch):
    """A run resumed with more --epochs, interrupted, then resumed just as the message says."""
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 2)
        code, _, err = command(train.main, "--resume", run_folder, "--epochs", 3)
    assert code == 130
    trained(*err.split("python -m ramnp.train ")[1].split())
    assert checkpoint.load(run_folder / "checkpoint.npz").epoch == 3


def test_the_advice_after_an_interrupt_keeps_the_limit_on_batches(command, trained, tmp_path):
    options = ("--epochs", 2, "--limit-batches", 2)
    trained(*options, "--out", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 3)
        code, _, err = command(train.main, *SMALL, *TINY, *options, "--out", tmp_path / "cut")
    assert code == 130
    trained(*err.split("python -m ramnp.train ")[1].split())
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


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


@pytest.mark.parametrize(("worse", "chosen"), [([50.0, 60.0, 50.0], 1), ([50.0, 40.0, 45.0], 2), ([5.0, 4.0, 3.0], 3)])
def test_the_best_epoch_by_validation_is_the_one_that_is_tested(trained, tmp_path, monkeypatch, worse, chosen):
    errors_to_come, tested = list(worse), []

    def told(model, source, rollouts=10, limit_batches=None):
        errors = evaluate.evaluate(model, source, rollouts, limit_batches)
        if len(source) == HELD_OUT:
            return errors | {"averaged": errors_to_come.pop(0)}
        tested.append({name: model.parameters[name].copy() for name in model.parameters})
        return errors

    monkeypatch.setattr(run, "evaluate", told)
    trained("--epochs", 3, "--out", tmp_path / "run")
    best = checkpoint.load(tmp_path / "run" / "best.npz")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["evaluated_epoch"] == best.epoch == chosen
    assert result["validation_error"]["averaged"] == min(worse)
    for name, value in best.parameters.items():
        np.testing.assert_array_equal(tested[0][name], value)


# Usage errors: exit code 2.


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("--unit", "--units"),
        ("--epoch=3", "--epochs"),
        ("--wat-units", "--what-units"),
        ("--limitbatches", "--limit-batches"),
    ],
)
def test_an_unknown_flag_is_answered_with_the_nearest(command, word, suggestion):
    assert_fails(command(train.main, word), 2, word.split("=")[0], f"did you mean {suggestion}?")


@pytest.mark.parametrize("word", ["--zzzzzzzz", "surplus", "-x"])
def test_an_unknown_word_is_named(command, word):
    outcome = command(train.main, word)
    assert_fails(outcome, 2, word)
    assert "did you mean" not in outcome[2]


@pytest.mark.parametrize("word", ["", " "])
def test_an_empty_word_is_refused(command, word):
    assert_fails(command(train.main, word), 2)


def test_an_unknown_flag_ends_a_real_process_with_2():
    assert_fails(run_module("ramnp.train", "--unitz", "16"), 2, "--unitz", "did you mean --units?")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--units", "many"],
        ["--units", "0"],
        ["--units", "1.5"],
        ["--units"],
        ["--units="],
        ["--core", "gru"],
        ["--lr", "nan"],
        ["--lr", "inf"],
        ["--lr", "-1"],
        ["--lr", "fast"],
        ["--std", "0"],
        ["--momentum", "1"],
        ["--seed", "-1"],
        ["--seed", "x"],
        ["--backend", "torch"],
        ["--preset", "mnist-7"],
        ["--dataset", "imagenet"],
        ["--limit-batches", "0"],
        ["--limit-batches", "-3"],
        ["--validation", "200"],
        ["--batch-size", "161", *TINY],
        ["--resume", "there-is-no-such-folder"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry"])
def test_a_bad_value_ends_with_2_and_is_named(command, tmp_path, monkeypatch, arguments, dry):
    monkeypatch.chdir(tmp_path)
    assert_fails(command(train.main, *arguments, *dry), 2, arguments[0].rstrip("="))


def test_a_bad_value_leaves_no_folder_behind(command, tmp_path):
    command(train.main, "--batch-size", 161, *TINY, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--units", 10**7], ["--batch-size", 10**12], ["--scales", 40], ["--scales", 100], ["--patch", 10**9]],
    ids=lambda arguments: f"{arguments[0]} {arguments[1]}",
)
def test_sizes_beyond_all_memory_are_a_usage_error(command, tmp_path, arguments):
    assert_fails(command(train.main, *SMALL, *TINY, *arguments, "--out", tmp_path / "run"), 2)


@pytest.mark.parametrize("name", ["--units", "--what-units", "--policy-hidden", "--rollouts"])
def test_sizes_beyond_any_array_are_a_usage_error(command, name):
    assert_fails(command(train.main, *SMALL, *TINY, name, 10**22, "--dry-run"), 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        '"units"',
        '{"preset": "none"}',
        '{"preset": ["mnist-6"]}',
        '{"unit": 5}',
        '{"units": "5"}',
        '{"config": {"units": 0}}',
        "\udcff",
    ],
)
def test_a_bad_configuration_file_is_a_usage_error(command, tmp_path, text):
    (tmp_path / "c.json").write_bytes(text.encode(errors="surrogateescape"))
    assert_fails(command(train.main, "--config", tmp_path / "c.json"), 2)


@pytest.mark.parametrize("value", [5, None, "units", ["units"], [["units", 5]]])
def test_a_configuration_that_is_no_object_is_a_usage_error(command, tmp_path, value):
    (tmp_path / "c.json").write_text(json.dumps({"config": value}))
    assert_fails(command(train.main, "--config", tmp_path / "c.json"), 2)


def test_a_missing_configuration_file_is_a_usage_error(command, tmp_path):
    assert_fails(command(train.main, "--config", tmp_path / "none.json"), 2, tmp_path / "none.json")


def test_a_folder_in_place_of_a_configuration_file_is_a_usage_error(command, tmp_path):
    assert_fails(command(train.main, "--config", tmp_path), 2, tmp_path)


def test_out_that_is_not_empty_is_refused_and_left_alone(command, run_folder):
    before = contents(run_folder)
    assert_fails(command(train.main, *SMALL, *TINY, "--out", run_folder), 2, run_folder, "--resume")
    assert contents(run_folder) == before


def test_out_that_is_a_file_is_refused_and_left_alone(command, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert_fails(command(train.main, *SMALL, *TINY, "--out", tmp_path / "file"), 2, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_out_that_is_an_empty_folder_is_used(trained, tmp_path):
    (tmp_path / "run").mkdir()
    trained("--epochs", 1, "--out", tmp_path / "run")
    assert (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--units", 17],
        ["--seed", 1],
        ["--core", "lstm"],
        ["--lr", 0.5],
        ["--preset", "mnist-6"],
        ["--config", "c.json"],
        ["--out", "elsewhere"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_resume_refuses_what_contradicts_the_run(command, run_folder, arguments):
    before = contents(run_folder)
    assert_fails(command(train.main, "--resume", run_folder, *arguments), 2, arguments[0])
    assert contents(run_folder) == before


def test_resume_accepts_a_flag_that_agrees(trained, run_folder):
    trained("--resume", run_folder, "--units", 16, "--lr", "1e-3", "--seed", 0, "--epochs", 2)
    assert checkpoint.load(run_folder / "checkpoint.npz").epoch == 2


# A missing or damaged backend, data set or checkpoint: exit code 3.


@pytest.mark.parametrize("kept", [0, 100, 5000, -1])
def test_resume_from_a_truncated_checkpoint_ends_with_3(command, run_folder, kept):
    path = run_folder / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:kept])
    before = contents(run_folder)
    assert_fails(command(train.main, "--resume", run_folder, "--epochs", 2), 3, path)
    assert contents(run_folder) == before


def test_resume_without_a_checkpoint_ends_with_3(command, run_folder):
    (run_folder / "checkpoint.npz").unlink()
    outcome = command(train.main, "--resume", run_folder)
    assert_fails(outcome, 3, run_folder / "checkpoint.npz")


@pytest.mark.parametrize(
    ("other", "name"), [(["--units", 17], "units"), (["--seed", 1], "seed"), (["--lr", 0.5], "lr")]
)
def test_resume_from_the_checkpoint_of_another_configuration_ends_with_3(
    command, trained, run_folder, tmp_path, other, name
):
    trained("--epochs", 1, *other, "--out", tmp_path / "other")
    shutil.copy(tmp_path / "other" / "checkpoint.npz", run_folder)
    outcome = command(train.main, "--resume", run_folder)
    assert_fails(outcome, 3, run_folder / "checkpoint.npz", "another configuration", f"its {name} is")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"side": 24}, "(16, 16, 1) in 3 classes, and these have (24, 24, 1) in 3"),
        ({"image": 59}, "was started with different data"),
        ({"label": 0}, "was started with different data"),
    ],
    ids=["shape", "images", "labels"],
)
def test_resume_on_other_data_ends_with_3_and_changes_nothing(command, tmp_path, change, said):
    def data(side=16, image=None, label=None):
        images, labels = np.random.default_rng(0).random((60, side, side)), np.arange(60) % 3
        if image is not None:
            images[image] = 1 - images[image]
        if label is not None:
            labels[label] = 1
        np.savez(tmp_path / "own.npz", images=images, labels=labels)

    data()
    flags = ("--dataset", "arrays", "--data-path", tmp_path / "own.npz", "--validation", 10, "--batch-size", 8)
    assert command(train.main, *flags, "--epochs", 1, "--out", tmp_path / "run")[0] == 0
    before = contents(tmp_path / "run")
    data(**change)
    outcome = command(train.main, "--resume", tmp_path / "run", "--epochs", 2)
    assert_fails(outcome, 3, tmp_path / "run", said)
    assert contents(tmp_path / "run") == before


def test_a_run_of_before_its_data_were_kept_can_be_gone_on_with(trained, run_folder):
    config = json.loads((run_folder / "config.json").read_text())
    kept = config.pop("data_sha256")
    (run_folder / "config.json").write_text(json.dumps(config))
    trained("--resume", run_folder, "--epochs", 2)
    for name in ("config.json", "result.json"):
        assert json.loads((run_folder / name).read_text())["data_sha256"] == kept


def test_resume_from_weights_without_an_optimizer_ends_with_3(command, run_folder):
    shutil.copy(run_folder / "best.npz", run_folder / "checkpoint.npz")
    outcome = command(train.main, "--resume", run_folder, "--epochs", 2)
    assert_fails(outcome, 3, run_folder / "checkpoint.npz")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"config": {"unit": 5}}', '{"config": 5}', "\udcff"])
def test_resume_with_a_damaged_config_json_ends_with_3(command, run_folder, text):
    (run_folder / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    outcome = command(train.main, "--resume", run_folder)
    assert_fails(outcome, 3, run_folder / "config.json")


@pytest.mark.parametrize("text", ["\udcff\n", "5\n", "{}\n", "[]\n", "\0\n"])
def test_resume_gets_over_damaged_metrics(trained, run_folder, text):
    """The log is not needed to go on: lines up to the damage are kept."""
    with open(run_folder / "metrics.jsonl", "ab") as file:
        file.write(text.encode(errors="surrogateescape"))
    trained("--resume", run_folder, "--epochs", 2)
    assert [line["epoch"] for line in metrics(run_folder)] == [1, 2]


def test_a_damaged_data_file_ends_with_3(command, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", MNIST)
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    shutil.copytree(REPOSITORY / "datasets" / "mnist", tmp_path / "mnist")
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100_000])
    assert_fails(command(train.main, *SMALL, "--out", tmp_path / "run"), 3, path)
    assert not (tmp_path / "run").exists()


def test_missing_data_without_network_ends_with_3(tmp_path):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = nowhere | {"no_proxy": "", "NO_PROXY": "", "RAMNP_DATA": str(tmp_path)}
    process = run_module("ramnp.train", *SMALL, "--out", tmp_path / "run", env=environment)
    assert_fails(process, 3, "train-images-idx3-ubyte.gz", "RAMNP_DATA")


@pytest.mark.parametrize("main", [train.main, evaluate.main])
def test_without_cupy_its_backend_ends_with_3_and_says_what_to_install(command, run_folder, monkeypatch, main):
    monkeypatch.setitem(sys.modules, "cupy", None)
    arguments = ["--out", run_folder / "new"] if main is train.main else [run_folder]
    assert_fails(command(main, "--backend", "cupy", *arguments), 3, "pip install", "--backend numpy")


def test_a_cupy_that_fails_with_many_lines_is_reported_in_one(command, tmp_path, monkeypatch):
    (tmp_path / "cupy.py").write_text("raise ImportError('\\n====\\nFailed to import CuPy.\\n\\nlibcublas is missing')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert_fails(command(train.main, *TINY, "--backend", "cupy"), 3, "pip install")


def test_auto_falls_back_to_numpy(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    trained("--epochs", 1, "--backend", "auto", "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["backend"] == "numpy"


# Divergence: exit code 1.


def test_a_run_that_diverges_at_once_ends_with_1_and_an_untrained_checkpoint(command, tmp_path):
    folder = tmp_path / "run"
    outcome = command(train.main, *SMALL, *TINY, "--lr", 1e30, "--clip", 0, "--warmup-epochs", 0, "--out", folder)
    assert_fails(outcome, 1, "diverged in epoch 1", folder / "checkpoint.npz", "--lr")
    saved = checkpoint.load(folder / "checkpoint.npz")
    assert saved.epoch == 0
    assert all(np.isfinite(value).all() for value in saved.parameters.values())


def test_a_run_that_diverges_later_keeps_the_last_good_epoch(command, trained, tmp_path, monkeypatch):
    trained("--epochs", 1, "--out", tmp_path / "good")
    folder, right = tmp_path / "run", run.learning_rate
    monkeypatch.setattr(run, "learning_rate", lambda *args: right(*args) if args[1] < 7 else float("nan"))
    assert_fails(command(train.main, *SMALL, *TINY, "--epochs", 3, "--out", folder), 1, "epoch 2", "holds epoch 1")
    assert checkpoint.load(folder / "checkpoint.npz").epoch == 1
    assert_same_arrays(folder / "checkpoint.npz", tmp_path / "good" / "checkpoint.npz")
    assert metrics(folder) == metrics(tmp_path / "good")


def test_a_dry_run_that_diverges_ends_with_1(command):
    outcome = command(train.main, *SMALL, *TINY, "--dry-run", "--policy-weight", 1e300)
    assert_fails(outcome, 1)


# Results that cannot be written: exit code 4.


def test_a_full_disk_ends_with_4_and_the_run_can_go_on_later(command, trained, tmp_path, monkeypatch):
    trained("--epochs", 2, "--out", tmp_path / "whole")
    folder, written, savez = tmp_path / "run", [], np.savez

    def full_later(file, **arrays):
        written.append(1)
        if len(written) > 3:  # at the start, and the two files of epoch 1
            file.write(b"PK")
            raise OSError(28, "No space left on device")
        savez(file, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full_later)
        assert_fails(command(train.main, *SMALL, *TINY, "--epochs", 2, "--out", folder), 4, "No space left on device")
    assert not list(folder.glob("*.tmp"))
    assert checkpoint.load(folder / "checkpoint.npz").epoch == 1
    trained("--resume", folder)
    assert_same_run(tmp_path / "whole", folder)


@pytest.mark.skipif(os.name != "posix", reason="needs a shell with ulimit")
def test_a_file_the_system_refuses_to_write_ends_with_4(tmp_path):
    """A limit on file sizes is met in the middle of a checkpoint, as a full disk would be."""
    argv = [
        sys.executable,
        "-m",
        "ramnp.train",
        *SMALL,
        "--limit-batches",
        "1",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "run"),
    ]  # several workers share a file, in memory, which the limit would meet first
    process = subprocess.run(
        ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *argv],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert_fails(process, 4, tmp_path / "run" / "checkpoint.npz", "free some space")
    assert os.listdir(tmp_path / "run") == ["config.json"]


def test_an_out_below_a_file_ends_with_4(command, tmp_path):
    (tmp_path / "file").touch()
    assert_fails(command(train.main, *SMALL, *TINY, "--out", tmp_path / "file" / "run"), 4, tmp_path / "file")


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


@pytest.mark.parametrize(
    "options",
    [
        ["--glimpses", 1],
        ["--core", "lstm", "--routing", "paper"],
        ["--scales", 3, "--squash", "clip"],
        ["--policy-hidden", 4, "--rollouts", 3],
        ["--dtype", "float64", "--squash", "linear"],
        ["--optimizer", "sgd", "--schedule", "linear", "--clip", 0],
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
    monkeypatch.setitem(DATASETS, "mnist", TINY_DIGITS)
    folder = tmp_path / "run"
    arguments = [*SMALL, *TINY, "--glimpses", str(glimpses), "--epochs", "1", "--quiet", "--out", str(folder)]
    assert train.main(arguments) == 0
    assert sorted(os.listdir(folder)) == FILES


@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_a_run_of_a_whole_image_model_has_the_same_files_but_for_its_picture(tmp_path, monkeypatch, model):
    monkeypatch.undo()
    monkeypatch.setitem(DATASETS, "mnist", TINY_DIGITS)
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


@pytest.mark.parametrize("options", [["--model", "cnn"], ["--policy", "random"], ["--first-location", "learned"]])
def test_runs_of_the_other_models_resume_to_the_same_bits(trained, tmp_path, options):
    trained(*options, "--epochs", 2, "--out", tmp_path / "whole")
    trained(*options, "--epochs", 1, "--out", tmp_path / "parts")
    trained("--resume", tmp_path / "parts", "--epochs", 2)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


# Evaluation.


@pytest.mark.parametrize("first", ["uniform", "centre"])
def test_evaluate_tells_the_error_by_first_location(command, trained, tmp_path, first):
    trained("--epochs", 1, "--first-location", first, "--out", tmp_path / "run")
    code, out, err = command(evaluate.main, tmp_path / "run", "--first-locations", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    starts = np.array(told["first_locations"]["error"])
    assert starts.shape == (3, 3)
    if first == "centre":  # the middle of the grid
        assert starts[1, 1] == told["error"]["deterministic"]
    assert 0 <= told["first_locations"]["same_answer"] <= 100
    text = command(evaluate.main, tmp_path / "run", "--first-locations")[1]
    assert f"{told['first_locations']['same_answer']:.2f} % of the images" in text


def test_the_places_of_the_first_glimpse_are_laid_out_as_the_image_is(command, run_folder, monkeypatch):
    """A model that is wrong exactly where it starts at the top left."""
    seen = []
    right = RecurrentAttentionModel.forward

    def forward(self, canvas, randomness, **options):
        rollout = right(self, canvas, randomness, **options)
        x, y = randomness[0].T
        if not seen:
            labels = np.zeros(len(x), dtype=int)
            rollout.log_p[...] = np.eye(10)[np.where((x < 0) & (y < 0), 1, labels)]
            seen.append(True)
        return rollout

    monkeypatch.setattr(RecurrentAttentionModel, "forward", forward)
    monkeypatch.setitem(DATASETS, "mnist", SimpleNamespace(load=zeros))
    told = json.loads(command(evaluate.main, run_folder, "--first-locations", "--json")[1])["first_locations"]
    assert told == {"error": [[100, 0, 0], [0, 0, 0], [0, 0, 0]], "same_answer": 0}


def zeros(config):
    """As `tiny_digits`, but every label is 0."""
    digits = tiny_digits(config)
    return dataclasses.replace(digits, test=Split(digits.test.images, 0 * digits.test.labels))


@pytest.mark.parametrize("options", [["--model", "fc"], ["--policy", "random"], ["--first-location", "learned"]])
def test_first_locations_of_a_model_that_has_none_to_choose_end_with_2(command, trained, tmp_path, options):
    trained("--epochs", 1, *options, "--out", tmp_path / "run")
    assert_fails(command(evaluate.main, tmp_path / "run", "--first-locations"), 2, "--first-locations")


def test_evaluate_on_drawings_of_the_test_images(command, trained, tmp_path, monkeypatch):
    scene = Scene(30, 2, 8)
    monkeypatch.setitem(DATASETS, "mnist", SimpleNamespace(load=lambda config: composed(config, scene)))
    trained("--epochs", 1, "--out", tmp_path / "run")
    told = json.loads(command(evaluate.main, tmp_path / "run", "--redrawn", 2, "--rollouts", 3, "--json")[1])
    model = checkpoint.load(tmp_path / "run" / "best.npz").model()
    source = composed(model.config, scene).source("test", NUMPY, model.margin)
    errors = [evaluate.evaluate(model, source.redrawn(number), rollouts=3) for number in range(3)]
    assert [told["error"], *told["redrawn"]] == errors
    text = command(evaluate.main, tmp_path / "run", "--redrawn", 2, "--rollouts", 3)[1]
    assert f"redrawn, 2: deterministic {errors[2]['deterministic']:.2f} %" in text
    error = errors[0]["averaged"]
    assert f"{error:6.2f} % error, standard error {(error * (100 - error) / len(source)) ** 0.5:.2f}" in text


def composed(config, scene):
    """As `tiny_digits`, but composed."""
    return dataclasses.replace(tiny_digits(config), scene=scene)


def test_images_that_are_not_composed_cannot_be_drawn_anew(command, run_folder, monkeypatch):
    monkeypatch.setattr(evaluate, "evaluate", None)  # said before hours of evaluation, not after
    assert_fails(command(evaluate.main, run_folder, "--redrawn", 2), 2, "generated images")


def test_evaluate_agrees_with_the_result_of_the_run(command, run_folder):
    code, out, err = command(evaluate.main, run_folder, "--json")
    assert (code, err) == (0, "")
    told, result = json.loads(out), json.loads((run_folder / "result.json").read_text())
    assert told["error"] == result["test_error"]
    assert told["epoch"] == result["evaluated_epoch"] == 1
    assert (told["preset"], told["split"], told["rollouts"]) == ("mnist-6", "test", 10)
    assert told["path"] == str(run_folder / "best.npz")


@pytest.mark.parametrize("name", ["best.npz", "checkpoint.npz"])
def test_evaluate_takes_a_file(command, run_folder, name):
    code, out, err = command(evaluate.main, run_folder / name, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["error"] == json.loads((run_folder / "result.json").read_text())["test_error"]


def test_evaluate_on_the_validation_split_agrees_with_the_metrics(command, run_folder):
    arguments = (run_folder, "--split", "validation", "--rollouts", 3, "--json")
    code, out, _ = command(evaluate.main, *arguments)
    assert code == 0
    assert json.loads(out)["error"] == metrics(run_folder)[0]["validation_error"]


def test_evaluate_says_on_how_many_images(command, run_folder):
    for split, count in (("train", 160), ("validation", 40), ("test", 50)):
        assert f"{count} {split} images" in command(evaluate.main, run_folder, "--split", split)[1]


def test_evaluate_of_a_run_that_was_stopped_early_takes_its_checkpoint(command, run_folder):
    (run_folder / "best.npz").unlink()
    code, out, _ = command(evaluate.main, run_folder, "--json")
    assert code == 0
    assert json.loads(out)["path"].endswith("checkpoint.npz")


def test_evaluate_of_nothing_ends_with_3(command, tmp_path):
    assert_fails(command(evaluate.main, tmp_path / "nothing"), 3, tmp_path / "nothing")
    assert_fails(command(evaluate.main, tmp_path / "nothing.npz"), 3, tmp_path / "nothing.npz")
    assert_fails(command(evaluate.main, tmp_path), 3, tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\3\4garbage"])
def test_evaluate_of_a_damaged_file_ends_with_3(command, tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    assert_fails(command(evaluate.main, tmp_path / "a.npz"), 3, tmp_path / "a.npz")


def test_evaluate_of_parameters_that_do_not_fit_ends_with_3(command, run_folder):
    path = run_folder / "best.npz"
    with np.load(path) as file:
        changed = dict(file) | {"parameter/action.b": np.zeros(11)}
    np.savez(path, **changed)
    assert_fails(command(evaluate.main, path), 3, path)


@pytest.mark.parametrize("rollouts", ["0", "-1", "x", "1.5"])
def test_evaluate_with_bad_rollouts_ends_with_2(command, run_folder, rollouts):
    assert_fails(command(evaluate.main, run_folder, "--rollouts", rollouts), 2, "--rollouts")


def test_evaluate_without_a_path_ends_with_2(command):
    assert_fails(command(evaluate.main), 2, "PATH")


def test_evaluate_on_a_split_that_was_not_held_out_ends_with_2(command, trained, tmp_path):
    trained("--epochs", 1, "--validation", 0, "--out", tmp_path / "run")
    assert_fails(command(evaluate.main, tmp_path / "run", "--split", "validation"), 2, "validation")


# Exit codes.


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RamnpError("what"), 1),
        (errors.DivergenceError("what"), 1),
        (errors.UsageError("what"), 2),
        (errors.BackendError("what"), 3),
        (errors.DataError("what"), 3),
        (errors.CheckpointError("what"), 3),
        (errors.OutputError("what"), 4),
        (OSError(28, "what"), 4),
        (PermissionError(13, "what"), 4),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_error_becomes_its_exit_code_and_one_line(command, error, code):
    def main(argv):
        raise error

    assert_fails(command(main), code, "error: ", "interrupted" if code == 130 else "what")


@pytest.mark.parametrize("code", [0, 1, 130])
def test_what_a_command_returns_is_its_exit_code(command, code):
    assert command(lambda argv: code) == (code, "", "")


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 // 0)


def test_the_documented_exit_codes_are_those_of_the_errors():
    documented = {int(code) for code in re.findall(r"^\| (\d+) ", errors.__doc__, re.MULTILINE)}
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert {error.exit_code for error in classes} | {0, cli.INTERRUPTED} == documented
