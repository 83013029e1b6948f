"""What a part must stand beside the main case: other shapes, other sizes of numbers, and being called again."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ramnp.gradcheck.student import names, source
from ramnp.gradcheck.student.consistency import Differences, directional
from ramnp.gradcheck.student.inputs import OMITTED
from ramnp.gradcheck.student.judge import Judgement
from ramnp.gradcheck.student.state import fetch, walk
from ramnp.gradcheck.student.trying import gradients_of


class Trouble(NamedTuple):
    """What went wrong in one of these cases: the row's name, and the message; `grave` if it is a mistake."""

    name: str
    message: str
    grave: bool = True


CASES: list[tuple[str, dict[str, int], float]] = [
    ("with other sizes", {"N": 3, "D": 8, "M": 5, "H": 4, "T": 3}, 1.0),
    ("with one row", {"N": 1}, 1.0),
    ("with small inputs", {}, 0.03),
]
LONG = [("with one time step", {"T": 1, "N": 2}, 1.0), ("with 12 time steps", {"T": 12, "N": 2}, 1.0)]


def stress(found: Judgement) -> Iterator[Trouble]:
    """All cases, for a reading whose main case is right."""
    reading = found.reading
    if reading.target is not None or reading.candidate.values is not None or found.gradients.updated:
        yield from again(found)
        return
    axes = " ".join(spec.axes for spec in reading.given.values())
    data = any(spec.kind == "normal" for spec in reading.given.values())
    for label, sizes, scale in CASES + (LONG if "T" in axes.split() else []):
        if (scale != 1 and not data) or ("N" in sizes and len(sizes) == 1 and "N" not in axes.split()):
            continue
        if reading.candidate.instance is not None and set(sizes) - {"N", "T"}:
            continue
        yield from case(found, label, sizes, scale)
    yield from again(found)
    yield from extreme(found)
    yield from deeper(found)


def longer(found: Judgement) -> Iterator[Trouble]:
    """Whether what is right with a few time steps is wrong with many: a way back that is cut off."""
    axes = " ".join(spec.axes for spec in found.reading.given.values())
    if (
        "T" in axes.split()
        and found.reading.candidate.values is None
        and any(f.passed for f in found.findings.values())
    ):
        yield from case(found, *LONG[1])


def case(found: Judgement, label: str, sizes: dict[str, int], scale: float) -> Iterator[Trouble]:
    """One other shape or scale."""
    reading = found.reading
    listed = [name for name, finding in found.findings.items() if finding.passed and name not in found.averaged]
    try:
        world = reading.world(sizes, seed=11, scale=scale)
        reading.forward(world.copied())
    except Exception as error:
        if label == "with one row":
            yield Trouble("batch of 1", f"{label}, forward raises {type(error).__name__}: {error}", False)
        return
    try:
        _, dys, gradients = gradients_of(reading, world.copied())
        errors = directional(reading, world, gradients, dys, listed)
    except Exception as error:
        grave = label == "with one row" or "T" in sizes
        yield Trouble("stress", f"{label}, backward raises {type(error).__name__}: {error}", grave)
        return
    wrong = [name for name, error in errors.items() if not error <= 1e-3]
    if not wrong:
        return
    if label.endswith("12 time steps"):
        yield Trouble(f"d{wrong[0]}", until(found, wrong[0]))
        return
    where = ", ".join(f"d{name}" for name in wrong)
    # With small inputs a kink may lie within a step.
    detailed = Differences(reading, world)
    if all(detailed.compare(name, gradients.found.get(name), dys).passed for name in wrong):
        return
    shape = first_complaint(detailed, wrong, gradients.found, dys)
    hint = " : is eps missing in backward?" if scale < 1 else ""
    yield Trouble(f"d{wrong[0]}", f"{where}: right in the main case, wrong {label}{shape}{hint.replace(' :', ':')}")


def first_complaint(detailed: Differences, wrong: list[str], gradients: dict[str, Any], dys: list[Any]) -> str:
    complaint = detailed.compare(wrong[0], gradients.get(wrong[0]), dys).complaint
    return f" ({complaint})" if complaint else ""


def until(found: Judgement, name: str) -> str:
    """Up to how many time steps a gradient is right."""
    reading = found.reading
    for steps in range(2, 13):
        world = reading.world({"T": steps, "N": 2}, seed=11)
        _, dys, gradients = gradients_of(reading, world.copied())
        if not Differences(reading, world).compare(name, gradients.found.get(name), dys).passed:
            return (
                f"d{name} is right for up to {steps - 1} time steps and wrong from {steps} on: "
                f"the way back through time is cut off (truncated) after {steps - 1} steps"
            )
    return f"d{name} is wrong with 12 time steps"


