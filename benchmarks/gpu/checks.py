"""The parts that show whether the backend computes what it should."""

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.backends import backend_called
from benchmarks.contestants import Ramnp
from benchmarks.gpu.asked import Asked, Tell
from benchmarks.gpu.process import ROOT
from benchmarks.section import one_worker, preset_task
from benchmarks.timing import Unavailable, child
from ramnp import data
from ramnp.backend import limit_threads
from ramnp.errors import DataError, first_line
from ramnp.gradcheck.own import PARTS, check_part
from ramnp.gradcheck.report import passed, summary
from ramnp.presets import PRESETS
from ramnp.pretrained import FOLDER, pretrained_names
from ramnp.training.measure import evaluate
from ramnp.training.provenance import count_cores
from ramnp.training.run import Run
from ramnp.training.trained import open_trained

TOLERANCE = 1e-8  # of what 100 steps in float64 leave, relative and absolute, as in tests/test_backend.py
PROCESSES = min(4, count_cores())  # that share the tests, most of whose time is Python's
TAKES_BACKEND = re.compile(r"^def test_\w+\([^)]*\bbackend\b", re.M)
IMAGES_APART = 10  # of a test set, whose answer other rounding may change


def versions(asked: Asked, tell: Tell) -> None:
    """The card, the driver, CUDA, and the packages that take part."""
    backend = backend_called(asked.backend)
    tell(summary=f"no GPU, {asked.backend}")
    if backend.device:
        runtime = backend.xp.cuda.runtime
        card = runtime.getDeviceProperties(runtime.getDevice())
        found = {
            "card": backend.device,
            "memory_gib": round(card["totalGlobalMem"] / 2**30, 1),
            "compute_capability": f"{card['major']}.{card['minor']}",
            "multiprocessors": card["multiProcessorCount"],
            "driver_knows_cuda": cuda_version(runtime.driverGetVersion()),
            "cupy": backend.xp.__version__,
            "cupy_made_for_cuda": cuda_version(runtime.runtimeGetVersion()),
        }
        tell(**found, driver=driver(), summary=f"{backend.device}, CuPy {backend.xp.__version__}")
        tell(cupy_says=str(import_module("cupyx").get_runtime_info()))
    try:
        torch = import_module("torch")
        tell(torch={"version": torch.__version__, "cuda": torch.version.cuda, "sees_gpu": torch.cuda.is_available()})
    except ImportError as error:
        tell(torch={"missing": first_line(error)})


def cuda_version(number: int) -> str:
    """As CUDA counts, 12090 is 12.9."""
    return f"{number // 1000}.{number % 1000 // 10}"


def driver() -> str | None:
    """The version of the NVIDIA driver, if `nvidia-smi` is there to say it."""
    if not (smi := shutil.which("nvidia-smi")):
        return None
    query = [smi, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False).stdout.split()
    except subprocess.TimeoutExpired:
        return None
    return answer[0] if answer else None


class Chosen:
    """A plugin of pytest: a share of the tests whose `backend` is the one in question, and what comes of them.

    Args:
        name: of the backend, as in tests/conftest.py.
        share: of those tests.
        connection: where what is found so far is sent after every test.
    """

    def __init__(self, name: str, share: slice, connection: Connection) -> None:
        self.name, self.share, self.connection = name, share, connection
        self.outcomes: Counter[str] = Counter()
        self.failed: list[str] = []
        self.uncollected: dict[str, str] = {}
        self.warnings: Counter[str] = Counter()

    def pytest_configure(self, config: Any) -> None:
        self.root = config.rootpath

    def takes_backend(self, item: Any) -> bool:
        """Whether a test runs on the backend."""
        parameters = getattr(item, "callspec", None)
        return parameters is not None and getattr(parameters.params.get("backend"), "name", None) == self.name

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if self.takes_backend(item)][self.share]

    def pytest_collectreport(self, report: Any) -> None:
        path = self.root / report.nodeid
        if report.failed and path.is_file() and TAKES_BACKEND.search(path.read_text()):
            lines = [line[1:].strip() for line in str(report.longrepr).splitlines() if line.startswith("E ")]
            self.uncollected[report.nodeid] = lines[-1] if lines else "it cannot be imported"

    def pytest_warning_recorded(self, warning_message: Any) -> None:
        self.warnings[f"{warning_message.category.__name__}: {first_line(warning_message.message)}"] += 1

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1
        if report.failed:
            self.failed.append(report.nodeid)
        self.connection.send((self.outcomes, self.failed, self.uncollected, self.warnings))


def run_share(connection: Connection, name: str, share: slice, where: Path) -> None:
    """Run a share of the tests below a folder, in a process of its own.

    A warning is noted and is no failure, as it is in the tests elsewhere: a newer NumPy warns of much in CuPy.
    """
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # other packages' plugins are not what is tested
    options = ["-q", "--continue-on-collection-errors", "-p", "no:cacheprovider", "-o", "filterwarnings=default"]
    pytest.main([*options, str(where)], plugins=[Chosen(name, share, connection)])


def tests(asked: Asked, tell: Tell) -> None:
    """The tests of the repository that take a backend, on this one, shared by a few processes."""
    if not find_spec("pytest"):
        raise Unavailable("pytest is not installed")
    name, folder = backend_called(asked.backend).name, ROOT / "tests"
    where, shares = folder, [slice(number, None, PROCESSES) for number in range(PROCESSES)]
    if asked.short:
        where, shares = folder / "network" / "test_layers.py", [slice(5)]
    with ExitStack() as stack:
        open_pipes = {stack.enter_context(child(run_share, name, share, where)) for share in shares}
        latest: dict[Connection, Any] = {}
        while open_pipes:
            for pipe in wait(list(open_pipes)):
                try:
                    latest[pipe] = pipe.recv()
                except EOFError:
                    open_pipes.remove(pipe)
            if latest:
                outcomes, failed, uncollected, warnings = map(merged, zip(*latest.values(), strict=True))
                said = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
                tell(outcomes=outcomes, failed=failed, uncollected=uncollected, warnings=warnings,
                     right=not failed, summary=said)  # fmt: skip
    if not latest:
        raise RuntimeError("no test ran, see the log")


