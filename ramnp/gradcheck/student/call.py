"""Calling somebody's forward and backward pass as its author meant it: one `Reading` of how that is.

A reading makes worlds (`state.World`), runs forward and backward in a copy of one, and says which gradient belongs to
which array. `trying.py` finds the readings that work.
"""

import copy
import inspect
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ramnp.gradcheck.student import inputs, names, source
from ramnp.gradcheck.student.construct import construct
from ramnp.gradcheck.student.find import Candidate
from ramnp.gradcheck.student.inputs import OMITTED, Spec
from ramnp.gradcheck.student.state import Path, World, describe, fetch, is_number_array, unchanged, walk

RESETS = (
    "zero_grad",
    "zero_grads",
    "zero_gradients",
    "flush_gradients",
    "reset_gradients",
    "clear_gradients",
    "reset_grad",
)


class TroubleError(Exception):
    """Code that did not do its job; the message is for its author."""


class CalledOtherwiseError(Exception):
    """A call that the code was not made for."""


class Result(NamedTuple):
    """What forward gave: arrays that a gradient can be asked of, what it keeps for backward, and all of it."""

    outputs: list[np.ndarray]
    cache: Any
    raw: Any


@dataclass
class Gradients:
    """What backward gave.

    Attributes:
        found: leaf -> gradient.
        extra: gradients that belong to nothing that could be moved: name -> array.
        empty: gradients that are still None.
        spoilt: what backward changed that it should not: "dout", "the input x", ...
        updated: whether backward changes the parameters itself, by a learning rate.
        returned: whether it returned anything.
        changed: whether it left anything in the instance.
        present, idle: arrays of the instance before forward, in plain spelling; gradients of such that change nothing.
        places: leaf -> where its gradient was found: which of what was returned, or a path in the instance.
    """

    found: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)
    updated: bool = False
    returned: bool = True
    changed: bool = False
    places: dict[str, Any] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    idle: list[str] = field(default_factory=list)


Source = tuple[str, Any]  # ("dy", 0), ("cache", None), ("arg", "x"), ("output", 0), ("value", 0.1), ("target", "y")


