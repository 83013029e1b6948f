"""Choosing a backend; and a training step that never waits for the device."""

import sys
import types

import numpy as np
import pytest
import strict_cupy

from ramnp.backend import NUMPY, Backend, get_backend
from ramnp.config import Config
from ramnp.data.batch import Batch
from ramnp.data.source import Source, Split
from ramnp.errors import BackendError
from ramnp.network import build
from ramnp.training.measure import by_first_location, evaluate
from ramnp.training.trainer import Trainer


def test_numpy_is_always_there():
    assert get_backend("numpy") is NUMPY


def test_an_unknown_backend_is_refused():
    with pytest.raises(BackendError, match="numpy, cupy or auto"):
        get_backend("torch")


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match=r"pip install 'cupy-cuda12x.*cupy-cuda13x") as error:
        get_backend("cupy")
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)
    assert get_backend("auto") is NUMPY


def test_without_a_gpu_the_error_says_so(monkeypatch):
    def no_device(*args, **kwargs):
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected\nsecond line")

    cupy = types.SimpleNamespace(__version__="14.0.0", ones=no_device, float32=np.float32)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(BackendError, match=r"no usable NVIDIA GPU \(cudaErrorNoDevice") as error:
        get_backend("cupy")
    assert "pip install" in str(error.value)
    assert "\n" not in str(error.value)
    assert get_backend("auto") is NUMPY


def test_the_gpu_is_named():
    runtime = types.SimpleNamespace(
        getDevice=lambda: 1, getDeviceProperties=lambda number: [{}, {"name": b"A GPU"}][number]
    )
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
    assert Backend("cupy", cupy).device == "A GPU"
    assert NUMPY.device is None


def trained(backend, config, steps=3):
    """A trainer after a few steps on random images, and the synchronisations they took."""
    rng = np.random.default_rng(0)
    trainer = Trainer(config, (12, 10, 3), 5, backend)
    images = rng.integers(0, 256, (steps * config.batch_size, 12, 10, 3)).astype(np.uint8)
    source = Source(Split(images, rng.integers(0, 5, len(images))), backend, trainer.model.margin)
    before = strict_cupy.counts.syncs
    for canvas, labels, *_ in source.batches(config.batch_size, rng):
        trainer.step(Batch(canvas, labels, trainer.model.draw(rng, len(labels) * trainer.rollouts)), 1e-2)
    return trainer, strict_cupy.counts.syncs - before


CONFIGS = [
    Config(core="rnn", routing="detached", optimizer="adam", rollouts=1, scales=1),
    Config(core="lstm", routing="paper", optimizer="sgd", rollouts=2, scales=3, squash="clip"),
    Config(core="rnn", routing="paper", optimizer="adam", rollouts=2, scales=2, policy_hidden=8, clip=0.0),
    Config(core="rnn", glimpses=1, squash="linear"),
    Config(glimpse_network="conv", patch=4, scales=2, rollouts=2),
    Config(first_location="learned", routing="paper", policy_hidden=8),
    Config(first_location="centre"),
    Config(reward="gain", discount=0.5, routing="paper"),
    Config(policy="random"),
    Config(policy="centre", core="lstm"),
    Config(model="fc", rollouts=3),
    Config(model="cnn"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_training_step_never_waits_for_the_device_and_equals_numpy(strict, config):
    small = {
        "patch": config.patch if config.glimpse_network == "conv" else 3,
        "units": 8,
        "fc_units": 8,
        "what_units": 4,
        "where_units": 4,
        "glimpse_units": 8,
        "batch_size": 4,
    }
    config = Config(**(config.to_json() | small))
    here, syncs = trained(strict, config)
    assert syncs == 0
    numpy, _ = trained(NUMPY, config)
    np.testing.assert_array_equal(strict.to_host(here.model.parameters.values), numpy.model.parameters.values)
    assert here.means() == numpy.means()


@pytest.mark.parametrize("core", ["rnn", "lstm"])
def test_a_hundred_steps_stay_with_numpy(backend, core):
    # In float64, since rounding grows from step to step.
    config = Config(core=core, batch_size=4, units=8, patch=4, scales=2, routing="paper", dtype="float64")
    here, numpy = (trained(where, config, steps=100)[0] for where in (backend, NUMPY))
    for found, expected in (
        (here.model.parameters.values, numpy.model.parameters.values),
        (here.totals, numpy.totals),  # of losses, reward and gradient norms
    ):
        np.testing.assert_allclose(here.backend.to_host(found), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("options", [{}, {"glimpse_network": "conv"}, {"policy": "random"}, {"model": "cnn"}], ids=str)
def test_the_figures_are_the_same_on_every_backend(backend, options):
    config = Config(batch_size=4, units=8, patch=4, scales=2, fc_units=8, **options)

    def figures(where):
        rng = np.random.default_rng(1)
        split = Split(rng.integers(0, 256, (23, 12, 10, 3)).astype(np.uint8), rng.integers(0, 5, 23))
        model = build(config, (12, 10, 3), 5, where)
        source = Source(split, where, model.margin)
        by_location = by_first_location(model, source) if config.model == "ram" and config.policy == "learned" else None
        return evaluate(model, source, rollouts=3), by_location

    assert figures(backend) == figures(NUMPY)


def test_one_step_uploads_only_its_randomness(strict):
    trainer, _ = trained(strict, Config(batch_size=4, units=8))
    before = strict_cupy.counts.uploads
    trainer.model.draw(np.random.default_rng(0), 4)
    assert strict_cupy.counts.uploads == before + 1
