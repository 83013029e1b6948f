"""How a command ends: the exit code of every error, one line that says what happened, and nothing lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from running import (
    REPOSITORY,
    SMALL,
    TINY,
    assert_fails,
    assert_same_arrays,
    assert_same_run,
    contents,
    metrics,
    run_module,
)

from ramnp import cli, errors, evaluate, train
from ramnp.data.mnist import MNIST
from ramnp.registry import PARTS
from ramnp.training import checkpoint, run

pytestmark = pytest.mark.usefixtures("fast")


# From an error to its exit code.


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
    stops = {128 + getattr(signal, name) for name in cli.STOPS}
    assert {error.exit_code for error in classes} | {0} | stops == documented


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


# A folder that cannot be taken: exit code 2.


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


# Numbers that no computer has room for: exit code 2.


def test_a_batch_beyond_all_memory_ends_with_2(command):
    """NumPy's error for it is a ValueError."""
    outcome = command(train.main, *SMALL, *TINY, "--workers", 1, "--batch-size", 10**30, "--dry-run")
    assert_fails(outcome, 2, f"--batch-size {10**30} needs more memory than there is")


def test_a_count_beyond_all_reason_ends_with_2(command, run_folder):
    for name in ("--rollouts", "--redrawn", "--glimpses"):
        assert_fails(command(evaluate.main, run_folder, name, 10**30), 2, name)


def test_another_value_error_is_a_bug_and_keeps_its_traceback():
    with pytest.raises(ValueError, match="a bug"):
        cli.run(lambda: int("a bug"))


# A missing or damaged backend or data set: exit code 3.


def test_a_damaged_data_file_ends_with_3(command, tmp_path, monkeypatch):
    monkeypatch.setitem(PARTS["dataset"], "mnist", MNIST)
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
