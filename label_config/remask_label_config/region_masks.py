"""Masks in Label Studio's JSON: brush RLE or PNG, decoded and encoded."""

from __future__ import annotations

import base64
import binascii
import struct

import cv2
import msgspec
import numpy as np

from remask_core.errors import InputError, ShapeMismatch
from remask_core.rle_ls import decode_ls_rle, encode_ls_alpha_bytes, encode_ls_rle_bytes
from remask_core.types import BoolMask
from remask_label_config.regions import Region

__all__ = [
    "decode_mask_png",
    "has_mask",
    "ls_rle_of_region",
    "mask_of_region",
    "mask_png_data_url",
    "outlined_ls_rle",
]

INSIDE_ALPHA = 140
"""Of 255: shows the object below its mask, lets clicks through, and counts as mask."""

RIM_ALPHA = 254
"""Of 255: the outline. Wholly opaque pixels would catch the annotator's clicks."""

RIM_PX = 2
"""Width of the outline in pixels of the image."""

_OPAQUE = 128
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_DATA_URL = "data:image/png;base64,"
_RLE = msgspec.json.Decoder(list[int])


def has_mask(region: Region) -> bool:
    """Whether the region is a brush or bitmask region that holds a mask."""
    return region.type in ("brush", "brushlabels", "bitmask", "bitmasklabels") and bool(
        region.value.image_data_url or bytes(region.value.rle) not in (b"", b"null", b"[]")
    )


def ls_rle_of_region(region: Region, *, shape_hw: tuple[int, int]) -> bytes:
    """Return a mask region's mask as Label Studio brush RLE.

    Pixels count from an alpha of 128: strokes by hand leave grey edges.

    Raises:
        InputError: The mask is malformed.
        ShapeMismatch: It is of another size than the image.
    """
    if region.value.image_data_url:
        return encode_ls_rle_bytes(_decode_data_url(region.value.image_data_url, shape_hw))
    rle = _rle(region)
    decode_ls_rle(rle, shape_hw=shape_hw)
    return rle


def mask_of_region(region: Region, *, shape_hw: tuple[int, int]) -> BoolMask:
    """Return a mask region's mask, (H, W) bool; otherwise as `ls_rle_of_region`."""
    if region.value.image_data_url:
        return _decode_data_url(region.value.image_data_url, shape_hw)
    return decode_ls_rle(_rle(region), shape_hw=shape_hw)


def _rle(region: Region) -> bytes:
    try:
        return bytes(_RLE.decode(region.value.rle))
    except (msgspec.DecodeError, ValueError) as error:
        raise InputError(f"`value.rle` of region `{region.id}` must be a list of bytes") from error


def outlined_ls_rle(mask: BoolMask) -> bytes:
    """Return the brush RLE that shows `mask`, (H, W) bool, with an outline.

    The alpha channel makes the outline: the mask's outermost pixels are near opaque and the rest
    lets the object be seen. All of them count as mask for every reader, who asks for 128. What
    the image's edge cuts off is outlined, too.
    """
    if not mask.any():
        return encode_ls_rle_bytes(mask)
    kernel = np.ones((2 * RIM_PX + 1, 2 * RIM_PX + 1), np.uint8)
    inside = cv2.erode(mask.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    alpha = mask.view(np.uint8) * np.uint8(RIM_ALPHA)
    alpha[inside.view(np.bool_)] = INSIDE_ALPHA
    return encode_ls_alpha_bytes(alpha)


def mask_png_data_url(png: bytes) -> str:
    """Return a PNG as `value.imageDataURL` holds it."""
    return _DATA_URL + base64.b64encode(png).decode("ascii")


def decode_mask_png(png: bytes, *, shape_hw: tuple[int, int]) -> BoolMask:
    """Return the mask, (H, W) bool, that a PNG shows: where it is opaque and not black.

    The header is read before a pixel is decoded, so a small file cannot fill the memory.

    Raises:
        InputError: It is not a PNG that can be decoded.
        ShapeMismatch: It is of another size than `shape_hw`.
    """
    if len(png) < 24 or not png.startswith(_PNG_HEAD):
        raise InputError(f"`png` must be a PNG file; got {len(png)} other bytes")
    width, height = struct.unpack(">II", png[16:24])
    if (height, width) != tuple(shape_hw):
        raise ShapeMismatch(f"`png` must have shape {tuple(shape_hw)}; got {(height, width)}")
    picture = cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint8:
        raise InputError("`png` must be a PNG of 8 bits a channel; it cannot be decoded")
    if picture.ndim == 2:
        return np.asarray(picture >= _OPAQUE)
    if picture.shape[2] == 4 and int(picture[..., 3].min()) < _OPAQUE:
        return np.asarray(picture[..., 3] >= _OPAQUE)
    return np.asarray(picture[..., :3].max(axis=2) >= _OPAQUE)


def _decode_data_url(url: str, shape_hw: tuple[int, int]) -> BoolMask:
    if not url.startswith(_DATA_URL):
        raise InputError(f"`value.imageDataURL` must start with {_DATA_URL!r}; got {url[:30]!r}")
    try:
        png = base64.b64decode(url[len(_DATA_URL) :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"`value.imageDataURL` must be base64: {error}") from error
    return decode_mask_png(png, shape_hw=shape_hw)
