"""Shared by the commands: flags made from the configuration, and errors reported in one line."""

import argparse
import dataclasses
import difflib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from ramnp import own_parts
from ramnp.backend import Backend, get_backend, select_device
from ramnp.config import AugmentConfig, Config, DataConfig, Group, LearningConfig, ModelConfig, describe, flag
from ramnp.errors import OutputError, RamnpError, UsageError, first_line, is_too_big
from ramnp.files import expand, read_json
from ramnp.presets import DEFAULT, OWN, PRESETS, start_of

OWN_DATA = ("folder", "arrays")  # data sets of your own images
INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it: 128 + SIGINT
STOPS = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, the end of a job, the end of a session; not every system has all
GRACE = 1.0  # seconds after a stop in which more of them, such as a second Ctrl-C, change nothing
MOST = 1_000_000_000  # bound of what a flag counts
BACKENDS = ("numpy", "cupy", "auto")
BACKEND_HELP = "where to compute; auto takes a GPU if one works"


class Parser(argparse.ArgumentParser):
    """A parser that accepts no abbreviations of flags and reports an error in one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            word = message.removeprefix(prefix).partition(" ")[0].partition("=")[0]
            close = difflib.get_close_matches(word, self._option_string_actions, n=1)
            message = f"unknown argument '{word}'" + (f"; did you mean {close[0]}?" if close else "")
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def description(docstring: str | None) -> str:
    """The help text of a command: its module's docstring without the "`python -m ramnp.NAME`: " at the start."""
    text = (docstring or "").partition("`: ")[2]
    return text[:1].upper() + text[1:]


def count(text: str) -> int:
    """Parse a flag's value that counts something: an integer of at least 1, and below `MOST`."""
    if not 1 <= (value := int(text)) < MOST:
        raise argparse.ArgumentTypeError(f"must be at least 1 and below {MOST}, got {value}")
    return value


def add_backend_flags(parser: Any, default: str = "auto") -> None:
    """Add `--backend` and `--device`, for `chosen_backend`, to a parser or a group of one."""
    parser.add_argument("--backend", choices=BACKENDS, default=default, help=f"{BACKEND_HELP} ({default})")
    parser.add_argument(
        "--device", type=int, metavar="N", help="which GPU, among those that CUDA_VISIBLE_DEVICES shows (0, the first)"
    )


def chosen_backend(arguments: argparse.Namespace) -> Backend:
    """The backend of `--backend`, on the GPU of `--device`.

    Raises:
        BackendError: it cannot be used.
        UsageError: a GPU is chosen for a backend that uses none.
    """
    if arguments.device is None:
        return get_backend(arguments.backend)
    if arguments.backend == "numpy":
        raise UsageError(f"--device {arguments.device} chooses a GPU: it needs --backend cupy")
    if arguments.device < 0:
        raise UsageError(f"--device must be at least 0, got {arguments.device}")
    select_device(arguments.device)
    return get_backend("cupy")


def add_changed_data_flag(parser: Any) -> None:
    """Add `--allow-changed-data` to a parser or a group of one."""
    parser.add_argument(
        "--allow-changed-data",
        action="store_true",
        help="accept data that are not those of the training; images that were trained on are still no test images",
    )


def add_data_flags(parser: Any) -> None:
    """Add the flags of a command that reads the data of a trained network, for `open_trained`."""
    parser.add_argument(
        "--data-path", type=Path, metavar="PATH", help="where your own images are now, if they were moved"
    )
    add_changed_data_flag(parser)


def located(source: str) -> str:
    """What `--import` names: the path of a file, from the root, or else the name of a module."""
    file = expand(source if source.endswith(".py") else f"{source}.py")
    return os.path.realpath(file) if source.endswith(".py") or file.is_file() else source


def add_import_flag(parser: Parser) -> None:
    """Add `--import`."""
    parser.add_argument(
        "--import", dest="import_", type=located, metavar="PARTS", default=argparse.SUPPRESS,
        help="a file (my_parts.py) or module that registers parts of your own; IT IS EXECUTED (docs/extending.md)",
    )  # fmt: skip


def import_parts(argv: list[str] | None) -> None:
    """Import what `--import` names, before the flags are made whose choices it adds to.

    Only a command line says what is imported (see `own_parts`): a checkpoint or a run folder may come from anybody.

    Raises:
        UsageError: that failed.
    """
    parser = Parser(add_help=False)
    add_import_flag(parser)
    source = getattr(parser.parse_known_args(argv)[0], "import_", None)
    if source is None:
        return
    own_parts.load(source)
    own_parts.remember(source)


def add_config_flags(parser: Parser) -> None:
    """Add `--preset`, `--config`, and a flag for every field of the model, the learning rule and the data.

    A flag that the user does not give is absent from the parsed namespace; `given_flags` relies on this.
    """
    start = parser.add_argument_group("the configuration to start from")
    start.add_argument(
        "--preset",
        choices=[*PRESETS, OWN],
        metavar="NAME",
        help=f"a row of the published tables, see --list-presets ({DEFAULT}); or {OWN}, for images of your own, which "
        f"suits itself to them (the default with --dataset folder or arrays)",
    )
    start.add_argument("--config", type=Path, metavar="FILE.json", help="a configuration, such as a run's config.json")
    for group in (ModelConfig, LearningConfig, AugmentConfig, DataConfig):
        add_group_flags(parser, group, PRESETS[DEFAULT])


