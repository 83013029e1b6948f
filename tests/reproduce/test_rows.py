"""Reproducing the tables: rows are trained as their presets say, resumed, skipped, and never mixed."""

import dataclasses
import json

import pytest
from interrupting import interrupt_after

from ramnp import presets
from ramnp.presets import PRESETS, ROWS
from ramnp.reproduce import rows as reproduce
from ramnp.reproduce.results import describe_verdict, judge
from ramnp.training import measure, provenance
from ramnp.training.checkpoint import load
from ramnp.training.run import Run
from ramnp.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("fast")
FIGURES = ["deterministic", "stochastic", "averaged"]


def result_of(folder, name="mnist-2", seed=0):
    return json.loads((folder / "results" / f"{name}-seed{seed}.json").read_text())


def test_a_row_is_trained_as_its_preset_says_and_its_result_has_what_the_tables_need(command, tmp_path):
    code, _, err = command("mnist-2", "--seeds", "3")
    assert (code, err) == (0, "")
    result = result_of(tmp_path, seed=3)
    assert result["config"] == PRESETS["mnist-2"].to_json() | {"seed": 3}
    assert (result["preset"], result["seed"], result["limit_batches"]) == ("mnist-2", 3, None)
    assert list(result["test_error"]) == FIGURES
    assert result["training_images"] == 2 * 8  # 2 epochs of the 8 images that are not held out
    assert result["data"] == {"digits.gz": "whole"}
    assert result["device"] is None
    assert {"machine", "versions", "git_revision", "seconds", "parameters"} <= result.keys()
    assert [line["epoch"] for line in result["history"]] == [1, 2]
    metrics = [
        json.loads(line) for line in (tmp_path / "runs/reproduce/mnist-2-seed3/metrics.jsonl").read_text().splitlines()
    ]
    for line, measured in zip(result["history"], metrics, strict=True):
        assert line["validation_error"] == measured["validation_error"]
        assert line["training_error"] == pytest.approx(100 * (1 - measured["reward"]), abs=1e-3)
    errors = result["analysis"]["errors"]["policy"]
    assert errors["one"][-1] == result["test_error"]["deterministic"]
    assert errors["averaged"][-1] == result["test_error"]["averaged"]
    of_the_run = json.loads((tmp_path / "runs/reproduce/mnist-2-seed3/result.json").read_text())
    assert {field: result[field] for field in of_the_run} == of_the_run


def test_rows_and_seeds_are_gone_through_seed_by_seed(command, tmp_path):
    code, out, _ = command("mnist-4", "cnn-mnist", "--seeds", "1,0", "--out", "elsewhere")
    assert code == 0
    said = [line.split(":")[0] for line in out.splitlines() if "averaged test error" in line]
    assert said == ["mnist-4, seed 1", "cnn-mnist, seed 1", "mnist-4, seed 0", "cnn-mnist, seed 0"]
    assert len(list((tmp_path / "elsewhere").iterdir())) == 4
    whole_image = json.loads((tmp_path / "elsewhere/cnn-mnist-seed0.json").read_text())
    assert whole_image["analysis"] is None
    assert whole_image["redrawn"] is None


def test_a_row_of_composed_images_is_evaluated_on_other_drawings(command, tmp_path, monkeypatch):
    seen, right = [], measure.evaluate
    monkeypatch.setattr(measure, "evaluate", lambda *args: seen.append(args[1].drawing) or right(*args))
    command("translated60-4", "cnn-cluttered60")
    assert seen == 2 * [1, 2, 3, 4, 5]  # the others evaluate by a name of their own
    for name in ("translated60-4", "cnn-cluttered60"):
        drawings = result_of(tmp_path, name)["redrawn"]
        assert len(drawings) == reproduce.DRAWINGS
        assert all(list(errors) == FIGURES for errors in drawings)


def test_a_finished_result_is_skipped(command, tmp_path, monkeypatch):
    command("mnist-2")
    before = (tmp_path / "results/mnist-2-seed0.json").read_bytes()
    monkeypatch.setattr(Run, "fit", None)
    code, out, err = command("mnist-2")
    assert (code, err) == (0, "")
    assert "averaged test error" in out
    assert (tmp_path / "results/mnist-2-seed0.json").read_bytes() == before


@pytest.mark.parametrize("steps", [1, 3])  # of 2 an epoch
def test_after_ctrl_c_the_same_command_goes_on_to_the_same_figures(command, tmp_path, steps):
    command("mnist-2", "--out", "whole")
    (tmp_path / "runs").rename(tmp_path / "uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, steps)
        code, _, err = command("mnist-2", "cnn-mnist")
    assert code == 130
    assert "mnist-2, seed 0" in err
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "runs/reproduce/cnn-mnist-seed0").exists()
    code, out, _ = command("mnist-2")
    assert code == 0
    assert f"after epoch {steps // 2} of 2" in out
    whole = json.loads((tmp_path / "whole/mnist-2-seed0.json").read_text())
    for field in ("test_error", "history", "config", "evaluated_epoch"):
        assert result_of(tmp_path)[field] == whole[field]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(command, tmp_path):
    folder = tmp_path / "runs/reproduce/mnist-2-seed0"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"config": PRESETS["mnist-4"].to_json(), "limit_batches": None}))
    assert command("mnist-2")[0] == 0
    assert result_of(tmp_path)["epochs"] == 2


