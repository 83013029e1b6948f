"""Checking a file in a process of its own, so that it may hang or crash: a sentence for each way to end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ramnp.errors import UsageError
from ramnp.gradcheck.report import ERROR, SKIPPED, Row, from_json

HOME = str(Path(__file__).resolve().parents[2])  # where ramnp itself is
HUNG = "it took longer than"
READS = 'it reads from the keyboard (input), and there is nobody: put that under `if __name__ == "__main__":`'


def check_file(path: Path, only: str | None, seed: int, timeout: float) -> list[Row]:
    """Rows about a file of somebody else's.

    Raises:
        UsageError: there is no such file, or nothing in it to check.
    """
    if path.suffix != ".py" or not path.is_file():
        raise UsageError(f"{path} is not a Python file (FILE.py, or FILE.py:NAME)")
    path = path.resolve()
    only = (only or "").removesuffix("_forward").removesuffix("_backward")
    rows: list[Row] = []
    names: list[str] | None = None
    done: list[str] = []
    for _ in range(20):  # a part that ends the process is left out the next time
        lines, ended = in_child(path, only, seed, timeout, done)
        current = None
        for line in lines:
            if "names" in line:
                names = line["names"]
            elif "error" in line:
                return [*rows, of_error(path.name, line)]
            elif line.get("rows") is None and line.get("part"):
                current = line["part"]
            elif "part" in line:
                rows += from_json(line["rows"])
                done += [line["part"]] if line["part"] else []
                current = None
        if not ended:
            break
        if current is None:
            rows.append(Row(path.name, "import" if names is None else "check", verdict=ERROR, message=ended))
            break
        rows.append(Row(current, "check", verdict=ERROR, message=ended))
        done.append(current)
        if ended.startswith(HUNG) and len(done) > 3:
            break
    if not rows:
        offered = ", ".join(sorted(names or [])) or "nothing"
        raise UsageError(
            f"{path.name} offers {f'no {only}' if only else 'nothing'} to check; "
            f"found with a forward and a backward: {offered} (see docs/gradcheck.md)"
        )
    return rows


def of_error(name: str, line: dict[str, Any]) -> Row:
    """A row about a file that cannot be executed."""
    kind, text = line["kind"], line["error"]
    if kind in ("ModuleNotFoundError", "FileNotFoundError"):
        return Row(name, "import", verdict=SKIPPED, message=f"not checked: it {text}, which is not to be found here")
    return Row(name, "import", verdict=ERROR, message=READS if kind == "EOFError" else text)


def in_child(path: Path, only: str, seed: int, timeout: float, done: list[str]) -> tuple[list[dict[str, Any]], str]:
    """What `ramnp.gradcheck.student` wrote, and in words how it ended, if not as it should."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.jsonl"
        arguments = [str(path), only, str(seed), str(output), ",".join(done)]
        try:
            child = subprocess.run(
                [sys.executable, "-P", "-m", "ramnp.gradcheck.student", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [HOME, os.environ.get("PYTHONPATH")]))},
                cwd=folder,
                check=False,
            )
            ended = in_words(child.returncode, child.stderr)
        except subprocess.TimeoutExpired:
            ended = f"{HUNG} {timeout:g} s (--timeout): an endless loop?"
        lines = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    return lines, "" if any("end" in line for line in lines) else ended


def in_words(code: int, stderr: str) -> str:
    """How a process ended that did not come to its end."""
    if code < 0:
        word = signal.Signals(-code).name
        return f"it crashed Python ({word}{': a segmentation fault' if word == 'SIGSEGV' else ''})"
    last = (stderr.strip().splitlines() or [""])[-1]
    return f"it ended Python with exit code {code} {last}".rstrip()
