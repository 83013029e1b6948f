"""`python -m ramnp.analysis PATH`: whether the policy of a trained network does anything.

A network may answer well although its policy looks anywhere, or follows the same path on every image. So, on a split:

**Errors by glimpse, by who chooses the locations.** What the action network answers from h_1, ..., h_T, where the
locations are the policy's, those it chose for another image, uniform at random, or all at the centre. From one rollout
an image (the policy's locations are then its means), and from class probabilities averaged over M rollouts.

**How paths differ.** From the same first location, the deterministic l_t of different images differ only as far as the
policy looks at what it sees. With l_t(b, m) that of image b from start m, the variance splits into

    var_{b,m} l_t  =  mean_m var_b l_t(b, m)  +  var_m mean_b l_t(b, m),

between images and between starts; its root is reported for either, for each axis. A policy that follows one path has 0
between images.

**Where the digit is** (known of translated and cluttered MNIST): the distance from glimpse to digit, centre to
centre, the share of glimpses whose centre lies on the digit's square, and the mutual information between the location
and the digit's position,

    I = sum_{i,j} p_ij log2(p_ij / (p_i p_j)),    i a cell of locations, j one of positions, 36 cells each,

cut so that every row and column of cells holds as many images. Counts of finitely many images overstate I; by how much
tells the same sum with the positions shuffled among the images, which would be 0 bits.

Everything is the same each time: all random numbers come from one seed, those of the policy's rollouts are evaluate's.
"""

from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.data.source import GeneratedSource, Source
from ramnp.network.model import RecurrentAttentionModel, Rollout
from ramnp.network.sensor import Canvas, ruler
from ramnp.training.measure import DETERMINISTIC, GRID, SAMPLED, SEED, from_places, numbered

RANDOM, SHUFFLED = 2, 3  # streams of random numbers beside evaluate's
CHOOSERS = {  # of locations, and how they are called
    "policy": "of its policy",
    "another": "of another image",
    "random": "at random",
    "centre": "at the centre",
}
CELLS = 6  # of locations and of positions, on each axis
SHUFFLES = 10
BINS = 24  # of the pictures, on each axis


def analyse(
    model: RecurrentAttentionModel, source: Source, rollouts: int = 10, limit_batches: int | None = None
) -> dict[str, Any]:
    """All of the above, for JSON: {"errors", "paths", "looks", "digit"}; of a control the errors alone.

    Args:
        rollouts: M, over which probabilities are averaged.
        limit_batches: analyse only so many batches.
    """
    learned = model.config.policy == "learned"
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
    """The rollout that looks at `locations` (T, R, 2), whatever the policy would choose."""
    return model.forward(canvas, locations, samples=locations[model.given :])


def answers_by_glimpse(model: RecurrentAttentionModel, rollout: Rollout, images: int) -> Array:
    """(T, B) the answer from each h_t, by class probabilities averaged over each image's rollouts."""
    p = model.xp.exp(model.answers(rollout.h)).reshape(len(rollout.h), -1, images, model.classes)
    return p.mean(axis=1).argmax(axis=2)


def errors_by_glimpse(
    model: RecurrentAttentionModel,
    source: Source,
    rollouts: int = 10,
    limit_batches: int | None = None,
    choosers: tuple[str, ...] = tuple(CHOOSERS),
) -> dict[str, dict[str, list[float]]]:
    """Errors in percent after 1..T glimpses: {chooser: {"one": [...], "averaged": [...]}}.

    The last ones of "policy" are evaluate's deterministic and averaged figures. "another" has the locations of the
    image before in its batch; an image that is alone in a batch has its own.
    """
    xp, steps = model.xp, model.config.glimpses
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
                if chooser == "policy":
                    rollout = own
                elif chooser == "another":
                    of_images = own.locations.reshape(steps, m, size, 2)
                    rollout = look_along(model, canvas, xp.roll(of_images, 1, axis=2).reshape(own.locations.shape))
                elif chooser == "random":
                    uniform = rng.uniform(-1, 1, own.locations.shape).astype(model.dtype)
                    rollout = look_along(model, canvas, model.backend.asarray(uniform))
                else:  # all rollouts are the same
                    rollout = look_along(model, canvas, xp.zeros((steps, size, 2), dtype=model.dtype))
                wrong[chooser][kind] += (answers_by_glimpse(model, rollout, size) != labels).sum(axis=1)
    return {
        chooser: {
            kind: (100 * model.backend.to_host(count) / images).round(4).tolist() for kind, count in kinds.items()
        }
        for chooser, kinds in wrong.items()
    }


