"""The readers of CIFAR-10, Omniglot, arrays and folders: what they give, and what they refuse.

Whatever a file holds, a reader gives a data set or a DataError that names the file, and takes no more memory than
such a file can need.
"""

import io
import shutil
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from contextlib import contextmanager

import archives
import numpy as np
import pooch
import pytest
from archives import (
    CIFAR_FILES,
    SHARED,
    cifar_members,
    cifar_records,
    drawing,
    needs_shared,
    npy,
    npy_that_claims,
    omniglot_members,
    png,
    png_that_claims,
    write_cifar_folder,
    write_tar,
    write_zip,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ramnp.config import DataConfig
from ramnp.data import arrays, cifar10, files, folder, images, load, omniglot
from ramnp.data.mnist import FASHION_MNIST
from ramnp.errors import DataError, UsageError

fuzz = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
damage = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 255))


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch):
    def refuse(url, *args, **kwargs):
        raise OSError(f"no network in a test: {url}")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))


@contextmanager
def little_memory(limit=8 << 20):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def survives(read, path):
    """`read` takes the file, or raises a DataError of one line that names it."""
    try:
        read(path)
    except DataError as error:
        said = str(error)
    else:
        return
    assert str(path) in said
    assert "\n" not in said


# Files and zip archives.


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert files.read_file(path, 3) == b"abc"
    for limit, wrong in ((2, path), (3, tmp_path), (3, tmp_path / "none")):
        with pytest.raises(DataError, match=wrong.name):
            files.read_file(wrong, limit)


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.png", "a/../../up.png"])
def test_a_member_that_points_outside_is_refused(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", {"good": b"", name: b"x"})
    with pytest.raises(DataError, match=r"a\.zip has a member that points outside"):
        files.open_zip(path, 10)


def test_too_many_members_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {str(number): b"" for number in range(11)})
    with pytest.raises(DataError, match=r"a\.zip has 11 members"):
        files.open_zip(path, 10)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"bomb": bytes(64 << 20)})
    with files.open_zip(path, 10) as archive, little_memory(), pytest.raises(DataError, match=r"a\.zip, bomb: claims"):
        files.read_member(archive, "bomb", 1000)


def claim(path, size):
    """Let both headers of the only member of an archive announce another size."""
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = content.index(signature) + offset
        content[start : start + 4] = struct.pack("<I", size)
    path.write_bytes(content)


@pytest.mark.parametrize("size", [0, 10, 999, 1001, 2**31])
def test_a_member_that_lies_about_its_size_is_refused(tmp_path, size):
    path = write_zip(tmp_path / "a.zip", {"liar": bytes(1000)})
    claim(path, size)
    with files.open_zip(path, 10) as archive, little_memory(), pytest.raises(DataError, match=r"a\.zip, liar"):
        files.read_member(archive, "liar", 2**32)


def test_a_bomb_that_claims_to_be_small_is_not_unpacked(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"bomb": bytes(64 << 20)})
    claim(path, 1000)
    with files.open_zip(path, 10) as archive, little_memory(), pytest.raises(DataError, match=r"a\.zip, bomb"):
        files.read_member(archive, "bomb", 1000)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_without_a_bound_is_refused(tmp_path, compression):
    path = write_zip(tmp_path / "a.zip", {"x": b"abc"}, compression)
    with files.open_zip(path, 10) as archive, pytest.raises(DataError, match="stored or deflated"):
        files.read_member(archive, "x", 1000)


def test_a_stored_member_is_read(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"x": b"abc"}, zipfile.ZIP_STORED)
    with files.open_zip(path, 10) as archive:
        assert files.read_member(archive, "x", 3) == b"abc"


# Fashion-MNIST: no checksum of the content is known, so the file itself must be the published one.


def test_fashion_mnist_must_be_the_published_file(tmp_path):
    (tmp_path / "fashion-mnist").mkdir()
    path = tmp_path / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    shutil.copy(archives.REPOSITORY / "datasets" / "mnist" / path.name, path)
    with pytest.raises(DataError, match=f"{path.name} is not the published file"):
        load(DataConfig(dataset="fashion-mnist"))


