"""What is made of a model's answers: errors, errors by class, and the confusion of classes."""

import numpy as np
import pytest

from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.source import Source, Split
from ramnp.network import build
from ramnp.training import measure
from ramnp.training.measure import Answers, answers, evaluate

# Class 0 has four images, class 1 has two, class 3 one; class 2 does not occur.
LABELS = np.array([0, 0, 0, 0, 1, 1, 3])
GIVEN = np.array([0, 0, 0, 1, 1, 0, 2])
FOUND = Answers({"deterministic": LABELS, "averaged": GIVEN}, LABELS, 0.0, 4)


def test_the_error_counts_images_and_the_balanced_error_classes():
    assert FOUND.errors() == {"deterministic": 0.0, "averaged": pytest.approx(100 * 3 / 7, abs=1e-4)}
    assert FOUND.errors_by_class() == [25.0, 50.0, None, 100.0]
    assert FOUND.balanced_errors() == {"deterministic": 0.0, "averaged": pytest.approx((25 + 50 + 100) / 3, abs=1e-4)}


def test_the_confusion_has_a_row_for_each_class_and_a_column_for_each_answer():
    np.testing.assert_array_equal(FOUND.confusion(), [[3, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(FOUND.confusion("deterministic"), np.diag([4, 2, 0, 1]))


def test_who_always_names_the_largest_class_is_found_out():
    labels = np.array([0] * 98 + [1, 2])
    lazy = Answers({"averaged": 0 * labels}, labels, 0.0, 3)
    assert lazy.errors() == {"averaged": 2.0}
    assert lazy.balanced_errors() == {"averaged": pytest.approx(200 / 3, abs=1e-4)}


@pytest.mark.parametrize("options", [{}, {"model": "cnn"}], ids=str)
def test_the_answers_of_a_model(backend, options, rng):
    """On more than one batch: errors as `evaluate` has them, and the loss of the averaged probabilities."""
    config = Config(patch=4, units=8, fc_units=8, what_units=4, where_units=4, glimpse_units=8, **options)
    split = Split(rng.integers(0, 256, (230, 12, 11, 1), dtype=np.uint8), rng.integers(0, 5, 230))
    model = build(config, (12, 11, 1), 5, backend)
    source = Source(split, backend, model.margin)
    found = answers(model, source, rollouts=3)
    np.testing.assert_array_equal(found.labels, split.labels)
    assert found.errors() == evaluate(model, source, rollouts=3)
    assert found.confusion().sum() == 230
    first = answers(model, source, rollouts=3, limit_batches=1)
    assert len(first.labels) == measure.BATCH == 200
    rows = model.rollouts(3) * 200
    randomness = model.draw(np.random.default_rng([measure.SEED, measure.SAMPLED, 0]), rows)
    log_p = backend.to_host(model.forward(model.canvas(split.images[:200]), randomness).log_p)
    p = np.exp(log_p.astype(float)).reshape(-1, 200, 5).mean(axis=0)[np.arange(200), split.labels[:200]]
    assert first.loss == pytest.approx(-np.log(p).mean(), rel=1e-4)


def test_no_images_have_no_answers(rng):
    model = build(Config(model="fc", fc_units=4), (4, 4, 1), 3, NUMPY)
    none = answers(model, Source(Split(np.empty((0, 4, 4, 1), np.uint8), np.empty(0, int)), NUMPY, model.margin))
    assert none.errors() == none.balanced_errors() == {"deterministic": 0.0, "stochastic": 0.0, "averaged": 0.0}
    assert none.confusion().shape == (3, 3)
