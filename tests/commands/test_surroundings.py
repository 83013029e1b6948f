"""Whatever is set around it, a run ends well: matplotlib's backend, the terminal's encoding, the names of folders."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from running import REPOSITORY, SMALL, assert_fails

from ramnp import cli, train
from ramnp.pictures import curves

SETTINGS = {
    "a backend that is not installed": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "a backend that is none": {"MPLBACKEND": "nonsense"},
    "a terminal of Western Europe": {"PYTHONIOENCODING": "cp1252"},
    "a terminal that knows ASCII": {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"},
}


@pytest.fixture
def photos(tmp_path, rng):
    """Two classes of 20 images; one name is Chinese and the other, where the system has such names, not UTF-8."""
    names = ["\u4e16\u754c".encode(), b"caf\xe9" if sys.platform == "linux" else b"cafe"]
    for name in names:
        folder = tmp_path / "photos" / os.fsdecode(name)
        folder.mkdir(parents=True)
        for number in range(20):
            Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def arguments(photos, out):
    own = ("--dataset", "folder", "--data-path", photos, "--validation", "8", "--batch-size", "16", "--workers", "1")
    return [*map(str, (*SMALL, *own, "--epochs", "1", "--out", out, "--backend", "numpy"))]


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_run_ends_well(photos, tmp_path, setting, quiet):
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/matplotlib_inline.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join((str(tmp_path / "blocked"), str(REPOSITORY)))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "always"} | SETTINGS[setting]
    out = tmp_path / "\u4e16\u754c"
    argv = [sys.executable, "-m", "ramnp.train", *arguments(photos, out), *(["--quiet"] if quiet else [])]
    process = subprocess.run(argv, env=environment, capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (0, b"")
    assert (process.stdout == b"") == quiet
    assert json.loads((out / "result.json").read_text())["epochs"] == 1
    for picture in ("curves.png", "glimpses.png"):
        assert (out / picture).stat().st_size > 1000


def test_the_result_is_written_before_the_pictures(photos, tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("no pictures today")

    monkeypatch.setattr(curves, "plot_curves", fail)
    with pytest.raises(RuntimeError):
        train.main([*arguments(photos, tmp_path / "run"), "--quiet"])
    assert json.loads((tmp_path / "run/result.json").read_text())["epochs"] == 1


def test_a_command_leaves_streams_alone_that_are_no_text_files(monkeypatch):
    """As those of a notebook."""
    monkeypatch.setattr(sys, "stdout", object())
    with pytest.raises(SystemExit) as stopped:
        cli.run(lambda: 0)
    assert stopped.value.code == 0


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(
    ("redirected", "code"),
    [("<&- >&- 2>&-", 0), (">&-", 0), ("2>&-", 0), (">/dev/full", 4), ("2>/dev/full", 0), ("| head -1", 0)],
)
def test_streams_that_are_closed_or_full_give_no_traceback(photos, tmp_path, redirected, code):
    """A file of the run must not take the place of a stream that is closed: it would get its lines."""
    argv = [sys.executable, "-m", "ramnp.train", *arguments(photos, tmp_path / "run")]
    shell = ["sh", "-c", f'"$@" {redirected}', "sh", *argv]
    process = subprocess.run(shell, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert process.returncode == code
    assert process.stderr.count("\n") == (code != 0), process.stderr
    if redirected.endswith("-"):
        assert json.loads((tmp_path / "run/result.json").read_text())["epochs"] == 1


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_list_on_a_closed_stdin_is_a_usage_error(tmp_path):
    code = "import sys; from ramnp import cli, predict; cli.run(lambda: list(predict.listed(['-'])))"
    shell = ["sh", "-c", '"$@" <&-', "sh", sys.executable, "-c", code]
    process = subprocess.run(shell, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert_fails(process, 2, "stdin is closed")
