"""Training from Python."""

import json

import numpy as np
import pytest
from tiny import TINY, tiny_model

import ramnp
from ramnp.config import Config
from ramnp.errors import CheckpointError, DataError, DivergenceError, UsageError
from ramnp.training.optim import learning_rate
from ramnp.training.trainer import Trainer
from ramnp.use import fit as fitting

SMALL = {**TINY, "patch": 4, "batch_size": 16, "backend": "numpy", "quiet": True}


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (60, 12, 10), dtype=np.uint8)


@pytest.fixture
def labels(rng):
    return rng.permutation(np.arange(60) % 3)


def weights(model):
    return {name: model.network.parameters[name].copy() for name in model.network.parameters}


def same(a, b):
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)


def test_it_learns(rng):
    """Bright images from dark ones, which a glimpse anywhere tells."""
    labels = rng.integers(0, 2, 400)
    images = (rng.uniform(0, 0.5, (400, 12, 10)) + labels[:, None, None] / 2).astype(np.float32)
    model, history = ramnp.fit(images, labels, epochs=8, validation=100, lr=3e-3, **SMALL)
    assert history[-1]["validation_error/averaged"] == 0
    assert (model.predict(images) == labels).mean() > 0.97
    assert [line["epoch"] for line in history] == list(range(1, 9))


def test_the_model_is_that_of_the_best_epoch(images, labels):
    seen = {}

    def keep(metrics, model):
        seen[metrics["epoch"]] = weights(model)

    model, history = ramnp.fit(images, labels, epochs=5, validation=20, on_epoch=keep, **SMALL)
    errors = [line["validation_error/averaged"] for line in history]
    assert model.epoch == 1 + errors.index(min(errors))
    assert same(weights(model), seen[model.epoch])
    assert not same(seen[1], seen[2])


def test_without_validation_it_is_that_of_the_last(images, labels):
    model, history = ramnp.fit(images, labels, epochs=2, **SMALL)
    assert model.epoch == 2
    assert not [name for name in history[0] if name.startswith("validation")]


def test_it_is_the_training_of_the_command(images, labels):
    """The same steps as a trainer takes on the same images in the same order."""
    model, _ = ramnp.fit(images, labels, epochs=1, validation=(images[:5], labels[:5]), seed=3, **SMALL)
    dataset = fitting.as_data_set(images, labels, (images[:5], labels[:5]), None)
    assert np.array_equal(dataset.train.images[..., 0], images)
    trainer = Trainer(model.config, dataset.image_shape, 3, model.network.backend)
    steps = trainer.steps_per_epoch(source := dataset.source("train", trainer.backend, trainer.model.margin))
    for step, batch in enumerate(trainer.batches(source, 1)):
        trainer.step(batch, learning_rate(model.config, step, steps))
    assert np.array_equal(trainer.model.parameters.values, model.network.parameters.values)


def test_held_out_images_are_drawn_at_random_but_always_the_same(images):
    """Labels in order, as files often have them: the last ones alone would be one class."""
    labels = np.arange(60) // 20
    first, second = (fitting.as_data_set(images, labels, 20, None) for _ in range(2))
    assert len(first.validation) == 20
    assert len(first.train) == 40
    assert set(first.validation.labels) == {0, 1, 2}
    assert np.array_equal(first.validation.images, second.validation.images)


def test_names_are_labels_too(images):
    names = np.array(["dog", "cat", "ant"])[np.arange(60) % 3]
    model, _ = ramnp.fit(images, names, epochs=1, validation=(images[:3], names[:3]), **SMALL)
    assert model.class_names == ("ant", "cat", "dog")
    dataset = fitting.as_data_set(images, names, (images, names), None)
    assert [dataset.class_names[label] for label in dataset.validation.labels] == names.tolist()
    with pytest.raises(UsageError, match="'fox' is not among the classes ant, cat, dog"):
        fitting.as_data_set(images, names, (images[:1], ["fox"]), None)


def test_class_names_may_be_given(images, labels):
    model, _ = ramnp.fit(images, labels, epochs=1, class_names=["a", "b", "c", "never seen"], **SMALL)
    assert model.class_names == ("a", "b", "c", "never seen")
    assert model.network.classes == 4


def test_a_callback_gets_the_metrics_and_the_model_and_stops(images, labels):
    calls = []

    def stop(metrics, model):
        calls.append((metrics["epoch"], model.epoch, model.predict(images[:2]).shape))
        return metrics["epoch"] == 2

    model, history = ramnp.fit(images, labels, epochs=9, on_epoch=stop, **SMALL)
    assert calls == [(1, 1, (2,)), (2, 2, (2,))]
    assert len(history) == model.epoch == 2


def test_metrics_are_flat_numbers(images, labels):
    _, history = ramnp.fit(images, labels, epochs=1, validation=10, **SMALL)
    assert {"epoch", "lr", "loss/action", "loss/policy", "loss/baseline", "reward", "gradient_norm/total",
            "validation_error/averaged", "images_per_second", "seconds"} <= set(history[0])  # fmt: skip
    assert all(isinstance(value, int | float) for value in history[0].values())


def test_a_preset_a_configuration_and_changes(images, labels):
    named, _ = ramnp.fit(images, labels, preset="mnist-6-lstm", epochs=1, **SMALL)
    assert (named.config.preset, named.config.core, named.config.dataset) == ("mnist-6-lstm", "lstm", "arrays")
    given, _ = ramnp.fit(
        images, labels, preset=Config(units=9), epochs=1, **{k: v for k, v in SMALL.items() if k != "units"}
    )
    assert given.config.units == 9
    assert given.config.decay_epochs == 1
    with pytest.raises(UsageError, match="glimpse_count"):
        ramnp.fit(images, labels, glimpse_count=3)
    with pytest.raises(UsageError, match="mnist-9"):
        ramnp.fit(images, labels, preset="mnist-9")


