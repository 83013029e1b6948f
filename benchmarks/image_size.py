"""`python benchmarks/image_size.py`: what a training step costs as the image grows and the sensor stays.

The paper's claim (section 1) is that the computation of recurrent attention does not depend on the size of the image.
A step is `Trainer.step`: forward, backward, update, on one batch that is already there. Making the batch, a copy of
its pixels, grows with them, and is timed beside it.
"""

import argparse
import time

import numpy as np

from ramnp.backend import Backend, get_backend
from ramnp.config import Config
from ramnp.data.source import Source, Split
from ramnp.train import Trainer

SIDES = (28, 60, 100, 300, 1000)


def milliseconds(trainer: Trainer, source: Source, backend: Backend, repeats: int) -> tuple[float, float]:
    """Medians over `repeats` of a training step, and of making its batch."""
    rng = np.random.default_rng(0)
    steps, batches = [], []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        canvas, labels = next(source.batches(len(source)))
        wait(trainer, backend)
        batches.append(time.perf_counter() - started)
        randomness = trainer.model.draw(rng, len(labels))
        started = time.perf_counter()
        trainer.step(canvas, labels, randomness, 1e-3)
        wait(trainer, backend)
        steps.append(time.perf_counter() - started)
    return 1000 * float(np.median(steps[2:])), 1000 * float(np.median(batches[2:]))  # the first two warm up


def wait(trainer: Trainer, backend: Backend) -> None:
    """Until the device has done all that it was given."""
    backend.to_host(trainer.totals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--backend", choices=("numpy", "cupy", "auto"), default="auto", help="(auto)")
    parser.add_argument("--batch-size", type=int, default=64, help="(64)")
    parser.add_argument("--repeats", type=int, default=20, help="(20)")
    arguments = parser.parse_args()
    backend = get_backend(arguments.backend)
    config = Config(patch=12, scales=3, batch_size=arguments.batch_size)
    print(f"{backend.name}; {config.glimpses} glimpses of 12x12, 3 scales; {config.batch_size} images")
    print(f"{'side':>6}{'pixels':>11}{'step, ms':>11}{'ratio':>8}{'batch, ms':>11}")
    first = None
    for side in SIDES:
        rng = np.random.default_rng(side)
        images = rng.integers(0, 256, (config.batch_size, side, side, 1), dtype=np.uint8)
        trainer = Trainer(config, images.shape[1:], 10, backend)
        source = Source(Split(images, rng.integers(0, 10, len(images))), backend, trainer.model.margin)
        step, batch = milliseconds(trainer, source, backend, arguments.repeats)
        first = first or step
        print(f"{side:>6}{side * side:>11,}{step:>11.2f}{step / first:>8.2f}{batch:>11.2f}")


if __name__ == "__main__":
    main()
