"""A box keeps its place on the way from a file through Label Studio's percentages."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask_campaigns.sources.boxes import instances_of
from remask_campaigns.sources.coco import read_coco
from remask_core.types import Box
from remask_label_config.labelling_config import ImageTag
from remask_label_config.pages.boxes import box_region
from remask_label_config.prompts import PercentBox
from remask_storage.campaign import Campaign, CampaignInstance

TAG = ImageTag("image", "$image")
CAMPAIGN = Campaign("cats", 1, 0.0, long_side_px=1, short_side_px=1)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    height, width = draw(st.integers(2, 5000)), draw(st.integers(2, 5000))
    x0, y0 = draw(st.floats(0, width - 1.5)), draw(st.floats(0, height - 1.5))
    x1, y1 = draw(st.floats(x0 + 1.25, width)), draw(st.floats(y0 + 1.25, height))
    return (height, width), Box(x0, y0, x1, y1)


@given(boxes())
def test_a_coco_box_is_the_instances_box(drawn: tuple[tuple[int, int], Box]) -> None:
    (height, width), box = drawn
    image = {"id": 1, "file_name": "a.jpg", "height": height, "width": width}
    annotation = {"id": 2, "image_id": 1, "category_id": 3}
    annotation |= {"bbox": [box.x0, box.y0, box.width, box.height]}
    content = {"images": [image], "annotations": [annotation]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "boxes.json"
        path.write_text(json.dumps(content | {"categories": [{"id": 3, "name": "cat"}]}))
        ((source,),) = [image.boxes for image in read_coco(path)]
    region = box_region(source.place, source.label, region_id="2", shape_hw=(height, width))
    annotations = [{"id": 1, "result": [region]}]
    task = {"id": 4, "data": {"image": "/a.jpg"}, "annotations": annotations}
    (found,) = instances_of(CAMPAIGN, json.loads(json.dumps(task)), [TAG])

    assert isinstance(found, CampaignInstance)
    assert (found.box.x0, found.box.y0, found.box.x1, found.box.y1) == pytest.approx(
        (box.x0, box.y0, box.x1, box.y1), abs=1e-5
    )


@given(boxes())
def test_pixels_come_back_from_per_cent(drawn: tuple[tuple[int, int], Box]) -> None:
    shape_hw, box = drawn
    found = PercentBox.of_box(box, shape_hw).to_box(shape_hw)
    assert (found.x0, found.y0, found.x1, found.y1) == pytest.approx(
        (box.x0, box.y0, box.x1, box.y1), abs=1e-6
    )
