"""`python -m ramnp.gradcheck` as a student and an autograder meet it."""

import json
import os
import subprocess
import sys
from functools import partial
from xml.etree import ElementTree

import pytest
from planted_bugs import LINEAR, RIGHT
from running import REPOSITORY, in_process

from ramnp.gradcheck import __main__ as command
from ramnp.gradcheck import own
from ramnp.network.layers import Linear

HANDIN = LINEAR.replace("x.T @ dy", "x.T @ dy / len(x)")


@pytest.fixture
def call(capsys):
    return partial(in_process, capsys, command.main, "--timeout", 300)  # on busy cores an import takes its time


@pytest.fixture
def handin(tmp_path):
    def write(text):
        path = tmp_path / "my_layers.py"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("part", own.PARTS)
def test_every_part_of_ours_is_right(backend, part):
    rows = own.check_part(part, backend, seed=0)
    assert rows
    assert {row.verdict for row in rows} == {"ok"}


def test_the_command_checks_all_of_it_and_writes_json(call, tmp_path):
    code, out, err = call("--json", tmp_path / "report.json")
    assert (code, err) == (0, "")
    assert "all right" in out.splitlines()[-1]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["schema"] == 1
    assert report["passed"] is True
    assert {row["part"] for row in report["rows"]} == set(own.PARTS)
    assert all(test["score"] == test["max_score"] == 1 for test in report["tests"])
    assert set(report["tests"][0]) == {"name", "score", "max_score", "output"}


def test_one_part_alone(call):
    code, out, _ = call("--only", "lstm")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()[1:-1]} == {"lstm"}


def test_a_wrong_gradient_of_ours_ends_with_1(call, monkeypatch):
    monkeypatch.setattr(Linear, "backward", lambda self, dy, cache, input_gradient=True: 2 * (dy @ self.W.T))
    code, out, _ = call("--only", "linear")
    assert code == 1
    assert "WRONG" in out


def test_a_student_s_mistake_is_named(call, handin, tmp_path):
    code, out, err = call(handin(HANDIN), "--json", tmp_path / "report.json")
    assert (code, err) == (1, "")
    assert "line 11: it is divided by `len(x)`, which does not belong there" in out
    assert "x^T dy" not in out  # a first miss does not print the solution
    assert "tutorials" not in out
    tests = {test["name"]: test for test in json.loads((tmp_path / "report.json").read_text())["tests"]}
    assert tests["Linear: dW"]["score"] == 0
    assert "number of rows" in tests["Linear: dW"]["output"]
    assert tests["Linear: dx"]["score"] == 1


def test_a_right_file_ends_with_0(call, handin):
    code, out, err = call(handin(LINEAR))
    assert (code, err) == (0, "")
    assert "all right" in out


def test_one_class_of_a_file(call, handin):
    path = handin(
        LINEAR + "\nclass Other:\n    def forward(self, x): return x\n    def backward(self, dy): return 2 * dy\n"
    )
    assert call(path)[0] == 1
    assert call(f"{path}:Linear")[0] == 0
    code, out, _ = call(f"{path}:Other")
    assert code == 1
    assert "it is 2 times the right gradient" in out


BROKEN = {
    "import sys; sys.exit(3)": "SystemExit",
    "raise SystemExit": "SystemExit",
    "import os; os._exit(7)": "exit code 7",
    "def f(:": "SyntaxError",
    "while True: pass": "longer than",
    "1 / 0": "ZeroDivisionError",
    LINEAR.replace("return dx", "import os; os._exit(1)"): "exit code 1",
    LINEAR.replace("return dx", "raise RuntimeError('oh no')"): "raises RuntimeError: oh no (line 14",
    LINEAR.replace("return dx", "return self.backward(dy, cache)"): "RecursionError",
    LINEAR.replace("return dx", "pass"): "is None",
    LINEAR.replace("return dx", "return dx.tolist()"): "dx",
    LINEAR.replace("return dx", "return dx[:, :1]"): "has shape",
    LINEAR.replace("return dx", "return dx.astype(int)"): "dtype",
    LINEAR.replace("return dx", "return dx + np.inf"): "infinity",
    LINEAR.replace("return dx", "raise KeyboardInterrupt"): "KeyboardInterrupt",
    "input('your name: ')": "reads from the keyboard",
    "import ctypes; ctypes.string_at(0)": "segmentation fault",
    LINEAR.replace("return dx", "import ctypes; ctypes.string_at(0)"): "segmentation fault",
}


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[-30:])
def test_code_that_does_not_do_its_job_gets_a_row_and_no_traceback(call, handin, text):
    code, out, err = call(handin(text), *(("--timeout", 4) if "while True" in text else ()))
    assert (code, err) == (1, "")
    assert BROKEN[text] in out
    assert "Traceback" not in out


