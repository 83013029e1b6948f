"""The numbers that somebody's code depends on: arrays in arguments, attributes, dictionaries, lists, and objects.

A `World` holds all that one call may read and change. It is copied before each call, so that no call spoils another.
"""

import copy
import io
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Path = tuple[tuple[str, Any], ...]  # steps, each (".", attribute) or ("[]", key)


@dataclass
class World:
    """What a call depends on.

    Attributes:
        args: arguments by name.
        self: the instance, or None for functions.
        module: arrays of the file itself that its functions read, by name.
    """

    args: dict[str, Any] = field(default_factory=dict)
    self: Any = None
    module: dict[str, Any] = field(default_factory=dict)

    def copied(self) -> "World":
        """A world of its own; what cannot be copied is shared."""
        shared = {id(value): value for value in uncopyable(self.self)} if self.self is not None else {}
        try:
            return copy.deepcopy(self, shared)
        except Exception:
            return World(copy.deepcopy(self.args), self.self, self.module)


def uncopyable(value: Any, depth: int = 5, seen: set[int] | None = None) -> Iterator[Any]:
    """Modules, generators and open files that an instance holds: `deepcopy` would fail on them."""
    seen = set() if seen is None else seen
    if id(value) in seen or depth == 0 or isinstance(value, np.ndarray | str | int | float | bytes):
        return
    seen.add(id(value))
    if isinstance(value, types.ModuleType | types.GeneratorType | io.IOBase):
        yield value
        return
    for _, inner in children(value):
        yield from uncopyable(inner, depth - 1, seen)


def is_number_array(value: Any) -> bool:
    """Whether a value is an array of floating-point numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size > 0


def walk(value: Any, path: Path = (), depth: int = 6, seen: set[int] | None = None) -> Iterator[tuple[Path, Any]]:
    """Every array, None and Python number reachable from a value, with the way to it. Nothing is met twice."""
    seen = set() if seen is None else seen
    if isinstance(value, np.ndarray):
        if id(value) not in seen:
            seen.add(id(value))
            yield path, value
        return
    if value is None or isinstance(value, float | np.floating):
        yield path, value
        return
    if depth == 0 or id(value) in seen or isinstance(value, str | bytes | int | bool | type):
        return
    seen.add(id(value))
    for step, inner in children(value):
        yield from walk(inner, (*path, step), depth - 1, seen)


def children(value: Any) -> list[tuple[tuple[str, Any], Any]]:
    """What a container or an object holds, each with the step that leads there."""
    if isinstance(value, dict):
        return [(("[]", key), inner) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [(("[]", key), inner) for key, inner in enumerate(value)]
    module = type(value).__module__
    if hasattr(value, "__dict__") and not module.startswith(("numpy", "builtins", "threading", "random")):
        return [((".", key), inner) for key, inner in vars(value).items()]
    if hasattr(value, "__slots__") and not module.startswith(("numpy", "builtins")):
        slots = [slot for slot in value.__slots__ if hasattr(value, slot)]
        return [((".", slot), getattr(value, slot)) for slot in slots]
    return []


def fetch(root: Any, path: Path) -> Any:
    """What lies at the end of a path."""
    for kind, key in path:
        root = getattr(root, key) if kind == "." else root[key]
    return root


def store(root: Any, path: Path, value: Any) -> None:
    """Put a value at the end of a path."""
    owner = fetch(root, path[:-1])
    kind, key = path[-1]
    if kind == ".":
        setattr(owner, key, value)
    elif isinstance(owner, tuple):
        store(root, path[:-1], (*owner[:key], value, *owner[key + 1 :]))
    else:
        owner[key] = value


def describe(path: Path) -> str:
    """A path as its author would write it, without `self`: "layers[0].W", "params['W']" as "W"."""
    text = ""
    for kind, key in path[1:]:
        if kind == ".":
            text += f".{key}" if text else str(key)
        elif isinstance(key, str):
            text = f"{text.rpartition('.')[0]}.{key}".removeprefix(".") if text else key
        else:
            text += f"[{key}]"
    return text or str(path[-1][1])


def unchanged(before: Any, after: Any) -> bool:
    """Whether all arrays in a value are as they were."""
    if isinstance(before, np.ndarray):
        return isinstance(after, np.ndarray) and np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    if isinstance(before, tuple | list):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(unchanged(before[key], after[key]) for key in before)
    return True
