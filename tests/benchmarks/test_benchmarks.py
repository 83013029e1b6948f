"""The benchmarks run, and measure what they say."""

import itertools
import json
import os
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import shares, step, targets
from benchmarks.command import main
from benchmarks.contestants import Ramnp
from benchmarks.floor import Floor, products_of_a_step, recording
from benchmarks.record import origin, record
from benchmarks.report import SECTIONS, write_document
from benchmarks.section import Options, table
from benchmarks.task import Task
from benchmarks.time_to_accuracy import main as time_to_accuracy
from benchmarks.timing import Plan, Times, Unavailable, measure
from ramnp.config import Config
from ramnp.errors import RamnpError, UsageError
from ramnp.network.layers import Linear
from ramnp.training.provenance import provenance

ROOT = Path(__file__).resolve().parents[2]
TINY = Config(
    glimpses=3,
    patch=4,
    units=7,
    what_units=5,
    where_units=6,
    glimpse_units=9,
    policy_hidden=8,
    batch_size=10,
    workers=2,
)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """(record, file, output) of the quick form, without PyTorch."""
    folder = tmp_path_factory.mktemp("quick")
    (folder / "torch.py").write_text("raise ImportError('not in this test')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.delitem(sys.modules, "torch", raising=False)
        assert main(["--quick", "--json", str(folder / "quick.json"), "--plots", str(folder / "plots")]) == 0
    return json.loads((folder / "quick.json").read_text()), folder / "quick.json"


def test_the_quick_form_measures_every_section(quick):
    found, path = quick
    assert set(found["sections"]) == {name for name, section in SECTIONS.items() if section.measure}
    assert {each.stem for each in (path.parent / "plots").iterdir()} == {
        name for name, section in SECTIONS.items() if section.plot and section.measure
    }
    (row,) = found["sections"]["step"]["rows"]
    assert set(row["ms"]) == {"ramnp", "ramnp, 1 worker"}
    assert set(found["sections"]["step"]["missing"]) == {"PyTorch", "compiled", "patch loop"}
    for ms in row["ms"].values():
        assert 0 < ms["best"] <= ms["q1"] <= ms["median"] <= ms["q3"]


def test_a_record_names_the_kind_of_machine_and_no_machine(quick):
    found, _ = quick
    assert set(found["machine"]) == {"system", "architecture", "cores", "processor", "gpu"}
    assert found["versions"]["numpy"] == np.__version__
    assert f"`{found['command']}`" in origin(found)


def test_the_document_holds_the_figures_of_the_record(quick, tmp_path):
    found, path = quick
    assert main(["--report", str(path), "--document", str(tmp_path / "docs" / "performance.md")]) == 0
    text = (tmp_path / "docs" / "performance.md").read_text()
    assert f"{path.as_posix()} --document {tmp_path.as_posix()}/docs/performance.md`" in text
    for name, section in SECTIONS.items():
        # The section on a GPU is always there: without a record it says "Not run".
        assert (f"## {section.title}\n" in text) == (name in found["sections"] or name == "gpu")
        assert (f"](performance/{name}.png)" in text) == (section.plot is not None and name in found["sections"])
        if section.plot and name in found["sections"]:
            assert (tmp_path / "docs" / "performance" / f"{name}.png").stat().st_size > 5_000
    (row,) = found["sections"]["floor"]["rows"]
    ratio = row["ms"]["ramnp"]["median"] / row["ms"]["floor"]["median"]
    assert f"| {ratio:.2f} |" in " ".join(text.split())


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("performance*.md")), ids=lambda path: path.stem)
def test_a_document_in_the_repository_is_that_of_its_records(document, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text, again = document.read_text(), tmp_path / document.name
    command = re.search("`python -m benchmarks --report (.*?)`", text)[1]
    write_document(list(map(Path, command.partition(" --document ")[0].split())), again)
    for each in (text, again.read_text()):
        assert "How each figure is measured" in each
    assert text.partition("How each figure")[2] == again.read_text().partition("How each figure")[2]


def test_a_document_without_a_report_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="give --report"):
        main(["--quick", "--document", str(tmp_path / "performance.md")])


