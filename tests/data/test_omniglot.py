"""Omniglot: its archives, and how its characters and people are split."""

import numpy as np
import pytest
from archives import (
    SHARED,
    damage,
    damaged,
    drawing,
    fuzz,
    little_memory,
    needs_shared,
    omniglot_members,
    png_that_claims,
    survives,
    write_zip,
)
from hypothesis import given

from ramnp.config import DataConfig
from ramnp.data import load, omniglot
from ramnp.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("empty_root")


@pytest.fixture
def omniglot_folder(tmp_path):
    folder = tmp_path / "omniglot"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("validation", "counts"), [(5000, (14, 2, 4)), (0, (16, 0, 4))])
def test_omniglot_is_split_by_person_and_named_after_its_characters(omniglot_folder, validation, counts):
    write_zip(omniglot_folder / "images_background.zip", omniglot_members())
    dataset = load(DataConfig(dataset="omniglot", validation=validation))
    assert dataset.image_shape == (105, 105, 1)
    assert dataset.class_names == tuple(f"{a}/character0{c}" for a in ("Greek", "Latin") for c in (1, 2, 3))
    people = iter(range(1, 21))
    for split, count in zip((dataset.train, dataset.validation, dataset.test), counts, strict=True):
        assert split.labels.tolist() == np.arange(6).repeat(count).tolist()
        assert split.images.shape == (6 * count, 105, 105, 1)
        assert (split.images.sum(axis=(1, 2, 3)) == 255).all()  # ink is 1, paper 0
        expected = [next(people) for _ in range(count)] * 6
        _, rows, columns, _ = np.nonzero(split.images)
        assert rows.tolist() == expected
        # "Greek" comes first in the alphabet, and second in the archive.
        assert columns.tolist() == [10 * (label < 3) + label % 3 + 1 for label in split.labels]


def test_alphabets_are_chosen_by_name(omniglot_folder):
    write_zip(omniglot_folder / "images_background.zip", omniglot_members(("A", "B", "C"), 2))
    dataset = load(DataConfig(dataset="omniglot", alphabets="C, A"))
    assert dataset.class_names == ("A/character01", "A/character02", "C/character01", "C/character02")
    with pytest.raises(UsageError, match="unknown alphabet D; choose from A, B, C"):
        load(DataConfig(dataset="omniglot", alphabets="A,D"))


def test_archives_that_overlap_count_a_drawing_once(omniglot_folder):
    write_zip(omniglot_folder / "images_background.zip", omniglot_members(("A",), 2))
    write_zip(omniglot_folder / "images_background_small1.zip", omniglot_members(("A",), 1, top="images_x"))
    write_zip(omniglot_folder / "images_evaluation.zip", omniglot_members(("B",), 1, top="images_evaluation"))
    dataset = load(DataConfig(dataset="omniglot"))
    assert dataset.class_names == ("A/character01", "A/character02", "B/character01")
    assert len(dataset.train) == 3 * 14


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({}, id="empty"),
        pytest.param({"images_background/A/character01/0001_01.txt": b""}, id="no-drawing"),
        pytest.param(omniglot_members(people=range(1, 17)), id="no-test-drawings"),
        pytest.param(omniglot_members(people=range(15, 21)), id="no-training-drawings"),
        pytest.param(
            omniglot_members() | {"images_background/Latin/character01/0001_01.png": b"PNG"}, id="not-an-image"
        ),
        pytest.param(
            omniglot_members() | {"images_background/Latin/character01/0001_01.png": drawing(0, 0, 0, 104)},
            id="another-size",
        ),
        pytest.param(
            omniglot_members() | {"images_background/Latin/character01/0001_01.png": png_that_claims(105, 10**9)},
            id="image-bomb",
        ),
        pytest.param(
            omniglot_members() | {"images_background/Latin/character01/0001_01.png": bytes(32 << 20)}, id="zip-bomb"
        ),
        pytest.param(omniglot_members() | {"images_x/../../0001_01.png": b""}, id="outside"),
    ],
)
def test_a_bad_omniglot_archive_is_refused(omniglot_folder, members):
    write_zip(omniglot_folder / "images_background.zip", members)
    with little_memory(16 << 20), pytest.raises(DataError, match="omniglot"):
        load(DataConfig(dataset="omniglot"))


@given(damage)
@fuzz
def test_a_damaged_omniglot_archive_is_read_or_refused(tmp_path, how):
    path = write_zip(tmp_path / "a.zip", omniglot_members(("A",), 1, range(1, 3)))
    path.write_bytes(damaged(path.read_bytes(), *how))
    survives(lambda path: omniglot.read_drawings(omniglot.find_drawings([path])), path)


@needs_shared
def test_the_small_omniglot_archives_are_read(monkeypatch):
    monkeypatch.setenv("RAMNP_DATA", str(SHARED))
    dataset = load(DataConfig(dataset="omniglot"))
    assert dataset.classes == 242  # 136 and 156 characters, of which 50 are in both
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [242 * n for n in (14, 2, 4)]
    assert 0.05 < (dataset.train.images == 255).mean() < 0.1
    assert set(np.unique(dataset.test.images)) == {0, 255}


@pytest.mark.parametrize("missing", [1, 10])
def test_an_archive_without_some_of_its_drawings_is_refused(omniglot_folder, missing):
    members = omniglot_members()
    for name in [name for name in members if name.endswith(".png")][::12][:missing]:
        del members[name]
    write_zip(omniglot_folder / "images_background.zip", members)
    with pytest.raises(DataError, match=f"{missing} drawings are missing, such as .*/character.., person"):
        load(DataConfig(dataset="omniglot"))


def test_an_archive_that_is_not_the_published_one_is_noted(omniglot_folder):
    write_zip(omniglot_folder / "images_background.zip", omniglot_members())
    (note,) = load(DataConfig(dataset="omniglot")).notes
    assert "not the published file (MD5 " in note
