"""Training from trained weights, a resumed run with another learning rate, and a network that looks more often."""

import json

import numpy as np
import pytest
from PIL import Image
from running import FIGURES, SMALL, assert_fails, metrics

from ramnp import cli, evaluate, train
from ramnp.pictures import curves, glimpses
from ramnp.training import checkpoint
from ramnp.training.measure import Answers

CHANGED = "changed_when_resumed"


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """No pictures."""
    monkeypatch.setattr(curves, "plot_curves", lambda *args: None)
    monkeypatch.setattr(glimpses, "plot_glimpses", lambda *args: None)


@pytest.fixture
def command(capsys):
    """Run a command in this process: (exit code, stdout, stderr)."""

    def call(main, *arguments):
        with pytest.raises(SystemExit) as stopped:
            cli.run(lambda: main([str(argument) for argument in arguments]))
        return stopped.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def photos(tmp_path, rng):
    """Two classes of 20 images."""
    for name, low in (("dark", 0), ("light", 128)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(low, low + 128, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def run(command, photos, tmp_path):
    """Train in this process, to a folder below `tmp_path`."""

    def call(name, *arguments, expect=0):
        own = ("--dataset", "folder", "--data-path", photos, "--validation", 8, "--batch-size", 16, "--workers", 1)
        if "--init" not in arguments:
            own += ("--preset", "mnist-6")
        code, out, err = command(train.main, "--backend", "numpy", "--out", tmp_path / name, *arguments, *own)
        assert (code, err if expect == 0 else "") == (expect, "")
        return (tmp_path / name, out) if expect == 0 else (code, out, err)

    return call


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def weights(folder, name="checkpoint.npz"):
    return checkpoint.load(folder / name).parameters


def test_a_run_starts_from_the_weights_and_the_configuration_of_another(run):
    first, _ = run("first", *SMALL, "--epochs", 2, "--core", "lstm", "--seed", 5)
    second, out = run("second", "--init", first, "--epochs", 1, "--glimpses", 5, "--lr", 1e-12)
    config = read(second, "config")
    assert (config["config"]["core"], config["config"]["units"], config["config"]["glimpses"]) == ("lstm", 16, 5)
    assert config["config"]["seed"] == 0
    for name, value in weights(first, "best.npz").items():
        assert np.allclose(weights(second)[name], value, atol=1e-6), name
    epoch = checkpoint.load(first / "best.npz").epoch
    assert config["init"] == read(second, "result")["init"] == f"first/best.npz, epoch {epoch}"
    assert "new weights: none" in out
    command_line = ("--resume", second, "--epochs", 2, "--backend", "numpy", "--quiet")
    assert train.main([str(each) for each in command_line]) == 0
    assert read(second, "config")["init"] == config["init"]


def test_other_classes_get_a_new_last_layer(run):
    folder, out = run("mine", "--init", "mnist-6", "--epochs", 1, "--lr", 1e-12)
    assert "starts from pretrained/mnist-6.npz, epoch 256; new weights: action.W, action.b" in out
    trained = checkpoint.load(folder / "best.npz")
    assert trained.class_names == ("dark", "light")
    assert trained.config.preset == "mnist-6"
    assert trained.parameters["action.W"].shape == (256, 2)


def test_a_preset_comes_before_the_configuration_of_the_weights(run):
    folder, out = run("mine", "--init", "mnist-6", "--preset", "mnist-6-lstm", "--epochs", 1)
    assert read(folder, "config")["config"]["core"] == "lstm"
    assert "core.W_hh" in out.partition("new weights: ")[2].splitlines()[0]  # that of an LSTM is wider: new


def test_a_run_that_lost_the_weights_it_started_from_is_not_resumed_without_them(run, command):
    folder, _ = run("run", "--init", "mnist-6", "--epochs", 1)
    for file in folder.iterdir():
        if file.name != "config.json":
            file.unlink()
    assert_fails(command(train.main, "--resume", folder, "--backend", "numpy"), 3, "start it again with --init")


def test_what_does_not_go_with_init(run, tmp_path, command):
    assert_fails(run("a", "--init", tmp_path / "none", expect=3), 3, "none")
    folder, _ = run("b", *SMALL, "--epochs", 1)
    outcome = command(train.main, "--resume", folder, "--init", "mnist-6")
    assert_fails(outcome, 2, "--init cannot be combined with --resume")
    assert_fails(run("c", "--init", "mnist-6", "--model", "fc", expect=2), 2, "no weights of")


# Resuming with another learning rate.


def test_a_resumed_run_changes_its_learning_rate_only_on_request(run, command):
    folder, _ = run("run", *SMALL, "--epochs", 1, "--lr", 1e-3, "--schedule", "constant", "--warmup-epochs", 0)
    resume = ("--resume", folder, "--backend", "numpy")
    outcome = command(train.main, *resume, "--epochs", 2, "--lr", 1e-5)
    assert_fails(outcome, 2, "--lr", "--change lr")
    assert command(train.main, *resume, "--epochs", 2, "--lr", 1e-5, "--change", "lr")[0] == 0
    assert [line["lr"] for line in metrics(folder)] == [1e-3, 1e-5]
    for name in ("config", "result"):
        assert read(folder, name)[CHANGED] == ["after epoch 1: lr from 0.001 to 1e-05"]
    assert command(train.main, *resume, "--epochs", 3)[0] == 0  # it is the run's own now
    assert [line["lr"] for line in metrics(folder)] == [1e-3, 1e-5, 1e-5]
    assert read(folder, "result")[CHANGED] == ["after epoch 1: lr from 0.001 to 1e-05"]


def test_the_best_epoch_may_be_older_than_a_change(run, command):
    folder, _ = run("run", *SMALL, "--epochs", 1)
    resume = ("--resume", folder, "--backend", "numpy")
    assert command(train.main, *resume, "--epochs", 2, "--lr", 1e-12, "--change", "lr")[0] == 0  # no better
    assert command(train.main, *resume, "--epochs", 3, "--lr", 1e-13, "--change", "lr")[0] == 0
    assert read(folder, "result")["evaluated_epoch"] == 1
    assert checkpoint.load(folder / "best.npz").config.lr == 1e-12


def test_a_change_is_kept_if_the_run_is_stopped_before_the_next_epoch(run, command):
    folder, _ = run("run", *SMALL, "--epochs", 1)
    resume = ("--resume", folder, "--backend", "numpy")
    assert command(train.main, *resume, "--lr", 1e-5, "--change", "lr")[0] == 0  # no epoch is left to train
    assert checkpoint.load(folder / "checkpoint.npz").config.lr == 1e-5
    assert command(train.main, *resume, "--epochs", 2)[0] == 0


def test_the_same_value_is_no_change(run, command):
    folder, _ = run("run", *SMALL, "--epochs", 1, "--lr", 1e-3)
    assert command(train.main, "--resume", folder, "--backend", "numpy", "--lr", 1e-3, "--change", "lr")[0] == 0
    assert CHANGED not in read(folder, "config")


def test_what_does_not_go_with_change(run, command):
    folder, _ = run("run", *SMALL, "--epochs", 1)
    assert_fails(command(train.main, "--resume", folder, "--change", "lr"), 2, "--change lr needs --lr")
    assert_fails(command(train.main, "--change", "lr", "--lr", 1e-5), 2, "--resume")
    assert_fails(command(train.main, "--resume", folder, "--change", "units"), 2, "invalid choice")


# Looking more often, and at larger images.


def test_evaluate_looks_as_often_as_it_is_told(run, command):
    folder, _ = run("run", *SMALL, "--epochs", 1)
    errors = {}
    for number in (None, 1, 3, 9):
        flags = ("--glimpses", number) if number else ()
        code, out, err = command(evaluate.main, folder, "--backend", "numpy", "--json", *flags)
        assert (code, err) == (0, "")
        found = json.loads(out)
        assert found.get("glimpses") == number
        errors[number] = found["error"]
    assert errors[3] == errors[None]  # those that it was trained with
    code, out, _ = command(evaluate.main, folder, "--backend", "numpy", "--glimpses", 9)
    assert "glimpses=9" in out


def test_evaluate_on_another_size(command, monkeypatch):
    seen = []

    def measure(model, source, rollouts):
        seen.append((model.image_shape, next(source.batches(3)).canvas.image_shape))
        right = np.zeros(1, dtype=np.int64)
        return Answers(dict.fromkeys(FIGURES, right), right, 0.0, model.classes)

    monkeypatch.setattr(evaluate, "answers", measure)
    code, out, _ = command(evaluate.main, "translated60-8", "--backend", "numpy", "--size", 40, "--json")
    assert (code, json.loads(out)["size"]) == (0, 40)
    assert seen == [((40, 40, 1), (40, 40, 1))]
    assert_fails(command(evaluate.main, "mnist-6", "--size", 40), 2, "--size 40: the images of mnist")


def test_a_network_that_sees_the_whole_image_has_no_glimpses(run, command):
    folder, _ = run("fc", "--model", "fc", "--fc-units", 8, "--epochs", 1)
    for flag in ("--glimpses", "--size"):
        assert_fails(command(evaluate.main, folder, flag, 3), 2, "sees the whole image at once")
