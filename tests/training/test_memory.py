"""Out of memory: the error names a batch that was tried and fits."""

import subprocess
import sys

import pytest
import strict_cupy
from running import REPOSITORY, SMALL, assert_fails

from ramnp import train
from ramnp.backend import Backend
from ramnp.cli import run


def with_memory_for(most):
    """The stand-in, on a GPU that has no more than so many bytes for an array."""

    def limited(make):
        def made(*args, **keywords):
            array = make(*args, **keywords)
            if array.nbytes > most:
                raise MemoryError(f"Out of memory allocating {array.nbytes:,} bytes (allocated so far: 0 bytes).\nmore")
            return array

        return made

    class Limited:
        empty = staticmethod(limited(strict_cupy.empty))

        def __getattr__(self, name):
            return getattr(strict_cupy, name)

    return Backend("strict", Limited())


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run `ramnp.train` with batches of some size and memory for so many bytes in an array."""

    def call(batch, most, *flags):
        monkeypatch.setattr(train, "chosen_backend", lambda arguments: with_memory_for(most))
        batches = ("--batch-size", str(batch), "--epochs", "1", "--limit-batches", "1", "--workers", "1")
        out = ("--out", str(tmp_path / f"{batch}{len(flags)}"), "--quiet")
        with pytest.raises(SystemExit) as end:
            run(lambda: train.main([*SMALL, *batches, *out, *flags]))
        return end.value.code, "", capsys.readouterr().err

    return call


# The largest array of a step is the hidden layer of the policy, (2 B, 128) float32; evaluation has 2,000 rollouts.
FOR_5000 = 2 * 5000 * 128 * 4


def test_the_error_names_a_batch_that_fits(command):
    outcome = command(20_000, FOR_5000)
    assert_fails(outcome, 2, "--batch-size 20000 needs more memory than there is (Out of memory allocating")
    assert outcome[2].endswith("--batch-size 5000 was tried and fits\n")
    assert command(5_000, FOR_5000)[0] == 0
    assert command(5_001, FOR_5000)[0] == 2


def test_a_dry_run_names_it_as_well(command):
    assert_fails(command(20_000, FOR_5000, "--dry-run"), 2, "--batch-size 5000 was tried")


def test_if_no_batch_fits_the_error_says_so(command):
    assert_fails(command(64, 100), 2, "no smaller batch fits either: choose fewer --units")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
def test_memory_that_really_ends():
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1_200_000_000,) * 2);"
        "from ramnp import train; from ramnp.cli import run;"
        "run(lambda: train.main(['--backend', 'numpy', '--workers', '1', '--dry-run', '--batch-size', '20000']))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", limited], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )
    assert_fails(outcome, 2, "--batch-size 20000 needs more memory than there is (Unable to allocate", "tried and fits")
