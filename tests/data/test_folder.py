"""Your own images in a folder for each class: what is read, and what is refused."""

import os
import shutil
import unicodedata

import numpy as np
import pytest
from archives import all_splits, forbid, little_memory, png, png_that_claims
from PIL import Image

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


def load_folder(path, validation=0, **options):
    return load(DataConfig(dataset="folder", data_path=str(path), validation=validation, **options))


def test_a_folder_is_read_by_class(pictures):
    dataset = load_folder(pictures, validation=2)
    assert (dataset.name, dataset.classes, dataset.class_names) == ("folder", 2, ("cat", "dog"))
    assert dataset.image_shape == (4, 6, 1)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [3, 2, 2]
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
    with pytest.raises(DataError, match=r"d\.png is 4x6 pixels, and .*w\.png is 6x4: .*--resize SIDE"):
        load_folder(pictures)
    assert load_folder(pictures, resize=5).image_shape == (5, 5, 1)


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
    [b"", b"nonsense", png_that_claims(10**5, 10**5), png(np.zeros((4, 6), np.uint8))[:-20]],
    ids=["empty", "nonsense", "bomb", "cut"],
)
def test_a_bad_picture_is_named(pictures, content):
    (pictures / "dog" / "bad.png").write_bytes(content)
    with little_memory(), pytest.raises(DataError, match=r"bad\.png"):
        load_folder(pictures)


def test_all_bad_pictures_are_named_at_once(pictures):
    for name in ("dog/1.png", "cat/2.jpg", "cat/3.tif"):
        (pictures / name).write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"^3 of 10 images cannot be read: .*2\.jpg.*; .*3\.tif.*; .*1\.png") as caught:
        load_folder(pictures)
    assert "\n" not in str(caught.value)


def test_a_picture_that_may_not_be_read_is_not_called_damaged(pictures, monkeypatch):
    forbid(monkeypatch, "b.png")
    with pytest.raises(DataError, match=r"cannot read .*dog/b\.png: Permission denied"):
        load_folder(pictures)


def test_what_systems_leave_behind_is_no_picture(pictures):
    whole = load_folder(pictures)
    (pictures / "dog" / "d.png").mkdir()
    (pictures / "dog" / "._0.png").write_bytes(b"resource fork")
    (pictures / "__MACOSX").mkdir()
    again = load_folder(pictures)
    assert len(again.train) + len(again.test) == len(whole.train) + len(whole.test)
    assert again.class_names == whole.class_names
    (note,) = (note for note in again.notes if "hidden" in note)
    assert all(name in note for name in (".hidden", "__MACOSX", "dog/._0.png"))


def test_what_is_left_out_is_said(pictures):
    (pictures / "dog" / "phone.HEIC").touch()
    (pictures / "dog" / "noending").touch()
    (pictures / "dog" / "older").mkdir()
    os.mkfifo(pictures / "dog" / "pipe.png")
    said = load_folder(pictures).notes
    for words, name in (
        ("in no folder of a class", "read-me.txt"),
        ("no image that Pillow reads, .txt", "cat/notes.txt"),
        ("no image that Pillow reads, .heic", "dog/phone.HEIC"),
        ("no image that Pillow reads, no ending", "dog/noending"),
        ("a folder inside the folder of a class", "dog/older"),
        ("neither a file nor a folder", "dog/pipe.png"),
        ("hidden or made by the system", ".hidden"),
    ):
        assert f"left out ({words}): {name}" in said
    with pytest.warns(UserWarning) as warned:  # noqa: PT030
        folder.read_folder(pictures)
    assert any("read-me.txt" in str(each.message) for each in warned)


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".jfif", ".jpe", ".webp", ".pgm", ".tga", ".ico"])
def test_what_pillow_reads_is_read(pictures, suffix, rng):
    file = pictures / "dog" / f"other{suffix}"
    Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8)).save(file)
    assert load_folder(pictures, resize=4).train.images.shape[1:3] == (4, 4)
    total = sum(len(split) for split in (load_folder(pictures, resize=4).train, load_folder(pictures, resize=4).test))
    assert total == 8


