"""Run folders: one process at a time, and nothing of a killed one in the way."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from running import REPOSITORY, SMALL, assert_fails, assert_same_run, run_module

from ramnp.errors import CheckpointError, OutputError, UsageError
from ramnp.training.folder import LOCK, Lock, claim_new, foreign, make_numbered, unstarted

# A command in a process of its own, which may have been started to ignore signals: the first line undoes that.
COMMAND = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "signal.signal(signal.SIGTERM, signal.SIG_DFL); signal.signal(signal.SIGHUP, signal.SIG_DFL);"
    "runpy.run_module('ramnp.train', run_name='__main__', alter_sys=True)"
)
posix = pytest.mark.skipif(os.name != "posix", reason="signals of Unix")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Flags for tiny data of one's own, which any process can read."""
    path = tmp_path_factory.mktemp("data") / "own.npz"
    rng = np.random.default_rng(0)
    np.savez(path, images=rng.random((60, 10, 10)), labels=np.arange(60) % 3)
    flags = ("--dataset", "arrays", "--data-path", path, "--validation", 10, "--batch-size", 8, "--workers", 1)
    return (*SMALL[:-4], "--decay-epochs", 3, "--backend", "numpy", *flags)


def train(data, *arguments):
    return run_module("ramnp.train", *data, *arguments)


def started(data, *arguments):
    """A training in the background."""
    argv = [sys.executable, "-c", COMMAND, *map(str, data), *map(str, arguments)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=REPOSITORY, env=environment, stdout=pipe, stderr=pipe, text=True)


def wait_for(process, text):
    while text not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()


# The lock.


def test_a_locked_folder_is_refused_and_the_holder_named(tmp_path):
    lock = Lock(tmp_path)
    with pytest.raises(UsageError, match=f"in use by process {os.getpid()} on {socket.gethostname()}"):
        Lock(tmp_path)
    lock.release()
    Lock(tmp_path).release()
    assert not os.listdir(tmp_path)


def test_many_at_once_never_have_the_lock_together(tmp_path):
    """Taken and given back by many threads, with the file removed each time: two holders would meet in `inside`."""
    inside, together = [], []

    def work():
        until = time.monotonic() + 1
        while time.monotonic() < until:
            try:
                lock = Lock(tmp_path)
            except UsageError:
                continue
            inside.append(1)
            together.append(len(inside))
            inside.pop()
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(together) == {1}


