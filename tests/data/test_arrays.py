"""Your own images in an .npz file: how they are split, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from archives import all_splits, damage, damaged, forbid, fuzz, little_memory, npy, npy_that_claims, survives, write_npz
from hypothesis import given
from hypothesis import strategies as st

from ramnp.config import DataConfig
from ramnp.data import arrays, load
from ramnp.errors import DataError, UsageError

LABELS = np.arange(12) % 3


IMAGES = (np.arange(12)[:, None, None] + np.zeros((4, 5))).astype(np.uint8)


def load_arrays(path, validation=0):
    return load(DataConfig(dataset="arrays", data_path=str(path), validation=validation))


def test_arrays_are_split_by_their_content(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    dataset = load_arrays(path, validation=4)
    assert (dataset.name, dataset.classes, dataset.image_shape) == ("arrays", 3, (4, 5, 1))
    for split in (dataset.train, dataset.validation, dataset.test):
        assert set(split.labels) == {0, 1, 2}
    images, labels = all_splits(dataset)
    numbers = images[:, 0, 0, 0]
    assert sorted(numbers) == list(range(12))
    assert numbers.tolist() != list(range(12))
    np.testing.assert_array_equal(labels, numbers % 3)
    np.savez(path, images=IMAGES[::-1], labels=LABELS[::-1])
    np.testing.assert_array_equal(all_splits(load_arrays(path, validation=4))[0], images)  # in whatever order they come


def test_test_arrays_stay_as_they_are(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=IMAGES, labels=LABELS, test_images=IMAGES[:2] + 100, test_labels=[2, 0])
    dataset = load_arrays(path, validation=2)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [9, 3, 2]
    assert dataset.test.labels.tolist() == [2, 0]
    assert dataset.test.images[:, 0, 0, 0].tolist() == [100, 101]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "float16", ">f4"])
@pytest.mark.parametrize("shape", [(12, 3, 4), (12, 3, 4, 1), (12, 3, 4, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_kind_of_image(tmp_path, dtype, shape, order):
    values = np.random.default_rng(0).integers(0, 2, shape)
    values = (values * (255 if dtype == "uint8" else 1)).astype(dtype, order=order)
    path = write_npz(tmp_path / "a.npz", images=values, labels=LABELS.astype(np.uint16))
    images, _ = arrays.read_arrays(path)
    assert images.images.shape == (12, 3, 4, shape[3] if len(shape) == 4 else 1)
    assert images.images.dtype == ("uint8" if dtype == "uint8" else "float32")
    np.testing.assert_array_equal(images.images.reshape(shape), values)
    assert images.labels.dtype == np.int64


FLOATS = IMAGES / 255


BAD_ARRAYS = {
    "no images": {"labels": LABELS},
    "no labels": {"images": IMAGES},
    "test images alone": {"images": IMAGES, "labels": LABELS, "test_images": IMAGES},
    "test labels alone": {"images": IMAGES, "labels": LABELS, "test_labels": LABELS},
    "two axes": {"images": IMAGES[:, 0], "labels": LABELS},
    "five axes": {"images": IMAGES[..., None, None], "labels": LABELS},
    "no axes": {"images": np.float32(1), "labels": LABELS},
    "no images in it": {"images": IMAGES[:0], "labels": LABELS[:0]},
    "images of no width": {"images": IMAGES[:, :, :0], "labels": LABELS},
    "signed images": {"images": IMAGES.astype(np.int16), "labels": LABELS},
    "complex images": {"images": IMAGES.astype(complex), "labels": LABELS},
    "objects": {"images": npy_that_claims("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "labels": LABELS},
    "above 1": {"images": FLOATS + 1, "labels": LABELS},
    "below 0": {"images": FLOATS - 0.1, "labels": LABELS},
    "not a number": {"images": np.where(FLOATS > 0.04, np.nan, FLOATS), "labels": LABELS},
    "infinite": {"images": np.where(FLOATS > 0.04, np.inf, FLOATS), "labels": LABELS},
    "a label too few": {"images": IMAGES, "labels": LABELS[1:]},
    "two axes of labels": {"images": IMAGES, "labels": LABELS[:, None]},
    "floating labels": {"images": IMAGES, "labels": LABELS * 1.0},
    "a negative label": {"images": IMAGES, "labels": LABELS - 1},
    "a class without images": {"images": IMAGES, "labels": LABELS * 2},
    "a huge label": {"images": IMAGES, "labels": np.where(LABELS == 2, 2**62, LABELS)},
    "one class": {"images": IMAGES, "labels": LABELS * 0},
    "an unknown test label": {"images": IMAGES, "labels": LABELS, "test_images": IMAGES, "test_labels": LABELS + 1},
    "a negative test label": {"images": IMAGES, "labels": LABELS, "test_images": IMAGES, "test_labels": LABELS - 1},
    "test images of another size": {
        "images": IMAGES, "labels": LABELS, "test_images": IMAGES[:, 1:], "test_labels": LABELS,
    },
    "test images of another type": {"images": IMAGES, "labels": LABELS, "test_images": FLOATS, "test_labels": LABELS},
    "not an array": {"images": b"nonsense", "labels": LABELS},
    "a huge shape": {
        "images": npy_that_claims("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999,)}", b"abc"),
        "labels": LABELS,
    },
    "negative lengths": {
        "images": npy_that_claims("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -3, 1)}", b"abc"),
        "labels": LABELS,
    },
    "a truncated array": {"images": npy(IMAGES)[:-1], "labels": LABELS},
    "too long an array": {"images": npy(IMAGES) + b"x", "labels": LABELS},
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays_are_refused(tmp_path, name):
    path = write_npz(tmp_path / "a.npz", **BAD_ARRAYS[name])
    with little_memory(), pytest.raises(DataError, match=r"a\.npz"):
        load_arrays(path)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_one_to_four_channels_are_read_as_they_are(tmp_path, channels, rng):
    images = rng.integers(0, 256, (4, 5, 6, channels), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.array([0, 1, 0, 1]))
    np.testing.assert_array_equal(arrays.read_arrays(tmp_path / "x.npz")[0].images, images)


@pytest.mark.parametrize(("shape", "said"), [((4, 5, 6, 5), "5 channels"), ((4, 3, 9, 9), r"transpose\(0, 2, 3, 1\)")])
def test_images_of_more_channels_are_refused(tmp_path, shape, said):
    np.savez(tmp_path / "x.npz", images=np.zeros(shape, np.uint8), labels=np.array([0, 1, 0, 1]))
    with pytest.raises(DataError, match=said):
        arrays.read_arrays(tmp_path / "x.npz")


def test_bytes_that_end_at_one_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.minimum(IMAGES, 1), labels=LABELS)
    with pytest.raises(DataError, match=r"x\.npz, images: uint8 images go from 0 to 255, and no pixel here is above 1"):
        load_arrays(tmp_path / "x.npz")


def test_labels_that_are_sorted_may_be_compressed(tmp_path):
    images = np.full((400_000, 1, 1), 200, np.uint8)  # 0.4 MB, and labels of 3.2 MB, in a file of some kilobytes
    np.savez_compressed(tmp_path / "x.npz", images=images, labels=np.repeat(np.arange(2), 200_000))
    assert (tmp_path / "x.npz").stat().st_size < 10_000
    (images, _) = arrays.read_arrays(tmp_path / "x.npz")
    assert images.labels.sum() == 200_000


def test_labels_cannot_unpack_to_more_than_one_each(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", images=IMAGES, labels=np.zeros(10_000_000, np.int64))
    with little_memory(), pytest.raises(DataError, match="more than the limit"):
        arrays.read_arrays(tmp_path / "x.npz")


def test_a_single_array_is_no_data_set(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(DataError, match=r"save an \.npz file"):
        arrays.read_arrays(tmp_path / "x.npy")


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_never_ends_is_not_read(tmp_path, kind):
    path = Path("/dev/zero")
    if kind == "pipe" or not path.exists():
        path = tmp_path / "pipe"
        os.mkfifo(path)
    with pytest.raises(DataError, match="it is a pipe or a device, not a file"):
        load_arrays(path)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = write_npz(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    forbid(monkeypatch, "a.npz")
    with pytest.raises(DataError, match=r"^cannot read .*a\.npz: Permission denied$"):
        load_arrays(path)


def test_a_member_that_is_nothing_but_zeros_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, images=np.zeros((4, 3000, 3000), np.uint8), labels=np.array([0, 1, 0, 1]))
    with pytest.raises(DataError, match="too few to be real data"):
        arrays.read_arrays(path)


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    np.savez(tmp_path / "a.npz", images=np.array([Trap()], dtype=object), labels=LABELS)
    with pytest.raises(DataError, match=r"a\.npz"):
        load_arrays(tmp_path / "a.npz")


@given(damage)
@fuzz
def test_a_damaged_npz_is_read_or_refused(tmp_path, how):
    path = write_npz(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    path.write_bytes(damaged(path.read_bytes(), *how))
    with little_memory():
        survives(load_arrays, path)


@given(
    st.one_of(
        st.binary(max_size=100),
        st.builds(npy_that_claims, st.text(st.characters(max_codepoint=255), max_size=80), st.binary(max_size=8)),
        st.builds(
            lambda kind, order, shape, content: npy_that_claims(
                f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}}}", content
            ),
            st.sampled_from(["|u1", "<f4", ">i8", "|O", "|S5", "<M8[s]", "V0", "(2,)u1", "nonsense"]),
            st.sampled_from([True, False, 3]),
            st.one_of(st.lists(st.integers(-(2**70), 2**70), max_size=4).map(tuple), st.just("x"), st.just(("a",))),
            st.binary(max_size=16),
        ),
    )
)
@fuzz
def test_an_npy_file_of_arbitrary_bytes_is_an_array_or_refused(content):
    with little_memory():
        survives(lambda name: arrays.parse_npy(content, name), "a.npy")


# Arrays and folders: where your own images are.


@pytest.mark.parametrize("kind", ["arrays", "folder"])
def test_your_own_images_need_a_path(tmp_path, kind):
    with pytest.raises(UsageError, match=f"{kind} needs --data-path"):
        load(DataConfig(dataset=kind))
    with pytest.raises(DataError, match="does not exist"):
        load(DataConfig(dataset=kind, data_path=str(tmp_path / "none")))


@pytest.mark.parametrize("kind", ["arrays", "folder"])
def test_a_folder_for_a_file_and_a_file_for_a_folder_are_refused(tmp_path, kind):
    path = tmp_path if kind == "arrays" else tmp_path / "file"
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=path.name):
        load(DataConfig(dataset=kind, data_path=str(path)))
