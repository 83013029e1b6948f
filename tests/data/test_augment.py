"""Augmentation: what a map says, what is drawn, what is warped, and the training that uses it."""

import dataclasses
import math

import numpy as np
import pytest
from checking import STRICT
from hypothesis import given, settings
from hypothesis import strategies as st

from ramnp.backend import NUMPY
from ramnp.config import AugmentConfig, Config
from ramnp.data import augment
from ramnp.data.augment import Augmentation, warp
from ramnp.data.source import Source, Split
from ramnp.network.sensor import Canvas, pad
from ramnp.training.trainer import Trainer

ALL = Augmentation("both", 2.5, 0.3, 40.0, 0.4)
IDENTITY = np.array([[[1, 0, 0], [0, 1, 0]]], dtype=np.float32)


def warped(image, matrix, shift):
    """One image (H, W, C) in float64, pixel by pixel, as the equation says."""
    height, width, _ = image.shape
    new = np.empty(image.shape)
    for row in range(height):
        for column in range(width):
            x, y = matrix @ [column - (width - 1) / 2, row - (height - 1) / 2] + shift
            x, y = min(max(x + (width - 1) / 2, 0), width - 1), min(max(y + (height - 1) / 2, 0), height - 1)
            left, above = math.floor(x), math.floor(y)
            right, below = min(left + 1, width - 1), min(above + 1, height - 1)
            fx, fy = x - left, y - above
            new[row, column] = (
                (1 - fy) * ((1 - fx) * image[above, left] + fx * image[above, right])
                + fy * ((1 - fx) * image[below, left] + fx * image[below, right])
            )  # fmt: skip
    return new


@given(
    st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 3),
    st.sampled_from([np.uint8, np.float32, np.float64]), st.sampled_from([1, 20, 1 << 16]), st.integers(0, 2**32),
)  # fmt: skip
@settings(deadline=None, max_examples=80)
def test_a_warped_image_is_what_its_map_says(images, height, width, channels, margin, dtype, block, seed):
    rng = np.random.default_rng(seed)
    given = rng.integers(0, 256, (images, height, width, channels)).astype(dtype)
    maps = ALL.draw(rng, images)
    expected = np.stack(
        [warped(image, map[:, :2], map[:, 2]) for image, map in zip(given, maps.astype(np.float64), strict=True)]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "BLOCK", block)
        canvas = warp(pad(given, margin), maps)
    assert canvas.margin == margin
    assert canvas.pixels.dtype == dtype
    assert np.count_nonzero(canvas.pixels) == np.count_nonzero(canvas.images)  # the border is empty
    # A place is rounded to about 1e-6 of a pixel, and neighbours differ by at most 255; bytes are whole numbers.
    np.testing.assert_allclose(canvas.images, expected, atol=0.502 if dtype == np.uint8 else 2e-3)


def test_a_map_that_changes_nothing_changes_no_bit(backend, rng):
    for dtype in (np.uint8, np.float32):
        images = rng.integers(0, 256, (3, 5, 7, 3)).astype(dtype)
        canvas = pad(backend.asarray(images), 2, backend.xp)
        new = warp(canvas, backend.asarray(IDENTITY.repeat(3, axis=0)), backend.xp)
        np.testing.assert_array_equal(backend.to_host(new.pixels), backend.to_host(canvas.pixels))


def test_shifts_flips_and_quarter_turns_move_whole_pixels(rng):
    image = rng.integers(0, 256, (1, 6, 6, 1), dtype=np.uint8)

    def new(matrix, shift):
        return warp(Canvas(image, 0), np.array([np.column_stack([matrix, shift])], dtype=np.float32)).pixels[0]

    one = np.eye(2)
    np.testing.assert_array_equal(new(one, [2, 1])[:5, :4], image[0, 1:, 2:])
    np.testing.assert_array_equal(new(one, [2, 0])[:, 4:], image[0, :, [5, 5]].transpose(1, 0, 2))  # the edge goes on
    np.testing.assert_array_equal(new(np.diag([-1, 1]), [0, 0]), image[0, :, ::-1])
    np.testing.assert_array_equal(new(np.diag([1, -1]), [0, 0]), image[0, ::-1])
    np.testing.assert_array_equal(new([[0, -1], [1, 0]], [0, 0]), np.rot90(image[0]))


