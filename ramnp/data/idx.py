"""The idx format of the MNIST files.

Four bytes of magic (0, 0, element type, number of axes), the length of each axis as a big-endian 32-bit
integer, then the elements, last axis fastest. Only unsigned bytes (type 8) are read.
"""

import math
import struct

import numpy as np

from ramnp.errors import DataError


def parse_idx(content: bytes, axes: int, name: str) -> np.ndarray:
    """The array in `content`: uint8, with the given number of axes, read-only.

    Args:
        name: of the file, for the error message.

    Raises:
        DataError: the header is not that of such an array, or its lengths do not fit the content.
    """
    start = 4 + 4 * axes
    if len(content) < start or content[:4] != bytes([0, 0, 8, axes]):
        raise DataError(f"{name} is not an idx file of unsigned bytes with {axes} axes")
    shape = struct.unpack(f">{axes}I", content[4:start])
    if math.prod(shape) != len(content) - start:
        raise DataError(f"{name} announces shape {shape}, but holds {len(content) - start} bytes of elements")
    try:
        return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
    except ValueError as error:  # no elements, but other lengths that no array can have
        raise DataError(f"{name} announces shape {shape}, which is too large") from error
