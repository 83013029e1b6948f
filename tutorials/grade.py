"""Grade notebooks that students handed in.

    python tutorials/grade.py 01_forward_and_backward.ipynb handins/*.ipynb --json scores

The first is the notebook as it was handed out. Each hand-in IS EXECUTED, with your rights and in a kernel of its own,
after its check cells were replaced by those that were handed out. A check that passes gives its points, one that
fails none. With --json a report NAME.json for each goes to that folder; its `tests` are those of docs/gradcheck.md.
A school that has nbgrader can use that: the notebooks carry its metadata (tutorials/README.md).
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode


def check_cells(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """The check cells by their names."""
    graded = (cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade"))
    return {cell.metadata["nbgrader"]["grade_id"]: cell for cell in graded}


def execute(notebook: NotebookNode, folder: Path, timeout: int) -> str:
    """Run all cells, errors or not, with short trainings; return what stopped it, or nothing."""
    client = NotebookClient(notebook, timeout=timeout, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    try:
        client.execute(env=os.environ | {"RAMNP_SHORT": "1"})
    except CellTimeoutError:
        return f"a cell ran for more than {timeout} s"
    except DeadKernelError:
        return "the kernel died"
    return ""


def grade(released: NotebookNode, handin: NotebookNode, folder: Path, timeout: int = 120) -> dict[str, Any]:
    """Execute a hand-in, in `folder`, with the check cells of the notebook that was handed out.

    Returns:
        {"score", "max_score", "tests": [{"name", "score", "max_score", "output"}, ...]}
    """
    theirs = check_cells(handin)
    for name, cell in check_cells(released).items():
        if name in theirs:
            theirs[name].source = cell.source
    for cell in handin.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.metadata.pop("execution", None)
    stopped = execute(handin, folder, timeout)
    return report({name: outcome(theirs.get(name), stopped) for name in check_cells(released)}, released)


def outcome(cell: NotebookNode | None, stopped: str) -> str:
    """What became of a check cell: "right", or what went wrong."""
    if cell is None:
        return "the check cell is missing"
    for output in cell.outputs:
        if output.output_type == "error":
            return f"{output.ename}: {output.evalue}".removeprefix("CheckFailedError: ")
    # The kernel's reply is the one sign that a cell came to its end.
    finished = "shell.execute_reply" in cell.metadata.get("execution", {})
    return "right" if finished else stopped or "it did not run"


def report(outcomes: dict[str, str], released: NotebookNode) -> dict[str, Any]:
    """The outcomes as scores."""
    tests = []
    for name, cell in check_cells(released).items():
        points = float(cell.metadata["nbgrader"]["points"])
        score = points if outcomes[name] == "right" else 0.0
        tests.append({"name": name, "score": score, "max_score": points, "output": outcomes[name]})
    return {
        "score": sum(each["score"] for each in tests),
        "max_score": sum(each["max_score"] for each in tests),
        "tests": tests,
    }


def grade_file(released: NotebookNode, path: Path, timeout: int) -> dict[str, Any]:
    """Grade a file, which need not be a notebook."""
    try:
        handin = nbformat.read(path, as_version=4)
    except Exception as error:  # not JSON, no notebook, not readable
        return report(dict.fromkeys(check_cells(released), f"no notebook ({type(error).__name__})"), released)
    return grade(released, handin, path.parent, timeout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("released", type=Path, help="the notebook as it was handed out")
    parser.add_argument("handins", type=Path, nargs="+", help="notebooks; they are executed")
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="write a report for each there")
    parser.add_argument("--timeout", type=int, default=120, metavar="S", help="for a cell (120)")
    arguments = parser.parse_args()
    released = nbformat.read(arguments.released, as_version=4)
    for path in arguments.handins:
        graded = grade_file(released, path, arguments.timeout)
        print(f"{path}: {graded['score']:g} of {graded['max_score']:g}")
        for each in graded["tests"]:
            print(f"  {each['score']:g}/{each['max_score']:g}  {each['name']}: {each['output'].splitlines()[0]}")
        if arguments.json:
            arguments.json.mkdir(parents=True, exist_ok=True)
            name = "_".join(part for part in path.with_suffix(".json").parts if part not in ("/", "..", "."))
            (arguments.json / name).write_text(json.dumps({"notebook": str(path)} | graded, indent=1) + "\n")


if __name__ == "__main__":
    main()
