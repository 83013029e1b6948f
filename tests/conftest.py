"""What every test has: no network, and the backends of this machine."""

import os
import tempfile

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # `make test` has a process for each core
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()  # what tests import is not remembered for the user
os.environ["RAMNP_SHORT"] = "1"  # the notebooks train for a moment only

import numpy as np
import pytest
import strict_cupy
from checking import STRICT

from ramnp.backend import NUMPY, Backend, get_backend
from ramnp.errors import BackendError
from ramnp.registry import HOMES, get

try:
    import pooch
except ImportError:  # a GPU machine without network may lack it: then nothing can be downloaded
    pooch = None

for kind in HOMES:  # all parts are there before a test puts something else in the place of one
    for name in HOMES[kind]:
        get(kind, name)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that would download something fails."""

    def refuse(url, *args, **kwargs):
        raise OSError(f"no network in a test: {url}")

    if pooch:
        monkeypatch.setattr(pooch, "retrieve", refuse)


def available_backends() -> list[Backend]:
    """NumPy, the strict stand-in, and CuPy where it works."""
    try:
        return [NUMPY, STRICT, get_backend("cupy")]
    except BackendError:
        return [NUMPY, STRICT]


@pytest.fixture(params=available_backends(), ids=lambda backend: backend.name)
def backend(request):
    return request.param


@pytest.fixture
def strict():
    """The strict backend, its counters at zero."""
    strict_cupy.counts.syncs = strict_cupy.counts.uploads = 0
    return STRICT


@pytest.fixture
def rng():
    return np.random.default_rng(0)