def test_a_class_may_have_any_name(pictures):
    names = ("__background__", "my dog \U0001f415", "\u00c4pfel & Birnen", "O'Brien", "123", "train")
    for number, name in enumerate(names):
        (pictures / name).mkdir()
        for copy in range(3):
            (pictures / name / f"{copy}.png").write_bytes(png(np.full((4, 6), 100 + 10 * number + copy, np.uint8)))
    assert load_folder(pictures).class_names == tuple(sorted((*names, "cat", "dog")))


def test_an_umlaut_is_the_same_however_the_system_writes_it(tmp_path):
    for form in ("NFC", "NFD"):
        for number, name in enumerate(("M\u00fcller", "Zo\u00eb")):
            place = tmp_path / form / unicodedata.normalize(form, name)
            place.mkdir(parents=True)
            for copy in range(4):
                (place / f"{copy}.png").write_bytes(png(np.full((4, 6), 100 + 10 * number + copy, np.uint8)))
    one, other = (load_folder(tmp_path / form) for form in ("NFC", "NFD"))
    assert one.class_names == other.class_names == ("M\u00fcller", "Zo\u00eb")
    assert one.sha256() == other.sha256()


# How images are prepared.


def picture(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


@pytest.fixture
def ink(tmp_path, rng):
    """Black ink on transparent ground."""
    for number in range(12):
        pixels = np.zeros((8, 8, 4), np.uint8)
        pixels[rng.integers(1, 7), 1:7, 3] = 255
        pixels[1:7, rng.integers(1, 7), 3] = 255
        pixels[0, 0, 3] = 128 + number
        picture(tmp_path / "ink" / "ab"[number % 2] / f"{number}.png", pixels)
    return tmp_path / "ink"


def test_ink_on_transparent_ground_is_seen(ink):
    white = load_folder(ink)
    assert white.image_shape == (8, 8, 3)
    assert white.warnings == ()
    assert set(np.unique(white.train.images[:, 1:, 1:])) == {0, 255}
    assert 115 < white.train.images[0, 0, 0, 0] < 128  # half transparent: about half of white
    red = load_folder(ink, background="#ff0000")
    assert red.train.images[0, 0, 1].tolist() == [255, 0, 0]
    black = load_folder(ink, background="black")
    assert black.train.images.max() == 0
    assert any("equal" in warning and "--background" in warning for warning in black.warnings)


def test_the_background_moves_no_image(ink):
    one, other = load_folder(ink), load_folder(ink, background="#102030", resize=4, colour="gray")
    for split in ("train", "test"):
        np.testing.assert_array_equal(getattr(one, split).digests, getattr(other, split).digests)


@pytest.fixture
def mixed(tmp_path):
    """Wide images whose left third is red, middle green, right blue; upright ones with red above."""
    bars = np.repeat(np.eye(3, dtype=np.uint8) * 255, 20, axis=0)
    for number in range(12):
        wide = np.broadcast_to(bars, (20, 60, 3)).copy()
        wide[0, 0, 0] = number
        picture(tmp_path / "mixed" / "wide" / f"{number}.png", wide)
        picture(tmp_path / "mixed" / "upright" / f"{number}.png", np.ascontiguousarray(wide.transpose(1, 0, 2)))
    return tmp_path / "mixed"


@pytest.mark.parametrize(
    ("fit", "left", "middle", "top"),
    [
        ("crop", [0, 255, 0], [0, 255, 0], [0, 255, 0]),
        ("stretch", [255, 0, 0], [0, 255, 0], [0, 255, 0]),
        ("pad", [255, 0, 0], [0, 255, 0], [0, 0, 255]),
    ],
)
def test_images_of_several_sizes_are_made_square(mixed, fit, left, middle, top):
    dataset = load_folder(mixed, resize=15, fit=fit, background="#0000ff")
    assert dataset.image_shape == (15, 15, 3)
    wide = dataset.train.images[dataset.train.labels == 1][0]
    for found, expected in ((wide[7, 1], left), (wide[7, 7], middle), (wide[1, 7], top)):
        np.testing.assert_allclose(found, expected, atol=12)  # the filter overshoots a little beside an edge


def test_a_large_photograph_is_resized(tmp_path):
    for number in range(3):
        for name in "ab":
            picture(tmp_path / name / f"{number}.png", np.full((20, 5000), 50 * number + ord(name), np.uint8))
    with pytest.raises(DataError, match=r"at most 4096 \(6 of 6 images are larger\): .*--resize SIDE"):
        load_folder(tmp_path)
    assert load_folder(tmp_path, resize=8, fit="stretch").image_shape == (8, 8, 1)


def test_gray_and_colour_are_what_the_configuration_says(mixed, pictures):
    assert load_folder(mixed, resize=9, colour="gray").image_shape == (9, 9, 1)
    assert load_folder(pictures, colour="rgb").image_shape == (4, 6, 3)


def test_a_mask_of_zeros_and_ones_is_refused(tmp_path, rng):
    for number in range(4):
        for name in "ab":
            picture(tmp_path / name / f"{number}.png", rng.integers(0, 2, (6, 6), np.uint8))
    with pytest.raises(DataError, match="uint8 images go from 0 to 255, and no pixel here is above 1"):
        load_folder(tmp_path)


# Folders as people have them.


@pytest.fixture
def parted(tmp_path, rng):
    def make(*parts, classes=("cat", "dog"), count=8):
        for part in parts:
            for name in classes:
                for number in range(count):
                    picture(tmp_path / "parted" / part / name / f"{number}.png", rng.integers(0, 256, (5, 5), np.uint8))
        return tmp_path / "parted"

    return make


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "valid", "TEST"), ("training", "validation", "testing")]
)
def test_the_folders_train_val_and_test_are_the_splits(parted, names):
    root = parted(*names)
    dataset = load_folder(root, validation=1)
    assert dataset.class_names == ("cat", "dog")
    for split, name in zip(("train", "validation", "test"), names, strict=True):
        found = getattr(dataset, split)
        expected = [np.asarray(Image.open(file)) for file in (root / name).glob("*/*.png")]
        assert sorted(image.tobytes() for image in found.images) == sorted(image.tobytes() for image in expected)


