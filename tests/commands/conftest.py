"""Commands in this process, on data that take no time; and one run of the real ones."""

import pytest
from running import SMALL, TINY, TINY_DIGITS, in_process, run_module

from ramnp import train
from ramnp.pictures import curves, glimpses
from ramnp.registry import PARTS


@pytest.fixture
def fast(monkeypatch):
    """In this process: tiny data and no pictures. Commands in a process of their own have the real ones."""
    monkeypatch.setitem(PARTS["dataset"], "mnist", TINY_DIGITS)
    monkeypatch.setattr(curves, "plot_curves", lambda *args: None)
    monkeypatch.setattr(glimpses, "plot_glimpses", lambda *args: None)


@pytest.fixture
def command(capsys):
    """Run a command in this process, on NumPy unless told: (exit code, stdout, stderr)."""

    def call(main, *arguments):
        return in_process(capsys, main, *(() if "--backend" in arguments else ("--backend", "numpy")), *arguments)

    return call


@pytest.fixture
def trained(command):
    """Train in this process with a small network, to a given folder or a resumed one."""

    def call(*arguments):
        code, out, err = command(train.main, *(() if "--resume" in arguments else (*SMALL, *TINY)), *arguments)
        assert (code, err) == (0, "")
        return out

    return call


@pytest.fixture
def run_folder(trained, tmp_path):
    """A finished run of one epoch."""
    trained("--epochs", 1, "--out", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="session")
def real_run(tmp_path_factory):
    """(process, run folder) of two short epochs on MNIST."""
    folder = tmp_path_factory.mktemp("real") / "run"
    return run_module("ramnp.train", *SMALL, "--epochs", 2, "--limit-batches", 2, "--out", folder), folder
