"""Evaluating a run: its figures, on which images and from which first locations, and what is refused."""

import dataclasses
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from running import FIGURES, assert_fails, metrics, run_module, tiny_digits

from ramnp import evaluate
from ramnp.backend import NUMPY
from ramnp.data.generate import Scene
from ramnp.data.source import Split
from ramnp.network.model import RecurrentAttentionModel
from ramnp.registry import PARTS
from ramnp.training import checkpoint, measure

pytestmark = pytest.mark.usefixtures("fast")


# The figures.


def test_evaluate_takes_a_run_folder_of_real_digits(real_run):
    process = run_module("ramnp.evaluate", real_run[1], "--rollouts", 2, "--backend", "numpy")
    assert (process.returncode, process.stderr) == (0, "")
    assert "10000 test images" in process.stdout
    for figure in FIGURES:
        assert re.search(rf"{figure} +\d+\.\d\d % error", process.stdout)


def test_evaluate_agrees_with_the_result_of_the_run(command, run_folder):
    code, out, err = command(evaluate.main, run_folder, "--json")
    assert (code, err) == (0, "")
    told, result = json.loads(out), json.loads((run_folder / "result.json").read_text())
    assert told["error"] == result["test_error"]
    assert told["epoch"] == result["evaluated_epoch"] == 1
    assert (told["preset"], told["split"], told["rollouts"]) == ("mnist-6", "test", 10)
    assert told["path"] == str(run_folder / "best.npz")


@pytest.mark.parametrize("name", ["best.npz", "checkpoint.npz"])
def test_evaluate_takes_a_file(command, run_folder, name):
    code, out, err = command(evaluate.main, run_folder / name, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["error"] == json.loads((run_folder / "result.json").read_text())["test_error"]


def test_evaluate_on_the_validation_split_agrees_with_the_metrics(command, run_folder):
    arguments = (run_folder, "--split", "validation", "--rollouts", 3, "--json")
    code, out, _ = command(evaluate.main, *arguments)
    assert code == 0
    assert json.loads(out)["error"] == metrics(run_folder)[0]["validation_error"]


def test_evaluate_says_on_how_many_images(command, run_folder):
    for split, count in (("train", 160), ("validation", 40), ("test", 50)):
        assert f"{count} {split} images" in command(evaluate.main, run_folder, "--split", split)[1]


def test_evaluate_of_a_run_that_was_stopped_early_takes_its_checkpoint(command, run_folder):
    (run_folder / "best.npz").unlink()
    code, out, _ = command(evaluate.main, run_folder, "--json")
    assert code == 0
    assert json.loads(out)["path"].endswith("checkpoint.npz")


# By class.


def test_evaluate_tells_the_error_by_class_and_what_is_taken_for_what(command, run_folder, tmp_path):
    picture = tmp_path / "confusion.png"
    code, out, err = command(evaluate.main, run_folder, "--json", "--confusion", picture)
    assert (code, err) == (0, "")
    told = json.loads(out)
    counts, labels = np.array(told["confusion"]), tiny_digits(SimpleNamespace(validation=40)).test.labels
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(labels, minlength=10))
    assert told["error"]["averaged"] == pytest.approx(100 - 100 * counts.trace() / 50, abs=1e-4)
    by_class = [100 - 100 * row[label] / row.sum() for label, row in enumerate(counts)]
    assert told["error_by_class"] == pytest.approx(by_class, abs=1e-4)
    assert told["balanced_error"]["averaged"] == pytest.approx(np.mean(by_class), abs=1e-3)
    assert told["class_names"] == [str(digit) for digit in range(10)]
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
    code, out, err = command(evaluate.main, run_folder, "--by-class")
    assert (code, err) == (0, "")
    assert f"balanced error {told['balanced_error']['averaged']:.2f}" in out
    lines = out.splitlines()
    table = lines[next(number for number, line in enumerate(lines) if line.startswith("class ")) + 1 :]
    assert [line.split()[:3] for line in table] == [
        [name, str(row.sum()), f"{error:.2f}"]
        for name, row, error in zip(told["class_names"], counts, told["error_by_class"], strict=True)
    ]


def test_a_confusion_that_cannot_be_written_ends_with_4(command, run_folder, tmp_path):
    (tmp_path / "file").write_text("")
    assert_fails(command(evaluate.main, run_folder, "--confusion", tmp_path / "file" / "confusion.png"), 4)


# By first location.


