"""Checks as a notebook makes them: what is right passes silently, what is wrong ends in one line."""

import functools
import linecache

import numpy as np
import pytest
from planted_bugs import RIGHT

from ramnp.gradcheck import CheckFailedError, check, check_answer, check_output, require


def defined(source, *names):
    """What a cell with this text defines. Its module is __main__, which is no file: as in a notebook."""
    cell = {"__name__": "__main__"}
    name = "/tmp/ipykernel_1/2.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # as IPython does
    exec(compile(source, name, "exec"), cell)
    return [cell[name] for name in names]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("LINEAR", ["Linear"]), ("AFFINE", ["affine_forward", "affine_backward"]), ("SOFTMAX", ["softmax_loss"]),
        ("EXPONENTIAL", ["exponential", "exponential_backward"]), ("TWO_LAYERS", ["Network"]),
    ],
)  # fmt: skip
def test_right_code_passes_and_its_table_is_printed(source, names, capsys):
    check(*defined(RIGHT[source], *names))
    assert "all right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "names", "old", "new", "words"),
    [
        ("LINEAR", ["Linear"], "x.T @ dy", "2 * x.T @ dy", "Linear: dW: it is 2 times"),
        ("LINEAR", ["Linear"], "dx = dy @ self.W.T", "raise NotImplementedError('exercise 2.1')",
         "not written yet: exercise 2.1"),
        ("LINEAR", ["Linear"], "return dx", "return dx.no_such", "(line 14"),
        ("TWO_LAYERS", ["Network"], "dh * (h > 0)", "dh", "the mask `h > 0` is missing"),
        ("RELU", ["relu_forward"], "0, x), x", "0, x), x", "no def relu_backward"),
        ("MODEL", ["MyModel"], "return loss", "raise NotImplementedError('exercise 7.3')",
         "MyModel: backward: not written yet: exercise 7.3"),
        ("MODEL", ["MyModel"], "dh[-1] = self", "dh[:] = self", "sent to every h_t"),
        ("MODEL", ["MyModel"], "earlier += into_core", "earlier = flatten_time(dh[1:]); earlier += into_core",
         "one step late"),
        ("LOSSES", ["log_prob", "log_prob_backward"], "return dlog_prob[..., None] * ", "return ",
         "dlog_prob is forgotten"),
        ("POLICY", ["GaussianPolicy"], "da = dmu * (1 - mu**2)", "da = 1 - mu**2", "dmu is forgotten"),
        ("MODEL", ["MyModel"], "(decisions, *(", "(decisions, (", "raises TypeError"),
        ("MODEL", ["MyModel"], "dmu = loss.dmu", "dmu = -loss.dmu",
         "MyModel (detached): dpolicy.mean.W, dpolicy.mean.b: the sign is wrong"),
        ("SCALE", ["Scale"], "return x * self.s, x", "return None", "returns None"),
        ("SCALE", ["Scale"], "return x * self.s, x", "return x, x", "has no influence"),
        ("EXPONENTIAL", ["exponential", "exponential_backward"], "return np.exp(x)", "raise NotImplementedError",
         "not written yet"),
    ],
)  # fmt: skip
def test_wrong_code_ends_in_one_line(source, names, old, new, words):
    with pytest.raises(CheckFailedError) as failed:
        check(*defined(RIGHT[source].replace(old, new), *names))
    assert words in str(failed.value)
    assert failed.value._render_traceback_() == [f"CHECK FAILED: {failed.value}"]
    assert "\n" not in str(failed.value)


def cube(x):
    return x**3


X = np.array([1.0, 2.0, 3.0])


def test_an_output(capsys):
    check_output(cube, X, expected=[1, 8, 27])
    assert capsys.readouterr().out == "cube: right\n"


def overwrite(x):
    x *= x
    return x


