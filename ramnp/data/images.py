"""Image files, read by Pillow within bounds."""

import io
import warnings
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ramnp.errors import DataError, first_line

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")
LARGEST = 4096  # pixels along a side: decoding costs memory that the file announces, not memory that it has
GRAY = ("1", "L", "LA")
COLOUR = ("P", "RGB", "RGBA", "CMYK", "YCbCr")


def read_image(
    content: bytes, name: str, formats: Sequence[str] = FORMATS, size: tuple[int, int] | None = None
) -> np.ndarray:
    """An image (H, W, C), uint8: gray (C = 1) or RGB (C = 3); transparency is left out.

    Args:
        name: of the file, for the error message.
        size: the (width, height) it must have.

    Raises:
        DataError: it is no such image, is damaged, or is larger than `LARGEST` along a side.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of sizes that are refused below, and of odd metadata
            with Image.open(io.BytesIO(content), formats=list(formats)) as image:
                if size and image.size != size:
                    raise DataError(f"{name} is {image.width}x{image.height} pixels, not {size[0]}x{size[1]}")
                if max(image.size) > LARGEST:
                    raise DataError(f"{name} is {image.width}x{image.height} pixels; at most {LARGEST} are read")
                if image.mode not in GRAY + COLOUR:
                    raise DataError(f"{name} has pixels of kind {image.mode}, which are not read")
                pixels = np.array(image.convert("L" if image.mode in GRAY else "RGB"))
                if image.mode == "P" and (pixels == pixels[..., :1]).all():  # a palette of grays
                    pixels = pixels[..., 0]
    except DataError:
        raise
    except Exception as error:  # Pillow reports damage in many types
        raise DataError(f"{name} cannot be read as an image ({first_line(error).partition(' <')[0]})") from error
    return pixels if pixels.ndim == 3 else pixels[..., None]
