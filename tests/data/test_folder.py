"""Your own images in a folder for each class: what is read, and what is refused."""

import shutil

import numpy as np
import pytest
from archives import all_splits, little_memory, png, png_that_claims

from ramnp.config import DataConfig
from ramnp.data import folder, load
from ramnp.errors import DataError


@pytest.fixture
def pictures(tmp_path):
    """Seven gray pictures in two classes, and other things that lie about."""
    root = tmp_path / "pictures"
    for number, name in enumerate(
        ["dog/b.png", "dog/a.PNG", "dog/c.png", "cat/x.png", "cat/y.png", "cat/z.png", "cat/w.png"]
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(np.full((4, 6), 10 * number + 5, np.uint8)))
    (root / "cat" / "notes.txt").write_text("not a picture")
    (root / ".hidden").mkdir()
    (root / "read-me.txt").touch()
    return root


def load_folder(path, validation=0):
    return load(DataConfig(dataset="folder", data_path=str(path), validation=validation))


def test_a_folder_is_read_by_class(pictures):
    dataset = load_folder(pictures, validation=2)
    assert (dataset.name, dataset.classes, dataset.class_names) == ("folder", 2, ("cat", "dog"))
    assert dataset.image_shape == (4, 6, 1)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [4, 2, 1]
    images, labels = all_splits(dataset)
    assert dict(zip((images[:, 0, 0, 0] // 10).tolist(), labels.tolist(), strict=True)) == dict(
        enumerate([1, 1, 1, 0, 0, 0, 0])
    )


def test_one_picture_in_colour_makes_all_colour(pictures):
    (pictures / "dog" / "d.png").write_bytes(png(np.full((4, 6, 3), (1, 2, 3), np.uint8)))
    dataset = load_folder(pictures)
    assert dataset.image_shape == (4, 6, 3)
    images, _ = all_splits(dataset)
    assert [5, 5, 5] in images[:, 0, 0].tolist()
    assert [1, 2, 3] in images[:, 0, 0].tolist()


def test_pictures_of_two_sizes_are_refused(pictures):
    (pictures / "dog" / "d.png").write_bytes(png(np.zeros((6, 4), np.uint8)))
    with pytest.raises(DataError, match=r"d\.png is 4x6 pixels, and .*w\.png is 6x4"):
        load_folder(pictures)


def test_a_class_without_pictures_is_refused(pictures):
    (pictures / "ant").mkdir()
    with pytest.raises(DataError, match="ant holds no images"):
        load_folder(pictures)


def test_a_single_class_is_refused(pictures):
    shutil.rmtree(pictures / "cat")
    with pytest.raises(DataError, match="pictures must have"):
        load_folder(pictures)


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", png_that_claims(10**5, 10**5), png(np.zeros((4, 6), np.uint16))],
    ids=["empty", "nonsense", "bomb", "sixteen-bits"],
)
def test_a_bad_picture_is_named(pictures, content):
    (pictures / "dog" / "bad.png").write_bytes(content)
    with little_memory(), pytest.raises(DataError, match=r"bad\.png"):
        folder.read_folder(pictures)


def test_what_systems_leave_behind_is_no_picture(pictures):
    whole = load_folder(pictures)
    (pictures / "dog" / "d.png").mkdir()
    (pictures / "dog" / "._0.png").write_bytes(b"resource fork")
    (pictures / "__MACOSX").mkdir()
    again = load_folder(pictures)
    assert len(again.train) + len(again.test) == len(whole.train) + len(whole.test)
    assert again.class_names == whole.class_names
