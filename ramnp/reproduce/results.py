"""Result files: `results/<row>-seed<S>.json`, one for each finished run of a preset, and what they come to.

A file has a field a line: those of the run's `result.json` (`run.py`), and

| field            | content                                                                             |
|------------------|-------------------------------------------------------------------------------------|
| config           | the resolved configuration                                                          |
| training_images  | images seen in training, repeats counted                                            |
| device           | the GPU, or null                                                                    |
| data             | every file of the task, and what its checksum says                                  |
| history          | every epoch's validation errors and training error, in percent                      |
| redrawn          | test errors on other drawings of composed test images, a list; null or missing: none |
| analysis         | what the policy does, see analysis.py; null of a network that sees the whole image  |
"""

import json
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from ramnp.config import Config
from ramnp.errors import CheckpointError, UsageError, first_line
from ramnp.files import read_json, write_atomically
from ramnp.presets import PRESETS, ROWS, Row, number

MADE_ANYWHERE = ("seed", "workers")  # fields in which runs of the same preset may differ
NEEDED = (
    *("preset", "seed", "parameters", "seconds", "epochs", "evaluated_epoch", "validation_error", "test_error"),
    *("limit_batches", "backend", "machine", "git_revision"),
    *("config", "training_images", "device", "data", "history", "analysis"),
)
Results = dict[str, list[dict[str, Any]]]  # those of each row, by seed
FIGURES = ("deterministic", "stochastic", "averaged")  # of a test error


def over_drawings(drawings: list[dict[str, float]], figure: str) -> str:
    """A figure over other drawings of the test images: mean (smallest to largest)."""
    errors = [drawing[figure] for drawing in drawings]
    return f"{number(mean(errors))} ({number(min(errors))} to {number(max(errors))})"


def result_path(folder: Path, name: str, seed: int) -> Path:
    """The result file of a row and a seed."""
    return folder / f"{name}-seed{seed}.json"


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write a result, a field a line.

    Raises:
        OutputError: that failed.
    """
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in result.items())
    write_atomically(path, lambda file: file.write(f"{{\n{lines}\n}}\n".encode()))


def read_result(path: Path) -> dict[str, Any]:
    """The content of a result file.

    Raises:
        CheckpointError: it is damaged, or no result.
    """
    try:
        result = read_json(path)
    except UsageError as error:
        raise CheckpointError(f"{path} is damaged ({first_line(error)}): restore it, or move it away") from error
    lacks = what_lacks(result)
    if lacks:
        raise CheckpointError(
            f"{path} is no result of this version ({lacks}): restore it, or move it away and run again"
        )
    return result


def what_lacks(result: dict[str, Any]) -> str | None:
    """What keeps the content of a file from being a result, in a few words; None where nothing does."""
    missing = [name for name in NEEDED if name not in result]
    if missing:
        return f"it lacks {missing[0]}"
    if not isinstance(result["preset"], str):
        return "its preset is no name"
    errors = result["test_error"]
    if not isinstance(errors, dict) or not all(isinstance(errors.get(figure), int | float) for figure in FIGURES):
        return "its test_error is not three figures"
    return None


def differences(values: dict[str, Any], name: str) -> list[str]:
    """What the configuration `values` has that the preset `name` now has not, apart from seed and workers."""
    if name not in PRESETS:
        return ["there is no such row"]
    try:
        theirs = Config.from_json(values).to_json()
    except (UsageError, TypeError) as error:
        return [first_line(error)]
    return [
        f"its {field} is {theirs[field]!r}, in the preset {value!r}"
        for field, value in PRESETS[name].to_json().items()
        if field not in MADE_ANYWHERE and theirs[field] != value
    ]


def check_same(
    place: Path, values: dict[str, Any], name: str, seed: int, limits: tuple[int | None, int | None]
) -> None:
    """Check that a run, or its result, is one of the preset as it now is, with this seed.

    Args:
        place: the file or folder, for the message.
        values: its configuration.
        limits: its --limit-batches, and the one wanted.

    Raises:
        CheckpointError: it is another one; the message says in what, and what to do.
    """
    differing = differences(values, name)
    if not differing and values.get("seed") != seed:
        differing.append(f"its seed is {values.get('seed')}, wanted is {seed}")
    if limits[0] != limits[1]:
        differing.append(f"its --limit-batches is {limits[0]}, wanted is {limits[1]}")
    if differing:
        raise CheckpointError(f"{place} does not go with {name}: {'; '.join(differing)}: move it away to train anew")


def unpublished(checks: dict[str, str]) -> list[str]:
    """Those of a result's files of the task that are not known to be the published ones, and what is known of them."""
    return [f"`{name}`: {check}" for name, check in checks.items() if "as published" not in check]


