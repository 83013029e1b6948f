"""Presets: configurations named after the rows of the published tables, by task and number of glimpses.

`python -m ramnp.train --list-presets` prints them with the published figures. A preset lists only its changes to the
default configuration, which is `mnist-6` trained for 100 epochs.

Sizes of sensor and network are the published ones. The learning rule is tuned, by validation error, on `mnist-2`,
`mnist-6`, `cluttered60-8`, `cifar10-4`, `cifar10-4-conv` and `omniglot-6`; for the networks that RAM is compared with,
on `fc64-translated60` and `cnn-translated60`. docs/results_log.md records what was tried.
"""

import math
from typing import Any, NamedTuple

from ramnp.config import Config, ModelConfig

DEFAULT = "mnist-6"


class Row(NamedTuple):
    """A row of the tables: its preset, the published figures, and our targets.

    All figures are test errors in percent; None if there is none. For CIFAR-10 accuracies are published; here they are
    turned into errors.

    Attributes:
        task: name of the task, for people.
        changes: fields of the configuration that differ from the default.
        paper_a, paper_b: Mnih et al. (2014), tables 1 and 2, in the two published versions, which differ:
            arXiv:1406.6247 and the proceedings of NIPS 2014.
        tensorflow: the TensorFlow implementation with a hybrid loss and Monte Carlo sampling that this package set out
            to match, github.com/dHonerkamp/Recurrent-Attention-Model.
        best: the lowest figure known of these and of any reimplementation of hard attention with this sensor. For
            translated and cluttered digits, figures not in another column are from github.com/slundqui/tfRAM.
        floor: the averaged figure must be at or below it for the row to count as reproduced.
        goal: our target: the averaged figure should be below it.
        control: for a control, which should be neither too bad nor too good: the range its figure should lie in.
    """

    task: str
    changes: dict[str, Any]
    paper_a: float | None = None
    paper_b: float | None = None
    tensorflow: float | None = None
    best: float | None = None
    floor: float | None = None
    goal: float | None = None
    control: tuple[float, float] | None = None


_LONG, _LONGER, _LONGEST = ({"epochs": epochs, "decay_epochs": epochs} for epochs in (200, 300, 400))
# Muon needs half the epochs if there are always new images, as composed ones are. On MNIST it gains in short trainings
# only: docs/results_log.md, section Muon, which also says which rows have not been trained with it yet.
_MUON = {"optimizer": "muon", "momentum": 0.95, "lr": 2e-3}
_BRIEF = {**_MUON, "batch_size": 1024, "epochs": 60, "decay_epochs": 60}
_SCENE = {"patch": 12, "scales": 3}
_TRANSLATED = {"dataset": "translated-mnist", "size": 60, **_SCENE}
_CLUTTERED = {"dataset": "cluttered-mnist", "size": 60, "pieces": 4, **_SCENE, **_LONG}
_LARGE = {**_CLUTTERED, "size": 100, "pieces": 8, "scales": 4}
# If the digit must be found first: each location is rewarded for what its glimpse adds, and the core learns to look.
_FIND = {"reward": "gain", "routing": "paper", "policy_weight": 0.5, "lr": 2e-3}
_FIND_FAST = {**_FIND, **_MUON, "batch_size": 512, "epochs": 100, "decay_epochs": 100}
# If glimpses must be combined rather than a digit found: undiscounted, the gains add up to the final probability of the
# label, so each location is rewarded for all that follows.
_TOGETHER = {"reward": "gain", "discount": 1.0, "core": "lstm"}
# Photographs have pixels far from 0 and close to each other, so they are standardized.
_CIFAR = {"dataset": "cifar10", "pixel_mean": 0.47, "pixel_std": 0.25, **_TOGETHER, "std": 0.2, "lr": 2e-3}
_SMALL = "Balinese,Early_Aramaic,Greek,Japanese_(katakana),Korean,Latin,Sanskrit,Tagalog"
_FC, _CNN = {"model": "fc", "lr": 3e-3}, {"model": "cnn", "lr": 3e-3}

