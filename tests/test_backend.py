"""Choosing a backend; and a training step that never waits for the device."""

import os
import sys
import types
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
import strict_cupy

from ramnp.backend import NUMPY, Backend, get_backend, limit_threads, select_device
from ramnp.config import Config
from ramnp.data.batch import Batch
from ramnp.data.source import Source, Split
from ramnp.errors import BackendError, UsageError
from ramnp.network import build
from ramnp.training.measure import by_first_location, evaluate
from ramnp.training.optim import Muon
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


class CudaError(RuntimeError):
    """As CuPy raises it."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def fake_cupy(error, package=12090, driver=12080):
    """A CuPy whose first computation fails."""

    def fails(*args, **kwargs):
        raise error

    card = {"name": b"Old Card", "major": 6, "minor": 1}
    runtime = types.SimpleNamespace(
        runtimeGetVersion=lambda: package,
        driverGetVersion=lambda: driver,
        getDevice=lambda: 0,
        getDeviceProperties=lambda number: card,
    )
    cuda = types.SimpleNamespace(runtime=runtime)
    return types.SimpleNamespace(__version__="14.2.0", ones=fails, float32=np.float32, cuda=cuda)


# (what CuPy 14 raises, versions, what the line says)
TOO_OLD = CudaError(35, "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")
ARCHITECTURE = RuntimeError("nvrtc: error: invalid value for --gpu-architecture (-arch)\n")
NVRTC = RuntimeError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file: libnvrtc.so.12\n')
CUBLAS = ImportError('Failure finding "libcublas.so.13 or libcublas.so.12": No such file: libcublas.so.12\n')
HEADER = RuntimeError(
    'k.cu(1): catastrophic error: could not open source file "cuda_fp16.h"\n  #include <cuda_fp16.h>\n'
)
TROUBLES = [
    (TOO_OLD, {"driver": 0}, "there is no NVIDIA driver"),
    (TOO_OLD, {"driver": 12040, "package": 13000}, r"knows CUDA 12.4, .* CUDA 13: update .* cupy-cuda12x in place of"),
    (TOO_OLD, {"driver": 11040}, "knows CUDA 11.4, the package is for CUDA 12: update the driver, or use"),
    (CudaError(100, "cudaErrorNoDevice: no CUDA-capable device"), {}, "the driver finds no GPU"),
    (ARCHITECTURE, {"package": 13000}, "Old Card, of compute capability 6.1, is too old for CUDA 13: .* cupy-cuda12x"),
    (ARCHITECTURE, {}, "Old Card, of compute capability 6.1, is too old for CUDA 12: choose another"),
    (CudaError(209, "cudaErrorNoKernelImageForDevice"), {"package": 13000}, "is too old for CUDA 13"),
    (NVRTC, {}, r"NVRTC, .* is missing: `pip install 'cupy-cuda12x\[ctk\]'`"),
    (CUBLAS, {"package": 13000}, r"libcublas.* `pip install 'cupy-cuda13x\[ctk\]'`"),
    (HEADER, {}, r"cuda_fp16.* `pip install"),
    (ValueError("something else\nand more"), {}, "it fails with something else: see whether `nvidia-smi`"),
]


@pytest.mark.parametrize(("error", "versions", "said"), TROUBLES, ids=range(len(TROUBLES)))
def test_what_is_wrong_with_a_gpu_is_said_in_a_line(error, versions, said, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(error, **versions))
    with pytest.raises(BackendError, match=said) as found:
        get_backend("cupy")
    assert "\n" not in str(found.value)
    assert str(found.value).endswith(", or use --backend numpy")
    assert get_backend("auto") is NUMPY


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(CudaError(100, "cudaErrorNoDevice")))
    with pytest.raises(BackendError, match="asks for GPU 5, which is not there"):
        get_backend("cupy")


@pytest.mark.parametrize(
    ("shown", "number", "chosen"), [(None, 1, "1"), ("2,3", 1, "3"), ("GPU-8a, GPU-9b", 0, "GPU-8a")]
)
def test_a_gpu_is_chosen_among_those_that_are_shown(shown, number, chosen, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown or "")  # restored afterwards
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    select_device(number)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == chosen


@pytest.mark.parametrize("shown", ["0,1", "", "-1"])
def test_a_gpu_beyond_those_that_are_shown_is_refused(shown, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    with pytest.raises(BackendError, match=f"no GPU 2: CUDA_VISIBLE_DEVICES={shown} shows"):
        select_device(2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == shown


COMMANDS = {
    "ramnp.train": [],
    "ramnp.evaluate": ["mnist-2"],
    "ramnp.analysis": ["mnist-2"],
    "ramnp.gradcheck": [],
    "ramnp.reproduce": ["mnist-2"],
    "benchmarks": [],
    "benchmarks.time_to_accuracy": [],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_with_a_backend_takes_a_device(command, monkeypatch):
    home = "benchmarks.command" if command == "benchmarks" else command
    home += ".__main__" if find_spec(command).submodule_search_locations and command != "benchmarks" else ""
    main = import_module(home).main
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    with pytest.raises(BackendError, match="no GPU 1: CUDA_VISIBLE_DEVICES=4 shows 1"):
        main([*COMMANDS[command], "--backend", "cupy", "--device", "1"])
    with pytest.raises(UsageError, match="it needs --backend cupy"):
        main([*COMMANDS[command], "--backend", "numpy", "--device", "0"])
    with pytest.raises(UsageError, match="--device must be at least 0"):
        main([*COMMANDS[command], "--backend", "cupy", "--device", "-1"])


def test_threads_stay_as_they_are_without_threadpoolctl(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with limit_threads(1):
        pass


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
    Config(core="gru", routing="paper"),
    Config(policy="centre", core="lstm"),
    Config(model="fc", rollouts=3),
    Config(model="cnn"),
    Config(optimizer="muon", scales=2),
    Config(optimizer="muon", core="lstm"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_training_step_never_waits_for_the_device_and_equals_numpy(strict, config, monkeypatch):
    monkeypatch.setattr(Muon, "WIDE", 4)  # as wide as matrices are here
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


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("core", ["rnn", "lstm", "gru"])
def test_a_hundred_steps_stay_with_numpy(backend, core, optimizer, monkeypatch):
    monkeypatch.setattr(Muon, "WIDE", 4)  # as wide as matrices are here
    # In float64, since rounding grows from step to step.
    config = Config(
        core=core, optimizer=optimizer, batch_size=4, units=8, patch=4, scales=2, routing="paper", dtype="float64"
    )
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
