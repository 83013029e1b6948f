"""The notebooks: each is what its source builds, runs from top to bottom, and tells a solution from a blank."""

import functools
import re
import sys
import textwrap
from pathlib import Path

import build
import grade
import matplotlib.pyplot as plt
import nbformat
import pytest

from ramnp.gradcheck import CheckFailedError

SOURCES = build.sources()
SECONDS = 60  # that a notebook may take in short mode
DRAWS = re.compile(r"^(\w+, )?\w+ = plt\.(subplots|subplot_mosaic|figure)\(", re.MULTILINE)  # outside a function
for_each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


def exercises(source):
    """The names of a source's exercises, in order."""
    return [cell.metadata["nbgrader"]["grade_id"] for cell in build.solution_cells(build.build(source))]


EXERCISES = [
    pytest.param(source, name, id=f"{source.stem}: {name}") for source in SOURCES for name in exercises(source)
]


def test_there_is_one_notebook_for_each_source():
    assert SOURCES
    assert {path.stem for path in build.HERE.glob("*.ipynb")} == {source.stem for source in SOURCES}


@for_each_source
def test_the_notebook_is_what_its_source_builds(source):
    built = nbformat.writes(build.blank(source)) + "\n"
    assert (build.HERE / f"{source.stem}.ipynb").read_text() == built, "run: python tutorials/build.py"


@for_each_source
def test_students_get_no_solution_and_no_output(source):
    notebook = build.blank(source)
    for cell in notebook.cells:
        assert "SOLUTION" not in cell.source
        assert not cell.get("outputs")
    assert all("YOUR CODE HERE" in cell.source for cell in build.solution_cells(notebook))


@for_each_source
def test_exercises_are_numbered_hinted_and_followed_by_their_check(source):
    notebook = build.build(source)
    names = exercises(source)
    assert [name.removeprefix("check-") for name in grade.check_cells(notebook)] == names
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    chapter = str(int(source.stem[:2]))
    assert re.findall(r"^### Exercise ([\d.]+): ", text, re.MULTILINE) == [
        f"{chapter}.{number}" for number in range(1, len(names) + 1)
    ]
    assert text.count("<summary>Hint</summary>") >= len(names)
    assert "## What you can now do" in text


@for_each_source
def test_the_metadata_is_nbgrader_s(source):
    """https://nbgrader.readthedocs.io/en/stable/contributor_guide/metadata.html, schema version 3."""
    notebook = build.build(source)
    nbformat.validate(notebook)
    graded = [cell.metadata["nbgrader"] for cell in notebook.cells if "nbgrader" in cell.metadata]
    names = [each["grade_id"] for each in graded]
    assert len(set(names)) == len(names)
    for each in graded:
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", each["grade_id"])
        assert each["schema_version"] == 3
        assert {"grade", "solution", "locked", "task"} <= each.keys()
        assert each["grade"] != each["solution"]
        if each["grade"]:
            assert each["points"] > 0
            assert each["locked"]


@for_each_source
def test_the_solutions_pass(source, monkeypatch, tmp_path):
    """In a kernel, as people run it: no error, no warning, full points, within the time."""
    monkeypatch.delenv("MPLBACKEND")
    notebook = build.build(source)
    report = grade.grade(notebook, notebook, tmp_path, timeout=SECONDS)
    assert [test["output"] for test in report["tests"]] == ["right"] * len(exercises(source))
    assert report["score"] == report["max_score"] > 0
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.evalue for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    for cell in notebook.cells:
        if cell.cell_type == "code" and DRAWS.search(cell.source):
            assert any("image/png" in output.get("data", ()) for output in cell.outputs), cell.source


@functools.cache
def said_about_blanks(source):
    """What each check says where its exercise alone is left blank. The cells are executed here: a kernel is slow."""
    notebook = build.build(source)
    blank = build.blank(source)
    said, done, before = {}, {"__name__": "__main__"}, {}
    for number, (cell, empty) in enumerate(zip(notebook.cells, blank.cells, strict=True)):
        if cell.cell_type != "code":
            continue
        marks = cell.metadata.get("nbgrader", {})
        if marks.get("solution"):
            before = dict(done)
            execute(empty.source, before, number)
        elif marks.get("grade"):
            try:
                execute(cell.source, before, number)
            except CheckFailedError as error:
                said[marks["grade_id"].removeprefix("check-")] = str(error)
        execute(cell.source, done, number)
    return said


