"""Out of memory: find a batch that fits, by trying."""

import dataclasses
import tempfile
from pathlib import Path

from ramnp.backend import Backend
from ramnp.config import Config
from ramnp.data.source import DataSet
from ramnp.errors import DivergenceError, UsageError, is_too_big
from ramnp.training.run import Run


def too_large(config: Config, dataset: DataSet, backend: Backend, reason: str) -> UsageError:
    """The error of a training that ran out of memory. It names a batch that was tried and fits.

    Call it when the arrays of that training are gone.
    """
    size = batch_that_fits(config, dataset, backend)
    advice = f"--batch-size {size} was tried and fits" if size else "no smaller batch fits either: choose fewer --units"
    return UsageError(f"--batch-size {config.batch_size} needs more memory than there is ({reason}): {advice}")


def batch_that_fits(config: Config, dataset: DataSet, backend: Backend) -> int | None:
    """The first of B/2, B/4, ... images with which two steps, validation and test have enough memory; None: none has.

    The workers must share such a batch evenly, and the training images must fill it.
    """
    size = config.batch_size // 2
    while size >= config.workers:
        size -= size % config.workers
        if size <= len(dataset.train) and fits(dataclasses.replace(config, batch_size=size), dataset, backend):
            return size
        size //= 2
    return None


def fits(config: Config, dataset: DataSet, backend: Backend) -> bool:
    """Whether a short run of this configuration has enough memory."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            short = dataclasses.replace(config, epochs=1)
            run = Run(short, dataset, backend, Path(folder), limit_batches=2, quiet=True)
            run.start()
            run.fit()
            run.finish()
        except DivergenceError:  # of the numbers, which is another matter
            pass
        except (MemoryError, ValueError) as error:
            if not is_too_big(error):
                raise
            return False
    return True
