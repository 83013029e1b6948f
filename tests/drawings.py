"""Ten digits as people draw them, badly: strokes on the pad, whose side is 280 units."""

from typing import NamedTuple

import numpy as np

Points = list[tuple[float, float]]


class Drawing(NamedTuple):
    """A digit, the hand that drew it, its strokes, and the pen: "Thin", "Medium" or "Thick"."""

    digit: int
    hand: str
    strokes: list[Points]
    pen: str = "Medium"


def arc(x: float, y: float, across: float, down: float, start: float, end: float) -> Points:
    """Part of an ellipse around (x, y): angles in degrees, 0 to the right, 90 down."""
    angles = np.radians(np.linspace(start, end, 24))
    return list(zip(x + across * np.cos(angles), y + down * np.sin(angles), strict=True))


def turned(strokes: list[Points], degrees: float) -> list[Points]:
    """Strokes turned clockwise around the middle of the pad."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [(np.array(stroke) - 140) @ turn + 140 for stroke in strokes]


def placed(strokes: list[Points], scale: float, left: float, top: float) -> list[Points]:
    """Strokes at another size, with the pad's corner at (left, top)."""
    return [np.array(stroke) * scale + (left, top) for stroke in strokes]


ZERO = [arc(140, 140, 60, 95, -100, 265)]
ONE = [[(148, 45), (140, 235)]]
TWO = [[*arc(135, 100, 55, 55, 190, 375), (90, 225), (95, 230), (205, 226)]]
THREE = [[*arc(130, 95, 52, 48, 200, 440), *arc(130, 185, 60, 50, -80, 150)]]
FOUR = [[(105, 50), (85, 150), (195, 148)], [(175, 60), (165, 240)]]
FIVE = [[(185, 52), (105, 55), (98, 130), *arc(130, 175, 62, 58, -105, 140)]]
SIX = [[(170, 45), (120, 100), (95, 175), *arc(140, 190, 46, 44, 180, -185)]]
SEVEN = [[(80, 62), (200, 60), (135, 235)]]
EIGHT = [[*arc(140, 92, 44, 45, -60, -270), *arc(140, 188, 54, 50, -90, 270), *arc(140, 92, 44, 45, 90, -60)]]
NINE = [[*arc(140, 100, 50, 50, -20, -340), (190, 90), (182, 160), (165, 240)]]

DRAWINGS = (
    Drawing(0, "tilted", turned(ZERO, 20)),
    Drawing(1, "thin, slanted", turned(ONE, 15), "Thin"),
    Drawing(2, "thick", TWO, "Thick"),
    Drawing(3, "small, in the top left corner", placed(THREE, 0.35, 10, 15)),
    Drawing(4, "open, two strokes", FOUR),
    Drawing(5, "off the centre", placed(FIVE, 0.7, 75, 5)),
    Drawing(6, "thin", SIX, "Thin"),
    Drawing(7, "tilted", turned(SEVEN, 12)),
    Drawing(8, "thick, small, at the bottom right", placed(EIGHT, 0.4, 150, 155), "Thick"),
    Drawing(9, "wide", [[(140 + 1.35 * (x - 140), y) for x, y in stroke] for stroke in NINE]),
)
