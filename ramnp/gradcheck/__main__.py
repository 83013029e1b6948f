"""`python -m ramnp.gradcheck`: check every gradient of ramnp, or those in your own file.

    python -m ramnp.gradcheck                       every part of ramnp
    python -m ramnp.gradcheck --only lstm           one of them
    python -m ramnp.gradcheck my_layers.py          everything in your file that has a forward and a backward
    python -m ramnp.gradcheck my_layers.py:Linear   one class, or one pair of functions, of it
    python -m ramnp.gradcheck --import my_parts.py  the parts that your file registers (docs/extending.md)

A file that you name IS EXECUTED, with your rights, as `python my_layers.py` would: check only code that you trust.
How your code is to be called, and what the report says, is in docs/gradcheck.md.

Exit codes: 0 everything was checked and is right; 1 something is wrong; 2 usage; 3 the backend cannot be used;
4 the report cannot be written; 5 nothing wrong was found, but something could not be checked.
"""

from argparse import Namespace
from pathlib import Path

from ramnp.cli import Parser, add_backend_flags, add_import_flag, chosen_backend, description, import_parts, run
from ramnp.errors import UsageError, first_line
from ramnp.files import write_atomically
from ramnp.gradcheck.child import check_file
from ramnp.gradcheck.own import PARTS, added, check_part
from ramnp.gradcheck.report import RIGHT, Row, dumps, junit, merge, outcome, required_test, summary, table

LONGEST = 86_400  # seconds for a part


def main(argv: list[str] | None = None) -> int:
    import_parts(argv)
    yours = added()
    parser = Parser(prog="python -m ramnp.gradcheck", description=description(__doc__))
    parser.add_argument("file", nargs="?", metavar="FILE.py[:NAME]", help="your own code; it is executed")
    parts = [*PARTS, *yours]
    parser.add_argument("--only", choices=parts, metavar="PART", help=f"one part: {', '.join(parts)}")
    add_import_flag(parser)
    add_backend_flags(parser, default="numpy")
    parser.add_argument("--seed", type=int, default=0, help="of the numbers that are checked (0)")
    parser.add_argument("--explain", action="store_true", help="add the equation that a mistake breaks")
    parser.add_argument(
        "--require", metavar="NAME,NAME", help="parts that must be in the file and right, one point each"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too; autograders read it")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write it there as JUnit's XML")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="for each part of your file that does not end (60)"
    )
    arguments = parser.parse_args(argv)
    required = arguments.require.split(",") if arguments.require else None
    rows: list[Row] = []
    try:
        rows = checked(arguments, list(yours if "import_" in arguments else PARTS))
    except UsageError as error:
        write(arguments.json, arguments.junit, rows, required, first_line(error))
        raise
    print(table(rows, arguments.explain))
    print(summary(rows))
    tests = [required_test(name, rows) for name in required or ()]
    for test in tests:
        if not test["score"]:
            print(f"required: {test['name']}: {test['output']}")
    write(arguments.json, arguments.junit, rows, required, "")
    code = outcome(rows)
    return code if code != RIGHT or all(test["score"] for test in tests) else 1


def checked(arguments: Namespace, parts: list[str]) -> list[Row]:
    """The rows about the file that is named, or about parts of ramnp.

    Raises:
        UsageError: the arguments do not fit together, or name nothing that can be checked.
    """
    if not 0 < arguments.timeout <= LONGEST:
        raise UsageError(f"--timeout must be above 0 and at most {LONGEST:,} (a day), got {arguments.timeout:g}")
    if arguments.seed < 0:
        raise UsageError(f"--seed must be at least 0, got {arguments.seed}")
    if arguments.file:
        if arguments.only or arguments.backend != "numpy" or arguments.device is not None:
            raise UsageError("--only and --backend are for ramnp's own parts; name yours as FILE.py:NAME")
        path, _, name = arguments.file.partition(".py:")
        return check_file(Path(path + ".py" if name else path), name or None, arguments.seed, arguments.timeout)
    if arguments.require:
        raise UsageError("--require is for a file of yours: FILE.py --require Linear,ReLU")
    backend = chosen_backend(arguments)
    names = [arguments.only] if arguments.only else parts
    return merge(row for name in names for row in check_part(name, backend, arguments.seed))


def write(as_json: Path | None, as_junit: Path | None, rows: list[Row], required: list[str] | None, error: str) -> None:
    """Write the reports that are asked for."""
    if as_json is not None:
        write_atomically(as_json, lambda file: file.write(dumps(rows, required, error).encode()))
    if as_junit is not None:
        write_atomically(as_junit, lambda file: file.write(junit(rows, required, error).encode()))


if __name__ == "__main__":
    run(main)
