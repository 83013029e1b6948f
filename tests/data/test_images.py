"""Image files: what is read, and what is refused."""

import io

import numpy as np
import pytest
from archives import damage, damaged, fuzz, little_memory, png, png_that_claims, survives
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ramnp.data import images
from ramnp.errors import DataError


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "GIF", "WEBP", "JPEG"])
def test_gray_and_colour_images_are_read(kind):
    rng = np.random.default_rng(0)
    for shape, mode in (((6, 9), "L"), ((6, 9, 3), "RGB")):
        if (kind, mode) in (("GIF", "RGB"), ("WEBP", "L"), ("GIF", "L")):
            continue  # these know only palettes, or only colour
        pixels = rng.integers(0, 256, shape, np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format=kind, **({"lossless": True} if kind == "WEBP" else {}))
        image = images.read_image(file.getvalue(), "x")
        assert image.shape == (6, 9, len(mode))
        if kind != "JPEG":
            np.testing.assert_array_equal(image.squeeze(), pixels)


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("P", 1), ("LA", 1), ("RGBA", 3)])
def test_kinds_of_pixels(mode, channels):
    pixels = np.zeros((5, 5), np.uint8)
    pixels[2] = 255
    image = images.read_image(png(pixels, mode), "x")
    assert image.shape == (5, 5, channels)
    np.testing.assert_array_equal(image[..., 0], pixels)


def test_sixteen_bits_are_refused():
    with pytest.raises(DataError, match=r"a\.png has pixels of the unsupported mode I;16"):
        images.read_image(png(np.zeros((5, 5), np.uint16)), "a.png")


@pytest.mark.parametrize(("width", "height"), [(4097, 4097), (4097, 1), (2, 30_000), (30_000, 30_000)])
def test_an_image_bomb_is_not_decoded(monkeypatch, width, height):
    monkeypatch.setattr(Image.Image, "convert", lambda *args: pytest.fail("decoded"))
    with pytest.raises(
        DataError, match=r"a\.png (is \d+x\d+ pixels; a side may have at most 4096|.*decompression bomb)"
    ):
        images.read_image(png_that_claims(width, height), "a.png")


def test_an_image_of_another_size_or_format_is_refused():
    content = png(np.zeros((4, 5), np.uint8))
    assert images.read_image(content, "x", ("PNG",), (5, 4)).shape == (4, 5, 1)
    with pytest.raises(DataError, match="x is 5x4 pixels, not 4x5"):
        images.read_image(content, "x", size=(4, 5))
    with pytest.raises(DataError, match="x cannot be read"):
        images.read_image(content, "x", ("JPEG",))


@given(st.one_of(st.binary(max_size=200), damage))
@fuzz
def test_arbitrary_bytes_are_an_image_or_refused(content):
    if isinstance(content, tuple):
        content = damaged(png(np.arange(100, dtype=np.uint8).reshape(10, 10)), *content)
    with little_memory(64 << 20):
        survives(lambda name: images.read_image(content, name), "a.png")


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP"])
def test_an_image_cut_anywhere_is_refused(kind, mode, rng):
    """Also behind the last pixel, where decoders do not look: who cut it there may have changed it as well."""
    pixels = np.where(rng.random((30, 30, 3)) < 0.1, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("L" if (kind, mode) == ("JPEG", "1") else mode).save(file, format=kind)
    content = file.getvalue()
    whole = images.read_image(content, "x")
    for kept in range(1, len(content) - 1, max(1, len(content) // 50)):
        try:
            found = images.read_image(content[:kept], "x")
        except DataError:
            continue
        assert kind != "PNG" or kept >= len(content) - 4  # within the checksum of the end mark, which is empty
        assert np.array_equal(found, whole), kept
