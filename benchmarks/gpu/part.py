"""`python -m benchmarks.gpu.part NAME BACKEND [--short]`: one part, in a process of its own (see `process.py`)."""

import json
import os
import sys
import traceback
from typing import Any

from benchmarks.backends import backend_called
from benchmarks.gpu.parts import PARTS, Asked
from benchmarks.gpu.process import end_with_parent
from benchmarks.timing import Unavailable
from ramnp.errors import BackendError, first_line


def main() -> int:
    name, backend, *short = sys.argv[1:]
    end_with_parent()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anybody prints goes to the log

    def tell(**found: Any) -> None:
        out.write(json.dumps(found) + "\n")
        out.flush()

    try:
        backend_called(backend)
    except BackendError as error:
        tell(why=str(error), unusable=str(error))
        return 1
    try:
        PARTS[name].run(Asked(backend, bool(short)), tell)
    except Unavailable as reason:
        tell(status="left out", why=str(reason))
    except Exception as error:
        traceback.print_exc()
        tell(why=f"{type(error).__name__}: {first_line(error)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
