"""Where arrays live: in NumPy on the CPU, or in CuPy on a GPU. No other file imports CuPy.

You choose a backend once and pass it to the model's constructor. The rest of the package computes with `backend.xp`,
which is the module `numpy` or `cupy`, so the same lines of code run on both.
"""

import os
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

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


class Limit(AbstractContextManager):
    """A limit on the threads of a matrix product, in force until its `with` ends; without a `with`, for good.

    The number belongs to the whole process. So if several limits are in force at a time, from one thread or from
    many, the latest counts, and the number from before them all comes back when the last of them has ended.
    """

    in_force: ClassVar[list["Limit"]] = []
    before: ClassVar[Any] = None
    lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, threads: int) -> None:
        self.threads = threads
        with self.lock:
            if not self.in_force:
                Limit.before = set_threads(threads)
            else:
                set_threads(threads)
            self.in_force.append(self)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.in_force.remove(self)
            if self.in_force:
                set_threads(self.in_force[-1].threads)
            elif self.before is not None:
                aside(self.before.restore_original_limits)


def set_threads(threads: int) -> Any:
    """Set the number of threads of a matrix product; returns what can restore it, or None without threadpoolctl."""
    try:
        from threadpoolctl import threadpool_limits  # here, because its import takes 20 ms that not every command needs
    except ImportError:  # a clone on a GPU machine without network: only the speed of CPU work suffers
        return None
    return aside(lambda: threadpool_limits(threads, user_api="blas"))


def aside(act: Callable[[], Any]) -> Any:
    """Run `act` in a thread of its own, which ends with it; return what it returns.

    threadpoolctl lets a single thread set the number for OpenBLAS, as long as that thread lives. The calls of the
    others do nothing. So whoever limits the threads must not keep that right.
    """
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    try:
        thread.start()
    except RuntimeError:  # no threads here, so there are no others
        return act()
    thread.join()
    return found[0]


def limit_threads(threads: int | None) -> AbstractContextManager:
    """Limit the threads of a matrix product on the CPU: from now on or, used in a `with`, until its end.

    Use 1 if several processes share the cores: otherwise their threads wait for each other far longer than they save.
    None leaves the number as it is.
    """
    return nullcontext() if threads is None else Limit(threads)


def note_no_threads(error: RuntimeError) -> None:
    """Warn that threads cannot be started here, as in a browser's Python: the work is done without, only slower."""
    warnings.warn(f"no threads here ({first_line(error)}): continuing without them", RuntimeWarning, stacklevel=3)


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


def select_device(number: int) -> None:
    """Let this process, and those that it starts, see one GPU only. Call it before anything uses CUDA.

    Args:
        number: of the GPU, counted from 0 among those that CUDA_VISIBLE_DEVICES shows.

    Raises:
        BackendError: CUDA_VISIBLE_DEVICES shows fewer.
    """
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number)
        return
    names = [name.strip() for name in shown.split(",") if name.strip()]
    if number >= len(names):
        raise BackendError(f"there is no GPU {number}: CUDA_VISIBLE_DEVICES={shown} shows {len(names)}, counted from 0")
    os.environ["CUDA_VISIBLE_DEVICES"] = names[number]


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
            f"CuPy {cupy.__version__} cannot use a GPU: {_explain(cupy, error)}, or use --backend numpy"
        ) from error
    return Backend("cupy", cupy)


# Numbers of CUDA's errors (`cudaError_t`).
_DRIVER_TOO_OLD, _NO_DEVICE, _INVALID_DEVICE, _NO_KERNEL_IMAGE = 35, 100, 101, 209


def _explain(cupy: Any, error: Exception) -> str:
    """What is wrong and what to do, from the error of the first computation on a GPU."""
    runtime, said, status = cupy.cuda.runtime, str(error).lower(), getattr(error, "status", None)
    package = runtime.runtimeGetVersion() // 1000  # 12090 is CUDA 12.9
    driver = runtime.driverGetVersion()  # the newest CUDA it knows; 0: there is none
    libraries = f"`pip install 'cupy-cuda{package}x[ctk]'`"
    if not driver:
        return "there is no NVIDIA driver: install one, so that `nvidia-smi` shows the GPU"
    if status == _DRIVER_TOO_OLD:
        other = f", or install cupy-cuda{driver // 1000}x in place of cupy-cuda{package}x" if driver >= 12000 else ""
        return (
            f"the NVIDIA driver is too old: it knows CUDA {driver // 1000}.{driver % 1000 // 10}, "
            f"the package is for CUDA {package}: update the driver{other}"
        )
    if status in (_NO_DEVICE, _INVALID_DEVICE):
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        if shown is None:
            return "the driver finds no GPU: see what `nvidia-smi` says"
        return f"CUDA_VISIBLE_DEVICES or --device asks for GPU {shown}, which is not there: see `nvidia-smi -L`"
    if status == _NO_KERNEL_IMAGE or "gpu-architecture" in said:
        card = runtime.getDeviceProperties(runtime.getDevice())
        older = " install cupy-cuda12x in place of cupy-cuda13x," if package >= 13 else ""
        return (
            f"{card['name'].decode()}, of compute capability {card['major']}.{card['minor']}, is too old for CUDA "
            f"{package}:{older} choose another GPU with --device"
        )
    if "libnvrtc" in said:
        return f"NVRTC, which compiles its kernels, is missing: {libraries} brings it"
    if "no such file" in said or "could not open" in said:
        return f"a library or header of CUDA is missing ({first_line(error)}): {libraries} brings them"
    return f"it fails with {first_line(error)}: see whether `nvidia-smi` works and fits cupy-cuda{package}x"