def add_group_flags(parser: Parser, group: type[Group], default: Group, without: tuple[str, ...] = ()) -> None:
    """Add a flag for every field in a group of the configuration. The help shows its default in brackets."""
    section = parser.add_argument_group(group.__doc__)
    for name, field in describe(group).items():
        if name in without:
            continue
        options: dict[str, Any] = {"choices": field.choices}
        if not field.choices:
            options = {"type": field.kind, "metavar": field.kind.__name__.upper()}
        value = getattr(default, name)
        text = field.text if value == "" else f"{field.text} ({value})"
        section.add_argument(flag(name), default=argparse.SUPPRESS, help=text, **options)


def chosen_config(arguments: argparse.Namespace, start: Config | None = None) -> Config:
    """The chosen configuration: the preset, overridden by the values of --config, overridden by flags.

    Args:
        start: what the flags override if there is neither --preset nor --config.

    Raises:
        UsageError: the file cannot be read, or a value is invalid.
    """
    values: Any = {}
    if arguments.config:
        values = read_json(arguments.config)
        values = values.get("config", values)
        if not isinstance(values, dict) or values.get("preset", DEFAULT) not in [*PRESETS, OWN]:
            raise UsageError(f"{arguments.config} does not hold a configuration: pass the config.json of a run")
    usual = OWN if getattr(arguments, "dataset", None) in OWN_DATA and not values else DEFAULT
    preset = arguments.preset or values.get("preset", usual)
    config = Config.from_json(values | {"preset": preset}, base=start_of(preset))
    if start and not (arguments.preset or arguments.config):
        config = start
    config = dataclasses.replace(config, **{"import_": ""} | given_flags(arguments))
    if config.data_path:  # absolute, so that the run can be resumed from any folder
        config = dataclasses.replace(config, data_path=os.path.realpath(expand(config.data_path)))
    return config


def given_flags(arguments: argparse.Namespace, group: type[Group] = Config) -> dict[str, Any]:
    """The fields of the configuration, or of a group of it, that the user set with a flag."""
    fields = set(describe(group)) - {"preset"}
    return {name: value for name, value in vars(arguments).items() if name in fields}


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or another signal that asks the process to end. `exit_code` is the one that shells have for it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def code_of(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that was stopped."""
    return stop.exit_code if isinstance(stop, Stopped) else INTERRUPTED


@contextmanager
def one_stop() -> Iterator[None]:
    """Raise `Stopped` at the first Ctrl-C, SIGTERM or SIGHUP. Later ones do not disturb the end that it brings about.

    If that end takes longer than `GRACE`, the next signal ends the process at once. A signal that the process was
    started to ignore, as by nohup, stays ignored.
    """
    stopped_at: list[float] = []

    def stop(number: int, _: object) -> None:
        if not stopped_at:
            stopped_at.append(time.monotonic())
            raise Stopped(number)
        if time.monotonic() - stopped_at[0] > GRACE:
            os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # Python allows signals to be handled nowhere else
        yield
        return
    numbers = [getattr(signal, name) for name in STOPS if hasattr(signal, name)]
    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) in usual}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        if not stopped_at:  # else the handler stays until the process has ended
            for number, handler in before.items():
                signal.signal(number, handler)


def run(main: Callable[[], int]) -> NoReturn:
    """Exit with the code that `main` returns. Report an error in one line, and exit with its code."""
    os.environ["MPLBACKEND"] = "agg"  # commands only write pictures into files: no window is needed
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding lacks is no error; a log file gets each line at once.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    with one_stop():
        try:
            try:
                code: Any = main()
            except SystemExit as end:  # after --help, for example
                code = end.code
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.flush()  # while an error can still be reported
            sys.exit(code)
        except RamnpError as error:
            _fail(error, error.exit_code)
        except KeyboardInterrupt as stop:
            _fail("interrupted", code_of(stop))
        except (MemoryError, ValueError) as error:
            if not is_too_big(error):
                raise
            _fail(f"out of memory ({first_line(error)}): choose smaller sizes", UsageError.exit_code)
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe; exit quietly
            _discard_output()
            sys.exit(OutputError.exit_code)
        except OSError as error:
            _discard_output()
            _fail(f"cannot read or write: {first_line(error)}", OutputError.exit_code)


def _open_streams() -> None:
    """Open stdout and stderr if the process was started without. Otherwise the next file would take their places."""
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.fstat(number)  # raises an error if it is closed
                continue
            os.open(os.devnull, os.O_RDWR)  # takes the first free number
            if number:
                setattr(sys, name, os.fdopen(number, "w", closefd=False))


def tell(text: str) -> None:
    """Print on stderr. After SIGHUP there may be no terminal left; that must not end in a traceback."""
    with suppress(OSError):
        print(text, file=sys.stderr)


def _discard_output() -> None:
    """Send what is still to be written on stdout nowhere. Python tries once more at exit, and would report an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        with suppress(OSError, ValueError):  # ValueError: it is no file, as in a test
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Print a note on stderr, so that it does not get into results on stdout."""
    tell(f"note: {text}")


def _fail(message: object, code: int) -> NoReturn:
    tell(f"error: {message}")
    sys.exit(code)
