"""Threads that share a batch find what one thread finds."""

import numpy as np
import pytest

from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.source import Source, Split
from ramnp.errors import UsageError
from ramnp.train import Trainer

SMALL = {
    "patch": 3, "units": 8, "what_units": 4, "where_units": 4, "glimpse_units": 8, "policy_hidden": 4,
    "batch_size": 12, "dtype": "float64",
}  # fmt: skip


def trained(workers, steps=3, **changes):
    """A trainer after a few steps on random images."""
    rng = np.random.default_rng(0)
    config = Config(workers=workers, **(SMALL | changes))
    trainer = Trainer(config, (20, 20, 1), 5, NUMPY)
    images = rng.integers(0, 256, (steps * 12, 20, 20, 1)).astype(np.uint8)
    source = Source(Split(images, rng.integers(0, 5, len(images))), NUMPY, trainer.model.margin)
    for canvas, labels in source.batches(12, rng):
        trainer.step(canvas, labels, trainer.model.draw(rng, 12 * trainer.rollouts), 1e-2)
    return trainer


@pytest.mark.parametrize(
    "changes",
    [{}, {"core": "lstm", "rollouts": 3, "routing": "paper"}, {"glimpses": 1}, {"model": "fc"}, {"model": "cnn"}],
    ids=str,
)
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing_but_rounding(workers, changes):
    one, several = trained(1, **changes), trained(workers, **changes)
    np.testing.assert_allclose(several.model.parameters.values, one.model.parameters.values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(several.totals, one.totals, rtol=1e-6)


def test_the_same_number_of_workers_gives_the_same_bits():
    runs = [trained(3).model.parameters.values for _ in range(2)]
    np.testing.assert_array_equal(*runs)


def test_replicas_share_weights_and_not_gradients():
    first, second = trained(2).replicas
    assert first.parameters.values is second.parameters.values
    first.core.W_hh[0, 0] = 7
    assert second.core.W_hh[0, 0] == 7
    second.core.dW_hh[...] = 1
    assert not np.shares_memory(first.parameters.gradients, second.parameters.gradients)


def test_workers_must_share_the_batch_evenly():
    with pytest.raises(UsageError, match="--workers 5"):
        trained(5)
