"""Test whether the policy of a trained network helps.

A network may answer well although its policy looks anywhere, or takes the same path in every image. On the images of a
split, three measurements show what the policy does.

**Error by glimpse and choice of locations.** The error of the action network's answer from each of h_1, ..., h_T. The
locations are those of the policy, those it chose for another image, uniform at random, or all at the centre. If the
policy helps, its own locations give the lowest error. The answer comes from one rollout per image, in which the
policy's locations are its means, or from class probabilities averaged over M sampled rollouts.

**How paths differ.** Paths from the same first location can differ between images only if the policy uses what it
sees. Let l_t(b, m) be the deterministic location for image b from start m. Its variance splits into a part between
images and a part between starts:

    var_{b,m} l_t  =  mean_m var_b l_t(b, m)  +  var_m mean_b l_t(b, m).

The root of each part is reported for each axis. A policy that always takes the same path has 0 between images.

**Where the digit is** (known for translated and cluttered MNIST). Three figures: the distance from the centre of the
glimpse to that of the digit; the share of glimpses whose centre lies on the digit's square; and the mutual information
between the location and the digit's position, in bits,

    I = sum_{i,j} p_ij log2(p_ij / (p_i p_j)),    i a cell of locations, j a cell of positions, 36 cells each.

The cells are cut so that each row and each column of cells holds the same number of images. A finite sample
overstates I. To measure this bias, the same sum is taken with the positions shuffled among the images, where the true I
is 0.

Results are reproducible: all random numbers come from one seed, and the policy's rollouts are those of ramnp.evaluate.
"""

from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.data.source import GeneratedSource, Source
from ramnp.network.model import RecurrentAttentionModel, Rollout
from ramnp.network.sensor import Canvas, ruler
from ramnp.training.measure import DETERMINISTIC, GRID, SAMPLED, SEED, from_places, numbered

RANDOM, SHUFFLED = 2, 3  # streams of random numbers, besides those of evaluate
CHOOSERS = {  # whose locations the network looks at, in words
    "policy": "of its policy",
    "another": "of another image",
    "random": "at random",
    "centre": "at the centre",
}
CELLS = 6  # cells of locations and of positions on each axis, for the mutual information
SHUFFLES = 10  # shuffled copies that the bias is averaged over
BINS = 24  # cells of a map on each axis, for the plots


def analyse(
    model: RecurrentAttentionModel, source: Source, rollouts: int = 10, limit_batches: int | None = None
) -> dict[str, Any]:
    """All measurements, for JSON: {"errors", "paths", "looks", "digit"}. For a control only the errors.

    Args:
        rollouts: M, the number of rollouts to average probabilities over.
        limit_batches: analyse only this many batches; None for all.
    """
    learned = not model.config.control
    choosers = tuple(CHOOSERS) if learned else ("policy",)
    analysis: dict[str, Any] = {"errors": errors_by_glimpse(model, source, rollouts, limit_batches, choosers)}
    if learned:
        analysis["paths"] = spread_of_paths(model, source, limit_batches)
        looks = pixel_paths(model, source, limit_batches)
        height, width, _ = model.image_shape
        analysis["looks"] = {"extent": [0, width, 0, height], "counts": histograms(looks, (0, width), (0, height))}
        if isinstance(source, GeneratedSource):
            analysis["digit"] = looks_at_digit(looks, source)
    return analysis


def look_along(model: RecurrentAttentionModel, canvas: Canvas, locations: Array) -> Rollout:
    """A rollout that looks at the given `locations` (T, R, 2) instead of those that the policy would choose."""
    return model.forward(canvas, locations, samples=locations[model.given :])


def answers_by_glimpse(model: RecurrentAttentionModel, rollout: Rollout, images: int) -> Array:
    """The answers (T, B) from each h_t, by class probabilities averaged over the rollouts of each image."""
    p = model.xp.exp(model.answers(rollout.h)).reshape(len(rollout.h), -1, images, model.classes)
    return p.mean(axis=1).argmax(axis=2)


