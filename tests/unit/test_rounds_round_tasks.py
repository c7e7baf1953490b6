"""A round's task, as Label Studio imports it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from label_studio_sdk.converter.brush import decode_rle

from remask_campaigns.rounds.tasks import instances_in, task_of
from remask_core.errors import InputError
from remask_core.rle_coco import encode_coco_counts
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import Box
from remask_storage.campaign import Campaign, CampaignInstance, Mask

SHAPE = (60, 80)


def _instance(name: str = "ins_1", label: str = "cat", box: Box | None = None) -> CampaignInstance:
    return CampaignInstance(
        name, "/data/cat.jpg", SHAPE, label, box or Box(10.5, 10, 40, 30), 7, "b" + name
    )


def _mask(instance: str = "ins_1", score: float | None = 0.8) -> Mask:
    pixels = np.zeros(SHAPE, np.bool_)
    pixels[12:28, 12:38] = True
    counts = encode_coco_counts(pixels)
    return Mask(instance, 0, counts, score, "convnet@3f9a1c0b77de")


def _campaign(**settings: object) -> Campaign:
    return Campaign("cats", source_project=3, created_at=0.0, **settings)


def test_what_is_shown_can_be_read_back() -> None:
    instances = [_instance(), _instance("ins_2", "dog", Box(0, 0, 80, 60))]
    masks = {instance.id: _mask(instance.id) for instance in instances}

    task = json.loads(json.dumps(task_of(_campaign(), 2, instances, masks)))

    assert instances == instances_in(task["data"])
    assert task["data"]["image"] == "/data/cat.jpg"
    assert task["data"]["round"] == 2


def test_the_prediction_names_the_round_that_made_the_mask() -> None:
    """Round 2 shows what the clicks of round 1 led to."""
    (prediction,) = task_of(_campaign(), 2, [_instance()], {"ins_1": _mask()})["predictions"]

    assert prediction["model_version"] == "convnet@3f9a1c0b77de round 1"
    assert prediction["score"] == 0.8


def test_masks_keep_their_pixels_and_let_clicks_through() -> None:
    """The region has the instance's id; no pixel is wholly opaque, which would catch a click."""
    (prediction,) = task_of(_campaign(), 1, [_instance()], {"ins_1": _mask()})["predictions"]

    (region,) = [region for region in prediction["result"] if region["id"] == "ins_1"]
    pixels = decode_ls_rle(region["value"]["rle"], shape_hw=SHAPE)
    assert encode_coco_counts(pixels) == _mask().counts
    assert region["value"]["brushlabels"] == ["cat"]
    assert {0, 150} == set(decode_rle(region["value"]["rle"]).tolist())


def test_the_box_is_a_frame_around_the_object() -> None:
    """Its line hides nothing inside the box and stays in the image."""
    instance = _instance(box=Box(0, 10, 40, 30))
    (prediction,) = task_of(_campaign(), 1, [instance], {"ins_1": _mask()})["predictions"]

    (region,) = [region for region in prediction["result"] if region["id"] == "frame_ins_1"]
    frame = decode_ls_rle(region["value"]["rle"], shape_hw=SHAPE)
    assert not frame[10:30, 2:40].any()
    assert frame[8:10, :42].all()
    assert frame[10:30, :2].all()
    assert frame[10:30, 40:42].all()


def test_the_heading_names_class_round_and_clicks() -> None:
    task = task_of(_campaign(rounds=3), 2, [_instance()], {"ins_1": _mask()})

    assert task["data"]["heading"] == "cat · round 2 of 3 · up to 4 clicks"


def test_a_round_beyond_the_last_is_an_extra_one() -> None:
    task = task_of(_campaign(rounds=3), 4, [_instance()], {"ins_1": _mask()})

    assert task["data"]["heading"] == "cat · extra round · up to 4 clicks"


def test_the_policy_of_the_class_comes_before_what_holds_for_all() -> None:
    policies = {"": "Clicks in the middle.\n", "cat": "With the tail.", "dog": "No leash."}

    task = task_of(_campaign(policies=policies), 1, [_instance()], {"ins_1": _mask()})

    assert task["data"]["policy"] == "With the tail.\n\nClicks in the middle."


def test_a_policy_of_several_classes_is_shown_once() -> None:
    instances = [_instance(), _instance("ins_2", "dog")]
    masks = {instance.id: _mask(instance.id) for instance in instances}
    policies = {"cat": "With the tail.", "dog": "With the tail."}

    task = task_of(_campaign(policies=policies), 1, instances, masks)

    assert task["data"]["policy"] == "With the tail."


def test_a_mask_made_by_hand_has_no_score() -> None:
    (prediction,) = task_of(_campaign(), 1, [_instance()], {"ins_1": _mask(score=None)})[
        "predictions"
    ]

    assert all("score" not in region for region in prediction["result"])


@pytest.mark.parametrize("instances", [[], ["/data/cat.jpg", "/data/dog.jpg"]])
def test_a_task_is_of_one_image(instances: list[str]) -> None:
    shown = [
        CampaignInstance(f"ins_{n}", image, SHAPE, "cat", Box(0, 0, 9, 9), 7, str(n))
        for n, image in enumerate(instances)
    ]

    with pytest.raises(InputError, match="`instances` must be of one image"):
        task_of(_campaign(), 1, shown, {shape.id: _mask(shape.id) for shape in shown})


def test_other_tasks_are_refused() -> None:
    with pytest.raises(InputError, match="`remask` in the task's data"):
        instances_in({"image": "/data/cat.jpg"})
