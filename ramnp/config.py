"""The configuration: one frozen dataclass, `Config`, and the presets.

`Config` is the union of four groups, one class each, so that the model sees only `ModelConfig`. A field's
annotation carries its description and unit, from which `--help` is made. Presets are named after rows of
the paper's tables: a task and a number of glimpses.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from ramnp.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """the network"""

    glimpses: Annotated[int, "glimpses per image, T"] = 6
    patch: Annotated[int, "side g of the finest patch, in pixels"] = 8
    scales: Annotated[int, "patches per glimpse, K, with sides g, 2g, 4g, ..."] = 1
    core: Annotated[Literal["rnn", "lstm"], "recurrent core"] = "rnn"
    units: Annotated[int, "width N of the recurrent state"] = 256
    what_units: Annotated[int, "width of h_g, what was seen"] = 128
    where_units: Annotated[int, "width of h_l, where it was seen"] = 128
    glimpse_units: Annotated[int, "width G of the glimpse vector g_t"] = 256
    std: Annotated[float, "standard deviation of the locations; the image is 2 wide"] = 0.1
    squash: Annotated[Literal["tanh", "clip", "linear"], "what keeps the mean location in the image"] = "tanh"
    policy_hidden: Annotated[int, "width of a hidden layer in the location policy; 0 for none (the paper)"] = 0
    dtype: Annotated[Literal["float32", "float64"], "floating-point type"] = "float32"


@dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """the learning rule"""

    epochs: Annotated[int, "epochs to train"] = 40
    batch_size: Annotated[int, "images per step, B"] = 256
    rollouts: Annotated[int, "Monte Carlo rollouts per image in training, M"] = 1
    routing: Annotated[
        Literal["detached", "paper"],
        "where the policy gradient goes: only into the policy (detached), or on into the core as well (paper)",
    ] = "detached"
    policy_weight: Annotated[float, "weight of the REINFORCE term"] = 1.0
    optimizer: Annotated[Literal["adam", "sgd"], "optimizer; sgd has momentum"] = "adam"
    lr: Annotated[float, "peak learning rate"] = 1e-3
    momentum: Annotated[float, "momentum of sgd"] = 0.9
    schedule: Annotated[
        Literal["cosine", "linear", "constant"], "how the learning rate falls, per step, over --decay-epochs"
    ] = "cosine"
    decay_epochs: Annotated[int, "epochs over which the learning rate falls, whatever --epochs says"] = 40
    warmup_epochs: Annotated[float, "epochs of linear warm-up of the learning rate"] = 1.0
    clip: Annotated[float, "largest norm of the whole gradient; 0 for no limit"] = 5.0


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """the data"""

    dataset: Annotated[Literal["mnist"], "the task"] = "mnist"
    validation: Annotated[
        int, "training images held out, the last ones, to choose the best epoch; 0 to train on all"
    ] = 5000


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """the run"""

    preset: Annotated[str, "name of the preset this configuration started from"] = "mnist-6"
    seed: Annotated[int, "seed of the weights, the order of the data and the sampled locations"] = 0


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig, LearningConfig, DataConfig, RunConfig):
    """Everything that determines a run, on any backend.

    Raises:
        UsageError: a value is of the wrong type or out of its range.
    """

    def __post_init__(self) -> None:
        for name, (kind, _) in describe(Config).items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind))
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise UsageError(f"{flag(name)} must be at least 1, got {getattr(self, name)}")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise UsageError(f"{flag(name)} must be positive, got {getattr(self, name)}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise UsageError(f"{flag(name)} must not be negative, got {getattr(self, name)}")
        if self.momentum >= 1:
            raise UsageError(f"--momentum must be below 1, got {self.momentum}")

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `from_json` takes back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any], base: "Config | None" = None) -> "Config":
        """`base` (default: the default configuration) with `values` in place of its own.

        Raises:
            UsageError: a name is unknown, or a value cannot be used.
        """
        unknown = sorted(set(values) - set(describe(cls)))
        if unknown:
            raise UsageError(f"unknown configuration field '{unknown[0]}'")
        return dataclasses.replace(base or cls(), **values)


_AT_LEAST_ONE = (
    *("glimpses", "patch", "scales", "units", "what_units", "where_units", "glimpse_units"),
    *("epochs", "batch_size", "rollouts", "decay_epochs"),
)
_POSITIVE = ("std", "lr")
_NOT_NEGATIVE = ("policy_hidden", "policy_weight", "momentum", "warmup_epochs", "clip", "validation", "seed")


def flag(name: str) -> str:
    """The command-line flag of the field `name`."""
    return "--" + name.replace("_", "-")


def describe(cls: type) -> dict[str, tuple[Any, str]]:
    """The fields of a configuration class: name -> (type, description)."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: get_args(hints[field.name]) for field in dataclasses.fields(cls)}


def _checked(name: str, value: Any, kind: Any) -> Any:
    """`value` as `kind`, or a UsageError. An int will do for a float, nothing else is converted."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise UsageError(f"{flag(name)} must be one of {', '.join(get_args(kind))}, got {value!r}")
        return value
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise UsageError(f"{flag(name)} must be a {kind.__name__}, got {value!r}")
    if kind is float and not math.isfinite(value):
        raise UsageError(f"{flag(name)} must be finite, got {value}")
    return value
