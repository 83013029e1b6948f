"""Rows of a report, as a table for people and as JSON for programs."""

import json
import platform
from collections.abc import Iterable
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from ramnp.version import VERSION

OK, WRONG, SKIPPED, ERROR, REMARK = "ok", "WRONG", "skipped", "ERROR", "remark"
SCHEMA = 1


class Row(NamedTuple):
    """What was found about one array (or one property) of one part, over all shapes tried.

    Attributes:
        part: the part, by its author's name for it.
        name: "dW", "dx", ...; or "accumulation", "inputs kept", ...
        shape: of the array, the first one tried.
        checked, kinks: elements that count; elements at which the output bends, where any slope between is right.
        error: largest relative error, None where there is no number.
        where: index of it, in the array of the shape that gave it.
        verdict: OK, WRONG (the check failed), SKIPPED (it could not be checked), ERROR (the code did not do its job),
            REMARK (worth saying, and neither right nor wrong).
        message: the diagnosis, or what went wrong; empty where all is well.
        pair: one wrong number beside the right one, in words.
        equation: what `--explain` adds.
    """

    part: str
    name: str
    shape: tuple[int, ...] = ()
    checked: int = 0
    kinks: int = 0
    error: float | None = None
    where: tuple[int, ...] | None = None
    verdict: str = OK
    message: str = ""
    pair: str = ""
    equation: str = ""


# The worst first.
ORDER = (ERROR, WRONG, SKIPPED, OK, REMARK)
RIGHT, BAD, UNDECIDED = 0, 1, 5  # exit codes


def merge(rows: Iterable[Row]) -> list[Row]:
    """One row for each part and name: counts added, the worst error kept, the first of the worst verdicts."""
    merged: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row.part, row.name)
        if key not in merged or row.verdict == REMARK:
            merged[(row.part, row.name if row.verdict != REMARK else f"{row.name} {row.message}")] = row
            continue
        before = merged[key]
        larger = row if (row.error or 0) > (before.error or 0) else before
        worse = min(before, row, key=lambda each: ORDER.index(each.verdict))
        merged[key] = before._replace(
            checked=before.checked + row.checked,
            kinks=before.kinks + row.kinks,
            error=larger.error,
            where=larger.where,
            verdict=worse.verdict,
            message=worse.message,
            pair=worse.pair,
        )
    return list(merged.values())


def outcome(rows: Iterable[Row]) -> int:
    """RIGHT if everything was checked and is right; BAD if something is wrong; UNDECIDED otherwise."""
    verdicts = {row.verdict for row in rows}
    if verdicts & {WRONG, ERROR}:
        return BAD
    return RIGHT if OK in verdicts and SKIPPED not in verdicts else UNDECIDED


def passed(rows: Iterable[Row]) -> bool:
    """Whether everything was checked and is right."""
    return outcome(rows) == RIGHT


def table(rows: list[Row], explain: bool = False) -> str:
    """The rows as lines of text, each message under its row, or under the last of the rows it explains."""
    heads = ("part", "what", "shape", "checked", "kinks", "error", "where", "verdict")
    cells = [
        (
            row.part,
            row.name,
            "x".join(map(str, row.shape)),
            str(row.checked or ""),
            str(row.kinks or ""),
            "" if row.error is None else f"{row.error:.1e}",
            "" if row.where is None or row.verdict == OK else ",".join(map(str, row.where)),
            row.verdict,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [heads, *cells]) for column in range(len(heads))]
    right = {3, 4, 5}
    lines = []
    for line, row, after in zip([heads, *cells], [None, *rows], [*rows, None], strict=True):
        texts = (
            text.rjust(w) if i in right else text.ljust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join(texts).rstrip())
        explained = after is not None and row is not None and (after.part, after.message) == (row.part, row.message)
        if row is not None and row.message and not explained:
            lines.append(f"    {'-> ' if row.verdict in (WRONG, ERROR) else ''}{row.message}")
            lines += [f"       {more}" for more in (row.pair, row.equation if explain else "") if more]
    return "\n".join(lines)


def headline(rows: list[Row]) -> str:
    """The first of what is wrong, in one line, with all arrays that it is said of and one pair of numbers."""
    row = next((row for row in rows if row.verdict in (WRONG, ERROR)), None)
    if row is None:
        row = next((row for row in rows if row.verdict == SKIPPED), rows[0])
    names = [each.name for each in rows if (each.part, each.message) == (row.part, row.message)]
    return f"{row.part}: {', '.join(names)}: {row.message}" + (f". {row.pair}" if row.pair else "")


