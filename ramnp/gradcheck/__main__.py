"""`python -m ramnp.gradcheck`: check every gradient of ramnp, or those in your own file.

    python -m ramnp.gradcheck                       every part of ramnp
    python -m ramnp.gradcheck --only lstm           one of them
    python -m ramnp.gradcheck my_layers.py          everything in your file that has a forward and a backward
    python -m ramnp.gradcheck my_layers.py:Linear   one class, or one pair of functions, of it
    python -m ramnp.gradcheck --import my_parts.py  the parts that your file registers (docs/extending.md)

A file that you name IS EXECUTED, with your rights, as `python my_layers.py` would: check only code that you trust.
How your code is to be called, and what the report says, is in docs/gradcheck.md.

Exit codes: 0 all right; 1 a check failed; 2 usage; 3 the backend cannot be used;
4 the report cannot be written.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ramnp.cli import Parser, add_backend_flags, add_import_flag, chosen_backend, description, import_parts, run
from ramnp.errors import UsageError
from ramnp.files import write_atomically
from ramnp.gradcheck.own import PARTS, added, check_part
from ramnp.gradcheck.report import ERROR, Row, dumps, from_json, merge, passed, summary, table

LONGEST = 86_400  # seconds for a part


def in_child(path: Path, only: str, seed: int, timeout: float) -> dict[str, Any]:
    """What `ramnp.gradcheck.student` finds, run apart, so that it may hang or crash."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        command = [sys.executable, "-m", "ramnp.gradcheck.student", str(path), only, str(seed), str(output)]
        try:
            child = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout)
        except subprocess.TimeoutExpired:
            return {"error": f"it took longer than {timeout:g} s (--timeout): an endless loop?"}
        if not output.exists():
            last = (child.stderr.strip().splitlines() or [""])[-1]
            return {"error": f"it ended Python with exit code {child.returncode} {last}".rstrip()}
        return json.loads(output.read_text())


def check_file(path: Path, only: str | None, seed: int, timeout: float) -> list[Row]:
    """Rows about a file of somebody else's.

    Raises:
        UsageError: there is no such file, or nothing in it to check.
    """
    if path.suffix != ".py" or not path.is_file():
        raise UsageError(f"{path} is not a Python file (FILE.py, or FILE.py:NAME)")
    path = path.resolve()
    listed = in_child(path, "", seed, timeout)
    if "error" in listed:
        return [Row(path.name, "import", verdict=ERROR, message=listed["error"])]
    names = [name for name in listed["names"] if only is None or name.split(":")[0] == only.removesuffix("_forward")]
    if not names:
        offered = ", ".join(sorted({name.split(":")[0] for name in listed["names"]})) or "nothing"
        raise UsageError(
            f"{path.name} offers {f'no {only}' if only else 'nothing'} to check; "
            f"found with a forward and a backward: {offered} (see docs/gradcheck.md)"
        )
    rows: list[Row] = []
    for name in names:
        result = in_child(path, name, seed, timeout)
        if "error" in result:
            rows.append(Row(name.split(":")[0], "check", verdict=ERROR, message=result["error"]))
        else:
            rows += from_json(result["rows"])
    return rows


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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too; autograders read it")
    parser.add_argument("--timeout", type=float, default=20.0, metavar="S", help="for each part of your file (20)")
    arguments = parser.parse_args(argv)
    if not 0 < arguments.timeout <= LONGEST:
        raise UsageError(f"--timeout must be above 0 and at most {LONGEST:,} (a day), got {arguments.timeout:g}")
    if arguments.seed < 0:
        raise UsageError(f"--seed must be at least 0, got {arguments.seed}")
    if arguments.file:
        if arguments.only or arguments.backend != "numpy" or arguments.device is not None:
            raise UsageError("--only and --backend are for ramnp's own parts; name yours as FILE.py:NAME")
        path, _, only = arguments.file.partition(".py:")
        path = path + ".py" if only else path
        rows = check_file(Path(path), only or None, arguments.seed, arguments.timeout)
    else:
        backend = chosen_backend(arguments)
        names = [arguments.only] if arguments.only else list(yours if "import_" in arguments else PARTS)
        rows = merge(row for name in names for row in check_part(name, backend, arguments.seed))
    print(table(rows))
    print(summary(rows))
    if arguments.json:
        write_atomically(arguments.json, lambda file: file.write(dumps(rows).encode()))
    return 0 if passed(rows) else 1


if __name__ == "__main__":
    run(main)
