"""Trained weights that come with the package, one file a row of the tables, with a card beside it that says what it is.

They are checkpoints in float16, which halves them, where that moves no figure by more than 0.05 points, and are
computed with in the model's own type. `python -m ramnp.evaluate` takes their names, and the files as any checkpoint;
`python -m ramnp.reproduce --ship` makes them.
"""

from pathlib import Path

from ramnp.errors import CheckpointError

FOLDER = Path(__file__).resolve().parent


def pretrained_names() -> list[str]:
    """The rows whose weights are here."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def find_pretrained(name: str) -> Path:
    """The file of the weights of a row.

    Raises:
        CheckpointError: there is none; the message names those there are.
    """
    if name not in pretrained_names():
        known = ", ".join(pretrained_names()) or "none yet"
        raise CheckpointError(f"there are no trained weights {name!r}; there are: {known}")
    return FOLDER / f"{name}.npz"
