"""The text of --help comes from the docstring of the command's module."""

from importlib import import_module

import pytest

from ramnp.cli import description

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "export",
    "demo",
    "data",
    "analysis",
    "reproduce",
    "gradcheck",
    "gradcheck.estimator",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_in_its_help_what_its_module_says(command):
    try:
        module = import_module(f"ramnp.{command}.__main__")
    except ModuleNotFoundError:
        module = import_module(f"ramnp.{command}")
    text = description(module.__doc__)
    assert text[0].isupper()
    assert text[1:] in module.__doc__
    assert "python -m ramnp" not in text.splitlines()[0]
