"""Make the weights and the card of a row: `python -m ramnp.reproduce --ship ROW`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ramnp.backend import Backend, limit_threads
from ramnp.config import Config
from ramnp.errors import CheckpointError, RamnpError
from ramnp.files import write_atomically
from ramnp.presets import ROWS
from ramnp.pretrained import FOLDER
from ramnp.reproduce.results import (
    FIGURES,
    check_same,
    describe_data,
    describe_verdict,
    machines,
    over_drawings,
    read_result,
    revisions,
    unpublished,
)
from ramnp.training import checkpoint
from ramnp.training.checkpoint import Checkpoint
from ramnp.training.measure import evaluate, standard_error
from ramnp.training.trained import open_trained

TOLERANCE = 0.05  # points by which rounding may move a figure
LIMIT = 8_000_000  # bytes of all weights in the package


def ship(name: str, result_file: Path, run: Path, backend: Backend, folder: Path = FOLDER) -> list[Path]:
    """Write the best weights of a finished run, and their card; in float16 if no figure moves by more than `TOLERANCE`.

    Args:
        name: the row.
        result_file, run: its result and its run folder.
        folder: where weights and card go.

    Raises:
        CheckpointError: the run is not finished, or its weights are not those of the result.
        RamnpError: even unrounded, its figures are not the result's, or the weights would be too many; then nothing is
            written.
    """
    if not result_file.exists():
        raise CheckpointError(f"there is no {result_file}: `python -m ramnp.reproduce {name}` makes it")
    result = read_result(result_file)
    check_same(result_file, result["config"], name, result["seed"], (result["limit_batches"], None))
    saved, _, source = open_trained(run / "best.npz", "test", backend)
    config = saved.config
    if config != Config.from_json(result["config"]) or saved.epoch != result["evaluated_epoch"]:
        raise CheckpointError(f"{saved.path} is not what {result_file} was measured on")
    for precision in ("float16", config.dtype):
        rounded = dataclasses.replace(
            saved, parameters={name: value.astype(precision) for name, value in saved.parameters.items()}
        )
        with limit_threads(1):  # as in evaluate
            errors = evaluate(rounded.model(backend), source)
        apart = {figure: abs(error - result["test_error"][figure]) for figure, error in errors.items()}
        if all(points <= TOLERANCE for points in apart.values()):
            break
    else:
        figure = next(figure for figure, points in apart.items() if not points <= TOLERANCE)
        raise RamnpError(
            f"{name} has {errors[figure]:.2f} % {figure} test error, and {result['test_error'][figure]:.2f} % in "
            f"{result_file}: more than {TOLERANCE} points apart, so it is not shipped"
        )
    others = sum(path.stat().st_size for path in folder.glob("*.npz") if path.stem != name)
    size = others + sum(value.nbytes for value in rounded.parameters.values())
    if size > LIMIT:
        raise RamnpError(f"with {name} the package would hold {size:,} bytes of weights, more than {LIMIT:,}")
    weights, text = folder / f"{name}.npz", card(result, rounded, precision, errors, len(source))
    checkpoint.save(weights, rounded)
    write_atomically(weights.with_suffix(".md"), lambda file: file.write(text.encode()))
    return [weights, weights.with_suffix(".md")]


def card(result: dict[str, Any], saved: Checkpoint, precision: str, rounded: dict[str, float], images: int) -> str:
    """What the weights are, in Markdown; `rounded` are their figures in that precision, on so many test images."""
    config, row = saved.config, ROWS[result["preset"]]
    lines = ((f"{config.dtype}, as trained", result["test_error"]), (f"{precision}, as here", rounded))
    figures = "\n".join(
        f"| {weights} | " + " | ".join(f"{errors[figure]:.2f}" for figure in rounded) + " |"
        for weights, errors in lines
    )
    return CARD.format(
        name=config.preset,
        dtype=config.dtype,
        seed=config.seed,
        workers=config.workers,
        task=row.task,
        kind="recurrent attention" if config.model == "ram" else "a network that sees the whole image",
        parameters=result["parameters"],
        images=images,
        heads=" | ".join(rounded),
        errors=", ".join(f"{standard_error(error, images):.2f}" for error in rounded.values()),
        redrawn=describe_redrawn(result),
        rule="---|" * len(rounded),
        figures=figures,
        precision="rounded to float16" if precision == "float16" else f"in {precision}: float16 would move its figures",
        verdict=describe_verdict(row, result["test_error"]["averaged"])
        + (", on data that are not known to be the published ones" if unpublished(result["data"]) else ""),
        dataset=config.dataset,
        shape="x".join(map(str, saved.image_shape)),
        classes=saved.classes,
        ground=" Strokes are bright, on black." if saved.image_shape[2] == 1 else "",
        data=describe_data(result["data"]),
        epoch=saved.epoch,
        epochs=result["epochs"],
        chosen="the best by validation error" if result["validation_error"] else "the last",
        revision="`, `".join(revisions(result)),
        machine=", ".join(filter(None, (result["backend"], " then ".join(machines(result)), result["device"]))),
        minutes=result["seconds"] / 60,
        settings=json.dumps(config.to_json(), indent=2),
    )


def describe_redrawn(result: dict[str, Any]) -> str:
    """What a result says of other drawings of its test images, in a sentence; nothing where there are none."""
    others = result.get("redrawn")
    if not others:
        return ""
    means = ", ".join(f"{figure} {over_drawings(others, figure)}" for figure in FIGURES)
    return (
        f"\n\nOn {len(others)} other drawings of the test images, in {result['config']['dtype']}, mean (smallest to "
        f"largest):\n{means}.\nExpect such errors on images that you compose yourself."
    )


CARD = """\
# {name}

{task}: {kind}, {parameters:,} parameters.

    model = ramnp.load_pretrained("{name}")
    python -m ramnp.evaluate {name}

Test error in %, over {images:,} images:

| weights | {heads} |
|---|{rule}
{figures}

The averaged figure in {dtype} {verdict}.
From the number of images alone, the standard errors are {errors}.{redrawn}

## Data

`{dataset}`: images of {shape} (height, width, channels) in {classes:,} classes, made and split as `datasets/README.md`
says.{ground} {data}

## Limits

It answers with one of its {classes:,} classes whatever it is shown, and its figures hold for images made as those above
alone. They are one run's, with seed {seed}; `docs/results.md` has those of all seeds that were run. The weights are
{precision}. Their optimizer is not here: to train on, start from a run folder.

## How it was made

    python -m ramnp.reproduce {name} --seeds {seed} --workers {workers}
    python -m ramnp.reproduce --ship {name} --seeds {seed}

The weights are those of epoch {epoch} of {epochs}, {chosen}; revision `{revision}`; {machine}; {minutes:,.0f} minutes.

All settings, those too that only other data sets, parts or schedules make use of:

```json
{settings}
```
"""
