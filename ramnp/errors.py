"""The errors that a user can meet, and the exit code of the command for each.

| code | meaning                                                                     |
|------|-----------------------------------------------------------------------------|
| 0    | success                                                                     |
| 1    | a check failed, or the training diverged                                    |
| 2    | usage: a wrong flag, or values that do not fit together                     |
| 3    | a backend, data set or checkpoint is missing or damaged                     |
| 4    | a file could not be read or written (disk full, no permission)              |
| 129  | stopped by SIGHUP, the end of a session; the last finished epoch is saved   |
| 130  | stopped with Ctrl-C; the last finished epoch is saved                       |
| 143  | stopped by SIGTERM, the end of a job; the last finished epoch is saved      |
"""


class RamnpError(Exception):
    """An error that ends a command with one line on stderr and `exit_code`."""

    exit_code = 1


class DivergenceError(RamnpError):
    """A loss or a gradient became NaN or infinite."""


class UsageError(RamnpError, ValueError):
    """A flag or an argument has an invalid value."""

    exit_code = 2


class UnknownPartError(UsageError):
    """A configuration names a part that nobody has registered."""


class BackendError(RamnpError):
    """The requested array backend cannot be used on this machine."""

    exit_code = 3


class DataError(RamnpError):
    """A data file is missing or damaged, or has other content than expected."""

    exit_code = 3


class CheckpointError(RamnpError):
    """A checkpoint is missing, damaged or belongs to another configuration."""

    exit_code = 3


class OutputError(RamnpError):
    """A result could not be written."""

    exit_code = 4


def first_line(error: BaseException) -> str:
    """The first line of an error's message that has words in it, or else the name of its type."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if any(map(str.isalnum, line))), type(error).__name__)


def is_too_big(error: Exception) -> bool:
    """Whether an array was asked for that does not fit. NumPy's error is a ValueError if it would fit no memory."""
    refused = ("Maximum allowed dimension exceeded", "array is too big")
    return isinstance(error, MemoryError) or any(words in str(error) for words in refused)


def some(names: list[str], shown: int = 5) -> str:
    """The first names of several, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
