"""The rules of the house: which module may import which, and what an import loads."""

import ast
import json
import subprocess
import sys
from collections.abc import Container
from graphlib import CycleError, TopologicalSorter

import pytest
from running import REPOSITORY

# From the bottom to the top. A module imports from its own row and from those below.
ROWS = (
    {"ramnp", "errors", "own_parts", "registry", "version"},  # "ramnp" is ramnp/__init__.py
    {"backend", "config", "files", "presets", "schema"},
    {"network"},
    {"data"},
    {"pictures"},
    {"pretrained"},
    {"training"},
    {"use"},
    {"analysis", "demo"},
    {"reproduce"},
    {"gradcheck", "teaching"},
    {"cli"},
    {"commands"},
)


def modules_of(package: str) -> dict[str, ast.Module]:
    """The modules of a package, parsed, by their full names."""
    modules = {}
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
    return modules


def named_by(module: ast.Module, known: Container[str] = ()) -> set[str]:
    """What a module imports, at its top or inside a function: "a.b" for `from a import b` if that is a known module."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"a relative import: {ast.unparse(node)}"
            members = {f"{node.module}.{each.name}" for each in node.names}
            names |= {member if member in known else node.module for member in members}
    return names


def graph_of(package: str) -> dict[str, set[str]]:
    """Who imports whom in a package."""
    modules = modules_of(package)
    return {name: named_by(module, modules) & modules.keys() for name, module in modules.items()}


def is_command(module: ast.Module) -> bool:
    """Whether `python -m` runs something: it ends in `if __name__ == "__main__":`."""
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in module.body)


# ramnp/__init__.py offers names of all modules, but imports none itself: see the last test.
GRAPH = graph_of("ramnp") | {"ramnp": set()}
COMMANDS = {name for name, module in modules_of("ramnp").items() if is_command(module)}


def home(module: str) -> str:
    """The part of ramnp that a module belongs to, as ROWS names it."""
    if module in COMMANDS:
        return "commands"
    return module.split(".")[1] if "." in module else module


def row(part: str) -> int:
    """The row of a part of ramnp."""
    (found,) = (number for number, parts in enumerate(ROWS) if part in parts)
    return found


ARROWS = [(module, imported) for module in GRAPH for imported in GRAPH[module]]


def test_the_modules_are_found():
    assert {"ramnp.network.model", "ramnp.training.trainer", "ramnp.data", "ramnp.cli"} <= set(GRAPH)
    assert {"ramnp.train", "ramnp.evaluate", "ramnp.data.__main__", "ramnp.gradcheck.estimator"} <= COMMANDS
    assert ("ramnp.network.model", "ramnp.network.core") in ARROWS
    assert ("ramnp.training.run", "ramnp.pictures.curves") in ARROWS  # inside a function
    assert ("ramnp.train", "ramnp.data") in ARROWS  # from ramnp import data


def test_every_module_has_its_row():
    assert {home(module) for module in GRAPH} <= set().union(*ROWS)


def test_the_network_imports_nothing_but_the_ground_it_stands_on():
    ground = {"network", "backend", "config", "errors", "registry"}
    assert [arrow for arrow in ARROWS if home(arrow[0]) == "network" and home(arrow[1]) not in ground] == []


def test_what_the_commands_share_imports_single_modules():
    ground = ROWS[0] | ROWS[1]
    assert [arrow for arrow in ARROWS if arrow[0] == "ramnp.cli" and home(arrow[1]) not in ground] == []


def test_nobody_imports_a_command():
    assert [arrow for arrow in ARROWS if arrow[1] in COMMANDS] == []


def test_no_arrow_runs_back_up():
    assert [arrow for arrow in ARROWS if row(home(arrow[1])) > row(home(arrow[0]))] == []


@pytest.mark.parametrize("package", ["ramnp", "benchmarks"])
def test_no_module_imports_itself_in_a_circle(package):
    assert circle(GRAPH if package == "ramnp" else graph_of(package)) == []


def test_no_two_parts_import_each_other():
    parts = {home(module): set() for module in GRAPH}
    for module, imported in ARROWS:
        parts[home(module)] |= {home(imported)} - {home(module)}
    assert circle(parts) == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle in a graph, from a node back to it, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_ramnp_imports_no_other_packages_than_those_it_is_installed_with():
    """CuPy, IPython and onnx are there where they are used: on a GPU, in a notebook, and to export."""
    installed = {"filelock", "numpy", "matplotlib", "PIL", "pooch", "threadpoolctl", "tqdm", "cupy", "IPython", "onnx"}
    names = set().union(*(named_by(module) for module in modules_of("ramnp").values()))
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"ramnp"} == installed


ONE_STEP = """
import numpy as np
from ramnp.config import Config
from ramnp.network import build
from ramnp.network.reinforce import LearningRule

model = build(Config(glimpses=2), (28, 28, 1), 10)
rng = np.random.default_rng(0)
rollout = model.forward(model.canvas(rng.random((4, 28, 28, 1))), model.draw(rng, 4))
model.backward(rollout, np.arange(4), LearningRule())
assert model.parameters.gradients.any()
"""


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import ramnp", {"pooch", "PIL", "matplotlib", "threadpoolctl", "tqdm"}),
        (ONE_STEP, {"pooch", "PIL", "matplotlib", "tqdm"}),
    ],
    ids=["import", "one step"],
)
def test_what_is_not_needed_is_not_loaded(code, unwanted):
    shown = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", shown], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    loaded = set(json.loads(process.stdout))
    assert "ramnp" in loaded
    assert loaded & unwanted == set()
