"""The idx format, gzip files, where files come from, and the batches made of them."""

import gzip
import shutil
import struct
import tracemalloc
from hashlib import sha256
from itertools import chain

import numpy as np
import pooch
import pytest
from archives import damaged
from checking import fills_slots
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ramnp.backend import NUMPY
from ramnp.config import DataConfig
from ramnp.data import files, load
from ramnp.data.idx import parse_idx
from ramnp.data.mnist import MNIST
from ramnp.data.source import Source, Split
from ramnp.errors import DataError, UsageError

REPOSITORY = files.Path(__file__).resolve().parents[2] / "datasets"
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def idx_header(*shape, kind=8):
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def write_gzip(path, content):
    path.write_bytes(gzip.compress(content))
    return path, len(content), sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(url, *args, **kwargs):
        raise OSError(f"no network in a test: {url}")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.delenv("RAMNP_DATA", raising=False)


@pytest.fixture(scope="module")
def digits():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAMNP_DATA", str(REPOSITORY))
        return load(DataConfig(validation=5000))


@pytest.fixture
def data_copy(tmp_path, monkeypatch):
    """A copy of the MNIST files that a test may damage."""
    shutil.copytree(REPOSITORY / "mnist", tmp_path / "mnist")
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    return tmp_path / "mnist"


# The idx format.


@pytest.mark.parametrize("shape", [(7,), (2, 3), (4, 5, 6), (1, 1, 1, 1), (0,), (0, 3)])
def test_idx_gives_back_what_was_written(shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    parsed = parse_idx(idx_header(*shape) + array.tobytes(), len(shape), "x")
    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, array)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(idx_header(2)[:3], id="magic-cut"),
        pytest.param(idx_header(2)[:6], id="header-cut"),
        pytest.param(b"\1" + idx_header(2)[1:] + b"ab", id="magic"),
        pytest.param(idx_header(2, kind=9) + b"ab", id="signed-bytes"),
        pytest.param(idx_header(2, 1) + b"ab", id="two-axes"),
        pytest.param(b"\0\0\x08\2" + idx_header(2)[4:] + b"ab", id="wrong-number-of-axes"),
        pytest.param(idx_header(3) + b"ab", id="one-too-few"),
        pytest.param(idx_header(2) + b"abc", id="trailing-byte"),
        pytest.param(idx_header(2**32 - 1) + b"ab", id="huge-length"),
        pytest.param(b"<!DOCTYPE html>", id="web-page"),
    ],
)
def test_idx_rejects_what_does_not_fit_and_names_the_file(content):
    with pytest.raises(DataError, match="digits-idx1"):
        parse_idx(content, 1, "digits-idx1")


@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1, 1), (2**31, 2**31, 4), (2**32 - 1,) * 3])
def test_idx_rejects_lengths_whose_product_overflows(shape):
    # 2^31 * 2^31 * 4 is 2^64, which is 0 in 64 bits and so would fit no content at all.
    with pytest.raises(DataError, match="claims shape"):
        parse_idx(idx_header(*shape), 3, "x")


def test_idx_rejects_huge_lengths_beside_a_zero():
    with pytest.raises(DataError):
        parse_idx(idx_header(0, 2**32 - 1, 2**32 - 1), 3, "x")


lengths = st.sampled_from([0, 1, 2, 3, 28, 255, 2**16, 2**31, 2**32 - 1])
headers = st.lists(lengths, min_size=1, max_size=4).map(lambda shape: idx_header(*shape))


@given(st.one_of(st.binary(max_size=64), st.builds(bytes.__add__, headers, st.binary(max_size=16))), st.integers(1, 4))
@example(idx_header(0, 2**32 - 1, 2**32 - 1), 3)
@settings(deadline=None, max_examples=300)
def test_idx_of_arbitrary_bytes_is_an_array_or_a_data_error(content, axes):
    try:
        array = parse_idx(content, axes, "x")
    except DataError:
        return
    assert array.ndim == axes
    assert array.tobytes() == content[4 + 4 * axes :]


# Gzip files.


def test_gzip_gives_the_content(tmp_path):
    path, size, digest = write_gzip(tmp_path / "a.gz", b"some content")
    assert files.read_gzip(path, size, digest) == b"some content"


@pytest.mark.parametrize("kept", [0, 1, 5, 12, 30, -9, -1])
def test_gzip_that_is_truncated_is_refused(tmp_path, kept):
    path, size, digest = write_gzip(tmp_path / "a.gz", bytes(range(256)) * 4)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"a\.gz"):
        files.read_gzip(path, size, digest)


@pytest.mark.parametrize("position", [12, 100, 200, -6, -1])
def test_gzip_with_a_flipped_bit_is_refused(tmp_path, position):
    path, size, digest = write_gzip(tmp_path / "a.gz", np.random.default_rng(0).bytes(300))
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"a\.gz"):
        files.read_gzip(path, size, digest)


