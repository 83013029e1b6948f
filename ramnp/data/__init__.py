"""The tasks by name. To add one, write a `Task` and register it: see `docs/extending.md`."""

from ramnp.config import DataConfig
from ramnp.data.source import DataSet
from ramnp.data.task import Task
from ramnp.registry import get


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: there is none.
    """
    task = get("dataset", name)
    return task() if isinstance(task, type) else task  # registered is a class, or an object if that takes arguments


def load(config: DataConfig) -> DataSet:
    """The data set that the configuration names.

    Raises:
        DataError: a file is missing or damaged.
        UsageError: the configuration does not fit the data.
    """
    return find_task(config.dataset).load(config)
