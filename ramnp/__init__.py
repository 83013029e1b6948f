"""Recurrent Models of Visual Attention, with every forward and backward pass written by hand."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ramnp")
except PackageNotFoundError:  # used from a source tree that is not installed
    __version__ = "0+unknown"

from ramnp.pretrained import load_pretrained

__all__ = ["__version__", "load_pretrained"]
