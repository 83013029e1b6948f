"""Compose images from digits: one digit at a random place on a larger canvas, on top of pieces of other digits.

    canvas = min(255, sum_p piece_p + digit)

All positions are uniform (paper, section 4.1, "Translated" and "Cluttered Translated MNIST"). A piece is a crop, at a
uniform offset, of another digit of the same split. The clutter is drawn first, then the digit is added. Values are
clamped after every addition; since none is negative, this gives the same result as clamping once at the end.

All randomness is drawn on the host, as one *recipe* of small integers per image. The recipes of a batch go to the
backend in one transfer; rendering there only gathers and scatters integers, and never waits for the host. So a recipe
gives the same image, bit for bit, on every backend.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.network.sensor import Canvas
from ramnp.network.windows import windows

DIGIT, PIECE = 3, 5  # columns of a recipe: 3 for the digit, 5 for each piece


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
        """Draw recipes (B, 3 + 5 P).

        Columns: the index of the digit, its top and left on the canvas; then for each piece the index of the digit it
        is cut from, its top and left in that digit, and its top and left on the canvas.

        Each image uses the same number of random numbers, so recipes do not depend on the batch size.

        Args:
            rng: generator of the random numbers.
            chosen: (B,) indices of the digits.
            shape: (n, H, W, C) of the array of all digits of the split, n > 1.
        """
        count, height, width, _ = shape
        side, size = self.piece_side, self.size
        # How many values each column can take: a window of s pixels fits at n - s + 1 places on n pixels.
        piece = [count - 1, height - side + 1, width - side + 1, size - side + 1, size - side + 1]
        below = np.array([size - height + 1, size - width + 1, *piece * self.pieces])
        recipes = np.empty((len(chosen), DIGIT + PIECE * self.pieces), dtype=np.int64)
        recipes[:, 0] = chosen
        recipes[:, 1:] = rng.random((len(chosen), len(below))) * below  # the assignment rounds down
        # Clutter never comes from the image's own digit: of n - 1 indices, those from the chosen one on move up by 1.
        donors = recipes[:, DIGIT::PIECE]
        donors += donors >= recipes[:, :1]
        return recipes

    def render(self, digits: Array, recipes: Array, margin: int, xp: Any = np, out: Array | None = None) -> Canvas:
        """Compose the images of a batch of recipes.

        Args:
            digits: (n, H, W, C), uint8, all digits of the split.
            recipes: (B, 3 + 5 P), see `draw`.
            margin: width of the border of zeros around each image, in pixels.
            xp: numpy or cupy.
            out: array to write the pixels into; None makes a new one.
        """
        _, height, width, channels = digits.shape
        batch, side = len(recipes), self.size + 2 * margin
        if out is None:
            pixels = xp.zeros((batch, side, side, channels), dtype=np.uint8)
        else:
            pixels = out
            pixels.fill(0)
        image = xp.arange(batch)

        def add(of: Array, crop: tuple[Any, Any], at: tuple[Array, Array], extent: tuple[int, int]) -> None:
            """Cut a window of `extent` pixels at `crop` out of digit `of`, and add it to each canvas at `at`."""
            canvas, place = windows(pixels, *extent, xp), (image, at[0] + margin, at[1] + margin)
            added, under = windows(digits, *extent, xp)[of, *crop], canvas[place]
            # uint8 would overflow at 255, so add at most what is left. Plain assignment will do instead of `np.add.at`,
            # since each canvas gets one window here, and a window has each pixel once.
            canvas[place] = under + xp.minimum(added, 255 - under)

        for start in range(DIGIT, recipes.shape[1], PIECE):
            of, *corners = (recipes[:, start + column] for column in range(PIECE))
            add(of, tuple(corners[:2]), tuple(corners[2:]), (self.piece_side, self.piece_side))
        add(recipes[:, 0], (0, 0), (recipes[:, 1], recipes[:, 2]), (height, width))
        return Canvas(pixels, margin)
