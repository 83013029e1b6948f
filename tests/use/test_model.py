"""A trained model: what it takes, what it answers, where it looks."""

import numpy as np
import pytest
from PIL import Image
from tiny import SHAPE, tiny_model

import ramnp
from ramnp.config import Config
from ramnp.errors import CheckpointError, DataError, UsageError
from ramnp.network.look import Look
from ramnp.network.sensor import pad
from ramnp.training import checkpoint
from ramnp.training.trained import names_of


@pytest.fixture
def model():
    return tiny_model()


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, *SHAPE), dtype=np.uint8)


@pytest.fixture
def file(images, tmp_path):
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "scan.png")
    return tmp_path / "scan.png"


def forms(images, file):
    """The first image, as people have it."""
    gray = images[0, ..., 0]
    return {
        "(H, W)": gray,
        "(H, W, C)": images[0],
        "(n, H, W)": images[:1, ..., 0],
        "(n, H, W, C)": images[:1],
        "floats": images[0] / 255,
        "nested lists": (gray / 255).tolist(),
        "Pillow": Image.fromarray(gray),
        "Pillow in colour": Image.fromarray(gray).convert("RGB"),
        "Pillow with transparency": Image.fromarray(gray).convert("RGBA"),
        "path": file,
        "string": str(file),
        "list": [file],
        "tuple": (gray,),
    }


@pytest.mark.parametrize("form", forms(np.zeros((1, *SHAPE), np.uint8), None))
def test_an_image_is_the_same_in_every_form(model, images, file, form):
    expected = model.network.probabilities(images[:1])
    given = forms(images, file)[form]
    assert np.allclose(model.probabilities(given), expected, atol=1e-5)
    answer = model.predict(given)
    assert answer.shape == (1,)
    assert answer.dtype.kind == "i"
    assert answer[0] == expected.argmax()


def test_a_list_mixes_files_arrays_and_pillow_images(model, images, file):
    mixed = [str(file), images[1, ..., 0], Image.fromarray(images[2, ..., 0]), images[3] / np.float32(255)]
    assert np.allclose(model.probabilities(mixed), model.probabilities(images[:4]), atol=1e-5)


def test_a_gray_image_is_repeated_for_a_model_of_colours(images, file):
    model = tiny_model((12, 10, 3))
    expected = model.network.probabilities(images[:1].repeat(3, axis=3))
    for given in (images[0], images[0, ..., 0], file, Image.fromarray(images[0, ..., 0])):
        assert np.array_equal(model.probabilities(given), expected)


def test_colours_of_a_file_become_gray_as_pillow_does(model, rng, tmp_path):
    coloured = Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8))
    coloured.save(tmp_path / "coloured.png")
    assert np.array_equal(model.probabilities(tmp_path / "coloured.png"), model.probabilities(coloured.convert("L")))


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (np.zeros((5, 5), np.uint8), UsageError, "the model is for images (n, 12, 10, 1), got (5, 5)"),
        (np.zeros((12, 10, 3), np.uint8), UsageError, "got (12, 10, 3)"),
        (np.zeros((2, 1, 12, 10)), UsageError, "got (2, 1, 12, 10)"),
        ([np.zeros((12, 10)), np.zeros((10, 12))], UsageError, "image 1 is 10x12x1 pixels, and the model is for"),
        (Image.new("L", (12, 10)), UsageError, "image 0 is 10x12x1 pixels"),
        (Image.new("F", (10, 12)), DataError, "image 0 has pixels of the unsupported mode F"),
        (np.full((12, 10), 7), UsageError, "got int64"),
        (np.full((12, 10), 7.0), UsageError, "floats in [0, 1]"),
        ("none.png", DataError, "cannot read none.png"),
        ([[1, 2], [3]], UsageError, "these are no images"),
    ],
)  # fmt: skip
def test_what_is_no_image_for_the_model_is_refused(model, wrong, error, said):
    for ask in (model.predict, model.look):
        with pytest.raises(error) as caught:
            ask(wrong)
        assert said in str(caught.value)


def test_no_images_give_no_answers(model):
    assert model.predict([]).shape == (0,)
    assert model.predict(np.zeros((0, *SHAPE), np.uint8)).shape == (0,)
    assert model.look(np.zeros((0, *SHAPE), np.uint8)) == []


@pytest.mark.parametrize("first", ["uniform", "centre", "learned"])
def test_a_look_ends_with_the_answer_of_predict(rng, first):
    model = tiny_model(first_location=first)
    images = rng.integers(0, 256, (300, *SHAPE), dtype=np.uint8)  # more than a batch
    looks = model.look(images, seed=3)
    assert [look.answer for look in looks] == model.predict(images, seed=3).tolist()
    p = np.array([look.steps[-1].probabilities for look in looks])
    assert np.allclose(p, model.probabilities(images, seed=3), atol=1e-6)
    assert all(np.array_equal(look.image, image) for look, image in zip(looks, images, strict=True))