def test_fashion_mnist_is_read_as_mnist_is(tmp_path, monkeypatch):
    shutil.copytree(archives.REPOSITORY / "datasets" / "mnist", tmp_path / "fashion-mnist")
    published = [
        file._replace(md5=files.md5_of(tmp_path / "fashion-mnist" / file.name)) for file in FASHION_MNIST.published
    ]
    monkeypatch.setattr(FASHION_MNIST, "published", published)
    dataset = load(DataConfig(dataset="fashion-mnist"))
    assert (dataset.name, dataset.classes, len(dataset.class_names)) == ("fashion-mnist", 10, 10)
    assert dataset.train.images[0].sum() == 27525
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [55_000, 5_000, 10_000]


# CIFAR-10. A file has 3 records here.


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(cifar10, "RECORDS", 3)


def test_a_record_is_a_label_and_three_planes(short):
    records = np.zeros((3, cifar10.RECORD), np.uint8)
    records[1, 0] = 9
    records[1, 1 + 5 * 32 + 7] = 11  # red, row 5, column 7
    records[1, 1 + 1024 + 31 * 32] = 22  # green, row 31, column 0
    records[1, 1 + 2048 + 31] = 33  # blue, row 0, column 31
    split = cifar10.parse_records(records.tobytes(), "x")
    assert split.labels.tolist() == [0, 9, 0]
    assert split.images.shape == (3, 32, 32, 3)
    assert [split.images[1, 5, 7, 0], split.images[1, 31, 0, 1], split.images[1, 0, 31, 2]] == [11, 22, 33]
    assert split.images.sum() == 66


@pytest.mark.parametrize("change", [-1, 1, -cifar10.RECORD, cifar10.RECORD])
def test_records_of_another_length_are_refused(short, change):
    with pytest.raises(DataError, match=r"x has .* bytes, not 9,219"):
        cifar10.parse_records(bytes(3 * cifar10.RECORD + change), "x")


@pytest.mark.parametrize("packed", [True, False])
def test_cifar_is_read_from_the_archive_and_from_the_folder(short, tmp_path, packed):
    (tmp_path / "cifar10").mkdir()
    if packed:
        write_tar(tmp_path / "cifar10" / "cifar-10-binary.tar.gz", cifar_members())
    else:
        write_cifar_folder(tmp_path / "cifar10")
    dataset = load(DataConfig(dataset="cifar10", validation=4))
    assert (dataset.classes, dataset.image_shape, len(dataset.class_names)) == (10, (32, 32, 3), 10)
    expected = np.concatenate([cifar_records(number) for number in range(6)])
    labels = np.concatenate([split.labels for split in (dataset.train, dataset.validation, dataset.test)])
    np.testing.assert_array_equal(labels, expected[:, 0])
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [11, 4, 3]
    planes = expected[:, 1:].reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(dataset.test.images[..., 1], planes[15:, 1])
    np.testing.assert_array_equal(dataset.validation.images[..., 2], planes[11:15, 2])


def test_nothing_of_the_archive_is_written_to_disk(short, tmp_path):
    (tmp_path / "cifar10").mkdir()
    write_tar(tmp_path / "cifar10" / "cifar-10-binary.tar.gz", cifar_members())
    before = sorted(tmp_path.rglob("*"))
    load(DataConfig(dataset="cifar10", validation=0))
    assert sorted(tmp_path.rglob("*")) == before


def link(kind):
    info = tarfile.TarInfo(f"{cifar10.FOLDER}/test_batch.bin")
    info.type, info.linkname, info.size = kind, "/etc/passwd", 3 * cifar10.RECORD
    return info


