"""Resuming a run: to the same bits as without a stop, or refused with nothing lost."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from interrupting import interrupt_after
from running import HELD_OUT, REPOSITORY, SMALL, TINY, assert_fails, assert_same_run, contents, metrics, run_module

from ramnp import train
from ramnp.training import checkpoint

pytestmark = pytest.mark.usefixtures("fast")


# To the same bits.


@pytest.mark.parametrize(
    "options",
    [
        ["--core", "rnn", "--optimizer", "adam"],
        ["--core", "lstm", "--optimizer", "sgd"],
        ["--core", "rnn", "--optimizer", "muon", "--units", 64, "--glimpse-units", 80],
    ],
)
def test_two_epochs_are_one_epoch_and_one_resumed(trained, tmp_path, options):
    trained(*options, "--epochs", 2, "--out", tmp_path / "whole")
    trained(*options, "--epochs", 1, "--out", tmp_path / "parts")
    trained("--resume", tmp_path / "parts", "--epochs", 2)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert json.loads((tmp_path / "parts" / "result.json").read_text())["epochs"] == 2


@pytest.mark.parametrize(
    "options",
    [
        ["--model", "cnn"],
        ["--policy", "random"],
        ["--first-location", "learned"],
        ["--flip", "horizontal", "--shift", 2, "--zoom", 0.2, "--rotate", 10, "--shear", 0.1, "--workers", 2],
    ],
)
def test_runs_of_other_kinds_resume_to_the_same_bits(trained, tmp_path, options):
    trained(*options, "--epochs", 2, "--out", tmp_path / "whole")
    trained(*options, "--epochs", 1, "--out", tmp_path / "parts")
    trained("--resume", tmp_path / "parts", "--epochs", 2)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


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


# The advice after an interrupt.


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


# What contradicts the run: exit code 2.


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


# A missing or damaged run folder: exit code 3.


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


# Other data than the run's: exit code 3.


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"side": 24}, "trained on images of (16, 16, 1) in 3 classes"),
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
