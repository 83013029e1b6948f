"""Processes that share a batch find what one finds."""

import gc
import os
import signal

import numpy as np
import pytest

from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.batch import Batch
from ramnp.data.source import Source, Split
from ramnp.errors import BackendError, UsageError
from ramnp.network.sensor import Canvas
from ramnp.training import provenance
from ramnp.training.optim import Muon
from ramnp.training.trainer import Trainer, balanced_weights
from ramnp.training.workers import SPAWN

SMALL = {
    "patch": 3, "units": 8, "what_units": 4, "where_units": 4, "glimpse_units": 8, "policy_hidden": 4,
    "batch_size": 12, "dtype": "float64",
}  # fmt: skip


def trained(workers, steps=3, **changes):
    """A trainer after a few steps on random images."""
    labels = np.array([0, 0, 0, 1, 1, 2, 3, 4])
    return trained_further(Trainer(Config(workers=workers, **(SMALL | changes)), (20, 20, 1), 5, NUMPY, labels), steps)


def trained_further(trainer, steps=3):
    """The same trainer after a few more steps."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (steps * 12, 20, 20, 1)).astype(np.uint8)
    source = Source(Split(images, rng.integers(0, 5, len(images))), NUMPY, trainer.model.margin)
    for batch in source.batches(12, rng):
        trainer.step(batch._replace(randomness=trainer.model.draw(rng, 12 * trainer.rollouts)), 1e-2)
    return trainer


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"core": "lstm", "rollouts": 3, "routing": "paper"},
        {"glimpses": 1},
        {"model": "fc"},
        {"model": "cnn"},
        {"optimizer": "muon"},
        {"optimizer": "muon", "core": "lstm"},
        {"class_weights": "balanced"},
    ],
    ids=str,
)
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing_but_rounding(monkeypatch, workers, changes):
    monkeypatch.setattr(Muon, "WIDE", 4)  # as wide as matrices are here
    one, several = trained(1, **changes), trained(workers, **changes)
    np.testing.assert_allclose(several.model.parameters.values, one.model.parameters.values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(several.totals, one.totals, rtol=1e-6)


def test_balanced_weights_give_each_class_the_same_share():
    labels = np.array([0] * 6 + [1] * 3 + [3])
    weights = balanced_weights(labels, 5)
    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 0, 10 / 3, 0])
    assert weights[labels].mean() == pytest.approx(1)
    np.testing.assert_array_equal(balanced_weights(np.array([2, 0, 1]), 3), 1)


def test_classes_are_balanced_by_the_labels_and_only_if_asked():
    assert trained(1, steps=0).rule.class_weights is None
    weights = trained(1, steps=0, class_weights="balanced").rule.class_weights
    np.testing.assert_allclose(weights, 8 / 5 / np.array([3, 2, 1, 1, 1]))
    with pytest.raises(UsageError, match="--class-weights balanced needs the labels"):
        Trainer(Config(**SMALL, class_weights="balanced"), (20, 20, 1), 5, NUMPY)


def test_the_same_number_of_workers_gives_the_same_bits():
    runs = [trained(3).model.parameters.values for _ in range(2)]
    np.testing.assert_array_equal(*runs)


def test_a_replica_shares_weights_and_not_gradients():
    first = trained(1).model
    second = first.replica()
    assert first.parameters.values is second.parameters.values
    first.core.W_hh[0, 0] = 7
    assert second.core.W_hh[0, 0] == 7
    second.core.dW_hh[...] = 1
    assert not np.shares_memory(first.parameters.gradients, second.parameters.gradients)


def test_a_step_after_an_interrupted_one_is_as_any_other():
    interrupted, other = trained(2), trained(2)
    rng = np.random.default_rng(1)
    canvas = other.model.canvas(rng.integers(0, 256, (12, 20, 20, 1)).astype(np.uint8))
    batch = Batch(canvas, rng.integers(0, 5, 12), other.model.draw(rng, 12))
    interrupted.start(batch, [batch.share(interrupted.shares[1])])  # and Ctrl-C before the answer
    for trainer in (interrupted, other):
        trainer.step(batch, 1e-2)
    np.testing.assert_array_equal(interrupted.model.parameters.values, other.model.parameters.values)


def test_a_batch_made_where_workers_see_it_is_not_copied():
    """And gives the bits of one that is."""
    rng = np.random.default_rng(0)
    source = Source(
        Split(rng.integers(0, 256, (60, 20, 20, 1), dtype=np.uint8), rng.integers(0, 5, 60)), NUMPY, margin=2
    )
    trainers = trained(2), trained(2)
    for copied, trainer in enumerate(trainers):
        for batch in trainer.batches(source, epoch=1):
            canvas = batch.canvas
            assert canvas.pixels is trainer.slots.pixels[batch.slot]
            if copied:
                batch = batch._replace(canvas=Canvas(canvas.pixels.copy(), canvas.margin))
            trainer.step(batch, 1e-2)
    np.testing.assert_array_equal(*(trainer.model.parameters.values for trainer in trainers))


def test_a_worker_that_was_killed_is_noticed():
    trainer = trained(2)
    trainer.others[0].process.kill()
    trainer.others[0].process.join()
    with pytest.raises(BackendError, match="worker process has ended"):
        trained_further(trainer)


def test_ctrl_c_reaches_no_worker_even_as_it_starts(monkeypatch):
    start, before = SPAWN.Process.start, signal.getsignal(signal.SIGINT)

    def start_and_interrupt(process):
        start(process)
        os.kill(process.pid, signal.SIGINT)

    monkeypatch.setattr(SPAWN.Process, "start", start_and_interrupt)
    trained(2)
    assert signal.getsignal(signal.SIGINT) == before


def test_workers_end_with_their_trainer():
    trainer = trained(2)
    process = trainer.others[0].process
    del trainer
    gc.collect()
    process.join(10)
    assert process.exitcode == 0


def test_workers_must_share_the_batch_evenly():
    with pytest.raises(UsageError, match="--workers 5"):
        trained(5)


def test_a_batch_unlike_the_first_is_refused():
    trainer, rng = trained(2), np.random.default_rng(1)
    randomness = trainer.model.draw(rng, 12)
    images, labels = rng.random((12, 20, 20, 1)), rng.integers(0, 5, 12)
    with pytest.raises(UsageError, match="the pixels must have the type and shape of those of the first batch, uint8"):
        trainer.step(Batch(trainer.model.canvas(images), labels, randomness), 1e-2)
    with pytest.raises(UsageError, match="takes 12 images, got 11"):
        trainer.step(Batch(trainer.model.canvas(images[:11]), labels[:11], randomness[:, :11]), 1e-2)


def test_a_worker_that_fails_says_why_and_can_go_on():
    trainer, rng = trained(2), np.random.default_rng(1)
    canvas, labels = trainer.model.canvas(rng.integers(0, 256, (12, 20, 20, 1), dtype=np.uint8)), rng.integers(0, 5, 12)
    randomness = trainer.model.draw(rng, 12)
    lost = randomness.copy()
    lost[0, 6:] = 1e9  # far outside the image, in the second share alone
    with pytest.raises(BackendError, match=r"a worker process failed .*index"):
        trainer.step(Batch(canvas, labels, lost), 1e-2)
    trainer.step(Batch(canvas, labels, randomness), 1e-2)


def test_too_few_images_for_a_batch_are_refused():
    source = Source(Split(np.zeros((11, 20, 20, 1), np.uint8), np.zeros(11, int)), NUMPY, margin=0)
    with pytest.raises(UsageError, match="--batch-size 12 is more than the 11 training images"):
        trained(1).steps_per_epoch(source)


def test_the_revision_is_that_of_the_start(monkeypatch):
    if (revision := provenance.git_revision()) is None:
        pytest.skip("not in a clone")
    monkeypatch.setattr(provenance.subprocess, "run", None)
    assert provenance.git_revision() == revision


@pytest.mark.parametrize(("told", "end"), [("Some Processor", " cores, Some Processor"), ("", " cores")])
def test_the_machine_is_named_with_its_processor_as_far_as_the_system_tells(monkeypatch, told, end):
    monkeypatch.setattr(provenance, "processor", lambda: told)
    assert provenance.provenance()["machine"].endswith(end)
