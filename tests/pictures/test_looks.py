"""Where a model looked: on axes of the user's, and as a film."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tiny import tiny_model

import ramnp
from ramnp.errors import UsageError
from ramnp.pictures import axes as shared
from ramnp.pictures.looks import plot_looks


@pytest.fixture
def look(rng):
    model = tiny_model(scales=2, names=("a", "b", "c", "\udcff"))
    return model.look(rng.integers(0, 256, (12, 10), dtype=np.uint8))[0]


@pytest.fixture
def axes():
    return Figure().subplots()


@pytest.mark.parametrize("form", [lambda image: image, lambda image: image[..., 0], lambda image: image / 255])
def test_a_path_goes_through_the_pixels_of_the_steps(axes, look, form):
    ramnp.plot_path(axes, form(look.image), look)
    for line in axes.lines:
        assert np.allclose(line.get_xydata(), [step.pixel for step in look.steps])
    squares = [(*patch.get_xy(), patch.get_width()) for patch in axes.patches]
    boxes = [(left - 0.5, top - 0.5, right - left) for step in look.steps for left, top, right, _ in step.boxes]
    assert np.allclose(squares, boxes)
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3"]
    shown = axes.images[0].get_array()
    assert np.allclose(shown, look.image[..., 0] / 255)
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 9.5), (11.5, -0.5))


def test_probabilities_are_those_of_the_steps(axes, look):
    ramnp.plot_probabilities(axes, look)
    assert np.allclose(axes.images[0].get_array(), np.array([step.probabilities for step in look.steps]).T)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c", "?"]


def test_of_many_classes_the_likeliest_are_shown(axes, rng):
    model = tiny_model(classes=40)
    (look,) = model.look(rng.integers(0, 256, (12, 10), dtype=np.uint8))
    ramnp.plot_probabilities(axes, look)
    table = np.array([step.probabilities for step in look.steps]).T
    likeliest = sorted(np.argsort(table.max(axis=1))[-10:])
    assert [label.get_text() for label in axes.get_yticklabels()] == [str(label) for label in likeliest]
    assert np.allclose(axes.images[0].get_array(), table[likeliest])


def test_a_film_has_a_frame_per_glimpse_and_the_path_grows(look, tmp_path):
    ramnp.film(look, tmp_path / "film.gif", seconds=0.5)
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.info["duration"]) == (3, 500)
        frames = []
        for number in range(3):
            film.seek(number)
            frames.append(np.asarray(film.convert("L"), dtype=int))
    assert all(np.abs(a - b).max() > 50 for a, b in pairwise(frames))


def test_a_film_is_a_gif(look, tmp_path):
    with pytest.raises(UsageError, match=r"\.gif"):
        ramnp.film(look, tmp_path / "film.mp4")


def test_names_that_no_font_has_are_drawn_without_a_word(look, tmp_path, recwarn):
    plot_looks([look], ["\u4e16\u754c \udcff"], tmp_path / "looks.png")
    assert (tmp_path / "looks.png").stat().st_size > 1000
    assert not recwarn.list
    assert shared.readable("\u4e16 \udcff") == "\u4e16 ?"
