"""Images as people have them: files, read by Pillow within bounds; Pillow's own images; arrays of one or of many."""

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from ramnp.data.files import read_file
from ramnp.errors import DataError, UsageError, first_line
from ramnp.files import expand

Images: TypeAlias = npt.ArrayLike | Image.Image | os.PathLike[str] | Sequence[Any]  # see `batch_of`
KINDS = (np.ndarray, Image.Image, str, os.PathLike)  # what a list of single images may hold

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")
LONGEST = 64 << 20  # largest file, in bytes
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
                return pixels_of(image, name)
    except DataError:
        raise
    except Exception as error:  # Pillow reports damage in many types
        raise DataError(f"{name} cannot be read as an image ({first_line(error).partition(' <')[0]})") from error


def pixels_of(image: Image.Image, name: str) -> np.ndarray:
    """The pixels (H, W, C) of a Pillow image, as `read_image` gives them.

    Raises:
        DataError: they are of a kind that is not read, such as 16 bits.
    """
    if image.mode not in GRAY + COLOUR:
        raise DataError(f"{name} has pixels of the unsupported mode {image.mode}: save it as gray or RGB")
    pixels = np.array(image.convert("L" if image.mode in GRAY else "RGB"))
    if image.mode == "P" and (pixels == pixels[..., :1]).all():  # a palette of grays
        pixels = pixels[..., 0]
    return pixels if pixels.ndim == 3 else pixels[..., None]


def read_image_file(path: Path) -> np.ndarray:
    """`read_image` of a file.

    Raises:
        DataError: it cannot be read, or is no image within the bounds.
    """
    return read_image(read_file(path, LONGEST), str(path))


def batch_of(images: Images, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Images as an array (n, H, W, C), for a model of images (H, W, C). A single image gives n = 1.

    Gray images are repeated for a model of colours. Files and Pillow images in colour become gray for a gray model;
    an array in colour does not, since nobody knows what its channels are.

    Args:
        images: an array (H, W), (H, W, C), (n, H, W) or (n, H, W, C); a Pillow image; the path of a file; or a list of
            these, one image each.

    Raises:
        DataError: a file is missing, damaged or no image.
        UsageError: an image is not of the shape that the model is for.
    """
    height, width, channels = image_shape
    if isinstance(images, str | os.PathLike | Image.Image):
        images = [images]
    if isinstance(images, list | tuple) and not images:
        return np.empty((0, *image_shape), np.uint8)
    if isinstance(images, list | tuple) and any(isinstance(each, KINDS) for each in images):
        return stacked([one_image(each, number, channels) for number, each in enumerate(images)], image_shape)
    try:
        array = np.asarray(images)
    except (TypeError, ValueError) as error:
        raise UsageError(f"these are no images: {first_line(error)}") from error
    given = array.shape
    if given in ((height, width), (height, width, 1), image_shape):  # one image
        array = array[None]
    if array.ndim == 3:  # gray, without an axis for that
        array = array[..., None]
    array = with_channels(array, channels)
    if array.shape[1:] != image_shape:
        raise UsageError(f"the model is for images (n, {height}, {width}, {channels}), got {given}")
    return array


def one_image(image: Any, number: int, channels: int) -> tuple[str, np.ndarray]:
    """A name for messages, and the pixels (H, W, C) of one image of a list."""
    if isinstance(image, str | os.PathLike):
        name, pixels = str(image), read_image_file(expand(image))
    elif isinstance(image, Image.Image):
        name = f"image {number}"
        pixels = pixels_of(image, name)
    else:
        name, pixels = f"image {number}", np.asarray(image)
        return name, with_channels(pixels if pixels.ndim == 3 else pixels[..., None], channels)
    if pixels.shape[2] > channels:
        pixels = np.array(Image.fromarray(pixels).convert("L"))[..., None]
    return name, with_channels(pixels, channels)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Gray pixels (..., 1), repeated for each of the channels; others as they are."""
    return pixels.repeat(channels, axis=-1) if pixels.shape[-1:] == (1,) else pixels


def stacked(images: list[tuple[str, np.ndarray]], image_shape: tuple[int, int, int]) -> np.ndarray:
    """(n, H, W, C) from named images of that shape. Bytes among floats are scaled to [0, 1].

    Raises:
        UsageError: one has another shape.
    """
    height, width, channels = image_shape
    for name, pixels in images:
        if pixels.shape != image_shape:
            of = "x".join(map(str, pixels.shape))
            raise UsageError(
                f"{name} is {of} pixels, and the model is for {height}x{width}x{channels}: resize it first"
            )
    if len({pixels.dtype for _, pixels in images}) > 1:
        images = [(name, pixels / np.float32(255) if pixels.dtype == np.uint8 else pixels) for name, pixels in images]
    return np.stack([pixels for _, pixels in images])
