"""`python -m benchmarks.gradcheck DIR`: how good a checker of gradients is, on files of which it is known.

DIR holds Python files and an index.json: {"file.py": {"kind": "bug" or "ok", "mistake": "what is wrong"}, ...}. Each
file is checked in a process of its own, by `python -m ramnp.gradcheck` and by the plain check of courses
(plain_check.py). Four figures come out for each:

    caught      wrong files that are called wrong
    named       wrong files whose first message says what the mistake is, and not only where it shows
    passed      wrong files that are called right
    accused     right files that are called wrong

Whether a message names the right mistake is for a reader to say: --messages prints each beside the mistake of the
index.

Exit codes: 0 all was measured; 2 usage; 4 the report cannot be written.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from ramnp.cli import Parser, description, run
from ramnp.errors import UsageError
from ramnp.files import read_json, write_json
from ramnp.gradcheck.report import BAD, RIGHT
from ramnp.gradcheck.student.check import names_it
from ramnp.training.provenance import provenance

SECONDS = 120.0  # for one file, which may hang; by the clock, since other programs may run beside it


class Result(NamedTuple):
    """What a checker said of one file: its exit code, its first message, and the processor's seconds that it took."""

    code: int
    message: str
    seconds: float


def ours(path: Path) -> Result:
    """What `python -m ramnp.gradcheck` says."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        code, seconds = timed("ramnp.gradcheck", str(path), "--json", str(report))
        rows = json.loads(report.read_text())["rows"] if report.exists() else []
    bad = [row["message"] for row in rows if row["verdict"] in ("WRONG", "ERROR")]
    return Result(code, bad[0] if bad else "", seconds)


def plain(path: Path) -> Result:
    """What a relative error says, which names no mistake."""
    code, seconds = timed("benchmarks.plain_check", str(path))
    return Result(code, "", seconds)


def timed(module: str, *arguments: str) -> tuple[int, float]:
    """Run a module; its exit code, and the processor's seconds that it and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        code = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        code = -1
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return code, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


CHECKERS = {"ramnp.gradcheck": ours, "a relative error": plain}


def read_index(folder: Path) -> dict[str, dict[str, str]]:
    """The files of a folder, and what is known of them.

    Raises:
        UsageError: there is no index.json, or it names what is not there or no kind.
    """
    index = read_json(folder / "index.json", dict[str, dict[str, str]])
    for name, about in index.items():
        if about.get("kind") not in ("bug", "ok") or not (folder / name).is_file():
            raise UsageError(f"{folder / 'index.json'}: {name} must be a file there, of kind bug or ok")
    return index


def figures(index: dict[str, dict[str, str]], results: dict[str, Result]) -> dict[str, Any]:
    """The four figures, how many of each kind there are, and the files behind what went wrong."""
    bugs = [name for name, about in index.items() if about["kind"] == "bug"]
    right = [name for name, about in index.items() if about["kind"] == "ok"]
    caught = [name for name in bugs if results[name].code == BAD]
    named = [name for name in caught if names_it(results[name].message)]
    return {
        "wrong files": len(bugs),
        "right files": len(right),
        "caught": len(caught),
        "named": len(named),
        "passed": sum(results[name].code == RIGHT for name in bugs),
        "accused": sum(results[name].code == BAD for name in right),
        "not caught": [name for name in bugs if name not in caught],
        "not named": [name for name in caught if name not in named],
        "accused files": [name for name in right if results[name].code == BAD],
        "undecided right files": [name for name in right if results[name].code not in (RIGHT, BAD)],
        "most seconds": round(max((result.seconds for result in results.values()), default=0.0), 2),
    }


def in_words(checker: str, found: dict[str, Any]) -> str:
    """The figures of one checker, as lines."""
    bugs, right = found["wrong files"], found["right files"]
    lines = [
        f"{checker}: {found['caught']} of {bugs} wrong files caught, {found['named']} named, "
        f"{found['passed']} called right; {found['accused']} of {right} right files accused; "
        f"at most {found['most seconds']} s of the processor"
    ]
    lines += [
        f"  {what}: {', '.join(found[what])}"
        for what in ("not caught", "not named", "accused files", "undecided right files")
        if found[what] and checker == "ramnp.gradcheck"
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m benchmarks.gradcheck", description=description(__doc__))
    parser.add_argument("folder", type=Path, metavar="DIR", help="Python files and their index.json; THEY ARE EXECUTED")
    parser.add_argument("--messages", action="store_true", help="print each first message beside the mistake")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args(argv)
    index = read_index(arguments.folder)
    report: dict[str, Any] = {}
    for checker, check in CHECKERS.items():
        results = {name: check(arguments.folder / name) for name in index}
        report[checker] = figures(index, results)
        if arguments.messages and check is ours:
            for name, about in index.items():
                said = results[name].message or f"exit code {results[name].code}"
                print(f"{name}: {about.get('mistake') or about['kind']}\n    {said}")
        print(in_words(checker, report[checker]), flush=True)
    if arguments.json:
        write_json(arguments.json, {"provenance": provenance(), "figures": report})
    return 0


if __name__ == "__main__":
    run(main)
