"""Images made of digits: a digit somewhere on a larger canvas, on top of pieces of other digits.

    canvas = min(255, sum_p piece_p + digit)

with everything at uniform positions (paper, section 4.1, "Translated" and "Cluttered Translated MNIST"). A piece is
a crop, at a uniform offset, of another digit of the same split. The clutter goes down first, the digit is added, and
values are clamped; all are at least 0, so clamping after every addition comes to the same.

What is random is drawn on the host, as a *recipe* of small integers an image, and sent to the backend at once;
rendering gathers and scatters there, and never waits for the host. So a recipe gives the same bits everywhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.network.sensor import Canvas
from ramnp.network.windows import windows

DIGIT, PIECE = 3, 5  # columns that the digit and that each piece take in a recipe


@dataclass(frozen=True)
class Scene:
    """How an image is composed.

    Attributes:
        size: side of the canvas, in pixels.
        pieces: number P of pieces of clutter.
        piece_side: side of a piece, in pixels.
    """

    size: int
    pieces: int
    piece_side: int

    def draw(self, rng: np.random.Generator, chosen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Recipes (B, 3 + 5 P) for the digits number `chosen` (B,) out of images of `shape` (n, H, W, C), n > 1.

        Columns: which digit, its top and left; then, for every piece, of which digit it is, where in that digit it
        begins (top, left), and where on the canvas it goes (top, left).

        Each image takes the same number of random numbers, so the recipes of a split do not depend on the size of
        the batches in which they are drawn.
        """
        count, height, width, _ = shape
        side, size = self.piece_side, self.size
        piece = [count - 1, height - side + 1, width - side + 1, size - side + 1, size - side + 1]
        below = np.array([size - height + 1, size - width + 1, *piece * self.pieces])
        recipes = np.empty((len(chosen), DIGIT + PIECE * self.pieces), dtype=np.int64)
        recipes[:, 0] = chosen
        recipes[:, 1:] = rng.random((len(chosen), len(below))) * below  # rounded down
        donors = recipes[:, DIGIT::PIECE]
        donors += donors >= recipes[:, :1]  # any digit but the chosen one
        return recipes

    def render(self, digits: Array, recipes: Array, margin: int, xp: Any = np, out: Array | None = None) -> Canvas:
        """The images of recipes (B, 3 + 5 P), made of digits (n, H, W, C), uint8, inside a border of zeros."""
        _, height, width, channels = digits.shape
        batch, side = len(recipes), self.size + 2 * margin
        if out is None:
            pixels = xp.zeros((batch, side, side, channels), dtype=np.uint8)
        else:
            pixels = out
            pixels.fill(0)
        image = xp.arange(batch)

        def add(of: Array, crop: tuple[Any, Any], at: tuple[Array, Array], extent: tuple[int, int]) -> None:
            """Add to every canvas a window of `extent` pixels, cut at `crop` out of digit `of`, at `at`."""
            canvas, place = windows(pixels, *extent, xp), (image, at[0] + margin, at[1] + margin)
            added, under = windows(digits, *extent, xp)[of, *crop], canvas[place]
            canvas[place] = under + xp.minimum(added, 255 - under)  # a window never meets a pixel twice

        for start in range(DIGIT, recipes.shape[1], PIECE):
            of, *corners = (recipes[:, start + column] for column in range(PIECE))
            add(of, tuple(corners[:2]), tuple(corners[2:]), (self.piece_side, self.piece_side))
        add(recipes[:, 0], (0, 0), (recipes[:, 1], recipes[:, 2]), (height, width))
        return Canvas(pixels, margin)
