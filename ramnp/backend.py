"""Where arrays live: in NumPy on the CPU, or in CuPy on a GPU. No other file imports CuPy.

You choose a backend once and pass it to the model's constructor. The rest of the package computes with `backend.xp`,
which is the module `numpy` or `cupy`, so the same lines of code run on both.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ramnp.errors import BackendError, first_line

Array: TypeAlias = Any  # a numpy.ndarray or a cupy.ndarray, always that of the chosen backend

CUPY_HINT = (
    "install it with `pip install 'cupy-cuda12x[ctk]'` (CUDA 12) or `pip install 'cupy-cuda13x[ctk]'` "
    "(CUDA 13), or use --backend numpy"
)


@dataclass(frozen=True)
class Backend:
    """An array module, and the copies between its memory and the host's."""

    name: str
    xp: Any

    def asarray(self, host: np.ndarray) -> Array:
        """Copy a host array to the backend (NumPy: no copy)."""
        return self.xp.asarray(host)

    def to_host(self, array: Array) -> np.ndarray:
        """Copy an array to the host (NumPy: no copy). On a GPU this waits for all earlier work."""
        return np.asarray(array) if self.xp is np else self.xp.asnumpy(array)

    @property
    def device(self) -> str | None:
        """The name of the GPU, or None on the CPU."""
        if self.name != "cupy":
            return None
        return self.xp.cuda.runtime.getDeviceProperties(self.xp.cuda.runtime.getDevice())["name"].decode()


NUMPY = Backend("numpy", np)


def limit_threads(threads: int | None) -> Any:
    """Limit the threads of a matrix product on the CPU: from now on or, used in a `with`, until its end.

    Use 1 if several processes share the cores: otherwise their threads wait for each other far longer than they save.
    None leaves the number as it is.
    """
    from threadpoolctl import threadpool_limits  # here, because its import takes 20 ms that not every command needs

    return threadpool_limits(threads, user_api="blas")


def get_backend(name: str = "auto") -> Backend:
    """The backend called `name`: "numpy", "cupy", or "auto" (CuPy if it works, else NumPy).

    Raises:
        BackendError: `name` is unknown, or it is "cupy" and CuPy or the GPU cannot be used.
    """
    if name == "numpy":
        return NUMPY
    if name == "cupy":
        return _cupy_backend()
    if name == "auto":
        try:
            return _cupy_backend()
        except BackendError:
            return NUMPY
    raise BackendError(f"unknown backend '{name}': choose numpy, cupy or auto")


def _cupy_backend() -> Backend:
    try:
        import cupy
    except ImportError as error:
        raise BackendError(f"CuPy cannot be imported ({first_line(error)}): {CUPY_HINT}") from error
    try:
        # A real product, so that a missing library is found here and not in the first training step.
        probe = cupy.ones((2, 2), dtype=cupy.float32)
        cupy.cuda.runtime.deviceSynchronize()
        (probe @ probe).get()
    except Exception as error:  # CuPy reports missing drivers and libraries in many types
        raise BackendError(
            f"CuPy {cupy.__version__} finds no usable NVIDIA GPU ({first_line(error)}): check that `nvidia-smi` lists "
            "the GPU, that the CuPy package fits the driver, and that CUDA's libraries are installed (`pip install "
            "'cupy-cuda12x[ctk]'` or 'cupy-cuda13x[ctk]' installs them), or use --backend numpy"
        ) from error
    return Backend("cupy", cupy)
