"""Every preset trains for a moment through the command line, on NumPy and on the strict stand-in for CuPy."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import strict_cupy
from checking import STRICT
from subjects import tiny

from ramnp import evaluate, train
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.pictures import curves, glimpses
from ramnp.presets import PRESETS, title
from ramnp.registry import PARTS


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Train one epoch of a preset on a backend; return the parameters."""
    for name in PARTS["dataset"]:
        monkeypatch.setitem(PARTS["dataset"], name, SimpleNamespace(load=tiny))
    monkeypatch.setattr(curves, "plot_curves", lambda *args: None)
    monkeypatch.setattr(glimpses, "plot_images", lambda model, source, folder, names: folder / "picture.png")

    def run(preset, backend):
        monkeypatch.setattr(train, "chosen_backend", lambda arguments: backend)
        folder = tmp_path / backend.name
        sizes = ("--workers", "1", "--batch-size", "4", "--validation", "4", "--epochs", "1")
        assert train.main(["--preset", preset, *sizes, "--quiet", "--out", str(folder)]) == 0
        assert json.loads((folder / "result.json").read_text())["preset"] == preset
        monkeypatch.setattr(evaluate, "chosen_backend", lambda arguments: backend)
        assert evaluate.main([str(folder), "--json"]) == 0
        with np.load(folder / "checkpoint.npz") as file:
            return {name: file[name] for name in file.files if name.startswith("parameter/")}

    return run


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_trains_on_both_backends_to_the_same_bits(trained, preset):
    numpy = trained(preset, NUMPY)
    uploads = strict_cupy.counts.uploads
    strict = trained(preset, STRICT)
    assert strict_cupy.counts.uploads > uploads
    assert numpy.keys() == strict.keys()
    for name, value in numpy.items():
        np.testing.assert_array_equal(value, strict[name], err_msg=name)
        assert np.isfinite(value).all()


def test_a_preset_of_one_s_own_has_a_title():
    assert title(Config(preset="my-try", units=7)) == "my-try, units=7"