def test_folders_made_in_the_same_second_are_different(tmp_path):
    made = []
    threads = [threading.Thread(target=lambda: made.append(make_numbered(tmp_path / "run"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in made) == ["run", *(f"run-{number}" for number in range(2, 9))]


def test_what_a_killed_process_left_is_no_content(tmp_path):
    for name in (LOCK, "config.json.17.tmp", "checkpoint.npz.17.tmp"):
        (tmp_path / name).write_bytes(b"half")
    assert foreign(tmp_path) == []
    lock = claim_new(tmp_path)
    assert os.listdir(tmp_path) == [LOCK]
    lock.release()
    (tmp_path / "mine.tmp").touch()
    with pytest.raises(UsageError, match="not an empty folder"):
        claim_new(tmp_path)
    assert os.listdir(tmp_path) == ["mine.tmp"]


def test_a_folder_that_another_run_made_again_is_not_ours(tmp_path):
    """Its lock is the other's: we must neither write beside it nor remove it."""
    folder = tmp_path / "run"
    first = claim_new(folder)
    shutil.rmtree(folder)
    second = claim_new(folder)
    with pytest.raises(OutputError, match="was deleted or moved"):
        first.check()
    first.release()
    second.check()
    with pytest.raises(UsageError, match="in use by process"):
        Lock(folder)
    second.release()


def test_a_folder_that_cannot_be_written_to_is_an_output_error(tmp_path, monkeypatch):
    from ramnp.training import folder

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder.FileLock, "acquire", refuse)
    with pytest.raises(OutputError, match=r"cannot write into .* \(Permission denied\)"):
        Lock(tmp_path)


@posix
def test_two_processes_in_one_folder_are_one_run_and_one_refusal(data, tmp_path):
    both = [started(data, "--epochs", 2, "--seed", seed, "--out", tmp_path / "run") for seed in (1, 2)]
    outcomes = [(process.returncode, out, err) for process in both for out, err in [process.communicate(timeout=120)]]
    assert sorted(code for code, *_ in outcomes) == [0, 2]
    winner = 1 if outcomes[0][0] == 0 else 2
    loser = outcomes[winner % 2]
    assert "is in use by process" in loser[2] or "not an empty folder" in loser[2]
    from ramnp.training import checkpoint

    assert json.loads((tmp_path / "run" / "result.json").read_text())["seed"] == winner
    assert checkpoint.load(tmp_path / "run" / "best.npz").config.seed == winner


@posix
def test_a_run_in_use_can_be_neither_resumed_nor_started_until_it_is_killed(data, tmp_path):
    folder = tmp_path / "run"
    process = started(data, "--epochs", 100000, "--out", folder)
    try:
        wait_for(process, "epoch   1/")
        who = f"in use by process {process.pid} on {socket.gethostname()}"
        assert_fails(run_module("ramnp.train", "--resume", folder, "--backend", "numpy"), 2, who)
    finally:
        process.kill()
        process.communicate()
    assert (folder / LOCK).exists()
    Lock(folder).release()


# What the files say of themselves.


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """Two finished runs of two epochs, with seeds 1 and 2."""
    folder = tmp_path_factory.mktemp("finished")
    for seed in (1, 2):
        outcome = train(data, "--epochs", 2, "--seed", seed, "--out", folder / str(seed))
        assert outcome.returncode == 0, outcome.stderr
    return folder


@pytest.fixture
def open_run(data, finished, tmp_path):
    """A function that opens a copy of the run with seed 1 for resuming."""
    from ramnp import data as tasks
    from ramnp.backend import NUMPY
    from ramnp.training.run import Run, read_run_config

    shutil.copytree(finished / "1", tmp_path / "copy")
    config, _ = read_run_config(tmp_path / "copy")
    return lambda: Run(config, tasks.load(config), NUMPY, tmp_path / "copy", quiet=True)


def test_the_best_of_another_run_is_refused(open_run, finished):
    with open_run() as run:
        run.resume()
        shutil.copy(finished / "2" / "best.npz", run.folder)
        with pytest.raises(CheckpointError, match=r"best.npz belongs to another configuration: its seed is 2, not 1"):
            run.finish()


def test_the_best_of_another_epoch_is_refused(open_run):
    with open_run() as run:
        run.resume()
        run.epoch, run.best = 9, run.best | {"epoch": 7}
        run.config = dataclasses.replace(run.config, epochs=9)
        with pytest.raises(CheckpointError, match=r"best.npz holds epoch ., but the best epoch of this run is 7"):
            run.restore_best()


def test_a_run_stopped_before_its_first_checkpoint_is_resumed_from_epoch_0(data, finished, tmp_path):
    """Also with the unfinished files of the process that was killed."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(finished / "1" / "config.json", folder)
    for name in (LOCK, "checkpoint.npz.17.tmp"):
        (folder / name).write_bytes(b"half")
    outcome = run_module("ramnp.train", "--resume", folder, "--backend", "numpy")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert_same_run(finished / "1", folder)
    assert sorted(os.listdir(folder)) == sorted(os.listdir(finished / "1"))


def test_a_folder_of_a_run_stopped_before_its_first_checkpoint_can_be_used_anew(data, finished, tmp_path):
    """With other flags, too: nothing was trained that could be lost."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(finished / "1" / "config.json", folder)
    outcome = train(data, "--epochs", 2, "--seed", 2, "--out", folder)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert_same_run(finished / "2", folder)


def test_the_advice_for_a_start_from_weights_that_was_stopped_leads_on(data, finished, tmp_path):
    """--resume says to start again, and that is not refused."""
    folder, weights = tmp_path / "run", finished / "1" / "best.npz"
    folder.mkdir()
    described = json.loads((finished / "1" / "config.json").read_text()) | {"init": "1/best.npz, epoch 1"}
    (folder / "config.json").write_text(json.dumps(described))
    outcome = run_module("ramnp.train", "--resume", folder, "--backend", "numpy")
    assert_fails(outcome, 3, f"start it again with --init and --out {folder}")
    outcome = train(data, "--epochs", 1, "--init", weights, "--out", folder)
    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("text", ["{", "{}", '{"units": 16}', '{"config": {}}'])
def test_a_config_json_by_hand_is_not_replaced(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert not unstarted(tmp_path)
    with pytest.raises(UsageError, match="not an empty folder"):
        claim_new(tmp_path)
    assert (tmp_path / "config.json").read_text() == text


# How a run ends.


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_ends_a_run_that_can_be_resumed(data, tmp_path, name, code):
    """A second one, shortly after, leads to no traceback."""
    folder = tmp_path / "run"
    process = started((*data, "--workers", 2), "--epochs", 100000, "--out", folder)
    try:
        wait_for(process, "epoch   2/")
        process.send_signal(getattr(signal, name))
        time.sleep(0.05)
        if process.poll() is None:
            process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert err.strip().count("\n") == 0
    assert f"resume with: python -m ramnp.train --resume {folder}" in err
    assert sorted(os.listdir(folder)) == ["best.npz", "checkpoint.npz", "config.json", "metrics.jsonl"]


@posix
def test_a_folder_deleted_under_a_run_ends_with_4(data, tmp_path):
    folder = tmp_path / "run"
    process = started(data, "--epochs", 100000, "--out", folder)
    try:
        wait_for(process, "epoch   1/")
        folder.rename(tmp_path / "elsewhere")
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert_fails((process.returncode, "", err), 4, folder, "was deleted or moved")
    assert not folder.exists()
