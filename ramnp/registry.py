"""Parts by kind and name: which class does `--core gru` mean?

A kind is the field of the configuration that chooses among its parts. Yours join ramnp's by one line:

    @register("core", "mine")
    class MyCore(Core): ...

after which `Config(core="mine")` and `--core mine` know it. `docs/extending.md` has an example of every kind.

This module imports nothing of ramnp, so that the configuration can ask for names without importing what they stand for.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, TypeVar

P = TypeVar("P")

# ramnp's own parts, and the modules that register them: these are imported when a part is first asked for.
HOMES: dict[str, dict[str, str]] = {
    "model": {"ram": "ramnp.network.model", **dict.fromkeys(("fc", "cnn"), "ramnp.network.whole_image")},
    "glimpse_network": dict.fromkeys(("linear", "conv"), "ramnp.network.glimpse"),
    "core": dict.fromkeys(("rnn", "lstm", "gru"), "ramnp.network.core"),
    "policy": dict.fromkeys(("learned", "random", "centre"), "ramnp.network.policy"),
    "optimizer": dict.fromkeys(("adam", "sgd", "muon"), "ramnp.training.optim"),
    "dataset": {
        "mnist": "ramnp.data.mnist",
        "translated-mnist": "ramnp.data.scenes",
        "cluttered-mnist": "ramnp.data.scenes",
        "fashion-mnist": "ramnp.data.mnist",
        "cifar10": "ramnp.data.cifar10",
        "omniglot": "ramnp.data.omniglot",
        "arrays": "ramnp.data.arrays",
        "folder": "ramnp.data.folder",
    },
}
# What is registered so far.
PARTS: dict[str, dict[str, Any]] = {kind: {} for kind in HOMES}


def register(kind: str, name: str) -> Callable[[P], P]:
    """A decorator that makes a class the part `name` of its kind.

    A class that is defined again, as when a notebook cell runs twice, takes the place of the earlier one.

    Raises:
        ValueError: there is no such kind, or another part has that name.
    """
    if kind not in PARTS:
        raise ValueError(f"there is no kind of part '{kind}': choose {', '.join(PARTS)}")

    def add(part: P) -> P:
        if name in HOMES[kind]:
            free = part.__module__ == HOMES[kind][name]
        else:
            free = name not in PARTS[kind] or _title(PARTS[kind][name]) == _title(part)
        if not free:
            raise ValueError(f"the {kind} '{name}' is another one already: give {_title(part)} a name of its own")
        PARTS[kind][name] = part
        return part

    return add


def names(kind: str) -> tuple[str, ...]:
    """The names of all parts of a kind: ramnp's, then yours."""
    return tuple(dict.fromkeys((*HOMES[kind], *PARTS[kind])))


def get(kind: str, name: str) -> Any:
    """The part of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in PARTS[kind] and name in HOMES[kind]:
        import_module(HOMES[kind][name])
    if name not in PARTS[kind]:
        raise ValueError(f"there is no {kind} '{name}' here: register it before you use it")
    return PARTS[kind][name]


def is_added(kind: str, name: str) -> bool:
    """Whether the part is not ramnp's, but yours."""
    return kind in PARTS and name not in HOMES[kind]


def modules_of(config: Any) -> list[str]:
    """The modules of your parts in a configuration, for another process to `load`.

    Those of the script that runs are no such modules: a spawned process imports the script by itself.

    Raises:
        ValueError: a part is defined where no other process can import it, in a notebook.
    """
    parts = {get(kind, getattr(config, kind)) for kind in PARTS if is_added(kind, getattr(config, kind))}
    if any(part.__module__ == "__main__" for part in parts) and not hasattr(sys.modules["__main__"], "__file__"):
        raise ValueError(
            "worker processes cannot import what a notebook defines: "
            "put your parts into a file and import that, or train with workers=1"
        )
    return sorted({part.__module__ for part in parts} - {"__main__"})


def load(source: str) -> None:
    """Import a module by its name, or a file by its path, so that it registers its parts. Once, however often asked."""
    if not source.endswith(".py"):
        import_module(source)
    elif source not in sys.modules:
        spec = spec_from_file_location(source, source)
        assert spec is not None
        assert spec.loader is not None  # of a .py file there always is one
        module = sys.modules[source] = module_from_spec(spec)
        folder = str(Path(source).parent)
        if folder not in sys.path:
            sys.path.append(folder)  # the file may import what lies beside it
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[source]
            raise


def _title(part: Any) -> str:
    """The name of a class, or of the class of an object."""
    return getattr(part, "__qualname__", type(part).__qualname__)
