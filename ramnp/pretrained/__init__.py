"""Trained weights that come with the package: a file for each of several rows of the tables, and a card to describe it.

The files are checkpoints. They are rounded to float16, half the size, if that moves no figure by more than 0.05
points; the model converts them to its own type. `python -m ramnp.evaluate` accepts their names, or the files like any
checkpoint. `python -m ramnp.reproduce --ship ROW` makes them.
"""

from pathlib import Path

from ramnp.errors import CheckpointError

FOLDER = Path(__file__).resolve().parent


def pretrained_names() -> list[str]:
    """The names of the rows that have weights here."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def find_pretrained(name: str) -> Path:
    """The path of the weights of a row.

    Raises:
        CheckpointError: there are none; the message lists the names.
    """
    if name not in pretrained_names():
        known = ", ".join(pretrained_names()) or "none yet"
        raise CheckpointError(f"there are no trained weights {name!r}; the package has: {known}")
    return FOLDER / f"{name}.npz"
