"""NumPy's .npy format, read without trusting the header."""

import io
import math
from typing import NamedTuple

import numpy as np

from ramnp.errors import DataError, first_line

HEADER = 1 << 16  # longest header, in bytes
AXES = 8  # most axes of an array; images have four
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Header(NamedTuple):
    """What an .npy file says of its array: shape, memory order, type, and where the elements start."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def parse_header(content: bytes | bytearray, name: str) -> Header:
    """Parse the start of an .npy file of integers or floats.

    Args:
        content: the first `HEADER` bytes, or more; all of a shorter file.
        name: name of the file, for error messages.

    Raises:
        DataError: it is not the header of such an array.
    """
    file = io.BytesIO(content[:HEADER])
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # the header is a Python literal, and can be wrong in many ways
        raise DataError(f"{name} is not an array in NumPy's format ({first_line(error)})") from error
    if dtype.kind not in "uif":
        raise DataError(f"{name} holds {dtype}, not integers or floats")
    # NumPy takes True for an int.
    if len(shape) > AXES or any(type(length) is not int or length < 1 for length in shape):
        raise DataError(f"{name} claims shape {shape}, which no array of data has")
    return Header(shape, bool(fortran), dtype, file.tell())


def parse_npy(content: bytes | bytearray, name: str) -> np.ndarray:
    """Parse the content of an .npy file into an array of integers or floats.

    `numpy.load` would allocate what the header claims before it checks how much data there is.

    Args:
        name: name of the file, for error messages.

    Raises:
        DataError: the header is not that of such an array, or its shape does not fit the content.
    """
    header = parse_header(content, name)
    if header.size * header.dtype.itemsize != len(content) - header.start:
        raise DataError(
            f"{name} claims shape {header.shape} of {header.dtype}, but holds {len(content) - header.start:,} bytes"
        )
    flat = np.frombuffer(content, header.dtype, offset=header.start)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")
