"""Mistakes that are told by more than the numbers of one gradient: a wrong forward, a new random mask, a remark."""

import re
from collections.abc import Iterator

import numpy as np

from ramnp.gradcheck.student import source
from ramnp.gradcheck.student.consistency import EPS, weights_of
from ramnp.gradcheck.student.judge import PARAMETER, Judgement, is_mean
from ramnp.gradcheck.student.references import reference
from ramnp.gradcheck.student.state import fetch


def blamed(found: Judgement, wrong: list[str]) -> str | None:
    """What explains all the wrong gradients together, or None."""
    functions = found.reading.candidate.functions()
    if len(functions) > 1 and source.draws(functions[-1]) and source.draws(functions[0]):
        return "backward draws random numbers of its own: the mask must be the one that forward used, kept in the cache"
    if forgotten := [
        name for name, origin in found.reading.plan if origin[0] == "dy" and name in source.unused(functions[-1])
    ]:
        return f"{forgotten[0]} is forgotten: backward does not use it"
    name = found.reading.candidate.name
    plain = re.search(r"linear$|affine$", name, re.IGNORECASE) and not source.bends(functions[0])
    told = found.result.outputs[0].ndim == 0 or re.search(r"log_?p", name, re.IGNORECASE) or plain
    if told and (message := wrong_forward(found, wrong)):
        return message
    return half_averaged(found, wrong)


def half_averaged(found: Judgement, wrong: list[str]) -> str | None:
    """With examples in columns: one gradient divided by their number, and another not."""
    first = next(iter(found.reading.given.values()), None)
    if (
        first is None
        or first.axes not in ("D N", "M N", "H N")
        or not all(is_mean(found.findings[leaf]) for leaf in wrong)
    ):
        return None
    others = [leaf for leaf, each in found.findings.items() if each.passed and PARAMETER.match(leaf)]
    if not others:
        return None
    return (
        f"d{wrong[0]} is a mean over the examples, and d{others[0]} is a sum: "
        "one is divided by their number, the other is not"
    )


def wrong_forward(found: Judgement, wrong: list[str]) -> str | None:
    """A backward that is right for the part its name says, beside a forward that computes something else."""
    values = found.reading.values(found.world)
    values |= {k: np.asarray(v) for k, v in found.world.args.items() if k not in values and isinstance(v, np.ndarray)}
    known = reference(found.reading.candidate.name, values)
    if known is None:
        return None
    words, function = known
    try:
        expected = np.asarray(function(values), dtype=np.float64)
    except Exception:
        return None
    y = found.result.outputs[0]
    if expected.shape == y.shape and np.allclose(expected, y, rtol=1e-4, atol=1e-6):
        return None
    weights = weights_of(found.dys[:1], [y.shape])
    if expected.shape != y.shape:
        return None
    for leaf in wrong:
        finding = found.findings[leaf]
        path = found.reading.leaves[leaf]
        item = np.asarray(fetch(found.world, path), dtype=np.float64)
        if item.size > 200:
            return None
        slopes = np.zeros(item.size)
        for k in range(item.size):
            sides = []
            for step in (EPS, -EPS):
                moved = item.copy()
                moved.reshape(-1)[k] += step
                sides.append(float(weights @ np.asarray(function(values | {leaf: moved})).reshape(-1)))
            slopes[k] = (sides[0] - sides[1]) / (2 * EPS)
        scale = max(1e-9, float(np.abs(slopes).max()))
        if np.abs(slopes.reshape(item.shape) - finding.analytic).max() > 1e-3 * scale:
            return None
    return f"forward is wrong, and backward is right: forward does not compute {words}"


def static(found: Judgement) -> Iterator[str]:
    """Remarks on a part that is right: another convention than that of its name."""
    values = found.reading.values(found.world)
    values |= {k: np.asarray(v) for k, v in found.world.args.items() if k not in values and isinstance(v, np.ndarray)}
    known = reference(found.reading.candidate.name, values)
    if known is None:
        return
    words, function = known
    try:
        expected = np.asarray(function(values), dtype=np.float64)
    except Exception:
        return
    y = found.result.outputs[0]
    if expected.shape != y.shape:
        return
    if not np.allclose(expected, y, rtol=1e-3, atol=1e-5):
        ratio = float((expected * y).sum() / max(1e-12, (expected * expected).sum()))
        if np.allclose(ratio * expected, y, rtol=1e-4, atol=1e-7) and abs(ratio) > 1e-9:
            yield f"the output is {ratio:.4g} times {words}: a sum for a mean, perhaps; backward fits it"
