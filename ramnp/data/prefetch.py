"""Prefetching: a thread makes the next item while the current one is used."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ramnp.backend import note_no_threads

T = TypeVar("T")
END: Any = object()


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """Yield the same items in the same order, and make each in a thread while the previous one is used.

    An exception in `items` is raised here when its item is due. If the consumer stops early, the thread finishes the
    item it is making and ends. NumPy releases the GIL in its loops, so on two cores the work overlaps. Where no thread
    can be started, each item is made when it is due.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        try:
            coming = thread.submit(next, iterator, END)
        except RuntimeError as error:
            note_no_threads(error)
            yield from iterator
            return
        while (item := coming.result()) is not END:
            coming = thread.submit(next, iterator, END)
            yield item
