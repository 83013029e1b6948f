"""The configuration: one frozen dataclass, `Config`.

It is the union of five groups, each a class. The annotation of a field holds its type, its description with the unit,
which is the text of `--help`, and its range.
"""

import dataclasses
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from ramnp import own_parts, registry
from ramnp.errors import UnknownPartError, UsageError


class AtLeast(NamedTuple):
    """The range of a field: `least` or more, and below `below`."""

    least: float
    below: float = math.inf

    def __contains__(self, value: Any) -> bool:
        return self.least <= value < self.below

    def __str__(self) -> str:
        return f"at least {self.least}" + (f" and below {self.below}" if self.below < math.inf else "")


class Above(NamedTuple):
    """The range of a field: more than `bound`."""

    bound: float

    def __contains__(self, value: Any) -> bool:
        return value > self.bound

    def __str__(self) -> str:
        return f"above {self.bound}"


class Within(NamedTuple):
    """The range of a field: from `least` to `most`."""

    least: float
    most: float

    def __contains__(self, value: Any) -> bool:
        return self.least <= value <= self.most

    def __str__(self) -> str:
        return f"from {self.least} to {self.most}"


class Matching(NamedTuple):
    """The range of a text field: a pattern, and the same in words."""

    pattern: str
    words: str

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.words


class NameOf(NamedTuple):
    """The range of a field that chooses a part by its name: those registered for a kind, yours included."""

    kind: str

    def __contains__(self, value: object) -> bool:
        return value in registry.names(self.kind)

    def __str__(self) -> str:
        return f"one of {', '.join(registry.names(self.kind))}"


class Group:
    """A frozen dataclass that checks its fields against their annotations.

    Raises:
        UsageError: a value has the wrong type, or is out of its range.
    """

    def __post_init__(self) -> None:
        for name, field in describe(type(self)).items():
            object.__setattr__(self, name, field.checked(name, getattr(self, name)))


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Group):
    """the network"""

    model: Annotated[
        str,
        "recurrent attention, or a network that sees the whole image (ramnp/network/whole_image.py)",
        NameOf("model"),
    ] = "ram"
    fc_units: Annotated[
        int, "width of the fully connected hidden layers of fc and cnn", AtLeast(1, below=1_000_000)
    ] = 256
    glimpses: Annotated[int, "glimpses per image, T", AtLeast(1, below=10_000)] = 6
    patch: Annotated[int, "side g of the finest patch, in pixels", AtLeast(1, below=10_000)] = 8
    scales: Annotated[int, "patches per glimpse, K, with sides g, 2g, 4g, ...", AtLeast(1, below=16)] = 1
    glimpse_network: Annotated[
        str, "how a glimpse is read: fully connected, or with convolutions first", NameOf("glimpse_network")
    ] = "linear"
    core: Annotated[str, "recurrent core", NameOf("core")] = "rnn"
    units: Annotated[int, "width N of the recurrent state", AtLeast(1, below=1_000_000)] = 256
    what_units: Annotated[int, "width of h_g, which encodes what was seen", AtLeast(1, below=1_000_000)] = 128
    where_units: Annotated[int, "width of h_l, which encodes where it was seen", AtLeast(1, below=1_000_000)] = 128
    glimpse_units: Annotated[int, "width G of the glimpse vector g_t", AtLeast(1, below=1_000_000)] = 256
    policy: Annotated[
        str,
        "how locations are chosen: by the network, or, as controls, uniformly at random or all at the centre",
        NameOf("policy"),
    ] = "learned"
    first_location: Annotated[
        Literal["uniform", "centre", "learned"],
        "where a learned policy looks first: uniformly at random, at the centre, or at a location that it learns",
    ] = "uniform"
    std: Annotated[
        float,
        "standard deviation of sampled locations, in units of half the image",
        AtLeast(1e-6, below=1e6),
    ] = 0.1
    squash: Annotated[
        Literal["tanh", "clip", "linear"], "limits the mean location to the image: tanh, clip, or linear (no limit)"
    ] = "tanh"
    policy_hidden: Annotated[
        int, "width of a hidden layer in the location policy; 0 for none, as in the paper", AtLeast(0, below=1_000_000)
    ] = 128
    pixel_mean: Annotated[float, "subtracted from every pixel; pixels are in [0, 1]", Within(0, 1)] = 0.0
    pixel_std: Annotated[float, "each pixel is then divided by this", AtLeast(1e-6, below=1e6)] = 1.0
    dtype: Annotated[Literal["float32", "float64"], "floating-point type"] = "float32"

    @property
    def control(self) -> bool:
        """Whether no policy chooses the locations: they are given."""
        return self.policy in ("random", "centre")


