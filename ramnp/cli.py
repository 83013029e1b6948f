"""What the commands share: flags made from the configuration, and errors of one line."""

import argparse
import dataclasses
import difflib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ramnp.config import Config, DataConfig, Group, LearningConfig, ModelConfig, describe, flag
from ramnp.errors import OutputError, RamnpError, UsageError, first_line
from ramnp.files import read_json
from ramnp.presets import DEFAULT, PRESETS

INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and reports an error in one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            word = message.removeprefix(prefix).partition(" ")[0].partition("=")[0]
            close = difflib.get_close_matches(word, self._option_string_actions, n=1)
            message = f"unknown argument '{word}'" + (f"; did you mean {close[0]}?" if close else "")
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def count(text: str) -> int:
    """A number of things, from a flag."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def add_config_flags(parser: Parser) -> None:
    """Add `--preset`, `--config`, and a flag for every field of the model, the learning rule and the data.

    Flags not given are absent from the parsed namespace, so that `chosen_config` can tell.
    """
    start = parser.add_argument_group("where to start from")
    start.add_argument(
        "--preset", choices=list(PRESETS), metavar="NAME", help=f"a row of the tables, see --list-presets ({DEFAULT})"
    )
    start.add_argument("--config", type=Path, metavar="FILE.json", help="a configuration, such as a run's config.json")
    for group in (ModelConfig, LearningConfig, DataConfig):
        add_group_flags(parser, group, PRESETS[DEFAULT])


def add_group_flags(parser: Parser, group: type[Group], default: Group, without: tuple[str, ...] = ()) -> None:
    """Add a flag for every field of a group of the configuration, with its default in the help."""
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


def chosen_config(arguments: argparse.Namespace) -> Config:
    """The preset, then the file's values in its place, then the flags'.

    Raises:
        UsageError: the file cannot be read, or a value cannot be used.
    """
    values: Any = {}
    if arguments.config:
        values = read_json(arguments.config)
        values = values.get("config", values)
        if not isinstance(values, dict) or values.get("preset", DEFAULT) not in list(PRESETS):
            raise UsageError(f"{arguments.config} does not hold a configuration")
    preset = arguments.preset or values.get("preset", DEFAULT)
    config = Config.from_json(values | {"preset": preset}, base=PRESETS[preset])
    config = dataclasses.replace(config, **given_flags(arguments))
    if config.data_path:  # a run folder must find its data from anywhere
        config = dataclasses.replace(config, data_path=str(Path(config.data_path).expanduser().resolve()))
    return config


def given_flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """The configuration fields that were set by a flag."""
    fields = set(describe(Config)) - {"preset"}
    return {name: value for name, value in vars(arguments).items() if name in fields}


def run(main: Callable[[], int]) -> NoReturn:
    """Exit with what `main` returns; turn errors into one line and their exit code."""
    try:
        sys.exit(main())
    except RamnpError as error:
        _fail(error, error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except MemoryError as error:
        _fail(f"too little memory ({first_line(error)}): choose smaller sizes", UsageError.exit_code)
    except BrokenPipeError:  # as in `... | head`: nobody listens any more, which needs no words
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OutputError.exit_code)
    except OSError as error:
        _fail(f"cannot read or write: {first_line(error)}", OutputError.exit_code)


def _fail(message: object, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
