"""Result files, `results/<row>-seed<S>.json`: one per finished run of a preset. Read, check, write and judge them.

A file has one field per line: those of the run's `result.json` (see `ramnp/training/run.py`), and

| field            | content                                                                              |
|------------------|--------------------------------------------------------------------------------------|
| config           | the complete configuration                                                           |
| training_images  | number of images seen in training, counting repeats                                  |
| device           | the GPU, or null                                                                     |
| data             | each data file, and whether its checksum is the published one, in words              |
| history          | validation errors and training error of each epoch, in percent                       |
| redrawn          | list of test errors on other compositions of generated images; null or missing: none |
| analysis         | what the policy does (`ramnp/analysis/policy.py`); null for networks without one     |
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from ramnp import schema
from ramnp.analysis.policy import BINS, CHOOSERS
from ramnp.config import Config
from ramnp.errors import CheckpointError, UsageError, first_line
from ramnp.files import read_json, write_atomically
from ramnp.presets import PRESETS, ROWS, Row, number
from ramnp.schema import SchemaError

MAY_DIFFER = ("workers", "import_")  # fields in which runs of the same training may differ
Results = dict[str, list[dict[str, Any]]]  # the results of each row, sorted by seed
# The results of `--glimpses`: by row and epochs, and then by number of glimpses; one for each seed.
Curves = dict[tuple[str, int], dict[int, list[dict[str, Any]]]]
POINTS = "glimpses"  # the folder of these, in that of the results


def summarize_redrawn(redrawn: list[dict[str, float]], figure: str) -> str:
    """A figure over several compositions of the test images: mean (smallest to largest)."""
    errors = [each[figure] for each in redrawn]
    return f"{number(mean(errors))} ({number(min(errors))} to {number(max(errors))})"


def result_path(folder: Path, name: str, seed: int) -> Path:
    """The path of the result file of a row and a seed."""
    return folder / f"{name}-seed{seed}.json"


def row_config(name: str, seed: int) -> Config:
    """The configuration of a row with a seed."""
    return dataclasses.replace(PRESETS[name], seed=seed)


def point_name(name: str, glimpses: int) -> str:
    """What the point of a curve is called."""
    return f"{name}-T{glimpses}"


def point_config(name: str, glimpses: int, epochs: int, seed: int) -> Config:
    """The configuration of a row with another number of glimpses, and a training of `epochs`."""
    return dataclasses.replace(row_config(name, seed), glimpses=glimpses, epochs=epochs, decay_epochs=epochs)


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write a result file, one field per line.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in result.items())
    write_atomically(path, lambda file: file.write(f"{{\n{lines}\n}}\n".encode()))


def read_result(path: Path) -> dict[str, Any]:
    """Read and check a result file.

    Raises:
        CheckpointError: the file is damaged, or does not hold a result.
    """
    try:
        return read_json(path, schema.Result)
    except UsageError as error:
        raise CheckpointError(f"{first_line(error)}: restore it, or move it aside and run again") from error


def differences(values: dict[str, Any], config: Config) -> list[str]:
    """How the configuration `values` differs from `config`, apart from workers and the import; one line each."""
    try:
        theirs = Config.from_json(values).to_json()
    except (UsageError, TypeError) as error:
        return [first_line(error)]
    return [
        f"its {field} is {theirs[field]!r}, not {value!r}"
        for field, value in config.to_json().items()
        if field not in MAY_DIFFER and theirs[field] != value
    ]


def check_same(place: Path, values: dict[str, Any], config: Config, limits: tuple[int | None, int | None]) -> None:
    """Check that a run, or its result, has the configuration that is asked for now, the seed included.

    Args:
        place: the file or folder, for the message.
        values: its configuration.
        config: the configuration it should have.
        limits: its --limit-batches, and the one it should have.

    Raises:
        CheckpointError: it differs; the message says how, and what to do.
    """
    differing = differences(values, config)
    if limits[0] != limits[1]:
        differing.append(f"its --limit-batches is {limits[0]}, not {limits[1]}")
    if differing:
        raise CheckpointError(
            f"{place} does not match preset {config.preset} ({'; '.join(differing)}): move it aside to train again"
        )


def unpublished(checks: dict[str, str]) -> list[str]:
    """The data files of a result that are not known to be the published ones, each with the outcome of its check."""
    return [f"`{name}`: {check}" for name, check in checks.items() if "as published" not in check]


def describe_data(checks: dict[str, str]) -> str:
    """One sentence on whether the data files of a result are the published ones."""
    others = unpublished(checks)
    if not others:
        return "The data files are the published ones."
    return f"Some data files are not known to be the published ones. Their check says: {'; '.join(others)}."


def revisions(result: dict[str, Any]) -> list[str]:
    """The code revisions that trained a run, in order; the last one also evaluated it."""
    return [each or "unknown" for each in (*result.get("earlier_revisions", ()), result["git_revision"])]


def machines(result: dict[str, Any]) -> list[str]:
    """The machines that trained a run, in order; the last one also evaluated it."""
    return [each or "unknown" for each in (*result.get("earlier_machines", ()), result["machine"])]


class Verdict(NamedTuple):
    """Whether the averaged figure meets the floor and the goal of its row; None if the row has none."""

    floor: bool | None
    goal: bool | None


def judge(row: Row, error: float) -> Verdict:
    """Judge an averaged test error in percent. A control meets its "floor" if it lies in its range."""
    if row.control:
        low, high = row.control
        return Verdict(low <= error <= high, None)
    return Verdict(
        None if row.floor is None else error <= row.floor,
        None if row.goal is None else error < row.goal,
    )


def describe_verdict(row: Row, error: float) -> str:
    """The verdict on an averaged test error in words: the end of a sentence that starts with the error."""
    verdict = judge(row, error)
    if row.control:
        low, high = row.control
        where = "within" if verdict.floor else "OUTSIDE"
        return f"is {where} the range for this control, {number(low)} to {number(high)} %"
    if verdict.floor is None:
        return "has no target"
    if not verdict.floor:
        return f"MISSES its floor of {number(row.floor)} %"
    if not verdict.goal:
        return f"meets its floor of {number(row.floor)} %, but misses its goal of less than {number(row.goal)} %"
    return f"meets its goal of less than {number(row.goal)} %"


def check_analysis(result: dict[str, Any]) -> int:
    """Check that a result, which fits its preset, has what the report shows of its policy. Return T, or 0 without one.

    Raises:
        SchemaError: parts are missing, or differ in the number of glimpses.
    """
    analysis, row = result["analysis"], PRESETS[result["preset"]]
    if row.model != "ram":
        return 0
    needed = ("errors", "looks", "paths") if row.policy == "learned" else ("errors",)
    choosers = CHOOSERS if row.policy == "learned" else ("policy",)
    if not analysis or not analysis.keys() >= set(needed) or not analysis["errors"].keys() >= set(choosers):
        raise SchemaError(f"its analysis lacks one of {', '.join((*needed, *choosers))}")
    steps = len(analysis["errors"]["policy"]["averaged"])
    lengths = [len(figures) for kinds in analysis["errors"].values() for figures in kinds.values()]
    lengths += [len(spread) + 1 for name, spread in analysis.get("paths", {}).items() if name != "pixels"]
    maps = [analysis[part]["counts"] for part in ("looks", "digit") if part in analysis]
    if digit := analysis.get("digit"):
        kinds = (digit["distance"]["policy"], digit["inside"]["policy"], *digit["information"].values())
        lengths += map(len, kinds)
    if not steps or {*lengths, *map(len, maps)} != {steps}:
        raise SchemaError("its analysis has different numbers of glimpses")
    if any({len(line) for line in each} != {BINS} or len(each) != BINS for counts in maps for each in counts):
        raise SchemaError(f"its analysis has maps that are not {BINS} x {BINS}")
    return int(steps)


def counting(
    folder: Path, identify: Callable[[dict[str, Any]], tuple[str, Config]], left_out: list[str]
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The result files of a folder that count, and their results. A line on each other file goes to `left_out`.

    Args:
        identify: the name that a result should have, and the configuration that it should have been trained with.

    Raises:
        CheckpointError: a file is damaged.
    """
    for path in sorted(folder.glob("*.json")):
        result = read_result(path)
        preset, seed = result["preset"], result["seed"]
        try:
            if preset not in PRESETS:
                raise CheckpointError(f"{path} holds {preset}, but there is no such row: move it aside")
            name, config = identify(result)
            if path != result_path(folder, name, seed):
                raise CheckpointError(f"{path} holds {name}, seed {seed}: rename it to match")
            check_same(path, result["config"], config, (result["limit_batches"], None))
        except CheckpointError as error:
            left_out.append(str(error))
        else:
            yield path, result


