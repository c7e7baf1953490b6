"""Decoding of image files into the pixels that a browser shows.

Annotators see an image in a browser and click on it there, so that is the picture a model must
see: turned by the EXIF orientation where browsers turn it, laid on white where it is transparent,
the first frame of an animation. Colour profiles are not applied.

Source: Chromium's behaviour, tried with files of each kind. It turns JPEG and PNG files, not WebP
ones, and by EXIF alone, never by XMP; TIFF files it does not show.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from remask_core.errors import InputError
from remask_core.types import LabelMap, RgbImage

__all__ = ["MAX_PIXELS", "decode_image", "decode_labels", "image_size"]

MAX_PIXELS = 100_000_000
"""Pixels of the largest image that is decoded unless the caller says otherwise: 300 MB of RGB."""


class _JpegFile(JpegImageFile):
    """A JPEG file whose EXIF is not looked at while it is opened.

    The parent looks for a print resolution there, and warns of every small fault that it meets.
    """

    def getexif(self) -> Image.Exif:
        return Image.Exif()


# Classes rather than `Image.open`: that one warns or fails by limits kept in a global, reads
# formats that no browser shows, and starts Ghostscript for some of them.
_READERS: tuple[tuple[bytes, Callable[[io.BytesIO], ImageFile]], ...] = (
    (b"\xff\xd8\xff", _JpegFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"BM", BmpImageFile),
)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture of an EXIF orientation upright; from 5 on, width and height swap."""

_PIL_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

_PNG_BITS_AT = 24  # in the header chunk, which comes first

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """Return the pixels of an image file, as a browser shows them on a white page.

    Args:
        data: The file: JPEG, PNG, WebP, GIF or BMP, of any mode (grey of 1 to 16 bits, palette,
            RGB, CMYK, with or without transparency).
        max_pixels: Largest height times width; compared with the header before decoding.

    Returns:
        (H, W, 3) uint8 RGB. Grey of 16 bits is divided by 257, rounded.

    Raises:
        InputError: Not such a file, broken, truncated or too large.

    Differs: Chromium shows the upper byte of 16-bit grey (a difference of one level at most), and
        as much of a truncated file as there is.
    """
    with _pil_errors():
        if _is_webp(data):
            # Its reader takes memory for the whole picture as soon as it is made.
            _check_size(_webp_size(data), max_pixels)
        image = _open(data)
        _check_size(image.size, max_pixels)
        turn = _TURNS.get(_orientation(image))
        image.load()
        rgb = _on_white(image)
        if turn is not None:
            rgb = rgb.transpose(turn)
        return np.array(rgb)


def decode_labels(data: bytes, *, max_pixels: int = MAX_PIXELS) -> LabelMap:
    """Return the numbers in a PNG label map: grey levels as stored, or indices of a palette.

    Args:
        data: The file, of 1 to 16 bits of grey, or with a palette.
        max_pixels: Largest height times width.

    Returns:
        (H, W) uint8, or uint16 for grey of 16 bits.

    Raises:
        InputError: Not a PNG of these kinds, broken or too large.

    Differs: OpenCV turns indices into colours, and stretches grey of fewer than 8 bits to 0 to 255.
    """
    if not data.startswith(b"\x89PNG"):
        raise InputError(f"`data` must be a PNG label map; got bytes that begin with {data[:8]!r}")
    with _pil_errors():
        image = _open(data)
        _check_size(image.size, max_pixels)
        image.load()
    if image.mode not in ("1", "L", "P", "I;16", "I"):
        raise InputError(
            "`data` must be a greyscale or palette PNG of labels; "
            f"got one of {len(image.getbands())} channels"
        )
    labels = np.asarray(image)
    if image.mode in ("I;16", "I"):
        return labels.astype(np.uint16)
    bits = data[_PNG_BITS_AT]
    # Grey of 2 and 4 bits comes out stretched.
    stretched = 255 // ((1 << bits) - 1) if image.mode == "L" else 1
    return labels.astype(np.uint8) // np.uint8(stretched)


def image_size(data: bytes) -> tuple[int, int]:
    """Return height and width in pixels, as `decode_image` would give them, from the header alone.

    Raises:
        InputError: Not a JPEG, PNG, WebP, GIF or BMP file, or a broken header.
    """
    with _pil_errors():
        if _is_webp(data):
            width, height = _webp_size(data)
            return height, width
        image = _open(data)
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


@contextmanager
def _pil_errors() -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _PIL_ERRORS as error:
        raise InputError(f"`data` must be a whole image file; it is broken: {error}") from error


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"`data` must be an image of at most {max_pixels} pixels; "
            f"got {width} x {height}, which is {width * height}"
        )


def _open(data: bytes) -> ImageFile:
    if _is_webp(data):
        return WebPImageFile(io.BytesIO(data))
    reader = next((reader for magic, reader in _READERS if data.startswith(magic)), None)
    if reader is None:
        raise InputError(
            "`data` must be a JPEG, PNG, WebP, GIF or BMP file; "
            f"got {len(data)} bytes that begin with {data[:8]!r}"
        )
    return reader(io.BytesIO(data))


def _is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height from a WebP file's first chunk: extended, lossy or lossless."""
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        width, height = data[24:27], data[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a" and len(data) >= 30:
        lossy_width, lossy_height = struct.unpack_from("<HH", data, 26)
        return lossy_width & 0x3FFF, lossy_height & 0x3FFF
    if chunk == b"VP8L" and data[20:21] == b"\x2f" and len(data) >= 25:
        (bits,) = struct.unpack_from("<L", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise ValueError("it has no WebP picture header")


def _orientation(image: ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8, or 1 where browsers look for none.

    To be called before the pixels are loaded: browsers ignore what stands behind a PNG's pixels.
    """
    exif = image.info.get("exif")
    if not isinstance(image, (JpegImageFile, PngImageFile)) or not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "L", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            at = directory + 2 + 12 * entry
            tag, kind, count, value = struct.unpack_from(order + "HHLH", tiff, at)
            if tag == _ORIENTATION_TAG and kind == _SHORT and count == 1:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.uint32) + 128) // 257
        image = Image.fromarray(grey.astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGB", layer.size, "white")
        page.paste(layer, mask=layer.getchannel("A"))
        return page
    # PIL has already undone the inversion of Adobe's CMYK files.
    return image.convert("RGB")
