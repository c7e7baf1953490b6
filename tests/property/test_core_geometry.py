"""Geometry against definitions computed naively."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from remask_core.geometry import (
    box_of_mask,
    distance_inside,
    distance_to_boundary,
    parts,
)
from remask_core.types import BoolMask, Box

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def naive_parts(mask: BoolMask, connectivity: int) -> list[set[tuple[int, int]]]:
    """Flood every part from its first pixel."""
    left = dict.fromkeys((int(y), int(x)) for y, x in np.argwhere(mask))
    found = []
    while left:
        start = next(iter(left))
        part, edge = {start}, [start]
        del left[start]
        while edge:
            y, x = edge.pop()
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    there = y + dy, x + dx
                    if there in left and (connectivity == 8 or not dy or not dx):
                        del left[there]
                        part.add(there)
                        edge.append(there)
        found.append(part)
    return found


@given(masks)
def test_box_holds_the_mask_and_no_more(mask: BoolMask) -> None:
    ys, xs = np.nonzero(mask)
    expected = Box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(ys) else None

    assert box_of_mask(mask) == expected


@given(masks, st.sampled_from([4, 8]))
def test_parts_are_those_of_a_flood(mask: BoolMask, connectivity: int) -> None:
    found = parts(mask, connectivity=connectivity)  # type: ignore[arg-type]
    expected = naive_parts(mask, connectivity)

    assert found.areas_px.tolist() == [len(part) for part in expected]
    for number, part in enumerate(expected, start=1):
        assert {(int(y), int(x)) for y, x in np.argwhere(found.mask(number))} == part


@given(masks)
def test_depth_is_the_least_distance_to_the_outside(mask: BoolMask) -> None:
    outside = np.argwhere(~np.pad(mask, 1)) - 1
    expected = np.zeros(mask.shape)
    for y, x in np.argwhere(mask):
        expected[y, x] = np.sqrt(((outside - (y, x)) ** 2).sum(axis=1).min())

    assert distance_inside(mask) == pytest.approx(expected, abs=1e-4)


@given(masks.filter(np.any))
def test_distance_to_boundary_is_the_least_on_either_side(mask: BoolMask) -> None:
    inside = np.argwhere(mask)
    expected = distance_inside(mask).astype(float)
    for y, x in np.argwhere(~mask):
        expected[y, x] = np.sqrt(((inside - (y, x)) ** 2).sum(axis=1).min())

    assert distance_to_boundary(mask) == pytest.approx(expected, abs=1e-4)
    assert distance_to_boundary(mask).min() >= 1


@given(seed=st.integers(0, 2**16), width=st.integers(2, 40))
def test_equal_masks_give_equal_distances_wherever_they_lie_in_memory(
    seed: int, width: int
) -> None:
    mask = np.random.default_rng(seed).random((30, width)) > 0.1
    spoilt = [np.empty(size, np.uint8) for size in range(1, 400, 13)]

    found = [distance_inside(mask) for _ in spoilt]

    assert all(np.array_equal(found[0], again) for again in found)
