"""The two scores: every planted bug is caught, and nearly all get the right diagnosis; no right layer is accused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_bugs import BUGS, RIGHT, outcome, rows_of

import ramnp.network.core
import ramnp.network.glimpse
import ramnp.network.layers
import ramnp.network.policy
from ramnp.gradcheck.numeric import check_gradient
from ramnp.gradcheck.report import OK, SKIPPED
from ramnp.gradcheck.student import mistakes
from ramnp.gradcheck.student.check import check_problem
from ramnp.gradcheck.student.diagnosis import describe_factor, diagnose, transformed
from ramnp.gradcheck.student.find import Candidate
from ramnp.gradcheck.student.problems import SHAPES, make_problem


def test_there_are_enough_bugs_in_all_parts():
    assert len(BUGS) >= 60
    assert {bug.source for bug in BUGS} == set(RIGHT)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.source}: {bug.new[:40]}")
def test_every_bug_is_caught_and_named(bug):
    caught, diagnosed = outcome(bug)
    assert caught
    assert diagnosed


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_right_code_in_every_style_passes(name, seed):
    rows = rows_of(RIGHT[name], seed)
    assert rows
    assert {row.verdict for row in rows} <= {OK, SKIPPED}


OURS = {
    "Linear": ramnp.network.layers.Linear,
    "RNN": ramnp.network.core.RNN,
    "LSTM": ramnp.network.core.LSTM,
    "GlimpseNetwork": ramnp.network.glimpse.GlimpseNetwork,
    "GaussianPolicy": ramnp.network.policy.GaussianPolicy,
    "LogProb": ramnp.network.policy.GaussianPolicy,
}


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    part=st.sampled_from(sorted(OURS)),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1e-2, 0.1, 1.0, 3.0]),
    data=st.data(),
)
def test_no_right_layer_is_ever_accused(part, seed, scale, data):
    shape = {letter: data.draw(st.integers(1, 6), label=letter) for letter in SHAPES[part][0]}
    problem = make_problem(part, shape, np.random.default_rng(seed), scale)
    for row in check_problem(Candidate(part, part, cls=OURS[part]), problem, shape):
        # A sum over few rows may lie at a kink as a whole; it must then be said to be skipped, never wrong.
        assert row.verdict in (OK, SKIPPED), row


@pytest.mark.parametrize("part", SHAPES)
def test_the_reference_passes_its_own_check(part):
    for shape in SHAPES[part]:
        problem = make_problem(part, shape, np.random.default_rng(0))
        gradients = mistakes.backward(part, problem)
        f = lambda: float((mistakes.forward(part, problem) * problem.dy).sum())  # noqa: B023, E731
        for name, x in (problem.parameters | problem.inputs).items():
            assert check_gradient(f, x, gradients[name]).passed


@pytest.mark.parametrize("part", SHAPES)
def test_every_mistake_is_told_from_every_other(part):
    """Two mistakes that give the same gradients on the first shape could not be told apart."""
    problem = make_problem(part, SHAPES[part][0], np.random.default_rng(0))
    known = list(mistakes.mistaken(part, problem))
    same = {("forward again", "mask from dy"), ("cell not accumulated", "cell dropped")}  # they are the same thing
    for number, (name, _, gradients) in enumerate(known):
        for other, _, theirs in known[:number]:
            differ = any(not np.allclose(gradients[key], theirs[key]) for key in gradients)
            assert differ or (name, other) in same


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (2, "it is 2 times"), (0.5, "1/2 times"), (5, "it is B times"), (0.2, "1/B times"), (3, "it is T times"),
        (1 / 3, "1/T times"), (15, "it is B T times"), (1 / 15, "1/(B T) times"), (0.3, "it is std times"),
        (0.09, "it is std^2 times"), (1 / 0.3, "1/std times"), (1 / 0.09, "1/std^2 times"), (-1, "sign is flipped"),
        (-5, "sign is flipped, and it is B times"), (0.77, "0.77 times"),
    ],
)  # fmt: skip
def test_constant_factors_have_names(ratio, words):
    assert words in describe_factor(ratio, {"B": 5.0, "T": 3.0, "std": 0.3})


def test_transformations_have_names(rng):
    n = rng.standard_normal((4, 4))
    n3 = rng.standard_normal((3, 4, 2))
    first, last = n3.copy(), n3.copy()
    first[0], last[:-1] = 0, rng.standard_normal((2, 4, 2))
    for a, right, words in (
        (0 * n, n, "all zero"),
        (n.T, n, "transposed"),
        (np.abs(n), n, "signs"),
        (first, n3, "first time step is missing"),
        (last, n3, "only the last"),
        (n, 0 * n, "should be zero"),
        (n * np.nan, n, "NaN"),
    ):
        assert words in transformed(a, right, {})
    assert transformed(rng.standard_normal((4, 4)), n, {}) is None


def test_an_unknown_mistake_is_admitted(rng):
    a, n = {"x": rng.standard_normal((4, 4))}, {"x": rng.standard_normal((4, 4))}
    assert diagnose(None, None, a, n, ["x"]) == {"x": "no known mistake fits"}