_ON_60 = "translated 60x60"
_AMONG_4 = "cluttered 60x60, 4 pieces"
_AMONG_8 = "cluttered 100x100, 8 pieces"

# Figures, in the order of the fields of `Row`: paper_a, paper_b, tensorflow, best, floor, goal.
ROWS: dict[str, Row] = {
    "mnist-2": Row("MNIST", {"glimpses": 2, "lr": 3e-3, **_LONGER}, 6.27, 3.79, 7.70, 2.34, 3.79, 2.3),
    "mnist-3": Row("MNIST", {"glimpses": 3, **_BRIEF}, None, 1.51, None, 1.51, 1.51, 1.0),
    "mnist-4": Row("MNIST", {"glimpses": 4}, 1.73, 1.54, 1.07, 1.07, 1.54, 0.95),
    "mnist-5": Row("MNIST", {"glimpses": 5, **_BRIEF}, None, 1.34, None, 1.34, 1.34, 0.5),
    "mnist-6": Row("MNIST", _LONGER, 1.29, 1.12, 0.67, 0.67, 0.90, 0.55),
    "mnist-7": Row("MNIST", {"glimpses": 7, **_BRIEF}, None, 1.07, None, 0.80, 1.07, 0.43),
    # What `make train` trains.
    "mnist-6-short": Row("MNIST", {**_BRIEF, "epochs": 30, "decay_epochs": 30}),
    # Trained on all 60,000 digits; none are held out to choose an epoch, so the last epoch is evaluated.
    "mnist-6-all": Row("MNIST", {**_LONGER, "validation": 0}, 1.29, 1.12, 0.67, 0.67),
    "mnist-6-lstm": Row("MNIST", {"core": "lstm"}),
    # The learning rule of the paper: the policy's gradient reaches the core; SGD with momentum.
    "mnist-6-paper": Row("MNIST", {"routing": "paper", "optimizer": "sgd", "lr": 0.01}, 1.29, 1.12),
    "fc256-mnist": Row("MNIST", {**_FC, "fc_units": 256}, None, 1.69),
    "cnn-mnist": Row("MNIST", _CNN, None, 1.21),
    "translated60-4": Row(_ON_60, {**_TRANSLATED, **_FIND, "glimpses": 4}, 2.29, 1.54, 2.30, 1.54, 2.29, 1.5),
    "translated60-6": Row(_ON_60, {**_TRANSLATED, **_FIND, "glimpses": 6}, 1.86, 1.22, 1.63, 1.08, 1.63, 1.0),
    "translated60-8": Row(_ON_60, {**_TRANSLATED, **_FIND, "glimpses": 8}, 1.84, 1.20, None, 0.94, 1.20, 0.9),
    "fc64-translated60": Row(_ON_60, {**_TRANSLATED, **_FC, **_LONGEST, "fc_units": 64}, None, 6.42),
    "fc256-translated60": Row(_ON_60, {**_TRANSLATED, **_FC, **_LONGEST, "fc_units": 256}, None, 2.63),
    "cnn-translated60": Row(_ON_60, {**_TRANSLATED, **_CNN, **_LONGEST}, None, 1.62),
    "cluttered60-4": Row(_AMONG_4, {**_CLUTTERED, **_FIND, "glimpses": 4}, None, 4.96, None, 4.96, 4.96, 4.5),
    "cluttered60-6": Row(_AMONG_4, {**_CLUTTERED, **_FIND, "glimpses": 6}, None, 4.08, None, 3.33, 4.08, 3.0),
    "cluttered60-8": Row(_AMONG_4, {**_CLUTTERED, **_FIND_FAST, "glimpses": 8}, 5.23, 4.04, None, 2.63, 4.04, 2.4),
    "cluttered60-8-random": Row(
        _AMONG_4, {**_CLUTTERED, **_FIND, "glimpses": 8, "policy": "random"}, None, 14.4, control=(10.0, 20.0)
    ),
    "fc64-cluttered60": Row(_AMONG_4, {**_CLUTTERED, **_FC, **_LONGEST, "fc_units": 64}, None, 28.58),
    "fc256-cluttered60": Row(_AMONG_4, {**_CLUTTERED, **_FC, **_LONGEST, "fc_units": 256}, None, 11.96),
    "cnn-cluttered60": Row(_AMONG_4, {**_CLUTTERED, **_CNN, **_LONGEST}, None, 8.09),
    "cluttered100-4": Row(_AMONG_8, {**_LARGE, **_FIND, "glimpses": 4}, 14.95, 9.41, 15.14, 9.41, 14.95, 9.0),
    "cluttered100-6": Row(_AMONG_8, {**_LARGE, **_FIND, "glimpses": 6}, 11.58, 8.31, 10.09, 8.30, 10.09, 6.0),
    "cluttered100-8": Row(_AMONG_8, {**_LARGE, **_FIND, "glimpses": 8}, 10.83, 8.11, None, 5.90, 8.11, 5.0),
    "cnn-cluttered100": Row(_AMONG_8, {**_LARGE, **_CNN, **_LONGEST}, None, 14.35),
    "cluttered100p4-8": Row("cluttered 100x100, 4 pieces", {**_LARGE, **_FIND, "pieces": 4, "glimpses": 8}),
    # Published accuracies: 59.7, 66.6 and 61.6 %. Our goals: more than 62, 70 and 65 %.
    "cifar10-4": Row("CIFAR-10", {**_CIFAR, "glimpses": 4}, tensorflow=40.3, floor=40.3, goal=38.0),
    "cifar10-4-conv": Row(
        "CIFAR-10", {**_CIFAR, "glimpses": 4, "glimpse_network": "conv"}, tensorflow=33.4, floor=33.4, goal=30.0
    ),
    "cifar10-6": Row("CIFAR-10", {**_CIFAR, "glimpses": 6}, tensorflow=38.4, floor=38.4, goal=35.0),
    # The 242 characters of the two small archives.
    "omniglot-6": Row(
        "Omniglot, 242 characters",
        {"dataset": "omniglot", "alphabets": _SMALL, "patch": 16, "scales": 3, **_LONG, **_TOGETHER, "lr": 3e-3},
    ),
}


