"""`python -m ramnp.evaluate PATH`: the three figures of a trained network.

| figure        | meaning                                                                  |
|---------------|--------------------------------------------------------------------------|
| deterministic | one rollout, every location the policy's mean                            |
| stochastic    | one rollout, locations sampled                                           |
| averaged      | class probabilities averaged over M sampled rollouts (10, unless told)   |

Each is the error in percent over the whole split. A network without randomness, that sees the whole image, has three
equal figures; of a control, whose locations are given, "deterministic" is one rollout as any other.

Behind each is printed its standard error, sqrt(e (100 - e) / n) for an error of e % on n images. The images of
translated and cluttered MNIST are one drawing of many: `--redrawn N` evaluates on N others of the same digits, too.

With `--first-locations`, how much it matters where the first glimpse looks: the deterministic error from each of nine
first locations, the middles of a 3 x 3 grid on the image, and how many images get the same answer from all nine.
"""

import functools
import json
import math
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ramnp import checkpoint, data, pretrained
from ramnp.backend import Array, Backend, get_backend
from ramnp.checkpoint import Checkpoint
from ramnp.classifier import Classifier
from ramnp.cli import Parser, count, run
from ramnp.data.source import SPLITS, GeneratedSource, Source
from ramnp.errors import CheckpointError, DataError, UsageError
from ramnp.model import RecurrentAttentionModel, Rollout
from ramnp.presets import title
from ramnp.sensor import Canvas

BATCH = 200  # images; times the rollouts, enough rows to keep the matrix products efficient
# First locations and noise come from (SEED, purpose, batch): the same for every model, T and M aside.
SEED, DETERMINISTIC, SAMPLED = 20141, 0, 1
_MIDDLES = (-2 / 3, 0, 2 / 3)  # of three equal parts of an axis
TRAINED = "a run folder, a checkpoint (.npz), or the name of weights that come with the package"  # help on PATH
GRID = np.array([(x, y) for y in _MIDDLES for x in _MIDDLES])  # first locations (9, 2), row by row from the top


def evaluate(
    model: Classifier, source: Source, rollouts: int = 10, limit_batches: int | None = None
) -> dict[str, float]:
    """Errors in percent: {"deterministic", "stochastic", "averaged"}.

    Args:
        rollouts: M, over which `averaged` averages; `stochastic` is the first of them.
        limit_batches: evaluate only so many batches.
    """
    xp, rollouts = model.xp, model.rollouts(rollouts)
    wrong = xp.zeros(3, dtype=np.int64)
    images, storage = 0, functools.cache(model.storage)
    for number, canvas, labels in numbered(source, limit_batches):
        size = len(labels)
        rng = np.random.default_rng([SEED, DETERMINISTIC, number])
        mean = model.forward(canvas, model.draw(rng, size, deterministic=True), out=storage(size)).log_p
        rng = np.random.default_rng([SEED, SAMPLED, number])
        sampled = model.forward(canvas, model.draw(rng, rollouts * size), out=storage(rollouts * size))
        # Row m B + b is rollout m of image b, so the first B rows are one rollout of each image.
        for figure, scores in enumerate((mean, sampled.log_p[:size], model.average(sampled, size))):
            wrong[figure] += (scores.argmax(axis=1) != labels).sum()
        images += size
    percent = 100 * model.backend.to_host(wrong) / max(images, 1)
    return dict(zip(("deterministic", "stochastic", "averaged"), percent.round(4).tolist(), strict=True))


def numbered(source: Source, limit_batches: int | None) -> Iterator[tuple[int, Canvas, Array]]:
    """The batches of images that figures are of, with their numbers, which seed the rollouts."""
    for number, (canvas, labels) in enumerate(islice(source.batches(BATCH), limit_batches)):
        yield number, canvas, labels


def evaluate_redrawn(
    model: Classifier, source: Source, drawings: int, rollouts: int = 10, limit_batches: int | None = None
) -> list[dict[str, float]]:
    """`evaluate` on the digits of a source, composed anew `drawings` times.

    Raises:
        UsageError: its images are not generated.
    """
    if not isinstance(source, GeneratedSource):
        raise UsageError("only images that are composed, translated and cluttered MNIST's, can be drawn anew")
    others = (source.redrawn(number) for number in range(1, drawings + 1))
    return [evaluate(model, other, rollouts, limit_batches) for other in others]


def by_first_location(model: Classifier, source: Source) -> dict[str, Any]:
    """The deterministic error in percent from nine first locations, and the images whose answer does not change.

    Returns:
        {"error": 3 x 3, rows from the top of the image, in each from left to right; "same_answer": percent}.

    Raises:
        UsageError: the model has no learned policy, or learns its first location.
    """
    if not isinstance(model, RecurrentAttentionModel) or model.config.policy != "learned" or model.blind:
        raise UsageError("--first-locations is for a learned policy whose first location is not learned")
    xp = model.xp
    wrong, same = xp.zeros(len(GRID), dtype=np.int64), xp.zeros((), dtype=np.int64)
    for canvas, labels in source.batches(BATCH):
        rollout = from_places(model, canvas, GRID)
        answers = rollout.log_p.argmax(axis=1).reshape(len(GRID), -1)
        wrong += (answers != labels).sum(axis=1)
        same += (answers == answers[0]).all(axis=0).sum()
    percent = 100 * model.backend.to_host(xp.concatenate([wrong, same[None]])) / len(source)
    return {"error": percent[:-1].reshape(3, 3).round(4).tolist(), "same_answer": round(float(percent[-1]), 4)}


