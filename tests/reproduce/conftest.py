"""Presets that take a moment, and the command that trains them."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import pytest
from running import in_process
from subjects import tiny

from ramnp import presets
from ramnp.pictures import curves, glimpses
from ramnp.presets import PRESETS
from ramnp.registry import PARTS
from ramnp.reproduce.__main__ import main


@pytest.fixture
def fast(monkeypatch, tmp_path):
    """Presets of two epochs on a handful of random images, no pictures, and an empty current folder."""
    task = SimpleNamespace(load=tiny, files=lambda config: [tmp_path / "digits.gz"], check=lambda path: "whole")
    for name in PARTS["dataset"]:
        monkeypatch.setitem(PARTS["dataset"], name, task)
    small = {"batch_size": 4, "validation": 4, "epochs": 2, "decay_epochs": 2, "units": 8, "what_units": 8}
    for name, preset in PRESETS.items():
        monkeypatch.setitem(presets.PRESETS, name, dataclasses.replace(preset, **small))
    monkeypatch.setattr(curves, "plot_curves", lambda *args: None)
    monkeypatch.setattr(glimpses, "plot_images", lambda model, source, folder, names: folder / "picture.png")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command(capsys):
    """Run the command in this process, on NumPy: (exit code, stdout, stderr)."""
    return partial(in_process, capsys, main, "--backend", "numpy", "--workers", 1)
