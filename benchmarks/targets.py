"""What was to be reached on a CPU with two cores, and whether it is: a table from all that was measured."""

import math
from collections.abc import Iterator
from typing import Any

from benchmarks.optimizers import share
from benchmarks.section import table
from benchmarks.step import OURS, throughput

PRESET = "mnist-6"
RATIOS = {"PyTorch": 1.5, "compiled": 1.2, "patch loop": 5.0}
MINUTES = {1.29: 6.0, 1.0: 15.0}


def step(found: dict[str, Any]) -> Iterator[tuple[str, float, str, float]]:
    """How many times as fast as PyTorch, each at the batch that suits it best."""
    fastest = best(found)
    for name, least in RATIOS.items():
        if name in fastest:
            ratio = fastest[OURS] / fastest[name]
            yield f"{PRESET}: times as fast as PyTorch, {kind(name)}", ratio, "at least", least


def best(found: dict[str, Any]) -> dict[str, float]:
    """The images a second of each contestant, at the batch that suits it best."""
    rows = [row for row in found["rows"] if row["preset"] == PRESET]
    names = (name for name in rows[0]["ms"] if all(name in row["ms"] for row in rows))
    return {name: max(throughput(row, name) for row in rows) for name in names}


def kind(name: str) -> str:
    """Which PyTorch."""
    return name.replace("PyTorch", "eager")


def floor(found: dict[str, Any]) -> Iterator[tuple[str, float, str, float]]:
    """The step by its matrix products, at the batch where a step takes least time an image."""
    row = max((row for row in found["rows"] if row["preset"] == PRESET), key=lambda row: throughput(row, OURS))
    ratio = row["ms"][OURS]["median"] / row["ms"]["floor"]["median"]
    yield f"{PRESET}, batches of {row['batch']}: step / its matrix products", ratio, "at most", 1.4


def shares(found: dict[str, Any]) -> Iterator[tuple[str, float, str, float]]:
    """The sensor's part of a step, and the data's beside it."""
    for row in found["rows"]:
        whole = sum(row["ms"].values()) / 100
        most = {"mnist-6": 8, "cluttered100-8": 35}.get(row["preset"])
        if most:
            yield f"{row['preset']}: the sensor's part of a step, %", row["ms"]["sensor"] / whole, "at most", most
        if row["preset"] == "cluttered100-8":
            yield f"{row['preset']}: making a batch, % of a step", row["data_ms"] / whole, "at most", 15


def optimizers(found: dict[str, Any]) -> Iterator[tuple[str, float, str, float]]:
    """Muon's part of a step."""
    for row in found["rows"]:
        yield f"{row['preset']}, batches of {row['batch']}: Muon's part of a step, %", share(row), "at most", 20


def scaling(found: dict[str, Any]) -> Iterator[tuple[str, float, str, float]]:
    """What a large image costs."""
    steps = dict(zip(found["side"]["values"], found["side"]["step_ms"], strict=True))
    if {60, 2000} <= set(steps):
        ratio = steps[2000]["median"] / steps[60]["median"]
        yield "a step at 2000 x 2000 pixels / at 60 x 60", ratio, "at most", 1.1


def memory(found: dict[str, Any]) -> Iterator[tuple[str, float, str, float]]:
    """Whether memory stays flat."""
    if "resident" in found:
        early, late = found["resident"]
        yield f"memory after {found['marks'][1]:,} steps / after {found['marks'][0]:,}", late / early, "at most", 1.01


def accuracy(found: dict[str, Any]) -> Iterator[tuple[str, float, str, float]]:
    """Minutes to an error, validation included."""
    minutes = {row["target"]: row["with_validation_s"] / 60 for row in found["reached"]}
    minutes |= dict.fromkeys(found["missed"], math.inf)
    for target, most in MINUTES.items():
        if target in minutes:
            yield f"minutes to an averaged validation error of {target:g} %", minutes[target], "at most", most


BY_SECTION = {
    "step": step,
    "floor": floor,
    "shares": shares,
    "optimizers": optimizers,
    "scaling": scaling,
    "memory": memory,
    "accuracy": accuracy,
}


def text(sections: dict[str, Any]) -> str:
    """The table, of those sections that were measured."""
    lines = []
    for name, targets in BY_SECTION.items():
        for what, value, relation, bound in targets(sections[name]) if name in sections else ():
            met = value >= bound if relation == "at least" else value <= bound
            lines.append((what, f"{value:.2f}", f"{relation} {bound:g}", "met" if met else "**missed**"))
    return "\n\n".join([table(("on two cores", "measured", "target", ""), lines), *limits(sections)])


def limits(sections: dict[str, Any]) -> Iterator[str]:
    """How fast a step could be that took no longer than its matrix products."""
    if {"step", "floor"} <= sections.keys():
        fastest, products = best(sections["step"]), best(sections["floor"])["floor"]
        times = (f"{products / fastest[name]:.2f} ({kind(name)})" for name in RATIOS if name in fastest)
        yield (
            f"A step of {PRESET} that did nothing but its matrix products, with NumPy's, would be so many times as "
            f"fast as PyTorch: {', '.join(times)}."
        )
