"""`python -m ramnp.evaluate PATH`: the three figures of a trained network.

| figure        | meaning                                                                  |
|---------------|--------------------------------------------------------------------------|
| deterministic | one rollout, every location the policy's mean                            |
| stochastic    | one rollout, locations sampled                                           |
| averaged      | class probabilities averaged over M sampled rollouts (10, unless told)   |

Each is the error in percent over the whole split. The first location is uniform in the image.
"""

import json
import sys
from pathlib import Path

import numpy as np

from ramnp import checkpoint, data
from ramnp.backend import get_backend
from ramnp.cli import Parser, run
from ramnp.data.source import Source
from ramnp.errors import CheckpointError, DataError, UsageError
from ramnp.model import RecurrentAttentionModel

BATCH = 200  # images; times the rollouts, enough rows to keep the matrix products efficient
# First locations and noise come from (SEED, purpose, batch): the same for every model, T and M aside.
SEED, DETERMINISTIC, SAMPLED = 20141, 0, 1


def evaluate(
    model: RecurrentAttentionModel, source: Source, rollouts: int = 10, limit_batches: int | None = None
) -> dict[str, float]:
    """Errors in percent: {"deterministic", "stochastic", "averaged"}.

    Args:
        rollouts: M, over which `averaged` averages; `stochastic` is the first of them.
        limit_batches: evaluate only so many batches.
    """
    xp = model.xp
    wrong = xp.zeros(3, dtype=np.int64)
    images = 0
    for number, (canvas, labels) in enumerate(source.batches(BATCH)):
        if number == limit_batches:
            break
        size = len(labels)
        rng = np.random.default_rng([SEED, DETERMINISTIC, number])
        mean = model.forward(canvas, model.draw(rng, size, deterministic=True))
        rng = np.random.default_rng([SEED, SAMPLED, number])
        sampled = model.forward(canvas, model.draw(rng, rollouts * size))
        # Row m B + b is rollout m of image b, so the first B rows are one rollout of each image.
        for figure, scores in enumerate((mean.log_p, sampled.log_p[:size], model.predict(sampled, size))):
            wrong[figure] += (scores.argmax(axis=1) != labels).sum()
        images += size
    percent = 100 * model.backend.to_host(wrong) / max(images, 1)
    return dict(zip(("deterministic", "stochastic", "averaged"), percent.round(4).tolist(), strict=True))


def find_weights(path: Path) -> Path:
    """The file to evaluate: `path` itself, or the best epoch of the run folder `path`.

    Raises:
        CheckpointError: there is none.
    """
    if not path.is_dir():
        return path
    for name in ("best.npz", "checkpoint.npz"):
        if (path / name).exists():
            return path / name
    raise CheckpointError(f"{path} holds neither best.npz nor checkpoint.npz")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m ramnp.evaluate", description=__doc__.split("\n\n", 1)[1])
    parser.add_argument("path", type=Path, metavar="PATH", help="a run folder, or a checkpoint (.npz)")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="(test)")
    parser.add_argument("--rollouts", type=int, default=10, metavar="M", help="for the averaged figure (10)")
    parser.add_argument("--backend", choices=("numpy", "cupy", "auto"), default="auto", help="(auto)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    if arguments.rollouts < 1:
        raise UsageError(f"--rollouts must be at least 1, got {arguments.rollouts}")
    backend = get_backend(arguments.backend)
    path = find_weights(arguments.path)
    saved = checkpoint.load(path)
    model = saved.model(backend)
    dataset = data.load(saved.config)
    if (dataset.image_shape, dataset.classes) != (saved.image_shape, saved.classes):
        raise DataError(
            f"{path} was trained on images of {saved.image_shape} in {saved.classes} classes; "
            f"{saved.config.dataset} now has {dataset.image_shape} in {dataset.classes} classes"
        )
    source = dataset.source(arguments.split, backend, model.sensor.margin)
    if not len(source):
        raise UsageError(f"this run held out no {arguments.split} images")
    errors = evaluate(model, source, arguments.rollouts)
    if arguments.json:
        result = {"path": str(path), "preset": saved.config.preset, "epoch": saved.epoch, "split": arguments.split}
        json.dump(result | {"rollouts": arguments.rollouts, "error": errors}, sys.stdout)
        print()
    else:
        print(f"{path}: {saved.config.preset}, epoch {saved.epoch}, {len(source)} {arguments.split} images")
        for figure, error in errors.items():
            print(f"  {figure:<14}{error:6.2f} % error")
    return 0


if __name__ == "__main__":
    run(main)