@pytest.mark.parametrize(
    ("parts", "sizes"), [(("train",), (12, 2, 2)), (("train", "test"), (14, 2, 16)), (("train", "val"), (14, 16, 2))]
)
def test_a_split_that_is_missing_is_made_from_the_training_images(parted, parts, sizes):
    dataset = load_folder(parted(*parts), validation=1)
    assert tuple(len(split) for split in (dataset.train, dataset.validation, dataset.test)) == sizes


def test_classes_may_be_called_train_and_test(parted):
    root = parted("x", classes=("train", "test")) / "x"
    assert load_folder(root).class_names == ("test", "train")


def test_other_folders_beside_train_are_refused(parted):
    with pytest.raises(DataError, match=r"has test, train with folders of classes in them, and beside them extra"):
        load_folder(parted("train", "test", "extra"))
    shutil.copytree(parted("train") / "train", parted("train") / "Training")
    shutil.rmtree(parted("train") / "extra")
    with pytest.raises(DataError, match="two folders for one split"):
        load_folder(parted("train"))


def test_a_class_that_is_only_tested_is_refused(parted):
    root = parted("train", "test")
    shutil.copytree(root / "test" / "cat", root / "test" / "cow")
    with pytest.raises(DataError, match=r"test/cow is a class without training images"):
        load_folder(root)


def test_a_class_that_is_not_tested_is_mentioned(parted):
    root = parted("train", "test")
    shutil.rmtree(root / "test" / "cat")
    assert "there is no test image of class 'cat'" in load_folder(root).warnings


def test_the_folder_around_the_right_one_is_helped(parted):
    root = parted("pictures")
    with pytest.raises(DataError, match=r"did you mean .*parted/pictures\?"):
        load_folder(root)


def test_the_table_counts_classes_and_splits(parted):
    lines = load_folder(parted("train", "test"), validation=1).counts()
    assert [line.split() for line in lines] == [
        ["class", "train", "validation", "test"], ["cat", "7", "1", "8"], ["dog", "7", "1", "8"],
    ]  # fmt: skip
