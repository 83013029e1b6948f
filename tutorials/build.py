"""Build the notebooks from their sources.

    python tutorials/build.py               tutorials/NN_name.ipynb, for students
    python tutorials/build.py --solutions   tutorials/solutions/NN_name.ipynb as well

A source is `tutorials/source/NN_name.py`, in jupytext's percent format; tutorials/AUTHORING.md says how one is written.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

HERE = Path(__file__).parent
# As nbgrader has it. `comment_magics`: a line "# %pip ..." stays the comment that it is.
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?\n *### END SOLUTION$", re.MULTILINE | re.DOTALL)
FORMAT = {"extension": ".py", "format_name": "percent", "comment_magics": False}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources() -> list[Path]:
    """The sources, in order."""
    return sorted((HERE / "source").glob("[0-9][0-9]_*.py"))


def build(source: Path) -> NotebookNode:
    """The notebook of a source, with solutions and with the metadata that nbgrader wants.

    Raises:
        ValueError: an exercise and its check do not belong together.
    """
    read = jupytext.reads(source.read_text(), FORMAT)
    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    exercises: list[str] = []
    for number, cell in enumerate(read.cells):
        metadata: dict[str, Any] = {}
        if "exercise" in cell.metadata:
            exercises.append(cell.metadata["exercise"])
            metadata["nbgrader"] = grading(exercises[-1], solution=True)
        elif "check" in cell.metadata:
            if exercises[-1:] != [cell.metadata["check"]]:
                raise ValueError(f"{source}: the check {cell.metadata['check']} does not follow its exercise")
            metadata["nbgrader"] = grading("check-" + exercises[-1], points=cell.metadata["points"])
        new = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
        notebook.cells.append(new(cell.source, id=f"cell-{number:03}", metadata=metadata))
    return notebook


def grading(grade_id: str, solution: bool = False, points: int | None = None) -> dict[str, Any]:
    """nbgrader's metadata of a cell that a student fills in, or of one that checks it and is worth `points`."""
    common = {"grade_id": grade_id, "schema_version": 3, "solution": solution, "task": False}
    return common | (
        {"grade": False, "locked": False} if solution else {"grade": True, "locked": True, "points": points}
    )


def blank(source: Path) -> NotebookNode:
    """The notebook of a source for students: every solution is replaced by an error that names the exercise.

    A solution outside a function is only left out, so that the cell runs: above it stands `name = None`, which the
    check finds.
    """
    notebook, chapter = build(source), int(source.stem[:2])
    for number, cell in enumerate(solution_cells(notebook), 1):

        def stub(match: re.Match[str], number: int = number) -> str:
            lines = ["# YOUR CODE HERE", f'raise NotImplementedError("exercise {chapter}.{number}")']
            return "\n".join(match[1] + line for line in (lines if match[1] else lines[:1]))

        cell.source = SOLUTION.sub(stub, cell.source)
    return notebook


def solution_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """The cells that a student fills in."""
    return (cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--solutions", action="store_true", help="build those with solutions, too")
    arguments = parser.parse_args()
    for source in sources():
        nbformat.write(blank(source), HERE / f"{source.stem}.ipynb")
        if arguments.solutions:
            (HERE / "solutions").mkdir(exist_ok=True)
            nbformat.write(build(source), HERE / "solutions" / f"{source.stem}.ipynb")


if __name__ == "__main__":
    main()