def errors_by_glimpse(
    model: RecurrentAttentionModel,
    source: Source,
    rollouts: int = 10,
    limit_batches: int | None = None,
    choosers: tuple[str, ...] = tuple(CHOOSERS),
) -> dict[str, dict[str, list[float]]]:
    """The error in percent after 1..T glimpses: {chooser: {"one": [...], "averaged": [...]}}.

    The last figures of "policy" are the deterministic and the averaged error of evaluate. "another" takes the locations
    of the previous image in the batch; an image that is alone in its batch gets its own.
    """
    wrong = {chooser: {"one": 0, "averaged": 0} for chooser in choosers}
    images = 0
    for number, canvas, labels in numbered(source, limit_batches):
        size = len(labels)
        images += size
        for kind, stream, m in (("one", DETERMINISTIC, 1), ("averaged", SAMPLED, model.rollouts(rollouts))):
            rng = np.random.default_rng([SEED, stream, number])
            own = model.forward(canvas, model.draw(rng, m * size, deterministic=kind == "one"))
            rng = np.random.default_rng([SEED, RANDOM, stream, number])
            for chooser in choosers:
                rollout = rollout_of(chooser, model, canvas, own, rng)
                wrong[chooser][kind] += (answers_by_glimpse(model, rollout, size) != labels).sum(axis=1)
    return {
        chooser: {
            kind: (100 * model.backend.to_host(count) / images).round(4).tolist() for kind, count in kinds.items()
        }
        for chooser, kinds in wrong.items()
    }