def test_few_images_make_a_smaller_batch(images, labels):
    small = {name: value for name, value in SMALL.items() if name != "batch_size"}
    model, _ = ramnp.fit(images, labels, epochs=1, **small)
    assert model.config.batch_size == 60
    with pytest.raises(UsageError, match="--batch-size 64"):
        ramnp.fit(images, labels, epochs=1, batch_size=64, **small)


def test_it_leaves_nothing_unless_asked_to(images, labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ramnp.fit(images, labels, epochs=1, **SMALL)
    assert list(tmp_path.iterdir()) == []
    model, _ = ramnp.fit(images, labels, epochs=1, out=tmp_path / "kept", **SMALL)
    assert same(weights(ramnp.load(tmp_path / "kept", "numpy")), weights(model))
    assert len((tmp_path / "kept/metrics.jsonl").read_text().splitlines()) == 1
    with pytest.raises(UsageError, match="not an empty folder"):
        ramnp.fit(images, labels, epochs=1, out=tmp_path / "kept", **SMALL)


def test_quiet_and_not(images, labels, capsys):
    ramnp.fit(images, labels, epochs=1, **SMALL)
    assert capsys.readouterr() == ("", "")
    ramnp.fit(images, labels, epochs=1, **{**SMALL, "quiet": False})
    out, err = capsys.readouterr()
    assert "epoch   1/1" in out
    assert err == ""


# Starting from trained weights.


def test_all_weights_are_taken_if_the_classes_are_the_same(images, labels):
    start = tiny_model(classes=3)
    model, _ = ramnp.fit(images, labels, init=start, epochs=1, lr=1e-12, batch_size=16, backend="numpy", quiet=True)
    for name, value in weights(model).items():
        assert np.allclose(value, start.network.parameters[name], atol=1e-6), name


@pytest.mark.parametrize("names", [("a", "b", "c"), ("0", "1", "2", "3")])
def test_other_classes_get_a_new_last_layer_and_nothing_else_is_new(images, labels, names, capsys):
    start = tiny_model(classes=len(names), names=names)
    before = weights(start)
    model, _ = ramnp.fit(images, labels, init=start, epochs=1, lr=1e-12, batch_size=16, backend="numpy")
    for name, value in weights(model).items():
        taken = value.shape == before[name].shape and np.allclose(value, before[name], atol=1e-6)
        assert taken == (not name.startswith("action.")), name
    assert "new weights: action.W, action.b" in capsys.readouterr().out
    assert same(weights(start), before)  # it is left as it was


def test_another_number_of_glimpses_a_path_and_the_configuration(images, labels, tmp_path):
    start = tiny_model(classes=3, core="lstm", discount=0.5)
    start.save(tmp_path / "start.npz")
    model, _ = ramnp.fit(
        images, labels, init=tmp_path / "start.npz", epochs=1, batch_size=16, glimpses=5, backend="numpy", quiet=True
    )
    assert (model.config.glimpses, model.config.core, model.config.discount) == (5, "lstm", 0.5)
    assert len(model.look(images[:1])[0].steps) == 5


def test_the_run_folder_says_where_it_started(images, labels, tmp_path):
    start = tiny_model(classes=3)
    start.epoch = 4
    ramnp.fit(images, labels, init=start, epochs=1, batch_size=16, out=tmp_path / "run", backend="numpy", quiet=True)
    assert json.loads((tmp_path / "run/config.json").read_text())["init"] == "a model in memory, epoch 4"


def test_weights_of_which_none_fit_are_refused(images, labels, tmp_path):
    start = tiny_model((12, 10, 3), classes=3, model="fc")
    with pytest.raises(UsageError, match="no weights of the given model fit"):
        ramnp.fit(images, labels, init=start, preset="mnist-6", epochs=1, **SMALL)
    with pytest.raises(CheckpointError):
        ramnp.fit(images, labels, init=tmp_path / "none.npz", **SMALL)


# What is refused.


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"images": np.zeros((60, 12))}, DataError, "images has 2 axes"),
        ({"images": np.zeros((60, 12, 10), int)}, DataError, "int64"),
        ({"images": np.full((60, 12, 10), 2.0)}, DataError, "outside [0, 1]"),
        ({"labels": np.arange(59) % 3}, UsageError, "one for each of 60 images"),
        ({"labels": np.arange(60) - 1}, UsageError, "labels must be from 0 to 58, got -1 to 58"),
        ({"labels": np.zeros(60)}, UsageError, "integers or names"),
        ({"labels": np.zeros(60, int)}, UsageError, "at least two classes"),
        ({"class_names": ["a"]}, UsageError, "at least two classes, got a"),
        ({"class_names": ["a", "b"]}, UsageError, "from 0 to 1"),
        ({"validation": 60}, UsageError, "--validation 60"),
        ({"validation": (np.zeros((2, 9, 9)), np.zeros(2, int))}, UsageError, "shape and type"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(images, labels, change, error, said):
    arguments = {"images": images, "labels": labels} | change
    with pytest.raises(error) as caught:
        ramnp.fit(**arguments, epochs=1, **SMALL)
    assert said in str(caught.value)


def test_a_training_that_diverges_says_so_and_names_no_folder_that_is_gone(images, labels, tmp_path):
    for out, kept in ((None, False), (tmp_path / "run", True)):
        with pytest.raises(DivergenceError) as caught:
            ramnp.fit(images, labels, epochs=5, out=out, **{**SMALL, "lr": 1e30, "clip": 0.0, "optimizer": "sgd"})
        assert ("checkpoint.npz" in str(caught.value)) == kept