def test_without_its_result_file_a_finished_run_is_only_evaluated(command, tmp_path, monkeypatch):
    command("mnist-2")
    before = result_of(tmp_path)
    (tmp_path / "results/mnist-2-seed0.json").unlink()
    monkeypatch.setattr(Trainer, "step", None)
    assert command("mnist-2")[0] == 0
    assert result_of(tmp_path) == before


def test_with_resume_no_new_run_is_started(command, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 3)
        command("mnist-4")
    assert command("--resume")[0] == 0
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["mnist-4-seed0.json"]
    assert [path.name for path in (tmp_path / "runs/reproduce").iterdir()] == ["mnist-4-seed0"]


@pytest.mark.parametrize("kept", ["results", "runs"])
def test_a_changed_preset_is_never_mixed_with_what_was_made_before(command, tmp_path, monkeypatch, kept):
    command("mnist-2")
    (tmp_path / ("results" if kept == "runs" else "runs")).rename(tmp_path / "away")
    before = {path: path.read_bytes() for path in (tmp_path / kept).rglob("*") if path.is_file()}
    monkeypatch.setitem(presets.PRESETS, "mnist-2", dataclasses.replace(PRESETS["mnist-2"], lr=0.5, epochs=3))
    code, _, err = command("mnist-2", "cnn-mnist")
    assert code == 3
    assert err.count("\n") == 1
    for part in ("mnist-2-seed0", "lr is 0.003, not 0.5", "epochs is 2, not 3", "move it aside"):
        assert part in err
    assert {path: path.read_bytes() for path in before} == before
    assert result_of(tmp_path, "cnn-mnist")  # the other row is trained all the same


def test_a_try_is_no_result_and_not_mixed_with_one(command, tmp_path):
    code, out, _ = command("mnist-2", "--limit-batches", 1)
    assert code == 0
    assert "does not count: a trial on 1 batches per epoch" in out
    assert result_of(tmp_path)["training_images"] == 2 * 4
    code, _, err = command("mnist-2")
    assert code == 3
    assert "--limit-batches is 1" in err


def test_what_was_made_with_another_seed_is_not_taken_for_this_one(command, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 1)
        command("mnist-2")
    (tmp_path / "runs/reproduce/mnist-2-seed0").rename(tmp_path / "runs/reproduce/mnist-2-seed1")
    code, _, err = command("mnist-2", "--seeds", 1)
    assert code == 3
    assert "its seed is 0, not 1" in err
    command("mnist-4")
    (tmp_path / "results/mnist-4-seed0.json").rename(tmp_path / "results/mnist-4-seed1.json")
    assert command("mnist-4", "--seeds", 1)[0] == 3
    lines = command("--list", "--seeds", 1)[1].splitlines()
    assert all("1: does not match" in line for line in lines if line.startswith(("mnist-2 ", "mnist-4 ")))


def test_the_revisions_and_machines_of_all_who_trained_a_run_are_kept(command, tmp_path, monkeypatch):
    for revision, steps in (("first", 2), ("second", 1), ("second", 1)):
        monkeypatch.setattr(provenance, "git_revision", lambda revision=revision: revision)
        monkeypatch.setattr(provenance, "processor", lambda revision=revision: f"{revision}'s processor")
        with pytest.MonkeyPatch.context() as patch:
            interrupt_after(patch, steps)
            assert command("mnist-2")[0] == 130
    monkeypatch.setattr(provenance, "git_revision", lambda: "third")
    command("mnist-2")
    result = result_of(tmp_path)
    assert (result["earlier_revisions"], result["git_revision"]) == (["first", "second"], "third")
    (earlier,) = result["earlier_machines"]
    assert (earlier[-17:], result["machine"][-18:]) == ("first's processor", "second's processor")
    (tmp_path / "results/mnist-2-seed0.json").unlink()
    command("mnist-2")
    assert result_of(tmp_path) == result


def test_a_run_whose_history_is_lost_is_not_gone_on_with(command, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 3)
        command("mnist-2")
    path = tmp_path / "runs/reproduce/mnist-2-seed0/metrics.jsonl"
    content = path.read_text()
    path.write_text("")
    code, _, err = command("mnist-2")
    assert (code, err.count("\n")) == (3, 1)
    assert "metrics.jsonl is missing or damaged" in err
    path.write_text(content)
    assert command("mnist-2")[0] == 0


def test_a_run_keeps_its_workers(command, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 1)
        command("mnist-2")
    code, _, err = command("mnist-2", "--workers", 2)
    assert code == 2
    assert "started with 1" in err


