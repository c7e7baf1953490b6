"""Cutting a mask out of a segmentation and putting it back, as pycocotools does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from remask_core.errors import InputError
from remask_core.geometry import box_of_mask
from remask_core.rle_coco import decode_coco_rle, encode_coco_rle, unpack_coco_runs
from remask_core.types import BoolMask
from remask_masks.mask_windows import MaskWindow, Runs, empty_window, window_of

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
SHAPE_HW = (40, 50)
NUMBERS = st.floats(-60, 110).map(lambda value: round(value, 2)) | st.floats(-20, 70)
OUTLINES = st.lists(
    st.lists(NUMBERS, min_size=6, max_size=16).map(
        lambda numbers: numbers[: len(numbers) // 2 * 2]
    ),
    min_size=1,
    max_size=3,
)


def full(window: MaskWindow) -> BoolMask:
    mask = np.zeros(window.shape_hw, np.bool_)
    rows, columns = window.mask.shape
    mask[window.y0 : window.y0 + rows, window.x0 : window.x0 + columns] = window.mask
    return mask


@given(MASKS, st.integers(0, 5))
def test_a_window_holds_the_whole_mask_and_goes_back_to_the_same_bytes(
    mask: BoolMask, margin_px: int
) -> None:
    rle = encode_coco_rle(mask)
    window, _ = window_of(Runs(**rle), shape_hw=mask.shape, margin_px=margin_px)
    if window is None:
        assert not mask.any()
        return
    assert np.array_equal(mask, full(window))
    assert rle == window.to_rle()
    assert box_of_mask(mask) == window.box()
    assert int(mask.sum()) == window.area_px


@given(MASKS)
def test_runs_of_no_length_change_nothing(mask: BoolMask) -> None:
    runs, shape_hw = unpack_coco_runs(encode_coco_rle(mask))
    split = [part for run in runs.tolist() for part in (0, 0, run)]
    window, _ = window_of(Runs([*shape_hw], split), shape_hw=shape_hw, margin_px=1)
    assert np.array_equal(mask, np.zeros(shape_hw, np.bool_) if window is None else full(window))


def test_an_empty_window_is_an_empty_mask() -> None:
    window = empty_window(SHAPE_HW)
    assert encode_coco_rle(np.zeros(SHAPE_HW, np.bool_)) == window.to_rle()
    assert window.box() is None


@given(OUTLINES, st.integers(0, 5))
def test_polygons_are_filled_as_pycocotools_fills_them(
    outlines: list[list[float]], margin_px: int
) -> None:
    """Outlines may lie partly or wholly beside the image."""
    window, left_out = window_of(outlines, shape_hw=SHAPE_HW, margin_px=margin_px)
    want = coco_mask.merge(coco_mask.frPyObjects(outlines, *SHAPE_HW))
    assert left_out == 0
    got = np.zeros(SHAPE_HW, np.bool_) if window is None else full(window)
    assert np.array_equal(decode_coco_rle(want), got)


def test_outlines_of_two_points_are_left_out_and_counted() -> None:
    triangle = [5.0, 5.0, 20.0, 5.0, 5.0, 20.0]
    window, left_out = window_of([[1.0, 1.0, 9.0, 9.0], triangle], shape_hw=SHAPE_HW)
    alone, _ = window_of([triangle], shape_hw=SHAPE_HW)
    assert left_out == 1
    assert window is not None
    assert alone is not None
    assert np.array_equal(full(window), full(alone))
    assert window_of([[1.0, 1.0]], shape_hw=SHAPE_HW) == (None, 1)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]], "pairs of x and y; got 7 numbers"),
        ([[1.0, 2.0, 3.0, 4.0, 5.0, 1e9]], "must lie within"),
        ([[1.0, 2.0, 3.0, 4.0, 5.0, float("inf")]], "must lie within"),
        ([[0.0, 0.0, 9e5, 9e5] * 30], "must be shorter than 50000000 pixels"),
        (Runs(size=[50, 40], counts=[2000]), "must be the image's, 40 x 50; got 50 x 40"),
        (Runs(size=[40, 50], counts=[1999]), "must add up to 40 x 50"),
        (Runs(size=[40, 50], counts="~~~"), "counts"),
    ],
)
def test_what_pycocotools_would_choke_on_is_refused(segmentation: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        window_of(segmentation, shape_hw=SHAPE_HW)
