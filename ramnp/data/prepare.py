"""What is done to an image before a network sees it: put on a background, made gray or coloured, resized.

The configuration says how (`background`, `colour`, `resize`, `fit`). It is part of every checkpoint, so the same is
done to the images of a training, of an evaluation, and to those that a trained network is asked about.
"""

import dataclasses
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ramnp.config import DataConfig

FIELDS = ("resize", "fit", "background", "colour")  # of the configuration
FILTER = Image.Resampling.LANCZOS  # averages over all the pixels that become one
NAMED = {"white": "#ffffff", "black": "#000000"}


def ground(background: str) -> tuple[int, int, int]:
    """The red, green and blue of a background: white, black or #rrggbb."""
    red, green, blue = bytes.fromhex(NAMED.get(background, background).removeprefix("#"))
    return red, green, blue


def composed(pixels: np.ndarray, background: str) -> np.ndarray:
    """Pixels (H, W, C) without transparency: alpha x pixel + (1 - alpha) x background.

    Args:
        pixels: uint8; gray (C = 1), gray and alpha (2), RGB (3) or RGB and alpha (4).
        background: see `ground`. On one that has a colour, gray images become RGB, whether they are transparent or not.

    Returns:
        gray (H, W, 1) or RGB (H, W, 3), uint8.
    """
    below = np.array(ground(background))
    opaque = pixels[..., : 1 if pixels.shape[2] < 3 else 3]
    if opaque.shape[2] == 1 and (below == below[0]).all():
        below = below[:1]
    opaque = opaque if opaque.shape[2] == len(below) else opaque.repeat(len(below) // opaque.shape[2], axis=2)
    if pixels.shape[2] in (1, 3):
        return opaque
    alpha = pixels[..., -1:].astype(np.uint16)
    mixed = alpha * opaque + (255 - alpha) * below.astype(np.uint16)[: opaque.shape[2]]
    return ((mixed + 127) // 255).astype(np.uint8)


def coloured(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Pixels (..., 1) or (..., 3), uint8, as gray (channels = 1; Pillow's luma, of ITU-R 601) or as RGB (3)."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 1:
        return np.array(Image.fromarray(pixels).convert("L"))[..., None]
    return pixels.repeat(channels, axis=-1)


def resized(pixels: np.ndarray, side: int, fit: str, background: str) -> np.ndarray:
    """Pixels (H, W, 1 or 3) as a square (side, side, 1 or 3).

    Args:
        fit: "crop" keeps the middle of the longer side; "pad" keeps all, and fills up with the background; "stretch"
            keeps all, and distorts it.
    """
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    square = (side, side)
    if fit == "crop":
        image = ImageOps.fit(image, square, FILTER)
    elif fit == "pad":
        red, green, blue = ground(background)
        image = ImageOps.pad(image, square, FILTER, color=red if image.mode == "L" else (red, green, blue))
    else:
        image = image.resize(square, FILTER)
    return np.array(image).reshape(side, side, pixels.shape[2])


def prepared(pixels: np.ndarray, config: DataConfig) -> np.ndarray:
    """The pixels (H, W, C) of a file, C from 1 to 4, as the configuration wants them: gray or RGB, of its size."""
    pixels = composed(pixels, config.background)
    if config.colour != "auto":
        pixels = coloured(pixels, 1 if config.colour == "gray" else 3)
    return resized(pixels, config.resize, config.fit, config.background) if config.resize else pixels


def preparation(config: DataConfig, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """How a file becomes an image of this shape, as JSON."""
    settings = {name: getattr(channels_of(config, image_shape[2]), name) for name in FIELDS}
    return settings | ({} if config.resize else {"fit": None})


def channels_of(config: DataConfig, channels: int) -> DataConfig:
    """The configuration whose images have this number of channels: that to which "auto" came in training."""
    return dataclasses.replace(config, colour="gray" if channels == 1 else "rgb")
