"""Somebody else's layers: found in a file (`find.py`), called as their author meant (`call.py`), and checked here.

`__main__.py` runs it in a child process.
"""

import copy
import inspect
import traceback
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from ramnp.gradcheck.numeric import check_gradient
from ramnp.gradcheck.report import ERROR, OK, SKIPPED, WRONG, Row, merge
from ramnp.gradcheck.student import mistakes
from ramnp.gradcheck.student.call import (
    KEPT,
    ClassPart,
    FunctionPart,
    TroubleError,
    UncheckedError,
    as_meant,
    blocks,
    copied,
    known_as,
    make_subject,
    required,
)
from ramnp.gradcheck.student.diagnosis import close, diagnose
from ramnp.gradcheck.student.find import MODEL, Candidate
from ramnp.gradcheck.student.mistakes import HINTS, Arrays, Problem
from ramnp.gradcheck.student.problems import SHAPES, make_problem
from ramnp.gradcheck.student.whole import check_model

TOLERANCE = 1e-5  # larger than for our own code: a student may add 1e-7 inside a logarithm


def check_candidate(candidate: Candidate, seed: int) -> list[Row]:
    """All rows about one candidate, over all shapes."""
    if candidate.part is None:
        return check_unknown(candidate, seed)
    has_backward = any(callable(getattr(candidate.cls, name, None)) for name in ("backward", "log_prob_backward"))
    if not has_backward and candidate.backward is None and not candidate.alone:
        what = f"def {candidate.name}_backward" if candidate.cls is None else "method backward"
        return [Row(label(candidate), "backward", verdict=ERROR, message=f"there is a forward, but no {what}")]
    if "step" in candidate.name.lower():
        message = "a single step is not checked: check the pass over all steps"
        return [Row(label(candidate), "step", verdict=SKIPPED, message=message)]
    if candidate.part == MODEL:
        try:
            return check_model(candidate.cls, candidate.name, seed)
        except Exception as error:
            return [Row(candidate.name, "backward", verdict=ERROR, message=blame(error, source_files(candidate)))]
    rows: list[Row] = []
    for number, shape in enumerate(SHAPES[candidate.part]):
        problem = make_problem(candidate.part, shape, np.random.default_rng([seed, number]))
        if not rows:
            candidate = as_meant(candidate, problem, shape)
        found = list(check_problem(candidate, problem, shape))
        rows += found
        if any(row.verdict == ERROR for row in found):
            break  # the next shapes would say the same
    return merge(rows)


def label(candidate: Candidate) -> str:
    """The candidate's own name, and the part it was taken for."""
    return (
        candidate.name
        if candidate.name == candidate.part or not candidate.part
        else f"{candidate.name} ({candidate.part})"
    )


