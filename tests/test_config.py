"""The configuration: what it accepts, what it refuses, and how it travels through JSON."""

import dataclasses
import json
import math

import pytest

from ramnp.config import AugmentConfig, Config, DataConfig, LearningConfig, ModelConfig, RunConfig, describe, flag, idle
from ramnp.errors import UsageError
from ramnp.presets import DEFAULT, PRESETS, ROWS, listing

AT_LEAST_ONE = (
    *("fc_units", "glimpses", "patch", "scales", "units", "what_units", "where_units", "glimpse_units"),
    *("epochs", "batch_size", "rollouts", "decay_epochs", "size", "piece_side", "workers"),
)
NOT_NEGATIVE_INTEGERS = ("policy_hidden", "validation", "seed", "pieces", "patience")
NOT_NEGATIVE_FLOATS = (
    "policy_weight",
    "policy_lr",
    "momentum",
    "warmup_epochs",
    "clip",
    "discount",
    "early_weight",
    "pixel_mean",
    *("shift", "zoom", "rotate", "shear"),
)
POSITIVE_FLOATS = ("std", "lr", "muon_lr", "pixel_std")
CHOICES = (
    *("model", "glimpse_network", "core", "policy", "first_location", "squash", "dtype"),
    *("routing", "optimizer", "schedule", "dataset", "reward", "flip", "class_weights", "ties"),
    *("fit", "colour"),
)

BAD = [
    *((name, value) for name in AT_LEAST_ONE for value in (0, -1, 1.0, "1", None, True)),
    *((name, value) for name in NOT_NEGATIVE_INTEGERS for value in (-1, 1.0, "1", None, False)),
    *((name, value) for name in NOT_NEGATIVE_FLOATS for value in (-0.5, -1, math.nan, math.inf, "1", None, True)),
    *((name, value) for name in POSITIVE_FLOATS for value in (0, 0.0, -1.0, math.nan, math.inf, -math.inf, "1", None)),
    *((name, value) for name in CHOICES for value in ("", "nonsense", None, 0, ["rnn"])),
    *(("resize", value) for value in (-1, 4097, 1.0, "1", None)),
    *(("background", value) for value in ("", "red", "#12345", "#1234567", "ff0000", "#gggggg", None, 0)),
    *((name, value) for name in ("test_share", "validation_share") for value in (0, -0.1, 0.51, math.nan, "1", None)),
    *(("momentum", value) for value in (1, 1.0, 2.0)),
    *((name, value) for name in ("discount", "pixel_mean") for value in (1.01, 2)),
    *((name, value) for name in ("preset", "alphabets", "data_path", "import_") for value in (None, 6, ["mnist-6"])),
]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_constructs_and_carries_its_name(name):
    preset = PRESETS[name]
    assert preset.preset == name
    assert dataclasses.replace(preset) == preset


def test_presets_are_what_their_names_say():
    assert DEFAULT in PRESETS
    assert PRESETS[DEFAULT] == Config(epochs=300, decay_epochs=300)
    for name, preset in PRESETS.items():
        words = name.split("-")
        if preset.model != "ram":
            assert words[0] == (f"fc{preset.fc_units}" if preset.model == "fc" else "cnn")
            words.reverse()
        else:
            assert preset.glimpses == int(words[1])
        assert preset.dataset.startswith(words[0].rstrip("0123456789p")[:5])
        assert preset.core == ("lstm" if "lstm" in words or words[0] in ("cifar10", "omniglot") else "rnn")
        finds = preset.model == "ram" and words[0].startswith(("translated", "cluttered"))
        assert preset.reward == ("gain" if finds or words[0] in ("cifar10", "omniglot") else "answer")
        assert preset.routing == ("paper" if finds or "paper" in words else "detached")
        assert preset.policy == ("random" if "random" in words else "learned")
        assert preset.glimpse_network == ("conv" if "conv" in words else "linear")


def test_every_row_of_the_tables_has_fields_that_some_version_knows():
    """Data sets come with versions of their own; what a row says of the network must fit this one."""
    fields, of_the_data = describe(Config), {"dataset", "size", "pieces"}
    for name, row in ROWS.items():
        changes = {field: value for field, value in row.changes.items() if field not in of_the_data}
        assert set(changes) <= set(fields), name
        Config(preset=name, **changes)


