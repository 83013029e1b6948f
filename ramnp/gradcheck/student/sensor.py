"""A glimpse sensor has no gradient: it is checked by what it shows of images that are known.

Patches of sides g, 2g, 4g, ... are cut around a location in [-1, 1]^2 and pooled to g x g. Which axis comes first, in
which order the scales stand, and how a half pixel is rounded are conventions. That both axes are treated alike, that a
step of the location moves the patch by as many pixels, and that the pixels are averaged, are not.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from ramnp.gradcheck.report import SKIPPED, WRONG, Row
from ramnp.gradcheck.student.call import Reading
from ramnp.gradcheck.student.find import Candidate, method
from ramnp.gradcheck.student.inputs import OMITTED
from ramnp.gradcheck.student.source import facts
from ramnp.gradcheck.student.trying import Attempt, constructions, forwards

NAME = re.compile(r"sensor|glimpse|retina|foveate|crop|extract_patch", re.IGNORECASE)
IMAGE = re.compile(r"^(imgs?|images?|x|pixels|canvas|frames?|pictures?)$")
LOCATION = re.compile(r"^(l|locs?|locations?|centers?|centres?|where|positions?|pos|l_t)$")


def sensors(own: dict[str, Any]) -> Iterator[Candidate]:
    """Classes and functions that take an image and a location, and have no backward."""
    for name, value in own.items():
        if isinstance(value, type):
            forward = method(value, ("forward", "__call__", "glimpse", "foveate", "extract", "sense", "apply"))
            if forward and NAME.search(name) and not method(value, ("backward", "bprop")):
                yield Candidate(name, forward, None, value)
        elif callable(value) and NAME.search(name) and "backward" not in name:
            yield Candidate(name, value, None)


def check_sensor(candidate: Candidate, own: dict[str, Any], seconds: float = 0.6) -> list[Row] | None:
    """Rows about a sensor; None if it is none."""
    function = candidate.functions()[0]
    attempt, end = Attempt([]), time.process_time() + seconds
    known = facts(function, candidate.cls)
    for made in constructions(candidate, own, known):
        for reading in forwards(candidate, own, made, known, attempt, end):
            image = next((n for n, s in reading.given.items() if IMAGE.match(n) and s.kind != OMITTED), None)
            location = next((n for n, s in reading.given.items() if LOCATION.match(n) and s.kind != OMITTED), None)
            if image and location:
                rows = judged(reading, image, location)
                if rows:
                    return rows
        if time.process_time() > end:
            break
    return None


def judged(reading: Reading, image: str, location: str) -> list[Row] | None:
    """What is the matter with a sensor, or that nothing is."""
    world = reading.world()
    pixels, where = world.args[image], world.args[location]
    if not isinstance(pixels, np.ndarray) or pixels.ndim < 2 or not isinstance(where, np.ndarray) or where.ndim != 2:
        return None
    name = reading.candidate.name
    axes = (-2, -1) if reading.given[image].axes.split()[-2:] in (["P", "Q"], ["I", "J"]) else (-3, -2)
    show = Shower(reading, image, location, axes)
    try:
        said = complaints(show)
    except UnreadableError as error:
        return [Row(name, "forward", verdict=SKIPPED, message=f"not checked: {error}")]
    except Exception:
        return None
    if said:
        return [Row(name, "forward", pixels.shape, show.count, verdict=WRONG, message=said[0], pair=said[1])]
    return [Row(name, "forward", pixels.shape, show.count)]


class UnreadableError(Exception):
    """What a sensor shows cannot be understood."""


class Shower:
    """Shows a sensor images, at many locations at once."""

    def __init__(self, reading: Reading, image: str, location: str, axes: tuple[int, int]) -> None:
        self.reading, self.image, self.location, self.axes = reading, image, location, axes
        self.count = 0
        shape = reading.world().args[image].shape
        self.height, self.width = shape[axes[0]], shape[axes[1]]

    def __call__(self, image: np.ndarray, locations: np.ndarray) -> np.ndarray:
        """What is shown of one image at each location, (locations, numbers)."""
        world = self.reading.world({"N": len(locations)})
        np.moveaxis(world.args[self.image], self.axes, (-2, -1))[...] = image
        world.args[self.location][...] = locations
        self.count += len(locations)
        return self.reading.forward(world).outputs[0].reshape(len(locations), -1)


GRID = np.linspace(-0.5, 0.5, 251)


def complaints(show: Shower) -> tuple[str, str] | None:
    """What does not fit: (message, pair of numbers), or None.

    The image is a slope of grey along one axis: the number shown tells where a pixel lies. Moving the location along
    an axis moves the finest patch by one pixel each time that it passes the edge of one.
    """
    y, x = np.mgrid[: show.height, : show.width].astype(float)
    paths = {}
    for axis, slope in (("x", x), ("y", y)):
        for coordinate in (0, 1):
            locations = np.zeros((len(GRID), 2))
            locations[:, coordinate] = GRID
            shown = show(slope + 1000, locations)
            # Numbers that have no zeros of the outside in them, and are those of one pixel: the finest patch.
            fine = (shown > 999.5).all(axis=0) & (np.abs(shown - np.round(shown)) < 1e-9).all(axis=0)
            if not fine.any():
                raise UnreadableError("no number that it shows stays within the image")
            paths[axis, coordinate] = shown[:, fine] - 1000
    reach = {key: float(np.abs(path[-1] - path[0]).max()) for key, path in paths.items()}
    along_x = int(reach["x", 1] > reach["x", 0])
    along_y = int(reach["y", 1] > reach["y", 0])
    if along_x == along_y:
        return "both axes of the image follow the same coordinate of the location", ""
    if reach["x", 1 - along_x] > 0.5 or reach["y", 1 - along_y] > 0.5:
        return (
            "the two coordinates of the location are mixed: moving along one axis moves the patch along the other",
            "",
        )
    extents = {"x": (show.width, paths["x", along_x]), "y": (show.height, paths["y", along_y])}
    found = {axis: pixels_covered(path) for axis, (_, path) in extents.items()}
    middle = {axis: centre(path, extent) for axis, (extent, path) in extents.items()}
    off = {axis: found[axis] - extent for axis, (extent, _) in extents.items()}
    for axis in sorted(off, key=lambda a: -abs(off[a])):
        extent = extents[axis][0]
        if abs(off[axis]) > 0.45:
            size = "off by one: " if 0.45 < abs(off[axis]) < 1.6 else ""
            return (
                f"{size}the location's {axis} is scaled as if the image were {found[axis]:.0f} pixels long "
                f"along {axis}; it is {extent}",
                f"from -1 to 1 the patch moves by {found[axis]:.1f} pixels along {axis}, and {extent} is right",
            )
    sides = {axis: float(np.ptp(path[0])) for axis, (_, path) in extents.items()}
    if sides["x"] != sides["y"]:
        return pooled(show)  # on one axis a part of the patch sticks out: its middle cannot be told
    if abs(middle["x"] - middle["y"]) > 0.3 or max(map(abs, middle.values())) > 1.2:
        return (
            "the patch is not centred on the location",
            f"on average its middle lies {middle['x']:+.2f} pixels from the location along x, "
            f"and {middle['y']:+.2f} along y",
        )
    return pooled(show)


def pixels_covered(path: np.ndarray) -> float:
    """By how many pixels a patch moves from -1 to 1, from the places at which it jumps."""
    moves = np.abs(np.diff(path[:, 0]))
    jumps = np.flatnonzero(moves > 0.25 * max(moves.max(), 1e-9))
    if len(jumps) < 3:
        return 0.0
    size = moves[jumps[1:]].sum()
    return float(2 * size / (GRID[jumps[-1]] - GRID[jumps[0]]))


def centre(path: np.ndarray, extent: int) -> float:
    """How far the middle of the finest patch lies from the location, on average, in pixels."""
    middle = (path.min(axis=1) + path.max(axis=1)) / 2 + 0.5
    return float(np.mean(middle - (GRID + 1) / 2 * extent))


def pooled(show: Shower) -> tuple[str, str] | None:
    """Whether every number is an average of pixels: of an image of ones it is 1, or less where it sticks out."""
    shown = show(np.ones((show.height, show.width)), np.zeros((2, 2)))
    if shown.max() > 1 + 1e-6:
        return (
            "pixels are added up, not averaged, in the coarser patches",
            f"of an image of ones it shows {shown.max():.4g}, and 1 is right",
        )
    rng = np.random.default_rng(0)
    image = rng.random((show.height, show.width))
    lifted = (
        show(image, np.zeros((1, 2))) + show(1 - image, np.zeros((1, 2))) - show(np.ones_like(image), np.zeros((1, 2)))
    )
    if np.abs(lifted).max() > 1e-6:
        return "what it shows is no average of pixels: it is not linear in the image, as a maximum is not", ""
    return None
