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


class Size:
    """A trainer and its data for images of one size, and the seconds that steps and batches took."""

    def __init__(self, side: int, config: Config, backend: Backend) -> None:
        self.side, self.backend = side, backend
        self.rng = np.random.default_rng(side)
        images = self.rng.integers(0, 256, (config.batch_size, side, side, 1), dtype=np.uint8)
        self.trainer = Trainer(config, (side, side, 1), 10, backend)
        labels = self.rng.integers(0, 10, config.batch_size)
        self.source = Source(Split(images, labels), backend, self.trainer.model.margin)
        self.steps: list[float] = []
        self.batches: list[float] = []

    def measure(self) -> None:
        """Time one batch and one step."""
        randomness = self.trainer.model.draw(self.rng, len(self.source))
        self.wait()
        started = time.perf_counter()
        canvas, labels = next(self.source.batches(len(self.source)))
        self.wait()
        self.batches.append(time.perf_counter() - started)
        started = time.perf_counter()
        self.trainer.step(canvas, labels, randomness, 1e-3)
        self.wait()
        self.steps.append(time.perf_counter() - started)

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        self.backend.to_host(self.trainer.totals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--backend", choices=("numpy", "cupy", "auto"), default="auto", help="(auto)")
    parser.add_argument("--batch-size", type=int, default=64, help="(64)")
    parser.add_argument("--repeats", type=int, default=40, help="(40)")
    arguments = parser.parse_args()
    backend = get_backend(arguments.backend)
    config = Config(patch=12, scales=3, batch_size=arguments.batch_size)
    print(f"{backend.name}; {config.glimpses} glimpses of 12x12, 3 scales; {config.batch_size} images")
    print(f"{'side':>6}{'pixels':>11}{'step, ms':>11}{'ratio':>8}{'batch, ms':>11}")
    sizes = [Size(side, config, backend) for side in SIDES]
    for _ in range(arguments.repeats):
        for size in sizes:  # in turn, so that a slow minute of the machine meets all of them
            size.measure()
    for size in sizes:  # the fastest: what else runs on the machine only adds to a time
        step, batch, ratio = min(size.steps), min(size.batches), min(size.steps) / min(sizes[0].steps)
        print(f"{size.side:>6}{size.side**2:>11,}{1000 * step:>11.2f}{ratio:>8.2f}{1000 * batch:>11.2f}")


if __name__ == "__main__":
    main()