def blame(error: BaseException, files: Collection[str], called: str = "") -> str:
    """An exception in one line, with the line of the student's files where it happened, and how they were called."""
    if isinstance(error, TroubleError):
        return str(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    text = (str(error).splitlines() or [""])[0]
    if isinstance(error, NotImplementedError):
        return f"not written yet{text and ': '}{text}"
    at = f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    return f"raises {type(error).__name__}: {text}{at}{called}"


def source_files(candidate: Candidate) -> set[str]:
    """The files of a candidate's functions, by their code: in a notebook a class has no file of its own."""
    members = vars(candidate.cls).values() if candidate.cls else (candidate.forward, candidate.backward)
    return {code_file(member) for member in members if inspect.isfunction(member)}


def code_file(function: Callable[..., Any]) -> str:
    """The file that a function's code comes from."""
    return inspect.unwrap(function).__code__.co_filename


def called_with(problem: Problem) -> str:
    """The shapes that forward was called with."""
    return ", called with " + ", ".join(f"{k} {np.shape(v)}" for k, v in (problem.inputs | problem.parameters).items())


def check_problem(candidate: Candidate, problem: Problem, shape: dict[str, int]) -> Iterator[Row]:
    """Rows about one candidate at one shape."""
    name, part, files = label(candidate), candidate.part, source_files(candidate)
    mine = copied(problem)
    try:
        subject = make_subject(candidate, mine, shape)
        before = copy.deepcopy(subject.arrays)
        y, cache = subject.forward()
        spoilt = overwritten(subject, before, problem, mine)
        again, _ = subject.forward()
    except UncheckedError as error:
        yield Row(name, "forward", verdict=SKIPPED, message=f"not checked: {error}")
        return
    except Exception as error:
        if candidate.cls is not None and candidate.cls.__subclasses__():
            yield Row(name, "forward", verdict=SKIPPED, message="not checked: a base class of others")
        else:
            yield Row(name, "forward", verdict=ERROR, message=blame(error, files, called_with(problem)))
        return
    if getattr(subject, "std", None) is not None:
        problem = problem._replace(constants=problem.constants | {"std": subject.std})
        mine = mine._replace(constants=mine.constants | {"std": subject.std})
    expected = mistakes.forward(part, problem)
    complaint = complain(y, expected.shape, "forward's output")
    if complaint:
        yield Row(name, "forward", verdict=ERROR, message=complaint)
        return
    if spoilt:
        yield Row(name, "inputs kept", verdict=WRONG, message=f"forward overwrites {spoilt}")
        return
    if unstable := unfit(y, again):
        yield Row(name, "forward", verdict=unstable[0], message=unstable[1])
        return
    y = np.array(y, dtype=np.float64)
    error = float(np.abs(y - expected).max() / max(np.abs(expected).max(), 1e-8))
    right = error < TOLERANCE
    message = "" if right else f"the output is not that of {part}: " + forward_equation(part)
    if not right and part in ("LogProb", "Reinforce"):
        clipped = problem._replace(
            constants=problem.constants | {"sample": np.clip(problem.constants["sample"], -1, 1)}
        )
        if close(y, mistakes.forward(part, clipped)):
            message = str(HINTS["LogProb"]["clipped location"])
    yield Row(name, "forward", expected.shape, y.size, 0, error, None, OK if right else WRONG, message)
    yield from check_backward(candidate, subject, problem, mine, y, cache)


def overwritten(subject: Any, before: Arrays, problem: Problem, mine: Problem) -> str | None:
    """The name of an input, a parameter or a constant that is no longer what it was; or None."""
    for name, value in subject.arrays.items():
        if not np.array_equal(value, before[name]):
            return f"the input {name}" if name in problem.inputs else f"the parameter {name}"
    for name, value in mine.constants.items():
        if not np.array_equal(value, problem.constants[name]):
            return f"the input {name}"
    return None


def unfit(y: Any, again: Any) -> tuple[str, str] | None:
    """Why finite differences of an output would mean nothing: (verdict, message), or None."""
    if not np.array_equal(y, again, equal_nan=True):
        return SKIPPED, "not checked: two calls on the same input differ; fix the seed, or the random mask"
    if np.size(y) > 1 and np.array_equal(y, np.asarray(y, dtype=np.float32)) and np.any(np.asarray(y) % 1):
        return ERROR, "it computes in float32, too coarse to check: keep the type of the input"
    return None


def forward_equation(part: str) -> str:
    """The equation of a part's forward pass."""
    return {
        "Linear": "y = x W + b",
        "ReLU": "y = max(x, 0)",
        "Tanh": "y = tanh(x)",
        "Sigmoid": "y = 1 / (1 + exp(-x))",
        "CrossEntropy": "the mean over rows of -log softmax(logits)[label]",
        "RNN": "h_t = relu(h_{t-1} W_hh + g_t W_gh + b), time on the first axis",
        "TanhRNN": "h_t = tanh(h_{t-1} W_hh + g_t W_gh + b)",
        "LSTM": "z_t = [z_i | z_f | z_o | z_u], c_t = f c_{t-1} + i u, h_t = o tanh(c_t), time on the first axis",
        "GlimpseNetwork": "g = relu(h_g W_hg + h_l W_hl + b), h_g = relu(rho W_g + b_g), h_l = relu(l W_l + b_l)",
        "GaussianPolicy": "mu = tanh(h W_mu + b_mu)",
        "LogProb": "log pi = -|l - mu|^2 / (2 std^2) - log(2 pi std^2)",
        "BaselineLoss": "the mean over rollouts and t of (b_t - reward)^2",
        "PolicyLoss": "-mean over rollouts of the sum over t of advantage_t log pi",
        "Reinforce": "-mean over rollouts of the sum over t of (reward - b_t) log pi",
    }[part]


def complain(value: Any, shape: tuple[int, ...], what: str) -> str | None:
    """What is wrong with a returned value, short of its being wrong; or None."""
    if value is None:
        return f"{what} is None: is a return missing?"
    if not isinstance(value, np.ndarray | np.generic | float | int):
        return f"{what} is a {type(value).__name__}, not an array"
    if np.shape(value) != shape:
        return f"{what} has shape {np.shape(value)}, not {shape}"
    if not np.issubdtype(np.asarray(value).dtype, np.floating):
        return f"{what} has dtype {np.asarray(value).dtype}, not a floating-point type"
    if not np.isfinite(value).all():
        return f"{what} holds NaN or infinity"
    return None


def check_backward(
    candidate: Candidate, subject: Any, problem: Problem, mine: Problem, y: np.ndarray, cache: Any
) -> Iterator[Row]:
    """Rows about the backward pass, whose forward pass has run."""
    name, part, files = label(candidate), candidate.part, source_files(candidate)
    # A pair of functions without a cache has its output for one.
    stored = getattr(subject, "output", None) if cache is KEPT else cache
    kept, before = copy.deepcopy(stored), copy.deepcopy(subject.arrays)
    try:
        subject.zero()
        gradients = {key: copy.deepcopy(value) for key, value in subject.backward(problem.dy.copy(), cache).items()}
    except UncheckedError as error:
        yield Row(name, "backward", verdict=SKIPPED, message=f"not checked: {error}")
        return
    except Exception as error:
        yield Row(name, "backward", verdict=ERROR, message=blame(error, files, called_with(problem)))
        return
    arrays = subject.arrays
    if spoilt := overwritten(subject, before, problem, mine):
        yield Row(name, "inputs kept", verdict=WRONG, message=f"backward overwrites {spoilt}")
        return
    if stored is not None and not candidate.alone:
        same = unchanged(kept, stored)
        message = "" if same else "backward overwrites the cache"
        yield Row(name, "cache kept", verdict=OK if same else WRONG, message=message)
    usable: Arrays = {}
    for key, array in arrays.items():
        row = Row(name, f"d{key}", array.shape)
        if key not in gradients:
            yield row._replace(verdict=ERROR, message=f"d{key} is not returned, nor kept as self.d{key}")
            continue
        value = gradients[key]
        if isinstance(value, np.ndarray) and value.shape == (1, *array.shape):  # from keepdims
            value = value[0]
        complaint = complain(value, array.shape, f"d{key}")
        if complaint and np.shape(value) != array.shape:
            complaint += likely_shape(np.shape(value), key, arrays, np.shape(y))
        if complaint:
            yield row._replace(verdict=ERROR, message=complaint)
        else:
            usable[key] = np.asarray(value, dtype=np.float64)

    def f() -> float:
        return float((np.asarray(subject.forward()[0]) * problem.dy).sum())

    checks = {key: check_gradient(f, arrays[key], usable[key], tolerance=TOLERANCE) for key in usable}
    wrong = [key for key, check in checks.items() if not check.passed]
    if part == "Reinforce" and "baseline" in gradients and np.any(gradients["baseline"]):
        hint = HINTS["Reinforce"]["baseline not detached"]
        yield Row(name, "dbaseline", verdict=WRONG, message=str(hint))
    hints: dict[str, str] = {}
    if wrong:

        def ours(key: str, array: np.ndarray) -> np.ndarray:
            if candidate.gate_order and key in problem.parameters:
                return blocks(array, tuple(np.argsort(candidate.gate_order)))
            return array.T if key in subject.transposed else array

        analytic = {key: ours(key, usable[key]) for key in checks}
        numeric = {key: ours(key, check.numeric) for key, check in checks.items()}
        hints = diagnose(part, problem, analytic, numeric, wrong)
    for key, check in checks.items():
        verdict = WRONG if key in wrong else OK
        if not check.checked and check.kinks:
            verdict, hints[key] = ERROR, "not one coordinate could be checked: at all of them the output jumps or bends"
        yield Row(
            name, f"d{key}", arrays[key].shape, check.checked, check.kinks, check.error, check.where, verdict,
            hints.get(key, ""),
        )  # fmt: skip
    # Parts that keep their cache themselves are called once a step, and may assign.
    if subject.accumulates and cache is not KEPT and not wrong and len(usable) == len(arrays):
        yield from check_accumulation(candidate, subject, problem)


def likely_shape(shape: tuple[int, ...], key: str, arrays: Arrays, output: tuple[int, ...]) -> str:
    """What a gradient of a wrong shape may be instead."""
    bias = arrays[key].ndim == 1 or arrays[key].shape[0] == 1
    if bias and shape == output:
        return ": it is to be summed over the rows"
    others = [other for other in arrays if other != key and shape == arrays[other].shape]
    if others:
        return f", but that of {others[0]}: are they swapped?"
    if len(shape) > 1 and shape == arrays[key].shape[::-1]:
        return ": it looks transposed"
    if bias and shape == output[:1]:
        return ": it is summed over the wrong axis"
    return ""


def unchanged(before: Any, after: Any) -> bool:
    """Whether all arrays in a cache are as they were."""
    if isinstance(before, np.ndarray):
        return isinstance(after, np.ndarray) and np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    if isinstance(before, tuple | list):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(unchanged(before[key], after[key]) for key in before)
    return True


def check_accumulation(candidate: Candidate, subject: ClassPart, problem: Problem) -> Iterator[Row]:
    """A second backward pass must add to the parameter gradients."""
    subject.zero()
    _, cache = subject.forward()
    first = {k: np.array(v) for k, v in subject.backward(problem.dy.copy(), cache).items()}
    _, cache = subject.forward()
    twice = {k: np.array(v) for k, v in subject.backward(problem.dy.copy(), cache).items()}
    names = [name for name in subject.parameters if name in first]
    if all(close(twice[name], 2 * first[name]) for name in names):
        yield Row(label(candidate), "accumulation")
    else:
        message = (
            "parameter gradients are overwritten, not accumulated: dW += ..., since parts are called once a time step"
        )
        yield Row(label(candidate), "accumulation", verdict=WRONG, message=message)


def check_unknown(candidate: Candidate, seed: int) -> list[Row]:
    """A part of its author's own: no reference, but its gradients against its own forward pass.

    It is tried on inputs x (5, 4); a class is made without arguments, or with n_in = n_out = 4.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((5, 4)) + 0.05
    wanted = [known_as(each, ["x", "W", "b"]) for each in (required(candidate.forward) if candidate.forward else ())]
    more = {"W": rng.standard_normal((4, 3)), "b": rng.standard_normal(3)} if {"W", "b"} <= set(wanted) else {}
    problem = Problem(more, {"x": x}, {}, np.ones(()), {"B": 5.0})
    shape = {"B": 5, "in": 4, "out": 4}
    files, name = source_files(candidate), candidate.name
    try:
        if candidate.cls:
            subject: Any = ClassPart(candidate._replace(part="Linear"), problem, shape)
            for key, owner, attribute, value in own_parameters(subject.instance):
                setattr(owner, attribute, rng.standard_normal(value.shape))
                subject.parameters[key] = (owner, attribute)
            subject.accumulates = bool(subject.parameters)
        else:
            subject = FunctionPart(candidate, problem)
        y, cache = subject.forward()
        if complaint := complain(y, np.shape(y), "forward's output"):
            return [Row(name, "forward", verdict=ERROR, message=complaint)]
        if unstable := unfit(y, subject.forward()[0]):
            return [Row(name, "forward", verdict=unstable[0], message=unstable[1])]
        mine = problem._replace(dy=rng.standard_normal(np.shape(y)))
        subject.problem = mine
        return merge(check_backward(candidate, subject, copied(mine), mine, np.asarray(y), cache))
    except Exception as error:
        message = str(error) if isinstance(error, UncheckedError) else blame(error, files, called_with(problem))
        return [Row(name, "forward", verdict=SKIPPED, message=f"not checked: {message}")]


def own_parameters(instance: Any) -> list[tuple[str, Any, str, np.ndarray]]:
    """The arrays with a gradient of an instance and of the layers it is made of: name, owner, attribute, array."""
    owners = {"": instance} | {f"{name}.": part for name, part in vars(instance).items() if hasattr(part, "__dict__")}
    return [
        (prefix + attribute, owner, attribute, value)
        for prefix, owner in owners.items()
        for attribute, value in vars(owner).items()
        if isinstance(value, np.ndarray) and isinstance(getattr(owner, "d" + attribute, None), np.ndarray)
    ]
