"""`python -m benchmarks.gradcheck`: four figures of a folder whose mistakes are known."""

import json

import pytest
from planted_bugs import LINEAR, TANH
from running import in_process

from benchmarks import gradcheck
from benchmarks.gradcheck import Result, figures

FILES = {
    "right.py": ("ok", LINEAR),
    "wrong.py": ("bug", LINEAR.replace("x.T @ dy", "x.T @ dy / len(x)")),
    "overwrites.py": ("bug", TANH.replace("return dout", "dout *= 1.0 - self.out**2; return dout #")),
}


@pytest.fixture
def folder(tmp_path):
    for name, (_, text) in FILES.items():
        (tmp_path / name).write_text(text)
    index = {name: {"kind": kind, "mistake": "?"} for name, (kind, _) in FILES.items()}
    (tmp_path / "index.json").write_text(json.dumps(index))
    return tmp_path


def test_both_checkers_are_scored(folder, capsys):
    code, out, err = in_process(capsys, gradcheck.main, folder, "--json", folder / "out.json", "--messages")
    assert (code, err) == (0, "")
    found = json.loads((folder / "out.json").read_text())["figures"]
    ours, plain = found["ramnp.gradcheck"], found["a relative error"]
    assert (ours["caught"], ours["passed"], ours["accused"]) == (2, 0, 0)
    assert (plain["caught"], plain["passed"], plain["accused"]) == (1, 1, 0)  # an overwritten dout is right once
    assert "wrong.py: ?\n    it is 1/5 of the right gradient" in out


def test_the_four_figures():
    index = {"a": {"kind": "bug"}, "b": {"kind": "bug"}, "c": {"kind": "bug"}, "d": {"kind": "ok"}, "e": {"kind": "ok"}}
    said = {
        "a": Result(1, "the sign is flipped", 1.0),
        "b": Result(1, "no known mistake fits: 0 of 3 elements are right", 2.5),
        "c": Result(0, "", 1.0),
        "d": Result(1, "the sign is flipped", 1.0),
        "e": Result(5, "", 1.0),
    }
    found = figures(index, said)
    assert (found["caught"], found["named"], found["passed"], found["accused"]) == (2, 1, 1, 1)
    assert found["accused files"] == ["d"]
    assert found["undecided right files"] == ["e"]
    assert found["most seconds"] == 2.5


@pytest.mark.parametrize("index", ["{}x", '{"gone.py": {"kind": "ok"}}', '{"right.py": {"kind": "good"}}'])
def test_an_index_that_does_not_fit_is_a_usage_error(folder, capsys, index):
    (folder / "index.json").write_text(index)
    code, _, err = in_process(capsys, gradcheck.main, folder)
    assert code == 2
    assert "index.json" in err
