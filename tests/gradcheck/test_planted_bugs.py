"""Every planted bug is caught and named; right code, and our own layers, are never accused."""

import numpy as np
import pytest
from planted_bugs import BUGS, RIGHT, outcome, rows_of

import ramnp.network.core
import ramnp.network.glimpse
import ramnp.network.layers
import ramnp.network.policy
from ramnp.gradcheck.report import OK, REMARK
from ramnp.gradcheck.student.check import Session, check_candidate
from ramnp.gradcheck.student.find import of_class
from ramnp.gradcheck.student.naming import describe


def test_there_are_enough_bugs_in_all_parts():
    assert len(BUGS) >= 60
    assert {bug.source for bug in BUGS} == set(RIGHT)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.source}: {bug.new[:40]}")
def test_every_bug_is_caught_and_named(bug):
    caught, diagnosed = outcome(bug)
    assert caught
    assert diagnosed


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("seed", [0, 1])
def test_right_code_in_every_style_passes(name, seed):
    rows = [row for row in rows_of(RIGHT[name], seed) if row.part != "cross_entropy_error"]  # which has no backward
    assert rows
    assert {row.verdict for row in rows} <= {OK, REMARK}


OURS = [
    ramnp.network.layers.Linear,
    ramnp.network.core.RNN,
    ramnp.network.core.LSTM,
    ramnp.network.glimpse.GlimpseNetwork,
    ramnp.network.policy.GaussianPolicy,
]


@pytest.mark.parametrize("part", OURS, ids=lambda part: part.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_no_right_layer_of_ours_is_accused(part, seed):
    session = Session({part.__name__: part}, seed)
    listed = [each for each in of_class(part.__name__, part) if each.name != "GaussianPolicy.first"]
    rows = [row for each in listed for row in check_candidate(each, session)]
    assert rows
    assert {row.verdict for row in rows} <= {OK, REMARK}


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (2, "it is 2 times"), (0.5, "it is 1/2 of"), (5, "the 1/N of the mean over the rows is missing"),
        (0.2, "divided by the number of rows once too often"), (1 / 3, "averaged over time"),
        (15, "the number of rows times the number of time steps is missing"), (0.3, "it is divided by std"),
        (-1, "the sign is flipped"), (-5, "the sign is flipped, and it is 5 times"),
        (0.77, "a constant factor is wrong"),
    ],
)  # fmt: skip
def test_constant_factors_have_names(ratio, words):
    sizes = {"the number of rows": 5.0, "the number of time steps": 3.0, "std": 1 / 0.3}
    assert words in describe(ratio, sizes)


def test_names_are_not_given_to_what_fits_nothing():
    (line,) = [line for line in RIGHT["TANH"].splitlines() if "self.out**2" in line]
    (row,) = rows_of(RIGHT["TANH"].replace(line.strip(), "return np.cos(dout) * np.sin(self.out)"))
    assert row.verdict == "WRONG"
    assert "no known mistake fits: 0 of 30 elements are right" in row.message


def test_the_first_words_of_a_pair_of_numbers_are_the_students():
    (row,) = [row for row in rows_of(RIGHT["LINEAR"].replace("x.T @ dy", "2 * x.T @ dy")) if row.name == "dW"]
    mine, right = (float(word) for word in np.array(row.pair.replace(",", "").split())[[2, -1]])
    assert mine == pytest.approx(2 * right, rel=1e-2)
