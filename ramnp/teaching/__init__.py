"""What the notebooks in tutorials/ share: figures, and their readers' parts put to work in the model.

It is part of the package because a notebook also runs where no file lies beside it: hosted, or under an autograder.
"""

import os

SHORT = bool(os.environ.get("RAMNP_SHORT"))  # set by tests and graders: train for fewer steps
