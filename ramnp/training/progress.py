"""tqdm's progress bar; without tqdm, as in a clone on a GPU machine without network, none."""

from typing import Any, TextIO

try:
    from tqdm import tqdm as Bar  # pyright: ignore[reportAssignmentType]
except ImportError:

    class Bar:  # type: ignore[no-redef]
        """What a run needs of tqdm, and nothing to be seen."""

        def __init__(self, **options: Any) -> None:
            pass

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def update(self, images: int) -> None:
            """More images are done."""

        def set_postfix_str(self, text: str) -> None:
            """What would stand beside the bar."""

        @staticmethod
        def write(text: str, file: TextIO) -> None:
            """Print a line."""
            print(text, file=file)


__all__ = ["Bar"]
