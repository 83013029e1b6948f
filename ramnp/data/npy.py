"""NumPy's .npy format, read without trusting the header."""

import io
import math

import numpy as np

from ramnp.errors import DataError, first_line

HEADER = 1 << 16  # longest header, in bytes
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def parse_npy(content: bytes | bytearray, name: str) -> np.ndarray:
    """Parse the content of an .npy file into an array of integers or floats.

    `numpy.load` would allocate what the header claims before it checks how much data there is.

    Args:
        name: name of the file, for error messages.

    Raises:
        DataError: the header is not that of such an array, or its shape does not fit the content.
    """
    file = io.BytesIO(content[:HEADER])
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # the header is a Python literal, and can be wrong in many ways
        raise DataError(f"{name} is not an array in NumPy's format ({first_line(error)})") from error
    start = file.tell()
    if dtype.kind not in "uif":
        raise DataError(f"{name} holds {dtype}, not integers or floats")
    if any(length < 1 for length in shape) or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise DataError(f"{name} claims shape {shape} of {dtype}, but holds {len(content) - start:,} bytes")
    flat = np.frombuffer(content, dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C")
