"""Checkpoints: written whole or not at all, and read without trust."""

import gc
import json
import os
import pickle
import tracemalloc
import warnings
import zipfile
from contextlib import suppress
from dataclasses import asdict, replace

import numpy as np
import pytest
from archives import npy_that_claims, write_zip

from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.errors import CheckpointError, OutputError
from ramnp.network.model import RecurrentAttentionModel
from ramnp.training import checkpoint
from ramnp.training.checkpoint import Checkpoint
from ramnp.training.trainer import Trainer

CONFIG = Config(units=5, what_units=3, where_units=2, glimpse_units=4, glimpses=2, patch=2, core="lstm", lr=1 / 3)
SHAPE, CLASSES = (6, 7, 1), 3


def example(epoch=7):
    model = RecurrentAttentionModel(CONFIG, SHAPE, CLASSES, seed=epoch)
    parameters = {name: model.parameters[name].copy() for name in model.parameters}
    optimizer = {"m": np.arange(4, dtype=np.float32), "t": np.array(12)}
    return Checkpoint(
        CONFIG,
        SHAPE,
        CLASSES,
        epoch,
        {"epoch": 3, "validation_error": {"averaged": 1.25}},
        0.1 + 0.2,
        parameters,
        optimizer,
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.npz"
    checkpoint.save(path, example())
    return path


def same_arrays(a, b):
    return list(a) == list(b) and all(a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a)


def contents(path):
    with np.load(path) as file:
        return dict(file)


def rewrite(path, arrays=None, meta=None):
    """Put other arrays (None removes one), or other values of meta, into a checkpoint."""
    changed = contents(path) | (arrays or {})
    if meta is not None:
        old = json.loads(changed["meta"].tobytes())
        new = {key: value for key, value in (old | meta).items() if value is not ...}
        changed["meta"] = np.frombuffer(json.dumps(new).encode(), np.uint8)
    np.savez(path, **{name: value for name, value in changed.items() if value is not None})


def assert_refused(path):
    """Loading fails, or else making the model does, with one line that names the file."""
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path).model()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_saved_is_loaded(path):
    saved, loaded = example(), checkpoint.load(path)
    assert loaded.config == saved.config
    for name in ("image_shape", "classes", "epoch", "best", "seconds"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert same_arrays(loaded.parameters, saved.parameters)
    assert same_arrays(loaded.optimizer, saved.optimizer)
    assert os.listdir(path.parent) == [path.name]


def test_nothing_best_and_no_optimizer_travel_as_well(tmp_path):
    checkpoint.save(tmp_path / "a.npz", replace(example(), best=None, optimizer={}))
    loaded = checkpoint.load(tmp_path / "a.npz")
    assert loaded.best is None
    assert loaded.optimizer == {}


def test_the_model_of_a_checkpoint_has_its_parameters(path):
    model = checkpoint.load(path).model()
    original = RecurrentAttentionModel(CONFIG, SHAPE, CLASSES, seed=7)
    np.testing.assert_array_equal(model.parameters.values, original.parameters.values)
    assert model.classes == CLASSES
    assert model.image_shape == SHAPE
    fresh = RecurrentAttentionModel(CONFIG, SHAPE, CLASSES, seed=CONFIG.seed)
    assert not np.array_equal(fresh.parameters.values, model.parameters.values)


def test_a_checkpoint_from_before_a_field_was_added_takes_its_default(path):
    fields = ("model", "fc_units", "glimpse_network", "policy", "first_location")
    config = {name: value for name, value in CONFIG.to_json().items() if name not in fields}
    rewrite(path, meta={"config": config})
    assert checkpoint.load(path).config == CONFIG
    checkpoint.load(path).model()


def test_saving_again_replaces_the_file(path):
    checkpoint.save(path, example(epoch=8))
    assert checkpoint.load(path).epoch == 8
    assert os.listdir(path.parent) == [path.name]


def test_a_missing_file_is_a_checkpoint_error(tmp_path):
    assert_refused(tmp_path / "nothing.npz")


def test_a_folder_is_a_checkpoint_error(tmp_path):
    assert_refused(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 4, 30, 200, 1000, 0.5, 0.9, -100, -22, -1])
def test_a_truncated_file_is_refused(path, kept):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    assert_refused(path)


@pytest.mark.parametrize("content", [b"garbage", b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), bytes(5000)])
def test_garbage_is_refused(path, content):
    path.write_bytes(content)
    assert_refused(path)