def blank(x):
    raise NotImplementedError("exercise 1.1")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x**2, "squares"),
        (lambda x: x**4, "it returns 81 at [2], and 27 is right"),
        (lambda x: None, "is None"),
        (lambda x: x[0], "has shape"),
        (lambda x: x / 0, "NaN or infinity"),
        (lambda x: list(x), "a list, not an array"),
        (lambda x: x.cubed, "raises AttributeError"),
        (overwrite, "overwrites its arguments"),
        (blank, "not written yet: exercise 1.1"),
    ],
)
def test_a_wrong_output(function, words):
    with pytest.raises(CheckFailedError) as failed:
        check_output(function, X.copy(), expected=X**3, mistakes={"these are squares": X**2})
    assert words in str(failed.value)


def test_integers_will_do_where_integers_are_expected():
    check_output(lambda x: (x**3).astype(int), X, expected=[1, 8, 27])
    with pytest.raises(CheckFailedError, match="it returns 16 at"):
        check_output(lambda x: (x**4 / 5).astype(int), X, expected=[1, 8, 27])
    with pytest.raises(CheckFailedError, match="dtype int64"):
        check_output(lambda x: x.astype(int), X, expected=[1.0, 2.0, 3.0])


def test_a_requirement_within_a_checked_function_speaks_for_itself():
    def picky(x):
        require(x is None, "x is not kept")

    with pytest.raises(CheckFailedError, match=r"^x is not kept$"):
        check_output(picky, X, expected=X)


def test_the_tolerance_of_an_output():
    check_output(lambda x: x + 1e-3, X, expected=X, tolerance=1e-2)
    with pytest.raises(CheckFailedError):
        check_output(lambda x: x + 1e-3, X, expected=X, tolerance=1e-4)


def test_an_answer(capsys):
    check_answer(0.6501, expected=0.65)
    check_answer(np.float32(0.65), expected=0.65)
    check_answer(74496, expected=74496)
    assert capsys.readouterr().out == "0.6501: right\n0.65: right\n74496: right\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "not written yet"),
        ("0.65", "must be a number"),
        (np.ones(2), "must be a number"),
        (1.3, "twice too large"),
        (1.25, "1.25 is not right"),
        (np.nan, "is not right"),
        (0, "0 is not right"),
    ],
)
def test_a_wrong_answer(answer, words):
    with pytest.raises(CheckFailedError) as failed:
        check_answer(answer, expected=0.65, mistakes={"twice too large": 1.3})
    assert words in str(failed.value)


def test_require():
    require(True, "never")
    with pytest.raises(CheckFailedError, match=r"^because$"):
        require(False, "because")


SCALED = """
import numpy as np
def scaled_forward(x, factor):
    return factor * x, factor
def scaled_backward(dout, cache):
    return cache * dout
"""


def test_instances_bound_methods_and_partials_are_checked_as_they_are(capsys):
    (linear,) = defined(RIGHT["LINEAR"], "Linear")
    instance = linear(4, 3, np.random.default_rng(0))
    check(instance)
    check(instance.forward)
    forward, backward = defined(SCALED, "scaled_forward", "scaled_backward")
    check(functools.partial(forward, factor=2.0), backward)
    assert capsys.readouterr().out.count("all right") == 3
    broken = defined(RIGHT["LINEAR"].replace("x.T @ dy", "2 * x.T @ dy"), "Linear")[0](4, 3, np.random.default_rng(0))
    with pytest.raises(CheckFailedError, match="dW: it is 2 times"):
        check(broken)


def test_the_equation_is_shown_at_the_third_failure(capsys, monkeypatch):
    monkeypatch.setattr("ramnp.gradcheck.notebook.FAILURES", {})
    (model,) = defined(RIGHT["MODEL"].replace("dh[-1] = self", "dh[:] = self"), "MyModel")
    shown = []
    for _ in range(3):
        with pytest.raises(CheckFailedError):
            check(model)
        shown.append("the answer is read off h_T alone" in capsys.readouterr().out)
    assert shown == [False, False, True]


def test_an_answer_may_be_an_array_and_0_is_compared_absolutely(capsys):
    check_answer([1.0, 2.0], expected=[1, 2])
    check_answer(0.001, expected=0)
    assert capsys.readouterr().out == "right\n0.001: right\n"
    with pytest.raises(CheckFailedError, match="array of shape"):
        check_answer([1.0], expected=[1, 2])
    with pytest.raises(CheckFailedError, match=r"0\.1 is not right"):
        check_answer(0.1, expected=0)