@dataclass
class Reading:
    """One way to call a candidate.

    Attributes:
        candidate: what is called.
        own: what its file defines.
        made: recipe of each argument of the constructor, or None where there is no instance to make.
        given: recipe of each argument of forward.
        outputs: how many values of a returned tuple are outputs.
        plan: what each argument of backward is given.
        leaves: name -> where an array lies that can be moved.
        link: "softmax", ...: the gradient is that of what goes into this function, whose output forward takes.
        target: recipe of the label that backward is given, and forward is not.
    """

    candidate: Candidate
    own: dict[str, Any]
    made: dict[str, Spec] | None
    given: dict[str, Spec]
    outputs: int = 1
    plan: tuple[tuple[str, Source], ...] = ()
    leaves: dict[str, Path] = field(default_factory=dict)
    link: str = ""
    target: Spec | None = None
    remarks: list[str] = field(default_factory=list)

    # --- worlds -----------------------------------------------------------------------------------------------------

    def world(self, sizes: dict[str, int] | None = None, seed: int = 0, scale: float = 1.0) -> World:
        """An instance, arguments and parameters, with random numbers."""
        sizes = self.sizes | (sizes or {})
        rng = np.random.default_rng(seed)
        instance, values = self.candidate.instance, self.candidate.values
        if instance is not None:
            instance = World(self=instance).copied().self
        elif self.made is not None and self.candidate.cls is not None:
            instance = construct(self.candidate.cls, self.made, self.own, sizes)
        args = {name: inputs.make(spec, sizes, rng, scale) for name, spec in self.given.items() if spec.kind != OMITTED}
        if values is not None:
            args |= copy.deepcopy(dict(zip(self.given, values, strict=False)))
        made = World(args, instance, self._globals())
        if self.target is not None:
            made.args["__target__"] = inputs.make(self.target, sizes, rng)
        for path in self.leaves.values():
            if path[0][1] != "args":
                array = fetch(made, path)
                if isinstance(array, np.ndarray):
                    array += np.asarray(0.5 * rng.standard_normal(array.shape), array.dtype)
        return made

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the main case; images come three at a time, since there is much to move in each."""
        pictured = any(axis in spec.axes.split() for spec in self.given.values() for axis in ("I", "P"))
        return inputs.SIZES | ({"N": 3} if pictured else {})

    def _globals(self) -> dict[str, np.ndarray]:
        """Arrays of the file that the functions read."""
        if self.candidate.cls is not None:
            return {}
        found: dict[str, np.ndarray] = {}
        for function in self.candidate.functions():
            table = getattr(function, "__globals__", {})
            for name in function.__code__.co_names:
                if is_number_array(table.get(name)):
                    found[name] = table[name].copy()
        return found

    # --- forward ----------------------------------------------------------------------------------------------------

    def function(self, world: World, which: str) -> Callable[..., Any]:
        """Forward or backward, bound to the world's instance."""
        part = getattr(self.candidate, which)
        if isinstance(part, str):
            return getattr(self.candidate.cls if world.self is None else world.self, part)
        if world.module:
            part.__globals__.update(world.module)
        return part

    def forward(self, world: World) -> Result:
        """Run forward in this world. Random numbers start anew."""
        np.random.seed(0)  # what students draw from  # noqa: NPY002
        random.seed(0)
        args = {name: item for name, item in world.args.items() if name != "__target__"}
        args = self._linked(args)
        if self.candidate.kind == "flag":
            args[self.candidate.flag] = False
        function = self.function(world, "forward")
        try:
            raw = function(**args)
        except TypeError as error:
            if "positional-only" not in str(error):
                raise
            raw = function(*args.values())
        return self.split(raw, world)

    def _linked(self, args: dict[str, Any]) -> dict[str, Any]:
        if not self.link:
            return args
        name = next(iter(args))
        z = args[name]
        axis = 0 if self.given[name].axes.startswith("M ") else -1
        return args | {name: LINKS[self.link](z, axis)}

    def split(self, raw: Any, world: World) -> Result:
        """Outputs and cache of what forward returned."""
        kind = self.candidate.kind
        if kind == "alone":
            return self._split_loss(raw)
        context = next((item for item in world.args.values() if isinstance(item, inputs.Context)), None)
        if isinstance(raw, tuple) and len(raw) >= 1:
            if kind == "closure":
                back = next((item for item in raw if callable(item)), None)
                arrays = [item for item in raw if not callable(item)]
                return Result(numbers(arrays[: self.outputs]), back, raw)
            arrays = numbers(raw[: self.outputs])
            rest = raw[self.outputs :]
            return Result(arrays, rest[0] if len(rest) == 1 else rest or context, raw)
        if isinstance(raw, dict):
            arrays = [item for item in raw.values() if is_number_array(item)]
            return Result(numbers(arrays[:1]), raw, raw)
        return Result(numbers([raw]), context, raw)

    def _split_loss(self, raw: Any) -> Result:
        """A loss and its gradients, in one value."""
        if not isinstance(raw, tuple | list) or len(raw) < 2:
            raise TroubleError("it returns no gradient with its value")
        scalar = next(
            (
                k
                for k, item in enumerate(raw)
                if np.ndim(item) == 0 and isinstance(item, float | int | np.number | np.ndarray)
            ),
            None,
        )
        if scalar is None:
            raise TroubleError("it returns no loss, a number, with its gradients")
        rest = [item for k, item in enumerate(raw) if k != scalar]
        labels = source.returned_names(self.candidate.functions()[0])
        labels = (
            [label for k, label in enumerate(labels) if k != scalar] if len(labels) == len(raw) else [None] * len(rest)
        )
        return Result(numbers([raw[scalar]]), list(zip(labels, rest, strict=True)), raw)

    # --- backward ---------------------------------------------------------------------------------------------------

    def backward(self, world: World, result: Result, dys: list[np.ndarray]) -> Gradients:
        """Run backward after forward, in the same world; the gradients by leaf."""
        if self.candidate.kind == "alone":
            return self.assign(items_of(result.cache, [None]), world, {}, Gradients())
        mine = [np.array(dy) if np.ndim(dy) else dy for dy in dys]
        kept_arguments = copy.deepcopy({k: v for k, v in world.args.items() if not isinstance(v, inputs.Context)})
        before = dict(walk(world.self)) if world.self is not None else {}
        kept = {path: np.array(array) for path, array in before.items() if isinstance(array, np.ndarray)}
        fresh = self.world().self if world.self is not None else None
        present = {names.plain(names.last_word(path)) for path, array in walk(fresh) if is_number_array(array)}
        function = self.function(world, "backward") if self.candidate.kind == "pair" else result.cache
        if self.candidate.kind == "flag":
            function = self.function(world, "forward")
        returned = self._call(function, world, result, mine)
        gradients = Gradients(returned=returned is not None, present=present)
        if any(np.ndim(a) and not np.array_equal(a, b) for a, b in zip(mine, dys, strict=True)):
            name = next((name for name, origin in self.plan if origin[0] == "dy"), "dout")
            gradients.spoilt.append(name.lstrip("="))
        for name, item in kept_arguments.items():
            if not isinstance(item, dict) and not unchanged(item, world.args[name]):
                gradients.spoilt.append(f"the input {name}")
        labels = source.returned_names(getattr(function, "__func__", function)) if callable(function) else []
        if self.derivative:  # f'(x) alone: the chain rule is left to the caller
            returned = dys[0] * np.asarray(returned)
        left = self._kept(world, before, kept, gradients)
        gradients.changed = bool(left)
        return self.assign(items_of(returned, labels), world, left, gradients)

    def _call(self, function: Callable[..., Any], world: World, result: Result, dys: list[Any]) -> Any:
        values = {name: self._value(origin, world, result, dys) for name, origin in self.plan}
        flags = {name[1:]: item for name, item in values.items() if name.startswith("=")}
        return function(*(item for name, item in values.items() if not name.startswith("=")), **flags)

    def again(self, world: World, result: Result, dys: list[Any], places: dict[str, Any]) -> dict[str, Any]:
        """The gradients only, from where `backward` found them: for running a changed program many times."""
        if self.candidate.kind == "alone":
            returned = result.cache
        else:
            kind = self.candidate.kind
            function = (
                result.cache if kind == "closure" else self.function(world, "forward" if kind == "flag" else "backward")
            )
            returned = self._call(function, world, result, [np.array(dy) if np.ndim(dy) else dy for dy in dys])
            if self.derivative:
                returned = dys[0] * np.asarray(returned)
        items = items_of(returned, [None])
        found = {}
        for name, place in places.items():
            found[name] = items[place][2] if isinstance(place, int) else fetch(world.self, place)
        return found

    derivative: bool = False  # whether backward gives f'(x), with no dy

    def _value(self, origin: Source, world: World, result: Result, dys: list[np.ndarray]) -> Any:
        kind, which = origin
        match kind:
            case "dy":
                if which == "list":
                    return list(dys)
                return dys[which]
            case "cache":
                return result.cache if which is None else result.cache[which]
            case "arg":
                return self._linked(world.args)[which] if self.link else world.args[which]
            case "output":
                return result.raw[which] if isinstance(result.raw, tuple) else result.raw
            case "target":
                return world.args["__target__"]
        return which

    def _kept(
        self, world: World, before: dict[Path, Any], kept: dict[Path, np.ndarray], gradients: Gradients
    ) -> dict[Path, Any]:
        """Arrays of the instance that backward made or changed, or that are called gradients; notes what it spoilt."""
        if world.self is None:
            return {}
        found: dict[Path, Any] = {}
        mine = {path[1:]: name for name, path in self.leaves.items() if path[0][1] == "self"}
        after = dict(walk(world.self))
        rate = self._rate(world)
        for path, array in after.items():
            changed = (
                isinstance(array, np.ndarray)
                and array.dtype.kind in "fi"
                and not (
                    path in kept
                    and array.shape == kept[path].shape
                    and np.array_equal(array, kept[path], equal_nan=True)
                )
            )
            scalar = isinstance(array, float | np.floating) and (path not in before or before[path] != array)
            if path in mine:
                if changed and rate:
                    gradients.updated = True
                    gradients.found[mine[path]] = (kept[path] - array) / rate
                elif changed:
                    gradients.spoilt.append(f"the parameter {mine[path]}")
            elif changed or scalar or (isinstance(array, np.ndarray) and names.is_gradient(names.last_word(path))):
                found[path] = array
            elif array is None and names.is_gradient(names.last_word(path)):
                gradients.empty.append(describe(((".", "self"), *path)))
        return found

    def _rate(self, world: World) -> float:
        """The learning rate, where backward takes a step itself."""
        for _, (kind, item) in self.plan:
            if kind == "value" and isinstance(item, float):
                return item
        rates = [getattr(world.self, name, None) for name in ("lr", "learning_rate", "eta", "alpha")]
        return next((float(rate) for rate in rates if isinstance(rate, float | int) and rate), 0.0)

    def assign(
        self,
        items: list[tuple[str | None, tuple[int, ...], Any]],
        world: World,
        kept: dict[Path, Any],
        gradients: Gradients,
    ) -> Gradients:
        """Say which gradient belongs to which leaf: by names, then by order, then by where they are kept."""
        found = gradients.found
        left = dict(self.leaves)
        waiting: list[tuple[str, Any]] = []
        if (
            len(items) == 1
            and items[0][2] is None
            and not any(p[0][1] == "args" and isinstance(fetch(world, p), np.ndarray) for p in left.values())
        ):
            items = []  # nothing is returned, and there is no input to return a gradient of
        telling = sum(names.looks_like_gradient(label or "") for label, _, _ in items)
        for label, index, item in items:
            if (
                telling >= 2
                and label
                and not names.looks_like_gradient(label)
                and not any(self._fits(left[n], label, index) for n in left)
            ):
                continue  # a state that is handed on, and no gradient
            if item is None:
                waiting.append((label or "", item))
                continue
            name = (
                next((n for n in left if n not in found and self._fits(left[n], label, index)), None) if label else None
            )
            if name is not None:
                found[name] = item
            else:
                waiting.append((f"{label or 'result'}{''.join(f'[{i}]' for i in index)}", item))
        free = [n for n in left if n not in found]
        arrays = [n for n in free if not names.is_constant(n) and isinstance(fetch(world, left[n]), np.ndarray)]
        if self.candidate.kind in ("pair", "closure", "flag") and self.candidate.cls is not None:
            arrays = [n for n in arrays if left[n][0][1] == "args"] + [n for n in arrays if left[n][0][1] != "args"]
        inputs_all = [n for n in free if left[n][0][1] == "args" and isinstance(fetch(world, left[n]), np.ndarray)]
        shapes_all = [squeezed(np.shape(fetch(world, left[n]))) for n in inputs_all]
        if len(waiting) > 1 and shapes_all == [squeezed(np.shape(item)) for _, item in waiting]:
            arrays = inputs_all  # one for each input, in order, even of a location
        own = [n for n in free if left[n][0][1] == "self"]
        mine = [squeezed(np.shape(fetch(world, left[n]))) for n in own]
        asked = any(origin[0] == "dy" for _, origin in self.plan)  # then gradients of inputs are returned
        if waiting and not asked and mine == [squeezed(np.shape(item)) for _, item in waiting]:
            arrays = own  # one for each parameter, in order
        targets = (
            arrays
            if len(waiting) <= len(arrays)
            else [n for n in free if not isinstance(fetch(world, left[n]), float) or len(waiting) > len(arrays)]
        )
        if waiting and not arrays:
            targets = free
        for (label, item), name in zip(list(waiting), self._order(waiting, targets, world), strict=False):
            if name is not None:
                found[name] = item
                waiting.remove((label, item)) if item is None else waiting.pop(
                    next(k for k, w in enumerate(waiting) if w[1] is item)
                )
        parameters = {left[n][1:]: fetch(world, left[n]) for n in left if n not in found and left[n][0][1] == "self"}
        for parameter, path in names.pair(parameters, kept).items():
            name = next(n for n in left if left[n][1:] == parameter)
            gradients.places[name] = path
            found[name] = kept.pop(path)
        for name, item in found.items():
            position = next((k for k, each in enumerate(items) if each[2] is item), None)
            if position is not None and item is not None:
                gradients.places[name] = position
        for label, item in waiting:
            if item is not None and (is_number_array(item) or isinstance(item, float)):
                gradients.extra[label] = item
        shapes = {
            np.shape(fetch(world, path)) for name, path in left.items() if name not in found and path[0][1] == "self"
        }
        moved = {names.plain(names.last_word(p)) for p in left.values()}
        for path, item in kept.items():
            word = names.last_word(path)
            if names.stems(word) & (gradients.present - moved) and names.plain(word) not in moved:
                gradients.idle.append(describe(((".", "self"), *path)))
            if names.is_gradient(word) and not isinstance(item, float) and np.shape(item) in shapes:
                gradients.extra[describe(((".", "self"), *path))] = item
        return gradients

    def _fits(self, path: Path, label: str, index: tuple[int, ...]) -> bool:
        """Whether a returned value of this label is the gradient of that leaf."""
        places = tuple(key for kind, key in path if kind == "[]" and isinstance(key, int))
        word = names.last_word(path)
        return places == index and (names.plain(word) in names.stems(label) | {names.plain(label)})

    def _order(self, waiting: list[tuple[str, Any]], targets: list[str], world: World) -> list[str | None]:
        """Leaves for gradients without a telling name: one by one if the shapes allow, else by shape."""
        shapes = {n: np.shape(fetch(world, self.leaves[n])) for n in targets}
        in_turn = targets[: len(waiting)]
        if all(
            item is None or squeezed(np.shape(item)) == squeezed(shapes[n])
            for (_, item), n in zip(waiting, in_turn, strict=False)
        ):
            return list(in_turn)
        by_shape: list[str | None] = []
        for _, item in waiting:
            same = [
                n
                for n in targets
                if n not in by_shape and item is not None and squeezed(np.shape(item)) == squeezed(shapes[n])
            ]
            by_shape.append(same[0] if same else None)
        if None not in by_shape and len(set(by_shape)) == len(by_shape):
            return by_shape
        if any(each is not None for each in by_shape) and len(waiting) > len(targets):
            return by_shape
        return list(in_turn)

    # --- after all --------------------------------------------------------------------------------------------------

    def reset(self, world: World) -> None:
        """Set gradients to zero, where the instance has a method for that."""
        for name in RESETS:
            if callable(getattr(world.self, name, None)):
                try:
                    getattr(world.self, name)()
                except Exception:
                    return

    def values(self, world: World) -> dict[str, np.ndarray]:
        """The leaves' values."""
        return {name: np.asarray(fetch(world, path), dtype=np.float64) for name, path in self.leaves.items()}

    def changed(self, **what: Any) -> "Reading":
        return replace(self, **what)


