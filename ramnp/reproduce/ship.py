"""`python -m ramnp.reproduce --ship ROW`: put the weights of a row into the package, with a card about them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ramnp.backend import Backend, limit_threads
from ramnp.config import Config
from ramnp.data.source import Source
from ramnp.errors import CheckpointError, RamnpError
from ramnp.files import write_atomically
from ramnp.presets import ROWS
from ramnp.pretrained import FOLDER
from ramnp.reproduce.results import (
    check_same,
    describe_data,
    describe_verdict,
    machines,
    read_result,
    revisions,
    row_config,
    summarize_redrawn,
    unpublished,
)
from ramnp.training import checkpoint
from ramnp.training.checkpoint import Checkpoint
from ramnp.training.measure import FIGURES, evaluate, standard_error
from ramnp.training.trained import open_trained

TOLERANCE = 0.05  # percentage points by which rounding may move a figure
LIMIT = 8_000_000  # most bytes of all weights in the package


def ship(name: str, result_file: Path, run: Path, backend: Backend, folder: Path = FOLDER) -> list[Path]:
    """Write the best weights of a finished run, and their card.

    The weights are rounded to float16 if that moves no figure by more than `TOLERANCE`.

    Args:
        name: the row.
        result_file, run: its result file and its run folder.
        backend: where to evaluate the weights.
        folder: the folder for weights and card.

    Raises:
        CheckpointError: the run is not finished, or its weights are not those of the result.
        RamnpError: even the unrounded weights do not reproduce the figures of the result, or the weights in the package
            would become too large. Nothing is written then.
    """
    if not result_file.exists():
        raise CheckpointError(f"there is no {result_file}: make it with `python -m ramnp.reproduce {name}`")
    result = read_result(result_file)
    check_same(result_file, result["config"], row_config(name, result["seed"]), (result["limit_batches"], None))
    saved, _, source = open_trained(run / "best.npz", "test", backend)
    if saved.config != Config.from_json(result["config"]) or saved.epoch != result["evaluated_epoch"]:
        raise CheckpointError(
            f"{result_file} was not measured on {saved.path}: restore the run folder, or delete the result and run "
            f"`python -m ramnp.reproduce {name}`"
        )
    rounded, precision, errors = round_weights(saved, result, source, backend)
    others = sum(path.stat().st_size for path in folder.glob("*.npz") if path.stem != name)
    size = others + sum(value.nbytes for value in rounded.parameters.values())
    if size > LIMIT:
        raise RamnpError(f"with {name} the package would hold {size:,} bytes of weights, more than {LIMIT:,}")
    weights, text = folder / f"{name}.npz", card(result, rounded, precision, errors, len(source))
    checkpoint.save(weights, rounded)
    write_atomically(weights.with_suffix(".md"), lambda file: file.write(text.encode(errors="backslashreplace")))
    return [weights, weights.with_suffix(".md")]


def round_weights(
    saved: Checkpoint, result: dict[str, Any], source: Source, backend: Backend
) -> tuple[Checkpoint, str, dict[str, float]]:
    """The weights in float16, or unrounded if that would move a figure: (checkpoint, its precision, its errors).

    Raises:
        RamnpError: even the unrounded weights do not reproduce the figures of the result.
    """
    for precision in ("float16", saved.config.dtype):
        rounded = dataclasses.replace(
            saved, parameters={name: value.astype(precision) for name, value in saved.parameters.items()}
        )
        with limit_threads(1):  # as in ramnp.evaluate
            errors = evaluate(rounded.model(backend), source)
        moved = {figure: abs(error - result["test_error"][figure]) for figure, error in errors.items()}
        if all(points <= TOLERANCE for points in moved.values()):
            return rounded, precision, errors
    figure = next(figure for figure, points in moved.items() if not points <= TOLERANCE)  # written so that NaN counts
    raise RamnpError(
        f"{saved.path} has {errors[figure]:.2f} % {figure} test error, but its result file says "
        f"{result['test_error'][figure]:.2f} %, more than {TOLERANCE} points apart: delete the result file and run "
        f"`python -m ramnp.reproduce {result['preset']}` to evaluate again"
    )


def card(result: dict[str, Any], saved: Checkpoint, precision: str, rounded: dict[str, float], images: int) -> str:
    """The card of some weights, in Markdown.

    Args:
        result: the content of the result file.
        saved: the weights as they are shipped.
        precision: their type.
        rounded: their test errors in percent.
        images: number of test images.
    """
    config, row = saved.config, ROWS[result["preset"]]
    lines = ((f"{config.dtype}, as trained", result["test_error"]), (f"{precision}, as shipped", rounded))
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
        precision="rounded to float16"
        if precision == "float16"
        else f"in {precision}, because float16 would change the figures",
        verdict=describe_verdict(row, result["test_error"]["averaged"])
        + (" (on data that are not known to be the published ones)" if unpublished(result["data"]) else ""),
        dataset=config.dataset,
        shape="x".join(map(str, saved.image_shape)),
        classes=saved.classes,
        ground=" Strokes are bright on a black ground." if saved.image_shape[2] == 1 else "",
        data=describe_data(result["data"]),
        epoch=saved.epoch,
        epochs=result["epochs"],
        chosen="the best by validation error" if result["validation_error"] else "the last one",
        revision="`, `".join(revisions(result)),
        machine=", ".join(filter(None, (result["backend"], " then ".join(machines(result)), result["device"]))),
        minutes=result["seconds"] / 60,
        settings=json.dumps(config.to_json(), indent=2),
    )


def describe_redrawn(result: dict[str, Any]) -> str:
    """A sentence on the errors on other compositions of the test images; "" if the result has none."""
    others = result.get("redrawn")
    if not others:
        return ""
    means = ", ".join(f"{figure} {summarize_redrawn(others, figure)}" for figure in FIGURES)
    return (
        f"\n\nOn {len(others)} other compositions of the test images, in {result['config']['dtype']}, the errors are "
        f"(mean, smallest to largest):\n{means}.\nExpect such errors on images that you compose yourself."
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
Standard errors, from the number of images: {errors}.{redrawn}

## Data

`{dataset}`: images of {shape} (height, width, channels) in {classes:,} classes. `datasets/README.md` describes how they
are made and split.{ground} {data}

## Limits

- The network answers with one of its {classes:,} classes, whatever image it gets. Its figures hold only for images made
  like those above.
- The figures are those of one run, with seed {seed}. `docs/results.md` has those of all seeds.
- The weights are {precision}. The optimizer's state is not included, so training cannot be resumed from them.

## How it was made

    python -m ramnp.reproduce {name} --seeds {seed} --workers {workers}
    python -m ramnp.reproduce --ship {name} --seeds {seed}

- Epoch {epoch} of {epochs}, {chosen}
- Time: {minutes:,.0f} minutes
- Machine: {machine}
- Code revisions: `{revision}`

All settings, including those that only other data sets, parts or schedules use:

```json
{settings}
```
"""