def again(found: Judgement) -> Iterator[Trouble]:
    """Calling backward twice, and forward with other inputs in between."""
    reading = found.reading
    if reading.candidate.kind == "alone":
        return
    listed = [name for name, finding in found.findings.items() if finding.passed]
    arguments = [name for name in listed if reading.leaves[name][0][1] == "args"]
    world = found.world.copied()
    try:
        result = reading.forward(world)
        first = reading.backward(world, result, found.dys)
        values = {name: np.array(first.found[name]) for name in arguments}
    except Exception:
        return
    try:
        second = reading.backward(world, result, found.dys)
    except Exception:
        second = None
    if second is not None and not found.gradients.updated:
        for name in arguments:
            if not close(second.found.get(name), values[name]):
                yield Trouble(
                    "backward twice", f"a second backward gives another d{name}: the first overwrites what forward kept"
                )
                return
    yield from renewed(found, arguments or listed)


def renewed(found: Judgement, listed: list[str]) -> Iterator[Trouble]:
    """forward(x1), backward, forward(x2), backward: the second is that of x2; and so without the first backward."""
    reading = found.reading
    if reading.candidate.values is not None or found.gradients.updated:
        return
    try:
        other = reading.world(seed=23)
        if found.world.self is not None:
            other.self = found.world.copied().self
        fresh = other.copied()
        wanted = reading.backward(fresh, reading.forward(fresh), found.dys)
    except Exception:
        return
    for between in (True, False):
        used = found.world.copied()
        try:
            first = reading.forward(used)
            if between:
                reading.backward(used, first, found.dys)
                reading.reset(used)
            state = other.copied()
            state.self = used.self
            result = reading.forward(state)
            got = reading.backward(state, result, found.dys)
        except Exception:
            continue
        wrong = [
            name
            for name in listed
            if not close(got.found.get(name), wanted.found.get(name)) and reading.leaves[name][0][1] == "args"
        ]
        if not wrong:
            continue
        queue = (
            any(isinstance(item, list) for item in vars(used.self).values())
            if hasattr(used.self, "__dict__")
            else False
        )
        if not between and queue:
            continue
        stale = (
            [
                names.last_word(path)
                for path, item in walk(state.self)
                if isinstance(item, np.ndarray) and kept_still(found, path, item)
            ]
            if used.self is not None
            else []
        )
        what = f": self.{stale[0]} is that of the first call" if stale else ""
        yield Trouble(
            "second call", f"after a second forward with other inputs, d{wrong[0]} is still that of the first{what}"
        )
        return
    if hasattr(found.result, "cache") and found.result.cache is not None and reading.candidate.kind == "pair":
        yield from interleaved(found, listed)


def interleaved(found: Judgement, listed: list[str]) -> Iterator[Trouble]:
    """forward(x1) with its cache, forward(x2), then backward with the first cache."""
    reading = found.reading
    try:
        used = found.world.copied()
        first = reading.forward(used)
        state = reading.world(seed=23)
        state.self = used.self
        reading.forward(state)
        got = reading.backward(used, first, found.dys)
    except Exception:
        return
    wrong = [
        name
        for name in listed
        if reading.leaves[name][0][1] == "args" and not close(got.found.get(name), found.gradients.found.get(name))
    ]
    if wrong:
        yield Trouble(
            "two calls",
            f"forward is called twice, then backward with the first cache: d{wrong[0]} is that of the second call; "
            "all that backward needs belongs in the cache",
        )


def kept_still(found: Judgement, path: Any, item: np.ndarray) -> bool:
    """Whether an array of the instance is still what the first forward put there, and no parameter."""
    fresh = found.world.copied()
    before = {p for p, _ in walk(fresh.self)}
    if path in before:
        return False
    found.reading.forward(fresh)
    try:
        return np.array_equal(fetch(fresh.self, path), item) and not names.is_gradient(names.last_word(path))
    except Exception:
        return False


