"""Boxes of a Label Studio project become instances; what does not says why."""

from __future__ import annotations

from typing import Any

import pytest

from remask_campaigns.project_description import describe, read_description, title_of
from remask_campaigns.sources.boxes import instances_of
from remask_core.errors import NotFound
from remask_core.left_out import LeftOut
from remask_core.types import Box
from remask_label_config.labelling_config import ImageTag
from remask_storage.campaign import Campaign, CampaignInstance, Qualification, instance_id

CAMPAIGN = Campaign("cats", 7, 1000.0)
TAG = ImageTag("image", "$image")


def rectangle(rid: str, x: float, y: float, width: float, height: float, **more: Any) -> Any:
    """A rectangle in per cent of an image of 640 by 480."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
    return {
        "id": rid,
        "type": "rectanglelabels",
        "to_name": "image",
        "from_name": "box",
        "original_width": 640,
        "original_height": 480,
        "value": value | {"rectanglelabels": ["cat"]} | more.pop("value", {}),
    } | more


def annotation(*result: Any, number: int = 1, at: str = "2026-01-01", **more: Any) -> Any:
    return {"id": number, "result": list(result), "updated_at": at, "was_cancelled": False} | more


def task(*annotations: Any, predictions: Any = ()) -> dict[str, Any]:
    data = {"image": "/data/upload/1/a.jpg"}
    return {"id": 3, "data": data, "annotations": annotations, "predictions": predictions}


def found(one: dict[str, Any], **more: Any) -> list[CampaignInstance | LeftOut]:
    return list(instances_of(CAMPAIGN, one, [TAG], **more))


def names(one: dict[str, Any]) -> list[str]:
    return [it.source_id for it in found(one) if isinstance(it, CampaignInstance)]


@pytest.mark.parametrize("own_id", [None, 7, 0, "ok"])
def test_boxes_as_people_import_them_are_instances(own_id: Any) -> None:
    """Without an id or with a number, with numbers as text and one label as bare text."""
    box = rectangle("b", 10, 15, 30, 40) | {"id": own_id}
    box["value"] |= {"x": "10", "rectanglelabels": "cat"}

    for source in (task(annotation(box)), task(predictions=[annotation(box)])):
        (instance,) = found(source)
        assert isinstance(instance, CampaignInstance)
        assert instance.box == Box(64, 72, 256, 264)
        assert instance.label == "cat"


def test_a_box_that_cannot_be_read_is_named_with_its_reason() -> None:
    box = rectangle("b", 10, 15, 30, 40, value={"x": "left"})

    (left,) = found(task(annotation(box)))

    assert isinstance(left, LeftOut)
    assert (left.name, left.reason) == ("3/b", "unreadable")
    assert "`value.x` of region `b`" in left.detail


def test_a_result_may_be_null() -> None:
    assert [LeftOut("3", "no-boxes")] == found(task({"id": 1, "result": None}))


def test_a_rectangle_becomes_an_instance_in_pixels() -> None:
    expected = CampaignInstance(
        id=instance_id(3, "b"),
        image="/data/upload/1/a.jpg",
        shape_hw=(480, 640),
        label="cat",
        box=Box(64, 48, 384, 288),
        source_task=3,
        source_id="b",
    )
    assert [expected] == found(task(annotation(rectangle("b", 10, 10, 50, 50))))


def test_the_newest_annotation_stands_and_skipped_ones_do_not() -> None:
    old = annotation(rectangle("old", 0, 0, 50, 50), number=1, at="2026-01-02T00:00:01Z")
    new = annotation(rectangle("new", 0, 0, 50, 50), number=2, at="2026-01-02T00:00:02Z")
    skipped = annotation(rectangle("s", 0, 0, 50, 50), number=3, at="2027", was_cancelled=True)
    assert ["new"] == names(task(new, old, skipped))


def test_predictions_count_only_where_nobody_has_annotated() -> None:
    prediction = {"id": 1, "created_at": "1", "result": [rectangle("p", 0, 0, 50, 50)]}
    newer = {"id": 2, "created_at": "2", "result": [rectangle("q", 0, 0, 50, 50)]}
    drawn = annotation(rectangle("a", 0, 0, 50, 50))
    assert ["q"] == names(task(predictions=[newer, prediction]))
    assert ["a"] == names(task(drawn, predictions=[prediction]))
    assert [LeftOut("3", "no-boxes")] == found(task(annotation(), predictions=[prediction]))


def test_a_turned_rectangle_is_enclosed() -> None:
    turned = rectangle("b", 50, 25, 20, 50, value={"rotation": 90})
    (instance,) = found(task(annotation(turned)))
    assert isinstance(instance, CampaignInstance)
    assert Box(80, 120, 320, 248) == instance.box


@pytest.mark.parametrize(
    ("width", "height", "wanted"),
    [(80, 40, True), (40, 80, True), (79, 79, False), (300, 39, False), (80, 80, True)],
)
def test_objects_of_eighty_by_forty_either_way_are_large_enough(
    width: int, height: int, wanted: bool
) -> None:
    one = rectangle("b", 0, 0, width / 6.4, height / 4.8)
    assert wanted == bool(names(task(annotation(one))))


def test_what_is_left_out_says_why() -> None:
    nameless = rectangle("n", 0, 0, 50, 50, value={"rectanglelabels": []})
    broken = rectangle("u", 0, 0, 50, 50, value={"x": None})
    sizeless = rectangle("z", 0, 0, 50, 50, original_width=None)
    small = rectangle("s", 0, 0, 5, 5)
    left = found(task(annotation(nameless, broken, sizeless, small)))
    reasons = {record.name: record.reason for record in left if isinstance(record, LeftOut)}
    assert reasons == {
        "3/n": "no-class",
        "3/u": "unreadable",
        "3/z": "no-size",
        "3/s": "too-small",
    }
    (untouched,) = found(task())
    assert isinstance(untouched, LeftOut)
    assert untouched.reason == "no-boxes"


def test_an_image_is_asked_for_its_size_where_the_region_does_not_say() -> None:
    sizeless = rectangle("z", 0, 0, 50, 50, original_width=None)
    asked: list[str] = []

    def shape_of(address: str) -> tuple[int, int]:
        asked.append(address)
        return (100, 200)

    def gone(address: str) -> tuple[int, int]:
        raise NotFound("no such image")

    (instance,) = found(task(annotation(sizeless)), shape_of=shape_of)
    assert isinstance(instance, CampaignInstance)
    assert ((100, 200), Box(0, 0, 100, 50)) == (instance.shape_hw, instance.box)
    assert ["/data/upload/1/a.jpg"] == asked
    (left,) = found(task(annotation(sizeless)), shape_of=gone)
    assert isinstance(left, LeftOut)
    assert ("no-image", "no such image") == (left.reason, left.detail)


def test_labels_beside_plain_rectangles_are_read() -> None:
    plain = rectangle("b", 0, 0, 50, 50, type="rectangle")
    del plain["value"]["rectanglelabels"]
    label = plain | {"type": "labels", "value": plain["value"] | {"labels": ["dog"]}}
    (instance,) = found(task(annotation(plain, label)))
    assert isinstance(instance, CampaignInstance)
    assert instance.label == "dog"


def test_a_box_drawn_live_is_found_in_the_point_that_stands_for_it() -> None:
    value = {"x": 10, "y": 10, "width": 0.3, "keypointlabels": ["cat"]}
    meta = {"rid": "mask_1", "n": 0, "step": 0}
    meta |= {"box": {"x": 10.0, "y": 10.0, "width": 50.0, "height": 50.0}}
    anchor = rectangle("anc_b", 0, 0, 1, 1, type="keypointlabels", meta=meta)
    (instance,) = found(task(annotation(anchor | {"value": value})))
    assert isinstance(instance, CampaignInstance)
    assert Box(64, 48, 384, 288) == instance.box


def test_a_projects_description_gives_the_campaign_back() -> None:
    campaign = Campaign(
        "cats · {é}", 7, 1.5, policies={"": "a\n\nb", "cat": "{}"}, qualification=Qualification(4)
    )
    text = "written before\n" + describe(campaign, "round 2") + "\nand after"
    described = read_description(text)
    assert described is not None
    assert (campaign, "round 2", 2) == (described.campaign, described.kind, described.round)
    masks = read_description(describe(campaign, "masks"))
    assert masks is not None
    assert masks.round is None
    assert read_description("a project of mine {}") is None
    assert title_of("cats", "round 2") == "cats · round 2"
