"""The short form of `python -m tests.faults`: some kills, damaged files and races, with nothing wrong."""

import os

import pytest
from running import run_module


@pytest.mark.skipif(os.name != "posix", reason="signals and memory limits of Unix")
@pytest.mark.parametrize("part", [("--kills", 4), ("--mutations", 200), ("--races", 1)], ids=lambda part: part[0])
def test_nothing_goes_wrong(part):
    others = [option for name in ("--kills", "--mutations", "--races") if name != part[0] for option in (name, 0)]
    outcome = run_module("tests.faults", *part, *others, "--seed", 1, timeout=600)
    assert (outcome.returncode, outcome.stderr) == (0, ""), outcome.stdout
