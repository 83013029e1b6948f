"""The flags of the commands: help, where a configuration comes from, and what is refused with exit code 2."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import SMALL, TINY, assert_fails, resolved, run_module

from ramnp import train
from ramnp.config import Config, describe, flag
from ramnp.presets import PRESETS
from ramnp.training import checkpoint

pytestmark = pytest.mark.usefixtures("fast")


# Help.


@pytest.mark.parametrize("module", ["ramnp.train", "ramnp.evaluate", "ramnp.reproduce", "ramnp.analysis"])
def test_help_of_a_command_ends_well(module):
    process = run_module(module, "--help")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith(f"usage: python -m {module}")


def test_help_lists_a_flag_for_every_field_of_the_configuration(command):
    code, out, err = command(train.main, "--help")
    assert (code, err) == (0, "")
    for name in describe(Config):
        assert re.search(rf"^  {flag(name)} ", out, re.MULTILINE), name
    assert "--list-presets" in out


def test_the_presets_can_be_listed(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(train.main, "--list-presets")
    assert (code, err) == (0, "")
    for name in PRESETS:
        assert re.search(rf"^{name} ", out, re.MULTILINE)
    assert not list(tmp_path.iterdir())


# Where a configuration comes from.


def test_without_arguments_the_default_preset_is_taken():
    assert resolved() == PRESETS["mnist-6"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_taken_by_name(name):
    assert resolved("--preset", name) == PRESETS[name]


def test_a_flag_wins_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"units": 7, "glimpses": 5}))
    config = resolved("--preset", "mnist-6-paper", "--config", file, "--glimpses", 9)
    assert (config.routing, config.units, config.glimpses, config.preset) == ("paper", 7, 9, "mnist-6-paper")


def test_a_file_may_name_its_preset_and_a_flag_another(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"preset": "cluttered60-8", "units": 7}))
    assert resolved("--config", file) == dataclasses.replace(PRESETS["cluttered60-8"], units=7)
    assert resolved("--config", file, "--preset", "mnist-4") == dataclasses.replace(PRESETS["mnist-4"], units=7)


def test_the_config_json_of_a_run_gives_its_configuration_back(run_folder):
    expected = checkpoint.load(run_folder / "checkpoint.npz").config
    assert resolved("--config", run_folder / "config.json") == expected


def test_every_flag_sets_its_field():
    values = {"core": "lstm", "squash": "clip", "dtype": "float64", "routing": "paper", "optimizer": "sgd"}
    values |= {"schedule": "linear", "dataset": "mnist", "glimpse_network": "conv", "model": "cnn"}
    values |= {"policy": "random", "first_location": "centre", "reward": "gain", "flip": "both"}
    values |= {"class_weights": "balanced", "ties": "loss"}
    values |= {"fit": "pad", "background": "#10aaFF", "colour": "gray"}
    for name, field in describe(Config).items():
        if name == "preset":
            continue
        value = values.get(name, {int: 3, float: 0.25, str: "some"}.get(field.kind))
        expected = str(Path(value).resolve()) if name == "data_path" else value
        assert getattr(resolved(flag(name), value), name) == expected


# Unknown flags and bad values.


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("--unit", "--units"),
        ("--epoch=3", "--epochs"),
        ("--wat-units", "--what-units"),
        ("--limitbatches", "--limit-batches"),
    ],
)
def test_an_unknown_flag_is_answered_with_the_nearest(command, word, suggestion):
    assert_fails(command(train.main, word), 2, word.split("=")[0], f"did you mean {suggestion}?")


@pytest.mark.parametrize("word", ["--zzzzzzzz", "surplus", "-x"])
def test_an_unknown_word_is_named(command, word):
    outcome = command(train.main, word)
    assert_fails(outcome, 2, word)
    assert "did you mean" not in outcome[2]


@pytest.mark.parametrize("word", ["", " "])
def test_an_empty_word_is_refused(command, word):
    assert_fails(command(train.main, word), 2)


def test_an_unknown_flag_ends_a_real_process_with_2():
    assert_fails(run_module("ramnp.train", "--unitz", "16"), 2, "--unitz", "did you mean --units?")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--units", "many"],
        ["--units", "0"],
        ["--units", "1.5"],
        ["--units"],
        ["--units="],
        ["--core", "elman"],
        ["--lr", "nan"],
        ["--lr", "inf"],
        ["--lr", "-1"],
        ["--lr", "fast"],
        ["--std", "0"],
        ["--momentum", "1"],
        ["--seed", "-1"],
        ["--seed", "x"],
        ["--backend", "torch"],
        ["--preset", "mnist-70"],
        ["--dataset", "imagenet"],
        ["--limit-batches", "0"],
        ["--limit-batches", "-3"],
        ["--validation", "200"],
        ["--batch-size", "161", *TINY],
        ["--resume", "there-is-no-such-folder"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry"])
def test_a_bad_value_ends_with_2_and_is_named(command, tmp_path, monkeypatch, arguments, dry):
    monkeypatch.chdir(tmp_path)
    assert_fails(command(train.main, *arguments, *dry), 2, arguments[0].rstrip("="))


def test_a_bad_value_leaves_no_folder_behind(command, tmp_path):
    command(train.main, "--batch-size", 161, *TINY, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--units", 10**7], ["--batch-size", 10**12], ["--scales", 40], ["--scales", 100], ["--patch", 10**9]],
    ids=lambda arguments: f"{arguments[0]} {arguments[1]}",
)
def test_sizes_beyond_all_memory_are_a_usage_error(command, tmp_path, arguments):
    assert_fails(command(train.main, *SMALL, *TINY, *arguments, "--out", tmp_path / "run"), 2)


@pytest.mark.parametrize("name", ["--units", "--what-units", "--policy-hidden", "--rollouts"])
def test_sizes_beyond_any_array_are_a_usage_error(command, name):
    assert_fails(command(train.main, *SMALL, *TINY, name, 10**22, "--dry-run"), 2)


# Bad configuration files.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        '"units"',
        '{"preset": "none"}',
        '{"preset": ["mnist-6"]}',
        '{"unit": 5}',
        '{"units": "5"}',
        '{"config": {"units": 0}}',
        "\udcff",
    ],
)
def test_a_bad_configuration_file_is_a_usage_error(command, tmp_path, text):
    (tmp_path / "c.json").write_bytes(text.encode(errors="surrogateescape"))
    assert_fails(command(train.main, "--config", tmp_path / "c.json"), 2)


@pytest.mark.parametrize("value", [5, None, "units", ["units"], [["units", 5]]])
def test_a_configuration_that_is_no_object_is_a_usage_error(command, tmp_path, value):
    (tmp_path / "c.json").write_text(json.dumps({"config": value}))
    assert_fails(command(train.main, "--config", tmp_path / "c.json"), 2)


def test_a_missing_configuration_file_is_a_usage_error(command, tmp_path):
    assert_fails(command(train.main, "--config", tmp_path / "none.json"), 2, tmp_path / "none.json")


def test_a_folder_in_place_of_a_configuration_file_is_a_usage_error(command, tmp_path):
    assert_fails(command(train.main, "--config", tmp_path), 2, tmp_path)


# The preset for images of your own.


@pytest.fixture
def pictures(tmp_path):
    """A folder of 24 small pictures in colour, of three classes, that differ in colour."""
    rng = np.random.default_rng(0)
    for number in range(24):
        folder = tmp_path / "pictures" / ("red", "green", "blue")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 100, (20, 16, 3), dtype=np.uint8)
        image[..., number % 3] += 100
        Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def test_a_folder_just_trains(command, pictures, tmp_path):
    """Without a flag but where it is, and in what name."""
    run = tmp_path / "run"
    code, out, err = command(train.main, "--dataset", "folder", "--data-path", pictures, "--out", run, "--epochs", 3)
    assert (code, err) == (0, "")
    assert "preset photos on numpy" in out
    config = checkpoint.load(run / "best.npz").config
    assert (config.preset, config.patch, config.batch_size, config.flip) == ("photos", 4, 4, "horizontal")
    assert (config.epochs, config.decay_epochs) == (3, 3)
    assert command(train.main, "--resume", run, "--epochs", 4)[0] == 0
    resumed = checkpoint.load(run / "checkpoint.npz").config
    assert dataclasses.replace(resumed, epochs=3) == config
    again = tmp_path / "again"
    assert command(train.main, "--config", run / "config.json", "--epochs", 1, "--out", again)[0] == 0
    assert checkpoint.load(again / "best.npz").config == dataclasses.replace(resumed, epochs=1)


def test_another_preset_is_taken_as_it_is(command, pictures, tmp_path):
    options = ("--dataset", "folder", "--data-path", pictures, "--preset", "mnist-4", "--batch-size", 4)
    code, _, err = command(train.main, *options, "--validation", 2, "--epochs", 1, "--out", tmp_path / "run")
    assert (code, err) == (0, "")
    config = checkpoint.load(tmp_path / "run" / "best.npz").config
    assert (config.preset, config.glimpses, config.patch, config.batch_size) == ("mnist-4", 4, 8, 4)


def test_photos_is_the_default_for_images_of_your_own_only():
    assert resolved("--dataset", "folder").preset == resolved("--dataset", "arrays").preset == "photos"
    assert resolved("--dataset", "folder", "--preset", "mnist-4").preset == "mnist-4"
    assert resolved("--dataset", "cifar10").preset == "mnist-6"
    assert resolved("--preset", "photos").preset == "photos"
