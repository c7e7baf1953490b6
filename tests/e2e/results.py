"""Regions as Label Studio stores them, read as masks, clicks and boxes, and what they must be."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from fakes import toy_mask
from PIL import Image

from remask_core.rle_ls import decode_ls_rle
from remask_core.types import BoolMask, Box, Click, Prompt, RgbImage


def pixel(region: dict[str, Any]) -> tuple[int, int]:
    """The pixel that a key point lies on."""
    value = region["value"]
    return (
        math.floor(value["x"] / 100 * region["original_width"]),
        math.floor(value["y"] / 100 * region["original_height"]),
    )


def box_of(value: dict[str, float], region: dict[str, Any]) -> Box:
    width, height = region["original_width"], region["original_height"]
    x0, y0 = value["x"] / 100 * width, value["y"] / 100 * height
    x1, y1 = x0 + value["width"] / 100 * width, y0 + value["height"] / 100 * height
    return Box(x0, y0, x1, y1)


def mask_of(region: dict[str, Any]) -> BoolMask:
    shape_hw = (region["original_height"], region["original_width"])
    if "rle" in region["value"]:
        return decode_ls_rle(region["value"]["rle"], shape_hw=shape_hw)
    data = base64.b64decode(region["value"]["imageDataURL"].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[:, :, 3] >= 128


def masks_in(result: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds = ("brush", "brushlabels", "bitmask", "bitmasklabels")
    return [region for region in result if region["type"] in kinds]


def class_of(result: Sequence[dict[str, Any]], region_id: str) -> str:
    """The class of a region, whichever of its entries holds it."""
    values = [region["value"] for region in result if region["id"] == region_id]
    keys = ("brushlabels", "bitmasklabels", "labels")
    (label,) = {value[key][0] for value in values for key in keys if key in value}
    return str(label)


def prompts_of(result: Sequence[dict[str, Any]], mask_id: str) -> list[dict[str, Any]]:
    """The prompts stored under a mask, in the order in which they were given."""
    kinds = ("keypoint", "keypointlabels", "ellipselabels")
    kept = [region for region in result if region["type"] in kinds]
    return sorted(
        (region for region in kept if region["meta"]["rid"] == mask_id),
        key=lambda region: region["meta"]["n"],
    )


def truth(
    image: RgbImage,
    prompts: Sequence[dict[str, Any]],
    *,
    prior: BoolMask | None = None,
) -> BoolMask:
    """The mask that the toy gives for these stored prompts."""
    box, clicks = None, []
    for region in prompts:
        if "box" in region["meta"]:
            box = box_of(region["meta"]["box"], region)
        else:
            clicks.append(Click(*pixel(region), positive=region["meta"]["pos"]))
    return toy_mask(image, Prompt(clicks=tuple(clicks), box=box, prior_mask=prior))


def assert_true(image: RgbImage, result: Sequence[dict[str, Any]], mask: dict[str, Any]) -> None:
    expected = truth(image, prompts_of(result, mask["id"]))
    assert np.array_equal(expected, mask_of(mask))


def assert_near(expected: tuple[float, float], found: tuple[float, float]) -> None:
    assert abs(expected[0] - found[0]) <= 1.5, (expected, found)
    assert abs(expected[1] - found[1]) <= 1.5, (expected, found)