AFFINE = """
def affine_forward(x, w, b):
    return x @ w + b, (x, w, b)
def affine_backward(dout, cache):
    x, w, b = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)
"""
POLICY = """
import numpy as np
def log_prob(sample, mu, std):
    return -((sample - mu)**2).sum(axis=-1) / (2 * std**2) - np.log(2 * np.pi * std**2)
def log_prob_backward(dlog_prob, sample, mu, std):
    return dlog_prob[..., None] * (sample - mu) / std**2
"""
SPOILT = {
    AFFINE.replace("return dout @ w.T, x.T @ dout, dout.sum(axis=0)", "return dout @ w.T"): "dw is not returned",
    POLICY.replace(
        "    return -", "    np.clip(sample, -1, 1, out=sample)\n    return -"
    ): "overwrites its input sample",
    LINEAR.replace("return dx", "self.W -= 0.1 * self.dW; return dx"): "overwrites the parameter W",
}


@pytest.mark.parametrize("text", SPOILT, ids=SPOILT.values())
def test_what_is_spoilt_or_left_out_is_noticed(call, handin, text):
    code, out, _ = call(handin(text))
    assert code == 1
    assert SPOILT[text] in out


def test_a_helper_beside_a_pair_does_not_take_its_place(call, handin):
    path = handin(AFFINE + "def affine(x, w, b):\n    return affine_forward(x, w, b)[0]\n" + POLICY)
    assert call(path)[0] == 0
    assert call(f"{path}:affine_forward")[0] == 0


def test_what_student_code_prints_does_not_spoil_the_report(call, handin):
    code, out, err = call(handin("print('hello' * 1000)\n" + LINEAR))
    assert (code, err) == (0, "")
    assert "hello" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.py"], "not a Python file"),
        (["--only", "elman"], "elman"),
        (["--sed", "1"], "did you mean --seed"),
        (["--seed", "-1"], "--seed"),
        (["x.py", "--only", "rnn"], "--only"),
    ],
)
def test_usage_errors_end_with_2_in_one_line(call, arguments, words):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_file_or_name_with_nothing_to_check_is_a_usage_error(call, handin):
    code, _, err = call(handin("x = 1"))
    assert code == 2
    assert "nothing to check" in err
    code, _, err = call(f"{handin(LINEAR)}:Softmax")
    assert code == 2
    assert "no Softmax" in err
    assert "Linear" in err


UNKNOWN = """
import numpy as np
class Odd:
    def __init__(self, table): self.k = table["k"][3]
    def forward(self, x): return self.k * x
    def backward(self, dy): return self.k * dy
"""


def test_what_could_not_be_checked_ends_with_5_and_a_line_that_helps(call, handin, tmp_path):
    code, out, err = call(handin(LINEAR + UNKNOWN), "--json", tmp_path / "report.json")
    assert (code, err) == (5, "")
    assert "undecided: nothing wrong was found, and 1 could not be checked" in out
    assert "gradcheck_cases = [(Odd, ...)]" in out
    assert json.loads((tmp_path / "report.json").read_text())["outcome"] == "undecided"
    told = UNKNOWN + "gradcheck_cases = [(Odd({'k': [0, 0, 0, 2.5]}), np.random.randn(3, 4))]\n"
    code, out, _ = call(handin(LINEAR + told))
    assert code == 0
    assert "all right" in out
    assert call(handin(LINEAR + told.replace("return self.k * dy", "return dy")))[0] == 1


