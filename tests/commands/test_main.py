"""`ramnp COMMAND` is `python -m ramnp.COMMAND`."""

import os
import signal
import subprocess
import sys

import pytest
from running import REPOSITORY, assert_fails, run_module

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


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize(
    "command", [("-m", "ramnp.train"), ("-m", "ramnp", "train"), ("-c", "from ramnp.__main__ import main; main()")]
)
def test_ctrl_c_during_the_imports_gives_no_traceback(tmp_path, command):
    """A module that takes for ever, and lies where `train` finds it in the place of Python's own."""
    (tmp_path / "argparse.py").write_text("import time; print('importing', flush=True); time.sleep(600)")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(REPOSITORY)))}
    listen = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    argv = [sys.executable, *command, *(["train"] if command[0] == "-c" else [])]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=listen) as process:
        try:
            assert process.stdout.readline() == "importing\n"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (-signal.SIGINT, "")


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_a_program_that_imports_ramnp_keeps_its_ctrl_c():
    code = "import signal; before = signal.getsignal(signal.SIGINT); import ramnp.train;"
    code += "assert signal.getsignal(signal.SIGINT) is before"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