def test_the_listing_has_a_line_a_preset():
    lines = listing().splitlines()
    for name in PRESETS:
        (line,) = (line for line in lines if line.split("  ")[0].strip() == name)
        row = ROWS[name]
        assert row.task in line
        for figure in (row.paper_a, row.paper_b, row.tensorflow):
            assert (f"{figure:.2f}" if figure else " - ") in line + " "


def test_every_field_belongs_to_one_group_and_is_described():
    groups = [set(describe(group)) for group in (ModelConfig, LearningConfig, AugmentConfig, DataConfig, RunConfig)]
    fields = describe(Config)
    assert sum(map(len, groups)) == len(fields)
    assert set().union(*groups) == set(fields)
    assert all(field.text for field in fields.values())


def test_the_bad_values_below_cover_every_field():
    assert {name for name, _ in BAD} == set(describe(Config))


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_a_usage_error_that_names_the_flag(name, value):
    with pytest.raises(UsageError, match=rf"^{flag(name)} ") as caught:
        Config(**{name: value})
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        dataclasses.replace(Config(), **{name: value})


@pytest.mark.parametrize("name", AT_LEAST_ONE)
def test_one_is_enough(name):
    assert getattr(Config(**{name: 1}), name) == 1


@pytest.mark.parametrize("name", [*NOT_NEGATIVE_INTEGERS, *NOT_NEGATIVE_FLOATS])
def test_zero_is_allowed(name):
    assert getattr(Config(**{name: 0}), name) == 0


def test_an_int_will_do_for_a_float():
    config = Config(lr=1, clip=0)
    assert (type(config.lr), type(config.clip)) == (float, float)
    assert config == Config(lr=1.0, clip=0.0)


@pytest.mark.parametrize("value", [10**400, -(10**400)], ids=["positive", "negative"])
def test_an_int_too_large_for_a_float_is_a_usage_error(value):
    with pytest.raises(UsageError, match="--lr"):
        Config(lr=value)


@pytest.mark.parametrize("std", [1e-200, 1e200])
def test_a_std_whose_square_is_not_a_positive_number_is_a_usage_error(std):
    with pytest.raises(UsageError, match="--std"):
        Config(std=std)


def test_a_configuration_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().units = 1


@pytest.mark.parametrize("config", [*PRESETS.values(), Config(core="lstm", lr=1 / 3, seed=2**70, dtype="float64")])
def test_json_and_back_is_the_same(config):
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_from_json_changes_only_what_is_given():
    base = PRESETS["mnist-6-paper"]
    assert Config.from_json({}, base) == base
    assert Config.from_json({"units": 7}, base) == dataclasses.replace(base, units=7)
    assert Config.from_json({"units": 7}) == Config(units=7)


@pytest.mark.parametrize("name", ["unit", "Units", "what-units", ""])
def test_from_json_rejects_an_unknown_field_by_name(name):
    with pytest.raises(UsageError, match=f"'{name}'"):
        Config.from_json({name: 1})


def test_from_json_rejects_a_bad_value():
    with pytest.raises(UsageError, match="--units"):
        Config.from_json({"units": "16"})


def test_flags_that_do_nothing_are_named():
    assert idle(Config(), ["size", "units", "lr"]) == ["--size has no effect with --dataset mnist"]
    assert idle(Config(dataset="cluttered-mnist"), ["size", "pieces", "alphabets"]) == [
        "--alphabets has no effect with --dataset cluttered-mnist"
    ]
    own = Config(dataset="folder", validation=8, validation_share=0.2)
    assert idle(own, ["fit", "validation"]) == [
        "--fit has no effect without --resize",
        "of your own images, 20% are held out (--validation-share)",
    ]
    assert idle(dataclasses.replace(own, resize=9, validation=0), ["fit", "validation"]) == []
    assert len(idle(Config(model="fc"), ["patch", "fc_units", "core"])) == 2
    assert idle(Config(policy="random"), ["std"]) == ["--std has no effect with --policy random"]
    assert idle(Config(policy="random", reward="gain"), ["discount", "early_weight"]) == [
        "--discount has no effect with --policy random"
    ]
    assert idle(Config(model="cnn"), ["std", "discount"]) == [
        f"--{name} has no effect with --model cnn" for name in ("std", "discount")
    ]
    assert idle(Config(policy="centre", schedule="constant"), ["rollouts", "decay_epochs"]) == [
        "--rollouts has no effect with --policy centre", "--decay-epochs has no effect with --schedule constant"
    ]  # fmt: skip