def test_a_missing_package_is_not_the_students_mistake(call, handin):
    code, out, _ = call(handin("import no_such_module\n" + LINEAR))
    assert code == 5
    assert "No module named 'no_such_module'" in out


def test_a_name_that_only_the_script_sets_is_not_a_mistake(call, handin):
    text = "def scale_forward(x):\n    return SIZE * x, x\ndef scale_backward(dout, cache):\n    return SIZE * dout\n"
    assert call(handin(text + 'if __name__ == "__main__":\n    SIZE = 3.0\n'))[0] == 5
    code, out, _ = call(handin(text))
    assert code == 1
    assert "name 'SIZE' is not defined" in out


def test_a_helper_that_nothing_calls_is_listed(call, handin):
    code, out, _ = call(handin(LINEAR + "\ndef conv_backward(dout, cache):\n    return dout\n"))
    assert code == 5
    assert "conv_backward" in out
    assert "no forward that belongs to it was found" in out


def test_required_parts_are_points_whether_they_are_there_or_not(call, handin, tmp_path):
    report = tmp_path / "report.json"
    code, out, _ = call(handin(LINEAR), "--require", "Linear,ReLU", "--json", report)
    assert code == 1
    assert "required: ReLU: there is no ReLU in the file" in out
    found = json.loads(report.read_text())
    assert [(test["name"], test["score"]) for test in found["tests"]] == [("Linear", 1.0), ("ReLU", 0.0)]
    assert (found["score"], found["max_score"], found["passed"]) == (1.0, 2.0, False)
    assert call(handin(LINEAR), "--require", "Linear")[0] == 0


def test_junit(call, handin, tmp_path):
    call(handin(HANDIN), "--junit", tmp_path / "report.xml")
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()
    (failure,) = suite.findall("testcase[@name='Linear: dW']/failure")
    assert "number of rows" in failure.get("message")
    assert suite.get("failures") == "1"
    assert int(suite.get("tests")) == len(suite.findall("testcase")) > 1


def test_the_reports_are_written_when_nothing_can_be_checked_too(call, tmp_path):
    reports = ["--json", tmp_path / "report.json", "--junit", tmp_path / "report.xml"]
    code, _, _ = call(tmp_path / "nowhere.py", "--require", "Linear", *reports)
    assert code == 2
    report = json.loads((tmp_path / "report.json").read_text())
    assert "not a Python file" in report["error"]
    assert (report["score"], report["max_score"]) == (0.0, 1.0)
    assert ElementTree.parse(tmp_path / "report.xml").getroot().get("errors") == "1"


def test_a_thread_that_never_ends_does_not_hold_up_the_report(call, handin):
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    assert call(handin(thread + LINEAR))[0] == 0


def test_a_file_named_numpy(call, tmp_path):
    path = tmp_path / "numpy.py"
    path.write_text(LINEAR)
    assert call(path)[0] == 0
    there = subprocess.run(
        [sys.executable, "-m", "ramnp.gradcheck", "numpy.py"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert there.returncode == 2
    assert "numpy.py hides NumPy" in there.stderr
    assert there.stderr.count("\n") == 1


def test_the_equation_comes_with_explain_only(call, handin):
    path = handin(RIGHT["MODEL"].replace("dh[-1] = self", "dh[:] = self"))
    equation = "dh_T = dlogits W_a^T: the answer is read off h_T alone"
    assert equation not in call(path)[1]
    assert equation in call(path, "--explain")[1]


def test_the_help_says_that_the_file_is_executed():
    text = subprocess.run(
        [sys.executable, "-m", "ramnp.gradcheck", "--help"], capture_output=True, text=True, check=True
    )
    assert "IS EXECUTED" in text.stdout
