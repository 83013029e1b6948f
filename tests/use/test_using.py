"""The scripts and commands of docs/using.md, run as they stand there, with warnings as errors."""

import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from running import REPOSITORY

from ramnp import data
from ramnp.config import Config

TEXT = (REPOSITORY / "docs/using.md").read_text()
SCRIPTS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
NEEDS = ("onnxruntime", "tensorboardX")


def title(script):
    """The call that a script is about."""
    return re.findall(r"ramnp\.(?!load)\w+|model\.\w+|glimpses=8", script)[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what the scripts find there: a scan, some digits as arrays, and a folder of photos."""
    folder = tmp_path_factory.mktemp("user")
    digits = data.load(Config())
    images, labels = digits.train.images[..., 0], digits.train.labels
    Image.fromarray(digits.test.images[0, ..., 0]).save(folder / "digit.png")
    np.savez(folder / "digits.npz", images=images[:800], labels=labels[:800])
    for label, name in enumerate(("zero", "one")):
        (folder / "photos" / name).mkdir(parents=True)
        for number in np.flatnonzero(labels == label)[:40]:
            Image.fromarray(images[number]).save(folder / "photos" / name / f"{number}.png")
    return folder


def ran(folder, *argv, shell=False):
    """What a script or a command prints. It must not fail, nor say anything on stderr."""
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONWARNINGS": "error",
        "RAMNP_DATA": str(REPOSITORY / "datasets"),
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = subprocess.run(
        argv[0] if shell else argv,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        shell=shell,
    )
    assert (process.returncode, process.stderr) == (0, ""), process.stderr
    return process.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=title)
def test_a_script_of_the_page_works(folder, script):
    for package in NEEDS:
        if package in script:
            pytest.importorskip(package)
    assert ran(folder, sys.executable, "-c", script) or "print" not in script


def test_the_scripts_do_what_the_page_says(folder):
    asked, _, looked = (ran(folder, sys.executable, "-c", script) for script in SCRIPTS[:3])
    assert asked == "7\n"
    assert "glimpse 6 at column" in looked
    assert "answer: 7" in looked


def test_the_commands_of_the_page_work_one_after_the_other(folder):
    """In one test, since the later ones need what the earlier ones leave."""
    for command in COMMANDS:
        count = -1 if "|" in command else 1
        printed = ran(folder, command.replace("python", shlex.quote(sys.executable), count), shell=True)
        if "ramnp.predict" in command:
            assert printed.splitlines()[0] in ("digit.png: 7 (100.0 %)", "./digit.png: 7 (100.0 %)")
    for name in ("path.png", "film.gif", "answers.json", "runs/photos/result.json"):
        assert (folder / name).stat().st_size > 0, name


def test_the_scripts_leave_what_the_page_says(folder):
    left = {"look.png": "savefig", "look.gif": "film", "mine.npz": "model.save", "log.csv": "import csv"}
    for name, words in left.items():
        (script,) = (script for script in SCRIPTS if words in script)
        ran(folder, sys.executable, "-c", script)
        assert (folder / name).stat().st_size > 0, name
    header, *lines = (folder / "log.csv").read_text().splitlines()
    assert header.startswith("epoch,lr,loss/action,")
    assert [line.split(",")[0] for line in lines] == ["1", "2"]


def test_type_checkers_accept_the_scripts(folder):
    """mypy, as a user would run it."""
    pytest.importorskip("mypy")
    files = []
    for number, script in enumerate(SCRIPTS):
        files.append(f"script_{number}.py")
        (folder / files[-1]).write_text(script)
    assert "no issues found" in ran(folder, sys.executable, "-m", "mypy", "--ignore-missing-imports", *files)