@given(st.one_of(st.binary(max_size=100), st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(1, 255))))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_gzip_of_arbitrary_bytes_is_the_content_or_a_data_error(tmp_path, content):
    path, size, digest = write_gzip(tmp_path / "a.gz", bytes(range(200)))
    path.write_bytes(damaged(path.read_bytes(), *content) if isinstance(content, tuple) else content)
    try:
        read = files.read_gzip(path, size, digest)
    except DataError:
        return
    assert read == bytes(range(200))


@pytest.mark.parametrize(
    "content",
    [b"not gzip at all", b"", gzip.compress(b"other"), gzip.compress(b"right and more")],
    ids=["not gzip", "empty", "another", "more"],  # the files themselves hold the time
)
def test_gzip_with_another_content_is_refused(tmp_path, content):
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.gz"):
        files.read_gzip(tmp_path / "a.gz", 5, sha256(b"right").hexdigest())


def test_a_folder_in_place_of_a_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=tmp_path.name):
        files.read_gzip(tmp_path, 5, "")


def test_gzip_bomb_is_not_unpacked_beyond_the_announced_size(tmp_path):
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"bomb\.gz"):
            files.read_gzip(bomb, 1000, sha256(bytes(1000)).hexdigest())
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


# Where the files are.


def test_the_environment_variable_comes_before_the_clone(monkeypatch):
    assert files.data_root() == REPOSITORY
    monkeypatch.setenv("RAMNP_DATA", "~/elsewhere")
    assert files.data_root() == files.Path.home() / "elsewhere"
    monkeypatch.setenv("RAMNP_DATA", "")
    assert files.data_root() == REPOSITORY


def test_without_a_clone_the_cache_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "ramnp" / "data" / "files.py"))
    assert files.data_root() == files.Path(pooch.os_cache("ramnp"))
    (tmp_path / "datasets").mkdir()
    assert files.data_root() == tmp_path / "datasets"


def test_a_file_that_is_there_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "name.gz").touch()
    assert files.locate("set", "name.gz", ["https://a.invalid/"], "0" * 32) == tmp_path / "set" / "name.gz"


def test_a_missing_file_without_network_names_file_folder_and_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load(DataConfig())
    for part in ("train-images-idx3-ubyte.gz", str(tmp_path / "mnist"), "RAMNP_DATA"):
        assert part in str(caught.value)


def test_the_second_mirror_is_asked_after_the_first_fails(tmp_path, monkeypatch):
    asked = []

    def retrieve(url, known_hash, fname, path, **options):
        asked.append((url, known_hash))
        if len(asked) == 1:
            raise ValueError("MD5 hash of downloaded file does not match")
        files.Path(path).mkdir(parents=True)
        (files.Path(path) / fname).write_bytes(b"here")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    path = files.locate("set", "name.gz", ["https://a.invalid/x/", "https://b.invalid/"], "0" * 32)
    assert path == tmp_path / "set" / "name.gz"
    assert path.read_bytes() == b"here"
    assert asked == [
        ("https://a.invalid/x/name.gz", "md5:" + "0" * 32),
        ("https://b.invalid/name.gz", "md5:" + "0" * 32),
    ]


# MNIST.


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


# Batches.


def numbered(count, height=3, width=4, channels=2):
    """Images whose every value is their number plus 1, and whose label is their number."""
    images = np.arange(1, count + 1, dtype=np.uint8).repeat(height * width * channels)
    return Split(images.reshape(count, height, width, channels), np.arange(count))


def collect(source, size, rng=None):
    return [labels.tolist() for _, labels, *_ in source.batches(size, rng)]


@pytest.mark.parametrize("size", [1, 3, 5, 10, 11, 100])
def test_batches_in_order_hold_every_image_once(size):
    batches = collect(Source(numbered(10), NUMPY, 1), size)
    assert [*chain(*batches)] == list(range(10))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size


@pytest.mark.parametrize(("size", "count"), [(1, 10), (3, 3), (5, 2), (10, 1), (11, 0)])
def test_shuffled_batches_are_whole_and_repeat_nothing(size, count):
    batches = collect(Source(numbered(10), NUMPY, 1), size, np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [size] * count
    chosen = [*chain(*batches)]
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(range(10))


def test_the_order_depends_on_the_generator_alone():
    source = Source(numbered(50), NUMPY, 1)
    first, again, other = (collect(source, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != collect(source, 50)


def test_batches_made_in_slots_are_the_same_and_stay_until_the_next():
    fills_slots(Source(numbered(10), NUMPY, 1), 3)


@pytest.mark.parametrize("rng", [None, np.random.default_rng(3)])
def test_canvases_hold_the_images_of_their_labels_inside_zeros(rng):
    for canvas, labels, *_ in Source(numbered(10), NUMPY, 2).batches(4, rng):
        assert canvas.margin == 2
        assert canvas.pixels.shape == (len(labels), 7, 8, 2)
        assert canvas.pixels.dtype == np.uint8
        expected = np.zeros_like(canvas.pixels)
        expected[:, 2:5, 2:6] = (labels + 1)[:, None, None, None]
        np.testing.assert_array_equal(canvas.pixels, expected)
