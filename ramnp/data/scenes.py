"""Translated and cluttered MNIST: a digit on a larger canvas, without or with pieces of other digits (paper, 4.1)."""

import dataclasses
from pathlib import Path

from ramnp.config import DataConfig
from ramnp.data.files import Published
from ramnp.data.generate import Scene
from ramnp.data.mnist import MNIST
from ramnp.data.source import SPLITS, DataSet
from ramnp.data.task import Task
from ramnp.errors import UsageError
from ramnp.registry import register


class SceneTask(Task):
    """Images that `generate.py` composes from MNIST's digits.

    Args:
        name: name of the task in the registry.
        text: one line that describes it.
        cluttered: whether pieces of other digits are added.
    """

    folder = MNIST.folder
    published: tuple[Published, ...] = MNIST.published

    def __init__(self, name: str, text: str, cluttered: bool) -> None:
        self.name, self.text, self.cluttered = name, text, cluttered

    def load(self, config: DataConfig) -> DataSet:
        """Read the digits, hold out the last `validation` training digits, and attach the scene to compose."""
        digits = MNIST.load(config)
        scene = Scene(config.size, config.pieces if self.cluttered else 0, config.piece_side)
        height, width, _ = digits.image_shape
        if config.size < max(height, width):
            raise UsageError(f"--size {config.size} is too small for a digit of {height}x{width} pixels")
        if scene.pieces and config.piece_side > min(height, width):
            raise UsageError(
                f"--piece-side {config.piece_side} is too large: pieces are cut from digits of {height}x{width} pixels"
            )
        for split in SPLITS:
            if scene.pieces and len(getattr(digits, split)) == 1:
                raise UsageError(
                    f"there is only one {split} digit, so there is no other to cut clutter from: change --validation"
                )
        return dataclasses.replace(digits, name=self.name, scene=scene)

    def check(self, path: Path) -> str:
        return MNIST.check(path)


TRANSLATED_MNIST = SceneTask(
    "translated-mnist", "MNIST's digits at random places on a larger canvas (--size)", cluttered=False
)
CLUTTERED_MNIST = SceneTask(
    "cluttered-mnist", "translated-mnist among pieces of other digits (--pieces, --piece-side)", cluttered=True
)

register("dataset", "translated-mnist")(TRANSLATED_MNIST)
register("dataset", "cluttered-mnist")(CLUTTERED_MNIST)
