"""Images known by their content: their digests, and the splits that follow from these."""

import numpy as np
import pytest
from archives import CIFAR_FILES, SHARED, needs_shared
from hypothesis import given, settings
from hypothesis import strategies as st

from ramnp.config import DataConfig
from ramnp.data import cifar10, load
from ramnp.data.content import changes, digest_of, digests, parts_of, relabelled, remembered
from ramnp.data.folder import Folder
from ramnp.data.source import SPLITS, DataSet, Split
from ramnp.errors import DataError

CONFIG = DataConfig(dataset="folder", data_path="mine", validation=1)


def images(counts, seed=0, side=4):
    """Noise: `counts` images of each class, with their digests."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (sum(counts), side, side, 1), np.uint8)
    return Split(pixels, np.repeat(np.arange(len(counts)), counts), digests(pixels))


def data_set(train, config=CONFIG, **others):
    names = tuple(f"class {label}" for label in range(train.labels.max() + 1))
    return Folder().data_set({"train": train, **others}, config, names)


def where(dataset):
    """The split of each image, by its digest."""
    return {digest: split for split in SPLITS for digest in getattr(dataset, split).digests.tolist()}


# Digests.


def test_a_digest_tells_pixels_shapes_and_types_apart(rng):
    image = rng.integers(0, 256, (6, 4, 1), np.uint8)
    other = image.copy()
    other[5, 3] ^= 1
    kinds = [image, other, image.reshape(4, 6, 1), image.astype(np.float32), image.reshape(6, 2, 2)]
    assert len({digest_of(each) for each in kinds}) == len(kinds)
    assert digest_of(image) == digest_of(image[:, ::-1][:, ::-1]) == digest_of(image.repeat(3, axis=2))
    assert digests([image, other]).dtype == np.uint64


def test_the_digest_of_an_image_never_changes():
    """Otherwise the images of older checkpoints would move."""
    assert digest_of(np.arange(12, dtype=np.uint8).reshape(3, 4, 1)) == 1087859556094406946


# Splits.


def test_the_shares_are_those_of_the_configuration():
    dataset = data_set(images([3000, 1000]))
    for split, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        assert len(getattr(dataset, split)) / 4000 == pytest.approx(share, abs=0.02)
    half = data_set(images([3000, 1000]), DataConfig(validation=0, test_share=0.5))
    assert len(half.test) / 4000 == pytest.approx(0.5, abs=0.03)
    assert len(half.validation) == 0


@given(st.lists(st.integers(30, 60), min_size=2, max_size=4), st.integers(0, 2**32 - 1), st.data())
@settings(deadline=None, max_examples=40)
def test_images_that_come_and_go_move_no_other(counts, seed, data):
    whole = images(counts, seed)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole))))
    for label in range(len(counts)):  # so many of each class that no split is empty
        kept[np.flatnonzero(whole.labels == label)[:25]] = True
    order = np.random.default_rng(seed).permutation(int(kept.sum()))
    before, after = where(data_set(whole)), where(data_set(whole[kept][order]))
    small = [np.unique(list(each.values()), return_counts=True)[1].min() for each in (before, after)]
    moved = {digest for digest, split in after.items() if before[digest] != split}
    lacking = set()
    for label in range(len(counts)):  # a class whose natural split is empty may move its own images
        for part in (whole, whole[kept]):
            u = part.digests[part.labels == label] / 2.0**64
            if (u < 0.15).sum() == 0 or ((u >= 0.15) & (u < 0.3)).sum() == 0:
                lacking |= set(whole.digests[whole.labels == label].tolist())
    assert moved <= lacking, small


def test_copies_share_a_split():
    whole = images([40, 40])
    twice = Split(*(np.concatenate([getattr(whole, name)] * 2) for name in ("images", "labels", "digests")))
    dataset = data_set(twice)
    known = [set(getattr(dataset, split).digests.tolist()) for split in SPLITS]
    assert sum(map(len, known)) == len(set().union(*known)) == 80
    assert sum(len(getattr(dataset, split)) for split in SPLITS) == 160


@pytest.mark.parametrize("size", [3, 4, 5, 8])
def test_a_small_class_has_an_image_in_each_split(size):
    for seed in range(30):
        dataset = data_set(images([40, size], seed))
        for split in SPLITS:
            assert {0, 1} == set(getattr(dataset, split).labels.tolist()), (seed, split)


def test_a_class_that_is_too_small_is_named():
    with pytest.raises(DataError, match=r"class 'class 1' needs 3 different images, one for each split, and has 2"):
        data_set(images([40, 2]))
    assert len(data_set(images([40, 2]), DataConfig(validation=0)).validation) == 0
    one = images([40, 1])
    copies = one[np.array([*range(40), *[40] * 10])]
    with pytest.raises(DataError, match="and has 1: "):
        data_set(copies, DataConfig(validation=0))


def test_an_image_of_two_classes_is_in_one_split():
    whole = images([30, 30])
    both = Split(
        np.concatenate([whole.images, whole.images[:30]]), np.repeat([0, 1], [30, 60]),
        np.concatenate([whole.digests, whole.digests[:30]]),
    )  # fmt: skip
    part = parts_of(both, ("a", "b"), 0.15, 0.15)
    assert (part[:30] == part[60:]).all()
    assert "images that are in more than one class, pixel by pixel: 30" in data_set(both).warnings


def test_the_order_is_that_of_the_content():
    whole = images([40, 40])
    shuffled = whole[np.random.default_rng(1).permutation(80)]
    assert data_set(whole).sha256() == data_set(shuffled).sha256()


def test_a_test_image_that_is_also_trained_on_is_left_out():
    train, test = images([40, 40]), images([5, 5], seed=1)
    leaking = Split(*(np.concatenate([getattr(each, name) for each in (test, train[:3])])
                      for name in ("images", "labels", "digests")))  # fmt: skip
    dataset = data_set(train, DataConfig(validation=0), test=leaking)
    assert len(dataset.train) == 80
    np.testing.assert_array_equal(dataset.test.digests, test.digests)
    assert any("test images left out" in warning and warning.endswith(": 3") for warning in dataset.warnings)


def test_images_for_validation_are_trained_on_without_validation():
    train, held_out = images([40, 40]), images([5, 5], seed=1)
    with_it = data_set(train, validation=held_out)
    assert len(with_it.validation) == 10
    without = data_set(train, DataConfig(validation=0), validation=held_out)
    assert len(without.validation) == 0
    assert len(without.train) + len(without.test) == 90


# What a checkpoint remembers.


def test_a_training_image_is_never_a_test_image_again():
    dataset = data_set(images([60, 60]))
    record = dataset.record()
    swapped = DataSet("folder", 2, dataset.test, dataset.validation, dataset.train, dataset.class_names)
    assert where(remembered(swapped, record)) == where(dataset)
    assert remembered(dataset, record) is dataset
    later = record.joined(data_set(images([60, 60], seed=1)).record())
    assert where(remembered(swapped, later)) == where(dataset)


def test_an_image_that_was_tested_and_then_trained_on_is_a_training_image():
    first, second = data_set(images([60, 60])), data_set(images([60, 60]), DataConfig(validation=0, test_share=0.01))
    record = second.record().joined(first.record())
    back = where(remembered(first, record))
    assert all(back[digest] == "train" for digest in second.train.digests.tolist())


def test_changes_are_counted():
    whole = images([60, 60])
    record = data_set(whole).record()
    fewer, more = data_set(whole[3:]), data_set(images([62, 60]))
    assert changes(fewer, record) == " (images gone: 3, new: 0)"
    assert "new: " in changes(more, record)
    other = Split(whole.images, 1 - whole.labels, whole.digests)
    assert "labels" in changes(data_set(other), record)


def test_classes_keep_their_numbers_if_some_are_gone():
    dataset = Folder().data_set({"train": images([30, 30])}, CONFIG, ("cat", "dog"))
    again = relabelled(dataset, ("ant", "cat", "cow", "dog"))
    assert (again.classes, again.class_names) == (4, ("ant", "cat", "cow", "dog"))
    np.testing.assert_array_equal(again.train.labels, np.array([1, 3])[dataset.train.labels])


# Warnings.


def test_equal_images_are_noticed():
    whole = images([30, 30])
    whole.images[:30] = 7
    assert any("all 30 images of class 'class 0' are equal" in each for each in data_set(whole).warnings)
    whole.images[:] = 7
    assert any("all 60 images are equal" in each for each in data_set(whole).warnings)
    assert any("no pixel is brighter than 7 of 255" in each for each in data_set(whole).warnings)
    assert data_set(images([30, 30])).warnings == ()


# Published data sets keep their splits.


@pytest.mark.parametrize(
    ("config", "sha256"),
    [
        ({}, "fea87470e85fad28122aad03bea8424995abee968555dfb584facb74c77ba91e"),
        ({"validation": 0}, "742ef7dfe015c9dbbfea622fb10ca88277b1e337a3a3c450f4dab955b0202996"),
        ({"dataset": "cluttered-mnist"}, "fea87470e85fad28122aad03bea8424995abee968555dfb584facb74c77ba91e"),
        ({"test_share": 0.5, "resize": 9}, "fea87470e85fad28122aad03bea8424995abee968555dfb584facb74c77ba91e"),
    ],
    ids=str,
)
def test_the_splits_of_mnist_are_what_they_were(config, sha256):
    """Measured before images were known by their content."""
    dataset = load(DataConfig(**config))
    assert dataset.sha256() == sha256
    assert dataset.record().images == {}


@needs_shared
@pytest.mark.parametrize(
    ("config", "sha256"),
    [
        ({}, "526c738c8b9d8888fdf131076cbd22703109ae67db0b3b76559fd63dd0e2381e"),
        (
            {"validation": 0, "alphabets": "Greek,Latin"},
            "32166603b6f804be6c739adf836a9cfa57264dc23251c4d0e7e28ebbc9cea291",
        ),
    ],
    ids=str,
)
def test_the_splits_of_omniglot_are_what_they_were(monkeypatch, config, sha256):
    monkeypatch.setenv("RAMNP_DATA", str(SHARED))
    assert load(DataConfig(dataset="omniglot", **config)).sha256() == sha256


def test_the_splits_of_cifar_are_what_they_were(tmp_path, monkeypatch):
    """The published files cannot lie here, so these are random, in the same layout."""
    monkeypatch.setattr(cifar10, "RECORDS", 12)
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    (tmp_path / "cifar10" / cifar10.FOLDER).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in CIFAR_FILES:
        records = rng.integers(0, 256, (12, cifar10.RECORD), np.uint8)
        records[:, 0] %= 10
        (tmp_path / "cifar10" / cifar10.FOLDER / name).write_bytes(records.tobytes())
    dataset = load(DataConfig(dataset="cifar10", validation=7))
    assert dataset.sha256() == "1e8831969e531c67d3a073287955ce3c70cee7cbfb8aba22e0a61cc1477f4438"
