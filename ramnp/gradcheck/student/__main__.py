"""The child process that checks one file: `python -m ramnp.gradcheck.student FILE NAME SEED OUTPUT`.

It executes the file: code that never ends, or that ends Python, ends the child alone.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ramnp.gradcheck.report import ERROR, Row
from ramnp.gradcheck.student.check import blame, check_candidate
from ramnp.gradcheck.student.find import find_candidates, load_module


def main(path: str, only: str, seed: str, output: str) -> None:
    """Write {"names": [...]} of what the file offers, or, given a name, {"rows": [...]}; or {"error": text}."""
    sys.setrecursionlimit(2000)
    np.seterr(all="ignore")
    try:
        module = load_module(Path(path))
    except BaseException as error:  # it may even call sys.exit
        result: dict[str, Any] = {"error": blame(error, {path})}
    else:
        candidates = {f"{c.name}:{c.part}": c for c in find_candidates(module)}
        if not only:
            result = {"names": list(candidates)}
        else:
            try:
                rows = check_candidate(candidates[only], int(seed))
            except BaseException as error:
                rows = [Row(candidates[only].name, "check", verdict=ERROR, message=blame(error, {path}))]
            result = {"rows": [row._asdict() for row in rows]}
    Path(output).write_text(json.dumps(result, default=float))


if __name__ == "__main__":
    main(*sys.argv[1:])
