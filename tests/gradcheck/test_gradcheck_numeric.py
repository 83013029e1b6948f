"""The yardstick itself: finite differences, relative errors, kinks."""

import numpy as np
import pytest

from ramnp.gradcheck import (
    check_direction,
    check_gradient,
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    numerical_gradient,
    rel_error,
    relative_error,
)


def test_the_numerical_gradient_of_a_cubic(rng):
    x = rng.standard_normal((3, 4))
    np.testing.assert_allclose(numerical_gradient(lambda: float((x**3).sum()), x), 3 * x**2, rtol=1e-7, atol=1e-9)


def test_x_is_put_back_even_if_f_raises(rng):
    x = rng.standard_normal(3)
    before = x.copy()

    def fails():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        numerical_gradient(fails, x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("x", [np.ones(3, np.float32), np.ones((4, 4))[:, ::2]])
def test_single_precision_and_scattered_arrays_are_refused(x):
    with pytest.raises(ValueError, match="float64"):
        numerical_gradient(lambda: 0.0, x)


def test_the_relative_error_is_symmetric_and_passes_two_zeros():
    a, n = np.array([0.0, 1.0, -2.0, 0.0]), np.array([0.0, 1.1, 2.0, 1e-3])
    np.testing.assert_allclose(relative_error(a, n), [0, 0.1 / 1.1, 2, 1])
    np.testing.assert_array_equal(relative_error(a, n), relative_error(n, a))


@pytest.mark.parametrize("factor", [1 + 1e-5, 2, 0.5, -1, 0])
def test_a_wrong_factor_fails(rng, factor):
    x = rng.standard_normal(5)
    f = lambda: float(np.sin(x).sum())  # noqa: E731
    assert check_gradient(f, x, np.cos(x)).passed
    assert not check_gradient(f, x, factor * np.cos(x)).passed


def test_nan_and_infinity_fail(rng):
    x = rng.standard_normal(3)
    f = lambda: float(x.sum())  # noqa: E731
    for bad in (np.nan, np.inf):
        check = check_gradient(f, x, np.array([1, bad, 1]))
        assert not check.passed
        assert check.where == (1,)


@pytest.mark.parametrize("distance", [0, 1e-6, 2e-6, 10e-6 / 3, 5e-6, 8e-6])
def test_a_kink_within_a_step_is_skipped_and_counted(distance):
    x = np.array([0.7, distance, -0.3])
    check = check_gradient(lambda: float(np.maximum(x, 0).sum()), x, (x > 0).astype(float))
    assert check.passed
    assert (check.checked, check.kinks) == (2, 1)


def test_a_kink_far_away_excuses_nothing():
    x = np.array([0.7, 3e-5, -0.3])
    check = check_gradient(lambda: float(np.maximum(x, 0).sum()), x, np.array([1.0, 0.0, 0.0]))
    assert not check.passed
    assert check.where == (1,)


def test_curvature_is_no_kink(rng):
    x = rng.standard_normal(20)
    check = check_gradient(lambda: float(np.exp(3 * x).sum()), x, np.zeros(20))
    assert check.kinks == 0
    assert not check.passed


def test_if_all_coordinates_are_skipped_the_check_does_not_pass():
    x = np.zeros(3)
    check = check_gradient(lambda: float(np.abs(x).sum()), x, np.ones(3))
    assert check.kinks == 3
    assert not check.passed


def test_a_sample_checks_only_so_many():
    x = np.arange(100.0)
    assert check_gradient(lambda: float(x.sum()), x, np.ones(100), sample=7).checked == 7


def test_the_names_that_courses_use(rng):
    x, df = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    assert rel_error(eval_numerical_gradient(lambda x: (x**2).sum(), x), 2 * x) < 1e-7
    assert rel_error(eval_numerical_gradient_array(lambda x: x**2, x, df), 2 * x * df) < 1e-7
    assert rel_error(np.ones(3), np.array([1, 1, 1.1])) == pytest.approx(0.1 / 1.1)
    assert rel_error(np.empty(0), np.empty(0)) == 0


def test_a_direction_finds_a_wrong_gradient_in_any_array(rng):
    x, y = rng.standard_normal((3, 4)), rng.standard_normal(5)
    before = x.copy()
    f = lambda: float(np.sin(x).sum() + (y**3).sum())  # noqa: E731
    right = {"x": (x, np.cos(x)), "y": (y, 3 * y**2)}
    assert check_direction(f, right, rng) < 1e-6
    for name in right:
        assert check_direction(f, right | {name: (right[name][0], 1.01 * right[name][1])}, rng) > 1e-4
    np.testing.assert_array_equal(x, before)
