"""Shared by the notebooks in tutorials/: figures, films, short trainings, and running the reader's own layers in ramnp.

This is part of the package because a notebook may run without the files beside it: on a hosted service or under an
autograder.
"""

import os

SHORT = bool(os.environ.get("RAMNP_SHORT"))  # set by tests and graders: train for fewer steps
