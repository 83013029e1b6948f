"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people, 105 x 105, ink on paper.

The task is to name the character. In the archives, `images_.../ALPHABET/characterNN/NNNN_DD.png` is a character drawn
by person DD. The splits are by person: 1 to 14 for training, 15 and 16 for validation (for training as well with
`--validation 0`), and 17 to 20 for the test. In our images ink is bright (255) and paper 0.

Source: Lake, Salakhutdinov, Tenenbaum, "Human-level concept learning through probabilistic program induction", Science
2015.
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
from ramnp.registry import register

SIDE = 105
MEMBERS = 100_000  # limit; the largest archive has about 20,000 members
LONGEST = 16_384  # limit, in bytes; a drawing has about 400
DRAWING = re.compile(r"images_[^/]+/([^/]+)/(character\d\d)/\d{4}_(\d\d)\.png")
TRAIN, VALIDATION, TEST = range(1, 15), range(15, 17), range(17, 21)  # people

MIRROR = ("https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",)
BACKGROUND = Published("images_background.zip", "68d2efa1b9178cc56df9314c21c6e718", MIRROR)
EVALUATION = Published("images_evaluation.zip", "6b91aef0f799c5bb55b94e3f2daec811", MIRROR)
# Two small archives, whose drawings are all in the background archive too.
SMALL = (
    Published("images_background_small1.zip", "e704a628b5459e08445c13499850abc4", MIRROR),
    Published("images_background_small2.zip", "b75a71a51d3b13f821f212756fe481fd", MIRROR),
)

Key = tuple[str, str, int]  # alphabet, character, person


def find_drawings(paths: list[Path]) -> dict[Key, tuple[Path, str]]:
    """Find all drawings: the archive and the member of each. A drawing in several archives is taken from the first.

    Raises:
        DataError: an archive is damaged, or holds no drawing.
    """
    found: dict[Key, tuple[Path, str]] = {}
    for path in paths:
        with open_zip(path, MEMBERS) as archive:
            matches = [match for name in archive.namelist() if (match := DRAWING.fullmatch(name))]
        if not matches:
            raise DataError(f"{path} holds no drawings named images_.../ALPHABET/characterNN/NNNN_DD.png")
        for match in matches:
            found.setdefault((match[1], match[2], int(match[3])), (path, match[0]))
    return found


def read_drawings(found: dict[Key, tuple[Path, str]]) -> dict[Key, np.ndarray]:
    """Read drawings, (105, 105, 1) each, uint8, ink 255.

    Raises:
        DataError: a drawing is damaged, or has another size.
    """
    drawings = {}
    for path in {path for path, _ in found.values()}:  # so that each archive is opened once
        with open_zip(path, MEMBERS) as archive:
            for key, (where, name) in found.items():
                if where == path:
                    content = read_member(archive, name, LONGEST)
                    image = read_image(content, f"{path}, {name}", ("PNG",), (SIDE, SIDE))
                    drawings[key] = 255 - image[..., :1]
    return drawings


def check_complete(found: set[Key], place: Path) -> None:
    """Check that each character up to the last of its alphabet was drawn by each of the 20 people.

    Raises:
        DataError: drawings are missing.
    """
    last: dict[str, int] = {}
    for alphabet, character, _ in found:
        last[alphabet] = max(last.get(alphabet, 1), int(character.removeprefix("character")))
    missing = [
        f"{alphabet}/character{number:02}, person {person}"
        for alphabet in sorted(last)
        for number in range(1, last[alphabet] + 1)
        for person in range(TRAIN.start, TEST.stop)
        if (alphabet, f"character{number:02}", person) not in found
    ]
    if missing:
        raise DataError(
            f"{place}: {len(missing)} drawings are missing, such as {missing[0]}; download the archives again"
        )


def choose(alphabets: str, known: set[str]) -> set[str]:
    """Parse a comma-separated list of alphabets; an empty list means all known ones.

    Raises:
        UsageError: an alphabet is unknown.
    """
    chosen = {name.strip() for name in alphabets.split(",")} - {""}
    if unknown := sorted(chosen - known):
        raise UsageError(f"--alphabets: unknown alphabet {unknown[0]}; choose from {', '.join(sorted(known))}")
    return chosen or known


@register("dataset", "omniglot")
class Omniglot(Task):
    """Omniglot, from whichever of its four archives are there."""

    text = "handwritten characters of 50 alphabets, 105x105 (--alphabets)"
    folder = "omniglot"
    published = (BACKGROUND, EVALUATION, *SMALL)

    def whole(self, config: DataConfig) -> bool:
        return bool(self.files(config))

    def fetch(self, config: DataConfig) -> None:
        """Download the background and the evaluation archive, which together hold all of Omniglot."""
        for file in (BACKGROUND, EVALUATION):
            locate(self.folder, file.name, file.mirrors, file.md5)

    def load(self, config: DataConfig) -> DataSet:
        """Read Omniglot, or the chosen alphabets of it. The classes are the characters, sorted by name."""
        if not self.files(config):
            self.fetch(config)
        found = find_drawings(self.files(config))
        chosen = choose(config.alphabets, {alphabet for alphabet, _, _ in found})
        found = {key: where for key, where in found.items() if key[0] in chosen}
        check_complete(set(found), self.place(config))
        drawings = read_drawings(found)
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
                raise DataError(f"{self.place(config)}: a character has no {text} drawing; download the archives again")
        return DataSet("omniglot", len(names), train, held_out, test, tuple(names), notes=self.notes(config))
