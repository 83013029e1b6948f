"""What a part is given: what is asked of it, and where it puts what it found."""

from typing import Any, NamedTuple, Protocol


class Asked(NamedTuple):
    """The name of the backend, and whether little of each part is enough."""

    backend: str
    short: bool


class Tell(Protocol):
    """Takes what was found, by name, at once; a name that comes again replaces what it had.

    Names that all parts share: `summary`, a few words; `right`, whether a check found nothing wrong.
    """

    def __call__(self, **found: Any) -> None: ...