@dataclass(frozen=True, kw_only=True)
class LearningConfig(Group):
    """the learning rule"""

    epochs: Annotated[int, "epochs to train", AtLeast(1)] = 100
    batch_size: Annotated[int, "images per step, B", AtLeast(1)] = 256
    rollouts: Annotated[int, "Monte Carlo rollouts per image in training, M", AtLeast(1, below=1_000_000)] = 1
    routing: Annotated[
        Literal["detached", "paper"],
        "how far the policy gradient goes: into the policy only (detached), or on into the core (paper)",
    ] = "detached"
    policy_weight: Annotated[float, "weight of the REINFORCE term", AtLeast(0)] = 0.01
    reward: Annotated[
        Literal["answer", "gain"],
        "what rewards a location: a correct final answer (answer, the paper), or what its glimpse adds to the "
        "probability of the label (gain; every glimpse's answer is then trained); see ramnp/network/reinforce.py",
    ] = "answer"
    discount: Annotated[
        float, "discount of gains per later glimpse; 0 rewards a location for its own glimpse only", Within(0, 1)
    ] = 0.0
    early_weight: Annotated[
        float, "weight of the cross-entropy of each answer before the last, with --reward gain", AtLeast(0)
    ] = 0.2
    optimizer: Annotated[str, "optimizer; muon changes the wide matrices, and adam the rest", NameOf("optimizer")] = (
        "adam"
    )
    lr: Annotated[float, "peak learning rate", Above(0)] = 1e-3
    policy_lr: Annotated[
        float, "learning rate of the location policy, as a multiple of that of the other parts", AtLeast(0)
    ] = 1.0
    muon_lr: Annotated[float, "peak learning rate of the matrices that muon changes", Above(0)] = 0.02
    momentum: Annotated[float, "momentum of sgd and muon", AtLeast(0, below=1)] = 0.9
    schedule: Annotated[
        Literal["cosine", "linear", "constant"], "how the learning rate decays, step by step, after the warm-up"
    ] = "cosine"
    decay_epochs: Annotated[
        int, "epochs, warm-up included, over which the learning rate decays; independent of --epochs", AtLeast(1)
    ] = 100
    warmup_epochs: Annotated[float, "epochs of linear warm-up of the learning rate", AtLeast(0)] = 1.0
    clip: Annotated[float, "largest norm of the gradient of all parameters; 0 for no limit", AtLeast(0)] = 5.0
    class_weights: Annotated[
        Literal["equal", "balanced"],
        "how much an image counts: all the same (equal), or more if its class has few images, so that classes count "
        "the same (balanced); see ramnp/network/reinforce.py",
    ] = "equal"
    patience: Annotated[
        int, "epochs without a lower validation error after which the training ends; 0 for no such end", AtLeast(0)
    ] = 0
    ties: Annotated[
        Literal["first", "loss"],
        "which of several epochs with the lowest validation error is the best: the first, or the one with the lowest "
        "validation loss (of equal losses, the last)",
    ] = "first"


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(Group):
    """the augmentation: how training images are changed at random (ramnp/data/augment.py)"""

    flip: Annotated[
        Literal["none", "horizontal", "both"],
        "mirror half of the images: left and right change places (horizontal), or top and bottom, too (both)",
    ] = "none"
    shift: Annotated[float, "largest shift along each axis, in pixels", AtLeast(0, below=10_000)] = 0.0
    zoom: Annotated[float, "largest change of size, as a share: 0.1 is a tenth", AtLeast(0, below=100)] = 0.0
    rotate: Annotated[float, "largest angle by which an image is turned, in degrees", Within(0, 180)] = 0.0
    shear: Annotated[
        float, "largest shift of a row against the next, in pixels: at 0.1, ten rows lean by one pixel", Within(0, 10)
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class DataConfig(Group):
    """the data"""

    dataset: Annotated[str, "the task; `python -m ramnp.data list` describes each", NameOf("dataset")] = "mnist"
    validation: Annotated[
        int,
        "how many of the last training images to hold out, to choose the best epoch; 0 trains on all (omniglot: 0, or "
        "any number to hold out two people, see datasets/README.md; your own: 0, or any number for --validation-share)",
        AtLeast(0),
    ] = 5000
    size: Annotated[
        int, "side of the canvas of translated-mnist and cluttered-mnist, in pixels", AtLeast(1, below=10_000)
    ] = 60
    pieces: Annotated[int, "pieces of clutter per image of cluttered-mnist", AtLeast(0, below=10_000)] = 4
    piece_side: Annotated[int, "side of a piece of clutter, in pixels", AtLeast(1, below=10_000)] = 8
    alphabets: Annotated[str, "alphabets of omniglot to use, separated by commas (all)"] = ""
    data_path: Annotated[str, "path of your images: an .npz file (--dataset arrays) or a folder (--dataset folder)"] = (
        ""
    )
    test_share: Annotated[
        float, "share of your own images to set aside for the test, by their content", Within(0.01, 0.5)
    ] = 0.15
    validation_share: Annotated[
        float, "share of your own images to hold out for validation, by their content", Within(0.01, 0.4)
    ] = 0.15
    resize: Annotated[
        int, "side in pixels to which each image of a folder is resized; 0 for not at all", AtLeast(0, below=4097)
    ] = 0
    fit: Annotated[
        Literal["crop", "pad", "stretch"],
        "how --resize makes an image square: cut off what is too long, fill up with the background, or distort",
    ] = "crop"
    background: Annotated[
        str,
        "what transparent pixels of an image file are put on, and what --fit pad adds: white, black or '#rrggbb'",
        Matching("white|black|#[0-9a-fA-F]{6}", "white, black, or '#rrggbb' with hexadecimal digits"),
    ] = "white"
    colour: Annotated[
        Literal["auto", "gray", "rgb"], "read the files of a folder as gray or as colour; auto: gray if all of them are"
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class RunConfig(Group):
    """the run"""

    preset: Annotated[str, "name of the preset this configuration started from"] = "mnist-6"
    workers: Annotated[int, "processes that share each batch on the CPU", AtLeast(1, below=1000)] = 1
    seed: Annotated[int, "seed of the weights, the order of the data and the sampled locations", AtLeast(0)] = 0
    import_: Annotated[str, "the module or file that registered parts of your own; none for ''"] = ""


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig, LearningConfig, AugmentConfig, DataConfig, RunConfig):
    """Everything that determines a run, on any backend.

    Raises:
        UsageError: a value has the wrong type, or is out of its range.
    """

    def to_json(self) -> dict[str, Any]:
        """The fields as a dictionary; `from_json` reads it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any], base: "Config | None" = None) -> "Config":
        """`base` (by default the default configuration), with `values` replacing its own.

        Raises:
            UsageError: a name is unknown, or a value is invalid.
            UnknownPartError: a part is not registered.
        """
        unknown = sorted(set(values) - set(describe(cls)))
        if unknown:
            raise UsageError(f"unknown configuration field '{unknown[0]}'")
        try:
            return dataclasses.replace(base or cls(), **values)
        except UnknownPartError as error:
            source = values.get("import_")
            if not isinstance(source, str) or not source:
                raise
            if not own_parts.is_remembered(source):  # somebody else's checkpoint must not run what it names
                raise UnknownPartError(
                    f"{error}; it came with --import {source!r}: give that flag again, if you trust the file"
                ) from error
            own_parts.load(source)
            return dataclasses.replace(base or cls(), **values)


class Field(NamedTuple):
    """The annotation of a field: type, description and range."""

    kind: Any
    text: str
    range: AtLeast | Above | Within | NameOf | Matching | None = None

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The words to choose from, or None."""
        if isinstance(self.range, NameOf):
            return registry.names(self.range.kind)
        return get_args(self.kind) if get_origin(self.kind) is Literal else None

    def checked(self, name: str, value: Any) -> Any:
        """Return `value`, or raise a UsageError. An int is converted to a float if need be, nothing else."""
        if choices := get_args(self.kind):
            if value not in choices:
                raise UsageError(f"{flag(name)} must be one of {', '.join(choices)}, got {value!r}")
            return value
        if self.kind is float and type(value) is int:
            value = float(value) if abs(value) < 2**1000 else math.inf
        if type(value) is not self.kind:
            raise UsageError(f"{flag(name)} must be a {self.kind.__name__}, got {value!r}")
        if self.kind is str and "\0" in value:
            raise UsageError(f"{flag(name)} must not hold the character NUL, got {value!r}")
        if self.kind is float and not math.isfinite(value):
            raise UsageError(f"{flag(name)} must be finite, got {value}")
        if self.range is not None and value not in self.range:
            if isinstance(self.range, NameOf):
                raise UnknownPartError(f"{flag(name)} must be {self.range}, got {value!r}")
            raise UsageError(f"{flag(name)} must be {self.range}, got {value}")
        return value


def flag(name: str) -> str:
    """The command-line flag of the field `name`."""
    return "--" + name.rstrip("_").replace("_", "-")


def describe(cls: type) -> dict[str, Field]:
    """The fields of a configuration class."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: Field(*get_args(hints[field.name])) for field in dataclasses.fields(cls)}


_OF_A_POLICY = ("std", "squash", "policy_hidden", "first_location", "routing", "policy_weight", "policy_lr", "discount")

# (field, values, others): the fields `others` have an effect only if `field` has one of `values`.
ACTS_WITH: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("dataset", ("translated-mnist", "cluttered-mnist"), ("size",)),
    ("dataset", ("cluttered-mnist",), ("pieces", "piece_side")),
    ("dataset", ("omniglot",), ("alphabets",)),
    ("dataset", ("arrays", "folder"), ("data_path", "test_share", "validation_share")),
    ("dataset", ("folder",), ("resize", "fit", "background", "colour")),
    ("optimizer", ("sgd", "muon"), ("momentum",)),
    ("optimizer", ("muon",), ("muon_lr",)),
    ("model", ("fc", "cnn"), ("fc_units",)),
    ("model", ("ram",), ("glimpses", "patch", "scales", "glimpse_network", "core", "units", "what_units")),
    ("model", ("ram",), ("where_units", "glimpse_units", "policy", "rollouts", "reward", "early_weight")),
    ("model", ("ram",), _OF_A_POLICY),
    ("policy", ("learned",), _OF_A_POLICY),
    ("policy", ("learned", "random"), ("rollouts",)),
    ("schedule", ("cosine", "linear"), ("decay_epochs",)),
    ("reward", ("gain",), ("discount", "early_weight")),
)


def idle(config: Config, names: Iterable[str]) -> list[str]:
    """One line for each of the fields `names` that has no effect in this configuration, or another one than usual.

    A part of your own may use any field, so nothing is said about it.
    """
    lines: dict[str, str] = {}
    for other, values, fields in ACTS_WITH:
        value = getattr(config, other)
        if value not in values and not registry.is_added(other, value):
            for name in fields:
                lines.setdefault(name, f"{flag(name)} has no effect with {flag(other)} {value}")
    if config.dataset == "folder" and not config.resize:
        lines.setdefault("fit", "--fit has no effect without --resize")
    if config.dataset in ("arrays", "folder") and config.validation:
        lines["validation"] = f"of your own images, {config.validation_share:.0%} are held out (--validation-share)"
    return [line for name, line in lines.items() if name in names]