TEST_BATCH = f"{cifar10.FOLDER}/test_batch.bin"
NOT_A_FILE = "must be one file of 9,219 bytes"
BAD_ARCHIVES = {
    "symlink": ({TEST_BATCH: link(tarfile.SYMTYPE)}, NOT_A_FILE),
    "hard link": ({TEST_BATCH: link(tarfile.LNKTYPE)}, NOT_A_FILE),
    "device": ({TEST_BATCH: link(tarfile.CHRTYPE)}, NOT_A_FILE),
    "folder": ({TEST_BATCH: link(tarfile.DIRTYPE)}, NOT_A_FILE),
    "record missing": ({TEST_BATCH: cifar_records(0, 2).tobytes()}, NOT_A_FILE),
    "record too many": ({TEST_BATCH: cifar_records(0, 4).tobytes()}, NOT_A_FILE),
    "byte missing": ({TEST_BATCH: cifar_records().tobytes()[:-1]}, NOT_A_FILE),
    "label 10": ({TEST_BATCH: b"\n" + cifar_records().tobytes()[1:]}, "it has the label 10"),
    "a file twice": ({f"./{TEST_BATCH}": cifar_records().tobytes()}, NOT_A_FILE),
    "bomb": ({"bomb": bytes(32 << 20)}, "more data"),
    "many members": ({str(number): b"" for number in range(200)}, "more than 100 members"),
    "huge extended header": ({"x" * 2_000_000: b""}, "more data"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_bad_archive_is_refused(short, tmp_path, name):
    members, said = BAD_ARCHIVES[name]
    path = write_tar(tmp_path / "a.tar.gz", cifar_members(**members))
    with little_memory(), pytest.raises(DataError, match=rf"a\.tar\.gz .*({said})"):
        cifar10.read_archive(path)


@pytest.mark.parametrize("folder", ["", "other/", f"../{cifar10.FOLDER}/", f"/{cifar10.FOLDER}/"])
def test_an_archive_without_the_folder_lacks_its_files(short, tmp_path, folder):
    path = write_tar(tmp_path / "a.tar.gz", {folder + name: cifar_records().tobytes() for name in CIFAR_FILES})
    with pytest.raises(DataError, match=r"a\.tar\.gz lacks .*data_batch_1\.bin"):
        cifar10.read_archive(path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x1f\x8b", b"<html>"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tar\.gz"):
        cifar10.read_archive(tmp_path / "a.tar.gz")


@given(damage)
@fuzz
def test_a_damaged_archive_is_read_or_refused(short, tmp_path, how):
    path = write_tar(tmp_path / "a.tar.gz", cifar_members())
    path.write_bytes(archives.damaged(path.read_bytes(), *how))
    survives(cifar10.read_archive, path)


@given(st.lists(st.tuples(st.integers(0, 511), st.integers(0, 255)), max_size=8), st.integers(0, 7))
@fuzz
def test_an_archive_with_lying_headers_is_read_or_refused(short, tmp_path, changes, which):
    """The tar headers inside are changed, so that the compression around them is sound."""
    import gzip

    path = write_tar(tmp_path / "a.tar.gz", cifar_members())
    content = bytearray(gzip.decompress(path.read_bytes()))
    starts = [start for start in range(0, len(content), 512) if content[start : start + 5] == b"cifar"]
    start = starts[which % len(starts)]
    for position, value in changes:
        content[start + position] = value
    header = content[start : start + 148] + b" " * 8 + content[start + 156 : start + 512]
    content[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    path.write_bytes(gzip.compress(bytes(content), 1))
    with little_memory():
        survives(cifar10.read_archive, path)


def test_a_file_missing_from_the_folder_is_named(short, tmp_path):
    write_cifar_folder(tmp_path / "cifar10")
    (tmp_path / "cifar10" / cifar10.FOLDER / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_3\.bin"):
        load(DataConfig(dataset="cifar10"))


@pytest.mark.parametrize("change", [-1, 1, -cifar10.RECORD, cifar10.RECORD])
def test_a_file_of_another_length_is_named(short, tmp_path, change):
    write_cifar_folder(tmp_path / "cifar10")
    path = tmp_path / "cifar10" / cifar10.FOLDER / "test_batch.bin"
    path.write_bytes((path.read_bytes() + bytes(4000))[: 3 * cifar10.RECORD + change])
    with pytest.raises(DataError, match=r"test_batch\.bin"):
        load(DataConfig(dataset="cifar10"))


@pytest.mark.parametrize(
    ("dataset", "file"), [("cifar10", "cifar-10-binary.tar.gz"), ("omniglot", "images_background.zip")]
)
def test_without_data_and_network_the_error_says_which_file_to_put_where(tmp_path, dataset, file):
    with pytest.raises(DataError) as caught:
        load(DataConfig(dataset=dataset))
    for part in (file, str(tmp_path / dataset), "RAMNP_DATA"):
        assert part in str(caught.value)


@needs_shared
def test_a_stand_in_for_cifar_is_read(tmp_path):
    script = SHARED / "cifar10" / "make_cifar10_bin.py"
    subprocess.run([sys.executable, script, tmp_path / "cifar10"], check=True, timeout=120)
    dataset = load(DataConfig(dataset="cifar10"))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [45_000, 5_000, 10_000]
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    brightness = dataset.train.images[::50].mean(axis=(0, 1, 2))
    assert np.abs(brightness - [125.3, 123.0, 113.9]).max() < 4  # red, green and blue of the real data set


# Images.


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "GIF", "WEBP", "JPEG"])
def test_gray_and_colour_images_are_read(kind):
    rng = np.random.default_rng(0)
    for shape, mode in (((6, 9), "L"), ((6, 9, 3), "RGB")):
        if (kind, mode) in (("GIF", "RGB"), ("WEBP", "L"), ("GIF", "L")):
            continue  # these know only palettes, or only colour
        pixels = rng.integers(0, 256, shape, np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format=kind, **({"lossless": True} if kind == "WEBP" else {}))
        image = images.read_image(file.getvalue(), "x")
        assert image.shape == (6, 9, len(mode))
        if kind != "JPEG":
            np.testing.assert_array_equal(image.squeeze(), pixels)


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("P", 1), ("LA", 1), ("RGBA", 3)])
def test_kinds_of_pixels(mode, channels):
    pixels = np.zeros((5, 5), np.uint8)
    pixels[2] = 255
    image = images.read_image(png(pixels, mode), "x")
    assert image.shape == (5, 5, channels)
    np.testing.assert_array_equal(image[..., 0], pixels)


