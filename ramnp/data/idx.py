"""The idx format of the MNIST files.

A file has four bytes of magic (0, 0, element type, number of axes), the length of each axis as a big-endian 32-bit
integer, then the elements, with the last axis varying fastest. Only unsigned bytes (type 8) are supported.
"""

import math
import struct

import numpy as np

from ramnp.errors import DataError


def parse_idx(content: bytes, axes: int, name: str) -> np.ndarray:
    """Parse the content of an idx file into a read-only uint8 array with `axes` axes.

    Args:
        name: name of the file, for error messages.

    Raises:
        DataError: the header is not that of such an array, or the content has another length than the header claims.
    """
    start = 4 + 4 * axes
    if len(content) < start or content[:4] != bytes([0, 0, 8, axes]):
        raise DataError(f"{name} is not an idx file of unsigned bytes with {axes} axes")
    shape = struct.unpack(f">{axes}I", content[4:start])
    if math.prod(shape) != len(content) - start:
        raise DataError(f"{name} claims shape {shape}, but holds {len(content) - start} bytes of elements")
    try:
        return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
    except ValueError as error:  # an axis of length 0, so no elements, and another too long for any array
        raise DataError(f"{name} claims shape {shape}, which is too large") from error
