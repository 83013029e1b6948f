"""A file numpy.py beside your own code hides NumPy. This module is imported before NumPy is, and says so."""

import importlib.util
import sys
from pathlib import Path

SPEC = importlib.util.find_spec("numpy")
if SPEC is not None and SPEC.origin is not None and Path(SPEC.origin).name == "numpy.py":
    TEXT = f"{SPEC.origin} hides NumPy: give that file another name, or start in another folder"
    if sys.argv[0] == "-m":  # python -m ramnp.gradcheck: one line, and no traceback
        sys.stderr.write(f"error: {TEXT}\n")
        sys.exit(2)
    raise ImportError(TEXT)
