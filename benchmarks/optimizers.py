"""Section `optimizers`: what Muon's products of matrices add to a training step."""

from typing import Any

from benchmarks.contestants import LR, Ramnp, Task
from benchmarks.section import Options, Section, preset_task, table
from benchmarks.step import spread
from benchmarks.timing import measure as measure_times

PRESETS = ("mnist-6-short", "cluttered60-8")  # those that choose Muon


class Update(Ramnp):
    """The optimizer's part of a step, alone. The gradients are those of the first step."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        super().step()

    def step(self) -> None:
        self.trainer.optimizer.step(LR)


def measure(options: Options) -> dict[str, Any]:
    """The times of a step with Adam, of one with Muon, and of Muon's update alone, at the batch of each preset."""
    rows = []
    for preset in PRESETS[:1] if options.quick else PRESETS:
        options.say(preset)
        adam, muon = (preset_task(preset, options.backend, optimizer=name) for name in ("adam", "muon"))
        contestants = {"adam": (Ramnp, adam), "muon": (Ramnp, muon), "update": (Update, muon)}
        times, _ = measure_times(contestants, options.plan)
        row = {"preset": preset, "batch": muon.config.batch_size, "workers": muon.config.workers}
        rows.append(row | {"ms": {name: each._asdict() for name, each in times.items()}})
    return {"rows": rows}


def share(row: dict[str, Any]) -> float:
    """Percent of a step with Muon that its update takes."""
    return 100 * row["ms"]["update"]["median"] / row["ms"]["muon"]["median"]


def text(result: dict[str, Any]) -> str:
    """A table."""
    rows = result["rows"]
    return "\n\n".join(
        [
            f"Milliseconds, median (quartiles), with {rows[0]['workers']} workers at the batch of each preset. The "
            "workers share a batch. One of them makes the update, and the others wait.",
            table(
                ("preset, batch", "step with Adam", "step with Muon", "Muon's update", "% of the step"),
                (
                    (
                        f"{row['preset']}, {row['batch']}",
                        *(spread(row["ms"][name]) for name in ("adam", "muon", "update")),
                        f"{share(row):.0f}",
                    )
                    for row in rows
                ),
            ),
        ]
    )


OPTIMIZERS = Section("What the optimizer costs", text, None, measure)
