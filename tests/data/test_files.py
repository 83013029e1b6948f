"""Files, gzip files and zip archives: what is read, what is refused, and where they come from."""

import gzip
import struct
import tracemalloc
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pooch
import pytest
from archives import REPOSITORY, damaged, little_memory, write_zip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ramnp.config import DataConfig
from ramnp.data import files, load
from ramnp.errors import DataError

# Files and gzip files.


def write_gzip(path, content):
    path.write_bytes(gzip.compress(content))
    return path, len(content), sha256(content).hexdigest()


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert files.read_file(path, 3) == b"abc"
    for limit, wrong in ((2, path), (3, tmp_path), (3, tmp_path / "none")):
        with pytest.raises(DataError, match=wrong.name):
            files.read_file(wrong, limit)


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
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)
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


# Zip archives.


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


# Where the files are.


def test_the_environment_variable_comes_before_the_clone(monkeypatch):
    assert files.data_root() == REPOSITORY / "datasets"
    monkeypatch.setenv("RAMNP_DATA", "~/elsewhere")
    assert files.data_root() == Path.home() / "elsewhere"
    monkeypatch.setenv("RAMNP_DATA", "")
    assert files.data_root() == REPOSITORY / "datasets"


def test_without_a_clone_the_cache_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "ramnp" / "data" / "files.py"))
    assert files.data_root() == Path(pooch.os_cache("ramnp"))
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


@pytest.mark.usefixtures("empty_root")
@pytest.mark.parametrize(
    ("dataset", "file"), [("cifar10", "cifar-10-binary.tar.gz"), ("omniglot", "images_background.zip")]
)
def test_without_data_and_network_the_error_says_which_file_to_put_where(tmp_path, dataset, file):
    with pytest.raises(DataError) as caught:
        load(DataConfig(dataset=dataset))
    for part in (file, str(tmp_path / dataset), "RAMNP_DATA"):
        assert part in str(caught.value)


def test_the_second_mirror_is_asked_after_the_first_fails(tmp_path, monkeypatch):
    asked = []

    def retrieve(url, known_hash, fname, path, **options):
        asked.append((url, known_hash))
        if len(asked) == 1:
            raise ValueError("MD5 hash of downloaded file does not match")
        Path(path).mkdir(parents=True)
        (Path(path) / fname).write_bytes(b"here")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path))
    path = files.locate("set", "name.gz", ["https://a.invalid/x/", "https://b.invalid/"], "0" * 32)
    assert path == tmp_path / "set" / "name.gz"
    assert path.read_bytes() == b"here"
    assert asked == [
        ("https://a.invalid/x/name.gz", "md5:" + "0" * 32),
        ("https://b.invalid/name.gz", "md5:" + "0" * 32),
    ]