def describe_data(checks: dict[str, str]) -> str:
    """Whether a result's files of the task are the published ones, in a sentence."""
    others = unpublished(checks)
    if not others:
        return "The data files are as published."
    return f"Not all data files are known to be the published ones: {'; '.join(others)}."


def revisions(result: dict[str, Any]) -> list[str]:
    """The revisions of the code that trained a run, in their order; the last one evaluated it."""
    return [each or "unknown" for each in (*result.get("earlier_revisions", ()), result["git_revision"])]


def machines(result: dict[str, Any]) -> list[str]:
    """The machines that trained a run, in their order; the last one evaluated it."""
    return [each or "unknown" for each in (*result.get("earlier_machines", ()), result["machine"])]


class Verdict(NamedTuple):
    """Whether the averaged figure reaches the floor and the goal of its row; None where the row has none."""

    floor: bool | None
    goal: bool | None


def judge(row: Row, error: float) -> Verdict:
    """The verdict on an averaged test error in percent. A control's floor is to lie in its range."""
    if row.control:
        low, high = row.control
        return Verdict(low <= error <= high, None)
    return Verdict(
        None if row.floor is None else error <= row.floor,
        None if row.goal is None else error < row.goal,
    )


def describe_verdict(row: Row, error: float) -> str:
    """The same in plain words."""
    verdict = judge(row, error)
    if row.control:
        low, high = row.control
        where = "within" if verdict.floor else "OUTSIDE"
        return f"{where} the range of this control, {number(low)} to {number(high)} %"
    if verdict.floor is None:
        return "has neither floor nor goal to reach"
    if not verdict.floor:
        return f"MISSES its floor of {number(row.floor)} %"
    goal = "reaches its goal, below" if verdict.goal else "reaches its floor, but not its goal, below"
    return f"{goal} {number(row.goal)} %"


def read_results(folder: Path) -> tuple[Results, list[str]]:
    """The results of every row that has some, and a line on each file that does not count.

    Raises:
        CheckpointError: a file is damaged.
    """
    counted: Results = {}
    left_out = []
    for path in sorted(folder.glob("*.json")):
        result = read_result(path)
        name = result["preset"]
        try:
            if path != result_path(folder, name, result["seed"]):
                raise CheckpointError(f"{path} holds {name}, seed {result['seed']}: its name is another")
            check_same(path, result["config"], name, result["seed"], (result["limit_batches"], None))
        except CheckpointError as error:
            left_out.append(str(error))
            continue
        counted.setdefault(name, []).append(result)
    for of_row in counted.values():
        of_row.sort(key=lambda result: result["seed"])
    return counted, left_out


def tasks() -> list[tuple[str, list[str]]]:
    """The tasks and their rows, in the order of the tables."""
    return [(task, list(names)) for task, names in groupby(ROWS, key=lambda name: ROWS[name].task)]


def learned(names: Iterable[str]) -> list[str]:
    """The rows among `names` with a floor to reach: recurrent attention with a learned policy, of growing T."""
    return [name for name in names if ROWS[name].floor is not None]


def most_glimpses() -> list[str]:
    """Of every task with such rows the one with the most glimpses."""
    return [learned(names)[-1] for _, names in tasks() if learned(names)]


def middle(results: list[dict[str, Any]], figure: str) -> float:
    """The median of a figure over seeds; half of an even number's two is no longer a decimal, hence rounded."""
    return round(median(result["test_error"][figure] for result in results), 6)
