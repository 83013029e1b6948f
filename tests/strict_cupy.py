"""A strict stand-in for CuPy, for machines without a GPU.

`strict_cupy` offers the part of CuPy's interface that `cupy_api.json` lists, and `as_strided`, on arrays that live in
host memory but behave like a GPU's where it matters:

- they refuse implicit conversion to NumPy, and refuse to be mixed with NumPy arrays;
- they refuse an `out` that shares memory with an input and is another object: CuPy then copies the input first;
- they have only the functions, methods and keyword arguments that CuPy has;
- they count what makes the host wait for the device (`counts.syncs`), what is uploaded (`counts.uploads`), and about
  how many kernels CuPy would launch, by function (`counts.launches`).
"""

import json
import operator
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

API = json.loads(Path(__file__).with_name("cupy_api.json").read_text())
# Their result's size depends on the data, so CuPy must fetch it before it can go on.
DATA_DEPENDENT = {"nonzero", "flatnonzero", "argwhere", "unique", "extract", "compress", "trim_zeros"}
# CuPy's ufuncs take more, but these are all that its documentation explains.
UFUNC_KEYWORDS = {"out", "dtype", "casting"}


@dataclass
class Counts:
    """Host synchronisations, uploads, and kernel launches by function so far."""

    syncs: int = 0
    uploads: int = 0
    launches: Counter[str] = field(default_factory=Counter)


counts = Counts()


def _sync() -> None:
    counts.syncs += 1


def _launched(name: str, result: Any, given: Any) -> Any:
    """Count a kernel, unless the result is only a view of what was given, or memory that nothing was written to."""
    result_is_view = isinstance(result, np.ndarray) and any(
        isinstance(x, ndarray) and np.may_share_memory(result, x._host) for x in given
    )
    if not result_is_view and not name.startswith("empty"):
        counts.launches[name] += 1
    return result


def _unwrap(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError("strict_cupy: Unsupported type <class 'numpy.ndarray'>: a host array among device arrays")
    if isinstance(value, list | tuple):
        return type(value)(_unwrap(item) for item in value)
    return value


def _wrap(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, list | tuple):
        return type(value)(_wrap(item) for item in value)
    return value


def _check_keywords(name: str, allowed: Any, keywords: dict[str, Any]) -> None:
    if not any(word.startswith("**") for word in allowed) and (unknown := set(keywords) - set(allowed)):
        raise TypeError(f"cupy.{name} has no keyword argument {sorted(unknown)}")


def _call(
    name: str, function: Any, allowed: Any, args: tuple[Any, ...], keywords: dict[str, Any], owner: Any = None
) -> Any:
    _check_keywords(name, allowed, keywords)
    if not any(word.startswith("*") for word in allowed) and len(args) > len(allowed) and name not in API["ufuncs"]:
        raise TypeError(f"cupy.{name} takes {len(allowed)} arguments, not {len(args)}")
    if name in DATA_DEPENDENT:
        _sync()
    out = keywords.get("out")
    if out is not None and not isinstance(out, ndarray):
        raise TypeError(f"cupy.{name}: out must be a device array")
    for given in args if out is not None else ():
        if isinstance(given, ndarray) and given is not out and np.may_share_memory(given._host, out._host):
            raise ValueError(
                f"strict_cupy: cupy.{name} would copy an input that overlaps `out`; hand in the same object"
            )
    result = function(*_unwrap(args), **{word: _unwrap(value) for word, value in keywords.items()})
    if out is not None:
        counts.launches[name] += 1
        return out
    return _wrap(_launched(name, result, (*args, owner)))


class ndarray:
    """A device array. Its memory is reached only through the functions of this module."""

    __array_ufunc__ = None  # NumPy's operators and ufuncs refuse it
    __hash__ = None

    def __init__(self, host: np.ndarray) -> None:
        self._host = host

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("strict_cupy: Implicit conversion to a NumPy array is not allowed; use .get()")

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    size = property(lambda self: self._host.size)
    ndim = property(lambda self: self._host.ndim)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: ndarray(self._host.T))

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (ndarray(np.asarray(self._host[i, ...])) for i in range(len(self)))

    def __getitem__(self, key: Any) -> "ndarray":
        key = self._key(key)
        found = np.asarray(self._host[(*key, ...)] if isinstance(key, tuple) and ... not in key else self._host[key])
        return ndarray(_launched("getitem", found, (self,)))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[self._key(key)] = _unwrap(value)
        counts.launches["setitem"] += 1

    @staticmethod
    def _key(key: Any) -> Any:
        for item in key if isinstance(key, tuple) else (key,):
            if isinstance(item, ndarray) and item.dtype == bool:
                _sync()
        return _unwrap(key)

    def _to_host(self) -> np.ndarray:
        _sync()
        return self._host.copy()

    def get(self) -> np.ndarray:
        return self._to_host()

    def item(self) -> Any:
        return self._to_host().item()

    def tolist(self) -> Any:
        return self._to_host().tolist()

    def __bool__(self) -> bool:
        return bool(self._to_host())

    def __int__(self) -> int:
        return int(self._to_host())

    def __float__(self) -> float:
        return float(self._to_host())

    def __index__(self) -> int:
        return operator.index(self._to_host())

    def __getattr__(self, name: str) -> Any:
        if name not in API["methods"]:
            raise AttributeError(f"cupy.ndarray has no attribute '{name}'")
        method = getattr(self._host, name)
        return lambda *args, **keywords: _call(f"ndarray.{name}", method, API["methods"][name], args, keywords, self)