def test_every_backend_warps_to_the_same_pixels(backend, rng):
    images = rng.integers(0, 256, (5, 9, 12, 3), dtype=np.uint8)
    maps = ALL.draw(rng, 5)
    new = warp(pad(backend.asarray(images), 3, backend.xp), backend.asarray(maps), backend.xp)
    expected = warp(pad(images, 3), maps)
    difference = backend.to_host(new.pixels).astype(int) - expected.pixels
    assert np.abs(difference).max() <= (0 if backend is STRICT else 1)


def test_a_canvas_is_left_as_it_is(rng):
    canvas = pad(rng.integers(0, 256, (2, 5, 5, 1), dtype=np.uint8), 1)
    canvas.pixels.flags.writeable = False
    warp(canvas, ALL.draw(rng, 2))


# What is drawn.


def factors(maps):
    """The flips (as signs), zoom, angle in degrees and shear of maps, from their matrices."""
    a, b, c, d = maps[:, :, :2].reshape(-1, 4).astype(np.float64).T
    determinant = a * d - b * c
    return np.sign(determinant), 1 / np.sqrt(np.abs(determinant))


def test_the_draws_stay_within_what_was_asked_for_and_reach_it(rng):
    maps = Augmentation("none", 3.0, 0.25, 0.0, 0.0).draw(rng, 4000)
    assert np.abs(maps[:, :, 2]).max() == pytest.approx(3, abs=0.01)
    assert np.abs(maps[:, :, 2].mean(axis=0)).max() < 0.15
    sign, zoom = factors(maps)
    assert (sign == 1).all()
    assert (zoom.min(), zoom.max()) == (pytest.approx(1 / 1.25, abs=1e-3), pytest.approx(1.25, abs=1e-3))
    assert np.log(zoom).mean() == pytest.approx(0, abs=0.01)
    turned = Augmentation("none", 0.0, 0.0, 30.0, 0.0).draw(rng, 4000)[:, :, :2]
    angles = np.degrees(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert (angles.min(), angles.max()) == (pytest.approx(-30, abs=0.1), pytest.approx(30, abs=0.1))
    np.testing.assert_allclose(turned @ turned.transpose(0, 2, 1), np.broadcast_to(np.eye(2), turned.shape), atol=1e-6)
    slopes = Augmentation("none", 0.0, 0.0, 0.0, 0.5).draw(rng, 4000)[:, :, :2]
    assert np.abs(slopes[:, 0, 1]).max() == pytest.approx(0.5, abs=1e-2)
    assert slopes[:, 0, 1].mean() == pytest.approx(0, abs=0.02)
    slopes[:, 0, 1] = 0
    np.testing.assert_array_equal(slopes, np.broadcast_to(np.eye(2), slopes.shape))


@pytest.mark.parametrize(("flip", "across", "down"), [("none", 0, 0), ("horizontal", 0.5, 0), ("both", 0.5, 0.5)])
def test_half_of_the_images_are_mirrored(flip, across, down, rng):
    maps = Augmentation(flip).draw(rng, 4000)
    assert (maps[:, 0, 0] == -1).mean() == pytest.approx(across, abs=0.03)
    assert (maps[:, 1, 1] == -1).mean() == pytest.approx(down, abs=0.03)
    assert set(np.unique(np.abs(maps))) <= {0, 1}


def test_the_map_is_the_product_of_the_docstring(rng):
    """R(rotate) [1 shear; 0 1] diag(flip) / zoom, with the numbers that one seed gives."""
    mirror_x, mirror_y, shift_x, shift_y, zoom, rotate, shear = 2 * np.random.default_rng(3).random((50, 7)).T - 1
    for k, map in enumerate(ALL.draw(np.random.default_rng(3), 50)):
        angle = math.radians(40 * rotate[k])
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        flip = np.diag([-1 if mirror_x[k] < 0 else 1, -1 if mirror_y[k] < 0 else 1])
        expected = turn @ [[1, 0.4 * shear[k]], [0, 1]] @ flip / 1.3 ** zoom[k]
        np.testing.assert_allclose(map[:, :2], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(map[:, 2], [2.5 * shift_x[k], 2.5 * shift_y[k]], rtol=1e-5)


def test_an_image_does_not_depend_on_the_batch_size():
    whole = ALL.draw(np.random.default_rng(0), 12)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(np.concatenate([ALL.draw(rng, 5), ALL.draw(rng, 7)]), whole)


def test_by_default_nothing_is_changed():
    assert Augmentation.of(AugmentConfig()) is None
    for changes in ({"flip": "both"}, {"shift": 1.0}, {"zoom": 0.1}, {"rotate": 5.0}, {"shear": 0.1}):
        assert Augmentation.of(AugmentConfig(**changes)) == Augmentation(**changes)


# In training.

TINY = {
    "patch": 3, "units": 8, "what_units": 4, "where_units": 4, "glimpse_units": 8, "policy_hidden": 4,
    "batch_size": 12, "dtype": "float64",
}  # fmt: skip
CHANGED = Config(**TINY, **dataclasses.asdict(ALL))


def weights(config, backend=NUMPY, epochs=2):
    """The weights after training on a few random images."""
    trainer = Trainer(config, (20, 20, 1), 5, backend)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (36, 20, 20, 1)).astype(np.uint8)
    source = Source(Split(images, rng.integers(0, 5, 36)), backend, trainer.model.margin)
    for epoch in range(1, epochs + 1):
        for batch in trainer.batches(source, epoch):
            trainer.step(batch, 1e-2)
    return backend.to_host(trainer.model.parameters.values).copy()


def test_the_batches_carry_maps_of_their_epoch():
    trainer = Trainer(CHANGED, (20, 20, 1), 5, NUMPY)
    source = Source(Split(np.zeros((36, 20, 20, 1), np.uint8), np.zeros(36, int)), NUMPY, trainer.model.margin)
    first, again, second = ([batch.maps for batch in trainer.batches(source, epoch)] for epoch in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert Trainer(Config(**TINY), (20, 20, 1), 5, NUMPY).augmentation is None


def test_augmentation_changes_neither_the_order_nor_the_locations():
    images = Split(np.zeros((36, 20, 20, 1), np.uint8), np.arange(36))
    with_it, without = (Trainer(config, (20, 20, 1), 36, NUMPY) for config in (CHANGED, Config(**TINY)))
    source = Source(images, NUMPY, without.model.margin)
    for one, other in zip(with_it.batches(source, 1), without.batches(source, 1), strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.randomness, other.randomness)


def test_a_step_trains_on_the_warped_images():
    assert not np.array_equal(weights(CHANGED), weights(Config(**TINY)))
    assert not np.array_equal(weights(CHANGED), weights(dataclasses.replace(CHANGED, rotate=20.0)))


@pytest.mark.parametrize("changes", [{}, {"model": "cnn", "fc_units": 8}, {"rollouts": 2}], ids=str)
def test_every_backend_trains_on_the_same(changes):
    config = dataclasses.replace(CHANGED, **changes)
    np.testing.assert_array_equal(weights(config, STRICT), weights(config))


def test_workers_change_nothing_but_rounding():
    one, several = weights(CHANGED), weights(dataclasses.replace(CHANGED, workers=3))
    np.testing.assert_allclose(several, one, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(several, weights(dataclasses.replace(CHANGED, workers=3)))
