"""The command that proves the GPU path: rehearsed on the stand-in, and with parts that crash, hang and are killed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import nullcontext, suppress
from types import SimpleNamespace

import numpy as np
import pytest
from running import REPOSITORY, assert_fails, run_module

from benchmarks import floor
from benchmarks.gpu import checks, command, section, speed
from benchmarks.gpu.asked import Asked
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.process import follow
from benchmarks.report import write_document
from benchmarks.timing import Plan, Unavailable, child
from ramnp.backend import NUMPY, Backend
from ramnp.errors import UsageError
from ramnp.pretrained import FOLDER, pretrained_names
from ramnp.reproduce.results import read_result
from ramnp.training.measure import FIGURES

IN_ORDER = [
    *("versions", "tests", "gradcheck", "agreement", "training", "shipped"),
    *("steps", "products", "kernels", "host", "memory"),
]


@pytest.fixture
def torch_that(tmp_path):
    """Have `import torch` do something else in the processes of the command: the environment for that."""

    def make(does):
        (tmp_path / "fake").mkdir()
        (tmp_path / "fake" / "torch.py").write_text(does + "\n")
        return {"PYTHONPATH": os.pathsep.join([str(tmp_path / "fake"), os.environ.get("PYTHONPATH", "")])}

    return make


def gpu(*arguments, **options):
    return run_module("benchmarks.gpu", *arguments, timeout=500, **options)


def parts_of(path):
    return json.loads(path.read_text())["sections"]["gpu"]["parts"]


def test_all_parts_run_on_the_stand_in_with_few_packages(tmp_path, torch_that):
    out, bare = tmp_path / "rehearsal.json", torch_that("raise ImportError('not here')")
    for absent in ("pooch", "tqdm", "threadpoolctl", "hypothesis"):
        (tmp_path / "fake" / f"{absent}.py").write_text("raise ImportError('not here')\n")
    outcome = gpu("--backend", "stand-in", "--short", "--out", out, env=bare)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr + out.with_suffix(".log").read_text()
    parts = parts_of(out)
    assert list(parts) == IN_ORDER
    assert {name: found["status"] for name, found in parts.items()} == dict.fromkeys(IN_ORDER, "done")
    assert parts["tests"]["outcomes"] == {"passed": 5}
    assert parts["gradcheck"]["right"]
    assert all(
        each["parameters_apart"] == 0 < each["parameters_moved"] for each in parts["agreement"]["cores"].values()
    )
    assert parts["training"]["test_error"].keys() == set(FIGURES)
    assert "PyTorch is not installed" in parts["steps"]["rows"][0]["missing"]["PyTorch"]
    assert 300 < parts["kernels"]["rows"][0]["launches"] < 600
    write_document([out], tmp_path / "document.md")
    text = (tmp_path / "document.md").read_text()
    assert "A rehearsal on stand-in: no figure here is a GPU's" in text
    assert f"{parts['steps']['rows'][0]['ms']['ramnp']['median']:.2f}" in text


def test_what_needs_pytorch_runs_on_numpy(tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "rehearsal.json"
    outcome = gpu("--backend", "numpy", "--short", "--only", "steps", "products", "kernels", "--out", out)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    parts = parts_of(out)
    assert parts["steps"]["rows"][0]["ms"].keys() == {"ramnp", "PyTorch"}
    assert parts["products"]["rows"][0]["ms"].keys() == {"one by one", "by PyTorch"}
    assert parts["kernels"]["status"] == "left out"


def test_the_parts_keep_within_eight_minutes():
    assert list(PARTS) == IN_ORDER
    assert sum(part.seconds for part in PARTS.values()) <= 8 * 60 - 5
    assert all(f"| {name} " in command.__doc__ for name in IN_ORDER)


def test_without_a_gpu_it_ends_at_once_in_a_line(tmp_path):
    outcome = gpu("--out", tmp_path / "gpu.json", env={"CUDA_VISIBLE_DEVICES": ""})
    assert_fails(outcome, 3, "CuPy")
    parts = parts_of(tmp_path / "gpu.json")
    assert parts["versions"]["status"] == "failed"
    assert "CuPy" in parts["versions"]["why"]
    assert parts["memory"] == {"status": "not run"}


@pytest.mark.parametrize("arguments", [["--device", "1", "--backend", "numpy"], ["--device", "-1"]])
def test_a_wrong_device_is_refused(arguments, tmp_path):
    with pytest.raises(UsageError, match="--device"):
        command.main(["--out", str(tmp_path / "x.json"), *arguments])


def test_a_part_that_crashes_loses_nothing(tmp_path, torch_that):
    out = tmp_path / "crash.json"
    crash = torch_that("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    outcome = gpu("--backend", "numpy", "--short", "--only", "versions", "gradcheck", "--out", out, env=crash)
    assert outcome.returncode == 1
    parts = parts_of(out)
    assert (parts["versions"]["status"], parts["versions"]["why"]) == ("failed", "it was ended by SIGSEGV")
    assert parts["versions"]["summary"] == "no GPU, numpy"  # what it said before
    assert parts["gradcheck"]["status"] == "done"


def test_a_part_that_raises_says_so_in_a_line(tmp_path, torch_that):
    out = tmp_path / "raises.json"
    raises = torch_that("raise RuntimeError('driver\\nand more')")
    assert gpu("--backend", "numpy", "--only", "versions", "--out", out, env=raises).returncode == 1
    assert parts_of(out)["versions"]["why"] == "RuntimeError: driver"
    assert "and more" in out.with_suffix(".log").read_text()


def script(text):
    return [sys.executable, "-c", textwrap.dedent(text)]


def test_a_part_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    heard = []
    hangs = script(f"""
        import subprocess, sys, time
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        open({str(tmp_path / "pid")!r}, "w").write(str(process.pid))
        print('{{"rows": [1]}}', flush=True)
        print('{{"half of', end="", flush=True)
        time.sleep(100)
    """)
    with open(tmp_path / "log", "wb") as log:
        started = time.monotonic()
        why = follow(hangs, 3, log, heard.append)
    assert time.monotonic() - started < 10
    assert "time limit" in why
    assert heard == [{"rows": [1]}]
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("print('{}')", None),
        ("raise SystemExit(3)", "exit code 3"),
        ("import os; os.abort()", "SIGABRT"),
        ("import sys; sys.stdout.close(); import os; os.close(1); import time; time.sleep(100)", "time limit"),
    ],
)
def test_how_a_part_ended(text, why, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu.process.GRACE", 1)
    with open(tmp_path / "log", "wb") as log:
        limit = 20 if why == "time limit" else 300  # on busy cores an end takes its time
        found = follow(script(text), limit, log, lambda news: None)
    assert found == why if why is None else why in found


def gone(pid):
    """Whether a process ends soon, on busy cores too; one that nobody has fetched counts as ended."""
    for _ in range(600):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="it looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_kill_in_the_middle_loses_nothing_and_leaves_nobody(number, tmp_path, torch_that):
    out, pids = tmp_path / "killed.json", tmp_path / "pid"
    hangs = torch_that(f"import os, time\nopen({str(pids)!r}, 'w').write(str(os.getpid()))\ntime.sleep(1000)")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gpu", "--backend", "numpy", "--short", "--only", "gradcheck", "steps",
         "--out", str(out)],
        cwd=REPOSITORY, env=os.environ | hangs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(3000):
        if pids.exists() and pids.read_text():
            break
        time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(120) == {signal.SIGTERM: 143, signal.SIGKILL: -9, signal.SIGINT: 130}[number]
    parts = parts_of(out)
    assert (parts["gradcheck"]["status"], parts["steps"]["status"]) == ("done", "running")
    assert gone(int(pids.read_text()))


def test_the_tests_tell_what_failed_and_what_was_not_there(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import collections, pytest\n"
        "Backend = collections.namedtuple('Backend', 'name')\n"
        "@pytest.fixture(params=[Backend('this'), Backend('that')])\n"
        "def backend(request):\n    return request.param\n"
    )
    (tmp_path / "test_these.py").write_text(
        "import warnings\n"
        "def test_right(backend):\n    warnings.warn('newer')\n"
        "def test_wrong(backend):\n    assert backend.name != 'this'\n"
        "def test_other():\n    raise ValueError\n"
    )
    (tmp_path / "test_absent.py").write_text("import no_such_package\ndef test_it(backend): pass\n")
    (tmp_path / "test_elsewhere.py").write_text("import no_such_package\n")
    with child(checks.run_share, "this", slice(None), tmp_path) as pipe, suppress(EOFError):
        while True:
            outcomes, failed, uncollected, warnings = pipe.recv()
    assert outcomes == {"passed": 1, "failed": 1}
    assert len(failed) == 1
    assert "test_wrong" in failed[0]
    assert list(uncollected.values()) == ["ModuleNotFoundError: No module named 'no_such_package'"]
    assert warnings == {"UserWarning: newer": 1}


def test_what_several_processes_found_is_put_together():
    assert checks.merged((Counter(passed=1), Counter(passed=2, failed=1))) == {"passed": 3, "failed": 1}
    assert checks.merged((["a"], ["b"])) == ["a", "b"]
    assert checks.merged(({"a": 1}, {"b": 2})) == {"a": 1, "b": 2}


def test_a_difference_is_noticed():
    assert checks.difference(np.array([1.0, 2e6]), np.array([1.0, 2e6 + 2])) == pytest.approx(1e-6)
    assert checks.difference(np.array([np.nan]), np.array([0.0])) > 1e300


def test_a_wrong_step_is_no_agreement(monkeypatch):
    step, told = checks.Ramnp.step, {}

    def wrong(self):
        step(self)
        if self.trainer.backend.name == "strict":
            self.trainer.model.parameters.values += 1e-6

    monkeypatch.setattr(checks.Ramnp, "step", wrong)
    checks.agreement(Asked("stand-in", True), lambda **found: told.update(found))
    assert not told["right"]


def test_the_cards_say_what_the_results_say():
    for name in pretrained_names():
        result = read_result(REPOSITORY / "results" / f"{name}-seed0.json")
        found = checks.card_errors((FOLDER / f"{name}.md").read_text())
        assert list(found) == list(FIGURES)
        assert all(abs(found[figure] - result["test_error"][figure]) <= 0.06 for figure in FIGURES)


def test_kernels_are_summed_over_the_steps():
    events = [("matmul", 3.0), ("add", 1.0), ("add", 2.0), ("add", 3.0)]
    assert speed.summed(events, 2) == {"matmul": (0.5, 1.5), "add": (1.5, 3.0)}


class Lives:
    def step(self):
        time.sleep(0.001)

    def wait(self):
        pass


class Dies(Lives):
    def step(self):
        os._exit(1)


class Fails(Lives):
    def step(self):
        raise ValueError("not on this card\nand more")


def test_those_that_can_run_are_timed():
    found = speed.timed({"lives": (Lives,), "dies": (Dies,), "fails": (Fails,)}, Plan(2, 0.01))
    assert found["ms"].keys() == {"lives"}
    assert "died" in found["missing"]["dies"]
    assert found["missing"]["fails"] == "ValueError: not on this card"


def times(median):
    return {"median": median, "best": median, "q1": median, "q3": median}


CARD = {
    "status": "done",
    "card": "A Card",
    "memory_gib": 79.2,
    "compute_capability": "9.0",
    "multiprocessors": 132,
    "driver": "580.1",
    "driver_knows_cuda": "13.0",
    "cupy": "14.2.0",
    "cupy_made_for_cuda": "12.9",
    "torch": {"version": "2.11", "cuda": "13.0", "sees_gpu": True},
}


def test_the_section_says_what_was_found_on_a_card():
    rows = [
        {"preset": "mnist-6", "batch": 1024, "ms": {"ramnp": times(4.0), "PyTorch": times(6.0)},
         "missing": {"CUDA graph": "no graph"}},
    ]  # fmt: skip
    kernels = {"preset": "mnist-6", "batch": 1024, "launches": 435.0, "us": 900.0, "kernels": [["gemm", 59.0, 700.0]]}
    parts = {
        "versions": CARD,
        "tests": {"status": "done", "right": False, "failed": ["tests/test_x.py::test_y[cupy]"], "summary": "1 failed"},
        "steps": {"status": "failed", "why": "it was stopped | after 1 s", "rows": rows},
        "kernels": {"status": "done", "rows": [kernels]},
        "memory": {"status": "not run"},
    }
    text = section.text({"backend": "cupy", "short": False, "parts": parts})
    assert "A Card: 79.2 GiB, compute capability 9.0, 132 multiprocessors; driver 580.1" in text
    assert "rehearsal" not in text
    lines = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("|")]
    cells = [" | ".join(cells).strip("| ") for cells in lines]
    assert "tests | **wrong** | 1 failed | 0" in cells
    assert "it was stopped \\| after 1 s" in text
    assert "mnist-6, 1024 | 4.00 (4.00-4.00) | 6.00 (6.00-6.00) | 256,000 | 1.50" in cells
    assert "- `tests/test_x.py::test_y[cupy]`" in text
    assert "- `mnist-6, 1024, CUDA graph: no graph`" in text
    assert "435 launches, 0.900 ms on the GPU" in text
    assert "`gemm` | 59 | 700.0" in cells


def test_the_document_says_that_it_was_not_run(tmp_path):
    record = json.loads((REPOSITORY / "benchmarks/results/linux-2-cores-accuracy.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(record))
    for name, said in (("performance.md", True), ("performance_elsewhere.md", False)):
        write_document([tmp_path / "other.json"], tmp_path / name)
        assert ("## On a GPU\n\nNot run" in (tmp_path / name).read_text()) == said


# What only a card can run is run here on fakes, so that the first minute on a card is not spent on a typo.


def test_the_card_is_described(monkeypatch):
    properties = {"name": b"A Card", "totalGlobalMem": 80 * 2**30, "major": 9, "minor": 0, "multiProcessorCount": 132}
    runtime = SimpleNamespace(
        getDevice=lambda: 0,
        getDeviceProperties=lambda number: properties,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 12090,
    )
    cupy = SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(checks, "backend_called", lambda name: Backend("cupy", cupy))
    monkeypatch.setitem(sys.modules, "cupyx", SimpleNamespace(get_runtime_info=lambda: "all of it"))
    told = {}
    checks.versions(Asked("cupy", False), lambda **found: told.update(found))
    assert {key: told[key] for key in CARD if key in told and key not in ("driver", "torch", "memory_gib")} == {
        key: value for key, value in CARD.items() if key not in ("driver", "torch", "memory_gib", "status")
    }
    assert (told["memory_gib"], told["summary"]) == (80, "A Card, CuPy 14.2.0")


def test_the_profiler_is_asked_for_the_kernels(monkeypatch):
    event = SimpleNamespace(name="gemm", device_type="GPU", time_range=SimpleNamespace(elapsed_us=lambda: 2.0))
    other = SimpleNamespace(name="launch", device_type="CPU", time_range=SimpleNamespace(elapsed_us=lambda: 9.0))
    torch = SimpleNamespace(
        zeros=lambda size, device: None,
        cuda=SimpleNamespace(synchronize=lambda: None),
        autograd=SimpleNamespace(DeviceType=SimpleNamespace(CUDA="GPU")),
    )
    recorded = [event] * 10 + [other]
    profiler = SimpleNamespace(
        ProfilerActivity=SimpleNamespace(CUDA=1),
        profile=lambda activities: nullcontext(SimpleNamespace(events=lambda: recorded)),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch.profiler", profiler)
    (task,) = speed.tasks(Asked("numpy", True))
    assert speed.by_profiler(task) == {"gemm": (2.0, 4.0)}
    recorded.clear()
    with pytest.raises(Unavailable, match="saw nothing"):
        speed.by_profiler(task)


@pytest.fixture
def cuda_on_the_cpu(monkeypatch):
    """A torch.cuda that records what is done in `torch.cuda.graph`, once, and whose graphs do it again."""
    torch = pytest.importorskip("torch")
    done = []

    class Graph:
        def replay(self):
            for act in done:
                act()

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": nullcontext,
        "CUDAGraph": Graph,
        "graph": nullcontext,
        "synchronize": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return done


def test_pytorchs_graph_takes_pytorchs_step(cuda_on_the_cpu, monkeypatch):
    from benchmarks import pytorch

    (task,) = speed.tasks(Asked("numpy", True))
    monkeypatch.setattr(pytorch, "LR", 1e-2)
    eager, graph = pytorch.Training(task, "eager"), pytorch.Training(task, speed.GRAPH)
    cuda_on_the_cpu.append(lambda: graph.train(*graph.places))
    noise = eager.draw()
    for each in (eager, graph):
        monkeypatch.setattr(each, "draw", lambda: noise)
    graph.model.load_state_dict(eager.model.state_dict())
    for state in graph.optimizer.state.values():  # the steps before recording
        for tensor in state.values():
            tensor.zero_()
    for _ in range(3):
        eager.step()
        graph.step()
    for (_, mine), (_, theirs) in zip(graph.model.weights(), eager.model.weights(), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_pytorch_multiplies_the_products(backend, cuda_on_the_cpu, monkeypatch):
    monkeypatch.setattr(floor, "backend_called", lambda name: NUMPY)
    (task,) = speed.tasks(Asked("numpy", True))
    products = speed.GraphOfProducts(dataclasses.replace(task, backend=backend))
    for product in products.products:
        product.out.fill(np.nan)
    if backend == "cupy":
        cuda_on_the_cpu.append(products.multiply_all)
    products.step()
    products.wait()
    assert not any(np.isnan(product.out).any() for product in products.products)


def test_the_memory_of_a_card_is_that_of_its_pool(monkeypatch):
    freed = []
    pool = SimpleNamespace(total_bytes=lambda: 3_000_000, free_all_blocks=lambda: freed.append("ours"))
    monkeypatch.setattr(
        speed, "backend_called", lambda name: SimpleNamespace(xp=SimpleNamespace(get_default_memory_pool=lambda: pool))
    )
    cuda = SimpleNamespace(
        max_memory_reserved=lambda: 5_000_000,
        empty_cache=lambda: freed.append("theirs"),
        reset_peak_memory_stats=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert [speed.peak(name, "cupy") for name in (speed.OURS, speed.EAGER)] == [3, 5]
    for name in (speed.OURS, speed.EAGER):
        speed.free(name)
    assert freed == ["ours", "theirs"]
