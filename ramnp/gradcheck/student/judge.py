"""Judging one reading: its gradients against its own forward pass, read as charitably as can be."""

import ast
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ramnp.gradcheck.student import inputs, losses, names, source
from ramnp.gradcheck.student.call import Gradients, Reading, Result
from ramnp.gradcheck.student.consistency import Differences, Finding
from ramnp.gradcheck.student.inputs import Spec
from ramnp.gradcheck.student.state import World, fetch
from ramnp.gradcheck.student.trying import influential, upstream

PARAMETER = re.compile(
    r"^(W|w|U|V|b|weights?|bias(es)?|gamma|beta|kernel|theta|filters?|k[A-Z]?)(_?\w{0,3}|\d)?$", re.IGNORECASE
)


@dataclass
class Judgement:
    """What one reading came to.

    Attributes:
        findings: leaf -> how its gradient compares.
        missing: leaves whose gradient ought to be there and is not: name -> why.
        unchecked: what could not be checked: name -> why.
        remarks: what is worth saying, and counts neither for nor against.
        loss: by which loss the network is trained, if its backward is given the labels.
        averaged: leaves whose gradient is, by a course's convention, a mean over the examples.
    """

    reading: Reading
    world: World
    result: Result
    dys: list[Any]
    gradients: Gradients
    differences: Differences
    findings: dict[str, Finding]
    missing: dict[str, str] = field(default_factory=dict)
    unchecked: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    averaged: tuple[str, ...] = ()
    loss: str = ""

    @property
    def wrong(self) -> list[str]:
        return [name for name, finding in self.findings.items() if not finding.passed]

    @property
    def faults(self) -> int:
        return len(self.wrong) + len(self.missing)


def judge(reading: Reading, seed: int = 0, sizes: dict[str, int] | None = None) -> Judgement:
    """Run forward and backward once, and compare every gradient."""
    world = reading.world(sizes, seed=seed)
    ran = world.copied()
    result = reading.forward(ran)
    dys = upstream(result, seed + 1)
    gradients = reading.backward(ran, result, dys)
    differences = Differences(reading, world)
    loss = ""
    if reading.target is not None:
        dys, loss = slopes(reading, world, result, gradients, differences)
    remarks = [*reading.remarks, *([f"the gradients are those of {loss}"] if loss else [])]
    findings = {name: differences.compare(name, item, dys) for name, item in gradients.found.items()}
    found = Judgement(reading, world, result, dys, gradients, differences, findings, remarks=remarks, loss=loss)
    look_for_missing(found)
    return found


def slopes(
    reading: Reading, world: World, result: Result, gradients: Gradients, differences: Differences
) -> tuple[list[Any], str]:
    """The upstream gradient of the loss that explains most gradients, and that loss, in words."""
    y, t = result.outputs[0], world.args["__target__"]
    best: tuple[int, float, list[Any], str] | None = None
    for name, loss in losses.candidates(reading.own, world.self, y):
        try:
            with np.errstate(all="ignore"):
                dy = losses.slope(loss, y, np.asarray(t))
        except Exception:
            continue
        if not np.isfinite(dy).all() or not dy.any():
            continue
        errors = [rough(differences, leaf, item, [dy]) for leaf, item in gradients.found.items()]
        right = sum(error < 1e-4 for error in errors)
        distance = float(np.median(errors or [np.inf]))
        if best is None or (right, -distance) > best[:2]:
            best = (right, -distance, [dy], name)
        if right == len(errors) and right:
            break
    if best is None:
        return upstream(result), ""
    return best[2], best[3] if best[0] else ""


def rough(differences: Differences, leaf: str, item: Any, dys: list[Any]) -> float:
    """How far a gradient is from the differences, without a closer look."""
    numeric = differences.gradient(leaf, dys)
    if item is None or np.size(item) != numeric.size:
        return np.inf
    error = np.abs(np.asarray(item, dtype=np.float64).reshape(numeric.shape) - numeric)
    return float(np.nanmax(error, initial=0)) / max(1e-9, float(np.nanmax(np.abs(numeric), initial=0)))


