"""CIFAR-10: its records, from the archive and from the folder. A file has three records here."""

import gzip
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
from archives import (
    CIFAR_FILES,
    SHARED,
    cifar_members,
    cifar_records,
    damage,
    damaged,
    fuzz,
    little_memory,
    needs_shared,
    survives,
    write_cifar_folder,
    write_tar,
)
from hypothesis import given
from hypothesis import strategies as st

from ramnp.config import DataConfig
from ramnp.data import cifar10, load
from ramnp.errors import DataError

pytestmark = pytest.mark.usefixtures("empty_root")


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
    path.write_bytes(damaged(path.read_bytes(), *how))
    survives(cifar10.read_archive, path)


@given(st.lists(st.tuples(st.integers(0, 511), st.integers(0, 255)), max_size=8), st.integers(0, 7))
@fuzz
def test_an_archive_with_lying_headers_is_read_or_refused(short, tmp_path, changes, which):
    """The tar headers inside are changed, so that the compression around them is sound."""
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


@needs_shared
def test_a_stand_in_for_cifar_is_read(tmp_path):
    script = SHARED / "cifar10" / "make_cifar10_bin.py"
    subprocess.run([sys.executable, script, tmp_path / "cifar10"], check=True, timeout=120)
    dataset = load(DataConfig(dataset="cifar10"))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [45_000, 5_000, 10_000]
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    brightness = dataset.train.images[::50].mean(axis=(0, 1, 2))
    assert np.abs(brightness - [125.3, 123.0, 113.9]).max() < 4  # red, green and blue of the real data set


@pytest.mark.parametrize("size", [2**40, 2**60, cifar10.OTHER * 2])
@pytest.mark.parametrize("name", [f"{cifar10.FOLDER}/batches.meta.txt", "elsewhere.bin", f"{cifar10.FOLDER}/a.bin"])
def test_a_member_that_claims_more_than_there_is_is_not_skipped(short, tmp_path, name, size):
    """tarfile would read blocks up to the end of such a member: for minutes, or for ever."""
    info = tarfile.TarInfo(name)
    info.size = size
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    started = time.monotonic()
    with pytest.raises(DataError, match=r"claims .* bytes"):
        cifar10.read_archive(tmp_path / "a.tar.gz")
    assert time.monotonic() - started < 5


def test_no_flipped_bit_of_the_archive_gives_other_images(short, tmp_path):
    """The checksum of gzip stands at the end, behind what tarfile reads."""
    path = write_tar(tmp_path / "a.tar.gz", cifar_members())
    whole, right = path.read_bytes(), cifar10.read_archive(path)
    for position in range(0, len(whole), max(1, len(whole) // 60)):
        flipped = bytearray(whole)
        flipped[position] ^= 4
        path.write_bytes(flipped)
        try:
            found = cifar10.read_archive(path)
        except DataError:
            continue
        for name, split in right.items():
            assert np.array_equal(found[name].images, split.images)
            assert np.array_equal(found[name].labels, split.labels)


def test_a_file_that_is_not_the_published_one_is_noted(short, tmp_path, monkeypatch):
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    (tmp_path / "cifar10").mkdir()
    write_tar(tmp_path / "cifar10" / "cifar-10-binary.tar.gz", cifar_members())
    (note,) = load(DataConfig(dataset="cifar10", validation=1)).notes
    assert "not the published file (MD5 " in note
