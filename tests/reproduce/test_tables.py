"""The report: every figure in it comes from a result file, or from the registry of published ones."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
from running import in_process
from subjects import source_of, trained_model

from ramnp import schema
from ramnp.analysis import plots as analysis_plots
from ramnp.analysis.policy import analyse
from ramnp.errors import CheckpointError
from ramnp.files import write_atomically
from ramnp.presets import PRESETS, ROWS
from ramnp.reproduce import plots
from ramnp.reproduce.__main__ import main
from ramnp.reproduce.results import POINTS, read_results, result_path, write_result
from ramnp.reproduce.tables import LOG, write_report
from ramnp.training.measure import FIGURES

ROOT = Path(__file__).resolve().parents[2]
FLOORS = sum(row.floor is not None or row.control is not None for row in ROWS.values())
GOALS = sum(row.goal is not None for row in ROWS.values())
WHOLE = {"digits.gz": "content as published (SHA-256)"}


@pytest.fixture(autouse=True)
def unpainted(monkeypatch):
    """Plots are made, but not painted, which takes its time: their files are empty."""
    for module in (plots, analysis_plots):
        monkeypatch.setattr(module, "save_figure", lambda _, path: write_atomically(path, lambda file: file.write(b"")))


@pytest.fixture(scope="module")
def analysis():
    model = trained_model()
    return analyse(model, source_of(model), rollouts=2)


@pytest.fixture
def write(tmp_path, analysis):
    """Write a result file of a row, with a given averaged error; deterministic 0.1 more, stochastic 0.2 more."""

    def call(name, seed=0, averaged=1.0, **changes):
        config = dataclasses.replace(PRESETS[name], seed=seed).to_json()
        errors = {"deterministic": averaged + 0.1, "stochastic": averaged + 0.2, "averaged": averaged}
        looked = PRESETS[name].model == "ram"
        result = {
            "preset": name, "seed": seed, "parameters": 123_456, "seconds": 5400.0, "epochs": 7,
            "evaluated_epoch": 6, "validation_error": None, "test_error": errors, "limit_batches": None,
            "backend": "numpy", "machine": "Some machine, 2 cores", "git_revision": "0123456789abcdef",
            "config": config, "training_images": 7_654_321, "device": None, "data": WHOLE, "history": [],
            "analysis": analysis if looked else None,
        } | changes  # fmt: skip
        path = result_path(tmp_path / "results", name, seed)
        write_result(path, result)
        return path

    return call


@pytest.fixture
def report(tmp_path):
    """Write the report and return its text."""

    def call():
        (tmp_path / "results").mkdir(exist_ok=True)
        write_report(tmp_path / "results", tmp_path / "docs/results.md")
        return (tmp_path / "docs/results.md").read_text()

    return call


def line_of(text, name):
    """The cells of a row in the table of figures, by column."""
    lines = text.splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith(f"| `{name}` |"))
    heading = max(n for n in range(number) if lines[n].startswith("| row |"))
    cells = ([cell.strip() for cell in lines[n].strip("|").split("|")] for n in (heading, number))
    return dict(zip(*cells, strict=True))


def test_without_results_every_row_is_open_and_shows_what_is_published(report, tmp_path):
    text = report()
    for name, row in ROWS.items():
        cells = line_of(text, name)
        assert (cells["averaged"], cells["reached"]) == ("", "open")
        if "cifar" not in name and row.tensorflow:
            assert cells["TF"] == f"{row.tensorflow:.2f}"
    assert f"None of the {len(ROWS)} rows has a result yet." in text
    assert "published data" not in text
    assert ".png" not in text
    assert not (tmp_path / "docs/results").exists()


def test_a_row_stands_beside_what_is_published(report, write):
    write("mnist-6", averaged=0.54)
    text = report()
    assert line_of(text, "mnist-6") == {
        "row": "`mnist-6`", "glimpses": "6", "sensor": "8x8, 1 scale", "paper A": "1.29", "paper B": "1.12",
        "TF": "0.67", "best": "0.67", "floor": "0.90", "goal": "< 0.55", "deterministic": "0.64",
        "stochastic": "0.74", "averaged": "0.54", "reached": "floor met, goal met, deterministic below paper A",
    }  # fmt: skip
    for part in (
        "123,456",
        "7,654,321",
        "1.50 h",
        "2 cores, numpy, workers: 1",
        "0123456789 ",
        "are the published ones",
    ):
        assert part in text
    assert f"**1 of {FLOORS} floors and 1 of {GOALS} goals are met.**\nMissed: none.\n" in text
    assert "lower error than the paper (version A) in 1 of the 1 rows that both have.\n" in text
    assert f"1 of {len(ROWS)} rows have a result, with 1 seed each.\n" in text


def test_the_first_lines_hide_nothing(report, write):
    write("mnist-6", averaged=0.54)
    write("mnist-6-paper", averaged=1.37)  # has no floor and no goal, and is above paper A
    write("cifar10-4", averaged=30.0, data={"test_batch.bin": "whole; another order"})
    write("cifar10-6", averaged=36.0, data={"test_batch.bin": "whole; another order"})  # reaches its floor alone
    write("mnist-4", git_revision="a" * 40 + "-dirty")
    text = report()
    other = "(2 and 1 of them on data that are not known to be the published ones)"
    assert f"4 of {FLOORS} floors and 2 of {GOALS} goals are met {other}." in text
    assert "Missed: the goal of `mnist-4`, the goal of `cifar10-6`.\n" in text
    assert "lower error than the paper (version A) in 2 of the 3 rows" in text
    assert "; 1 results were made by code with uncommitted changes.\n" in text
    assert line_of(text, "mnist-6-paper")["reached"] == "deterministic **not below** paper A"


def test_of_several_seeds_the_median_and_the_spread_are_shown_and_judged(report, write):
    for seed, averaged in ((10, 0.95), (2, 0.80), (3, 0.92)):
        write("mnist-6", seed, averaged)
    text = report()
    cells = line_of(text, "mnist-6")
    assert cells["averaged"] == "0.92 (0.80 to 0.95)"
    assert cells["deterministic"] == "1.02 (0.90 to 1.05)"
    assert cells["reached"].startswith("**floor missed**, goal missed")
    assert "| 2, 3, 10 |" in text
    assert "with 3 seeds each" in text
    write("mnist-4")
    assert "with 1 to 3 seeds each" in report()


def test_other_drawings_of_the_test_images_have_a_table(report, write):
    assert "On other compositions of the same test digits: mean" not in report()
    write("mnist-6", redrawn=None)
    for seed, averaged in enumerate((1.2, 1.6)):
        errors = {"deterministic": 2.0, "stochastic": 3.0, "averaged": averaged}
        write("cluttered60-8", seed, 1.0, redrawn=[errors, errors | {"averaged": averaged + 0.3}])
    text = report()
    assert text.count("On other compositions of the same test digits: mean") == 1
    assert "| `cluttered60-8` | 2 x 2 | 2.00 (2.00 to 2.00) | 3.00 (3.00 to 3.00) | 1.55 (1.20 to 1.90) |" in text
    assert line_of(text, "cluttered60-8")["averaged"] == "1.00 (1.00 to 1.00)"


def test_a_median_of_two_seeds_is_judged_as_it_is_shown(report, write):
    for seed, averaged in enumerate((0.86, 0.94)):  # their mean is a little less than 0.9, in floats
        write("translated60-8", seed, averaged)
    for seed, averaged in enumerate((0.68, 1.12)):  # and that of these a little more
        write("mnist-6", seed, averaged)
    text = report()
    assert line_of(text, "translated60-8")["reached"].startswith("floor met, goal missed")
    assert line_of(text, "mnist-6")["reached"].startswith("floor met, goal missed")


def test_all_revisions_are_shown_and_whether_the_code_was_changed(report, write):
    write("mnist-6", git_revision="a" * 40 + "-dirty", earlier_revisions=["b" * 40, None])
    assert f"| {'b' * 10}, unknown, {'a' * 10}-dirty |" in report()
    write("mnist-6", 1, git_revision="c" * 40, earlier_revisions=[])
    assert f"| 0: {'b' * 10}, unknown, {'a' * 10}-dirty; 1: {'c' * 10} |" in report()


@pytest.mark.parametrize(
    ("name", "averaged", "said"),
    [
        ("mnist-6", 1.10, "**floor missed**, goal missed, deterministic below paper A"),
        ("mnist-6", 1.19, "**floor missed**, goal missed, deterministic **not below** paper A"),
        ("cluttered60-4", 4.96, "floor met, goal missed"),
        ("cluttered60-8-random", 14.0, "in its range"),
        ("cluttered60-8-random", 9.0, "**out of its range**; one rollout is out of it too"),
        ("cluttered60-8-random", 9.9, "**out of its range**; one rollout is in it"),
        ("cnn-mnist", 9.0, "-"),
    ],
)
def test_what_is_reached_is_said(report, write, name, averaged, said):
    write(name, averaged=averaged)
    assert line_of(report(), name)["reached"] == said


def test_cifar_is_shown_as_accuracy_and_a_stand_in_is_named(report, write):
    checked = "not the published file (MD5 x, not y)"
    for seed, averaged in enumerate((40.0, 39.0, 41.5)):
        write("cifar10-4", seed, averaged, data={"batches.bin": checked})
    text = report()
    cells = line_of(text, "cifar10-4")
    assert (cells["TF"], cells["floor"], cells["goal"]) == ("59.70", "59.70", "> 62.00")
    assert cells["averaged"] == "60.00 (58.50 to 61.00)"
    assert cells["reached"] == "floor met, goal missed"
    assert f"`batches.bin`: {checked}" in text


def test_the_policies_are_tabled_and_drawn(report, write, analysis, tmp_path):
    for name in ("cluttered60-8", "cluttered60-4", "cluttered60-8-random", "cnn-cluttered60"):
        alone = {"analysis": {"errors": {"policy": analysis["errors"]["policy"]}}} if "random" in name else {}
        write(name, **alone)
    text = report()
    section = text[text.index("## Does the policy help?") : text.index("## How the figures are measured")]
    errors = {chooser: figures["averaged"][-1] for chooser, figures in analysis["errors"].items()}
    helps = 2 * (min(errors, key=errors.get) == "policy")  # two networks, with the same analysis
    assert f"**In {helps} of 2 rows the error is lowest with the policy's own locations.**" in section
    table = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    assert f"{analysis['errors']['another']['averaged'][-1]:.2f}" in table
    x = 30 * analysis["paths"]["between_images"][-1][0]
    assert f"{x:.1f}, " in table
    assert f"({analysis['digit']['information']['shuffled'][-1]:.2f})" in table
    assert "`cluttered60-4`" in table
    for name in ("random", "cnn"):
        assert name not in table
    plots = sorted(path.name for path in (tmp_path / "docs/results").iterdir())
    assert plots == ["by_glimpse.png", "clutter.png", "glimpses.png", "policy-cluttered60-8.png"]
    for name in plots:
        assert f"(results/{name})" in text


def test_the_plots_are_pictures(report, write, tmp_path, monkeypatch):
    monkeypatch.undo()
    write("cluttered60-8")
    report()
    for path in (tmp_path / "docs/results").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_log_is_linked_where_there_is_one(report, tmp_path):
    assert "results_log.md" not in report()
    (tmp_path / "docs/results_log.md").write_text("# What was tried\n")
    assert "](results_log.md)" in report()


def test_curves_are_tabled_and_drawn_apart_from_the_rows(report, write, tmp_path):
    assert "How many glimpses" not in report()
    points = tmp_path / "results" / POINTS
    for T, averaged in ((1, 5.0), (2, 0.4), (3, 0.5)):
        config = dataclasses.replace(PRESETS["mnist-6"], glimpses=T, epochs=20, decay_epochs=20).to_json()
        path = write("mnist-6", averaged=averaged, config=config)
        points.mkdir(exist_ok=True)
        path.rename(points / f"mnist-6-T{T}-seed0.json")
    other = dataclasses.replace(PRESETS["mnist-6"], lr=0.5).to_json()
    write("mnist-6", averaged=9.0, config=other).rename(points / "mnist-6-T6-seed0.json")
    text = report()
    section = text[text.index("## How many glimpses are needed?") : text.index("## Plots")]
    assert "each trained for 20 epochs. The averaged error is lowest with 2 glimpses." in section
    assert [line for line in section.splitlines() if line.startswith("| 2")] == ["| 2 | 1 | 0.50 | 0.60 | 0.40 |"]
    assert "| 6 |" not in section
    assert "lr is 0.5, not 0.001" in text[text.index("## Files that do not count") :]
    assert (tmp_path / "docs/results/curves.png").exists()
    assert "None of the" in text  # rows has a result


def test_the_same_files_give_the_same_report(report, write):
    write("mnist-6")
    assert report() == report()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limit_batches": 3}, "--limit-batches is 3"),
        ({"config": PRESETS["mnist-6"].to_json() | {"lr": 0.5}}, "lr is 0.5"),
        ({"config": {"eyes": 2}}, "eyes"),
    ],
)
def test_files_that_do_not_count_are_listed_and_their_row_stays_open(report, write, changes, said):
    write("mnist-6", **changes)
    text = report()
    assert line_of(text, "mnist-6")["reached"] == "open"
    assert said in text[text.index("## Files that do not count") :]


def test_a_file_under_another_name_does_not_count(report, write):
    path = write("mnist-6")
    path.rename(path.with_name("mnist-6-seed1.json"))
    text = report()
    assert line_of(text, "mnist-6")["reached"] == "open"
    assert "holds mnist-6, seed 0" in text


@pytest.mark.parametrize("field", sorted(schema.Result.__required_keys__))
def test_a_file_that_lacks_a_field_stops_the_report(write, tmp_path, field):
    path = write("mnist-6")
    values = json.loads(path.read_text())
    del values[field]
    path.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=f"it lacks {field}.*move it aside"):
        read_results(tmp_path / "results")


@pytest.mark.parametrize(
    "changes",
    [
        *({"preset": value} for value in (None, 6, ["mnist-6"])),
        *({"test_error": value} for value in (None, 1.0, {}, {"averaged": 1.0}, dict.fromkeys(FIGURES, "1"))),
    ],
)
def test_a_file_with_other_values_stops_the_report(write, tmp_path, changes):
    path = write("mnist-6")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CheckpointError, match="move it aside"):
        read_results(tmp_path / "results")


def test_a_result_of_a_row_that_is_no_more_is_left_out_and_named(write, report, tmp_path):
    write("mnist-6")
    old = write("mnist-4")
    values = json.loads(old.read_text()) | {"preset": "mnist-9"}
    old.unlink()
    write_result(result_path(tmp_path / "results", "mnist-9", 0), values)
    text = report()
    assert f"1 of {len(ROWS)} rows have a result" in text
    assert "mnist-9-seed0.json holds mnist-9, but there is no such row: move it aside" in text


@pytest.mark.parametrize("content", ["", "{", '{"preset": "mnist-6"}'])
def test_a_damaged_file_stops_the_report(write, tmp_path, content):
    write("mnist-6").write_text(content)
    with pytest.raises(CheckpointError, match="move it aside"):
        read_results(tmp_path / "results")


def test_the_one_in_the_repository_is_that_of_the_results_beside_it(tmp_path):
    log = tmp_path / "docs" / LOG
    log.parent.mkdir()
    log.touch()
    write_report(ROOT / "results", tmp_path / "docs/results.md")
    assert (ROOT / "docs/results.md").read_text() == (tmp_path / "docs/results.md").read_text()


def test_the_command_writes_it(write, tmp_path, monkeypatch, capsys):
    write("mnist-7")
    monkeypatch.chdir(tmp_path)
    code, out, _ = in_process(capsys, main, "--report")
    assert code == 0
    assert (tmp_path / "docs/results.md").exists()
    assert "policy-mnist-7.png" in out


def test_result_files_have_a_field_a_line(write):
    path = write("cnn-mnist")
    lines = path.read_text().splitlines()
    assert json.loads(path.read_text())["parameters"] == 123_456
    assert len(lines) == len(json.loads(path.read_text())) + 2


# Results that were edited or damaged.


def without(analysis, *path):
    """The analysis without a part of it."""
    changed = copy.deepcopy(analysis)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return changed


@pytest.mark.parametrize(
    "path",
    [
        *(("errors",), ("paths",), ("looks",), ("errors", "another"), ("errors", "policy", "averaged", -1)),
        *(("paths", "between_images", 0), ("paths", "between_starts", 0, 1), ("looks", "counts", -1)),
        *(("looks", "counts", 0, 0), ("looks", "counts", 0, 0, 0), ("digit", "information", "bits", 0)),
        *(("digit", "distance"), ("digit", "inside", "random"), ("digit", "side"), ("digit", "extent", 0)),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_an_analysis_that_lacks_a_part_is_refused_before_it_is_drawn(report, write, analysis, path):
    file = write("cluttered60-8", analysis=without(analysis, *path))
    with pytest.raises(CheckpointError) as caught:
        report()
    assert str(file) in str(caught.value)
    assert "analysis" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("analysis", [None, {}, {"errors": {}}])
def test_a_row_without_its_analysis_is_refused(report, write, analysis):
    write("cluttered60-8", analysis=analysis)
    with pytest.raises(CheckpointError, match="analysis"):
        report()