def look_for_missing(found: Judgement) -> None:
    """Which leaves have no gradient, and whether they should."""
    reading, gradients = found.reading, found.gradients
    leaves = reading.leaves
    kept = [n for n, path in leaves.items() if path[0][1] in ("self", "module")]
    some = any(n in gradients.found and gradients.found[n] is not None for n in kept)
    nothing = reading.target is not None or gradients.updated or is_container(found.world.self)
    for name, path in leaves.items():
        item = fetch(found.world, path)
        absent = name not in gradients.found or gradients.found[name] is None
        if not absent or not isinstance(item, np.ndarray):
            continue
        word = names.last_word(path)
        if path[0][1] == "args":
            found.findings.pop(name, None)
            if names.is_constant(word) and not PARAMETER.match(word):
                continue
            if reading.candidate.kind == "alone" or (
                reading.plan and all(origin[0] in ("arg", "value") for _, origin in reading.plan)
            ):
                if PARAMETER.match(word) and word[0] not in "vV":
                    found.missing[name] = f"no gradient of {name} is returned"
                continue
            if nothing or (some and names.is_constant(word)):
                continue
            if not gradients.returned:
                found.missing[name] = f"d{name} is None: backward returns nothing, is a return missing?"
            elif name in gradients.found:
                found.missing[name] = f"d{name} is None"
            elif PARAMETER.match(word) or len(gradients.found) >= 2:
                found.missing[name] = f"d{name} is not returned"
            else:
                found.unchecked[name] = f"no gradient of {name} was found"
        elif path[0][1] == "self":
            empty = [each for each in gradients.empty if names.plain(word) in names.stems(each.split(".")[-1])]
            if empty:
                found.missing[name] = f"self.{empty[0]} is still None after backward"
            elif some or PARAMETER.match(word):
                if names.is_constant(word) or re.search(r"mean|var|mask|running|pos|pe$|scale_factor", word):
                    continue
                found.missing[name] = f"after backward there is no gradient of self.{name}"
                if not some:
                    found.unchecked[name] = found.missing.pop(name)
            else:
                found.unchecked[name] = f"no gradient of self.{name} was found; if it is a constant, give it no array"
        elif some and PARAMETER.match(word):
            found.missing[name] = f"no gradient of {name} is returned"
    for name in gradients.idle if "." not in reading.candidate.name else ():
        found.unchecked[name] = "what it is the gradient of has no influence on the output"
    for name in gradients.extra:
        found.unchecked[f"{name}"] = "it looks like a gradient, and belongs to nothing that could be moved"


def is_container(instance: Any) -> bool:
    """Whether an instance holds others with a backward of their own."""
    if instance is None or not hasattr(instance, "__dict__"):
        return False
    for value in vars(instance).values():
        held = (
            value if isinstance(value, list | tuple) else list(value.values()) if isinstance(value, dict) else [value]
        )
        if any(callable(getattr(each, "backward", None)) or callable(getattr(each, "bprop", None)) for each in held):
            return True
    return False


def best_of(readings: list[Reading], seed: int = 0) -> tuple[Judgement | None, BaseException | None]:
    """The reading that is right if one is; else the one with the fewest faults, the likeliest first."""
    best, error = None, None
    for reading in readings:
        for variant in (reading, *charitable(reading)):
            try:
                found = judge(variant, seed)
            except Exception as raised:
                error = error or raised
                continue
            # Of readings that are equally wrong the likeliest stays, unless it is a fused one that comes closer.
            fused = best is not None and found.reading.link != best.reading.link
            if best is None or badness(found)[: 3 if fused else 2] < badness(best)[: 3 if fused else 2]:
                best = found
            if not best.faults and not best.unchecked:
                if convention := of_output(best, readings):
                    return convention, None
                return best, None
    if best is not None and best.faults:
        averaged(best)
    return best, error


def badness(found: Judgement) -> tuple[int, int, float]:
    """How far a reading is from right: faults, what is unchecked, and how far the wrong gradients point elsewhere."""
    angle = 0.0
    for name in found.wrong:
        finding = found.findings[name]
        if finding.complaint:
            angle += 3.0
            continue
        known = ~np.isnan(finding.numeric)
        a, n = finding.analytic[known], finding.numeric[known]
        size = float(np.sqrt((a * a).sum() * (n * n).sum()))
        angle += 1 - abs(float((a * n).sum())) / size if size else 1.0
    return found.faults, len(found.unchecked), round(angle, 3)


