"""Image files of every kind to the pixels that a browser shows."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from remask_core.errors import InputError
from remask_core.images import MAX_PIXELS, decode_image, decode_labels, image_size

RNG = np.random.default_rng(11)
PICTURE = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes = b"") -> bytes:
    """A PNG file written by hand, so that its header can claim anything."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">L", zlib.crc32(kind + body))
        return struct.pack(">L", len(body)) + kind + body + check

    head = struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]
)
def test_lossless_files_come_out_as_they_went_in(kind: str, options: dict[str, Any]) -> None:
    data = saved(Image.fromarray(PICTURE), kind, **options)

    decoded = decode_image(data)

    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, PICTURE)
    assert image_size(data) == (5, 7)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("WEBP", {"exact": True})],
)
def test_lossy_files_keep_their_size(kind: str, options: dict[str, Any]) -> None:
    data = saved(Image.fromarray(np.full((33, 20, 3), 90, np.uint8)), kind, **options)

    assert image_size(data) == (33, 20)
    assert np.abs(decode_image(data).astype(int) - 90).max() <= 3


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied_to_png(orientation: int) -> None:
    data = saved(Image.fromarray(PICTURE), "PNG", exif=exif_of(orientation))
    upright = UPRIGHT[orientation](PICTURE)

    assert np.array_equal(decode_image(data), upright)
    assert image_size(data) == upright.shape[:2]


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied_to_jpeg(orientation: int) -> None:
    plain = saved(Image.fromarray(PICTURE), "JPEG")
    turned = saved(Image.fromarray(PICTURE), "JPEG", exif=exif_of(orientation))

    assert np.array_equal(decode_image(turned), UPRIGHT[orientation](decode_image(plain)))
    assert image_size(turned) == decode_image(turned).shape[:2]


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_read_in_both_byte_orders(order: str) -> None:
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHHLL", 2, 0x0100, 4, 1, 9)
    entries += struct.pack(order + "HHLHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0" + magic + struct.pack(order + "L", 8) + entries
    data = saved(Image.fromarray(PICTURE), "JPEG", exif=exif)

    assert image_size(data) == (7, 5)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0nonsense",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x05\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x09\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\2\0\x06\0\0",
    ],
)
def test_broken_exif_turns_nothing(exif: bytes) -> None:
    data = saved(Image.fromarray(PICTURE), "JPEG", exif=exif)

    assert image_size(data) == (5, 7)
    assert decode_image(data).shape == (5, 7, 3)


def test_webp_is_not_turned() -> None:
    data = saved(Image.fromarray(PICTURE), "WEBP", lossless=True, exif=exif_of(6))

    assert image_size(data) == (5, 7)
    assert np.array_equal(decode_image(data), PICTURE)


def test_xmp_orientation_turns_nothing() -> None:
    xmp = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    data = saved(Image.fromarray(PICTURE), "JPEG", xmp=xmp)

    assert image_size(data) == (5, 7)
    assert decode_image(data).shape == (5, 7, 3)


def test_grey_becomes_three_equal_channels() -> None:
    grey = PICTURE[:, :, 0]

    decoded = decode_image(saved(Image.fromarray(grey), "PNG"))

    assert np.array_equal(decoded, np.stack([grey] * 3, axis=-1))


def test_one_bit_is_black_and_white() -> None:
    image = Image.fromarray(np.array([[True, False], [False, True]]))

    assert decode_image(saved(image, "PNG"))[:, :, 0].tolist() == [[255, 0], [0, 255]]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    levels = np.array([[0, 128, 129, 257, 1000, 32896, 65535]], np.uint16)
    data = saved(Image.fromarray(levels), "PNG")

    assert decode_image(data)[0, :, 1].tolist() == [0, 0, 1, 1, 4, 128, 255]


def test_sixteen_bit_colour_keeps_its_upper_byte() -> None:
    row = b"\0" + struct.pack(">HHHHHH", 0xFF00, 0x8000, 0x0100, 0, 0x1234, 0xFFFF)
    data = png(2, 1, depth=16, colour=2, rows=row)

    assert decode_image(data).tolist() == [[[255, 128, 1], [0, 0x12, 255]]]


def test_palette_becomes_its_colours() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])

    expected = [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]

    assert decode_image(saved(image, "PNG")).tolist() == expected
    assert decode_image(saved(image, "GIF")).tolist() == expected


