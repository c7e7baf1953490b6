"""Overlap measures: properties, and the definitions computed naively."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from remask_core.overlap import boundary_f, boundary_iou, iou
from remask_core.types import BoolMask

Pair = tuple[BoolMask, BoolMask]
MEASURES = [
    iou,
    lambda a, b: boundary_iou(a, b, dilation_ratio=0.12),
    lambda a, b: boundary_f(a, b, radius_px=1.5),
]


@st.composite
def pairs(draw: st.DrawFn, max_side: int = 14) -> Pair:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=max_side))
    shapes = st.one_of(hnp.arrays(np.bool_, shape), rectangles(shape))
    return draw(shapes), draw(shapes)


@st.composite
def rectangles(draw: st.DrawFn, shape: tuple[int, ...]) -> BoolMask:
    height, width = shape
    mask = np.zeros((height, width), bool)
    rows = sorted(draw(st.tuples(st.integers(0, height), st.integers(0, height))))
    columns = sorted(draw(st.tuples(st.integers(0, width), st.integers(0, width))))
    mask[slice(*rows), slice(*columns)] = True
    return mask


def naive_iou(a: BoolMask, b: BoolMask) -> float:
    first = {tuple(p) for p in np.argwhere(a).tolist()}
    second = {tuple(p) for p in np.argwhere(b).tolist()}
    return len(first & second) / len(first | second) if first | second else 1.0


def naive_band(mask: BoolMask, width_px: int) -> BoolMask:
    """Erode by 3 x 3, so many times, in a frame of zeros."""
    height, width = mask.shape
    left = np.pad(mask, 1)
    for _ in range(width_px):
        frame = np.pad(left, 1)
        left = np.logical_and.reduce(
            [frame[dy : dy + height + 2, dx : dx + width + 2] for dy in range(3) for dx in range(3)]
        )
    return mask & ~left[1:-1, 1:-1]


def naive_boundary_iou(a: BoolMask, b: BoolMask, dilation_ratio: float) -> float:
    width_px = max(1, round(dilation_ratio * float(np.hypot(*a.shape))))
    return naive_iou(naive_band(a, width_px), naive_band(b, width_px))


def naive_line(mask: BoolMask) -> list[tuple[int, int]]:
    height, width = mask.shape
    found = []
    for y in range(height):
        for x in range(width):
            east, south = min(x + 1, width - 1), min(y + 1, height - 1)
            around = {bool(mask[y, east]), bool(mask[south, x])}
            if east > x and south > y:
                around.add(bool(mask[south, east]))
            if around != {bool(mask[y, x])}:
                found.append((y, x))
    return found


def naive_boundary_f(a: BoolMask, b: BoolMask, radius_px: float) -> float:
    first, second = naive_line(a), naive_line(b)

    def near(these: list[tuple[int, int]], those: list[tuple[int, int]]) -> float:
        hits = sum(
            any((y - v) ** 2 + (x - u) ** 2 <= radius_px**2 for v, u in those) for y, x in these
        )
        return hits / len(these)

    if not first or not second:
        return float(first == second)
    p, r = near(first, second), near(second, first)
    return 2 * p * r / (p + r) if p + r else 0.0


@given(pairs())
def test_iou_is_that_of_the_sets_of_pixels(pair: Pair) -> None:
    assert iou(*pair) == naive_iou(*pair)


@given(pairs(), st.sampled_from([0.0, 0.02, 0.1, 0.25]))
def test_boundary_iou_is_that_of_eroded_masks(pair: Pair, ratio: float) -> None:
    assert boundary_iou(*pair, dilation_ratio=ratio) == naive_boundary_iou(*pair, ratio)


@given(pairs(max_side=9), st.sampled_from([0.0, 1.0, 1.5, 2.0, 5.0, 12.5]))
def test_boundary_f_is_that_of_all_distances(pair: Pair, radius_px: float) -> None:
    naive = naive_boundary_f(*pair, radius_px)

    assert boundary_f(*pair, radius_px=radius_px) == pytest.approx(naive, abs=1e-12)


@pytest.mark.parametrize("radius_px", [11.9, 12.0, 12.1, 17.0])
def test_boundary_f_is_that_of_all_distances_at_large_radii(radius_px: float) -> None:
    rng = np.random.default_rng(5)
    a, b = np.zeros((60, 50), bool), np.zeros((60, 50), bool)
    for mask in (a, b):
        for y, x in rng.integers(0, 45, (4, 2)):
            mask[y : y + 6, x : x + 4] = True

    naive = naive_boundary_f(a, b, radius_px)

    assert 0 < naive < 1
    assert boundary_f(a, b, radius_px=radius_px) == pytest.approx(naive, abs=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=40)
@given(pair=pairs())
def test_measures_are_symmetric_and_in_range(
    measure: Callable[[BoolMask, BoolMask], float], pair: Pair
) -> None:
    a, b = pair

    assert measure(a, b) == pytest.approx(measure(b, a), abs=1e-12)
    assert 0.0 <= measure(a, b) <= 1.0
    assert measure(a, a) == 1.0


@pytest.mark.parametrize("measure", MEASURES[:2])
@settings(max_examples=40)
@given(pair=pairs())
def test_measures_do_not_change_when_flipped(
    measure: Callable[[BoolMask, BoolMask], float], pair: Pair
) -> None:
    a, b = pair

    assert measure(a[::-1], b[::-1]) == measure(a, b) == measure(a[:, ::-1], b[:, ::-1])
    assert measure(a.T, b.T) == measure(a, b)


@given(pairs())
def test_boundary_f_does_not_change_when_transposed(pair: Pair) -> None:
    """It does when flipped: its boundary lies half a pixel to the top left."""
    a, b = pair

    assert boundary_f(a.T, b.T) == pytest.approx(boundary_f(a, b), abs=1e-12)


@given(pairs(), st.data())
def test_ignoring_is_leaving_out(pair: Pair, data: st.DataObject) -> None:
    a, b = pair
    ignore = data.draw(hnp.arrays(np.bool_, a.shape))

    assert iou(a, b, ignore=ignore) == iou((a & ~ignore), (b & ~ignore))