def read_results(folder: Path) -> tuple[Results, list[str]]:
    """Read all result files of a folder: the results by row, and a line on each file that does not count.

    Raises:
        CheckpointError: a file is damaged.
    """
    counted: Results = {}
    left_out: list[str] = []
    glimpses: dict[str, int] = {}
    for path, result in counting(folder, identify_row, left_out):
        name = result["preset"]
        try:
            steps = check_analysis(result)
            if steps != glimpses.setdefault(name, steps):
                raise SchemaError(f"its analysis has {steps} glimpses, and that of another seed {glimpses[name]}")
        except SchemaError as error:
            raise CheckpointError(f"{path} cannot be used: {error}: restore it, or move it aside") from error
        counted.setdefault(name, []).append(result)
    for results in counted.values():
        results.sort(key=lambda result: result["seed"])
    return counted, left_out


def read_points(folder: Path) -> tuple[Curves, list[str]]:
    """Read the results of `--glimpses`: the points of each curve, and a line on each file that does not count.

    Raises:
        CheckpointError: a file is damaged.
    """
    curves: Curves = {}
    left_out: list[str] = []
    for _, result in counting(folder, identify_point, left_out):
        config = result["config"]
        points = curves.setdefault((result["preset"], config["epochs"]), {})
        points.setdefault(config["glimpses"], []).append(result)
    return curves, left_out