def softmax(z: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


LINKS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "softmax": softmax,
    "log_softmax": lambda z, axis: np.log(softmax(z, axis)),
    "sigmoid": lambda z, axis: 1 / (1 + np.exp(-z)),
}


def numbers(values: Any) -> list[np.ndarray]:
    """Outputs as float64 arrays.

    Raises:
        TroubleError: something among them is no array of numbers.
    """
    found = []
    for item in values:
        if isinstance(item, list | tuple) and item and all(isinstance(each, np.ndarray) for each in item):
            item = np.array(item)
        if item is None:
            raise TroubleError("forward returns None: is a return missing?")
        if not isinstance(item, np.ndarray | np.generic | float | int) or isinstance(item, bool):
            raise TroubleError(f"forward returns a {type(item).__name__}, not an array")
        array = np.asarray(item)
        if array.dtype.kind not in "fiu":
            raise TroubleError(f"forward returns an array of {array.dtype}")
        found.append(array.astype(np.float64))
    return found


def items_of(
    returned: Any, labels: list[str | None], index: tuple[int, ...] = ()
) -> list[tuple[str | None, tuple[int, ...], Any]]:
    """What backward returned as (label, index in a list, value): tuples, dictionaries and lists taken apart."""
    if (
        isinstance(returned, list)
        and returned
        and all(
            isinstance(each, tuple) and len(each) == 2 and (each[0] is None or isinstance(each[0], str))
            for each in returned
        )
    ):
        return [item for label, each in returned for item in items_of(each, [label])]
    if isinstance(returned, dict):
        return [item for key, each in returned.items() for item in items_of(each, [str(key)])]
    if isinstance(returned, tuple | list) and not index:
        if len(labels) == len(returned) and (len(returned) > 1 or isinstance(returned, tuple)):
            return [
                item for label, each in zip(labels, returned, strict=True) for item in items_of(each, [label], index)
            ]
        label = labels[0] if len(labels) == 1 else None
        arrays = all(isinstance(each, np.ndarray) for each in returned)
        if isinstance(returned, list) and label and arrays:
            return [(label, (k,), each) for k, each in enumerate(returned)]
        return [item for each in returned for item in items_of(each, [None])]
    return [(labels[0] if len(labels) == 1 else None, index, returned)]


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without leading ones: (1, 4) is (4,)."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def required(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The arguments of a function, without `self`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
    return [
        p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and not re.match(r"^self$", p.name)
    ]
