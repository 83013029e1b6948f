"""Trained weights in the package: what ships, what is refused, and that they are found and run."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from checking import STRICT

import ramnp
from ramnp import evaluate, pretrained
from ramnp.backend import NUMPY
from ramnp.errors import CheckpointError, RamnpError
from ramnp.reproduce import ship as shipping
from ramnp.reproduce.results import read_result, result_path
from ramnp.reproduce.ship import ship
from ramnp.training import checkpoint
from ramnp.training.measure import FIGURES

RESULTS = Path(__file__).resolve().parents[2] / "results"
pytestmark = pytest.mark.usefixtures("fast")


@pytest.fixture
def finished(command, tmp_path):
    """A finished run of mnist-2: (result file, run folder, an empty folder to ship to)."""
    command("mnist-2")
    (tmp_path / "shipped").mkdir()
    return tmp_path / "results/mnist-2-seed0.json", tmp_path / "runs/reproduce/mnist-2-seed0", tmp_path / "shipped"


@pytest.fixture
def shipped(finished, monkeypatch):
    """Its weights, where `load_pretrained` looks for them."""
    result, run, folder = finished
    assert ship("mnist-2", result, run, NUMPY, folder) == [folder / "mnist-2.npz", folder / "mnist-2.md"]
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    return finished


def test_the_weights_are_those_of_the_best_epoch_in_half_the_bytes(shipped):
    _, run, folder = shipped
    best, half = checkpoint.load(run / "best.npz"), checkpoint.load(folder / "mnist-2.npz")
    assert (half.config, half.epoch, half.image_shape, half.optimizer) == (
        best.config,
        best.epoch,
        best.image_shape,
        {},
    )
    for name, value in best.parameters.items():
        assert half.parameters[name].dtype == np.float16
        np.testing.assert_array_equal(half.parameters[name], value.astype(np.float16))


@pytest.mark.parametrize("backend", [NUMPY, STRICT, "numpy"])
def test_they_are_loaded_by_name_into_the_models_own_type(shipped, backend):
    model = ramnp.load_pretrained("mnist-2", backend=backend)
    assert model.config.preset == "mnist-2"
    assert model.parameters.values.dtype == np.float32
    half = checkpoint.load(shipped[2] / "mnist-2.npz")
    name = "core.W_hh"
    value = model.backend.to_host(model.parameters[name])
    np.testing.assert_array_equal(value, half.parameters[name].astype(np.float32))


def test_an_unknown_name_is_answered_with_the_known_ones(shipped):
    with pytest.raises(CheckpointError, match="'mnist-3'; the package has: mnist-2"):
        ramnp.load_pretrained("mnist-3")
    with pytest.raises(CheckpointError, match="the package has: mnist-2"):
        ramnp.load_pretrained("../mnist-2")


def test_where_none_are_the_answer_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match="none yet"):
        ramnp.load_pretrained("mnist-2")


def test_evaluate_takes_the_file_and_its_figures_are_those_of_the_card(shipped, capsys):
    result, _, folder = shipped
    assert evaluate.main([str(folder / "mnist-2.npz"), "--backend", "numpy", "--json"]) == 0
    errors = json.loads(capsys.readouterr().out)["error"]
    card = (folder / "mnist-2.md").read_text()
    ours = " | ".join(f"{error:.2f}" for error in errors.values())
    trained = " | ".join(f"{error:.2f}" for error in json.loads(result.read_text())["test_error"].values())
    assert f"| float16, as shipped | {ours} |" in card
    assert f"| float32, as trained | {trained} |" in card


def test_evaluate_takes_the_name(shipped, capsys, tmp_path):
    for path in (shipped[2] / "mnist-2.npz", "mnist-2"):
        assert evaluate.main([str(path), "--backend", "numpy", "--json"]) == 0
    by_path, by_name = map(json.loads, capsys.readouterr().out.splitlines())
    assert by_path == by_name
    (tmp_path / "mnist-2").mkdir()  # what is there goes first
    with pytest.raises(CheckpointError, match="neither"):
        evaluate.main(["mnist-2", "--backend", "numpy"])


def test_the_card_says_what_made_it_and_of_what(shipped):
    result, _, folder = shipped
    card = (folder / "mnist-2.md").read_text()
    made = json.loads(result.read_text())
    assert "python -m ramnp.reproduce mnist-2 --seeds 0 --workers 1\n" in card
    assert 'ramnp.load_pretrained("mnist-2")' in card
    assert f"{made['parameters']:,} parameters" in card
    assert f"Epoch {made['evaluated_epoch']} of 2, the best by validation error" in card
    assert made["git_revision"] in card
    assert json.loads(card.split("```json")[1].split("```")[0]) == made["config"]


def test_the_card_says_how_far_figures_hold(shipped):
    result, _, folder = shipped
    card = (folder / "mnist-2.md").read_text()
    errors = json.loads(result.read_text())["test_error"]
    assert "compositions" not in card  # digits as they are
    assert " (on data that are not known to be the published ones)." in card  # files made for the test
    assert f"{(errors['averaged'] * (100 - errors['averaged']) / 4) ** 0.5:.2f}.\n" in card
    drawings = [dict.fromkeys(errors, error) for error in (1.0, 1.5, 2.3)]
    said = shipping.describe_redrawn({"redrawn": drawings, "config": {"dtype": "float32"}})
    assert "On 3 other compositions of the test images, in float32, the errors are (mean, smallest to largest):" in said
    assert "averaged 1.60 (1.00 to 2.30)." in said


def test_weights_whose_figures_move_are_not_shipped(finished, monkeypatch):
    result, run, folder = finished
    made = json.loads(result.read_text())
    figures = made["test_error"] = dict.fromkeys(made["test_error"], 50.0)
    result.write_text(json.dumps(made))
    for moved, refused in ((0.051, True), (-0.051, True), (float("nan"), True), (0.049, False)):
        monkeypatch.setattr(shipping, "evaluate", lambda *_, by=moved: figures | {"averaged": figures["averaged"] + by})
        if refused:
            with pytest.raises(RamnpError, match="averaged test error"):
                ship("mnist-2", result, run, NUMPY, folder)
            assert not list(folder.iterdir())
        else:
            assert ship("mnist-2", result, run, NUMPY, folder)


def test_it_is_the_rounded_weights_that_are_evaluated(finished, monkeypatch):
    result, run, folder = finished
    seen = []

    def noting(model, source):
        seen.append(model.parameters.values.copy())
        return json.loads(result.read_text())["test_error"]

    monkeypatch.setattr(shipping, "evaluate", noting)
    ship("mnist-2", result, run, NUMPY, folder)
    (values,) = seen
    np.testing.assert_array_equal(values, values.astype(np.float16))
    whole = np.concatenate([each.ravel() for each in checkpoint.load(run / "best.npz").parameters.values()])
    assert not np.array_equal(np.sort(values), np.sort(whole))


def test_weights_that_rounding_harms_stay_as_they_are(finished, monkeypatch):
    result, run, folder = finished
    figures = json.loads(result.read_text())["test_error"]

    def harmed(model, source):
        values = model.parameters.values
        return figures | {"averaged": figures["averaged"] + (values == values.astype(np.float16)).all()}

    monkeypatch.setattr(shipping, "evaluate", harmed)
    weights, card = ship("mnist-2", result, run, NUMPY, folder)
    saved, whole = (checkpoint.load(path).parameters for path in (weights, run / "best.npz"))
    for name, value in whole.items():
        assert saved[name].dtype == np.float32
        np.testing.assert_array_equal(saved[name], value)
    assert "| float32, as shipped |" in card.read_text()
    assert "rounded" not in card.read_text()


def test_weights_of_another_epoch_than_the_results_are_refused(finished):
    result, run, folder = finished
    values = json.loads(result.read_text())
    result.write_text(json.dumps(values | {"evaluated_epoch": values["evaluated_epoch"] + 1}))
    with pytest.raises(CheckpointError, match="was not measured on"):
        ship("mnist-2", result, run, NUMPY, folder)
    result.write_text(json.dumps(values | {"config": values["config"] | {"seed": 5}}))
    with pytest.raises(CheckpointError, match="its seed is 5"):
        ship("mnist-2", result, run, NUMPY, folder)


def test_tries_and_unfinished_runs_are_refused(command, tmp_path):
    with pytest.raises(CheckpointError, match="reproduce mnist-2"):
        ship("mnist-2", tmp_path / "results/mnist-2-seed0.json", tmp_path, NUMPY, tmp_path)
    command("mnist-2", "--limit-batches", 1)
    with pytest.raises(CheckpointError, match="--limit-batches"):
        ship("mnist-2", tmp_path / "results/mnist-2-seed0.json", tmp_path / "runs", NUMPY, tmp_path)


def test_the_package_does_not_grow_beyond_its_limit(finished, monkeypatch):
    result, run, folder = finished
    size = sum(value.nbytes for value in checkpoint.load(run / "best.npz").parameters.values()) // 2
    (folder / "mnist-4.npz").write_bytes(bytes(100))
    monkeypatch.setattr(shipping, "LIMIT", size + 99)
    with pytest.raises(RamnpError, match="more than"):
        ship("mnist-2", result, run, NUMPY, folder)
    monkeypatch.setattr(shipping, "LIMIT", size + 100)
    assert ship("mnist-2", result, run, NUMPY, folder)
    assert ship("mnist-2", result, run, NUMPY, folder)  # in its own place it counts once


def test_the_command_ships(command, finished, monkeypatch):
    monkeypatch.setattr("ramnp.reproduce.__main__.ship", lambda *arguments: ship(*arguments, finished[2]))
    code, out, err = command("--ship", "mnist-2")
    assert (code, err) == (0, "")
    assert "mnist-2.npz" in out
    for arguments in (("--ship", "mnist-1"), ("--ship", "mnist-2", "--seeds", "0,1")):
        code, _, err = command(*arguments)
        assert code == 2
        assert err.count("\n") == 1


def test_what_the_package_holds_is_whole():
    """Every file loads, has a card, and all together are within the limit."""
    names = pretrained.pretrained_names()
    for name in names:
        model = ramnp.load_pretrained(name, backend="numpy")
        assert np.isfinite(model.parameters.values).all()
        assert (pretrained.FOLDER / f"{name}.md").exists()
    assert sum((pretrained.FOLDER / f"{name}.npz").stat().st_size for name in names) <= 1.05 * shipping.LIMIT


@pytest.mark.parametrize("name", pretrained.pretrained_names())
def test_a_card_says_what_its_result_says(name):
    saved = checkpoint.load(pretrained.find_pretrained(name))
    result = read_result(result_path(RESULTS, name, saved.config.seed))
    text = (pretrained.FOLDER / f"{name}.md").read_text()
    precision = str(saved.parameters["action.W"].dtype)
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {precision}, as shipped"))
    rounded = dict(zip(FIGURES, map(float, line.split("|")[2:5]), strict=True))
    assert text == shipping.card(result, saved, precision, rounded, images=10_000)
    assert all(abs(rounded[figure] - result["test_error"][figure]) <= shipping.TOLERANCE + 1e-9 for figure in FIGURES)


def test_a_damaged_file_is_said(shipped):
    path = shipped[2] / "mnist-2.npz"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        ramnp.load_pretrained("mnist-2")
    saved = shipped[1] / "checkpoint.npz"
    shutil.copy(saved, path)  # one with an optimizer loads as well
    half = dataclasses.replace(checkpoint.load(saved), parameters={})
    checkpoint.save(path, half)
    with pytest.raises(CheckpointError, match="parameters"):
        ramnp.load_pretrained("mnist-2")
