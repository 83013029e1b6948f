"""Finding out how somebody's code wants to be called: by its names, and by trying."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ramnp.gradcheck.student import inputs, names, source
from ramnp.gradcheck.student.call import Gradients, Reading, Result, TroubleError, required
from ramnp.gradcheck.student.consistency import complain
from ramnp.gradcheck.student.construct import instances
from ramnp.gradcheck.student.find import Candidate
from ramnp.gradcheck.student.inputs import LABEL_NAME, OMITTED, Argument, Spec
from ramnp.gradcheck.student.state import Path, World, describe, fetch, is_number_array, store, walk

DY = names.words(
    r"d[A-Z_]\w* "
    r"d([yxhzaolgspcvwqfebrt]|out\w*|loss|mu|log\w*|next\w*|hs|top|value|upper|err\w*|up\w*|scores|input\w*|pred\w*)? "
    r"g gy g_?out\w* g_?y grad\w* upstream\w* delta\w* out_?grad\w* output_?(error|grad\w*|delta) error\w* err "
    r"top_diff next_(d|grad)\w* accum_grad prev_grad eta_next nextgrad downstream above gradient\w* d_\w+ incoming "
    "adjoint y_?bar cotangent ct ybar residual"
)
CACHE = names.words(
    r"cache\w* caches ctx context mem\w* saved\w* tape store\w* activation_cache linear_cache intermediate\w* "
    r"residuals? stuff values?_cache state_cache history steps fwd\w* kept aux info record\w* stash back\w*_info "
    r"tup\w*"
)
OUTPUT = names.words(
    r"y Y out output outputs a A h s S y_?hat y_?pred activations? probs? p act z_out result AL A2 A3 o ys pred\w* "
    "mu hs"
)
RATE = names.words("lr eta learning_rate alpha lrate rate step_size")
SECONDS = 0.7  # of trying, for one candidate


@dataclass
class Attempt:
    """What came of trying.

    Attributes:
        readings: those that work, the likeliest first.
        ran: a reading whose forward works, where no backward did.
        error: why the likeliest backward did not work, or forward.
        left: whether a backward that gave no gradient left something in the instance.
        sure: whether that backward was plainly called as its author meant.
    """

    readings: list[Reading]
    ran: Reading | None = None
    error: BaseException | None = None
    sure: bool = False
    left: bool = False
    failed: BaseException | None = None


def is_sure(reading: Reading) -> bool:
    """Whether every argument of backward is plainly what its name says."""
    return all(
        (origin[0] == "dy" and DY.match(name))
        or (origin[0] == "cache" and CACHE.match(name))
        or origin == ("arg", name)
        for name, origin in reading.plan
    )


def try_all(candidate: Candidate, own: dict[str, Any], seconds: float = SECONDS) -> Attempt:
    """Ways to call a candidate that work."""
    attempt = Attempt([])
    end = time.process_time() + seconds
    facts = source.facts(*candidate.functions(), candidate.cls)
    # Functions read the keys of dictionaries that they hand on.
    facts.keys |= {
        k: v
        for k, v in source.facts(*(f for f in own.values() if callable(f))).keys.items()
        if k not in facts.keys and k.startswith("param")
    }
    for made in constructions(candidate, own, facts):
        for reading in forwards(candidate, own, made, facts, attempt, end):
            fitting = False
            for readable, fits in backwards(reading, attempt):
                if fits and not fitting:
                    attempt.readings.clear()  # those whose shapes do not fit
                fitting |= fits
                if fits or not fitting:
                    attempt.readings.append(readable)
            if fitting:
                return attempt
            if time.process_time() > end:
                return attempt
        if attempt.readings or time.process_time() > end:
            return attempt
    return attempt


def constructions(candidate: Candidate, own: dict[str, Any], facts: source.Facts) -> Iterator[dict[str, Spec] | None]:
    """Recipes of instances, or None where none is needed."""
    if candidate.cls is None or candidate.instance is not None:
        yield None
        return
    kinds = [type(inspected(candidate.cls, name)) for name in (candidate.forward, candidate.backward) if name]
    if kinds and all(kind in (staticmethod, classmethod) for kind in kinds):
        yield None
        return
    yield from instances(candidate.cls, facts, own, inputs.SIZES)


def inspected(cls: type, name: str) -> Any:
    """A method as it stands in its class, not bound."""
    return next((vars(each)[name] for each in cls.__mro__ if name in vars(each)), None)


def forwards(
    candidate: Candidate,
    own: dict[str, Any],
    made: dict[str, Spec] | None,
    facts: source.Facts,
    attempt: Attempt,
    end: float,
) -> Iterator[Reading]:
    """Readings whose forward gives finite numbers."""
    probe = Reading(candidate, own, made, {})
    try:
        world = probe.world()
        function = probe.function(world, "forward")
    except Exception as error:
        attempt.error = error
        return
    listed = inputs.arguments(function, facts)
    if listed is None:
        return
    if candidate.kind == "flag":
        listed = [argument for argument in listed if argument.name != candidate.flag]
    held = list(world.module.values())
    if candidate.instance is not None:
        held += [item for _, item in walk(world.self) if is_number_array(item)]
    shapes = list(dict.fromkeys(" ".join(map(str, array.shape)) for array in held))
    if shapes:  # weights that are there say how wide a state is
        states = [Spec("normal", each) for each in shapes if each.count(" ") == 0 or each.endswith(" 1")]
        widths = [Spec("normal", f"N {each.split()[0]}") for each in shapes] + [
            Spec("normal", f"{each.split()[-1]} 1") for each in shapes
        ]
        listed = [
            Argument(
                a.name,
                [*states, *a.specs]
                if re.match(r"^(h|c|a|s)?_?(0|prev|init)|^prev|prev$", a.name)
                else [a.specs[0], *widths, *a.specs[1:]],
            )
            for a in listed
        ]
    if candidate.cls is None:  # what the file itself has under an argument's name
        listed = [Argument(a.name, of_module(function, a.name) or a.specs) for a in listed]
    if candidate.values is not None:
        listed = [Argument(a.name, [Spec("value")]) for a in listed[: len(candidate.values)]]
    helpers = source.facts(*(f for f in own.values() if callable(f)))
    seen: set[tuple[Any, ...]] = set()
    gates = tuple(k for k in (4, 3) if k in facts.multiples | helpers.multiples)[:1]
    for given in inputs.choices(listed, gates=(*gates, *(k for k in (1, 4, 3) if k not in gates))):
        if time.process_time() > end or len(seen) > 12:
            return
        reading = Reading(candidate, own, made, given)
        try:
            world = reading.world()
            result = reading.forward(world)
        except Exception as error:
            if attempt.ran is None and not isinstance(attempt.error, NotImplementedError | TroubleError):
                attempt.error = error
            continue
        if not all(np.isfinite(y).all() for y in result.outputs) or not result.outputs or result.outputs[0].size == 0:
            continue
        shape = tuple(y.shape for y in result.outputs)
        key = (shape, tuple(v.shape for _, v in walk(world.args) if isinstance(v, np.ndarray)))
        if key in seen:
            continue
        seen.add(key)
        yield reading


def of_module(function: Any, name: str) -> list[Spec]:
    """An array, or a list of arrays, that stands in the function's file under this name."""
    module = getattr(function, "__globals__", {})
    if module.get("__name__") == "__main__":  # a notebook, whose variables are whatever its last cell left in them
        return []
    held = module.get(name)
    parts = held if isinstance(held, list | tuple) else [held]
    return [Spec("given", "", held)] if parts and all(is_number_array(part) for part in parts) else []


