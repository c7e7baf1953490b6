"""Boxes, parts and distances, on masks small enough to see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from remask_core.errors import InputError
from remask_core.geometry import (
    box_of_mask,
    clip_box,
    distance_inside,
    distance_to_boundary,
    parts,
)
from remask_core.types import BoolMask, Box


def drawn(*rows: str) -> BoolMask:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def test_box_is_tight_and_half_open() -> None:
    assert box_of_mask(drawn("....", ".#..", "...#")) == Box(1, 1, 4, 3)
    assert box_of_mask(np.ones((2, 3), bool)) == Box(0, 0, 3, 2)


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (0, 0)])
def test_empty_mask_has_no_box(shape: tuple[int, int]) -> None:
    assert box_of_mask(np.zeros(shape, bool)) is None


def test_views_that_do_not_lie_in_one_piece_are_understood() -> None:
    mask = drawn("#...", "....", "..#.")

    assert box_of_mask(mask.T) == Box(0, 0, 3, 3)
    assert box_of_mask(mask[::2, ::2]) == Box(0, 0, 2, 2)
    assert box_of_mask(mask[:, 1:]) == Box(1, 2, 2, 3)


def test_boxes_are_clipped_to_the_image() -> None:
    assert clip_box(Box(-5, 2, 3.5, 99), shape_hw=(10, 20)) == Box(0, 2, 3.5, 10)
    assert clip_box(Box(1, 1, 2, 2), shape_hw=(10, 20)) == Box(1, 1, 2, 2)
    assert clip_box(Box(20, 0, 25, 5), shape_hw=(10, 20)) is None
    assert clip_box(Box(-5, -5, 0, 5), shape_hw=(10, 20)) is None


THREE = drawn(
    ".#..##",
    "#....#",
    "......",
    "##....",
)


def test_parts_are_numbered_by_their_first_pixels() -> None:
    found = parts(THREE)

    assert len(found) == 3
    assert found.areas_px.tolist() == [2, 3, 2]
    assert found.labels.tolist() == [
        [0, 1, 0, 0, 2, 2],
        [1, 0, 0, 0, 0, 2],
        [0, 0, 0, 0, 0, 0],
        [3, 3, 0, 0, 0, 0],
    ]
    assert found.mask(2).sum() == 3


def test_corners_join_parts_only_if_asked() -> None:
    assert len(parts(THREE, connectivity=4)) == 4


def test_empty_mask_has_no_parts() -> None:
    assert len(parts(np.zeros((3, 3), bool))) == 0
    assert len(parts(np.zeros((0, 3), bool))) == 0


def test_depth_counts_the_border_of_the_image_as_outside() -> None:
    expected = [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]

    depth = distance_inside(np.ones((3, 5), bool))

    assert depth.dtype == np.float32
    assert depth.tolist() == expected
    assert not distance_inside(np.zeros((2, 2), bool)).any()


def test_distance_to_boundary_is_unsigned() -> None:
    found = distance_to_boundary(drawn(".....", ".....", "..###", "..###", "..###"))

    assert found[2:, 2:].tolist() == [[1, 1, 1], [1, 2, 1], [1, 1, 1]]
    assert found[0, 0] == pytest.approx(8**0.5)
    assert found[0, 4] == 2
    assert found.dtype == np.float32


def test_empty_mask_is_infinitely_far() -> None:
    assert np.isinf(distance_to_boundary(np.zeros((2, 3), bool))).all()


@pytest.mark.parametrize("function", [box_of_mask, parts, distance_inside, distance_to_boundary])
def test_masks_must_be_bool(function: Any) -> None:
    with pytest.raises(InputError, match="`mask` must be a two-dimensional bool array"):
        function(np.ones((2, 2), np.uint8))
