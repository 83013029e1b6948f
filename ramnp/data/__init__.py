"""The tasks by name. To add one, write a `Task` in its own file, then add a line here and its name in `config.py`."""

from ramnp.config import DataConfig
from ramnp.data.arrays import Arrays
from ramnp.data.cifar10 import Cifar10
from ramnp.data.folder import Folder
from ramnp.data.mnist import FASHION_MNIST, MNIST
from ramnp.data.omniglot import Omniglot
from ramnp.data.scenes import CLUTTERED_MNIST, TRANSLATED_MNIST
from ramnp.data.source import DataSet
from ramnp.data.task import Task

DATASETS: dict[str, Task] = {
    "mnist": MNIST,
    "translated-mnist": TRANSLATED_MNIST,
    "cluttered-mnist": CLUTTERED_MNIST,
    "fashion-mnist": FASHION_MNIST,
    "cifar10": Cifar10(),
    "omniglot": Omniglot(),
    "arrays": Arrays(),
    "folder": Folder(),
}


def load(config: DataConfig) -> DataSet:
    """The data set that the configuration names.

    Raises:
        DataError: a file is missing or damaged.
        UsageError: the configuration does not fit the data.
    """
    return DATASETS[config.dataset].load(config)
