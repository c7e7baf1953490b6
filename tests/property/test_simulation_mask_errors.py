"""The kind of one mask's error: told right where it was made on purpose."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from math import inf
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from remask_core.errors import InputError, ShapeMismatch
from remask_core.overlap import boundary_f, boundary_iou, iou
from remask_core.rle_coco import decode_coco_rle
from remask_core.types import BoolMask
from remask_masks.error_kinds import KINDS, compare
from remask_masks.simplification import (
    approximate,
)
from remask_noise.operations import (
    dilate,
    erode,
    localise,
)

Make = Callable[[BoolMask, np.random.Generator], BoolMask]
PAIRS = st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)


def moved(mask: BoolMask, rng: np.random.Generator) -> BoolMask:
    x, y = [(4, 0), (0, -4), (3, 3)][rng.integers(3)]
    return np.roll(np.pad(mask, 9), (y, x), (0, 1))[9:-9, 9:-9]


def without_an_end(mask: BoolMask, rng: np.random.Generator) -> BoolMask:
    """The mask without the fifth of it that lies farthest in some direction."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    along = np.cos(angle) * columns + np.sin(angle) * rows
    return mask & (along >= np.quantile(along[mask], 0.2))


def with_a_bulge(mask: BoolMask, rng: np.random.Generator) -> BoolMask:
    """The mask and a disk of about a third of its area around a pixel of its rim."""
    rim = np.argwhere(mask & ~erode(mask, 3))
    y, x = rim[rng.integers(len(rim))].tolist()
    disk = np.zeros(mask.shape, np.uint8)
    cv2.circle(disk, (x, y), int(np.sqrt(0.35 * mask.sum() / np.pi)) + 2, 1, -1)
    return mask | disk.view(np.bool_)


MADE: dict[str, tuple[str, Make, float]] = {
    "nothing": ("none", lambda mask, rng: mask.copy(), 1.0),
    "dilated by 3": ("too large", lambda mask, rng: dilate(mask, 3), 0.95),
    "dilated by 7": ("too large", lambda mask, rng: dilate(mask, 7), 0.95),
    "eroded by 3": ("too small", lambda mask, rng: erode(mask, 3), 0.95),
    "eroded by 7": ("too small", lambda mask, rng: erode(mask, 7), 0.95),
    "vertices moved by 2": ("rough", lambda mask, rng: localise(mask, 2, rng=rng), 0.95),
    "vertices moved by 4": ("rough", lambda mask, rng: localise(mask, 4, rng=rng), 0.8),
    "simplified by 5": ("simplified", lambda mask, rng: approximate(mask, 5), 0.85),
    "simplified by 15": ("simplified", lambda mask, rng: approximate(mask, 15), 0.85),
    "moved": ("shifted", moved, 0.95),
    "an end cut off": ("missing part", without_an_end, 0.9),
    "a bulge added": ("extra part", with_a_bulge, 0.9),
}


@pytest.fixture(scope="module")
def shapes(golden_folder: Path) -> list[BoolMask]:
    (path,) = (golden_folder / "cocon").glob("shapes*.json")
    stored = json.loads(path.read_text())["shapes"]
    return [decode_coco_rle(shape["rle"]) for shape in stored[:: len(stored) // 20]]


@pytest.mark.parametrize("name", MADE)
def test_an_error_made_on_purpose_is_told(shapes: list[BoolMask], name: str) -> None:
    """Masks that the change leaves as they are, or without a pixel, say nothing of it."""
    kind, make, at_least = MADE[name]
    rng = np.random.default_rng(4)
    told: Counter[str] = Counter()
    for reference in shapes:
        mask = make(reference, rng)
        if mask.any() and (kind == "none" or not np.array_equal(mask, reference)):
            told[compare(mask, reference).kind] += 1
    assert told[kind] / told.total() >= at_least, told


def test_measures_are_those_of_the_change() -> None:
    disk = np.zeros((120, 120), np.uint8)
    cv2.circle(disk, (60, 60), 30, 1, -1)
    disk_mask = disk.view(np.bool_)
    shifted = compare(np.roll(disk_mask, (-3, 5), (0, 1)), disk_mask)
    assert shifted.kind == "shifted"
    assert shifted.shift_px == (5, -3)
    assert shifted.size_change == 0
    smaller = compare(erode(disk_mask, 7), disk_mask)
    assert smaller.kind == "too small"
    assert smaller.growth_px == pytest.approx(-3, abs=0.8)
    assert smaller.size_change < -0.15
    assert smaller.parts_missing_px == smaller.parts_extra_px == 0
    half = disk_mask.copy()
    half[:, 70:] = False
    missing = compare(half, disk_mask)
    assert missing.kind == "missing part"
    assert missing.parts_missing_px == pytest.approx((disk_mask & ~half).sum(), rel=0.1)
    rough = compare(localise(disk_mask, 3, rng=np.random.default_rng(0)), disk_mask)
    assert rough.kind == "rough"
    assert rough.roughness_px > 5 * max(smaller.roughness_px, 0.05)


def test_another_object_is_neither_moved_nor_rough() -> None:
    first = np.zeros((80, 80), np.bool_)
    first[5:25, 5:40] = True
    second = np.zeros((80, 80), np.bool_)
    second[50:70, 40:75] = True
    assert compare(second, first).kind == "other"


def test_a_wrong_class_comes_before_the_outline() -> None:
    square = np.zeros((60, 60), np.bool_)
    square[20:40, 15:45] = True
    found = compare(dilate(square, 5), square, same_class=False)
    assert found.kind == "wrong class"
    assert found.outline == "too large"
    assert compare(square, square, same_class=False).outline == "none"


def test_empty_masks_lack_all_or_add_all_or_agree() -> None:
    empty = np.zeros((30, 30), np.bool_)
    square = empty.copy()
    square[10:20, 10:20] = True
    assert compare(empty, empty).kind == "none"
    lost, added = compare(empty, square), compare(square, empty)
    assert (lost.kind, lost.parts_missing_px, lost.size_change) == ("missing part", 100, -1)
    assert (added.kind, added.parts_extra_px, added.size_change) == ("extra part", 100, inf)


@given(PAIRS)
def test_any_two_masks_have_an_error_of_some_kind(pair: tuple[BoolMask, BoolMask]) -> None:
    mask, reference = pair
    found = compare(mask, reference)
    assert found.kind in KINDS
    assert iou(mask, reference) == found.iou
    assert boundary_iou(mask, reference) == found.boundary_iou
    assert boundary_f(mask, reference) == found.boundary_f
    assert found.parts_missing_px <= (reference & ~mask).sum()
    assert found.parts_extra_px <= (mask & ~reference).sum()


@given(arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_mask_agrees_with_itself(mask: BoolMask) -> None:
    found = compare(mask, mask)
    assert (found.kind, found.growth_px, found.shift_px) == ("none", 0, (0, 0))
    assert found.vertices_ratio == 1


def test_bad_masks_are_named() -> None:
    mask = np.zeros((4, 5), np.bool_)
    with pytest.raises(ShapeMismatch, match=r"`mask` must have shape \(4, 6\)"):
        compare(mask, np.zeros((4, 6), np.bool_))
    with pytest.raises(InputError, match="`reference`"):
        compare(mask, np.zeros((4, 5), np.uint8))  # type: ignore[arg-type]
