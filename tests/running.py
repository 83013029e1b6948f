"""Commands run as a user runs them, and what they leave."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ramnp import cli, train
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.training import checkpoint

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = ["best.npz", "checkpoint.npz", "config.json", "curves.png", "glimpses.png", "metrics.jsonl", "result.json"]
FIGURES = ["deterministic", "stochastic", "averaged"]

SMALL = (
    *("--glimpses", "3", "--patch", "6", "--units", "16", "--what-units", "8", "--where-units", "8"),
    *("--glimpse-units", "16", "--batch-size", "32", "--decay-epochs", "3"),
)
HELD_OUT = 40
TINY = ["--validation", str(HELD_OUT)]  # of the 200 training images below


def tiny_digits(config):
    """200 training and 50 test images as MNIST's, but random, so that a run takes no time."""
    rng = np.random.default_rng(0)
    splits = [Split(rng.integers(0, 256, (n, 28, 28, 1), np.uint8), rng.integers(0, 10, n)) for n in (200, 50)]
    return DataSet("mnist", 10, *hold_out(splits[0], config.validation), splits[1])


TINY_DIGITS = SimpleNamespace(load=tiny_digits)


def in_process(capsys, main, *arguments):
    """Run a command in this process as `python -m` would: (exit code, stdout, stderr)."""
    with pytest.raises(SystemExit) as stopped:
        cli.run(lambda: main([str(argument) for argument in arguments]))
    return stopped.value.code, *capsys.readouterr()


def run_module(module, *arguments, timeout=120, **options):
    """Run `python -m module` as a user would, in a process of its own."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | options.pop("env", {})
    argv = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(
        argv, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=timeout, check=False, **options
    )


def assert_fails(outcome, code, *said):
    """The exit code, and one line on stderr that says certain things."""
    if isinstance(outcome, subprocess.CompletedProcess):
        outcome = outcome.returncode, outcome.stdout, outcome.stderr
    assert outcome[0] == code, outcome
    line = outcome[2]
    assert line.endswith("\n"), line
    assert line.count("\n") == 1, line
    assert len(line) > 10
    for part in said:
        assert str(part) in line


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files if name != "meta"}


def assert_same_arrays(a, b):
    a, b = arrays(a), arrays(b)
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert np.array_equal(a[name], b[name]), name


def metrics(folder):
    """The lines of metrics.jsonl without those that depend on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line if key not in ("seconds", "images_per_second")} for line in lines]


def assert_same_run(a, b):
    """Equal in every bit that does not depend on the clock."""
    for name in ("checkpoint.npz", "best.npz"):
        assert_same_arrays(a / name, b / name)
        first, second = checkpoint.load(a / name), checkpoint.load(b / name)
        assert (first.epoch, first.best) == (second.epoch, second.best)
    assert metrics(a) == metrics(b)
    results = [json.loads((folder / "result.json").read_text()) for folder in (a, b)]
    assert results[0]["test_error"] == results[1]["test_error"]
    assert results[0]["evaluated_epoch"] == results[1]["evaluated_epoch"]


def resolved(*arguments):
    return cli.chosen_config(train.build_parser().parse_args([str(argument) for argument in arguments]))
