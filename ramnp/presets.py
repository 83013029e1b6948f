"""Presets: configurations named after a row of the paper's tables, a task and a number of glimpses."""

from dataclasses import replace

from ramnp.config import Config

DEFAULT = "mnist-6"


def _named(preset: str, base: Config, **changes: object) -> Config:
    return replace(base, preset=preset, **changes)


_MNIST = Config(preset=DEFAULT)

PRESETS: dict[str, Config] = {
    config.preset: config
    for config in (
        _MNIST,
        _named("mnist-4", _MNIST, glimpses=4),
        _named("mnist-2", _MNIST, glimpses=2),
        _named("mnist-6-lstm", _MNIST, core="lstm"),
        # As the paper has it: gradients of the policy reach the core, SGD with momentum.
        _named("mnist-6-paper", _MNIST, routing="paper", optimizer="sgd", lr=0.01),
    )
}
