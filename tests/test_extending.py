"""The examples of docs/extending.md, run as they stand there."""

import json
import os
import re
import subprocess
import sys

import pytest
from running import REPOSITORY, SMALL, run_module

from ramnp.registry import HOMES

TEXT = (REPOSITORY / "docs/extending.md").read_text()
FILES = dict(re.findall(r"```python\n# (my_\w+\.py)\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = [
    line.removeprefix("python -m ").split()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]
REGISTER = re.compile(r'^@register\("(\w+)", "([\w-]+)"\)$', re.MULTILINE)
REGISTERED = {(kind, name): file for file, code in FILES.items() for kind, name in REGISTER.findall(code)}
MOMENT = ("--epochs", "1", "--limit-batches", "2", "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files of all examples."""
    folder = tmp_path_factory.mktemp("examples")
    for name, code in FILES.items():
        (folder / name).write_text(code)
    return folder


def ran(*arguments, expect=0, **options):
    process = run_module(*arguments, **options)
    assert (process.returncode, process.stderr) == (expect, ""), process.stderr
    return process.stdout


def test_every_kind_has_an_example():
    assert {kind for kind, _ in REGISTERED} == set(HOMES)


@pytest.mark.parametrize(("kind", "name"), REGISTERED)
def test_an_example_trains_evaluates_and_is_resumed_with_two_workers(folder, kind, name):
    own = ("--import", folder / REGISTERED[kind, name])
    run = folder / f"{kind}-{name}"
    flags = ("--" + kind.replace("_", "-"), name, "--workers", 2, "--out", run)
    ran("ramnp.train", *SMALL, *own, *flags, *MOMENT, "--validation", 200)
    assert 0 <= json.loads((run / "result.json").read_text())["test_error"]["averaged"] <= 100
    ran("ramnp.train", "--resume", run, "--epochs", 2, "--quiet")  # which knows its file
    assert [json.loads(line)["epoch"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [1, 2]
    found = json.loads(ran("ramnp.evaluate", run, "--json", "--rollouts", 1))
    assert found["epoch"] in (1, 2)


@pytest.mark.parametrize("file", ["my_core.py", "my_glimpse.py", "my_policy.py"])
def test_the_gradients_of_an_example_are_right(folder, file):
    assert "all right" in ran("ramnp.gradcheck", "--import", folder / file)


def test_a_wrong_gradient_of_an_own_part_is_caught(folder):
    for file, right, wrong in (
        ("my_core.py", "tanh_backward(dh, cache.h[t + 1])", "dh"),
        ("my_glimpse.py", "relu_backward(dg * h_l,", "relu_backward(dg,"),
        ("my_policy.py", "self.xp.sign(sample - mu) / self.std", "self.xp.sign(sample - mu)"),
    ):
        (folder / "wrong.py").write_text(FILES[file].replace(right, wrong))
        assert (folder / "wrong.py").read_text() != FILES[file]
        assert "WRONG" in ran("ramnp.gradcheck", "--import", folder / "wrong.py", expect=1)


def run_in(folder, *argv):
    """Run Python in the folder of the examples, where MNIST is found."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "RAMNP_DATA": str(REPOSITORY / "datasets")}
    process = subprocess.run(
        [sys.executable, *argv], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_of_the_page_works(folder, arguments):
    """In the order of the page; on a batch, and of `reproduce`, whose sizes are the preset's, only its list."""
    module, *flags = arguments
    if module == "ramnp.reproduce":
        assert "mnist-4-gru" in run_in(folder, "-m", module, "--list", *flags)
        return
    if "--resume" in flags:
        flags[flags.index("--epochs") + 1] = "2"
    elif module == "ramnp.train":
        flags += [*SMALL, "--epochs", "1", "--limit-batches", "1"]
        flags += [] if "--out" in flags else ["--out", flags[1].removesuffix(".py")]
    run_in(folder, "-m", module, *flags)


def test_the_script_of_the_page_trains_with_workers(folder):
    assert run_in(folder, "my_script.py").startswith("{'action':")


def test_the_links_of_the_page_lead_somewhere():
    titles = (line.lstrip("# ").lower() for line in TEXT.splitlines() if line.startswith("#"))
    headings = {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= headings
    for path in re.findall(r"`((?:ramnp|tests|benchmarks|datasets)/[\w/.]+)`", TEXT):
        assert (REPOSITORY / path).exists(), path