def test_sixteen_bits_are_refused():
    with pytest.raises(DataError, match=r"a\.png has pixels of the unsupported mode I;16"):
        images.read_image(png(np.zeros((5, 5), np.uint16)), "a.png")


@pytest.mark.parametrize(("width", "height"), [(4097, 4097), (4097, 1), (2, 30_000), (30_000, 30_000)])
def test_an_image_bomb_is_not_decoded(monkeypatch, width, height):
    monkeypatch.setattr(Image.Image, "convert", lambda *args: pytest.fail("decoded"))
    with pytest.raises(
        DataError, match=r"a\.png (is \d+x\d+ pixels; a side may have at most 4096|.*decompression bomb)"
    ):
        images.read_image(png_that_claims(width, height), "a.png")


def test_an_image_of_another_size_or_format_is_refused():
    content = png(np.zeros((4, 5), np.uint8))
    assert images.read_image(content, "x", ("PNG",), (5, 4)).shape == (4, 5, 1)
    with pytest.raises(DataError, match="x is 5x4 pixels, not 4x5"):
        images.read_image(content, "x", size=(4, 5))
    with pytest.raises(DataError, match="x cannot be read"):
        images.read_image(content, "x", ("JPEG",))


@given(st.one_of(st.binary(max_size=200), damage))
@fuzz
def test_arbitrary_bytes_are_an_image_or_refused(content):
    if isinstance(content, tuple):
        content = archives.damaged(png(np.arange(100, dtype=np.uint8).reshape(10, 10)), *content)
    with little_memory(64 << 20):
        survives(lambda name: images.read_image(content, name), "a.png")


# Omniglot.


@pytest.fixture
def omniglot_folder(tmp_path):
    folder = tmp_path / "omniglot"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("validation", "counts"), [(5000, (14, 2, 4)), (0, (16, 0, 4))])
def test_omniglot_is_split_by_person_and_named_after_its_characters(omniglot_folder, validation, counts):
    write_zip(omniglot_folder / "images_background.zip", omniglot_members())
    dataset = load(DataConfig(dataset="omniglot", validation=validation))
    assert dataset.image_shape == (105, 105, 1)
    assert dataset.class_names == tuple(f"{a}/character0{c}" for a in ("Greek", "Latin") for c in (1, 2, 3))
    people = iter(range(1, 21))
    for split, count in zip((dataset.train, dataset.validation, dataset.test), counts, strict=True):
        assert split.labels.tolist() == np.arange(6).repeat(count).tolist()
        assert split.images.shape == (6 * count, 105, 105, 1)
        assert (split.images.sum(axis=(1, 2, 3)) == 255).all()  # ink is 1, paper 0
        expected = [next(people) for _ in range(count)] * 6
        _, rows, columns, _ = np.nonzero(split.images)
        assert rows.tolist() == expected
        # "Greek" comes first in the alphabet, and second in the archive.
        assert columns.tolist() == [10 * (label < 3) + label % 3 + 1 for label in split.labels]


def test_alphabets_are_chosen_by_name(omniglot_folder):
    write_zip(omniglot_folder / "images_background.zip", omniglot_members(("A", "B", "C"), 2))
    dataset = load(DataConfig(dataset="omniglot", alphabets="C, A"))
    assert dataset.class_names == ("A/character01", "A/character02", "C/character01", "C/character02")
    with pytest.raises(UsageError, match="unknown alphabet D; choose from A, B, C"):
        load(DataConfig(dataset="omniglot", alphabets="A,D"))