def from_places(model: RecurrentAttentionModel, canvas: Canvas, places: np.ndarray) -> Rollout:
    """Deterministic rollouts: row m B + b looks at image b, first from place m of (M, 2)."""
    images = len(canvas.pixels)
    randomness = np.zeros((model.config.glimpses, len(places) * images, 2), dtype=model.dtype)
    randomness[0] = places.repeat(images, axis=0)
    return model.forward(canvas, model.backend.asarray(randomness))


def standard_error(error: float, images: int) -> float:
    """Of an error in percent on so many images, in points."""
    return math.sqrt(error * (100 - error) / images)


def find_weights(path: Path) -> Path:
    """The file to evaluate: `path` itself, the best epoch of the run folder `path`, or shipped weights of that name.

    Raises:
        CheckpointError: there is none.
    """
    if not path.exists():
        try:
            return pretrained.find_pretrained(str(path))
        except CheckpointError as error:
            raise CheckpointError(f"there is no checkpoint {path}, and {error}") from error
    if not path.is_dir():
        return path
    for name in ("best.npz", "checkpoint.npz"):
        if (path / name).exists():
            return path / name
    raise CheckpointError(f"{path} holds neither best.npz nor checkpoint.npz")


def open_trained(path: Path, split: str, backend: Backend) -> tuple[Checkpoint, Classifier, Source]:
    """What was saved in a run folder or file, the model, and the split of its data.

    Raises:
        CheckpointError: it is missing or damaged.
        DataError: its data are, or have no longer the image shape and the classes that it was trained on.
        UsageError: the split is empty.
    """
    path = find_weights(path)
    saved = checkpoint.load(path)
    model = saved.model(backend)
    dataset = data.load(saved.config)
    if (dataset.image_shape, dataset.classes) != (saved.image_shape, saved.classes):
        raise DataError(
            f"{path} was trained on images of {saved.image_shape} in {saved.classes} classes; "
            f"{saved.config.dataset} now has {dataset.image_shape} in {dataset.classes} classes"
        )
    source = dataset.source(split, backend, model.margin)
    if not len(source):
        raise UsageError(f"this run held out no {split} images")
    return saved, model, source


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m ramnp.evaluate", description=__doc__.split("\n\n", 1)[1])
    parser.add_argument("path", type=Path, metavar="PATH", help=TRAINED)
    parser.add_argument("--split", choices=SPLITS, default="test", help="(test)")
    parser.add_argument("--rollouts", type=count, default=10, metavar="M", help="for the averaged figure (10)")
    parser.add_argument("--backend", choices=("numpy", "cupy", "auto"), default="auto", help="(auto)")
    parser.add_argument("--first-locations", action="store_true", help="the error by where the first glimpse looks")
    parser.add_argument(
        "--redrawn", type=count, metavar="N", help="the errors on N other drawings, too, of images that are composed"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    saved, model, source = open_trained(arguments.path, arguments.split, get_backend(arguments.backend))
    # One thread a product: on busy cores several wait for each other far longer than they save.
    with threadpool_limits(1, user_api="blas"):
        starts = by_first_location(model, source) if arguments.first_locations else None
        redrawn = evaluate_redrawn(model, source, arguments.redrawn, arguments.rollouts) if arguments.redrawn else []
        errors = evaluate(model, source, arguments.rollouts)
    if arguments.json:
        result = {
            "path": str(saved.path),
            "preset": saved.config.preset,
            "epoch": saved.epoch,
            "split": arguments.split,
        }
        result |= {"images": len(source), "rollouts": arguments.rollouts, "error": errors}
        result |= {"first_locations": starts} if starts else {}
        json.dump(result | ({"redrawn": redrawn} if redrawn else {}), sys.stdout)
        print()
    else:
        print(f"{saved.path}: {title(saved.config)}, epoch {saved.epoch}, {len(source)} {arguments.split} images")
        for figure, error in errors.items():
            print(f"  {figure:<14}{error:6.2f} % error, standard error {standard_error(error, len(source)):.2f}")
        for number, others in enumerate(redrawn, 1):
            print(f"drawn anew, {number}: " + ", ".join(f"{figure} {error:.2f} %" for figure, error in others.items()))
        if starts:
            print("deterministic error in % by where the first glimpse looks, laid out as the image is:")
            print("\n".join("  " + "".join(f"{error:8.2f}" for error in row) for row in starts["error"]))
            print(f"the same answer from all nine: {starts['same_answer']:.2f} % of the images")
    return 0


if __name__ == "__main__":
    run(main)
