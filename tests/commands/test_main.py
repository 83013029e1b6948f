"""`ramnp COMMAND` is `python -m ramnp.COMMAND`."""

import pytest
from running import assert_fails, run_module

from ramnp.__main__ import COMMANDS


def test_without_a_command_they_are_listed():
    process = run_module("ramnp")
    assert process.returncode == 0
    for command in COMMANDS:
        assert f"  {command} " in process.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_the_module_of_its_name(command):
    through, itself = run_module("ramnp", command, "--help"), run_module(f"ramnp.{command}", "--help")
    assert (through.returncode, through.stdout) == (0, itself.stdout)


def test_arguments_and_exit_code_are_handed_on():
    assert_fails(run_module("ramnp", "train", "--unitz", "16"), 2, "did you mean --units?")


def test_an_unknown_command_ends_with_2_and_names_those_there_are():
    assert_fails(run_module("ramnp", "trian"), 2, "trian", "train")
