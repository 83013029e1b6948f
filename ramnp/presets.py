"""Presets: configurations named after a row of the published tables, by task and number of glimpses.

`python -m ramnp.train --list-presets` prints them beside the figures to expect. A preset is what it changes of the
default configuration, `mnist-6`. What is changed beyond MNIST follows the published sizes of sensor and network;
the learning rule is that of MNIST with more epochs and a wider policy, and is tuned for none of these tasks.
"""

from typing import Any, NamedTuple

from ramnp.config import Config, ModelConfig

DEFAULT = "mnist-6"


class Row(NamedTuple):
    """A row of the tables, and the preset that goes for it.

    The figures are test errors in percent, as text since some were published as a pair.

    Attributes:
        task: for people.
        changes: fields of the configuration.
        paper: by Mnih et al. (2014), arXiv:1406.6247, tables 1 and 2. The tables of its two published versions differ:
            "a / b" are both, "-" where one has no such row.
        tensorflow: by the TensorFlow implementation with a hybrid loss and Monte Carlo sampling that this package
            set out to match. Its figures for CIFAR-10 were published as accuracies, 100 less these.
    """

    task: str
    changes: dict[str, Any]
    paper: str = ""
    tensorflow: str = ""


_LONGER = {"epochs": 100, "decay_epochs": 100}
_SCENE = {"patch": 12, "scales": 3, "std": 0.1, **_LONGER}
_TRANSLATED = {"dataset": "translated-mnist", "size": 60, **_SCENE}
_CLUTTERED = {"dataset": "cluttered-mnist", "size": 60, "pieces": 4, **_SCENE}
_LARGE = {**_CLUTTERED, "size": 100, "pieces": 8, "scales": 4}
_CIFAR = {"dataset": "cifar10", "core": "lstm", "std": 0.1, **_LONGER}
_FC, _CNN = {"model": "fc"}, {"model": "cnn"}

ROWS: dict[str, Row] = {
    "mnist-2": Row("MNIST", {"glimpses": 2}, "6.27 / 3.79", "7.70"),
    "mnist-4": Row("MNIST", {"glimpses": 4}, "1.73 / 1.54", "1.07"),
    "mnist-6": Row("MNIST", {}, "1.29 / 1.12", "0.67"),
    "mnist-6-lstm": Row("MNIST", {"core": "lstm"}),
    # As the paper has it: gradients of the policy reach the core, SGD with momentum.
    "mnist-6-paper": Row("MNIST", {"routing": "paper", "optimizer": "sgd", "lr": 0.01}, "1.29 / 1.12"),
    "fc256-mnist": Row("MNIST", {**_FC, "fc_units": 256}, "1.69"),
    "cnn-mnist": Row("MNIST", _CNN, "1.21"),
    "translated60-4": Row("translated 60x60", {**_TRANSLATED, "glimpses": 4}, "2.29 / 1.54", "2.30"),
    "translated60-6": Row("translated 60x60", {**_TRANSLATED, "glimpses": 6}, "1.86 / 1.22", "1.63"),
    "translated60-8": Row("translated 60x60", {**_TRANSLATED, "glimpses": 8}, "1.84 / 1.20"),
    "fc64-translated60": Row("translated 60x60", {**_TRANSLATED, **_FC, "fc_units": 64}, "6.42"),
    "fc256-translated60": Row("translated 60x60", {**_TRANSLATED, **_FC, "fc_units": 256}, "2.63"),
    "cnn-translated60": Row("translated 60x60", {**_TRANSLATED, **_CNN}, "1.62"),
    "cluttered60-4": Row("cluttered 60x60, 4 pieces", {**_CLUTTERED, "glimpses": 4}, "- / 4.96"),
    "cluttered60-6": Row("cluttered 60x60, 4 pieces", {**_CLUTTERED, "glimpses": 6}, "- / 4.08"),
    "cluttered60-8": Row("cluttered 60x60, 4 pieces", {**_CLUTTERED, "glimpses": 8}, "5.23 / 4.04"),
    "cluttered60-8-random": Row(
        "cluttered 60x60, 4 pieces", {**_CLUTTERED, "glimpses": 8, "policy": "random"}, "- / 14.4"
    ),
    "fc64-cluttered60": Row("cluttered 60x60, 4 pieces", {**_CLUTTERED, **_FC, "fc_units": 64}, "28.58"),
    "fc256-cluttered60": Row("cluttered 60x60, 4 pieces", {**_CLUTTERED, **_FC, "fc_units": 256}, "11.96"),
    "cnn-cluttered60": Row("cluttered 60x60, 4 pieces", {**_CLUTTERED, **_CNN}, "8.09"),
    "cluttered100-4": Row("cluttered 100x100, 8 pieces", {**_LARGE, "glimpses": 4}, "14.95 / 9.41", "15.14"),
    "cluttered100-6": Row("cluttered 100x100, 8 pieces", {**_LARGE, "glimpses": 6}, "11.58 / 8.31", "10.09"),
    "cluttered100-8": Row("cluttered 100x100, 8 pieces", {**_LARGE, "glimpses": 8}, "10.83 / 8.11"),
    "cnn-cluttered100": Row("cluttered 100x100, 8 pieces", {**_LARGE, **_CNN}, "14.35 to 16.22"),
    "cluttered100p4-8": Row("cluttered 100x100, 4 pieces", {**_LARGE, "pieces": 4, "glimpses": 8}),
    "cifar10-4": Row("CIFAR-10", {**_CIFAR, "glimpses": 4}, "", "40.3"),
    "cifar10-4-conv": Row("CIFAR-10", {**_CIFAR, "glimpses": 4, "glimpse_network": "conv"}, "", "33.4"),
    "cifar10-6": Row("CIFAR-10", {**_CIFAR, "glimpses": 6}, "", "38.4"),
    "omniglot-6": Row(
        "Omniglot", {"dataset": "omniglot", "core": "lstm", "patch": 16, "scales": 3, "std": 0.1, **_LONGER}
    ),
}


PRESETS: dict[str, Config] = {name: Config(preset=name, **row.changes) for name, row in ROWS.items()}


def changes(config: Config) -> dict[str, Any]:
    """What a configuration has that its preset has not, apart from what makes it another run of the same."""
    preset, same = PRESETS[config.preset], {"seed", "workers", "epochs", "decay_epochs", "data_path"}
    return {
        name: value for name, value in config.to_json().items() if name not in same and value != getattr(preset, name)
    }


def title(config: Config) -> str:
    """The preset's name, and what was changed of it, for people."""
    return config.preset + "".join(f", {name}={value}" for name, value in changes(config).items())


def listing() -> str:
    """The table of all presets."""
    lines = [("preset", "task", "glimpses", "sensor", "paper", "TensorFlow")]
    for name, config in PRESETS.items():
        row = ROWS[name]
        lines.append((name, row.task, *_glimpses_and_sensor(config), row.paper, row.tensorflow))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(texts) + (
        "\n\npaper, TensorFlow: published test errors in %; the paper's tables were published in two versions, a / b.\n"
        "Presets beyond MNIST have the published sizes, and a learning rule that is not tuned for them."
    )


def _glimpses_and_sensor(config: ModelConfig) -> tuple[str, str]:
    """Two cells of the table."""
    if config.model != "ram":
        return "-", "whole image"
    scales = f"{config.scales} scales" if config.scales > 1 else "1 scale"
    return str(config.glimpses), f"{config.patch}x{config.patch}, {scales}"