def of_output(found: Judgement, readings: list[Reading]) -> Judgement | None:
    """f'(y) for f'(x): a derivative that takes y, unless its own text says that it is given x: then it is wrong."""
    reading = found.reading
    if (
        not reading.derivative
        or reading.candidate.kind != "pair"
        or not any(o == ("output", 0) for _, o in reading.plan)
    ):
        return None
    forward, backward = reading.candidate.functions()
    name = reading.plan[0][0]
    if name in reading.given and forward.__name__ in names_called(backward, name):
        strict = next((r for r in readings if any(o == ("arg", name) for _, o in r.plan)), None)
        return judge(strict) if strict is not None else None
    found.remarks.append(
        f"it is the derivative as a function of the output: call it with y = {forward.__name__}(x), not with x"
    )
    return None


def names_called(function: Any, argument: str) -> set[str]:
    """Functions that are called with an argument as it came."""
    root = source.tree(function)
    calls = [node for node in ast.walk(root) if isinstance(node, ast.Call)] if root is not None else []
    return {
        node.func.id
        for node in calls
        if isinstance(node.func, ast.Name) and any(isinstance(a, ast.Name) and a.id == argument for a in node.args)
    }


def charitable(reading: Reading) -> list[Reading]:
    """The same reading with the gradient taken to be that of what goes into a softmax or sigmoid before."""
    if not reading.given or reading.candidate.kind == "flag":
        return []
    first, spec = next(iter(reading.given.items()))
    probability = spec.kind in ("simplex", "logsimplex", "positive", "simplexcolumns")
    if not probability:
        return []
    data = Spec("normal", spec.axes)
    links = ["log_softmax"] if spec.kind == "logsimplex" else ["softmax", "sigmoid"]
    found = []
    for link in links:
        linked = reading.changed(
            given=reading.given | {first: data},
            link=link,
            remarks=[
                f"the gradient is that of what goes into the {link.replace('_', '-')} before: fused with the loss"
            ],
        )
        if link == "softmax" and spec.kind == "simplexcolumns":
            linked = reading.changed(
                given=reading.given | {first: Spec("normal", spec.axes)}, link=link, remarks=linked.remarks
            )
        try:
            found.append(influential(linked.changed(leaves={})))
        except Exception:
            continue
    return found


def averaged(found: Judgement) -> None:
    """Where examples stand in columns, a course takes the mean over them in dW and db: a convention, no mistake."""
    reading = found.reading
    first = next(iter(reading.given.values()), None)
    if first is None or first.axes not in ("D N", "M N", "H N"):
        return
    parameters = [
        n for n, path in reading.leaves.items() if n in found.findings and PARAMETER.match(names.last_word(path))
    ]
    if reading.target is not None and parameters and all(found.findings[n].passed for n in parameters):
        summed(found)
        return
    means = [n for n in parameters if n in found.wrong and is_mean(found.findings[n])]
    if not means or any(found.findings[n].passed for n in parameters) or len(parameters) < 2:
        return
    for name in means:
        found.findings[name] = found.findings[name]._replace(passed=True, error=0.0)
    for name in parameters:  # the others are meant as means, too
        if name not in means:
            found.findings[name] = found.findings[name]._replace(
                numeric=found.findings[name].numeric / inputs.SIZES["N"]
            )
    found.averaged = tuple(parameters)
    found.remarks.append("dW and db are means over the examples, as in courses whose examples are columns")


def summed(found: Judgement) -> None:
    """Beside dW and db of the mean loss, such a course's dX is that of the summed loss."""
    count = inputs.SIZES["N"]
    for name in found.wrong:
        finding = found.findings[name]
        known = ~np.isnan(finding.numeric)
        if not finding.complaint and np.allclose(
            finding.analytic[known], count * finding.numeric[known], rtol=1e-4, atol=1e-7
        ):
            found.findings[name] = finding._replace(passed=True, error=0.0)
            found.remarks.append(f"d{name} is that of the summed loss, and dW and db are means, as in some courses")


def is_mean(finding: Finding) -> bool:
    """Whether a gradient is the right one divided by the number of rows."""
    known = ~np.isnan(finding.numeric)
    return not finding.complaint and np.allclose(
        (finding.analytic * inputs.SIZES["N"])[known], finding.numeric[known], rtol=1e-4, atol=1e-7
    )
