"""The backends that can be measured: those of ramnp, and the stand-in for CuPy, to rehearse a measurement on a GPU."""

import sys
from pathlib import Path

from ramnp.backend import Backend, get_backend

STAND_IN = "stand-in"
TESTS = Path(__file__).resolve().parents[1] / "tests"


def backend_called(name: str) -> Backend:
    """The backend "numpy", "cupy", "auto" or "stand-in".

    Raises:
        BackendError: it cannot be used.
    """
    return stand_in() if name == STAND_IN else get_backend(name)


def stand_in() -> Backend:
    """The strict stand-in of the tests, which computes on the CPU and has only what CuPy has."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    import strict_cupy

    return Backend("strict", strict_cupy)
