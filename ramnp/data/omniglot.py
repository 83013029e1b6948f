"""Omniglot: 1,623 handwritten characters of 50 alphabets, each by 20 people, 105 x 105, ink on paper.

Lake, Salakhutdinov, Tenenbaum, "Human-level concept learning through probabilistic program induction", Science 2015.
The task here is to name the character. In the archives `images_.../ALPHABET/characterNN/NNNN_DD.png` is a character
as person DD drew it, and the splits are by person: 1 to 14 for training, 15 and 16 for validation (with
`--validation 0` for training, too), 17 to 20 for the test. In our images ink is 1 and paper 0.
"""

import re
from pathlib import Path

import numpy as np

from ramnp.config import DataConfig
from ramnp.data.files import Published, locate, open_zip, read_member
from ramnp.data.images import read_image
from ramnp.data.source import DataSet, Split
from ramnp.data.task import Task
from ramnp.errors import DataError, UsageError

SIDE = 105
MEMBERS = 100_000  # the largest archive has some 20,000
LONGEST = 16_384  # bytes of a drawing; they have some 400
DRAWING = re.compile(r"images_[^/]+/([^/]+)/(character\d\d)/\d{4}_(\d\d)\.png")
TRAIN, VALIDATION, TEST = range(1, 15), range(15, 17), range(17, 21)  # people

MIRROR = ("https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",)
BACKGROUND = Published("images_background.zip", "68d2efa1b9178cc56df9314c21c6e718", MIRROR)
EVALUATION = Published("images_evaluation.zip", "6b91aef0f799c5bb55b94e3f2daec811", MIRROR)
# Parts of the background archive.
SMALL = (
    Published("images_background_small1.zip", "e704a628b5459e08445c13499850abc4", MIRROR),
    Published("images_background_small2.zip", "b75a71a51d3b13f821f212756fe481fd", MIRROR),
)

Key = tuple[str, str, int]  # alphabet, character, person


def find_drawings(paths: list[Path]) -> dict[Key, tuple[Path, str]]:
    """Where each drawing is, as (archive, member). The archives share some; the first that has one is taken.

    Raises:
        DataError: an archive is damaged, or holds no drawing.
    """
    found: dict[Key, tuple[Path, str]] = {}
    for path in paths:
        with open_zip(path, MEMBERS) as archive:
            matches = [match for name in archive.namelist() if (match := DRAWING.fullmatch(name))]
        if not matches:
            raise DataError(f"{path} holds no drawings images_.../ALPHABET/characterNN/NNNN_DD.png")
        for match in matches:
            found.setdefault((match[1], match[2], int(match[3])), (path, match[0]))
    return found


def read_drawings(found: dict[Key, tuple[Path, str]]) -> dict[Key, np.ndarray]:
    """The drawings (105, 105, 1), uint8, ink 255.

    Raises:
        DataError: one is damaged, or has another size.
    """
    drawings = {}
    for path in {path for path, _ in found.values()}:
        with open_zip(path, MEMBERS) as archive:
            for key, (where, name) in found.items():
                if where == path:
                    content = read_member(archive, name, LONGEST)
                    image = read_image(content, f"{path}, {name}", ("PNG",), (SIDE, SIDE))
                    drawings[key] = 255 - image[..., :1]
    return drawings


def choose(alphabets: str, known: set[str]) -> set[str]:
    """The alphabets of a comma-separated list, all of the known ones if it is empty.

    Raises:
        UsageError: one is not known.
    """
    chosen = {name.strip() for name in alphabets.split(",")} - {""}
    if unknown := sorted(chosen - known):
        raise UsageError(f"--alphabets: there is no {unknown[0]} in these archives: {', '.join(sorted(known))}")
    return chosen or known


class Omniglot(Task):
    """Omniglot, from those of its four archives that are there."""

    text = "handwritten characters of 50 alphabets, 105x105 (--alphabets)"
    folder = "omniglot"
    published = (BACKGROUND, EVALUATION, *SMALL)

    def whole(self, config: DataConfig) -> bool:
        return bool(self.files(config))

    def fetch(self, config: DataConfig) -> None:
        """Download the background and the evaluation archive, which together are all of Omniglot."""
        for file in (BACKGROUND, EVALUATION):
            locate(self.folder, file.name, file.mirrors, file.md5)

    def load(self, config: DataConfig) -> DataSet:
        """Omniglot, or the chosen alphabets of it; classes are the characters, sorted by name."""
        if not self.files(config):
            self.fetch(config)
        found = find_drawings(self.files(config))
        chosen = choose(config.alphabets, {alphabet for alphabet, _, _ in found})
        drawings = read_drawings({key: where for key, where in found.items() if key[0] in chosen})
        names = sorted({f"{alphabet}/{character}" for alphabet, character, _ in drawings})
        number = {name: label for label, name in enumerate(names)}

        def split(*people: range) -> Split:
            keys = [key for key in sorted(drawings) if any(key[2] in span for span in people)]
            labels = [number[f"{alphabet}/{character}"] for alphabet, character, _ in keys]
            images = [drawings[key] for key in keys]
            return Split(np.array(images, np.uint8).reshape(-1, SIDE, SIDE, 1), np.array(labels, np.int64))

        train = split(TRAIN) if config.validation else split(TRAIN, VALIDATION)
        held_out, test = split(VALIDATION if config.validation else range(0)), split(TEST)
        for text, part in (("training", train), ("test", test)):
            if len(set(part.labels.tolist())) != len(names):
                raise DataError(f"{self.place(config)}: a character has no {text} drawing")
        return DataSet("omniglot", len(names), train, held_out, test, tuple(names))
