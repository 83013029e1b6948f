"""The parts that measure: times, launches, memory."""

import dataclasses
import gc
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.backends import STAND_IN, backend_called
from benchmarks.contestants import Ramnp, pytorch
from benchmarks.floor import Floor, products_of_a_step
from benchmarks.gpu.asked import Asked, Tell
from benchmarks.gpu.process import ROOT
from benchmarks.resident import MB, STATUS, resident
from benchmarks.section import one_worker, preset_task
from benchmarks.shares import seconds_a_batch
from benchmarks.task import Task
from benchmarks.timing import Contestant, Plan, Unavailable, child, measure
from ramnp.errors import RamnpError, first_line

TASKS = (("mnist-6", 256), ("mnist-6", 1024), ("mnist-6", 4096), ("mnist-6", 16384), ("cluttered100-6", 1024),
         ("mnist-6-lstm", 1024))  # fmt: skip
COMPILED = ("mnist-6", 1024)  # the one that torch.compile compiles, which takes it a minute or so
SHORT_BATCH = 32
TOP = 15  # kernels that are named
ONE_BY_ONE, TOGETHER = "one by one", "by PyTorch"
LITTLE, LARGE = 1_500_000_000, 32_768  # bytes, and a batch that needs more
OURS, EAGER, GRAPH, COMPILE = "ramnp", "PyTorch", "CUDA graph", "compiled"


def tasks(asked: Asked) -> list[Task]:
    """What is measured; in the short form, the first with a small batch and one worker."""
    if asked.short:
        return [one_worker(preset_task("mnist-6", asked.backend, batch_size=SHORT_BATCH))]
    return [preset_task(preset, asked.backend, batch_size=batch) for preset, batch in TASKS]


def plan(asked: Asked) -> Plan:
    """How often and how long times are taken."""
    return Plan(2, 0.02) if asked.short else Plan(5, 0.15)


def row_of(task: Task) -> dict[str, Any]:
    """The names of a task in a row of results."""
    return {"preset": task.config.preset, "batch": task.config.batch_size}


def careful(make: Callable[..., Contestant], *arguments: Any) -> Contestant:
    """A contestant that has taken a step, if it can.

    Raises:
        Unavailable: it cannot.
    """
    try:
        contestant = make(*arguments)
        contestant.step()
        contestant.wait()
    except Unavailable:
        raise
    except Exception as error:  # whatever it is, the others can be measured
        raise Unavailable(f"{type(error).__name__}: {first_line(error)}") from error
    return contestant


def timed(contestants: dict[str, tuple[Any, ...]], plan: Plan) -> dict[str, Any]:
    """The times in milliseconds of those that can run, and why the others cannot."""
    try:
        times, missing = measure({name: (careful, *each) for name, each in contestants.items()}, plan)
    except RamnpError as error:  # a process died
        if len(contestants) == 1:
            return {"ms": {}, "missing": dict.fromkeys(contestants, str(error))}
        alone = [timed({name: each}, plan) for name, each in contestants.items()]
        return {key: {name: it for found in alone for name, it in found[key].items()} for key in ("ms", "missing")}
    return {"ms": {name: each._asdict() for name, each in times.items()}, "missing": missing}


def steps(asked: Asked, tell: Tell) -> None:
    """A training step, ours and PyTorch's."""
    rows = []
    for task in tasks(asked):
        contestants = {OURS: (Ramnp, task), EAGER: (pytorch, task, "eager")}
        if asked.backend == "cupy":
            contestants[GRAPH] = (pytorch, task, GRAPH)
        rows.append(row_of(task) | timed(contestants, plan(asked)))
        tell(rows=rows, summary=ratio(rows[-1]))
    if not asked.short:  # at last, since it takes longest
        for row, task in zip(rows, tasks(asked), strict=True):
            if (row["preset"], row["batch"]) == COMPILED:
                found = timed({COMPILE: (pytorch, task, COMPILE)}, plan(asked))
                row["ms"] |= found["ms"]
                row["missing"] |= found["missing"]
                tell(rows=rows)


def ratio(row: dict[str, Any]) -> str:
    """How many times as fast as PyTorch, in a few words."""
    ours = row["ms"].get(OURS)
    against = [
        f"{each['median'] / ours['median']:.2f} x {name}" for name, each in row["ms"].items() if ours and name != OURS
    ]
    return f"{row['preset']}, {row['batch']}: " + (", ".join(against) or "nothing to compare with")