def summary(rows: list[Row]) -> str:
    """One line on all rows: the outcome first."""
    bad = sum(row.verdict in (WRONG, ERROR) for row in rows)
    unchecked = sum(row.verdict == SKIPPED for row in rows)
    kinks, checked = sum(row.kinks for row in rows), sum(row.checked for row in rows)
    counts = f"{sum(row.verdict != REMARK for row in rows)} checks, {checked} elements"
    if kinks:
        counts += f", {kinks} at a kink"
    if bad:
        return f"{bad} wrong ({counts})"
    if outcome(rows) == RIGHT:
        return f"all right ({counts})"
    if not any(row.verdict == OK for row in rows):
        return f"undecided: nothing was checked ({counts})"
    return f"undecided: nothing wrong was found, and {unchecked} could not be checked ({counts})"


def to_json(rows: list[Row], required: list[str] | None = None, error: str = "") -> dict[str, Any]:
    """The schema that docs/gradcheck.md describes; `tests` is what autograders read.

    Args:
        required: names of parts; each is then one test, whether it is in the file or not, so that the maximum is fixed.
        error: why nothing could be checked.
    """
    if required is not None:
        tests = [required_test(name, rows) for name in required]
    else:
        tests = [test_of(row) for row in rows if row.verdict not in (SKIPPED, REMARK)]
    return {
        "schema": SCHEMA,
        "passed": passed(rows) and all(test["score"] == test["max_score"] for test in tests),
        "outcome": {RIGHT: "right", BAD: "wrong", UNDECIDED: "undecided"}[outcome(rows)],
        "error": error,
        "score": sum(test["score"] for test in tests),
        "max_score": sum(test["max_score"] for test in tests),
        "versions": {"ramnp": VERSION, "numpy": np.__version__, "python": platform.python_version()},
        "rows": [row._asdict() for row in rows],
        "tests": tests,
    }


def test_of(row: Row) -> dict[str, Any]:
    """One row as an autograder's test."""
    numbers = f"relative error {row.error:.1e}" if row.error is not None else row.verdict
    text = row.message + (f". {row.pair}" if row.pair else "")
    return {
        "name": f"{row.part}: {row.name}",
        "score": float(row.verdict == OK),
        "max_score": 1.0,
        "output": text or numbers,
    }


def required_test(name: str, rows: list[Row]) -> dict[str, Any]:
    """A part that must be there and right, as one test."""
    mine = [row for row in rows if row.part == name or row.part.split(".")[0] == name]
    if not mine:
        return {"name": name, "score": 0.0, "max_score": 1.0, "output": f"there is no {name} in the file"}
    right = passed(mine)
    return {"name": name, "score": float(right), "max_score": 1.0, "output": "right" if right else headline(mine)}


def junit(rows: list[Row], required: list[str] | None = None, error: str = "") -> str:
    """The tests as JUnit's XML, which continuous integration reads."""
    report = to_json(finite(rows), required, error)
    suite = ElementTree.Element("testsuite", name="ramnp.gradcheck", tests=str(len(report["tests"])))
    failures = 0
    for test in report["tests"]:
        case = ElementTree.SubElement(suite, "testcase", classname="gradcheck", name=test["name"])
        if test["score"] < test["max_score"]:
            failures += 1
            ElementTree.SubElement(case, "failure", message=test["output"])
    suite.set("failures", str(failures))
    if error:
        suite.set("errors", "1")
        ElementTree.SubElement(suite, "system-err").text = error
    return ElementTree.tostring(suite, encoding="unicode") + "\n"


def from_json(rows: list[dict[str, Any]]) -> list[Row]:
    """Rows from their JSON."""
    return [Row(**row | {"shape": tuple(row["shape"]), "where": row["where"] and tuple(row["where"])}) for row in rows]


def finite(rows: list[Row]) -> list[Row]:
    """Rows whose infinite errors are written as 1e308, since JSON has no infinity."""
    return [row._replace(error=1e308) if row.error is not None and not row.error < 1e308 else row for row in rows]


def dumps(rows: list[Row], required: list[str] | None = None, error: str = "") -> str:
    """The JSON text."""
    return json.dumps(to_json(finite(rows), required, error), indent=1, allow_nan=False) + "\n"