def _binary(name: str, function: Any, reflected: bool = False) -> Any:
    def method(self: ndarray, other: Any) -> ndarray:
        if not isinstance(other, ndarray | bool | int | float | np.generic):
            raise TypeError(f"strict_cupy: unsupported operand {type(other)}")
        other = _unwrap(other)
        counts.launches[name] += 1
        return _wrap(function(other, self._host) if reflected else function(self._host, other))

    return method


def _in_place(name: str, function: Any) -> Any:
    def method(self: ndarray, other: Any) -> ndarray:
        counts.launches[name] += 1
        function(self._host, _unwrap(other))  # in place: operator.iadd on an array returns that array
        return self

    return method


def _unary(name: str, function: Any) -> Any:
    return lambda self: _wrap(_launched(name, function(self._host), ()))


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift"):
    _function = getattr(operator, _name + ("_" if _name in ("and", "or") else ""))
    setattr(ndarray, f"__{_name}__", _binary(_name, _function))
    setattr(ndarray, f"__r{_name}__", _binary(_name, _function, reflected=True))
    setattr(ndarray, f"__i{_name}__", _in_place(_name, getattr(operator, f"i{_name}")))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ndarray, f"__{_name}__", _binary(_name, getattr(operator, _name)))
for _name in ("neg", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _unary(_name, getattr(operator, _name)))


def asarray(a: Any, dtype: Any = None) -> ndarray:
    """Upload a host array; a device array stays as it is."""
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    counts.uploads += 1
    return ndarray(np.array(a, dtype=dtype))


array = asarray


def asnumpy(a: Any) -> np.ndarray:
    """Download: waits for all earlier work."""
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def _as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return ndarray(np.lib.stride_tricks.as_strided(x._host, shape, strides))


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))


def __getattr__(name: str) -> Any:
    """The rest of CuPy's functions, by way of NumPy's."""
    if name in API["ufuncs"]:
        allowed: Any = UFUNC_KEYWORDS
    elif name in API["functions"]:
        allowed = API["functions"][name]
    elif name in ("float32", "float64", "int64", "int32", "uint8", "bool_", "newaxis", "pi", "inf", "nan"):
        return getattr(np, name)
    else:
        raise AttributeError(f"module 'cupy' has no attribute '{name}'")
    function = getattr(np, name)
    return lambda *args, **keywords: _call(name, function, allowed, args, keywords)
