"""MNIST and Fashion-MNIST: what they hold, what is held out, and damaged files."""

import gzip
import shutil

import numpy as np
import pytest
from archives import REPOSITORY

from ramnp.config import DataConfig
from ramnp.data import files, load
from ramnp.data.mnist import FASHION_MNIST, MNIST
from ramnp.data.source import Split
from ramnp.errors import DataError, UsageError

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(scope="module")
def digits():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAMNP_DATA", str(REPOSITORY / "datasets"))
        return load(DataConfig(validation=5000))


@pytest.fixture
def data_copy(tmp_path, monkeypatch):
    """A copy of the MNIST files that a test may damage."""
    shutil.copytree(REPOSITORY / "datasets" / "mnist", tmp_path / "mnist")
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    return tmp_path / "mnist"


def test_mnist_has_its_shapes_types_and_label_counts(digits):
    assert digits.name == "mnist"
    assert digits.classes == 10
    assert digits.image_shape == (28, 28, 1)
    for split, size in ((digits.train, 55_000), (digits.validation, 5_000), (digits.test, 10_000)):
        assert len(split) == size
        assert split.images.shape == (size, 28, 28, 1)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
    trained_on = np.concatenate((digits.train.labels, digits.validation.labels))
    assert np.bincount(trained_on).tolist() == TRAIN_COUNTS
    assert np.bincount(digits.test.labels).tolist() == TEST_COUNTS


def test_mnist_holds_out_the_last_training_digits(digits):
    images, labels = MNIST.read("train-images-idx3-ubyte.gz"), MNIST.read("train-labels-idx1-ubyte.gz")
    for split, rows in ((digits.train, slice(55_000)), (digits.validation, slice(55_000, None))):
        assert np.array_equal(split.images[..., 0], images[rows])
        assert np.array_equal(split.labels, labels[rows])
    assert images[0].sum() == 27525  # the first digit, a 5, upright and not inverted
    assert images[0, 5, 12:].tolist() == [3, 18, 18, 18, 126, 136, 175, 26, 166, 255, 247, 127, 0, 0, 0, 0]
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_holding_out_nothing_leaves_an_empty_split(monkeypatch):
    split = Split(np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, np.int64))
    monkeypatch.setattr(MNIST, "read_split", lambda prefix: split)
    dataset = load(DataConfig(validation=0))
    assert (len(dataset.train), len(dataset.validation)) == (4, 0)


@pytest.mark.parametrize("validation", [4, 5, 10**12])
def test_holding_out_everything_is_a_usage_error(monkeypatch, validation):
    split = Split(np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, np.int64))
    monkeypatch.setattr(MNIST, "read_split", lambda prefix: split)
    with pytest.raises(UsageError, match="--validation"):
        load(DataConfig(validation=validation))


@pytest.mark.parametrize("name", [file.name for file in MNIST.published])
def test_a_truncated_data_file_is_named(data_copy, name):
    path = data_copy / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"{name} is damaged or truncated"):
        MNIST.read(name)


def test_a_data_file_with_another_content_is_named(data_copy):
    path = data_copy / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=path.name):
        MNIST.read("t10k-labels-idx1-ubyte.gz")


# Fashion-MNIST: no checksum of the content is known, so the file itself must be the published one.


@pytest.mark.usefixtures("empty_root")
def test_fashion_mnist_must_be_the_published_file(tmp_path):
    (tmp_path / "fashion-mnist").mkdir()
    path = tmp_path / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    shutil.copy(REPOSITORY / "datasets" / "mnist" / path.name, path)
    with pytest.raises(DataError, match=f"{path.name} is not the published file"):
        load(DataConfig(dataset="fashion-mnist"))


@pytest.mark.usefixtures("empty_root")
def test_fashion_mnist_is_read_as_mnist_is(tmp_path, monkeypatch):
    shutil.copytree(REPOSITORY / "datasets" / "mnist", tmp_path / "fashion-mnist")
    published = [
        file._replace(md5=files.md5_of(tmp_path / "fashion-mnist" / file.name)) for file in FASHION_MNIST.published
    ]
    monkeypatch.setattr(FASHION_MNIST, "published", published)
    dataset = load(DataConfig(dataset="fashion-mnist"))
    assert (dataset.name, dataset.classes, len(dataset.class_names)) == ("fashion-mnist", 10, 10)
    assert dataset.train.images[0].sum() == 27525
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [55_000, 5_000, 10_000]