def extreme(found: Judgement) -> Iterator[Trouble]:
    """Inputs of +-1000 in parts without parameters."""
    reading = found.reading
    specs = [spec for spec in reading.given.values() if spec.kind != OMITTED]
    if not specs or specs[0].kind != "normal" or any(path[0][1] == "self" for path in reading.leaves.values()):
        return
    if sum(spec.kind == "normal" for spec in specs) > 1 or reading.link:
        return
    first = next(iter(reading.given))
    world = found.world.copied()
    if not isinstance(world.args[first], np.ndarray):
        return
    rng = np.random.default_rng(4)
    world.args[first] = np.sign(world.args[first]) * 1000 * rng.uniform(0.5, 1, world.args[first].shape)
    try:
        result = reading.forward(world.copied())
    except Exception:
        return
    y = result.outputs[0]
    if np.isnan(y).any():
        cause = ""
        try:
            with np.errstate(invalid="raise"):
                reading.forward(world.copied())
        except FloatingPointError as error:
            cause = str(error)
        except Exception:
            return
        if "divide" in cause or "subtract" in cause:
            yield Trouble(
                "inputs of 1000",
                "with inputs of +-1000 the output is NaN: exp overflows; "
                "subtract the largest input first, or branch on the sign",
            )
        return
    if np.isinf(y).any():
        return
    try:
        _, _, gradients = gradients_of(reading, world.copied())
    except Exception:
        return
    for name, item in gradients.found.items():
        if isinstance(item, np.ndarray) and np.isnan(item).any():
            yield Trouble("inputs of 1000", f"with inputs of +-1000 the output is finite, and d{name} is NaN")


def deeper(found: Judgement) -> Iterator[Trouble]:
    """Inputs (N, d_1, d_2), where the docstring promises them."""
    reading = found.reading
    facts = source.facts(*reading.candidate.functions())
    for name in sorted(facts.deeper & set(reading.given)):
        if reading.given[name].axes != "N D":
            continue
        world = found.world.copied()
        rows, columns = world.args[name].shape
        world.args[name] = world.args[name].reshape(rows, 2, columns // 2)
        flat = found.world.copied()
        wanted = reading.forward(flat).outputs[0]
        message = f"the docstring promises {name} of shape (N, d_1, ..., d_k), and with (N, d_1, d_2) "
        advice = f": reshape {name} to (N, D) first"
        try:
            result = reading.forward(world)
            if result.outputs[0].shape != wanted.shape:
                yield Trouble("more axes", message + f"the output has shape {result.outputs[0].shape}{advice}")
                return
            gradients = reading.backward(world, result, found.dys)
        except Exception as error:
            yield Trouble("more axes", message + f"it raises {type(error).__name__}{advice}")
            return
        got: Any = gradients.found.get(name)
        if np.shape(got) != (rows, 2, columns // 2):
            yield Trouble("more axes", message + f"d{name} has shape {np.shape(got)}: give it the shape of {name}")


def close(a: Any, b: Any, tolerance: float = 1e-6) -> bool:
    """Whether two gradients agree; two that are absent do."""
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        return False
    return bool(np.abs(a - b).max(initial=0) <= tolerance * max(1e-12, np.abs(b).max(initial=0)))


def overwritten(found: Judgement) -> list[tuple[str, str]]:
    """What forward and backward change that is not theirs: (row, message)."""
    reading = found.reading
    functions = reading.candidate.functions()
    allowed = any(source.mentions(f, "overwrit", "in place", "in-place", "inplace") for f in functions)
    said: list[tuple[str, str]] = []
    world = found.world.copied()
    before = {path: np.array(item) for path, item in walk(world.args) if isinstance(item, np.ndarray)}
    parameters = {name: np.array(fetch(world, path)) for name, path in reading.leaves.items() if path[0][1] == "self"}
    reading.forward(world)
    for path, item in walk(world.args):
        if (
            path in before
            and not np.array_equal(item, before[path], equal_nan=item.dtype.kind == "f")
            and len(path) == 1
        ):
            said.append(
                (
                    "inputs kept",
                    f"forward overwrites its input {path[0][1]}: the caller finds other numbers there",
                )
            )
    for name, item in parameters.items():
        if not np.array_equal(fetch(world, reading.leaves[name]), item):
            said.append(("inputs kept", f"forward overwrites the parameter {name}"))
    for what in found.gradients.spoilt:
        if what.startswith("the"):
            said.append(("inputs kept", f"backward overwrites {what}"))
        else:
            said.append(
                ("dout kept", f"backward overwrites {what}, which is not its own: another part may still need it")
            )
    return [] if allowed else said
