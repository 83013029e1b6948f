"""Section `predict`: images a second that a network answers."""

from typing import Any

from benchmarks.contestants import Prediction
from benchmarks.section import Options, Section, preset_task, table
from benchmarks.timing import measure as measure_times

PRESETS, ROLLOUTS, IMAGES = ("mnist-6", "cluttered100-6"), (1, 10), 2000


def measure(options: Options) -> dict[str, Any]:
    """The times of `Classifier.probabilities`."""
    rows = []
    for preset in PRESETS[:1] if options.quick else PRESETS:
        options.say(preset)
        task = preset_task(preset, options.backend, batch_size=IMAGES // 10 if options.quick else IMAGES)
        contestants = {str(rollouts): (Prediction, task, rollouts) for rollouts in ROLLOUTS}
        times, _ = measure_times(contestants, options.plan)
        images = task.config.batch_size
        rows += [
            {"preset": preset, "rollouts": int(name), "images": images, "ms": ms._asdict()}
            for name, ms in times.items()
        ]
    return {"rows": rows}


def text(result: dict[str, Any]) -> str:
    """A table."""
    return table(
        ("preset", "rollouts an image", "images/s"),
        (
            (row["preset"], str(row["rollouts"]), f"{1000 * row['images'] / row['ms']['median']:,.0f}")
            for row in result["rows"]
        ),
    )


PREDICT = Section("Answers a second", text, measure=measure)
