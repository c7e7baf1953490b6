"""COCO RLE against pycocotools, and on noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from remask_core.errors import InputError
from remask_core.geometry import box_of_mask
from remask_core.rle_coco import decode_coco_rle, encode_coco_rle
from remask_core.types import BoolMask

# pycocotools reads its own buffers in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30))


@st.composite
def masks_of_long_runs(draw: st.DrawFn) -> BoolMask:
    runs = draw(st.lists(st.integers(0, 70_000), min_size=1, max_size=9).filter(any))
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)[:, None]


@given(masks | masks_of_long_runs())
def test_masks_round_trip(mask: BoolMask) -> None:
    assert np.array_equal(decode_coco_rle(encode_coco_rle(mask)), mask)


@given(masks | masks_of_long_runs())
def test_masks_are_those_of_pycocotools(mask: BoolMask) -> None:
    rle = encode_coco_rle(mask)

    assert np.array_equal(coco_mask.decode(rle), mask)
    assert coco_mask.area(rle) == mask.sum()
    assert encode_coco_rle(mask, box=box_of_mask(mask)) == rle


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any))
def test_lists_of_counts_are_those_of_pycocotools(counts: list[int]) -> None:
    rle = {"size": [sum(counts), 1], "counts": counts}
    packed = coco_mask.frPyObjects(rle, *rle["size"])

    assert np.array_equal(decode_coco_rle(rle), coco_mask.decode(packed))
    assert np.array_equal(decode_coco_rle(packed), coco_mask.decode(packed))


@settings(max_examples=150)
@given(
    st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30) | st.binary(),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_noise_is_refused_or_a_mask(counts: str | bytes, height: int, width: int) -> None:
    try:
        mask = decode_coco_rle({"size": [height, width], "counts": counts})
    except InputError:
        return
    assert mask.shape == (height, width)