def test_archives_that_overlap_count_a_drawing_once(omniglot_folder):
    write_zip(omniglot_folder / "images_background.zip", omniglot_members(("A",), 2))
    write_zip(omniglot_folder / "images_background_small1.zip", omniglot_members(("A",), 1, top="images_x"))
    write_zip(omniglot_folder / "images_evaluation.zip", omniglot_members(("B",), 1, top="images_evaluation"))
    dataset = load(DataConfig(dataset="omniglot"))
    assert dataset.class_names == ("A/character01", "A/character02", "B/character01")
    assert len(dataset.train) == 3 * 14


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({}, id="empty"),
        pytest.param({"images_background/A/character01/0001_01.txt": b""}, id="no-drawing"),
        pytest.param(omniglot_members(people=range(1, 17)), id="no-test-drawings"),
        pytest.param(omniglot_members(people=range(15, 21)), id="no-training-drawings"),
        pytest.param(omniglot_members() | {"images_x/A/character01/0001_01.png": b"PNG"}, id="not-an-image"),
        pytest.param(
            omniglot_members() | {"images_x/A/character01/0001_01.png": drawing(0, 0, 0, 104)}, id="another-size"
        ),
        pytest.param(
            omniglot_members() | {"images_x/A/character01/0001_01.png": png_that_claims(105, 10**9)}, id="image-bomb"
        ),
        pytest.param(omniglot_members() | {"images_x/A/character01/0001_01.png": bytes(32 << 20)}, id="zip-bomb"),
        pytest.param(omniglot_members() | {"images_x/../../0001_01.png": b""}, id="outside"),
    ],
)
def test_a_bad_omniglot_archive_is_refused(omniglot_folder, members):
    write_zip(omniglot_folder / "images_background.zip", members)
    with little_memory(16 << 20), pytest.raises(DataError, match="omniglot"):
        load(DataConfig(dataset="omniglot"))


@given(damage)
@fuzz
def test_a_damaged_omniglot_archive_is_read_or_refused(tmp_path, how):
    path = write_zip(tmp_path / "a.zip", omniglot_members(("A",), 1, range(1, 3)))
    path.write_bytes(archives.damaged(path.read_bytes(), *how))
    survives(lambda path: omniglot.read_drawings(omniglot.find_drawings([path])), path)


@needs_shared
def test_the_small_omniglot_archives_are_read(monkeypatch):
    monkeypatch.setenv("RAMNP_DATA", str(SHARED))
    dataset = load(DataConfig(dataset="omniglot"))
    assert dataset.classes == 242  # 136 and 156 characters, of which 50 are in both
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [242 * n for n in (14, 2, 4)]
    assert 0.05 < (dataset.train.images == 255).mean() < 0.1
    assert set(np.unique(dataset.test.images)) == {0, 255}


# Arrays.


def write_npz(path, **members):
    return write_zip(
        path, {f"{name}.npy": value if isinstance(value, bytes) else npy(value) for name, value in members.items()}
    )


LABELS = np.arange(12) % 3
IMAGES = (np.arange(12)[:, None, None] + np.zeros((4, 5))).astype(np.uint8)


def load_arrays(path, validation=0):
    return load(DataConfig(dataset="arrays", data_path=str(path), validation=validation))


def all_splits(dataset):
    splits = (dataset.train, dataset.validation, dataset.test)
    return [np.concatenate(parts) for parts in zip(*((split.images, split.labels) for split in splits), strict=True)]


def test_arrays_are_shuffled_and_a_sixth_is_set_aside(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    dataset = load_arrays(path, validation=4)
    assert (dataset.name, dataset.classes, dataset.image_shape) == ("arrays", 3, (4, 5, 1))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [6, 4, 2]
    images, labels = all_splits(dataset)
    numbers = images[:, 0, 0, 0]
    assert sorted(numbers) == list(range(12))
    assert numbers.tolist() != list(range(12))
    np.testing.assert_array_equal(labels, numbers % 3)
    np.testing.assert_array_equal(all_splits(load_arrays(path))[0], images)  # the same order each time


def test_test_arrays_stay_as_they_are(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=IMAGES, labels=LABELS, test_images=IMAGES[:2] + 100, test_labels=[2, 0])
    dataset = load_arrays(path, validation=2)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [10, 2, 2]
    assert dataset.test.labels.tolist() == [2, 0]
    assert dataset.test.images[:, 0, 0, 0].tolist() == [100, 101]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "float16", ">f4"])