@pytest.mark.parametrize("first", ["uniform", "centre"])
def test_evaluate_tells_the_error_by_first_location(command, trained, tmp_path, first):
    trained("--epochs", 1, "--first-location", first, "--out", tmp_path / "run")
    code, out, err = command(evaluate.main, tmp_path / "run", "--first-locations", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    starts = np.array(told["first_locations"]["error"])
    assert starts.shape == (3, 3)
    if first == "centre":  # the middle of the grid
        assert starts[1, 1] == told["error"]["deterministic"]
    assert 0 <= told["first_locations"]["same_answer"] <= 100
    text = command(evaluate.main, tmp_path / "run", "--first-locations")[1]
    assert f"{told['first_locations']['same_answer']:.2f} % of the images" in text


def test_the_places_of_the_first_glimpse_are_laid_out_as_the_image_is(command, run_folder, monkeypatch):
    """A model that is wrong exactly where it starts at the top left."""
    seen = []
    right = RecurrentAttentionModel.forward

    def forward(self, canvas, randomness, **options):
        rollout = right(self, canvas, randomness, **options)
        x, y = randomness[0].T
        if not seen:
            labels = np.zeros(len(x), dtype=int)
            rollout.log_p[...] = np.eye(10)[np.where((x < 0) & (y < 0), 1, labels)]
            seen.append(True)
        return rollout

    monkeypatch.setattr(RecurrentAttentionModel, "forward", forward)
    monkeypatch.setitem(PARTS["dataset"], "mnist", SimpleNamespace(load=zeros))
    flags = ("--first-locations", "--json", "--allow-changed-data")
    told = json.loads(command(evaluate.main, run_folder, *flags)[1])["first_locations"]
    assert told == {"error": [[100, 0, 0], [0, 0, 0], [0, 0, 0]], "same_answer": 0}


def zeros(config):
    """As `tiny_digits`, but every label is 0."""
    digits = tiny_digits(config)
    return dataclasses.replace(digits, test=Split(digits.test.images, 0 * digits.test.labels))


@pytest.mark.parametrize("options", [["--model", "fc"], ["--policy", "random"], ["--first-location", "learned"]])
def test_first_locations_of_a_model_that_has_none_to_choose_end_with_2(command, trained, tmp_path, options):
    trained("--epochs", 1, *options, "--out", tmp_path / "run")
    assert_fails(command(evaluate.main, tmp_path / "run", "--first-locations"), 2, "--first-locations")


# On other drawings.


def test_evaluate_on_drawings_of_the_test_images(command, trained, tmp_path, monkeypatch):
    scene = Scene(30, 2, 8)
    monkeypatch.setitem(PARTS["dataset"], "mnist", SimpleNamespace(load=lambda config: composed(config, scene)))
    trained("--epochs", 1, "--out", tmp_path / "run")
    told = json.loads(command(evaluate.main, tmp_path / "run", "--redrawn", 2, "--rollouts", 3, "--json")[1])
    model = checkpoint.load(tmp_path / "run" / "best.npz").model()
    source = composed(model.config, scene).source("test", NUMPY, model.margin)
    errors = [measure.evaluate(model, source.redrawn(number), rollouts=3) for number in range(3)]
    assert [told["error"], *told["redrawn"]] == errors
    text = command(evaluate.main, tmp_path / "run", "--redrawn", 2, "--rollouts", 3)[1]
    assert f"redrawn, 2: deterministic {errors[2]['deterministic']:.2f} %" in text
    error = errors[0]["averaged"]
    assert f"{error:6.2f} % error, standard error {(error * (100 - error) / len(source)) ** 0.5:.2f}" in text


def composed(config, scene):
    """As `tiny_digits`, but composed."""
    return dataclasses.replace(tiny_digits(config), scene=scene)


def test_images_that_are_not_composed_cannot_be_drawn_anew(command, run_folder, monkeypatch):
    monkeypatch.setattr(evaluate, "answers", None)  # said before hours of evaluation, not after
    assert_fails(command(evaluate.main, run_folder, "--redrawn", 2), 2, "generated images")


# What is refused.


def test_evaluate_of_nothing_ends_with_3(command, tmp_path):
    assert_fails(command(evaluate.main, tmp_path / "nothing"), 3, tmp_path / "nothing")
    assert_fails(command(evaluate.main, tmp_path / "nothing.npz"), 3, tmp_path / "nothing.npz")
    assert_fails(command(evaluate.main, tmp_path), 3, tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\3\4garbage"])
def test_evaluate_of_a_damaged_file_ends_with_3(command, tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    assert_fails(command(evaluate.main, tmp_path / "a.npz"), 3, tmp_path / "a.npz")


def test_evaluate_of_parameters_that_do_not_fit_ends_with_3(command, run_folder):
    path = run_folder / "best.npz"
    with np.load(path) as file:
        changed = dict(file) | {"parameter/action.b": np.zeros(11)}
    np.savez(path, **changed)
    assert_fails(command(evaluate.main, path), 3, path)


@pytest.mark.parametrize("rollouts", ["0", "-1", "x", "1.5"])
def test_evaluate_with_bad_rollouts_ends_with_2(command, run_folder, rollouts):
    assert_fails(command(evaluate.main, run_folder, "--rollouts", rollouts), 2, "--rollouts")


def test_evaluate_without_a_path_ends_with_2(command):
    assert_fails(command(evaluate.main), 2, "PATH")


def test_evaluate_on_a_split_that_was_not_held_out_ends_with_2(command, trained, tmp_path):
    trained("--epochs", 1, "--validation", 0, "--out", tmp_path / "run")
    assert_fails(command(evaluate.main, tmp_path / "run", "--split", "validation"), 2, "validation")
