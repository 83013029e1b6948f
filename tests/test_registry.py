"""The registry: ramnp's own parts, those that users add, and where they are asked for."""

import ast
import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from running import REPOSITORY, SMALL, assert_fails, run_module

import ramnp
from ramnp import own_parts, registry
from ramnp.config import AugmentConfig, Config, DataConfig, LearningConfig, ModelConfig, NameOf, describe, idle
from ramnp.errors import CheckpointError, UnknownPartError, UsageError
from ramnp.network import build
from ramnp.network.core import RNN
from ramnp.registry import HOMES, PARTS, get, modules_of, names, register
from ramnp.training import checkpoint
from ramnp.training.trainer import Trainer


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What a test registers is gone after it."""
    for kind in PARTS:
        monkeypatch.setitem(PARTS, kind, PARTS[kind].copy())


def in_python(code):
    """What a new Python process prints."""
    process = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return process.stdout.strip()


# ramnp's own parts


@pytest.mark.parametrize("kind", HOMES)
def test_every_own_part_is_registered_by_its_module_alone(kind):
    for name, module in HOMES[kind].items():
        code = f"from ramnp.registry import get; part = get({kind!r}, {name!r}); print(part.__module__)"
        assert in_python(code) == module
    code = f"import {', '.join(set(HOMES[kind].values()))}, ramnp.registry as r; print(sorted(r.PARTS[{kind!r}]))"
    assert in_python(code) == str(sorted(HOMES[kind]))


def test_the_kinds_are_the_fields_that_choose_a_part():
    fields = describe(Config)
    assert {name: field.range.kind for name, field in fields.items() if isinstance(field.range, NameOf)} == {
        kind: kind for kind in HOMES
    }
    for group in (ModelConfig, LearningConfig, AugmentConfig, DataConfig):
        for name, field in describe(group).items():
            if name in HOMES:
                assert getattr(group(), name) in names(name)
                assert field.choices == tuple(HOMES[name])


def test_a_configuration_is_checked_without_importing_a_part():
    code = "import sys; from ramnp.config import Config; Config(core='gru'); print(sorted(sys.modules))"
    loaded = in_python(code)
    for module in ("numpy", "ramnp.network", "ramnp.data", "ramnp.training"):
        assert f"'{module}'" not in loaded


def test_the_registry_imports_nothing_of_ramnp():
    tree = ast.parse((REPOSITORY / "ramnp/registry.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= set(sys.stdlib_module_names) | {"collections.abc", "importlib.util"}


# parts that are added


def test_an_added_part_is_a_choice_and_is_built():
    @register("core", "mine")
    class Mine(RNN):
        pass

    assert names("core") == (*HOMES["core"], "mine")
    config = Config(core="mine", units=4)
    assert type(build(config, (9, 9, 1), 3).core) is Mine
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_class_that_is_defined_again_takes_the_place_of_the_first():
    def cell():
        @register("core", "mine")
        class Mine(RNN):
            pass

        return Mine

    first, second = cell(), cell()
    assert first is not second
    assert get("core", "mine") is second


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match=r"'rnn' is another one already: give .*Mine a name of its own"):

        @register("core", "rnn")
        class Mine(RNN):
            pass

    assert get("core", "rnn") is RNN
    register("core", "mine")(type("First", (RNN,), {}))
    with pytest.raises(ValueError, match="'mine' is another one"):
        register("core", "mine")(type("Second", (RNN,), {}))
    register("optimizer", "mine")(object)  # the same name in another kind


def test_an_unknown_kind_or_name_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="no kind of part 'cores': choose model, glimpse_network, core"):
        register("cores", "mine")
    with pytest.raises(ValueError, match="no core 'mine' here"):
        get("core", "mine")
    with pytest.raises(UnknownPartError, match=r"^--core must be one of rnn, lstm, gru, got 'mine'$") as caught:
        Config(core="mine")
    assert isinstance(caught.value, UsageError)


def test_of_an_added_part_nobody_says_that_a_flag_does_nothing():
    for kind in ("policy", "optimizer", "dataset", "model"):
        register(kind, "mine")(type("Mine", (), {}))
        assert idle(Config(**{kind: "mine"}), ["std", "momentum", "size", "data_path", "fc_units", "glimpses"]) == [
            line
            for line in idle(Config(), ["std", "momentum", "size", "data_path", "fc_units", "glimpses"])
            if f" --{kind} " not in line
        ]
    assert not Config(policy="mine").control
    assert Config(policy="random").control


def test_worker_processes_are_told_the_modules_of_added_parts(monkeypatch):
    assert modules_of(Config()) == []
    for kind, module in (("core", "my_cores"), ("policy", "/home/you/my_parts.py"), ("optimizer", "__main__")):
        register(kind, "mine")(type("Mine", (), {"__module__": module}))
    config = Config(core="mine", policy="mine", optimizer="mine")
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__file__="my_script.py"))
    assert modules_of(config) == ["/home/you/my_parts.py", "my_cores"]
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace())  # as in a notebook
    with pytest.raises(ValueError, match="notebook"):
        modules_of(config)
    assert modules_of(dataclasses.replace(config, optimizer="adam")) == ["/home/you/my_parts.py", "my_cores"]


# --import


PARTS_FILE = """
from beside import NAME
from ramnp import register
from ramnp.network.core import RNN
print("imported")
@register("core", NAME)
class Mine(RNN):
    pass
