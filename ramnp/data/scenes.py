"""Translated and cluttered MNIST: the paper's digits on a larger canvas, without and with pieces of other digits."""

from ramnp.config import DataConfig
from ramnp.data.files import Published
from ramnp.data.generate import Scene
from ramnp.data.mnist import MNIST
from ramnp.data.source import SPLITS, DataSet
from ramnp.data.task import Task
from ramnp.errors import UsageError


class SceneTask(Task):
    """Images that `generate.py` composes of MNIST's digits.

    Args:
        name: its name in the registry.
        cluttered: whether there are pieces of other digits.
    """

    folder = MNIST.folder
    published: tuple[Published, ...] = MNIST.published

    def __init__(self, name: str, text: str, cluttered: bool) -> None:
        self.name, self.text, self.cluttered = name, text, cluttered

    def load(self, config: DataConfig) -> DataSet:
        """The digits, the last `validation` training digits held out, and how images are composed of them."""
        digits = MNIST.load(config)
        scene = Scene(config.size, config.pieces if self.cluttered else 0, config.piece_side)
        height, width, _ = digits.image_shape
        if config.size < max(height, width):
            raise UsageError(f"--size {config.size}: the canvas must hold a digit of {height}x{width} pixels")
        if scene.pieces and config.piece_side > min(height, width):
            raise UsageError(f"--piece-side {config.piece_side}: a piece is cut out of a digit of {height}x{width}")
        for split in SPLITS:
            if scene.pieces and len(getattr(digits, split)) == 1:
                raise UsageError(f"there is one {split} digit, and no other to cut clutter from: change --validation")
        splits = (getattr(digits, split) for split in SPLITS)
        return DataSet(self.name, digits.classes, *splits, scene=scene)

    check = staticmethod(MNIST.check)


TRANSLATED_MNIST = SceneTask("translated-mnist", "MNIST's digits somewhere on a canvas (--size)", cluttered=False)
CLUTTERED_MNIST = SceneTask(
    "cluttered-mnist", "the same among pieces of other digits (--pieces, --piece-side)", cluttered=True
)
