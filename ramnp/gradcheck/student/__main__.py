"""The child process that checks one file: `python -m ramnp.gradcheck.student FILE NAME SEED OUTPUT SKIP`.

It executes the file: code that never ends, or that ends Python, ends the child alone. Each result is written at once,
one JSON text a line: {"part": name, "rows": [...]}, rows null while a part is being checked; {"error": text}; last
{"end": true}.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import numpy as np

from ramnp.gradcheck.report import Row
from ramnp.gradcheck.student.check import blame
from ramnp.gradcheck.student.file import candidates_of, check_module
from ramnp.gradcheck.student.find import load_module


def main(path: str, only: str, seed: str, output: str, skip: str = "") -> None:
    """Check a file and write what is found."""
    sys.dont_write_bytecode = True  # nothing is left beside the file, and an older version of it is not taken
    sys.setrecursionlimit(2000)
    np.seterr(all="ignore")
    done = set(filter(None, skip.split(",")))
    with open(output, "a", encoding="utf-8") as file:

        def write(**what: object) -> None:
            file.write(json.dumps(what, default=float) + "\n")
            file.flush()

        def report(part: str, rows: list[Row]) -> None:
            write(part=part, rows=[row._asdict() for row in rows] if rows or not part else None)

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                module = load_module(Path(path))
                write(names=sorted({candidate.name for candidate in candidates_of(module)}))
                check_module(module, only, int(seed), report, done)
        except BaseException as error:  # it may even call sys.exit
            write(error=blame(error, {path}), kind=type(error).__name__)
        write(end=True)
    sys.stdout.flush()
    os._exit(0)  # threads that the file started do not hold up the report


if __name__ == "__main__":
    main(*sys.argv[1:])