PRESETS: dict[str, Config] = {name: Config(preset=name, **row.changes) for name, row in ROWS.items()}


OWN = "photos"  # the preset for images of your own
_OWN_LARGE: dict[str, Any] = {**_FIND, "discount": 0.0, "core": "rnn", "std": 0.1, "glimpse_network": "linear"}
_OWN_SMALL: dict[str, Any] = {
    **_TOGETHER,
    **{"routing": "detached", "policy_weight": 0.01, "std": 0.2, "lr": 2e-3, "glimpse_network": "conv"},
}


def photos(
    image_shape: tuple[int, int, int], images: int, classes: int, mean: float = 0.5, std: float = 0.25
) -> Config:
    """A configuration for images of your own: what the sensor sees, and how long to train, from what there is.

    The finest patch is a quarter of the image, from 4 to 16 pixels; the widest, of up to five scales, covers at least
    two thirds of it. So the first glimpse, at the centre, shows most of the image, and the others its details. Up to 48
    pixels, glimpses must be combined, as in `cifar10-4-conv`. In larger images things must be found first, as in
    `cluttered100-8`.

    Images are seen 400,000 times in all, in 20 to 400 epochs. Fewer than 1,000 images per class are augmented; those
    in colour, which are rarely letters or digits, are mirrored as well.

    Args:
        image_shape: (H, W, C).
        images: how many there are to train on.
        classes: A.
        mean, std: of their pixels, from 0 to 1.
    """
    height, width, channels = image_shape
    side = max(height, width)
    patch = min(max(2 * round(side / 8), 4), 16)
    scales = 1 + sum(patch << k < 2 * side / 3 for k in range(4))
    epochs = min(max(400_000 // images, 20), 400)
    few = images < 1000 * classes
    return Config(
        preset=OWN,
        **(_OWN_SMALL if side <= 48 else _OWN_LARGE),
        first_location="centre",
        glimpses=4 if side <= 40 else 6 if side <= 128 else 8,
        patch=patch,
        scales=scales,
        batch_size=min(max(1 << int(math.log2(max(images / 10, 1))), 4), 128, images),
        epochs=epochs,
        decay_epochs=epochs,
        warmup_epochs=1.0,
        pixel_mean=round(mean, 2),
        pixel_std=max(round(std, 2), 0.01),
        ties="loss",
        flip="horizontal" if few and channels > 1 else "none",
        shift=round(side / 16, 1) if few else 0.0,
        zoom=0.15 if few else 0.0,
        rotate=10.0 if few else 0.0,
        shear=0.1 if few else 0.0,
        validation=1,
    )


# What `photos` chooses by the images. Flags win over it.
CHOSEN = (
    *("glimpses", "patch", "scales", "batch_size", "epochs", "decay_epochs", "pixel_mean", "pixel_std"),
    *("flip", "shift", "zoom", "rotate", "shear"),
    *("glimpse_network", "core", "std", "discount", "routing", "policy_weight"),
)
PHOTOS = photos((64, 64, 3), 2000, 10)  # as it is before the images are known


def add_preset(name: str, row: Row) -> None:
    """Add a row of your own, so that `--preset` and `ramnp.reproduce` know it.

    Raises:
        ValueError: another row has that name.
        UsageError: a field of the configuration cannot be used.
    """
    if ROWS.get(name, row) != row:
        raise ValueError(f"there is another preset '{name}': give yours a name of its own")
    PRESETS[name] = Config(preset=name, **row.changes)
    ROWS[name] = row


def start_of(preset: str) -> Config:
    """The configuration of a preset by name; the default one if there is none of that name, such as one of your own."""
    return PHOTOS if preset == OWN else PRESETS.get(preset, PRESETS[DEFAULT])


def changes(config: Config) -> dict[str, Any]:
    """The fields in which a configuration differs from its preset.

    Seed, workers, epochs and data path do not count: they make it another run of the same preset. Neither does what
    `photos` chooses by the images. If the preset is unknown, such as one of your own, the configuration is compared
    with the default.
    """
    preset = start_of(config.preset)
    same = {"preset", "seed", "workers", "epochs", "decay_epochs", "data_path", "import_"}
    if config.preset == OWN:
        same |= {*CHOSEN, "dataset"}
    return {
        name: value for name, value in config.to_json().items() if name not in same and value != getattr(preset, name)
    }


def title(config: Config) -> str:
    """The preset's name, and the changes to it, for people."""
    return config.preset + "".join(f", {name}={value}" for name, value in changes(config).items())


def listing() -> str:
    """The table of all presets."""
    lines: list[tuple[str, ...]] = [("preset", "task", "glimpses", "sensor", "paper a / b", "TensorFlow")]
    for name, config in PRESETS.items():
        row = ROWS[name]
        published = (f"{number(row.paper_a)} / {number(row.paper_b)}", number(row.tensorflow))
        lines.append((name, row.task, *glimpses_and_sensor(config), *published))
    return columns(lines) + (
        "\n\npaper, TensorFlow: published test errors in %. The paper's tables exist in two versions, a / b.\n"
        "Presets have the published sizes. Their learning rules are tuned on mnist-2, mnist-6, cluttered60-8,\n"
        "cifar10-4, cifar10-4-conv, omniglot-6, fc64-translated60 and cnn-translated60.\n"
        f"For images of your own there is {OWN}, which suits itself to them."
    )


def columns(lines: list[tuple[str, ...]]) -> str:
    """Format lines of cells as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(texts)


def number(value: float | None) -> str:
    """Format a figure in percent; "-" for None."""
    return "-" if value is None else f"{value:.2f}"


def glimpses_and_sensor(config: ModelConfig) -> tuple[str, str]:
    """The cells "glimpses" and "sensor" of a table."""
    if config.model != "ram":
        return "-", "whole image"
    scales = f"{config.scales} scales" if config.scales > 1 else "1 scale"
    return str(config.glimpses), f"{config.patch}x{config.patch}, {scales}"