def test_transparent_pixels_are_white_and_half_transparent_ones_half() -> None:
    rgba = np.array([[[200, 0, 0, 0], [200, 0, 100, 255], [0, 0, 0, 51]]], np.uint8)
    expected = [[[255, 255, 255], [200, 0, 100], [204, 204, 204]]]

    assert decode_image(saved(Image.fromarray(rgba), "PNG")).tolist() == expected
    webp = saved(Image.fromarray(rgba), "WEBP", lossless=True, exact=True)
    assert decode_image(webp).tolist() == expected


def test_transparent_grey_and_palette_are_laid_on_white() -> None:
    grey = Image.fromarray(np.array([[[40, 0], [40, 255]]], np.uint8), "LA")
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 40, 40])
    expected = [[[255] * 3, [40] * 3]]

    assert decode_image(saved(grey, "PNG")).tolist() == expected
    assert decode_image(saved(palette, "PNG", transparency=0)).tolist() == expected
    assert decode_image(saved(palette, "PNG", transparency=b"\0\xff")).tolist() == expected
    assert decode_image(saved(palette, "GIF", transparency=0)).tolist() == expected


def test_cmyk_jpeg_is_not_inverted() -> None:
    ink = Image.fromarray(np.full((16, 16, 4), [10, 200, 40, 60], np.uint8), "CMYK")

    decoded = decode_image(saved(ink, "JPEG", quality=100))

    assert np.abs(decoded.astype(int) - [187, 42, 164]).max() <= 2


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_shows_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("#00f", "#f00", "#0f0")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)

    assert np.array_equal(decode_image(data), np.full((4, 6, 3), [0, 0, 255]))
    assert image_size(data) == (4, 6)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_truncated_files_are_refused(kind: str) -> None:
    picture = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = saved(Image.fromarray(picture), kind)

    for part in (0.9, 0.5, 0.05):
        with pytest.raises(InputError, match="`data` must be"):
            decode_image(data[: int(part * len(data))])


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0", b"RIFF\0\0\0\0WEBP", b"BM"]
)
def test_other_data_is_refused(data: bytes) -> None:
    for read in (decode_image, image_size):
        with pytest.raises(InputError, match="`data` must be"):
            read(data)


def test_tiff_is_refused_as_browsers_do() -> None:
    with pytest.raises(InputError, match="must be a JPEG, PNG, WebP, GIF or BMP file"):
        decode_image(saved(Image.fromarray(PICTURE), "TIFF"))


def test_size_is_checked_before_pixels_are_decoded() -> None:
    """No pixels follow these headers, so decoding them would fail otherwise."""
    huge = png(50_000, 40_000, depth=8, colour=2)

    assert image_size(huge) == (40_000, 50_000)
    with pytest.raises(InputError, match=f"at most {MAX_PIXELS} pixels; got 50000 x 40000"):
        decode_image(huge)


def test_size_of_a_webp_is_checked_from_its_header() -> None:
    side = (16_000 - 1).to_bytes(3, "little")
    data = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + side + side

    assert image_size(data) == (16_000, 16_000)
    with pytest.raises(InputError, match="at most 100000000 pixels"):
        decode_image(data)


def test_limit_is_inclusive() -> None:
    data = saved(Image.fromarray(PICTURE), "PNG")

    assert decode_image(data, max_pixels=35).shape == (5, 7, 3)
    with pytest.raises(InputError, match="at most 34 pixels; got 7 x 5, which is 35"):
        decode_image(data, max_pixels=34)


def test_image_without_pixels_is_refused() -> None:
    with pytest.raises(InputError, match="`data` must be"):
        image_size(png(0, 4, depth=8, colour=0))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_labels_are_the_levels_that_are_stored(depth: int) -> None:
    levels = [0, 1, min(3, 2**depth - 1), 2**depth - 1]
    bits = "".join(f"{level:0{depth}b}" for level in levels)
    row = int(bits, 2).to_bytes((len(bits) + 7) // 8, "big") if len(bits) >= 8 else None
    row = bytes([int(bits.ljust(8, "0"), 2)]) if row is None else row
    labels = decode_labels(png(4, 1, depth=depth, colour=0, rows=b"\0" + row))
    assert labels.tolist() == [levels]
    assert labels.dtype == (np.uint16 if depth == 16 else np.uint8)


def test_what_is_no_label_map_is_refused() -> None:
    with pytest.raises(InputError, match="PNG label map"):
        decode_labels(saved(Image.fromarray(PICTURE), "JPEG"))
    with pytest.raises(InputError, match="3 channels"):
        decode_labels(saved(Image.fromarray(PICTURE), "PNG"))
    with pytest.raises(InputError, match="broken"):
        decode_labels(png(4, 4, depth=8, colour=0))
    with pytest.raises(InputError, match="at most 100000000 pixels"):
        decode_labels(png(60000, 60000, depth=8, colour=0))
