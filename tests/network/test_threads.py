"""Several threads ask one model at once, and where threads and processes are not allowed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from ramnp.backend import NUMPY, limit_threads
from ramnp.config import Config
from ramnp.data.prefetch import prefetch
from ramnp.errors import BackendError
from ramnp.network import build
from ramnp.training import workers
from ramnp.training.trainer import Trainer

CONFIG = Config(units=16, what_units=8, where_units=8, glimpse_units=16, glimpses=4, patch=4, scales=3)
SHAPE, CLASSES = (20, 20, 1), 10


@pytest.fixture
def model():
    return build(CONFIG, SHAPE, CLASSES, NUMPY)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (16, 60, *SHAPE), np.uint8)


def blas_threads():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def test_threads_share_a_model_and_get_the_right_answers(model, images):
    right = [model.probabilities(batch) for batch in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for one, other in zip(right, pool.map(model.probabilities, images), strict=True):
                assert np.array_equal(one, other)


def test_concurrent_limits_leave_the_number_of_threads_as_it_was(model, images):
    """Ends in any order: the last brings the number back."""
    with limit_threads(2):
        before = blas_threads()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda batch: model.probabilities(batch, batch_size=20, workers=2), images))
        assert blas_threads() == before
        first, second = limit_threads(1), limit_threads(1)
        first.__exit__(None, None, None)
        assert set(blas_threads()) <= {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before
        with limit_threads(1), limit_threads(2):  # the latest counts
            assert blas_threads() == before


def test_workers_are_no_more_than_batches(model, images, monkeypatch):
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (started.append(self), start(self)))
    began = time.monotonic()
    few = model.probabilities(images[0], batch_size=30, workers=512)
    assert len(started) <= 4  # two of them set the number of BLAS threads
    assert time.monotonic() - began < 20
    assert np.array_equal(few, model.probabilities(images[0], batch_size=30))
    assert model.probabilities(images[0][:0], workers=4).shape == (0, CLASSES)


def test_each_thread_can_set_the_number_while_others_live():
    """threadpoolctl gives the right to set it to one thread, and ignores the others."""
    with limit_threads(2):
        before = blas_threads()
        for _ in range(3):
            with ThreadPoolExecutor(1) as pool:
                with limit_threads(1):
                    assert set(blas_threads()) <= {1}
                limit = pool.submit(limit_threads, 1).result()
                assert set(blas_threads()) <= {1}
                limit.__exit__(None, None, None)
                assert blas_threads() == before


# Where threads or processes are not allowed.


@pytest.fixture
def no_threads(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_without_threads_probabilities_are_the_same(model, images, no_threads):
    with pytest.warns(RuntimeWarning, match="no threads here"):
        found = model.probabilities(images[0], batch_size=20, workers=2)
    assert np.array_equal(found, model.probabilities(images[0], batch_size=20))


def test_without_threads_prefetch_yields_the_same(no_threads):
    with pytest.warns(RuntimeWarning, match="no threads here"):
        assert list(prefetch(iter(range(5)))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "error",
    [AssertionError("daemonic processes are not allowed to have children"), OSError(38, "Function not implemented")],
)
def test_where_processes_are_not_allowed_workers_end_in_a_line(monkeypatch, rng, error):
    from ramnp.data.source import Source, Split

    def refuse(self):
        raise error

    monkeypatch.setattr(workers.SPAWN.Process, "start", refuse)
    config = Config(**CONFIG.to_json() | {"workers": 2, "batch_size": 8})
    trainer = Trainer(config, SHAPE, CLASSES, NUMPY)
    split = Split(rng.integers(0, 256, (16, *SHAPE), np.uint8), np.arange(16) % CLASSES)
    with pytest.raises(BackendError, match=r"cannot be started here \(.*\): use --workers 1"):
        trainer.step(next(trainer.batches(Source(split, NUMPY, trainer.model.margin), 1)), 0.1)


def test_a_process_that_may_not_have_children_takes_one_worker(monkeypatch):
    class Daemon:
        daemon = True

    monkeypatch.setattr(workers.multiprocessing, "current_process", Daemon)
    assert workers.default_workers(CONFIG) == 1
