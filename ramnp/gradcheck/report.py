"""Rows of a report, as a table for people and as JSON for programs."""

import json
import platform
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ramnp.version import VERSION

OK, WRONG, SKIPPED, ERROR = "ok", "WRONG", "skipped", "ERROR"
SCHEMA = 1


class Row(NamedTuple):
    """What was found about one array (or one property) of one part, over all shapes tried.

    Attributes:
        part: the part, with the student's own name for it where there is one.
        name: "dW", "dx", ...; or "forward", "accumulation", "inputs kept", ...
        shape: of the array, the first one tried.
        checked, kinks: coordinates that count, and that were skipped at a kink.
        error: largest relative error, None where there is no number.
        where: index of it, in the array of the shape that gave it.
        verdict: OK, WRONG (the check failed), SKIPPED (nothing could be checked), ERROR (the code did not do its job).
        message: the diagnosis, or what went wrong; empty where all is well.
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


def merge(rows: Iterable[Row]) -> list[Row]:
    """One row for each part and name: counts added, the worst error kept, the first bad verdict and message."""
    merged: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row.part, row.name)
        if key not in merged:
            merged[key] = row
            continue
        before = merged[key]
        worse = row if (row.error or 0) > (before.error or 0) else before
        bad = next((each for each in (before, row) if each.verdict not in (OK, SKIPPED)), before)
        merged[key] = before._replace(
            checked=before.checked + row.checked,
            kinks=before.kinks + row.kinks,
            error=worse.error,
            where=worse.where,
            verdict=bad.verdict if bad.verdict != SKIPPED else row.verdict,
            message=bad.message if bad.verdict != SKIPPED else row.message,
        )
    return list(merged.values())


def passed(rows: Iterable[Row]) -> bool:
    """Whether no row is wrong, and there is at least one that is right."""
    verdicts = [row.verdict for row in rows]
    return OK in verdicts and not {WRONG, ERROR} & set(verdicts)


def table(rows: list[Row]) -> str:
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
            lines.append(f"    -> {row.message}")
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    """One line on all rows."""
    bad = sum(row.verdict in (WRONG, ERROR) for row in rows)
    kinks, checked = sum(row.kinks for row in rows), sum(row.checked for row in rows)
    text = f"{len(rows)} checks, {checked} coordinates, {kinks} skipped at a kink: "
    return text + ("all right" if passed(rows) else f"{bad} wrong" if bad else "nothing to check")


def to_json(rows: list[Row]) -> dict[str, Any]:
    """The schema that docs/gradcheck.md describes; `tests` is what autograders read."""
    return {
        "schema": SCHEMA,
        "passed": passed(rows),
        "versions": {"ramnp": VERSION, "numpy": np.__version__, "python": platform.python_version()},
        "rows": [row._asdict() for row in rows],
        "tests": [
            {
                "name": f"{row.part}: {row.name}",
                "score": float(row.verdict == OK),
                "max_score": 1.0,
                "output": row.message or (f"relative error {row.error:.1e}" if row.error is not None else row.verdict),
            }
            for row in rows
            if row.verdict != SKIPPED
        ],
    }


def from_json(rows: list[dict[str, Any]]) -> list[Row]:
    """Rows from their JSON."""
    return [Row(**row | {"shape": tuple(row["shape"]), "where": row["where"] and tuple(row["where"])}) for row in rows]


def dumps(rows: list[Row]) -> str:
    """The JSON text; infinity is written as 1e308, since JSON has none."""
    finite = [row._replace(error=1e308) if row.error == float("inf") else row for row in rows]
    return json.dumps(to_json(finite), indent=1, allow_nan=False) + "\n"
