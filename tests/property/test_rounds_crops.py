"""Any object of any image: its crop holds it, and the way there and back changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remask_campaigns.crops.geometry import (
    MIN_SIDE_PX,
    crop_window,
    cut_instance,
    cut_mask,
    paste_counts,
    paste_mask,
    whole_clicks,
    whole_instance,
    whole_shape,
)
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_core.types import Box
from remask_storage.campaign import CampaignInstance, PlacedClick


@st.composite
def objects(draw: st.DrawFn, *, longest: int = 9000) -> CampaignInstance:
    """An object of a whole image."""
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    x0, y0 = draw(st.floats(0, width - 1)), draw(st.floats(0, height - 1))
    x1, y1 = draw(st.floats(x0 + 1, width)), draw(st.floats(y0 + 1, height))
    return CampaignInstance("i", "/a.jpg", (height, width), "cat", Box(x0, y0, x1, y1), 3, "b")


CONTEXTS = st.floats(1, 6)


@given(objects(), CONTEXTS)
def test_a_crop_lies_in_the_image_and_holds_the_box(
    instance: CampaignInstance, context: float
) -> None:
    height, width = instance.shape_hw
    box = instance.box
    window = crop_window(box, instance.shape_hw, context=context)
    side = max(MIN_SIDE_PX, context * max(box.width, box.height))
    if window is None:
        # Rounding the box to whole pixels and the side up adds no more than this.
        assert max(height, width) <= 1.5 * (side + 2 * context + 1)
        return
    assert max(height, width) > 1.5 * max(window.width, window.height)
    assert 0 <= window.x0 <= box.x0 < box.x1 <= window.x1 <= width
    assert 0 <= window.y0 <= box.y0 < box.y1 <= window.y1 <= height
    assert min(side, width) <= window.width <= side + 2 * context + 1
    assert min(side, height) <= window.height <= side + 2 * context + 1
    assert all(float(edge).is_integer() for edge in (window.x0, window.y0, window.x1, window.y1))


@given(objects(), CONTEXTS)
def test_an_object_is_in_the_middle_unless_the_image_ends(
    instance: CampaignInstance, context: float
) -> None:
    window = crop_window(instance.box, instance.shape_hw, context=context)
    if window is None:
        return
    height, width = instance.shape_hw
    box = instance.box
    for start, end, low, high, length in (
        (box.x0, box.x1, window.x0, window.x1, width),
        (box.y0, box.y1, window.y0, window.y1, height),
    ):
        off = (start + end) / 2 - (low + high) / 2
        assert abs(off) <= 1.5 or (low == 0 if off < 0 else high == length)


@given(objects(longest=1600), st.floats(1, 2), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_masks_boxes_and_clicks_come_back_from_a_crop_as_they_were(
    instance: CampaignInstance, context: float, seed: int
) -> None:
    window = crop_window(instance.box, instance.shape_hw, context=context)
    if window is None:
        assert whole_instance(instance) is instance
        return
    crop = cut_instance(instance, window, image="/crop.jpg")
    assert (crop.image, crop.whole_image) == ("/crop.jpg", "/a.jpg")
    assert whole_shape(crop) == instance.shape_hw
    back = whole_instance(crop)
    assert (back.image, back.shape_hw, back.whole) == ("/a.jpg", instance.shape_hw, None)
    edges = ("x0", "y0", "x1", "y1")
    assert [getattr(instance.box, edge) for edge in edges] == pytest.approx(
        [getattr(back.box, edge) for edge in edges], abs=1e-9
    )

    rng = np.random.default_rng(seed)
    mask = rng.random(crop.shape_hw) < 0.5
    whole = paste_mask(mask, crop)
    assert whole.shape == instance.shape_hw
    assert whole.sum() == mask.sum()
    assert not (cut_mask(whole, crop) ^ mask).any()
    counts = paste_counts(encode_coco_counts(mask), crop)
    pasted = decode_coco_counts(counts, shape_hw=instance.shape_hw)
    assert not (pasted ^ whole).any()

    height, width = crop.shape_hw
    places = [(0.0, 0.0), (width - 0.25, height - 0.25), (width / 3, height / 7)]
    clicks = [PlacedClick(f"k{n}", x, y, True) for n, (x, y) in enumerate(places)]
    for here, there in zip(clicks, whole_clicks(clicks, crop), strict=True):
        at, was = there.pixel, here.pixel
        assert whole[int(at.y), int(at.x)] == mask[int(was.y), int(was.x)]
        assert (here.id, here.positive) == (there.id, there.positive)


def test_a_box_beside_its_image_has_no_crop() -> None:
    assert crop_window(Box(5000, 10, 5100, 90), (4000, 4000), context=2.0) is None