def test_a_step_says_where_and_what(images):
    model = tiny_model(scales=2, names=("a", "b", "c", "d"))
    look: Look = model.look(images[1])[0]
    assert len(look.steps) == 3
    canvas = pad(images[1:2], 20)
    for step in look.steps:
        x, y = step.location
        assert np.allclose(step.pixel, [(x + 1) * 10 / 2 - 0.5, (y + 1) * 12 / 2 - 0.5])
        assert step.patches.shape == (2, 4, 4, 1)
        for (left, top, right, bottom), side, patch in zip(step.boxes, (4, 8), step.patches, strict=True):
            assert (right - left, bottom - top) == (side, side)
            assert abs((left + right) / 2 - 0.5 - step.pixel[0]) <= 0.5
            crop = canvas.pixels[0, top + 20 : bottom + 20, left + 20 : right + 20] / 255
            factor = side // 4
            assert np.allclose(crop.reshape(4, factor, 4, factor, 1).mean(axis=(1, 3)), patch, atol=1e-6)
        assert np.isclose(step.probabilities.sum(), 1, atol=1e-5)
    assert look.name == "abcd"[look.answer]
    assert look.probability == look.steps[-1].probabilities.max()


def test_the_pixels_of_a_photograph_are_what_was_seen_and_not_what_was_standardized(images):
    model = tiny_model(pixel_mean=0.5, pixel_std=0.25)
    step = model.look(images[0])[0].steps[-1]
    left, top, right, bottom = step.boxes[0] + 20
    assert np.allclose(pad(images[:1], 20).pixels[0, top:bottom, left:right] / 255, step.patches[0], atol=1e-6)


def test_early_answers_are_those_of_a_model_that_stops_there(images):
    long, short = tiny_model(glimpses=5), tiny_model(glimpses=2)
    for a, b in zip(long.look(images), short.look(images), strict=True):
        assert np.allclose(a.steps[1].probabilities, b.steps[1].probabilities, atol=1e-6)


def test_a_network_that_sees_the_whole_image_has_no_path(images):
    model = tiny_model(model="fc")
    assert not model.has_path
    with pytest.raises(UsageError, match="whole image"):
        model.look(images)


def test_looking_on_the_stand_in_of_a_gpu_gives_host_arrays(backend, images):
    model = tiny_model(backend=backend)
    for look, expected in zip(model.look(images), tiny_model().look(images), strict=True):
        for step, same in zip(look.steps, expected.steps, strict=True):
            for mine, theirs in zip(step, same, strict=True):
                assert type(mine) is np.ndarray
                assert np.allclose(mine, theirs, atol=1e-5)


def test_a_saved_model_is_loaded_whole(model, images, tmp_path):
    model = tiny_model(names=("a", "b", "c", "d"))
    model.epoch = 7
    model.save(tmp_path / "mine.npz")
    again = ramnp.load(tmp_path / "mine.npz", "numpy")
    assert (again.class_names, again.epoch, again.config) == (model.class_names, 7, model.config)
    assert np.array_equal(again.probabilities(images), model.probabilities(images))


def test_what_is_not_there_is_said():
    with pytest.raises(CheckpointError, match=r"there is no checkpoint runs/none.*mnist-6"):
        ramnp.load("runs/none")


def test_a_shipped_name_and_its_classes():
    assert ramnp.load("mnist-6", "numpy").class_names == tuple("0123456789")
    assert ramnp.load("cifar10-4-conv", "numpy").class_names[:2] == ("airplane", "automobile")


def test_a_model_looks_as_often_as_it_is_asked_to(tmp_path, images):
    tiny_model().save(tmp_path / "mine.npz")
    more = ramnp.load(tmp_path / "mine.npz", "numpy", glimpses=7)
    assert len(more.look(images)[0].steps) == 7
    assert more.config.glimpses == 7
    tiny_model(model="fc").save(tmp_path / "whole.npz")
    with pytest.raises(UsageError, match="no glimpses"):
        ramnp.load(tmp_path / "whole.npz", "numpy", glimpses=7)


def test_files_without_names_are_read(tmp_path):
    saved = tiny_model().checkpoint()
    saved.class_names = None
    checkpoint.save(tmp_path / "old.npz", saved)
    assert names_of(checkpoint.load(tmp_path / "old.npz")) == ("0", "1", "2", "3")


@pytest.mark.parametrize("names", [["a"], "abcd", [1, 2, 3, 4]])
def test_damaged_names_are_refused(tmp_path, names):
    saved = tiny_model().checkpoint()
    saved.class_names = names
    checkpoint.save(tmp_path / "odd.npz", saved)
    with pytest.raises(CheckpointError, match="class_names"):
        checkpoint.load(tmp_path / "odd.npz")


def test_public_names_are_there():
    for name in ramnp.__dir__():
        assert getattr(ramnp, name) is not None
    assert Config is ramnp.Config