def execute(text, names, number):
    exec(compile(text, f"cell {number}", "exec"), names)
    plt.close("all")


@pytest.mark.parametrize(("source", "exercise"), EXERCISES)
def test_a_blank_fails_and_is_told_so(source, exercise):
    assert "not written yet" in said_about_blanks(source)[exercise]


SOURCE = textwrap.dedent("""\
    # %% exercise="double"
    def double(x):
        ### BEGIN SOLUTION
        return 2 * x
        ### END SOLUTION

    # %% check="double" points=2
    assert double(2) == 4, "it is not twice as much"

    # %% exercise="three"
    three = None
    ### BEGIN SOLUTION
    three = 3
    ### END SOLUTION

    # %% check="three" points=1
    assert three == 3
""")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "00_small.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def released(source):
    return build.build(source)


def test_a_blank_raises_in_a_function_and_leaves_none_outside(source):
    double, _, three, _ = build.blank(source).cells
    assert double.source == 'def double(x):\n    # YOUR CODE HERE\n    raise NotImplementedError("exercise 0.1")'
    assert three.source == "three = None\n# YOUR CODE HERE"
    assert "return 2 * x" in build.build(source).cells[0].source


def test_a_check_must_follow_its_exercise(source):
    source.write_text(SOURCE.replace('check="double"', 'check="triple"'))
    with pytest.raises(ValueError, match="triple"):
        build.build(source)


# What a student writes in place of something, the scores, and words of the report.
HANDINS = [
    ("return 2 * x", "return 3 * x", [0, 1], "it is not twice as much"),
    ("return 2 * x", "while True: pass", [0, 0], "ran for more than"),
    ("three = 3", "three = 2", [2, 0], "AssertionError"),
    ("three = None", "while True: pass", [2, 0], "ran for more than"),
    ("three = None", "import os; os._exit(1)", [2, 0], "the kernel died"),
    ("assert double(2) == 4", "x = (", [2, 1], "right"),  # the check that was handed out counts
]


@pytest.mark.parametrize(("old", "new", "scores", "words"), HANDINS)
def test_grading(released, tmp_path, old, new, scores, words):
    handin = nbformat.from_dict(released)
    for cell in handin.cells:
        cell.source = cell.source.replace(old, new)
    # On busy cores even a short cell takes its time.
    report = grade.grade(released, handin, tmp_path, timeout=20 if "while True" in new else 300)
    assert [test["score"] for test in report["tests"]] == scores
    assert report["score"] == sum(scores)
    assert report["max_score"] == 3
    assert any(words in test["output"] for test in report["tests"])


def test_a_check_cell_that_was_removed_gives_no_points(released, tmp_path):
    handin = nbformat.from_dict(released)
    del handin.cells[1]
    report = grade.grade(released, handin, tmp_path)
    assert [test["output"] for test in report["tests"]] == ["the check cell is missing", "right"]


def test_the_command_writes_a_report_for_each_handin(source, released, tmp_path, monkeypatch, capsys):
    """One that is no notebook does not stop the others."""
    nbformat.write(released, tmp_path / "released.ipynb")
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        nbformat.write(build.blank(source) if name == "bob" else released, tmp_path / name / "00.ipynb")
    (tmp_path / "bad.ipynb").write_text("no notebook")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["grade.py", "released.ipynb", "ann/00.ipynb", "bad.ipynb", "bob/00.ipynb", "--json", "scores"]
    )
    grade.main()
    out = capsys.readouterr().out
    assert "ann/00.ipynb: 3 of 3" in out
    assert "bad.ipynb: 0 of 3" in out
    assert "bob/00.ipynb: 0 of 3" in out
    assert {path.name for path in Path("scores").iterdir()} == {"ann_00.json", "bad.json", "bob_00.json"}
