"""The version of ramnp that runs."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("ramnp")
except PackageNotFoundError:  # used from a source tree that is not installed
    VERSION = "0+unknown"
