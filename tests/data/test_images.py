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


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_of_sixteen_bits_eight_are_kept(kind, order, rng):
    values = rng.integers(0, 65536, (5, 6)).astype(order)
    values[0, :3] = 0, 128, 65535
    file = io.BytesIO()
    Image.fromarray(values if kind == "TIFF" else values.astype(np.uint16)).save(file, format=kind)
    image = images.read_image(file.getvalue(), "a")
    np.testing.assert_array_equal(image[..., 0], np.round(values / 257))
    assert image.dtype == np.uint8


@pytest.mark.parametrize("mode", ["F", "LAB", "HSV"])
def test_pixels_of_other_kinds_are_refused(mode):
    with pytest.raises(DataError, match=f"a has pixels of the unsupported mode {mode}: save it as gray or RGB"):
        images.pixels_of(Image.new(mode, (3, 3)), "a")


def test_more_than_sixteen_bits_are_refused():
    with pytest.raises(DataError, match="more than 16 bits"):
        images.pixels_of(Image.new("I", (3, 3), 65536), "a")


# What phones and scanners write.


TURNS = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.transpose(1, 0),
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).transpose(1, 0), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", TURNS)
def test_an_image_is_turned_as_its_exif_data_say(kind, orientation, rng):
    """`TURNS` is written from the EXIF standard: what a viewer has to do to the stored pixels."""
    pixels = np.kron(rng.integers(0, 2, (2, 3)), np.ones((16, 16))).astype(np.uint8) * 255
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(
        file, format=kind, exif=exif, **{"lossless": True} if kind == "WEBP" else {}
    )
    found = images.read_image(file.getvalue(), "x")[..., 0]
    np.testing.assert_allclose(found, TURNS[orientation](pixels), atol=3 if kind == "JPEG" else 0)


def test_nonsense_in_the_exif_data_is_no_reason_to_refuse_an_image():
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (1, 2, 3)).save(file, format="PNG", exif=b"Exif\0\0nonsense")
    assert images.read_image(file.getvalue(), "x").shape == (4, 4, 3)


def test_there_is_an_alpha_only_if_a_pixel_is_transparent():
    for mode, channels in (("LA", 2), ("RGBA", 4)):
        image = Image.new(mode, (3, 3), (10,) * (channels - 1) + (255,))
        assert images.pixels_of(image, "x").shape == (3, 3, channels - 1)
        image.putpixel((0, 0), (10,) * (channels - 1) + (254,))
        assert images.pixels_of(image, "x").shape == (3, 3, channels)


def test_the_transparent_colour_of_a_palette_is_transparent():
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((1, 0), 1)
    file = io.BytesIO()
    image.save(file, format="PNG", transparency=0)
    assert images.read_image(file.getvalue(), "x").tolist() == [[[255, 255, 255], [255, 0, 0]]]
    assert images.read_image(file.getvalue(), "x", background="#0000ff").tolist() == [[[0, 0, 255], [255, 0, 0]]]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a", "a.tga"])
def test_a_file_is_known_by_its_first_bytes_and_not_by_its_name(name):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (1, 2, 3)).save(file, format="TIFF")
    assert images.read_image(file.getvalue(), name).tolist() == [[[1, 2, 3]] * 4] * 4


def test_a_format_that_shows_itself_by_its_name_only_needs_that():
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (1, 2, 3)).save(file, format="TGA")
    assert images.read_image(file.getvalue(), "a.TGA").tolist() == [[[1, 2, 3]] * 4] * 4
    with pytest.raises(DataError):
        images.read_image(file.getvalue(), "a.png")


def test_vector_graphics_are_not_drawn():
    """Pillow would start another program for it."""
    assert not {".eps", ".ps", ".wmf", ".pdf"} & set(images.suffixes())
    assert {".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".png", ".webp", ".bmp", ".gif", ".pgm"} <= set(
        images.suffixes()
    )
    with pytest.raises(DataError, match="cannot be read"):
        images.read_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a.eps")


@pytest.mark.parametrize(("width", "height"), [(4097, 4097), (4097, 1), (2, 30_000), (30_000, 30_000)])
def test_an_image_bomb_is_not_decoded(monkeypatch, width, height):
    monkeypatch.setattr(Image.Image, "convert", lambda *args: pytest.fail("decoded"))
    with pytest.raises(
        DataError, match=r"a\.png (is \d+x\d+ pixels; a side may have at most 4096|.*decompression bomb)"
    ):
        images.read_image(png_that_claims(width, height), "a.png")
    if width * height > 179_000_000:
        with pytest.raises(DataError, match="decompression bomb"):
            images.decode(png_that_claims(width, height), "a.png", largest=None)


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
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF"])
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
