"""The files that are read back, and what each must hold.

Each kind of file is a type: a `TypedDict` whose annotations give the type and the range of every field, in the words of
`config.py`. `check` holds a value to such a type, so that a file that was edited, damaged or made by somebody else ends
in one line about the field that is wrong, wherever it is read.
"""

import json
import math
import types
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from ramnp.config import AtLeast, Within

DEEPEST = 50  # objects and lists in each other; ours have at most 6
COUNT = AtLeast(0, below=2**53)  # every whole number up to there has a double of its own
Count = Annotated[int, COUNT]
Percent = Annotated[float, Within(0, 100)]
Seconds = Annotated[float, AtLeast(0)]
Side = Annotated[int, AtLeast(1, below=1 << 20)]  # of an image, in pixels


class Errors(TypedDict):
    """The three errors of a network, in percent, see `training/measure.py`."""

    averaged: Percent
    deterministic: NotRequired[Percent]
    stochastic: NotRequired[Percent]


class Best(TypedDict):
    """The best epoch of a run so far."""

    epoch: Count
    validation_error: Errors
    validation_loss: NotRequired[float]


class Meta(TypedDict):
    """`meta` of a checkpoint, see `training/checkpoint.py`."""

    format: str
    arrays: list[str]
    config: dict[str, Any]  # `Config.from_json` checks it
    image_shape: tuple[Side, Side, Side]
    classes: Side
    epoch: Count
    best: Best | None
    seconds: Seconds
    class_names: NotRequired[list[str] | None]
    data_sha256: NotRequired[str | None]


class RunConfigFile(TypedDict):
    """config.json of a run folder."""

    config: dict[str, Any]  # `Config.from_json` checks it
    limit_batches: Annotated[int, AtLeast(1)] | None
    backend: NotRequired[str]
    data_sha256: NotRequired[str]
    git_revision: NotRequired[str | None]
    machine: NotRequired[str | None]
    earlier_revisions: NotRequired[list[str | None]]
    earlier_machines: NotRequired[list[str | None]]
    init: NotRequired[str]
    changed_when_resumed: NotRequired[list[str]]


class Metrics(TypedDict):
    """A line of metrics.jsonl."""

    epoch: Count
    lr: float
    loss: dict[str, float]
    reward: Annotated[float, Within(0, 1)]
    gradient_norm: dict[str, float]
    validation_error: Errors | None
    validation_loss: NotRequired[float | None]
    images_per_second: Seconds
    seconds: Seconds


class Epoch(TypedDict):
    """An epoch in the history of a result."""

    epoch: Count
    training_error: Percent
    validation_error: Errors | None


Pair = tuple[float, float]  # x and y
Extent = tuple[float, float, float, float]  # of a map: left, right, bottom, top
Maps = list[list[list[Count]]]  # a map per glimpse


class ByGlimpse(TypedDict):
    """Errors in percent after each glimpse."""

    one: list[Percent]
    averaged: list[Percent]


class Paths(TypedDict):
    """How much the locations spread after the first glimpse."""

    pixels: Pair
    from_centre: list[Pair]
    between_images: list[Pair]
    between_starts: list[Pair]


class Looks(TypedDict):
    """How often each cell of the image was looked at."""

    extent: Extent
    counts: Maps


class Choices(TypedDict):
    """A figure for the locations of the policy, by glimpse, and for others."""

    policy: list[float]
    random: float
    centre: float


class Information(TypedDict):
    """What the locations tell about the place of the digit, in bits."""

    bits: list[float]
    shuffled: list[float]


class Digit(TypedDict):
    """Where the glimpses are, seen from the digit."""

    distance: Choices
    inside: Choices
    information: Information
    extent: Extent
    side: Pair
    counts: Maps


class Analysis(TypedDict):
    """What the policy does, see `analysis/policy.py`."""

    errors: dict[str, ByGlimpse]
    paths: NotRequired[Paths]
    looks: NotRequired[Looks]
    digit: NotRequired[Digit]


class RowErrors(Errors):
    """The three errors, all of them."""

    deterministic: Percent  # type: ignore[misc]
    stochastic: Percent  # type: ignore[misc]


