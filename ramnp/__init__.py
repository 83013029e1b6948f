"""Recurrent Models of Visual Attention, with every forward and backward pass written by hand."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ramnp.training.trained import load_pretrained

try:
    __version__ = version("ramnp")
except PackageNotFoundError:  # used from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = ["__version__", "load_pretrained"]

# A name is imported when it is first asked for, so that `import ramnp` costs little more than NumPy.
_HOME = {"load_pretrained": "ramnp.training.trained"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ramnp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
