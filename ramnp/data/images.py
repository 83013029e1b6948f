"""Images as people have them: files, read by Pillow within bounds; Pillow's own images; arrays of one or of many."""

import functools
import io
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ramnp.config import DataConfig
from ramnp.data.files import read_file
from ramnp.data.prepare import channels_of, composed, prepared
from ramnp.errors import DataError, UsageError, first_line
from ramnp.files import expand

Images: TypeAlias = npt.ArrayLike | Image.Image | os.PathLike[str] | Sequence[Any]  # see `batch_of`
KINDS = (np.ndarray, Image.Image, str, os.PathLike)  # what a list of single images may hold

# Formats that Pillow lists and that are not read: vector graphics, which other programs draw, and mere descriptions.
REFUSED = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
LONGEST = 512 << 20  # largest file, in bytes
LARGEST = 4096  # most pixels along a side, unless it is resized: decoding takes as much memory as the file claims
PLAIN = ("1", "L", "LA", "La")
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N", "I")  # an "I" has 32 bits, but comes from files of 16
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


class TooLarge(DataError):
    """An image has more pixels along a side than it may have without being resized."""


@functools.cache
def suffixes() -> dict[str, str]:
    """The endings of the file names that are read, in small letters, and Pillow's name of the format of each."""
    Image.init()
    known = {**Image.registered_extensions(), ".mpo": "JPEG"}
    return {suffix: name for suffix, name in sorted(known.items()) if name in Image.OPEN and name not in REFUSED}


@functools.cache
def formats_of(suffix: str) -> tuple[str, ...]:
    """The formats that a file of this ending may have: those that a file shows by its first bytes, and its own."""
    own = suffixes().get(suffix.lower())
    shown = [name for name, (_, accept) in Image.OPEN.items() if accept and name not in REFUSED]
    return tuple(dict.fromkeys([own, *shown] if own else shown))


def decode(
    content: bytes | bytearray,
    name: str,
    formats: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    largest: int | None = LARGEST,
) -> np.ndarray:
    """Decode an image file to its pixels, see `pixels_of`.

    Args:
        content: the bytes of the file.
        name: name of the file, for error messages.
        formats: Pillow's names of the formats to accept; None for all that are read.
        size: the (width, height) the image must have; None for any.
        largest: most pixels along a side; None for Pillow's own limit, 179 million pixels in all.

    Raises:
        DataError: the file is damaged, in another format or of another size, or larger than `largest` along a side.
    """
    formats = list(formats or formats_of(Path(name).suffix))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata, and about sizes that we refuse below
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if image.format == "PNG":
                    image.verify()  # every chunk with its checksum, to the end: decoding stops where the pixels do
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if size and image.size != size:
                    raise DataError(f"{name} is {image.width}x{image.height} pixels, not {size[0]}x{size[1]}")
                if largest and max(image.size) > largest:
                    raise TooLarge(f"{name} is {image.width}x{image.height} pixels; a side may have at most {largest}")
                return pixels_of(image, name)
    except DataError:
        raise
    except Exception as error:  # Pillow reports damage in many types
        raise DataError(f"{name} cannot be read as an image ({first_line(error).partition(' <')[0]})") from error


def pixels_of(image: Image.Image, name: str) -> np.ndarray:
    """The pixels (H, W, C) of a Pillow image, uint8: gray (C = 1), gray and alpha (2), RGB (3), or RGB and alpha (4).

    The image is turned as its EXIF data say, so that up is up. Of 16 bits, 8 are kept. Of an animation or of several
    pages, the first one is taken. There is an alpha only if a pixel is transparent.

    Raises:
        DataError: the pixels are of a kind that is not read, such as floats.
    """
    if image.mode not in PLAIN + SIXTEEN + COLOUR:
        raise DataError(f"{name} has pixels of the unsupported mode {image.mode}: save it as gray or RGB")
    with suppress(Exception):  # nonsense in the EXIF data is no reason to refuse the pixels
        image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN:
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"{name} has gray values of more than 16 bits: save it with 8 or 16")
        return ((values * 255 + 32767) // 65535).astype(np.uint8)[..., None]
    gray, transparent = image.mode in PLAIN, image.has_transparency_data
    if transparent:
        pixels = np.array(image.convert("RGBA"))
        gray, transparent = gray and bool((pixels[..., :3] == pixels[..., :1]).all()), bool(pixels[..., 3].min() < 255)
    else:
        pixels = np.array(image.convert("L" if gray else "RGB"))
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if image.mode in ("P", "PA"):  # perhaps a palette of grays
        gray = bool((pixels[..., :3] == pixels[..., :1]).all())
    return pixels[..., ([0] if gray else [0, 1, 2]) + ([3] if transparent else [])]


def read_image(
    content: bytes | bytearray,
    name: str,
    formats: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    background: str = "white",
) -> np.ndarray:
    """Decode an image file to (H, W, C), uint8: gray (C = 1) or RGB (C = 3), on a background if it is transparent.

    Raises:
        DataError: as `decode`.
    """
    return composed(decode(content, name, formats, size), background)


def decode_file(path: Path, resized: bool) -> np.ndarray:
    """`decode` of a file; one that will be resized may be larger.

    Raises:
        DataError: it cannot be read, or is no image within the bounds.
    """
    return decode(read_file(path, LONGEST), str(path), largest=None if resized else LARGEST)


def batch_of(images: Images, image_shape: tuple[int, int, int], config: DataConfig) -> np.ndarray:
    """Images as an array (n, H, W, C), for a model of images (H, W, C). A single image gives n = 1.

    Files and Pillow images are prepared as those of the training were (`prepare.py`): put on the background, made gray
    or coloured, and resized if those were. Gray arrays are repeated for a model of colours. An array in colour does not
    become gray, since nobody knows what its channels are.

    Args:
        images: an array (H, W), (H, W, C), (n, H, W) or (n, H, W, C); a Pillow image; the path of a file; or a list of
            these, one image each.
        config: how the images of the training were prepared.

    Raises:
        DataError: a file is missing, damaged or no image.
        UsageError: an image is not of the shape that the model is for.
    """
    height, width, channels = image_shape
    config = channels_of(config, channels)
    if isinstance(images, str | os.PathLike | Image.Image):
        images = [images]
    if isinstance(images, list | tuple) and not images:
        return np.empty((0, *image_shape), np.uint8)
    if isinstance(images, list | tuple) and any(isinstance(each, KINDS) for each in images):
        return stacked([one_image(each, number, channels, config) for number, each in enumerate(images)], image_shape)
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


def one_image(image: Any, number: int, channels: int, config: DataConfig) -> tuple[str, np.ndarray]:
    """A name for messages, and the pixels (H, W, C) of one image of a list."""
    if isinstance(image, str | os.PathLike):
        return str(image), prepared(decode_file(expand(image), bool(config.resize)), config)
    name = f"image {number}"
    if isinstance(image, Image.Image):
        return name, prepared(pixels_of(image, name), config)
    pixels = np.asarray(image)
    return name, with_channels(pixels if pixels.ndim == 3 else pixels[..., None], channels)


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
