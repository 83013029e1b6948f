"""Image files, read by Pillow with limits on their size and format."""

import io
import warnings
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ramnp.errors import DataError, first_line

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")
LARGEST = 4096  # most pixels along a side: decoding takes as much memory as the file claims, however short it is
GRAY = ("1", "L", "LA")
COLOUR = ("P", "RGB", "RGBA", "CMYK", "YCbCr")


def read_image(
    content: bytes | bytearray, name: str, formats: Sequence[str] = FORMATS, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Decode an image file to (H, W, C), uint8: gray (C = 1) or RGB (C = 3). Transparency is dropped.

    Args:
        content: the bytes of the file.
        name: name of the file, for error messages.
        formats: Pillow's names of the formats to accept.
        size: the (width, height) the image must have; None for any.

    Raises:
        DataError: the file is damaged, in another format or of another size, or larger than `LARGEST` along a side.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata, and about sizes that we refuse below
            with Image.open(io.BytesIO(content), formats=list(formats)) as image:
                if image.format == "PNG":
                    image.verify()  # every chunk with its checksum, to the end: decoding stops where the pixels do
            with Image.open(io.BytesIO(content), formats=list(formats)) as image:
                if size and image.size != size:
                    raise DataError(f"{name} is {image.width}x{image.height} pixels, not {size[0]}x{size[1]}")
                if max(image.size) > LARGEST:
                    raise DataError(
                        f"{name} is {image.width}x{image.height} pixels; a side may have at most {LARGEST}: resize it"
                    )
                if image.mode not in GRAY + COLOUR:
                    raise DataError(f"{name} has pixels of the unsupported mode {image.mode}: save it as gray or RGB")
                pixels = np.array(image.convert("L" if image.mode in GRAY else "RGB"))
                if image.mode == "P" and (pixels == pixels[..., :1]).all():  # a palette of grays
                    pixels = pixels[..., 0]
    except DataError:
        raise
    except Exception as error:  # Pillow reports damage in many types
        raise DataError(f"{name} cannot be read as an image ({first_line(error).partition(' <')[0]})") from error
    return pixels if pixels.ndim == 3 else pixels[..., None]
