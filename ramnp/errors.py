"""The errors a user can meet, each with the exit code of the command that reports it.

| code | meaning                                                                     |
|------|-----------------------------------------------------------------------------|
| 0    | fine                                                                        |
| 1    | a check failed, or the training diverged                                    |
| 2    | usage: a wrong flag, or values that do not fit together                     |
| 3    | a backend, data set or checkpoint is missing or damaged                     |
| 4    | a file could not be read or written (disk full, no permission)              |
| 130  | stopped with Ctrl-C; the last finished epoch is saved                       |
"""


class RamnpError(Exception):
    """An error that ends a command with one line on stderr and `exit_code`."""

    exit_code = 1


class DivergenceError(RamnpError):
    """A loss or a gradient became NaN or infinite."""


class UsageError(RamnpError, ValueError):
    """A flag or an argument has a value that cannot be used."""

    exit_code = 2


class BackendError(RamnpError):
    """The requested array backend cannot be used on this machine."""

    exit_code = 3


class DataError(RamnpError):
    """A data file is missing, truncated or not what it should be."""

    exit_code = 3


class CheckpointError(RamnpError):
    """A checkpoint is missing, damaged or belongs to another configuration."""

    exit_code = 3


class OutputError(RamnpError):
    """A result could not be written."""

    exit_code = 4


def first_line(error: BaseException) -> str:
    """The first line with words of an error's message, or its type where it has none."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if any(map(str.isalnum, line))), type(error).__name__)
