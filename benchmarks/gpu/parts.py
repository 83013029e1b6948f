"""The parts, in their order, with their time limits."""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.gpu import checks, speed
from benchmarks.gpu.asked import Asked, Tell


class Part(NamedTuple):
    """What a part does, its time limit in seconds, and the function that does it."""

    title: str
    seconds: int
    run: Callable[[Asked, Tell], None]


# Together they keep within the eight minutes. What a part does not use, the later ones may.
PARTS = {
    "versions": Part("the card, the driver and the packages", 30, checks.versions),
    "tests": Part("the tests that take a backend", 90, checks.tests),
    "gradcheck": Part("finite differences for every part", 30, checks.gradcheck),
    "agreement": Part("100 steps in float64, beside NumPy", 25, checks.agreement),
    "training": Part("ten epochs of mnist-6", 55, checks.training),
    "shipped": Part("the shipped weights, beside their cards", 35, checks.shipped),
    "steps": Part("a training step, beside PyTorch", 105, speed.steps),
    "products": Part("the matrix products of a step alone", 25, speed.products),
    "kernels": Part("launches and time by kernel", 20, speed.kernels),
    "host": Part("noise, batches and launches, on the host", 15, speed.host),
    "memory": Part("memory, and running out of it", 45, speed.memory),
}
