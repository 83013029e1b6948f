"""Work ahead: the next item is made in a thread while the last one is used."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
END = object()


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order, each made, in one thread, while the one before it is used.

    What `items` raises is raised here, in its place. When the consumer stops, the thread finishes the item
    that it is making and ends. NumPy's loops let other threads run, so on two cores the work overlaps.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        coming = thread.submit(next, iterator, END)
        while (item := coming.result()) is not END:
            coming = thread.submit(next, iterator, END)
            yield item
