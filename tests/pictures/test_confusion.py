"""The picture of a confusion matrix."""

import numpy as np
import pytest
from PIL import Image

from ramnp.pictures.confusion import plot_confusion


@pytest.mark.parametrize("classes", [2, 20, 21, 61, 300])
def test_it_is_drawn_for_few_classes_and_for_many(classes, tmp_path, rng):
    counts = rng.integers(0, 9, (classes, classes))
    counts[0] = 0  # a class without images
    plot_confusion(counts, tuple(f"class {number}" for number in range(classes)), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.size[0] > 300


def test_each_row_is_in_shares_of_its_class(tmp_path, monkeypatch):
    from ramnp.pictures import confusion

    seen = []
    monkeypatch.setattr(confusion, "save_figure", lambda figure, path: seen.append(figure))
    plot_confusion(np.array([[1, 3], [0, 100]]), ("cat", "dog"), tmp_path / "confusion.png")
    axes = seen[0].axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[25, 75], [0, 100]])
    assert sorted(text.get_text() for text in axes.texts) == ["1", "100", "3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
