"""The preset for images of your own: what it chooses for which images, and that it trains on them."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ramnp
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.augment import Augmentation
from ramnp.data.source import DataSet, Split
from ramnp.presets import CHOSEN, OWN, PHOTOS, PRESETS, changes, photos, start_of, title
from ramnp.training.suited import suited
from ramnp.training.trainer import Trainer

SHAPES = st.tuples(st.integers(1, 1000), st.integers(1, 1000), st.sampled_from([1, 2, 3, 4]))


@given(SHAPES, st.integers(1, 10**6), st.integers(2, 2000), st.floats(0, 1), st.floats(0, 0.5))
@settings(deadline=None, max_examples=300)
def test_it_chooses_something_for_all_images(shape, images, classes, mean, std):
    """Valid values, for a network that sees most of the image, in steps that fill, in a time that is not forever."""
    config = photos(shape, images, classes, mean, std)
    assert config.preset == OWN
    side, widest = max(shape[:2]), config.patch << (config.scales - 1)
    assert config.patch % 2 == 0  # what the convolutions and the nested scales need
    assert widest >= min(2 * side / 3, 256)
    assert config.scales == 1 or widest / 2 < 2 * side / 3  # no scale in vain
    assert 1 <= config.batch_size <= min(images, 128)
    steps = config.epochs * (images // config.batch_size)
    assert 20 <= config.epochs <= 400
    assert config.decay_epochs == config.epochs
    assert steps * config.batch_size <= max(400_000, 20 * images)
    assert (Augmentation.of(config) is None) == (images >= 1000 * classes)


def test_it_chooses_what_is_known_to_work():
    """Sensors and learning rules as those of the tables' presets for images of that size."""
    cifar = photos((32, 32, 3), 45_000, 10, 0.473, 0.251)
    assert (cifar.patch, cifar.scales, cifar.glimpses) == (8, 3, 4)
    assert {name: getattr(cifar, name) for name in changes(PRESETS["cifar10-4-conv"])} == {
        name: getattr(PRESETS["cifar10-4-conv"], name) for name in changes(PRESETS["cifar10-4-conv"])
    }
    scenes, known = photos((100, 100, 1), 100_000, 10), PRESETS["cluttered100-8"]
    for name in ("scales", "reward", "discount", "routing", "policy_weight", "std", "core", "glimpse_network", "lr"):
        assert getattr(scenes, name) == getattr(known, name), name
    drawings = photos((105, 105, 1), 3388, 242)
    assert (drawings.patch, drawings.scales, drawings.flip) == (16, 4, "none")
    phones = photos((224, 224, 3), 300, 3)
    assert (phones.patch, phones.scales, phones.flip) == (16, 5, "horizontal")
    tiny = photos((8, 8, 1), 24, 3)
    assert (tiny.patch, tiny.scales, tiny.batch_size, tiny.epochs) == (4, 2, 4, 400)


def own(count=24, shape=(20, 16, 3), classes=3, dtype=np.uint8):
    """A data set of random images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    images = images if dtype == np.uint8 else (images / 255).astype(dtype)
    split = Split(images, np.arange(count) % classes)
    return DataSet("folder", classes, split[: count - 8], split[count - 8 : count - 4], split[count - 4 :])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_it_is_suited_to_the_images(dtype):
    dataset = own(dtype=dtype)
    config = suited(PHOTOS, dataset)
    assert config == photos((20, 16, 3), 16, 3, 0.5, 0.29)
    assert (config.pixel_mean, config.pixel_std) == (0.5, 0.29)


def test_what_the_user_set_stays():
    start = dataclasses.replace(PHOTOS, glimpses=9, epochs=7, core="gru", data_path="/mine", seed=5)
    config = suited(start, own(), {"glimpses", "epochs", "core"})
    assert (config.glimpses, config.epochs, config.core) == (9, 7, "gru")
    assert (config.data_path, config.seed) == ("/mine", 5)
    assert config.decay_epochs == 7
    assert suited(dataclasses.replace(start, decay_epochs=3), own(), {"epochs", "decay_epochs"}).decay_epochs == 3


def test_what_it_chooses_is_no_change_of_the_preset():
    config = suited(dataclasses.replace(PHOTOS, dataset="folder", data_path="/mine"), own())
    assert changes(config) == {}
    assert title(dataclasses.replace(config, optimizer="sgd")) == "photos, optimizer=sgd"
    assert start_of(OWN) is PHOTOS
    differ = {
        name for name, value in photos((300, 300, 1), 10**6, 2).to_json().items() if value != getattr(PHOTOS, name)
    }
    assert differ <= set(CHOSEN)


@pytest.mark.parametrize(
    ("count", "shape", "classes"),
    [(24, (20, 16, 3), 3), (30, (3, 3, 1), 2), (16, (1, 40, 4), 4), (60, (130, 90, 1), 10)],
)
def test_it_trains(count, shape, classes):
    dataset = own(count, shape, classes)
    config = suited(PHOTOS, dataset)
    trainer = Trainer(config, shape, classes, NUMPY)
    source = dataset.source("train", NUMPY, trainer.model.margin)
    steps = 0
    for batch in trainer.batches(source, 1):
        trainer.step(batch, config.lr)
        steps += 1
    assert steps == trainer.steps_per_epoch(source)
    assert trainer.finite()


def test_fit_takes_it_by_name(rng):
    images = rng.integers(0, 256, (24, 12, 12, 3), dtype=np.uint8)
    model, history = ramnp.fit(images, np.arange(24) % 3, preset=OWN, epochs=2, backend="numpy", quiet=True)
    assert len(history) == 2
    assert (model.config.patch, model.config.flip, model.config.preset) == (4, "horizontal", OWN)
    assert math.isclose(model.config.pixel_mean, images.mean() / 255, abs_tol=0.006)
    assert isinstance(model.config, Config)
