"""Where arrays live: NumPy on the CPU, or CuPy on a GPU. The only file that imports CuPy.

A backend is chosen once and handed to the model's constructor. The rest of the package computes
with `backend.xp`, which is the `numpy` or the `cupy` module, so the same line of code runs on both.
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
    """An array module and the two roads between it and the host's memory."""

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
    """Let a matrix product on the CPU use so many threads: from now on or, in a `with`, until its end.

    One, if several processes share the cores: with more, they would wait for each other far longer than they save.
    None leaves the number as it is.
    """
    from threadpoolctl import threadpool_limits  # 20 ms, and not every command needs it

    return threadpool_limits(threads, user_api="blas")


def get_backend(name: str = "auto") -> Backend:
    """The backend called `name`: "numpy", "cupy", or "auto" (CuPy where it works, else NumPy).

    Raises:
        BackendError: `name` is unknown, or is "cupy" and CuPy or a GPU cannot be used.
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
        # One real product: it fails here, and not in the first training step, if a library is missing.
        probe = cupy.ones((2, 2), dtype=cupy.float32)
        cupy.cuda.runtime.deviceSynchronize()
        (probe @ probe).get()
    except Exception as error:  # CuPy reports missing drivers and libraries in many types
        raise BackendError(
            f"CuPy {cupy.__version__} finds no usable NVIDIA GPU ({first_line(error)}): check `nvidia-smi`, that the "
            "package fits the driver, and that CUDA's libraries are there (`pip install 'cupy-cuda12x[ctk]'` or "
            "'cupy-cuda13x[ctk]' brings them), or use --backend numpy"
        ) from error
    return Backend("cupy", cupy)
