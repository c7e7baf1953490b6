"""Decoding of image files and prior masks, and encoding of answers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from remask_core.errors import BadImage, InputError
from remask_core.images import decode_image
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle_bytes
from remask_core.types import BoolMask, RgbImage
from remask_worker.calls import MaskEncoding, PriorMask

__all__ = ["decode_prior", "encode_mask", "read_image"]

_SEE_THROUGH = 254
"""Of 255: the editor lets clicks through a mask that is not wholly opaque, so that a click on the
mask mends it without a key being held."""


def read_image(path: str, *, max_pixels: int) -> RgbImage:
    """Return the image in the file as a browser shows it: (H, W, 3) uint8 RGB.

    Raises:
        BadImage: The file is gone, cannot be decoded, or has more than `max_pixels` pixels.
    """
    try:
        return decode_image(Path(path).read_bytes(), max_pixels=max_pixels)
    except OSError as error:
        raise BadImage(f"`image_path` must be a readable file; {error}") from error
    except InputError as error:
        raise BadImage(str(error)) from error


def decode_prior(prior: PriorMask, *, shape_hw: tuple[int, int]) -> BoolMask:
    """Return the mask, (H, W) bool.

    Raises:
        InputError: It cannot be decoded, or is not of `shape_hw`.
    """
    if prior.encoding == "coco_rle":
        return decode_coco_counts(prior.data, shape_hw=shape_hw)
    return decode_ls_rle(prior.data, shape_hw=shape_hw)


def encode_mask(mask: BoolMask, encoding: MaskEncoding) -> bytes:
    """Return the mask as `MaskEncoding` describes."""
    if encoding == "coco_rle":
        return encode_coco_counts(mask)
    if encoding == "ls_rle":
        return encode_ls_rle_bytes(mask, opacity=_SEE_THROUGH)
    # White and opaque, or black and transparent: all four channels are equal.
    rgba = np.repeat(mask.view(np.uint8)[:, :, None] * np.uint8(255), 4, axis=2)
    done, png = cv2.imencode(".png", rgba, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return png.tobytes()