@pytest.mark.parametrize("shape", [(12, 3, 4), (12, 3, 4, 1), (12, 3, 4, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_kind_of_image(tmp_path, dtype, shape, order):
    values = np.random.default_rng(0).integers(0, 2, shape).astype(dtype, order=order)
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
    path.write_bytes(archives.damaged(path.read_bytes(), *how))
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


def test_holding_out_too_many_of_your_own_is_a_usage_error(tmp_path):
    path = write_npz(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    with pytest.raises(UsageError, match="--validation 10"):
        load_arrays(path, validation=10)


# Folders.


@pytest.fixture
def pictures(tmp_path):
    """Seven gray pictures in two classes, and other things that lie about."""
    root = tmp_path / "pictures"
    for number, name in enumerate(
        ["dog/b.png", "dog/a.PNG", "dog/c.png", "cat/x.png", "cat/y.png", "cat/z.png", "cat/w.png"]
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(np.full((4, 6), 10 * number + 5, np.uint8)))
    (root / "cat" / "notes.txt").write_text("not a picture")
    (root / ".hidden").mkdir()
    (root / "read-me.txt").touch()
    return root


def load_folder(path, validation=0):
    return load(DataConfig(dataset="folder", data_path=str(path), validation=validation))


def test_a_folder_is_read_by_class(pictures):
    dataset = load_folder(pictures, validation=2)
    assert (dataset.name, dataset.classes, dataset.class_names) == ("folder", 2, ("cat", "dog"))
    assert dataset.image_shape == (4, 6, 1)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [4, 2, 1]
    images, labels = all_splits(dataset)
    assert dict(zip((images[:, 0, 0, 0] // 10).tolist(), labels.tolist(), strict=True)) == dict(
        enumerate([1, 1, 1, 0, 0, 0, 0])
    )


def test_one_picture_in_colour_makes_all_colour(pictures):
    (pictures / "dog" / "d.png").write_bytes(png(np.full((4, 6, 3), (1, 2, 3), np.uint8)))
    dataset = load_folder(pictures)
    assert dataset.image_shape == (4, 6, 3)
    images, _ = all_splits(dataset)
    assert [5, 5, 5] in images[:, 0, 0].tolist()
    assert [1, 2, 3] in images[:, 0, 0].tolist()


def test_pictures_of_two_sizes_are_refused(pictures):
    (pictures / "dog" / "d.png").write_bytes(png(np.zeros((6, 4), np.uint8)))
    with pytest.raises(DataError, match=r"d\.png is 4x6 pixels, and .*w\.png is 6x4"):
        load_folder(pictures)


def test_a_class_without_pictures_is_refused(pictures):
    (pictures / "ant").mkdir()
    with pytest.raises(DataError, match="ant holds no images"):
        load_folder(pictures)


def test_a_single_class_is_refused(pictures):
    shutil.rmtree(pictures / "cat")
    with pytest.raises(DataError, match="pictures must have"):
        load_folder(pictures)


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", png_that_claims(10**5, 10**5), png(np.zeros((4, 6), np.uint16))],
    ids=["empty", "nonsense", "bomb", "sixteen-bits"],
)
def test_a_bad_picture_is_named(pictures, content):
    (pictures / "dog" / "bad.png").write_bytes(content)
    with little_memory(), pytest.raises(DataError, match=r"bad\.png"):
        folder.read_folder(pictures)


def test_what_systems_leave_behind_is_no_picture(pictures):
    whole = load_folder(pictures)
    (pictures / "dog" / "d.png").mkdir()
    (pictures / "dog" / "._0.png").write_bytes(b"resource fork")
    (pictures / "__MACOSX").mkdir()
    again = load_folder(pictures)
    assert len(again.train) + len(again.test) == len(whole.train) + len(whole.test)
    assert again.class_names == whole.class_names


@pytest.mark.parametrize("channels", [2, 4])
def test_images_of_other_than_one_or_three_channels_are_refused(tmp_path, channels):
    path = tmp_path / "x.npz"
    np.savez(path, images=np.zeros((4, 5, 5, channels), np.uint8), labels=np.array([0, 1, 0, 1]))
    with pytest.raises(DataError, match=f"{channels} channels"):
        arrays.read_arrays(path)


def test_a_member_that_is_nothing_but_zeros_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, images=np.zeros((4, 3000, 3000), np.uint8), labels=np.array([0, 1, 0, 1]))
    with pytest.raises(DataError, match="too few to be real data"):
        arrays.read_arrays(path)
