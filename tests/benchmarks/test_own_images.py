"""The comparison on images of your own, rehearsed on a set that takes no time."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import own_images
from ramnp.config import Config


def colours():
    """Sixty small images of two classes, a red and a green one."""
    rng = np.random.default_rng(0)
    for number in range(60):
        image = rng.integers(0, 100, (12, 12, 3), dtype=np.uint8)
        image[..., number % 2] += 100
        yield ("dark red", "green/grass")[number % 2], image


@pytest.fixture
def one_set(monkeypatch):
    monkeypatch.setattr(own_images, "SETS", {"colours": colours})
    monkeypatch.setattr(own_images, "train", lambda config, dataset, seconds: trained(config, dataset, seconds))
    return "colours"


def trained(config, dataset, seconds):
    """What `train` tells, without the training."""
    assert seconds == 7
    assert len(dataset.train) > 30
    assert config.flip == "horizontal"
    return {"epochs": 3, "seconds": 7.0, "best_epoch": 2, "test_error": 25.0 if config.model == "cnn" else 12.5}


def test_both_networks_train_on_every_set_and_with_every_seed(one_set, tmp_path, capsys):
    options = ["--sets", one_set, "--seconds", "7", "--seeds", "0", "3", "--json", str(tmp_path / "found.json")]
    assert own_images.main([*options, "--folder", str(tmp_path / "sets")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(row["seed"], row["contestant"], row["test_error"]) for row in found["rows"]] == [
        (0, "photos", 12.5),
        (0, "cnn", 25.0),
        (3, "photos", 12.5),
        (3, "cnn", 25.0),
    ]
    assert "colours      seed 3  cnn     test error 25.0" in capsys.readouterr().out
    assert sorted(folder.name for folder in (tmp_path / "sets" / "colours").iterdir()) == ["dark-red", "green-grass"]
    with Image.open(tmp_path / "sets" / "colours" / "dark-red" / "00000.png") as image:
        np.testing.assert_array_equal(np.asarray(image), next(colours())[1])


def test_the_training_takes_about_the_time_it_is_given(tmp_path, monkeypatch):
    own_images.write(colours(), tmp_path / "set")
    base = own_images.dataclasses.replace(own_images.PHOTOS, dataset="folder", data_path=str(tmp_path / "set"))
    dataset = own_images.data.load(base)
    config = own_images.contestants(dataset, base)["cnn"]
    assert config == own_images.dataclasses.replace(own_images.suited(base, dataset), model="cnn", lr=3e-3)
    row = own_images.train(config, dataset, 0.5)
    assert isinstance(config, Config)
    assert row["epochs"] > 1
    assert 0.1 < row["seconds"] < 2.5
    assert row["best_epoch"] <= row["epochs"]
