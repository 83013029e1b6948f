"""Two processes in one place, and threads that share a model."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier

import numpy as np
from threadpoolctl import threadpool_info

from faults.kills import flags, prepare, start
from ramnp.config import Config
from ramnp.network import build
from ramnp.training import checkpoint
from ramnp.training.folder import make_numbered


@dataclass
class Races:
    """How often each race ended well."""

    right: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, said: str) -> None:
        self.right[name] = self.right.get(name, 0) + (not said)
        if said:
            self.wrong.append(f"{name}: {said}")


def race(count: int, seed: int) -> Races:
    """Run each race `count` times."""
    found = Races()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        draw = np.random.default_rng(seed)
        prepare(place)
        for number in range(count):
            found.add("two runs in one folder", two_runs(place, place / f"run{number}"))
            found.add("eight new folders of one name", new_folders(place / f"new{number}"))
            found.add("four threads, one model", threads(draw))
    return found


def two_runs(place: Path, folder: Path) -> str:
    """Two trainings with different seeds into one folder: one is refused, the other is whole."""
    both = [start(place, *flags(place, 1), "--seed", str(seed), "--out", str(folder)) for seed in (1, 2)]
    ends = [(process.communicate(timeout=300)[1], process.returncode) for process in both]
    codes = [code for _, code in ends]
    if sorted(codes) != [0, 2]:
        return f"exit codes {codes}: {ends}"
    winner = 1 + codes.index(0)
    refused = ends[codes.index(2)][0]
    if refused.count("\n") != 1 or not ("is in use by process" in refused or "not an empty folder" in refused):
        return f"it said {refused!r}"
    said = json.loads((folder / "result.json").read_text())["seed"], checkpoint.load(folder / "best.npz").config.seed
    return "" if said == (winner, winner) else f"files of seeds {said}, but {winner} ended well"


def new_folders(folder: Path) -> str:
    """Eight threads make a folder of one name at the same time."""
    together = Barrier(8)

    def make(_: int) -> Path:
        together.wait()
        return make_numbered(folder)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    return "" if len(set(made)) == 8 else f"made {made}"


def threads(draw: np.random.Generator) -> str:
    """Four threads ask one model, with one worker and with two."""
    config = Config(units=16, what_units=8, where_units=8, glimpse_units=16, glimpses=4, patch=4, scales=3)
    model = build(config, (20, 20, 1), 10)
    images = draw.integers(0, 256, (16, 60, 20, 20, 1), np.uint8)
    before = [each["num_threads"] for each in threadpool_info()]
    right = [model.probabilities(batch, batch_size=20) for batch in images]
    for workers in (1, 2):
        with ThreadPoolExecutor(4) as pool:
            asked = pool.map(lambda batch: model.probabilities(batch, batch_size=20, workers=workers), images)  # noqa: B023
            wrong = sum(not np.array_equal(one, other) for one, other in zip(right, asked, strict=True))
        if wrong:
            return f"{wrong} of 16 answers are wrong with {workers} workers"
    after = [each["num_threads"] for each in threadpool_info()]
    return "" if after == before else f"BLAS has {after} threads, not {before}"
