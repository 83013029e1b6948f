"""Files that are none: pipes, devices, loops and folders in the place of a file that is read or written."""

import os
import signal
import stat
from pathlib import Path

import numpy as np
import pytest
from archives import npy

from ramnp import own_parts
from ramnp.config import Config
from ramnp.data import arrays, cifar10, files, folder, images
from ramnp.data.npy import parse_npy
from ramnp.errors import DataError, OutputError, RamnpError, UsageError
from ramnp.files import expand, read_json, write_atomically, write_json
from ramnp.training import checkpoint, run

posix = pytest.mark.skipif(os.name != "posix", reason="pipes and devices of Unix")

READERS = {
    "x.json": read_json,
    "x.bin": lambda path: files.read_file(path, 100),
    "x.gz": lambda path: files.read_gzip(path, 100),
    "x.md5": files.md5_of,
    "x.npz": arrays.read_arrays,
    "x.tar.gz": cifar10.read_archive,
    "x.png": lambda path: images.decode_file(path, resized=False),
    "photos": folder.read_folder,
    "metrics.jsonl": run.read_lines,
    "config.json": lambda path: run.read_run_config(path.parent),
    "best.npz": checkpoint.load,
    "x.py": lambda path: own_parts.load(str(path)),
}
KINDS = {
    "pipe": os.mkfifo if os.name == "posix" else None,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path.name),
    "folder": Path.mkdir,
}


@pytest.fixture
def in_time():
    """A test that hangs is interrupted."""

    def stop(number, frame):
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@posix
@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_in_one_line(tmp_path, name, kind):
    path = tmp_path / name
    KINDS[kind](path)
    with pytest.raises(RamnpError) as caught:
        READERS[name](path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value) or name == "x.py"


@posix
@pytest.mark.usefixtures("in_time")
def test_a_device_is_written_to_and_stays_one(tmp_path):
    """To put a file in the place of /dev/stdout or /dev/null would harm the whole system."""
    reader, writer = os.pipe()
    path = Path(f"/dev/fd/{writer}")
    write_json(path, {"a": 1})
    assert os.read(reader, 100) == b'{\n  "a": 1\n}\n'
    write_atomically(path, lambda file: np.savez(file, images=np.zeros(3)))  # which seeks in its file
    assert os.read(reader, 10_000)[:2] == b"PK"
    write_json(Path(os.devnull), {"a": 1})
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    os.close(reader)
    with pytest.raises(OutputError, match="Broken pipe"):
        write_json(path, {"a": 1})
    os.close(writer)


@pytest.mark.parametrize("name", ["", ".", "inner"])
def test_a_folder_is_not_written_over(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("inner").mkdir()
    with pytest.raises(OutputError, match=r"\(it is a folder\): choose the name of a file"):
        write_json(Path(name), {})
    assert os.listdir() == ["inner"]


def test_a_link_to_a_file_is_replaced_and_the_file_stays(tmp_path):
    """A run folder that was copied as links must not write into the original."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("mine")
    write_json(tmp_path / "link", {})
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()


def test_the_home_of_an_unknown_user_is_a_name_as_any_other(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expand("~/x") == tmp_path / "x"
    assert expand("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


def test_text_with_a_nul_is_refused():
    """No system call takes it."""
    with pytest.raises(UsageError, match="--data-path must not hold the character NUL"):
        Config.from_json({"data_path": "a\0b"})


def test_true_is_no_length_of_an_array():
    """NumPy takes it for 1."""
    content = bytearray(npy(np.zeros((1, 10), np.uint8)))
    start = content.index(b"(1, 10), }   ")
    content[start : start + 13] = b"(True, 10), }"
    with pytest.raises(DataError, match=r"claims shape \(True, 10\)"):
        parse_npy(content, "a.npy")