def test_the_points_of_a_curve_differ_only_in_their_glimpses(command, tmp_path):
    code, out, err = command("mnist-2", "--glimpses", "1-2,4", "--epochs", 1, "--seeds", 3)
    assert (code, err) == (0, "")
    folder = tmp_path / "results/glimpses"
    assert sorted(path.name for path in folder.iterdir()) == [f"mnist-2-T{T}-seed3.json" for T in (1, 2, 4)]
    for T in (1, 2, 4):
        config = json.loads((folder / f"mnist-2-T{T}-seed3.json").read_text())["config"]
        expected = {"seed": 3, "glimpses": T, "epochs": 1, "decay_epochs": 1}
        assert config == PRESETS["mnist-2"].to_json() | expected
        assert f"mnist-2-T{T}, seed 3: averaged test error" in out
    assert "goal" not in out  # which is set for the row's own training
    assert not list((tmp_path / "results").glob("*.json"))


def test_a_curve_is_resumed_skipped_and_not_mixed_with_another_training(command, tmp_path, monkeypatch):
    flags = ("mnist-2", "--glimpses", "2,3")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 1)
        assert command(*flags, "--epochs", 2)[0] == 130
    code, out, _ = command(*flags, "--epochs", 2)
    assert code == 0
    assert "mnist-2-T2, seed 0: resuming" in out
    code, _, err = command(*flags, "--epochs", 3)
    assert (code, err.count("\n")) == (3, 2)
    assert "epochs is 2, not 3" in err
    monkeypatch.setattr(Run, "fit", None)
    assert command(*flags, "--epochs", 2)[1].count("finished before") == 2


def test_without_a_row_the_curves_of_the_paper_are_trained(command, tmp_path):
    assert command("--glimpses", "1", "--epochs", 1)[0] == 0
    names = sorted(path.name for path in (tmp_path / "results/glimpses").iterdir())
    assert names == ["mnist-6-T1-seed0.json", "translated60-6-T1-seed0.json"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"preset": "mnist-2"}', ""])
def test_a_damaged_result_is_said_and_left_alone(command, tmp_path, damage):
    path = tmp_path / "results/mnist-2-seed0.json"
    path.parent.mkdir()
    path.write_text(damage)
    code, _, err = command("mnist-2")
    assert code == 3
    assert "move it aside" in err
    assert err.count("\n") == 1
    assert path.read_text() == damage


def test_a_damaged_run_folder_is_said_and_left_alone(command, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 3)
        command("mnist-2")
    folder = tmp_path / "runs/reproduce/mnist-2-seed0"
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text("{")
    assert command("mnist-2")[0] == 3
    (folder / "config.json").write_text(config)
    (folder / "checkpoint.npz").write_bytes(b"no zip")
    assert command("mnist-2")[0] == 3
    assert load(folder / "best.npz").epoch == 1


def test_the_list_says_what_is_to_be_reached_and_how_far_every_row_is(command):
    command("mnist-2")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 1)
        command("mnist-4")
    code, out, err = command("--list", "--seeds", "0,1")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert set(ROWS) <= set(lines)
    assert "6.27 / 3.79" in lines["mnist-2"]
    for figure in ("2.34", "2.30"):
        assert figure in lines["mnist-2"]
    assert "10 to 20" in lines["cluttered60-8-random"]
    assert lines["mnist-2"].endswith("1: open")
    assert "0: open" not in lines["mnist-2"]
    assert lines["mnist-4"].endswith("0: unfinished, 1: open")


@pytest.mark.parametrize(
    "arguments",
    [
        ["mnist-1"],
        ["--glimpses", "0-3"],
        ["--glimpses", "3-x"],
        ["--glimpses", "5-4"],
        ["--glimpses", "1-1000000000000"],
        ["--epochs", "3"],
        ["cnn-mnist", "--glimpses", "2"],
        ["--seeds", "0,x"],
        ["--seeds", "-1"],
        ["--workers", "0"],
        ["--limit-batches", "0"],
        ["--report", "x"],
    ],
)
def test_bad_arguments_are_said_in_a_line(command, tmp_path, arguments):
    code, _, err = command(*arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "error", "verdict", "said"),
    [
        ("mnist-6", 0.54, (True, True), "meets its goal"),
        ("mnist-6", 0.55, (True, False), "misses its goal"),  # the goal is to come below it
        ("mnist-6", 0.90, (True, False), "meets its floor"),
        ("mnist-6", 0.91, (False, False), "MISSES its floor of 0.90 %"),
        ("mnist-6-lstm", 99.0, (None, None), "has no target"),
        ("cluttered60-8-random", 10.0, (True, None), "within"),
        ("cluttered60-8-random", 9.9, (False, None), "OUTSIDE"),
        ("cluttered60-8-random", 20.1, (False, None), "OUTSIDE"),
    ],
)
def test_floor_and_goal(name, error, verdict, said):
    assert judge(ROWS[name], error) == verdict
    assert said in describe_verdict(ROWS[name], error)


def test_the_registry_has_a_floor_at_or_above_every_goal():
    for name, row in ROWS.items():
        assert (row.floor is None) == (row.goal is None), name
        assert row.floor is None or row.goal < row.floor, name
        assert row.best is None or row.floor is None or row.best <= row.floor, name
