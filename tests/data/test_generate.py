"""Generated images: what a recipe says, what is rendered from it, and the batches made of both."""

import itertools
import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import strict_cupy
from checking import fills_slots
from hypothesis import given, settings
from hypothesis import strategies as st

from ramnp.backend import NUMPY
from ramnp.config import Config, DataConfig
from ramnp.data import load, scenes
from ramnp.data.batch import Batch
from ramnp.data.generate import Scene
from ramnp.data.prefetch import prefetch
from ramnp.data.source import SPLITS, DataSet, GeneratedSource, Split
from ramnp.errors import UsageError
from ramnp.training.trainer import Trainer

SCENE = Scene(size=20, pieces=3, piece_side=4)


def random_digits(count=30, height=8, width=8, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return Split(rng.integers(0, 256, (count, height, width, channels), np.uint8), rng.integers(0, 10, count))


def compose(scene, digits, recipe):
    """One image, pixel by pixel as the rules say: clutter first, then the digit, values clamped."""
    _, height, width, channels = digits.shape
    canvas = np.zeros((scene.size, scene.size, channels), int)
    side = scene.piece_side
    for piece in range(scene.pieces):
        donor, crop_top, crop_left, top, left = recipe[3 + 5 * piece : 8 + 5 * piece]
        crop = digits[donor, crop_top : crop_top + side, crop_left : crop_left + side]
        canvas[top : top + side, left : left + side] += crop
    canvas = np.minimum(canvas, 255)
    digit, top, left = recipe[:3]
    canvas[top : top + height, left : left + width] += digits[digit]
    return np.minimum(canvas, 255)


def batches(source, size, rng=None):
    """Everything a source gives, on the host: images without their border, and labels."""
    host = source.backend.to_host
    images, labels = [], []
    for canvas, answers, *_ in source.batches(size, rng):
        pixels, margin = host(canvas.pixels), canvas.margin
        inside = slice(margin, pixels.shape[1] - margin)
        images.append(pixels[:, inside, inside])
        assert pixels.sum() == images[-1].sum()  # the border is empty
        labels.append(host(answers))
    return np.concatenate(images), np.concatenate(labels)


# Rendering.


@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.integers(0, 4), st.integers(0, 5), st.integers(0, 3),
    st.integers(0, 2**32),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_a_rendered_image_is_what_its_recipe_says(height, width, channels, pieces, room, margin, seed):
    rng = np.random.default_rng(seed)
    digits = random_digits(5, height, width, channels, seed).images
    scene = Scene(max(height, width) + room, pieces, int(rng.integers(1, min(height, width) + 1)))
    recipes = scene.draw(rng, rng.integers(0, 5, 4), digits.shape)
    canvas = scene.render(digits, recipes, margin)
    assert canvas.margin == margin
    assert canvas.pixels.dtype == np.uint8
    assert canvas.image_shape == (scene.size, scene.size, channels)
    for pixels, recipe in zip(canvas.pixels, recipes, strict=True):
        expected = np.pad(compose(scene, digits, recipe), ((margin, margin), (margin, margin), (0, 0)))
        np.testing.assert_array_equal(pixels, expected)


def test_a_recipe_written_by_hand():
    digits = np.zeros((3, 2, 3, 1), np.uint8)
    digits[0, ..., 0] = [[1, 2, 3], [4, 5, 6]]
    digits[1, ..., 0] = [[10, 20, 30], [40, 50, 60]]
    digits[2, ..., 0] = [[100, 200, 100], [200, 250, 200]]
    #                  digit 2 at row 1, column 0; from digit 1 at (0, 1) to (1, 0); from digit 0 at (0, 0) to (3, 2)
    recipes = np.array([[2, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 3, 2]])
    canvas = Scene(size=5, pieces=2, piece_side=2).render(digits, recipes, 0)
    expected = [
        [0, 0, 0, 0, 0],
        [120, 230, 100, 0, 0],
        [250, 255, 200, 0, 0],  # 200 + 50, 250 + 60
        [0, 0, 1, 2, 0],
        [0, 0, 4, 5, 0],
    ]
    assert canvas.pixels[0, ..., 0].tolist() == expected


def test_rendering_gives_the_same_bits_on_every_backend_and_does_not_wait(backend):
    digits = random_digits().images
    recipes = SCENE.draw(np.random.default_rng(3), np.arange(30), digits.shape)
    expected = SCENE.render(digits, recipes, 2).pixels
    arguments = backend.asarray(digits), backend.asarray(recipes)
    before = strict_cupy.counts.syncs
    pixels = SCENE.render(*arguments, 2, backend.xp).pixels
    assert strict_cupy.counts.syncs == before
    np.testing.assert_array_equal(backend.to_host(pixels), expected)


def test_rendering_leaves_the_digits_as_they_were():
    digits = random_digits().images
    digits.flags.writeable = False
    recipes = SCENE.draw(np.random.default_rng(3), np.arange(30), digits.shape)
    recipes.flags.writeable = False
    SCENE.render(digits, recipes, 2)


# Recipes.


def test_every_column_of_a_recipe_is_uniform_over_its_range():
    """Chi-square of every column, and of all pairs of places, against equal frequencies."""
    count, height, width = 12, 7, 5
    scene = Scene(size=11, pieces=2, piece_side=3)
    chosen = np.zeros(40_000, int) + 4
    recipes = scene.draw(np.random.default_rng(0), chosen, (count, height, width, 1))
    assert recipes.shape == (len(chosen), 3 + 5 * 2)
    assert (recipes[:, 0] == 4).all()
    piece = (count, height - 3 + 1, width - 3 + 1, 11 - 3 + 1, 11 - 3 + 1)
    ranges = (11 - height + 1, 11 - width + 1, *piece * 2)
    for column, places in enumerate(ranges, 1):
        frequency = np.bincount(recipes[:, column])
        assert len(frequency) == places
        if places == count:  # donors: any digit but number 4
            assert frequency[4] == 0
            frequency = np.delete(frequency, 4)
        expected = len(chosen) / len(frequency)
        chi = ((frequency - expected) ** 2 / expected).sum()
        freedom = len(frequency) - 1
        assert chi < freedom + 5 * np.sqrt(2 * freedom), column
    correlation = np.corrcoef(recipes[:, 1:].T) - np.eye(len(ranges))
    assert np.abs(correlation).max() < 5 / np.sqrt(len(chosen))


@pytest.mark.parametrize("chosen", [0, 1])
def test_of_two_digits_the_clutter_is_the_other(chosen):
    recipes = SCENE.draw(np.random.default_rng(0), np.full(50, chosen), (2, 8, 8, 1))
    assert (recipes[:, 3::5] == 1 - chosen).all()


def test_a_digit_as_large_as_the_canvas_has_one_place():
    recipes = Scene(8, 1, 8).draw(np.random.default_rng(0), np.arange(20), (20, 8, 8, 1))
    assert not recipes[:, [1, 2, 4, 5, 6, 7]].any()


def test_recipes_do_not_depend_on_the_batches_in_which_they_are_drawn():
    shape = (50, 8, 8, 1)
    at_once = SCENE.draw(np.random.default_rng(1), np.arange(50), shape)
    rng = np.random.default_rng(1)
    parts = [SCENE.draw(rng, rows, shape) for rows in np.split(np.arange(50), [1, 8, 30])]
    np.testing.assert_array_equal(np.concatenate(parts), at_once)


def test_the_first_test_images_are_pinned():
    """A change here changes every test set, and makes old figures incomparable."""
    source = load(DataConfig(dataset="cluttered-mnist")).source("test", NUMPY, 0)
    canvas, labels, *_ = next(source.batches(5))
    assert labels.tolist() == [7, 2, 1, 0, 4]
    assert canvas.pixels.sum(axis=(1, 2, 3)).tolist() == [24790, 36811, 32807, 60221, 37564]


# Sources.


def source_of(split, backend=NUMPY, margin=0, stream=2, scene=SCENE):
    return GeneratedSource(split, scene, stream, backend, margin)


@pytest.mark.parametrize(("size", "margin"), [(1, 0), (7, 3), (30, 1), (100, 8)])
def test_evaluation_gets_the_same_images_whatever_the_batches_and_the_border(backend, size, margin):
    expected = batches(source_of(random_digits()), 30)
    images, labels = batches(source_of(random_digits(), backend, margin), size)
    np.testing.assert_array_equal(images, expected[0])
    np.testing.assert_array_equal(labels, random_digits().labels)


def test_a_source_can_be_asked_again():
    source = source_of(random_digits())
    np.testing.assert_array_equal(batches(source, 7)[0], batches(source, 7)[0])


def test_drawn_anew_the_same_digits_are_elsewhere_and_each_drawing_stays(backend):
    source = source_of(random_digits(), backend)
    drawings = [batches(source.redrawn(number), 7) for number in range(3)]
    np.testing.assert_array_equal(drawings[0][0], batches(source, 30)[0])
    for (images, labels), (others, _) in itertools.combinations(drawings, 2):
        assert (images != others).any(axis=(1, 2, 3)).all()
        np.testing.assert_array_equal(labels, random_digits().labels)
    np.testing.assert_array_equal(drawings[2][0], batches(source.redrawn(1).redrawn(2), 30)[0])
    places = source.redrawn(2).corners()
    assert (places != source.corners()).any()


def test_every_split_has_images_of_its_own():
    """Streams differ, or the same places would come up in all splits."""
    images = [batches(source_of(random_digits(), stream=stream), 30)[0] for stream in range(3)]
    assert not any(np.array_equal(images[a], images[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_training_images_are_made_afresh_from_the_generator_alone(backend):
    source = source_of(random_digits(), backend)
    epochs = [batches(source, 7, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(epochs[0][0], epochs[1][0])
    assert len(epochs[0][0]) == 28  # whole batches only
    assert not np.array_equal(epochs[0][0], epochs[2][0])
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(batches(source, 7, rng)[0], epochs[0][0])
    assert not np.array_equal(batches(source, 7, rng)[0], epochs[0][0])


def test_a_digit_is_composed_anew_in_every_epoch_and_unlike_in_evaluation():
    source = source_of(Split(random_digits().images, np.arange(30)))
    rng = np.random.default_rng(0)
    seen = []
    for drawn_from in (rng, rng, None):
        images, labels = batches(source, 30, drawn_from)
        seen.append(images[labels.argsort()])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (seen[a] != seen[b]).any(axis=(1, 2, 3)).all()


def test_images_composed_in_slots_are_the_same_and_stay_until_the_next():
    fills_slots(source_of(random_digits()), 7)


def test_training_images_show_the_digits_of_their_labels_each_once():
    digits = np.arange(1, 31, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    source = source_of(Split(digits, np.arange(30)), scene=Scene(20, 0, 4))
    images, labels = batches(source, 10, np.random.default_rng(0))
    assert sorted(labels) == list(range(30))
    assert labels.tolist() != list(range(30))
    np.testing.assert_array_equal(images.max(axis=(1, 2, 3)), labels + 1)
    assert ((images > 0).sum(axis=(1, 2, 3)) == 64).all()


def test_clutter_comes_from_the_digits_of_the_same_split():
    """Each split has a gray level of its own, and nothing else is found in its images."""
    levels = dict(zip(SPLITS, (3, 20, 50), strict=True))
    splits = [Split(np.full((20, 8, 8, 1), level, np.uint8), np.arange(20) % 10) for level in levels.values()]
    dataset = DataSet("x", 10, *splits, scene=SCENE)
    assert dataset.image_shape == (20, 20, 1)
    for split, level in levels.items():
        for rng in (None, np.random.default_rng(0)):
            images, _ = batches(dataset.source(split, NUMPY, 0), 5, rng)
            assert set(np.unique(images)) <= {level * times for times in range(5)}
            assert images.max() > level  # there was clutter under some digit


def test_a_batch_takes_one_upload_and_no_synchronisation(strict):
    source = source_of(random_digits(), strict, 4)
    for rng in (None, np.random.default_rng(0)):
        strict_cupy.counts.syncs = strict_cupy.counts.uploads = 0
        for number, _ in enumerate(source.batches(10, rng), 1):
            assert strict_cupy.counts.uploads == number
        assert strict_cupy.counts.syncs == 0


def test_training_on_generated_images_never_waits_for_the_device_and_equals_numpy(strict):
    small = {"patch": 4, "units": 8, "what_units": 4, "where_units": 4, "glimpse_units": 8, "batch_size": 5}
    config = Config(**small, scales=2)

    def trained(backend):
        rng = np.random.default_rng(0)
        trainer = Trainer(config, (20, 20, 1), 10, backend)
        source = source_of(random_digits(), backend, trainer.model.sensor.margin)
        strict_cupy.counts.syncs = 0
        for canvas, labels, *_ in source.batches(5, np.random.default_rng(1)):
            trainer.step(Batch(canvas, labels, trainer.model.draw(rng, 5)), 1e-2)
        assert strict_cupy.counts.syncs == 0
        return backend.to_host(trainer.model.parameters.values)

    np.testing.assert_array_equal(trained(strict), trained(NUMPY))


def test_a_large_test_set_is_not_held_in_memory():
    source = source_of(random_digits(60), scene=Scene(1000, 5, 4), margin=12)
    tracemalloc.start()
    try:
        count = sum(len(labels) for _, labels, *_ in source.batches(2))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 60
    assert peak < 10 << 20  # a batch takes 2 MiB; one is in use, one is being made


# The tasks.


@pytest.fixture
def tiny(monkeypatch):
    """Twelve training and six test digits, 28 x 28, in place of MNIST."""

    def load_digits(config):
        digits = random_digits(18, 28, 28)
        kept = 12 - config.validation
        return DataSet("mnist", 10, digits[:kept], digits[kept:12], digits[12:])

    monkeypatch.setattr(scenes, "MNIST", SimpleNamespace(load=load_digits))


@pytest.mark.parametrize(("dataset", "pieces"), [("translated-mnist", 0), ("cluttered-mnist", 7)])
def test_a_task_says_how_its_images_are_composed(tiny, dataset, pieces):
    loaded = load(DataConfig(dataset=dataset, validation=2, size=40, pieces=7, piece_side=9))
    assert (loaded.name, loaded.classes, loaded.image_shape) == (dataset, 10, (40, 40, 1))
    assert loaded.scene == Scene(40, pieces, 9)
    assert [len(getattr(loaded, split)) for split in SPLITS] == [10, 2, 6]
    for split in SPLITS:
        digits = getattr(loaded, split)
        images, labels = batches(loaded.source(split, NUMPY, 3), 4)
        np.testing.assert_array_equal(labels, digits.labels)
        recipes = loaded.scene.draw(
            np.random.default_rng([61406, SPLITS.index(split)]), np.arange(len(digits)), digits.images.shape
        )
        np.testing.assert_array_equal(images[-1], compose(loaded.scene, digits.images, recipes[-1]))


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"size": 27}, "--size 27"),
        ({"piece_side": 29}, "--piece-side 29"),
        ({"validation": 1}, "--validation"),
        ({"validation": 11}, "--validation"),
    ],
)
def test_what_cannot_be_composed_is_a_usage_error(tiny, options, flag):
    with pytest.raises(UsageError, match=flag):
        load(DataConfig(dataset="cluttered-mnist", **({"validation": 2} | options)))


@pytest.mark.parametrize("options", [{"size": 28}, {"piece_side": 28}, {"pieces": 0, "validation": 1}])
def test_the_limits_can_be_composed(tiny, options):
    dataset = load(DataConfig(dataset="cluttered-mnist", **({"validation": 2} | options)))
    for split in SPLITS:
        batches(dataset.source(split, NUMPY, 0), 5)


# Working ahead.


def test_prefetched_items_come_in_order():
    assert list(prefetch(range(100))) == list(range(100))
    assert list(prefetch([])) == []
    assert list(prefetch([None, None])) == [None, None]


def test_an_error_comes_where_it_happened_with_its_type():
    def items():
        yield 1
        yield 2
        raise KeyError("third")

    coming = prefetch(items())
    assert [next(coming), next(coming)] == [1, 2]
    with pytest.raises(KeyError, match="third"):
        next(coming)
    assert no_threads()


def no_threads():
    return not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_nothing_is_made_before_it_is_asked_for_and_only_one_ahead():
    made = []
    third = threading.Event()

    def items():
        for number in range(10):
            made.append(number)
            if number == 2:
                third.set()
            yield number

    coming = prefetch(items())
    assert made == []
    next(coming)
    next(coming)
    assert third.wait(10)  # made while the second is in use
    assert made == [0, 1, 2]
    coming.close()
    assert made == [0, 1, 2]


@pytest.mark.parametrize("how", ["close", "forget"])
def test_a_consumer_that_stops_leaves_no_thread_behind(how):
    coming = prefetch(iter(range(10**9)))
    next(coming)
    if how == "close":
        coming.close()
    del coming
    assert no_threads()


def test_only_the_host_works_ahead(strict):
    """On the stand-in for a GPU nothing runs in another thread."""
    made_in = []

    class Watched(Scene):
        def draw(self, *arguments):
            made_in.append(threading.current_thread())
            return super().draw(*arguments)

    scene = Watched(20, 1, 4)
    list(source_of(random_digits(), strict, scene=scene).batches(10))
    assert set(made_in) == {threading.main_thread()}
    made_in.clear()
    list(source_of(random_digits(), scene=scene).batches(10))
    assert threading.main_thread() not in made_in