def test_records_that_cannot_be_rendered_are_refused(quick, tmp_path):
    _, path = quick
    with pytest.raises(UsageError, match="both hold the section"):
        write_document([path, path], tmp_path / "performance.md")
    (tmp_path / "other.json").write_text('{"sections": {"other": 1}}')
    with pytest.raises(UsageError, match="was not written by"):
        write_document([tmp_path / "other.json"], tmp_path / "performance.md")
    assert not (tmp_path / "performance.md").exists()


@pytest.mark.parametrize("arguments", [["steps"], ["--repeats", "1"]])
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(UsageError, match=arguments[-1]):
        main(arguments)


def ms(median):
    return {"median": median, "best": 1.0, "q1": median - 1, "q3": median + 1}


def test_targets_are_met_or_missed():
    row = {
        "preset": "mnist-6",
        "batch": 512,
        "workers": 2,
        "ms": {"ramnp": ms(10), "PyTorch": ms(16), "compiled": ms(11)},
    }
    sections = {
        "step": {"rows": [row, row | {"batch": 256}]},
        "floor": {"rows": [row | {"ms": {"ramnp": ms(10), "floor": ms(8)}}]},
        "optimizers": {"rows": [row | {"ms": {"adam": ms(40), "muon": ms(50), "update": ms(11)}}]},
        "memory": {"missing": "no /proc"},
        "accuracy": {"reached": [{"target": 1.29, "with_validation_s": 90}], "missed": [1.0]},
    }
    text, limit = targets.text(sections).rsplit("\n\n", 1)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]
    assert [(measured, verdict) for _, measured, _, verdict in lines] == [
        ("1.60", "met"), ("1.10", "**missed**"), ("1.25", "met"), ("22.00", "**missed**"), ("1.50", "met"),
        ("inf", "**missed**"),
    ]  # fmt: skip
    assert limit.endswith("as fast as PyTorch: 2.00 (eager), 1.38 (compiled).")


def test_a_gpu_gets_larger_batches_and_no_targets_of_cores(quick, tmp_path):
    found, _ = quick
    options = Options("cupy", False, Plan(2, 0.01), lambda line: None)
    assert {row["batch"] for row, _ in step.tasks(options) if row["preset"] == "mnist-6"} == {256, 1024, 4096, 16384}
    for backend, shown in (("numpy", True), ("cupy", False)):
        (tmp_path / "record.json").write_text(json.dumps(found | {"backend": backend}))
        write_document([tmp_path / "record.json"], tmp_path / "document.md")
        assert ("## Targets" in (tmp_path / "document.md").read_text()) == shown


def test_the_comparison_says_how_many_times_as_fast():
    rows = [
        {"preset": "mnist-6", "batch": batch, "workers": 2, "ms": {"ramnp": ms(ours), "PyTorch": ms(theirs)}}
        for batch, ours, theirs in ((100, 10, 15), (200, 25, 20))
    ]
    text = step.step_text({"rows": rows, "missing": {"compiled": "no compiler"}})
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert ["mnist-6, 100", "10.0 (9.0-11.0)", "15.0 (14.0-16.0)", "1.50"] in lines
    assert ["mnist-6, 200", "25.0 (24.0-26.0)", "20.0 (19.0-21.0)", "0.80"] in lines
    assert ["mnist-6", "10,000 (100)", "10,000 (200)", "1.00"] in lines
    assert "compiled. no compiler" in text


def test_tables_line_up():
    assert table(("a", "b"), [("long name", "1"), ("x", "12,345")]) == (
        "| a         |      b |\n| --------- | -----: |\n| long name |      1 |\n| x         | 12,345 |"
    )


