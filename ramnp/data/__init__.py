"""Data sets by name. A new one is one file with a `load` function, and one line here."""

from collections.abc import Callable

from ramnp.data import mnist
from ramnp.data.source import DataSet
from ramnp.errors import UsageError

DATASETS: dict[str, Callable[[int], DataSet]] = {
    "mnist": mnist.load,
}


def load(name: str, validation: int = 0) -> DataSet:
    """The data set called `name`, with its last `validation` training images held out.

    Raises:
        DataError: a file is missing or damaged.
        UsageError: the name is unknown, or there are not that many training images.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown data set '{name}': choose {', '.join(DATASETS)}")
    return DATASETS[name](validation)