def spread_of_paths(model: RecurrentAttentionModel, source: Source, limit_batches: int | None = None) -> dict[str, Any]:
    """How the deterministic locations l_2..l_T spread, as standard deviations of x and y, in units of l.

    Returns:
        {"pixels": pixels along x and y in a unit of l; "from_centre": (T-1) x 2, over images, all from the centre;
        "between_images", "between_starts": (T-1) x 2, from the nine places of `evaluate.GRID`}. A policy that learns
        its first location has but its own start.
    """
    places = np.zeros((1, 2)) if model.blind else GRID  # blind: its start is learned, this is no noise
    steps = model.config.glimpses
    images, sums, squares = 0, np.zeros(()), np.zeros(())
    for _, canvas, labels in numbered(source, limit_batches):
        rollout = from_places(model, canvas, places)
        where = model.backend.to_host(rollout.locations[1:]).astype(np.float64)
        where = where.reshape(steps - 1, len(places), len(labels), 2)
        images, sums, squares = images + len(labels), sums + where.sum(axis=2), squares + (where**2).sum(axis=2)
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
    """(T, n, 2) where the deterministic rollouts of the images look, in pixels along x and y."""
    paths = []
    for number, canvas, labels in numbered(source, limit_batches):
        rng = np.random.default_rng([SEED, DETERMINISTIC, number])
        rollout = model.forward(canvas, model.draw(rng, len(labels), deterministic=True))
        paths.append(model.backend.to_host(rollout.locations))
    height, width, _ = model.image_shape
    return ruler(np.concatenate(paths, axis=1).astype(np.float64), np.array([width, height]))


def histograms(points: np.ndarray, x: tuple[float, float], y: tuple[float, float]) -> list[list[list[int]]]:
    """Counts of points (T, n, 2) in cells: T x rows from the top x columns. Points outside are left out."""
    return [np.histogram2d(at[:, 1], at[:, 0], BINS, (y, x))[0].astype(int).tolist() for at in points]


def looks_at_digit(looks: np.ndarray, source: GeneratedSource) -> dict[str, Any]:
    """How the places looked at, (T, n, 2) in pixels, go with where the digits of the first n images lie.

    Returns:
        {"distance", "inside": {"policy": T figures, "random", "centre": one, of such places}, in pixels and percent;
        "information": {"bits", "shuffled": T figures each}; "extent", "counts": histograms relative to the digit}.
    """
    count = looks.shape[1]
    _, height, width, _ = source.digits.shape
    half = np.array([width, height]) / 2
    digit = source.corners()[:count, ::-1] + half
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
    """Mutual information in bits between points a and b, (n, 2) each, from counts in cells: see above."""
    joint = np.zeros((CELLS**2, CELLS**2))
    np.add.at(joint, (cells(a), cells(b)), 1 / len(a))
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / independent[there])).sum())


def cells(points: np.ndarray) -> np.ndarray:
    """(n,) numbers of the cells in which points (n, 2) lie, cut at quantiles of x and of y."""
    cuts = np.linspace(0, 1, CELLS + 1)[1:-1]
    x, y = (np.searchsorted(np.quantile(axis, cuts), axis, side="right") for axis in points.T)
    return y * CELLS + x
