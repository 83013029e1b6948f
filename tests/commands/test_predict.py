"""`python -m ramnp.predict`."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from running import REPOSITORY, assert_fails
from tiny import tiny_model

from ramnp import cli, predict

NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def place(tmp_path, rng, monkeypatch):
    """A folder with a model and three images."""
    monkeypatch.chdir(tmp_path)
    tiny_model(names=NAMES).save(tmp_path / "mine.npz")
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (12, 10), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def command(capsys):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            cli.run(lambda: predict.main(["--backend", "numpy", *map(str, arguments)]))
        return stopped.value.code, *capsys.readouterr()

    return call


def test_a_line_per_image(place, command):
    code, out, err = command("mine.npz", "a.png", "b.png")
    model = tiny_model(names=NAMES)
    expected = []
    for file in ("a.png", "b.png"):
        p = model.probabilities(place / file)[0]
        expected.append(f"{file}: {NAMES[p.argmax()]} ({100 * p.max():.1f} %)")
    assert (code, out.splitlines(), err) == (0, expected, "")


def test_an_answer_does_not_depend_on_the_other_images(command, place):
    alone = command("mine.npz", "c.png")[1]
    assert command("mine.npz", "a.png", "b.png", "c.png")[1].splitlines()[-1] == alone.strip()


def test_a_list_on_stdin(command, place, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.png\n\nb.png\r\nc.png")))
    code, out, _ = command("mine.npz", "-")
    assert (code, [line.partition(":")[0] for line in out.splitlines()]) == (0, ["a.png", "b.png", "c.png"])


def test_a_bad_image_is_reported_and_the_others_answered(command, place):
    (place / "bad.png").write_bytes(b"not an image")
    Image.new("L", (3, 3)).save(place / "small.png")
    code, out, err = command("mine.npz", "a.png", "bad.png", "none.png", "b.png")
    assert code == 3
    assert [line.partition(":")[0] for line in out.splitlines()] == ["a.png", "b.png"]
    assert len(err.splitlines()) == 2
    assert "bad.png cannot be read as an image" in err
    assert "cannot read none.png" in err
    code, _, err = command("mine.npz", "small.png")
    assert (code, err.count("\n")) == (2, 1)
    assert "small.png is 3x3x1 pixels" in err


def test_json_has_all_probabilities_and_the_path(command, place):
    assert command("mine.npz", "a.png", "b.png", "--json", "out/answers.json", "--glimpses", 5)[0] == 0
    found = json.loads((place / "out/answers.json").read_text())
    assert found["class_names"] == list(NAMES)
    model = tiny_model(names=NAMES, glimpses=5)
    for each, file in zip(found["images"], ("a.png", "b.png"), strict=True):
        p = model.probabilities(place / file)[0]
        (look,) = model.look(place / file)
        assert (each["file"], each["class"], each["label"]) == (file, NAMES[p.argmax()], p.argmax())
        assert np.allclose(each["probabilities"], p)
        assert each["probability"] == max(each["probabilities"])
        for step, expected in zip(each["glimpses"], look.steps, strict=True):
            assert set(step) == {"location", "pixel", "boxes", "probabilities"}
            assert np.allclose(step["location"], expected.location)


def test_pictures(command, place):
    assert command("mine.npz", "a.png", "b.png", "--path", "path.png", "--film", "film.gif")[0] == 0
    with Image.open(place / "path.png") as path, Image.open(place / "film.gif") as film:
        assert path.size[0] > 400
        assert (film.n_frames, film.info["loop"]) == (3, 0)


def test_a_network_that_sees_the_whole_image_answers_without_a_path(command, place):
    tiny_model(model="fc").save(place / "fc.npz")
    assert command("fc.npz", "a.png", "--json", "answers.json")[0] == 0
    assert "glimpses" not in json.loads((place / "answers.json").read_text())["images"][0]
    for flag, file in (("--path", "path.png"), ("--film", "film.gif")):
        assert_fails(command("fc.npz", "a.png", flag, file), 2, "no path to draw")


def test_averaging_over_sampled_paths(command, place):
    command("mine.npz", "a.png", "--rollouts", 7, "--json", "answers.json")
    found = json.loads((place / "answers.json").read_text())["images"][0]["probabilities"]
    assert np.allclose(found, tiny_model().probabilities(place / "a.png", rollouts=7)[0])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none", "a.png"], 3, "there is no checkpoint none"),
        (["mine.npz", "a.png", "--film", "film.mp4"], 2, "ends in .gif"),
        (["mine.npz"], 2, "IMAGE"),
        (["mine.npz", "a.png", "--json", "a.png/x.json"], 4, "a.png"),
        (["mine.npz", "a.png", "--glimpses", 0], 2, "at least 1"),
    ],
)
def test_exit_codes(command, place, arguments, code, said):
    outcome = command(*arguments)
    assert outcome[0] == code
    assert outcome[2].count("\n") == 1
    assert said in outcome[2]


@pytest.mark.skipif(os.name != "posix", reason="names that are no text")
def test_names_that_no_encoding_has(place, tmp_path):
    """A name that is not UTF-8, on the command line and on stdin, in a terminal that knows only ASCII."""
    name = b"\xff\xe4\xb8\x96.png"
    os.rename(b"a.png", name)
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(REPOSITORY)}
    for given, stdin in ((name, b""), (b"-", name)):
        argv = [
            sys.executable,
            "-m",
            "ramnp.predict",
            "mine.npz",
            given,
            "--path",
            "path.png",
            "--json",
            "answers.json",
        ]
        process = subprocess.run(argv, env=environment, input=stdin, capture_output=True, check=False)
        assert (process.returncode, process.stderr) == (0, b"")
        assert process.stdout.startswith(b"\\udcff\\u4e16.png: ")
        assert json.loads((place / "answers.json").read_text())["images"][0]["file"] == os.fsdecode(name)