class Sleeper:
    """A contestant that takes a known time a step; without a time it is not available, or dies."""

    def __init__(self, seconds):
        if seconds is None:
            raise Unavailable("nobody is there")
        self.seconds = seconds

    def step(self):
        if self.seconds < 0:
            sys.exit("died")
        import time

        time.sleep(self.seconds)

    def wait(self):
        pass


class Fleeting(Sleeper):
    """Dies soon after its turn."""

    def step(self):
        super().step()
        threading.Timer(0.1, os._exit, (1,)).start()


def test_contestants_take_turns():
    times, missing = measure(
        {"fast": (Sleeper, 0.002), "slow": (Sleeper, 0.02), "absent": (Sleeper, None)}, Plan(rounds=3, seconds=0.05)
    )
    assert missing == {"absent": "nobody is there"}
    assert list(times) == ["fast", "slow"]
    assert 2 <= times["fast"].best <= times["fast"].median < 20 <= times["slow"].median


def test_a_contestant_that_dies_ends_the_command_in_a_line():
    with pytest.raises(RamnpError, match="died"):
        measure({"short": (Sleeper, -1)}, Plan(rounds=2, seconds=0.01))
    with pytest.raises(RamnpError, match="died"):
        measure({"fleeting": (Fleeting, 0.001), "slow": (Sleeper, 0.5)}, Plan(rounds=3, seconds=0.01))


def test_times_are_summed_up_in_milliseconds():
    assert Times.of([0.003, 0.001, 0.002, 0.005, 0.004]) == pytest.approx((3, 1, 2, 4))


def test_the_recorder_finds_the_products_of_a_layer(rng):
    made = np.empty
    with recording() as products:
        layer = Linear(5, 4, rng)
        x, dy = np.zeros((3, 5), np.float32), np.ones((3, 4), np.float32)
        layer.forward(x, out=np.empty((3, 4), np.float32))
        layer.backward(dy, x)
        np.dot(x, layer.W)
        np.dot(dy[0], dy[0])
    assert [(p.a.shape, p.b.shape, p.out.shape) for p in products] == [
        ((3, 5), (5, 4), (3, 4)), ((5, 3), (3, 4), (5, 4)), ((3, 4), (4, 5), (3, 5)), ((3, 5), (5, 4), (3, 4)),
    ]  # fmt: skip
    assert [(p.a.flags.c_contiguous, p.b.flags.c_contiguous) for p in products] == [
        (True, True), (False, True), (True, False), (True, True),
    ]  # fmt: skip
    assert all(type(array) is np.ndarray for product in products for array in product)
    assert [p.operations for p in products] == [2 * 3 * 4 * 5] * 4
    assert np.shares_memory(products[0].b, products[2].b)  # the weights
    assert np.empty is made


@pytest.mark.parametrize("core", ["rnn", "lstm"])
def test_the_recorder_finds_the_products_of_a_step(core):
    config = replace(TINY, core=core)
    task = Task(config, 12)
    rows, sampled = config.batch_size // config.workers, config.glimpses - 1
    wide = config.units * (4 if core == "lstm" else 1)
    seen = 2 * (config.patch**2 * config.what_units + 2 * config.where_units)  # forward, weights
    seen += 3 * (config.what_units + config.where_units) * config.glimpse_units  # and input
    seen += 3 * config.glimpse_units * wide
    decided = 3 * wide * config.units + 2 * config.units * config.policy_hidden + 3 * config.policy_hidden * 2
    decided += 2 * config.units
    answered = 3 * config.units * 10
    needed = 2 * rows * (config.glimpses * seen + sampled * decided + answered)
    start = 2 * 2 * rows * config.units * wide  # h_0 is zero: its products may be there, and need not be
    found = sum(product.operations for product in products_of_a_step(task))
    assert needed <= found <= needed + start


