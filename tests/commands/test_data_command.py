"""`python -m ramnp.data`, and training on every task it lists."""

import json
import shutil
from functools import partial
from pathlib import Path

import archives
import numpy as np
import pooch
import pytest
from archives import npy, omniglot_members, png, write_cifar_folder, write_tar, write_zip
from matplotlib.image import imread
from running import SMALL, assert_fails, assert_same_run, in_process, resolved, run_module

from ramnp import evaluate, train
from ramnp.config import DataConfig, describe
from ramnp.data import __main__ as data_command
from ramnp.data import cifar10
from ramnp.pictures import curves, glimpses
from ramnp.registry import names

TASKS = ("translated-mnist", "cluttered-mnist", "cifar10", "omniglot", "arrays", "folder")
SHAPES = {"cifar10": "32x32x3", "omniglot": "105x105x1", "arrays": "20x30x3", "folder": "20x20x1"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with a small version of every task but Fashion-MNIST."""
    monkeypatch.setenv("RAMNP_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(cifar10, "RECORDS", 12)
    root = tmp_path / "data"
    for name in ("cifar10", "omniglot", "folder/cat", "folder/dog"):
        (root / name).mkdir(parents=True)
    shutil.copytree(archives.REPOSITORY / "datasets" / "mnist", root / "mnist")
    rng = np.random.default_rng(0)
    members = {}
    for name in archives.CIFAR_FILES:
        records = rng.integers(0, 256, (12, cifar10.RECORD), np.uint8)
        records[:, 0] %= 10
        members[f"{cifar10.FOLDER}/{name}"] = records.tobytes()
    write_tar(root / "cifar10" / "cifar-10-binary.tar.gz", members)
    write_zip(root / "omniglot" / "images_background.zip", omniglot_members())
    arrays = {"images": rng.random((60, 20, 30, 3), np.float32), "labels": np.arange(60) % 4}
    write_zip(root / "arrays.npz", {f"{name}.npy": npy(array) for name, array in arrays.items()})
    for name in ("cat", "dog"):
        for number in range(30):
            pixels = rng.integers(0, 256, (20, 20), np.uint8)
            (root / "folder" / name / f"{number}.png").write_bytes(png(pixels))
    return root


def options(root, task):
    """The flags that a task needs here."""
    path = {"arrays": root / "arrays.npz", "folder": root / "folder"}.get(task)
    return ["--data-path", str(path)] if path else []


@pytest.fixture
def command(capsys):
    """Run a command in this process: (exit code, stdout, stderr)."""
    return partial(in_process, capsys)


def test_the_choices_of_the_configuration_are_the_registry():
    assert describe(DataConfig)["dataset"].choices == names("dataset")


# list


def test_list_tells_every_task_its_state_and_its_place(command, root):
    code, out, err = command(data_command.main, "list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    pairs = zip(lines[::2], lines[1::2], strict=True)
    told = {line.split()[0]: (line.split()[1], place.strip()) for line, place in pairs}
    assert set(told) == set(names("dataset"))
    for name in ("mnist", "translated-mnist", "cluttered-mnist"):
        assert told[name] == ("there", str(root / "mnist"))
    for name in ("cifar10", "omniglot"):
        assert told[name] == ("there", str(root / name))
    assert told["fashion-mnist"] == ("missing", str(root / "fashion-mnist"))
    assert told["arrays"] == told["folder"] == ("yours", "--data-path")


def test_list_sees_that_one_of_four_files_is_missing(command, root):
    (root / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "mnist             missing" in command(data_command.main, "list")[1]


# fetch


def test_fetch_of_what_is_there_tells_where(command, root):
    code, out, err = command(data_command.main, "fetch", "cifar10")
    assert (code, out, err) == (0, f"{root / 'cifar10' / 'cifar-10-binary.tar.gz'}\n", "")


def test_fetch_takes_the_extracted_folder_for_the_archive(command, root):
    (root / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    write_cifar_folder(root / "cifar10")
    assert command(data_command.main, "fetch", "cifar10") == (0, f"{root / 'cifar10' / cifar10.FOLDER}\n", "")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fashion-mnist", "train-images-idx3-ubyte.gz"),
        ("omniglot", "images_evaluation.zip"),  # the background archive is there
    ],
)
def test_fetch_without_network_says_which_file_to_put_where(command, root, name, file):
    assert_fails(command(data_command.main, "fetch", name), 3, f"put {file} into {root / name}", "RAMNP_DATA")


def test_fetch_asks_for_every_file_with_its_checksum(command, root, monkeypatch):
    asked = {}

    def retrieve(url, known_hash, fname, path, **options):
        asked[url] = known_hash
        archives.Path(path).mkdir(exist_ok=True)
        (archives.Path(path) / fname).touch()

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert command(data_command.main, "fetch", "fashion-mnist")[0] == 0
    assert command(data_command.main, "fetch", "omniglot")[0] == 0
    assert {url.rsplit("/", 1)[1]: known for url, known in asked.items()} == {
        "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        "images_evaluation.zip": "md5:6b91aef0f799c5bb55b94e3f2daec811",
    }


@pytest.mark.parametrize("name", ["arrays", "folder"])
def test_there_is_nothing_to_fetch_of_your_own(command, name):
    assert_fails(command(data_command.main, "fetch", name), 2, "nothing to download")


# verify


@pytest.mark.parametrize("task", SHAPES)
def test_verify_counts_what_is_there(command, root, task):
    code, out, err = command(data_command.main, "verify", task, *options(root, task))
    assert (code, err) == (0, "")
    counts = {
        "cifar10": "60 train, 0 validation, 12 test images of 32x32x3 (height, width, channels) in 10",
        "omniglot": "96 train, 0 validation, 24 test images of 105x105x1 (height, width, channels) in 6",
        "arrays": "49 train, 0 validation, 11 test images of 20x30x3 (height, width, channels) in 4",
        "folder": "49 train, 0 validation, 11 test images of 20x20x1 (height, width, channels) in 2",
    }
    assert out.splitlines()[-1] == f"{task}: {counts[task]} classes"


@pytest.mark.parametrize("task", ["cifar10", "omniglot"])
def test_verify_says_that_a_stand_in_is_not_the_published_file(command, root, task):
    assert "not the published file (MD5" in command(data_command.main, "verify", task)[1]


def test_verify_says_that_extracted_files_have_no_checksum(command, root, monkeypatch):
    monkeypatch.setattr(cifar10, "RECORDS", 3)
    write_cifar_folder(root / "cifar10")
    out = command(data_command.main, "verify", "cifar10")[1]
    assert f"{root / 'cifar10' / cifar10.FOLDER}: complete, " in out


@pytest.mark.parametrize(
    ("labels", "said"), [((3, 8, 8), "in the published order"), ((3, 8, 1), "not the published files")]
)
def test_verify_tells_extracted_images_in_another_order(command, root, monkeypatch, labels, said):
    monkeypatch.setattr(cifar10, "RECORDS", 3)
    monkeypatch.setattr(cifar10, "FIRST", cifar10.FIRST[:3])
    write_cifar_folder(root / "cifar10")
    path = root / "cifar10" / cifar10.FOLDER / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[:: cifar10.RECORD] = bytes(labels)
    path.write_bytes(content)
    assert said in command(data_command.main, "verify", "cifar10")[1]


def test_verify_of_published_files_says_so(command, root):
    code, out, _ = command(data_command.main, "verify", "cluttered-mnist", "--size", 80, "--validation", 10_000)
    assert code == 0
    assert out.count("content as published (SHA-256)\n") == 4
    assert "50,000 train, 10,000 validation, 10,000 test images of 80x80x1" in out


@archives.needs_shared
def test_verify_knows_the_published_archives_of_omniglot(command, monkeypatch):
    monkeypatch.setenv("RAMNP_DATA", str(archives.SHARED))
    assert command(data_command.main, "verify", "omniglot")[1].count("as published (MD5)") == 2


@pytest.mark.parametrize("name", ["mnist", "cifar10", "omniglot"])
def test_verify_of_what_is_missing_or_damaged_ends_with_3(command, root, name):
    path = max((root / name).iterdir(), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[:-100])
    assert_fails(command(data_command.main, "verify", name), 3, path)
    shutil.rmtree(root / name)
    assert_fails(command(data_command.main, "verify", name), 3, f"python -m ramnp.data fetch {name}", root / name)


# show


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("task", TASKS)
def test_show_writes_a_picture(command, root, tmp_path, task, split):
    arguments = ["--split", split, "--out", tmp_path / "sheet.png", *options(root, task)]
    code, out, err = command(data_command.main, "show", task, *arguments)
    assert (code, err) == (0, "")
    assert str(tmp_path / "sheet.png") in out
    picture = imread(tmp_path / "sheet.png")
    assert picture.shape[1] == 1280
    assert 0.05 < picture[..., 0].mean() < 0.95


def test_show_names_the_picture_after_the_task_and_hands_the_flags_on(command, root, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(glimpses, "plot_sheet", lambda pixels, *rest: shown.append((pixels.shape, *rest)))
    code, _, _ = command(data_command.main, "show", "cluttered-mnist", "--size", 33, "--split", "test")
    assert code == 0
    (shape, titles, path) = shown[0]
    assert (shape, str(path)) == ((40, 33, 33, 1), "cluttered-mnist.png")
    assert titles[:5] == ["7", "2", "1", "0", "4"]
    command(data_command.main, "show", "omniglot", "--alphabets", "Greek")
    assert shown[1][0] == (40, 105, 105, 1)
    assert set(shown[1][1]) == {"Greek/character01", "Greek/character02", "Greek/character03"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "COMMAND"),
        (["nonsense"], 2, "nonsense"),
        (["show"], 2, "NAME"),
        (["show", "nonsense"], 2, "nonsense"),
        (["show", "mnist", "--sice", "3"], 2, "--sice"),
        (["show", "mnist", "--split", "validation"], 2, "--validation"),
        (["show", "cluttered-mnist", "--size", "5"], 2, "--size 5"),
        (["show", "cluttered-mnist", "--pieces", "-1"], 2, "--pieces"),
        (["show", "omniglot", "--alphabets", "Klingon"], 2, "Klingon"),
        (["show", "arrays"], 2, "--data-path"),
        (["verify", "folder", "--data-path", "/nonsense"], 3, "/nonsense"),
        (["verify", "fashion-mnist"], 3, "fetch fashion-mnist"),
        (["show", "omniglot", "--out", "/dev/null/a.png"], 4, "/dev/null"),
    ],
)
def test_errors_end_in_one_line_and_their_code(command, root, arguments, code, said):
    assert_fails(command(data_command.main, *arguments), code, said)


def test_the_command_works_in_a_process_of_its_own():
    process = run_module("ramnp.data", "list")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.count("\n") == 2 * len(names("dataset"))
    process = run_module("ramnp.data", "--help")
    assert process.returncode == 0
    for word in ("list", "fetch NAME", "verify NAME", "show NAME"):
        assert word in process.stdout


# Training on every task.


@pytest.fixture
def trained(root, command, monkeypatch):
    """Train a small network on a task in this process."""
    monkeypatch.setattr(curves, "plot_curves", lambda *args: None)

    def call(task, folder, *arguments):
        if "--resume" not in arguments:
            batch = ["--dataset", task, "--batch-size", 16, "--validation", 6, *options(root, task), "--out", folder]
            arguments = [*SMALL, *batch, *arguments]
        code, _, err = command(train.main, "--backend", "numpy", "--limit-batches", 3, *arguments)
        assert (code, err) == (0, "")
        return folder

    return call


@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_be_tried_trained_and_evaluated(trained, command, root, tmp_path, task):
    folder = trained(task, tmp_path / "run", "--epochs", 1, "--scales", 2)
    result = json.loads((folder / "result.json").read_text())
    assert all(0 <= error <= 100 for error in result["test_error"].values())
    assert (folder / "glimpses.png").stat().st_size > 5000
    code, out, err = command(evaluate.main, folder, "--backend", "numpy", "--split", "validation", "--rollouts", 1)
    assert (code, err) == (0, "")
    assert f"{ {'omniglot': 12, 'arrays': 7, 'folder': 12}.get(task, 6) } validation images" in out
    code, out, err = command(
        train.main, *SMALL, "--dataset", task, *options(root, task), "--validation", 6, "--batch-size", 16, "--dry-run"
    )
    assert (code, err) == (0, "")
    assert f"{task}, {SHAPES.get(task, '60x60x1')}" in out


def test_evaluate_refuses_data_that_are_no_longer_those_of_the_run(trained, command, root, tmp_path):
    folder = trained("omniglot", tmp_path / "run", "--epochs", 1)
    write_zip(root / "omniglot" / "images_evaluation.zip", omniglot_members(("New",), 2))
    outcome = command(evaluate.main, folder, "--backend", "numpy")
    assert_fails(outcome, 3, folder, "omniglot has classes that", "does not know, New/character01, New/character02;")


@pytest.mark.parametrize("task", ["cluttered-mnist", "folder"])
def test_two_epochs_are_one_epoch_and_one_resumed(trained, tmp_path, monkeypatch, task):
    monkeypatch.setattr(glimpses, "plot_glimpses", lambda *args: None)
    whole = trained(task, tmp_path / "whole", "--epochs", 2)
    parts = trained(task, tmp_path / "parts", "--epochs", 1)
    trained(task, parts, "--resume", parts, "--epochs", 2)
    assert_same_run(whole, parts)


def test_the_flags_of_the_data_reach_the_configuration():
    config = resolved("--dataset", "cluttered-mnist", "--size", 100, "--pieces", 8, "--piece-side", 9)
    assert (config.dataset, config.size, config.pieces, config.piece_side) == ("cluttered-mnist", 100, 8, 9)
    config = resolved("--dataset", "omniglot", "--alphabets", "Greek,Latin", "--data-path", "x")
    assert (config.alphabets, config.data_path) == ("Greek,Latin", str(Path("x").resolve()))