def merged(parts: tuple[Any, ...]) -> Any:
    """What the processes found, together: numbers added, lists joined, dictionaries united."""
    if isinstance(parts[0], Counter):
        return sum(parts, Counter())
    if isinstance(parts[0], list):
        return [item for part in parts for item in part]
    return {key: value for part in parts for key, value in part.items()}


def gradcheck(asked: Asked, tell: Tell) -> None:
    """Finite differences for every parameter and input of every part."""
    backend, rows = backend_called(asked.backend), []
    for name in list(PARTS)[: 3 if asked.short else None]:
        rows += check_part(name, backend, 0)
        wrong = [f"{row.part} {row.name}: {row.verdict}" for row in rows if not passed([row])]
        tell(parts=name, right=passed(rows), wrong=wrong, summary=summary(rows))


def agreement(asked: Asked, tell: Tell) -> None:
    """Steps in float64 on the same batches with the same random numbers, here and on NumPy."""
    steps, cores = 5 if asked.short else 100, {}
    for core in ("rnn", "lstm"):
        here, numpy = (
            Ramnp(one_worker(preset_task("mnist-6", name, core=core, dtype="float64", batch_size=64)), lr=1e-3)
            for name in (asked.backend, "numpy")
        )
        start, sums_apart = numpy.trainer.model.parameters.values.copy(), 0.0
        for step in range(1, steps + 1):
            here.step()
            numpy.step()
            if step % 5:
                continue
            sums_apart = max(
                sums_apart, difference(here.trainer.backend.to_host(here.trainer.totals), numpy.trainer.totals)
            )
            values, expected = here.trainer.model.parameters.values, numpy.trainer.model.parameters.values
            cores[core] = {
                "steps": step,
                "sums_apart": sums_apart,
                "parameters_apart": difference(here.trainer.backend.to_host(values), expected),
                "parameters_moved": float(np.abs(expected - start).max()),
            }
            worst = max(each[what] for each in cores.values() for what in ("sums_apart", "parameters_apart"))
            tell(cores=cores, right=worst <= TOLERANCE, summary=f"at most {worst:.1e} apart after {step} steps")


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the expected value where that is above 1; infinite where one is NaN."""
    apart = np.abs(found - expected) / np.maximum(np.abs(expected), 1)
    return float(np.nan_to_num(apart, nan=np.inf).max())


class ToldRun(Run):
    """A run that tells its metrics instead of printing lines."""

    tell: Tell

    def say(self, text: str) -> None:
        if self.metrics:
            last = self.metrics[-1]
            speed = [line["images_per_second"] for line in self.metrics]
            summary = f"epoch {last['epoch']}, {last['validation_error']['averaged']:.2f} % validation error"
            self.tell(epochs=self.metrics, images_per_second=float(np.median(speed)), summary=summary)


def training(asked: Asked, tell: Tell) -> None:
    """Ten epochs of mnist-6, as `python -m ramnp.train` takes them: a run folder, its errors, images a second."""
    epochs = 1 if asked.short else 10
    config = dataclasses.replace(PRESETS["mnist-6"], epochs=epochs, decay_epochs=epochs)
    with tempfile.TemporaryDirectory() as folder:
        run = ToldRun(
            config, data.load(config), backend_called(asked.backend), Path(folder), 3 if asked.short else None
        )
        run.tell = tell
        run.start()
        with limit_threads(run.trainer.threads):
            run.fit()
            run.finish()
            errors = evaluate(run.trainer.model, run.test, limit_batches=run.limit_batches)
    # A network that learned nothing is wrong 90 times in 100.
    right = asked.short or errors["averaged"] < 5
    tell(test_error=errors, training_s=run.seconds, right=right, summary=f"{errors['averaged']:.2f} % test error")


def shipped(asked: Asked, tell: Tell) -> None:
    """The test errors of the shipped weights, and of their cards."""
    backend, rows = backend_called(asked.backend), []
    names = sorted(pretrained_names(), key=lambda name: name.startswith("cifar"))  # last: it may not be here
    for name in names[: 1 if asked.short else None]:
        card = card_errors((FOLDER / f"{name}.md").read_text())
        try:
            _, model, source = open_trained(Path(name), "test", backend)
        except DataError as error:
            rows.append({"weights": name, "card": card, "missing": first_line(error)})
            tell(rows=rows)
            continue
        with limit_threads(1):
            found = evaluate(model, source, limit_batches=2 if asked.short else None)
        apart = max(abs(found[figure] - card[figure]) for figure in card) * len(source) / 100
        rows.append(
            {"weights": name, "card": card, "found": found, "images": len(source), "images_apart": round(apart)}
        )
        compared = [row["images_apart"] for row in rows if "images_apart" in row]
        right = asked.short or max(compared) <= IMAGES_APART
        summary = (
            f"{len(compared)} weights, at most {max(compared)} images from their cards" if not asked.short else name
        )
        tell(rows=rows, right=right, summary=summary)


def card_errors(card: str) -> dict[str, float]:
    """The test errors of a card's weights as they are shipped, in percent by figure."""
    heads = re.search(r"^\| weights \| (.*) \|$", card, re.M)[1].split(" | ")
    cells = re.search(r"^\| .* as shipped \| (.*) \|$", card, re.M)[1].split(" | ")
    return dict(zip(heads, map(float, cells), strict=True))