def identify_row(result: dict[str, Any]) -> tuple[str, Config]:
    """The name and the configuration that the result of a row should have."""
    name = result["preset"]
    return name, row_config(name, result["seed"])


def identify_point(result: dict[str, Any]) -> tuple[str, Config]:
    """The name and the configuration that a point should have, from its glimpses and epochs.

    Raises:
        CheckpointError: it does not say them.
    """
    name, config = result["preset"], result["config"]
    try:
        glimpses, epochs = config["glimpses"], config["epochs"]
        return point_name(name, glimpses), point_config(name, glimpses, epochs, result["seed"])
    except (KeyError, UsageError) as error:
        raise CheckpointError(f"a result of {name} has no usable glimpses and epochs: move it aside") from error


def tasks() -> list[tuple[str, list[str]]]:
    """The tasks and their rows, in the order of the tables."""
    in_order = dict.fromkeys(row.task for row in ROWS.values())
    return [(task, [name for name, row in ROWS.items() if row.task == task]) for task in in_order]


def learned(names: Iterable[str]) -> list[str]:
    """The rows among `names` that have a floor: recurrent attention with a learned policy, in order of growing T."""
    return [name for name in names if ROWS[name].floor is not None]


def most_glimpses() -> list[str]:
    """For each task with `learned` rows, the one with the most glimpses."""
    return [learned(names)[-1] for _, names in tasks() if learned(names)]


def median_over_seeds(results: list[dict[str, Any]], figure: str) -> float:
    """The median of a figure over seeds; rounded, because the mean of two figures may have a binary rounding error."""
    return round(median(result["test_error"][figure] for result in results), 6)
