"""Write `cupy_api.json`: every function, ufunc and array method of the installed CuPy, with its parameters.

    python tests/make_cupy_api.py

The strict stand-in (`strict_cupy.py`) offers what this file lists and nothing else. CuPy can be imported, and so
inspected, on a machine without a GPU.
"""

import inspect
import json
import re
from pathlib import Path

FILE = Path(__file__).with_name("cupy_api.json")


def parameters(signature: inspect.Signature) -> list[str]:
    """Names, with their stars."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [stars.get(p.kind, "") + p.name for p in signature.parameters.values()]


def method_parameters(doc: str) -> list[str]:
    """Names from the signature that Cython puts into the first line of a docstring."""
    inside = re.search(r"\((.*)\)", doc.splitlines()[0])
    words = [word.split("=")[0].strip().split(" ")[-1] for word in inside[1].split(",")]
    return [word for word in words if word not in ("self", "/", "*")]


def inspect_cupy() -> dict[str, object]:
    """{"version", "ufuncs": [...], "functions": {name: parameters}, "methods": {name: parameters}}."""
    import cupy

    ufuncs, functions, methods = [], {}, {}
    for name in sorted(dir(cupy)):
        value = getattr(cupy, name)
        if name.startswith("_") or inspect.isclass(value) or not callable(value):
            continue
        if isinstance(value, cupy.ufunc):
            ufuncs.append(name)
            continue
        try:
            functions[name] = parameters(inspect.signature(value))
        except (TypeError, ValueError):
            continue
    for name in sorted(dir(cupy.ndarray)):
        value = getattr(cupy.ndarray, name)
        if not name.startswith("_") and callable(value) and "(" in (value.__doc__ or "").split("\n")[0]:
            methods[name] = method_parameters(value.__doc__)
    return {"version": cupy.__version__, "ufuncs": ufuncs, "functions": functions, "methods": methods}


if __name__ == "__main__":
    FILE.write_text(json.dumps(inspect_cupy(), indent=1) + "\n")