def test_the_floor_multiplies_what_every_worker_does():
    floor = Floor(Task(TINY, 12))
    assert len(floor.pipes) == TINY.workers - 1
    for product in floor.products:
        product.out.fill(np.nan)
        product.a.fill(1)
        product.b.fill(2)
    floor.step()
    floor.wait()
    assert not any(np.isnan(product.out).any() for product in floor.products)


def test_each_moment_counts_for_the_innermost_part(monkeypatch):
    monkeypatch.setattr(shares.time, "perf_counter", itertools.count().__next__)  # every look at it takes a second
    watch = shares.Stopwatch(lambda: None)
    inner = watch.timed("inner", lambda: None)
    watch.timed("outer", lambda: [inner(), inner()])()
    assert watch.seconds == {"outer": 3, "inner": 2}


@pytest.mark.parametrize("core", ["rnn", "lstm"])
def test_every_part_of_a_step_is_timed(core):
    contestant = Ramnp(Task(replace(TINY, core=core, workers=1), 12))
    forward = contestant.trainer.model.core.step
    with shares.watching(contestant.trainer) as watch:
        watch.timed(shares.REST, contestant.step)()
    assert set(watch.seconds) == set(shares.PARTS)
    assert contestant.trainer.model.core.step == forward
    seconds = dict(watch.seconds)
    contestant.step()
    assert watch.seconds == seconds  # nothing is timed any more


def test_time_to_accuracy(tmp_path, capsys):
    options = ["--epochs", "2", "--limit-batches", "2", "--units", "16", "--json", str(tmp_path / "accuracy.json")]
    assert time_to_accuracy(["--target", "100", "--target", "0", *options]) == 1
    found = json.loads((tmp_path / "accuracy.json").read_text())["sections"]["accuracy"]
    (reached,) = found["reached"]
    assert (reached["target"], reached["epoch"], found["missed"]) == (100, 1, [0])
    assert 0 < reached["training_s"] < reached["with_validation_s"]
    assert 0 < reached["test"]["averaged"] <= 100
    assert "Not reached: 0 %" in capsys.readouterr().out
    write_document([tmp_path / "accuracy.json"], tmp_path / "performance.md")
    assert f"{reached['test']['averaged']:.2f}" in (tmp_path / "performance.md").read_text()


def test_time_to_accuracy_needs_validation_images():
    with pytest.raises(UsageError, match="--validation 0"):
        time_to_accuracy(["--validation", "0"])


def test_pytorch_takes_the_same_step(monkeypatch):
    torch = pytest.importorskip("torch")
    from benchmarks import pytorch

    monkeypatch.setattr(pytorch, "LR", 1e-2)
    task = Task(replace(TINY, clip=0.5, workers=1), 12)
    ours = Ramnp(task, lr=1e-2)
    before = ours.trainer.model.parameters.values.copy()
    rng = np.random.default_rng(1)
    randomness = [ours.trainer.model.draw(rng, task.config.batch_size) for _ in range(3)]
    for each in randomness:
        monkeypatch.setattr(ours.trainer.model, "draw", lambda *_, each=each: each)
        ours.step()
    for kind in ("eager", "patch loop"):
        theirs = pytorch.Training(task, kind)
        for each in randomness:
            monkeypatch.setattr(theirs, "draw", lambda each=each: torch.from_numpy(each))
            theirs.step()
        for name, parameter in theirs.model.weights():
            mine = ours.trainer.model.parameters[name]
            got = pytorch.in_out(parameter.detach()).numpy().reshape(mine.shape)
            np.testing.assert_allclose(got, mine, atol=1e-5, err_msg=name)
        assert np.abs(ours.trainer.model.parameters.values - before).max() > 1e-2
        np.testing.assert_allclose(theirs.totals[:4], ours.trainer.totals[:4], rtol=1e-4)


def test_a_record_can_be_written_without_a_clone(monkeypatch):
    found = record("python -m benchmarks", "numpy", None, provenance() | {"git_revision": None}, {})
    assert "revision unknown" in origin(found)