def test_a_flipped_byte_is_refused_or_does_not_matter(path):
    whole, saved = path.read_bytes(), example()
    for position in range(0, len(whole), 61):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            loaded = checkpoint.load(path)
        except CheckpointError:
            continue
        assert loaded.config == saved.config
        assert same_arrays(loaded.parameters, saved.parameters)
        assert same_arrays(loaded.optimizer, saved.optimizer)


def test_a_refused_file_is_closed(path):
    path.write_bytes(b"PK\x03\x04")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with suppress(CheckpointError):
            checkpoint.load(path)
        gc.collect()
    assert not [str(warning.message) for warning in caught if str(path) in str(warning.message)]


def test_an_array_file_is_refused(path):
    with open(path, "wb") as file:
        np.save(file, np.arange(10.0))
    assert_refused(path)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["meta", "parameter/action.b", "optimizer/m", "extra"])
def test_a_pickled_array_is_refused_and_not_run(path, name):
    target = path.parent / "was-run"
    rewrite(path, {name: np.array([Bomb(target)], dtype=object)})
    assert_refused(path)
    assert not target.exists()


def test_a_plain_pickle_is_refused_and_not_run(path):
    target = path.parent / "was-run"
    path.write_bytes(pickle.dumps(Bomb(target)))
    assert_refused(path)
    assert not target.exists()


def test_a_zip_of_something_else_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert_refused(path)


@pytest.mark.parametrize("missing", ["meta", "parameter/core.W_hh"])
def test_a_missing_array_is_refused(path, missing):
    rewrite(path, {missing: None})
    assert_refused(path)


@pytest.mark.parametrize("key", ["format", "arrays", "config", "image_shape", "classes", "epoch", "best", "seconds"])
def test_a_missing_key_is_refused(path, key):
    rewrite(path, meta={key: ...})
    assert_refused(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"parameter/action.b": np.zeros(CLASSES + 1)},
        {"parameter/action.b": np.zeros((1, CLASSES))},
        {"parameter/action.W": np.zeros((CLASSES, 5))},
        {"parameter/extra": np.zeros(1)},
    ],
)
def test_parameters_that_do_not_fit_are_refused(path, arrays):
    rewrite(path, arrays)
    assert_refused(path)


@pytest.mark.parametrize("change", [{"action.b": None}, {"extra": np.zeros(1)}], ids=["missing", "extra"])
def test_parameters_of_another_model_are_refused(path, change):
    parameters = {name: value for name, value in (example().parameters | change).items() if value is not None}
    checkpoint.save(path, replace(example(), parameters=parameters))
    assert_refused(path)


def test_text_in_place_of_numbers_is_refused(path):
    rewrite(path, {"parameter/action.b": np.array(["x"] * CLASSES)})
    assert_refused(path)


@pytest.mark.parametrize("version", ["ramnp-0", "ramnp-2", 1, None])
def test_another_format_version_is_refused_and_told(path, version):
    rewrite(path, meta={"format": version})
    with pytest.raises(CheckpointError, match="this version reads 'ramnp-1'") as caught:
        checkpoint.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "meta",
    [
        {"config": asdict(CONFIG) | {"units": 6}},
        {"config": asdict(CONFIG) | {"units": -1}},
        {"config": asdict(CONFIG) | {"unknown": 1}},
        {"config": 5},
        {"config": ["units"]},
        {"classes": CLASSES + 1},
        {"classes": "three"},
        {"image_shape": 6},
        {"image_shape": [6, 7]},
        {"image_shape": "abc"},
        {"epoch": "last"},
    ],
    ids=lambda meta: "-".join(str(value)[-12:] for pair in meta.items() for value in pair),
)
def test_a_description_that_does_not_fit_is_refused(path, meta):
    rewrite(path, meta=meta)
    assert_refused(path)


@pytest.mark.parametrize("text", [b"", b"[]", b"5", b"null", b"{", b"\xff\xfe"])
def test_a_description_that_is_no_object_is_refused(path, text):
    rewrite(path, {"meta": np.frombuffer(text, np.uint8)})
    assert_refused(path)