def backwards(reading: Reading, attempt: Attempt) -> Iterator[tuple[Reading, bool]]:
    """Readings whose backward works, too, and whether the gradients have the shapes of what they belong to."""
    candidate = reading.candidate
    if attempt.ran is None:
        attempt.ran = reading
    for variant in plans(reading):
        try:
            full = with_leaves(variant)
            if not full.leaves:
                attempt.error = TroubleError("none of its inputs changes the output")
                continue
            world = full.world()
            result = full.forward(world)
            gradients = full.backward(world, result, upstream(result))
        except Exception as error:
            if attempt.failed is None:
                attempt.error, attempt.ran, attempt.failed = error, variant, error
                attempt.sure = is_sure(variant)
            continue
        if gradients.found and any(item is not None for item in gradients.found.values()):
            fits = not any(
                complain(item, np.shape(fetch(world, full.leaves[name])), name)
                for name, item in gradients.found.items()
            )
            yield full, fits
        elif candidate.kind != "alone":
            attempt.error, attempt.ran, attempt.left = None, full, gradients.changed


def upstream(result: Result, seed: int = 1) -> list[Any]:
    """A random gradient for each output; 1 for a loss."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(y.shape) if y.ndim else 1.0 for y in result.outputs]


def plans(reading: Reading) -> Iterator[Reading]:
    """What each argument of backward may be given, the likeliest first."""
    candidate = reading.candidate
    if candidate.kind == "alone":
        yield reading
        return
    if candidate.kind == "flag":
        first = next(iter(reading.given))
        rest = [(name, ("arg", name)) for name, spec in reading.given.items() if name != first and spec.kind != OMITTED]
        for origin in (("arg", first), ("output", 0)):
            yield reading.changed(
                plan=((first, origin), *rest, (f"={candidate.flag}", ("value", True))), derivative=True
            )
        return
    world = reading.world()
    result = reading.forward(world)
    function = result.cache if candidate.kind == "closure" else reading.function(world, "backward")
    parameters = required(function)
    wanted = [p for p in parameters if p.default is p.empty]
    # An optional cache, or a gradient of 1, is left to its default; a gradient of anything else is given.
    if not wanted and parameters and DY.match(parameters[0].name) and result.outputs[0].ndim:
        wanted = parameters[:1]
    given = [name for name, spec in reading.given.items() if spec.kind != OMITTED]
    names_wanted = [p.name for p in wanted]
    dys = [name for name in names_wanted if DY.match(name) and name not in given]
    several = len(dys) if isinstance(result.raw, tuple) and len(dys) <= len(result.raw) else 1
    if several > 1:
        reading = reading.changed(outputs=several)
        result = reading.forward(world)
    options = [
        origins(name, position, reading, result, given, len(wanted)) for position, name in enumerate(names_wanted)
    ]
    if any(not each for each in options):
        options = [each or [("dy", 0)] for each in options]
    plans_seen = set()
    for picked in inputs.by_rank(options, 24):
        chosen = dict(zip(names_wanted, picked, strict=True))
        counts = [origin for origin in chosen.values() if origin[0] == "dy"]
        numbered, k = [], 0
        for name, origin in chosen.items():
            if origin == ("dy", 0) and len(counts) > 1:
                origin, k = ("dy", min(k, len(result.outputs) - 1)), k + 1
            numbered.append((name, origin))
        plan = tuple(numbered)
        if plan in plans_seen:
            continue
        plans_seen.add(plan)
        target = None
        if any(origin[0] == "target" for _, origin in plan):
            for target in targets(result):
                yield reading.changed(plan=plan, target=target)
            continue
        derivative = (
            not counts
            and candidate.kind == "pair"
            and candidate.cls is None
            and bool(result.outputs[0].ndim)
            and len(wanted) >= 1
            and not any(o[0] == "cache" for _, o in plan)
        )
        shape = result.outputs[0].shape
        if derivative and not any(isinstance(v, np.ndarray) and v.shape == shape for v in world.args.values()):
            derivative = False
        yield reading.changed(plan=plan, derivative=derivative)


def targets(result: Result) -> list[Spec]:
    """Recipes of labels for an output."""
    letters = {5: "N", 4: "T", 6: "D", 3: "H", 7: "M", 1: "1"}
    axes = " ".join(letters.get(size, str(size)) for size in result.outputs[0].shape)
    found = [Spec("onehot", axes)] if result.outputs[0].ndim == 2 else []
    return [*found, Spec("normal", axes), Spec("ints", axes.split()[0] if axes else "N")]


def origins(name: str, position: int, reading: Reading, result: Result, given: list[str], count: int) -> list[Any]:
    """What one argument of backward may be."""
    cached = result.cache is not None and not (isinstance(result.cache, tuple) and not result.cache)
    first = given[0] if given else None
    returned = source.returned_names(reading.candidate.functions()[0])
    if name not in given and isinstance(result.raw, tuple) and name in returned[reading.outputs :]:
        return [
            ("output", reading.outputs + returned[reading.outputs :].index(name))
        ]  # what forward returned under this name
    if name in given and not (DY.match(name) and position == 0 and not reading.candidate.cls and name != first):
        alone = count == 1 and result.outputs[0].ndim > 0
        return (
            [("arg", name), ("output", 0), *([("dy", 0)] if reading.candidate.cls and alone else [])]
            if name == first
            else [("arg", name)]
        )
    if CACHE.match(name) and cached:
        if isinstance(result.cache, tuple) and isinstance(result.raw, tuple) and len(result.raw) > reading.outputs + 1:
            return [("cache", None), *(("cache", k) for k in range(len(result.cache)))]
        return [("cache", None)]
    if RATE.match(name):
        return [("value", 0.1)]
    if DY.match(name):
        return [("dy", 0)]
    labelled = LABEL_NAME.match(name) or name in ("y", "Y")
    if labelled and not any(LABEL_NAME.match(each) for each in given):
        more = [("target", name)] if reading.candidate.cls or count >= 2 else []
        return (
            [("output", 0), *more] if name in ("y", "Y") and reading.candidate.cls is None else [*more, ("output", 0)]
        )
    if labelled:
        return [("arg", each) for each in given if LABEL_NAME.match(each)]
    if OUTPUT.match(name):
        return [("output", 0), *([("dy", 0)] if position == 0 else []), *([("arg", first)] if first else [])]
    if position == 0:
        return [("dy", 0), *([("cache", None)] if cached else []), *([("arg", first)] if first else []), ("output", 0)]
    if cached:
        return [("cache", None), ("dy", 0), ("output", 0)]
    return [*([("arg", first)] if first else []), ("output", 0), ("dy", 0)]


def with_leaves(reading: Reading) -> Reading:
    """The reading with every array that changes the output, and numbers that may have a gradient.

    Twice: where weights start at zero, inputs change nothing until the weights are moved.
    """
    return influential(influential(reading.changed(leaves={})))


def influential(reading: Reading) -> Reading:
    """The reading with the leaves that change the output in its world."""
    world = reading.world()
    base = reading.forward(world.copied())
    found: dict[str, Path] = {}
    for root in ("args", "self", "module"):
        for path, item in walk(getattr(world, root), ((".", root),)):
            if path[-1][1] == "__target__" or names.is_gradient(names.last_word(path)):
                continue
            movable = is_number_array(item) or (isinstance(item, float) and root != "module")
            if movable and influences(reading, world, path, base):
                found[unique(path, found)] = path
    full = reading.changed(leaves=found)
    if world.self is not None and not any(
        path[0][1] == "self" and is_number_array(fetch(world, path)) for path in found.values()
    ):
        full = lazily_made(full, world, base) or full
    return full


def lazily_made(reading: Reading, world: World, base: Result) -> Reading | None:
    """A reading with an instance whose parameters are made by its first forward pass, if that is how they are made."""
    warm = world.copied()
    reading.forward(warm)
    reading.reset(warm)
    before = {path for path, item in walk(world.self) if is_number_array(item)}
    handed = {id(item) for _, item in walk(warm.args)}
    found = dict(reading.leaves)
    for path, item in walk(warm.self, ((".", "self"),)):
        if (
            path[1:] not in before
            and id(item) not in handed
            and is_number_array(item)
            and influences(reading, warm, path, base)
        ):
            found[unique(path, found)] = path
    if len(found) == len(reading.leaves):
        return None
    return reading.changed(candidate=reading.candidate._replace(instance=warm.self), leaves=found)


def unique(path: Path, taken: dict[str, Path]) -> str:
    """A short name of a path that is not taken."""
    name = describe(path)
    return name if name not in taken else f"{name} ({path[0][1]})"


def influences(reading: Reading, world: World, path: Path, base: Result) -> bool:
    """Whether moving what lies there moves an output."""
    for step in (0.3, -0.2):
        moved = world.copied()
        item = fetch(moved, path)
        rng = np.random.default_rng(3)
        if isinstance(item, np.ndarray):
            item += np.asarray(step * rng.standard_normal(item.shape), item.dtype)
        else:
            store(moved, path, item + abs(step))
        try:
            outputs = reading.forward(moved).outputs
        except Exception:
            continue
        if len(outputs) == len(base.outputs) and any(
            a.shape == b.shape and not np.array_equal(a, b, equal_nan=True)
            for a, b in zip(outputs, base.outputs, strict=True)
        ):
            return True
    return False


def gradients_of(reading: Reading, world: World, seed: int = 1) -> tuple[Result, list[Any], Gradients]:
    """Forward and backward once, with random upstream gradients."""
    result = reading.forward(world)
    dys = upstream(result, seed)
    return result, dys, reading.backward(world, result, dys)