def rollout_of(
    chooser: str, model: RecurrentAttentionModel, canvas: Canvas, own: Rollout, rng: np.random.Generator
) -> Rollout:
    """The rollout with the locations of a chooser (a key of `CHOOSERS`), given the `own` rollout of the policy."""
    xp, (steps, rows, _), size = model.xp, own.locations.shape, len(canvas.pixels)
    if chooser == "policy":
        return own
    if chooser == "another":
        by_image = own.locations.reshape(steps, rows // size, size, 2)
        return look_along(model, canvas, xp.roll(by_image, 1, axis=2).reshape(own.locations.shape))
    if chooser == "random":
        uniform = rng.uniform(-1, 1, own.locations.shape).astype(model.dtype)
        return look_along(model, canvas, model.backend.asarray(uniform))
    # One rollout per image is enough for the centre: they would all be the same.
    return look_along(model, canvas, xp.zeros((steps, size, 2), dtype=model.dtype))


def spread_of_paths(model: RecurrentAttentionModel, source: Source, limit_batches: int | None = None) -> dict[str, Any]:
    """Standard deviations of x and y of the deterministic locations l_2..l_T, in units of l.

    Returns:
        {"pixels": pixels along x and y per unit of l; "from_centre": (T-1) x 2, between images, all from the centre;
        "between_images", "between_starts": (T-1) x 2, from the nine first locations of `measure.GRID`}. A policy that
        learns its first location has only that start.
    """
    # A model that chooses its first location blind, before it sees anything, takes this zero as noise: no noise.
    places = np.zeros((1, 2)) if model.blind else GRID
    steps = model.config.glimpses
    images, sums, squares = 0, np.zeros(()), np.zeros(())
    for _, canvas, labels in numbered(source, limit_batches):
        rollout = from_places(model, canvas, places)
        after = model.backend.to_host(rollout.locations[1:]).astype(np.float64)
        after = after.reshape(steps - 1, len(places), len(labels), 2)
        images, sums, squares = images + len(labels), sums + after.sum(axis=2), squares + (after**2).sum(axis=2)
    means = sums / images  # (T-1, starts, 2)
    variances = np.maximum(squares / images - means**2, 0)
    height, width, _ = model.image_shape
    spreads = {
        "from_centre": variances[:, len(places) // 2],
        "between_images": variances.mean(axis=1),
        "between_starts": means.var(axis=1),
    }
    return {"pixels": [width / 2, height / 2]} | {
        name: np.sqrt(variance).round(5).tolist() for name, variance in spreads.items()
    }


def pixel_paths(model: RecurrentAttentionModel, source: Source, limit_batches: int | None = None) -> np.ndarray:
    """The locations (T, n, 2) of the images' deterministic rollouts, in pixels along x and y."""
    paths = []
    for number, canvas, labels in numbered(source, limit_batches):
        rng = np.random.default_rng([SEED, DETERMINISTIC, number])
        rollout = model.forward(canvas, model.draw(rng, len(labels), deterministic=True))
        paths.append(model.backend.to_host(rollout.locations))
    height, width, _ = model.image_shape
    return ruler(np.concatenate(paths, axis=1).astype(np.float64), np.array([width, height]))


def histograms(points: np.ndarray, x: tuple[float, float], y: tuple[float, float]) -> list[list[list[int]]]:
    """Count points (T, n, 2) in BINS x BINS cells: T maps, rows from the top. Points outside are not counted."""
    return [np.histogram2d(at[:, 1], at[:, 0], BINS, (y, x))[0].astype(int).tolist() for at in points]


def looks_at_digit(looks: np.ndarray, source: GeneratedSource) -> dict[str, Any]:
    """Compare where the glimpses look, (T, n, 2) in pixels, with where the digits of the first n images lie.

    Returns:
        {"distance", "inside": {"policy": T figures; "random", "centre": one figure each}, in pixels and in percent;
        "information": {"bits", "shuffled": T figures each}; "extent", "counts": maps relative to the digit's centre;
        "side": width and height of the digit's square}.
    """
    count = looks.shape[1]
    _, height, width, _ = source.digits.shape
    half = np.array([width, height]) / 2
    digit = source.corners()[:count, ::-1] + half  # (x, y) of the centres
    size = source.scene.size
    places = {
        "policy": looks,
        "random": np.random.default_rng([SEED, RANDOM]).uniform(0, size, (SHUFFLES, count, 2)),
        "centre": np.full((1, count, 2), size / 2),
    }
    distance, inside = {}, {}
    for name, at in places.items():
        away = at - digit
        distances, on = np.hypot(away[..., 0], away[..., 1]).mean(axis=1), (abs(away) <= half).all(axis=2).mean(axis=1)
        if name != "policy":
            distances, on = distances.mean(), on.mean()
        distance[name], inside[name] = distances.round(3).tolist(), (100 * on).round(2).tolist()
    rng = np.random.default_rng([SEED, SHUFFLED])
    bits = [information(at, digit) for at in looks]
    shuffled = [np.mean([information(at, rng.permutation(digit)) for _ in range(SHUFFLES)]) for at in looks]
    reach = (-size / 2, size / 2)
    return {
        "distance": distance,
        "inside": inside,
        "information": {"bits": np.round(bits, 4).tolist(), "shuffled": np.round(shuffled, 4).tolist()},
        "extent": [*reach, *reach],
        "side": [width, height],
        "counts": histograms(looks - digit, reach, reach),
    }


def information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information in bits between points a and b, (n, 2) each: I at the top of this file."""
    joint = np.zeros((CELLS**2, CELLS**2))  # p_ij
    np.add.at(joint, (cells(a), cells(b)), 1 / len(a))
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)  # p_i p_j
    there = joint > 0  # p log p is 0 at p = 0
    return float((joint[there] * np.log2(joint[there] / independent[there])).sum())


def cells(points: np.ndarray) -> np.ndarray:
    """The cell (n,) of each point (n, 2), numbered row by row. Cells are cut at the quantiles of x and of y."""
    cuts = np.linspace(0, 1, CELLS + 1)[1:-1]
    x, y = (np.searchsorted(np.quantile(axis, cuts), axis, side="right") for axis in points.T)
    return y * CELLS + x