@pytest.mark.parametrize("after", [0, 1000])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch, after):
    def full(file, **arrays):
        file.write(bytes(after))
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OutputError, match=r"some\.npz \(No space left"):
        checkpoint.save(path, example(epoch=8))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_write_that_is_interrupted_leaves_the_old_file(path, monkeypatch):
    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, example(epoch=8))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_the_final_place_never_holds_half_a_file(path, monkeypatch):
    """When the rename happens the file beside is complete, and until then the old one is untouched."""
    seen = []
    rename, before = os.replace, path.read_bytes()

    def look_then_rename(source, target):
        assert path.read_bytes() == before
        seen.append(checkpoint.load(source).epoch)
        rename(source, target)

    monkeypatch.setattr(os, "replace", look_then_rename)
    checkpoint.save(path, example(epoch=8))
    assert seen == [8]
    assert checkpoint.load(path).epoch == 8


# A small file costs little, and one that was edited is refused before anything is built or read.


def cost(act):
    """Peak bytes that Python and NumPy allocate."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("core", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("field", ["units", "what_units", "where_units", "glimpse_units", "policy_hidden", "patch"])
def test_a_configuration_of_a_large_model_costs_nothing(path, core, field):
    rewrite(path, meta={"config": asdict(replace(CONFIG, core=core)) | {field: 9000}})
    assert cost(lambda: assert_refused(path)) < 4 << 20


def test_an_array_that_claims_to_be_large_costs_nothing(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["parameter/core.W_hh.npy"] = npy_that_claims(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000), }"
    )
    write_zip(path, members)
    assert cost(lambda: assert_refused(path)) < 4 << 20


@pytest.mark.parametrize("name", ["parameter/core.W_hh", "optimizer/m", "more"])
def test_a_member_of_zeros_is_not_unpacked(path, name):
    arrays = contents(path) | {name: np.zeros(10_000_000, np.float32)}
    meta = json.loads(arrays["meta"].tobytes()) | {"arrays": sorted(set(arrays) - {"meta"})}
    np.savez_compressed(path, **arrays | {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    assert cost(lambda: assert_refused(path)) < 4 << 20


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["parameter/action.b", "optimizer/m"])
def test_values_that_are_not_finite_are_refused(path, name, value):
    array = contents(path)[name].copy()
    array[0] = value
    rewrite(path, {name: array})
    assert_refused(path)


@pytest.mark.parametrize(
    "meta",
    [
        *({"best": best} for best in (5, [], {}, {"epoch": 3}, {"epoch": 9, "validation_error": {"averaged": 1.0}})),
        *({"best": {"epoch": 3, "validation_error": error}} for error in (1.0, {}, {"averaged": "1"}, [1.0])),
        *({"seconds": seconds} for seconds in ("1", None, -1, 10**400, True, [1])),
        *({"epoch": epoch} for epoch in (-5, 1.5, True, 10**30, None)),
        *({"image_shape": shape} for shape in ([6, 7, 1, 1], [6, 7, -1], [2**40, 7, 1], [True, 7, 1], {"6": 7})),
        *({"classes": classes} for classes in (0, -3, True, 2**40)),
        *({"arrays": arrays} for arrays in (5, {}, [1], ["parameter/action.b"] * 2)),
        *({"config": asdict(CONFIG) | {name: value}} for name in ("units", "lr", "core") for value in ([], {}, None)),
    ],
    ids=lambda meta: "-".join(str(value)[-25:] for pair in meta.items() for value in pair),
)
def test_a_description_with_a_value_of_another_kind_is_refused(path, meta):
    rewrite(path, meta=meta)
    assert_refused(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' * 100_000, "1" * 5000, '{"format": "ramnp-1"}', "NaN"])
def test_a_description_that_is_nested_or_long_is_refused(path, text):
    rewrite(path, {"meta": np.frombuffer(text.encode(), np.uint8)})
    assert_refused(path)


def test_a_shape_of_true_is_refused(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    whole = members["parameter/baseline.b.npy"]
    assert b"(1,)" in whole
    members["parameter/baseline.b.npy"] = whole.replace(b"(1,), }   ", b"(True,), }")
    write_zip(path, members)
    assert_refused(path)


@pytest.mark.parametrize("t", [-1, 2**60, np.nan, 1.5])
def test_steps_that_no_optimizer_counted_are_refused(t):
    trainer = Trainer(CONFIG, SHAPE, CLASSES, NUMPY)
    saved = trainer.checkpoint(1, None, 0.0)
    with pytest.raises(CheckpointError, match="holds no t that fits the adam optimizer"):
        trainer.restore(replace(saved, optimizer=saved.optimizer | {"t": np.array(t)}))
    trainer.restore(saved)
