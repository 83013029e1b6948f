"""Run the reader's own functions and layers inside ramnp's model."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

# Arguments that save time or name a backend. A reader's function may leave them out.
CONVENIENCES = ("out", "xp", "input_gradient")
# Packages in which nothing is replaced.
APART = ("ramnp.gradcheck", "ramnp.teaching")


@contextmanager
def using(*mine: Any) -> Iterator[None]:
    """A context in which ramnp computes with these functions and classes instead of its own of the same names.

    A function replaces ramnp's wherever that is called. The methods of a class replace those of ramnp's class, for its
    subclasses too; the arrays (`self.W`, `self.dW`) stay ramnp's. Functions and methods may leave out the arguments
    `out`, `xp` and `input_gradient`. Worker processes do not see the replacements: train with `workers=1`, the default
    of `Config`.

    Raises:
        NameError: ramnp has nothing of that name.
    """
    with ExitStack() as stack:
        for each in mine:
            for owner, name, value in replacements(each):
                stack.enter_context(patch.object(owner, name, value))
        yield


def replacements(mine: Any) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    """What to replace by the reader's function or class: (owner, name, new value) for each place in ramnp."""
    name = mine.__name__
    modules = [module for key, module in sys.modules.items() if key.startswith("ramnp.") and not key.startswith(APART)]
    # The original is the object of this name in the module that defines it.
    original = next(
        (vars(m)[name] for m in modules if getattr(vars(m).get(name), "__module__", "") == m.__name__), None
    )
    if original is None:
        raise NameError(f"ramnp has no {name} that yours could replace; check the spelling")
    if inspect.isclass(mine):
        for method, function in vars(mine).items():
            if inspect.isfunction(function) and hasattr(original, method) and not method.startswith("__"):
                yield original, method, adapt(function, getattr(original, method))
        return
    value = adapt(mine, original)
    for module in modules:  # every module that has imported it
        if vars(module).get(name) is original:
            yield module, name, value


def adapt(mine: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the signature of `original` that calls `mine`."""
    signature, accepted = inspect.signature(original), inspect.signature(mine).parameters

    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        extras = {name: given.pop(name) for name in CONVENIENCES if name in given}
        result = mine(*given.values(), **{name: value for name, value in extras.items() if name in accepted})
        out = extras.get("out")
        return result if out is None or "out" in accepted else write_out(result, out)

    return call


def write_out(result: Any, out: Any) -> Any:
    """Write a result into `out`, where ramnp expects it; return it as ramnp's function would.

    `out` is an array for y, or a tuple of the buffers that end the cache, the last of which is y
    (docs/architecture.md, protocol 1). An `out` of another shape is scratch memory of ramnp and stays as it is.
    """
    y, *rest = result if isinstance(result, tuple) else (result,)
    if isinstance(out, tuple):
        if not rest:
            return result
        *between, _ = rest[0][-len(out) :]
        for buffer, value in zip(out, (*between, y), strict=True):
            buffer[...] = value
        return (out[-1], *rest)
    if np.shape(y) != np.shape(out):
        return result
    out[...] = y
    return (out, *rest) if rest else out