"""


@pytest.fixture
def parts(tmp_path):
    """A file with a core of its own, and one that it imports."""
    (tmp_path / "beside.py").write_text("NAME = 'mine'")
    (tmp_path / "my_parts.py").write_text(PARTS_FILE)
    return tmp_path / "my_parts.py"


@pytest.fixture(scope="module")
def run_with_parts(tmp_path_factory):
    """(file, run folder) of an epoch with that core, by two workers."""
    folder = tmp_path_factory.mktemp("with_parts")
    (folder / "beside.py").write_text("NAME = 'mine'")
    (folder / "my_parts.py").write_text(PARTS_FILE)
    chosen = ("--import", folder / "my_parts.py", "--core", "mine", "--workers", 2)
    short = ("--epochs", 1, "--limit-batches", 2, "--out", folder / "run", "--quiet")
    process = run_module("ramnp.train", *SMALL, *chosen, *short)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.count("imported") == 2  # here and in the other worker
    return folder / "my_parts.py", folder / "run"


def test_the_import_is_recorded_with_its_whole_path(run_with_parts):
    file, folder = run_with_parts
    assert json.loads((folder / "config.json").read_text())["config"]["import_"] == str(file)


@pytest.fixture
def stranger(tmp_path):
    """The environment of somebody who has named no file yet."""
    return {"XDG_STATE_HOME": str(tmp_path / "stranger")}


@pytest.mark.parametrize("command", ["ramnp.evaluate", "ramnp.analysis"])
def test_what_a_checkpoint_names_is_run_only_for_somebody_who_named_it_before(run_with_parts, stranger, command):
    file, folder = run_with_parts
    for path in (folder, folder / "best.npz"):
        process = run_module(command, path, env=stranger)
        assert_fails(process, 2, f"{folder / 'best.npz'}: --core must be one of", f"--import '{file}'", "again")
        assert process.stdout == ""
    short = ("--limit-batches", 1) if command == "ramnp.analysis" else ("--rollouts", 1)
    process = run_module(command, folder, "--json", *short)
    assert (process.returncode, process.stderr, process.stdout.count("imported")) == (0, "", 1)
    for own in (("--import", file), ()):  # named once, it is known
        process = run_module(command, folder, "--json", *short, *own, env=stranger)
        assert (process.returncode, process.stderr) == (0, "")


def test_a_file_that_was_changed_since_it_was_named_is_not_run(parts, tmp_path):
    values = json.dumps({"core": "mine", "import_": str(parts)})
    (tmp_path / "config.json").write_text(values)
    dry = ("ramnp.train", "--config", tmp_path / "config.json", "--dry-run", *SMALL)
    assert run_module(*dry, "--import", parts).returncode == 0
    assert run_module(*dry).returncode == 0
    parts.write_text(PARTS_FILE + "print('harm')\n")
    process = run_module(*dry)
    assert_fails(process, 2, "'mine'", str(parts), "again")
    assert "harm" not in process.stdout


def test_without_a_place_for_notes_a_file_is_named_each_time(parts, tmp_path):
    (tmp_path / "file").write_text("")
    nowhere = {"XDG_STATE_HOME": str(tmp_path / "file")}
    process = run_module("ramnp.train", "--import", parts, "--core", "mine", *SMALL, "--dry-run", env=nowhere)
    assert (process.returncode, process.stderr) == (0, "")
    assert not own_parts.is_remembered(str(parts))


def test_a_run_is_resumed_with_its_import_even_from_another_place(run_with_parts, tmp_path, parts, stranger):
    file, folder = run_with_parts
    resume = ("--resume", folder, "--epochs", 2, "--quiet")
    assert_fails(run_module("ramnp.train", *resume, env=stranger), 2, f"{folder}: ", f"--import '{file}'", "again")
    process = run_module("ramnp.train", *resume)
    assert (process.returncode, process.stderr, process.stdout.count("imported")) == (0, "", 2)
    process = run_module("ramnp.train", *resume[:2], "--epochs", 3, "--quiet", "--import", parts)
    assert (process.returncode, process.stderr, process.stdout.count("imported")) == (0, "", 2)
    assert json.loads((folder / "config.json").read_text())["config"]["import_"] == str(parts)


def test_a_configuration_file_that_names_an_import_runs_nothing(parts, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"core": "mine", "import_": str(parts)}))
    process = run_module("ramnp.train", "--config", tmp_path / "config.json", "--dry-run")
    assert_fails(process, 2, "'mine'", str(parts), "again")
    assert "imported" not in process.stdout


def test_a_registered_class_is_enough_to_load_a_checkpoint(tmp_path):
    mine = register("core", "mine")(type("Mine", (RNN,), {}))
    config = Config(core="mine", units=4, batch_size=4, import_="/gone/my_parts.py")
    trainer = Trainer(config, (9, 9, 1), 3, ramnp.backend.NUMPY)
    checkpoint.save(tmp_path / "mine.npz", trainer.checkpoint(0, None, 0.0))
    assert type(checkpoint.load(tmp_path / "mine.npz").model().core) is mine
    del PARTS["core"]["mine"]
    with pytest.raises(UnknownPartError, match=r"mine\.npz: .*'/gone/my_parts\.py'"):
        checkpoint.load(tmp_path / "mine.npz")
    trainer.config = dataclasses.replace(Config(), units=4)
    checkpoint.save(tmp_path / "other.npz", trainer.checkpoint(0, None, 0.0))
    assert checkpoint.load(tmp_path / "other.npz").config.import_ == ""


def test_an_older_checkpoint_lacks_the_field(tmp_path):
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "missing.npz")
    values = Config().to_json()
    del values["import_"]
    assert Config.from_json(values) == Config()


def test_help_lists_added_parts(parts):
    process = run_module("ramnp.train", "--import", parts, "--help")
    assert "{rnn,lstm,gru,mine}" in process.stdout
    assert "mine" not in run_module("ramnp.train", "--help").stdout.split("--core")[1].split("--units")[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file or module"),
        ("def f(:\n", "SyntaxError"),
        ("\n\nnot_there\n", "line 3: NameError: name 'not_there' is not defined"),
        ("import not_there_at_all\n", "line 1: ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("open('/not/there.py')\n", "line 1: FileNotFoundError"),
        ("from ramnp import register\nregister('core', 'rnn')(object)\n", "line 2: ValueError: the core 'rnn'"),
    ],
)
def test_an_import_that_fails_is_one_line_that_names_it(tmp_path, content, said):
    file = tmp_path / "broken.py"
    if content is not None:
        file.write_text(content)
    assert_fails(run_module("ramnp.train", "--import", file, "--dry-run"), 2, f"--import {file}: {said}")


def test_a_module_may_be_named_without_its_suffix(parts, monkeypatch):
    monkeypatch.chdir(parts.parent)
    assert ramnp.cli.located("my_parts") == ramnp.cli.located("my_parts.py") == str(parts)
    assert ramnp.cli.located("json.decoder") == "json.decoder"
    assert_fails(run_module("ramnp.train", "--import", "no_such_module"), 2, "--import no_such_module", "no such")


def test_a_file_is_run_once(parts, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    registry.load(str(parts))
    registry.load(str(parts))
    assert capsys.readouterr().out == "imported\n"
    for module in (str(parts), "beside"):
        monkeypatch.delitem(sys.modules, module)


def test_own_presets(monkeypatch, tmp_path):
    from ramnp.presets import PRESETS, ROWS, Row, add_preset

    monkeypatch.setattr(ramnp.presets, "PRESETS", PRESETS.copy())
    monkeypatch.setattr(ramnp.presets, "ROWS", ROWS.copy())
    row = Row("MNIST", {"core": "gru"})
    add_preset("mine", row)
    add_preset("mine", row)  # a notebook cell may run twice
    assert ramnp.presets.PRESETS["mine"] == Config(preset="mine", core="gru")
    with pytest.raises(ValueError, match="another preset 'mnist-6'"):
        add_preset("mnist-6", row)


# from ramnp import ...


def test_the_public_names_are_listed_and_lead_to_what_they_say():
    tree = ast.parse((REPOSITORY / "ramnp/__init__.py").read_text())
    (block,) = (each for each in tree.body if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING")
    told = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert told == ramnp._HOME
    assert set(told) | {"__version__"} <= set(dir(ramnp))
    for name, module in told.items():
        assert getattr(ramnp, name) is getattr(sys.modules[module], name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ramnp.nonsense  # noqa: B018
