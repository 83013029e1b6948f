"""`python -m benchmarks.plain_check FILE.py`: the check that courses use, to compare ours with.

It calls the code as ours does, which finds out how. Then it does what a course's notebook does: one random input, one
random upstream gradient, a centred difference with a step of 1e-5, and the largest |a - n| / max(1e-8, |a| + |n|) of
each gradient. The notes of Stanford's CS231n call an error up to 1e-4 "usually okay" for code with kinks.

Exit codes, as those of `python -m ramnp.gradcheck`: 0 right, 1 wrong, 5 nothing could be called.
"""

import contextlib
import io
import os
import sys
from pathlib import Path

import numpy as np

from ramnp.gradcheck.numeric import rel_error
from ramnp.gradcheck.report import BAD, RIGHT, UNDECIDED
from ramnp.gradcheck.student.file import candidates_of
from ramnp.gradcheck.student.find import load_module, own_names
from ramnp.gradcheck.student.judge import best_of
from ramnp.gradcheck.student.trying import try_all

OKAY = 1e-4


def outcome(path: Path) -> int:
    """What a plain check says of a file."""
    module = load_module(path)
    errors: list[float] = []
    for candidate in candidates_of(module):
        try:
            found, _ = best_of(try_all(candidate, own_names(module)).readings)
        except Exception:
            continue
        for finding in found.findings.values() if found else ():
            if finding.complaint:
                return BAD
            taken = ~np.isnan(finding.numeric)
            errors.append(rel_error(finding.analytic[taken], finding.numeric[taken]))
    if not errors:
        return UNDECIDED
    return RIGHT if max(errors) <= OKAY else BAD


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        try:
            code = outcome(Path(sys.argv[1]))
        except Exception:
            code = UNDECIDED
    os._exit(code)  # threads that the file started do not hold it up