class GraphOfProducts(Floor):
    """The products, by PyTorch, on a GPU as one CUDA graph: no time goes into launching them."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.torch = import_module("torch")
        self.operands = [[self.torch.from_dlpack(x) for x in product] for product in self.products]
        self.cuda = self.torch.cuda if task.backend == "cupy" else None
        self.replay = self.multiply_all
        if self.cuda:
            with self.cuda.stream(self.cuda.Stream()):  # what happens only once must not be recorded
                self.multiply_all()
            self.cuda.synchronize()
            graph = self.cuda.CUDAGraph()
            with self.cuda.graph(graph):
                self.multiply_all()
            self.replay = graph.replay

    def multiply_all(self) -> None:
        """One product after the other."""
        for a, b, out in self.operands:
            self.torch.matmul(a, b, out=out)

    def step(self) -> None:
        self.replay()

    def wait(self) -> None:
        if self.cuda:
            self.cuda.synchronize()


def products(asked: Asked, tell: Tell) -> None:
    """The matrix products of a step alone: one after the other, and without the time of their launches."""
    rows = []
    for task in tasks(asked):
        row = row_of(task)
        if not asked.short and (row["preset"] != "mnist-6" or row["batch"] not in (1024, 16384)):
            continue
        task = one_worker(task)
        contestants = {ONE_BY_ONE: (Floor, task)}
        if asked.backend != STAND_IN:
            contestants[TOGETHER] = (GraphOfProducts, task)
        rows.append(row | timed(contestants, plan(asked)) | {"operations": operations(task)})
        speed = (
            f"{rows[-1]['operations'] / ms['median'] / 1e9:.2f} TFLOP/s {name}" for name, ms in rows[-1]["ms"].items()
        )
        tell(rows=rows, summary=f"{row['batch']}: " + ", ".join(speed))


def operations(task: Task) -> float:
    """Multiplications and additions in the products of a step: as many times those of a small batch."""
    small = dataclasses.replace(task, config=dataclasses.replace(task.config, batch_size=SHORT_BATCH))
    of_small = sum(product.operations for product in products_of_a_step(small))
    return of_small * task.config.batch_size / SHORT_BATCH


def kernels(asked: Asked, tell: Tell) -> None:
    """Launches of a step by kernel, and on a GPU the time that each takes."""
    if asked.backend == "numpy":
        raise Unavailable("NumPy launches no kernels")
    rows = []
    for task in tasks(asked):
        if not asked.short and row_of(task)["batch"] not in (1024, 16384):
            continue
        profiled = by_profiler(task) if asked.backend == "cupy" else by_counting(task)
        count = sum(number for number, _ in profiled.values())
        microseconds = sum(time for _, time in profiled.values())
        largest = sorted(profiled.items(), key=lambda kernel: kernel[1][::-1], reverse=True)[:TOP]
        found = {"launches": count, "us": microseconds, "kernels": [[name, *each] for name, each in largest]}
        rows.append(row_of(task) | found)
        took = f", {microseconds / 1000:.2f} ms" if microseconds else ""
        tell(rows=rows, summary=f"{found['launches']:.0f} launches{took}")


def by_profiler(task: Task, count: int = 5) -> dict[str, tuple[float, float]]:
    """Launches and microseconds a step by kernel, as PyTorch's profiler sees them: it sees those of CuPy, too."""
    try:
        import torch
        from torch.profiler import ProfilerActivity, profile
    except ImportError as error:
        raise Unavailable("PyTorch, whose profiler is used, is not installed") from error
    torch.zeros(1, device="cuda")  # the profiler wants PyTorch to have met the GPU
    contestant = Ramnp(task)
    for _ in range(5):
        contestant.step()
    contestant.wait()
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        for _ in range(count):
            contestant.step()
        contestant.wait()
        torch.cuda.synchronize()
    on_device = [each for each in recorded.events() if each.device_type == torch.autograd.DeviceType.CUDA]
    if not on_device:
        raise Unavailable("PyTorch's profiler saw nothing on the GPU: it may not use CUPTI here")
    return summed(((each.name, each.time_range.elapsed_us()) for each in on_device), count)


def summed(events: Iterable[tuple[str, float]], steps: int) -> dict[str, tuple[float, float]]:
    """Launches and microseconds a step by kernel, of (name, microseconds) in so many steps."""
    launches: Counter[str] = Counter()
    microseconds: Counter[str] = Counter()
    for name, us in events:
        launches[name] += 1
        microseconds[name] += us
    return {name: (launches[name] / steps, microseconds[name] / steps) for name in launches}


def by_counting(task: Task) -> dict[str, tuple[float, float]]:
    """Launches of a step by function, counted on the stand-in; their times are unknown, 0."""
    contestant = Ramnp(task)
    contestant.step()
    counts = contestant.trainer.xp.counts
    counts.launches.clear()
    contestant.step()
    return {name: (number, 0.0) for name, number in counts.launches.items()}


def host(asked: Asked, tell: Tell) -> None:
    """What the host does for a step, and for its batch."""
    rows = []
    for task in tasks(asked):
        rows.append(row_of(task) | host_times(Ramnp(one_worker(task))))
        found = rows[-1]
        tell(rows=rows, summary=f"{found['batch']}: {found['enqueue_ms']:.1f} of {found['step_ms']:.1f} ms of a step")