class Result(TypedDict):
    """results/ROW-seedS.json, see `reproduce/results.py`."""

    preset: str
    seed: Count
    parameters: Count
    seconds: Seconds
    epochs: Count
    evaluated_epoch: Count
    validation_error: Errors | None
    test_error: RowErrors
    limit_batches: Annotated[int, AtLeast(1)] | None
    backend: str
    machine: str | None
    git_revision: str | None
    config: dict[str, Any]  # `Config.from_json` checks it
    training_images: Count
    device: str | None
    data: dict[str, str]
    history: list[Epoch]
    analysis: Analysis | None
    redrawn: NotRequired[list[RowErrors] | None]
    earlier_revisions: NotRequired[list[str | None]]
    earlier_machines: NotRequired[list[str | None]]


class SchemaError(ValueError):
    """A value is not what its type says. The message says where: "its best.epoch is -5, not ..."."""


def parse(text: str | bytes, kind: Any = dict[str, Any]) -> Any:
    """Parse JSON, and check it.

    Raises:
        SchemaError: it is not JSON, is nested too deeply, or is not of that kind.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is a ValueError, too
        raise SchemaError(f"it is not JSON: {error}") from error
    if depth(value) > DEEPEST:
        raise SchemaError("it is nested too deeply")
    check(value, kind)
    return value


def depth(value: Any) -> int:
    """How many objects and lists lie in each other. Without recursion: a file decides how deep it goes."""
    deepest, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
        deepest += 1
    return deepest


def check(value: Any, kind: Any, where: str = "") -> None:
    """Check that a value, as JSON gives it, is of a type: `int`, `X | None`, `list[X]`, a TypedDict, ...

    An int passes as a float. Floats must be finite, for which JSON has no other way than to leave them out. Fields of
    a TypedDict that it does not name are left alone: a later version may have added them.

    Raises:
        SchemaError: it is not; the message names the field.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if origin is Annotated:
        check(value, arguments[0], where)
        if value not in arguments[1]:
            raise misfit(value, arguments[1], where)
    elif origin in (Union, types.UnionType):
        check_union(value, arguments, where)
    elif origin is Literal:
        if value not in arguments:
            raise misfit(value, f"one of {', '.join(map(repr, arguments))}", where)
    elif is_typeddict(kind):
        check_object(value, kind, where)
    elif origin is dict:
        expect(value, dict, where)
        for name, inner in value.items():
            check(inner, arguments[1], f"{where}.{name}" if where else name)
    elif origin is list:
        expect(value, list, where)
        for number, inner in enumerate(value):
            check(inner, arguments[0], f"{where}[{number}]")
    elif origin is tuple:
        expect(value, list, where)
        if len(value) != len(arguments):
            raise misfit(value, f"a list of {len(arguments)}", where)
        for number, (inner, of) in enumerate(zip(value, arguments, strict=True)):
            check(inner, of, f"{where}[{number}]")
    else:
        expect(value, kind, where)


def check_union(value: Any, kinds: tuple[Any, ...], where: str) -> None:
    """Check a value against `X | None`: of two types that JSON tells apart, the one that it can be."""
    if value is None and type(None) in kinds:
        return
    (kind,) = (each for each in kinds if each is not type(None))
    check(value, kind, where)


def check_object(value: Any, kind: Any, where: str) -> None:
    """Check an object against a TypedDict."""
    expect(value, dict, where)
    for name, field in get_type_hints(kind, include_extras=True).items():
        optional = get_origin(field) is NotRequired
        if name in value:
            check(value[name], get_args(field)[0] if optional else field, f"{where}.{name}" if where else name)
        elif not optional:
            raise SchemaError(f"it lacks {where}.{name}" if where else f"it lacks {name}")


def expect(value: Any, kind: type, where: str) -> None:
    """Check a value against a plain type."""
    words = {
        dict: "an object",
        list: "a list",
        str: "text",
        int: "a whole number",
        float: "a finite number",
        bool: "true or false",
    }
    if kind is float and type(value) is int:
        fits = abs(value) < 2**1000
    else:
        fits = type(value) is kind and (not isinstance(value, float) or math.isfinite(value))
    if not fits:
        raise misfit(value, words.get(kind, kind.__name__), where)


def misfit(value: Any, expected: object, where: str) -> SchemaError:
    """The error about a value, which is shown in at most 40 letters."""
    shown = "a number of many digits" if type(value) is int and abs(value) >= 2**1000 else json.dumps(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
    return SchemaError(f"its {where} is {shown}, not {expected}" if where else f"it is {shown}, not {expected}")