def host_times(contestant: Ramnp) -> dict[str, float]:
    """Milliseconds: to draw the noise of a step, to enqueue a step, of a whole step, and to make its batch."""
    trainer, rng = contestant.trainer, np.random.default_rng(0)
    rows = trainer.config.batch_size * trainer.rollouts
    contestant.step()
    return {
        "noise_ms": milliseconds(lambda: trainer.model.draw(rng, rows)),
        # A GPU takes on about a thousand launches before it lets the host wait: those of two steps.
        "enqueue_ms": milliseconds(contestant.step, 2, between=contestant.wait),
        "step_ms": milliseconds(lambda: (contestant.step(), contestant.wait())),
        "batch_ms": 1000 * seconds_a_batch(contestant, 20),
    }


def milliseconds(act: Callable[[], Any], times: int = 1, between: Callable[[], Any] = lambda: None) -> float:
    """The median over ten times, in each of which `act` is called so often; `between` them is not timed."""
    taken = []
    for _ in range(10):
        between()
        started = time.perf_counter()
        for _ in range(times):
            act()
        taken.append((time.perf_counter() - started) / times)
    return 1000 * float(np.median(taken))


def memory(asked: Asked, tell: Tell) -> None:
    """Memory of a training by batch; and what is said when there is too little."""
    batches = [task.config.batch_size for task in tasks(asked) if task.config.preset == "mnist-6"]
    rows: dict[int, dict[str, Any]] = {batch: {"batch": batch} for batch in batches}
    for name in (OURS, EAGER):
        try:
            with child(footprint, name, asked.backend, batches) as pipe:
                for batch in batches:
                    rows[batch] |= pipe.recv()
                    tell(rows=list(rows.values()))
        except RamnpError as error:  # the process died
            rows[batch][f"{name}: missing"] = str(error)
            tell(rows=list(rows.values()))
    if not asked.short and asked.backend != STAND_IN:
        found = out_of_memory(asked.backend)
        tell(out_of_memory=found, right=found["right"], summary=found["said"])


def footprint(connection: Connection, name: str, backend: str, batches: list[int]) -> None:
    """Send the MB that a training takes at its peak, with one batch size after the other."""
    for batch in batches:
        task = one_worker(preset_task("mnist-6", backend, batch_size=batch))
        try:
            contestant = careful(*((Ramnp, task) if name == OURS else (pytorch, task, "eager")))
        except Unavailable as reason:
            connection.send({f"{name}: missing": str(reason)})
            continue
        for _ in range(3):
            contestant.step()
        contestant.wait()
        found = {f"{name}: peak": peak(name, backend)}
        if isinstance(contestant, Ramnp):
            found["arrays"] = contestant.trainer.nbytes / MB
        connection.send(found)
        del contestant
        gc.collect()
        if backend == "cupy":
            free(name)


def peak(name: str, backend: str) -> float | None:
    """MB so far: of the GPU's memory, as CuPy or PyTorch holds it; of the process, on the CPU."""
    if backend != "cupy":
        return resident("VmHWM") if Path(STATUS.format("self")).exists() else None
    if name == OURS:
        return backend_called(backend).xp.get_default_memory_pool().total_bytes() / MB
    return import_module("torch").cuda.max_memory_reserved() / MB


def free(name: str) -> None:
    """Give the GPU's memory back, so that the next peak is one of its own."""
    if name == OURS:
        backend_called("cupy").xp.get_default_memory_pool().free_all_blocks()
    else:
        cuda = import_module("torch").cuda
        cuda.empty_cache()
        cuda.reset_peak_memory_stats()


def out_of_memory(backend: str) -> dict[str, Any]:
    """Train with little memory and a large batch: it must fail with a line that names a batch; then with that batch."""

    def train(batch: int, folder: str) -> subprocess.CompletedProcess[str]:
        flags = ["--backend", backend, "--batch-size", str(batch), "--epochs", "1", "--limit-batches", "2"]
        flags += ["--workers", "1", "--out", str(Path(folder) / str(batch))]
        limits = {"CUPY_GPU_MEMORY_LIMIT": str(LITTLE)} if backend == "cupy" else {"OPENBLAS_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-m", "ramnp.train", *flags], cwd=ROOT, env=os.environ | limits, capture_output=True,
            text=True, check=False, preexec_fn=None if backend == "cupy" else limit_address_space,
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        failed = train(LARGE, folder)
        said = failed.stderr.strip()
        named = re.search(r"--batch-size (\d+) was tried and fits", said)
        right = failed.returncode == 2 and "\n" not in said and named is not None
        if named:
            again = train(int(named[1]), folder)
            right = right and again.returncode == 0
            if again.returncode:
                said += f" (it does not: {again.stderr.strip()})"
    return {"limit_mb": LITTLE / MB, "batch": LARGE, "exit_code": failed.returncode, "said": said, "right": right}


def limit_address_space() -> None:
    """Let this process have little memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (LITTLE, LITTLE))
