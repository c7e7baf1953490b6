"""An annotator at work with auto-accept on: boxes, clicks, undo, submit, in the real editor.

The toy model's masks are known (`fakes.toy_mask`): a box is filled, a positive click adds a disk,
a negative one removes a disk. So every mask that Label Studio stores can be checked to the pixel.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from e2e.results import (
    assert_near,
    assert_true,
    box_of,
    class_of,
    mask_of,
    masks_in,
    pixel,
    prompts_of,
    truth,
)
from PIL import Image

from remask_core.overlap import iou
from remask_core.rle_ls import encode_ls_rle
from remask_core.types import BoolMask

BOX = (150, 120, 350, 300)
OTHER_BOX = (420, 260, 560, 400)
# Just beyond the right edge of BOX, and inside it.
BESIDE = (358, 200)
INSIDE = (250, 210)


def test_a_box_becomes_a_mask_and_clicks_mend_it(editor, open_work, toy_backend, picture) -> None:
    """One region keeps its id; what is submitted holds mask, box and every click."""
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    started = time.time()

    editor.draw_box(BOX, "cat")
    (after_box,) = editor.masks()
    editor.click(*BESIDE, "cat")
    editor.click(*INSIDE, "cat", positive=False)
    (after_clicks,) = editor.masks()
    editor.submit()

    assert after_clicks.id == after_box.id
    result = work.only_result()
    (mask,) = masks_in(result)
    assert mask["id"] == after_box.id
    assert class_of(result, mask["id"]) == "cat"
    assert 0 <= mask["score"] <= 1
    box, first, second = prompts_of(result, mask["id"])
    assert [prompt["meta"]["n"] for prompt in (box, first, second)] == [0, 1, 2]
    assert [prompt["meta"]["pos"] for prompt in (first, second)] == [True, False]
    assert_near(BESIDE, pixel(first))
    assert_near(INSIDE, pixel(second))
    stored = box_of(box["meta"]["box"], box)
    assert_near(BOX[:2], (stored.x0, stored.y0))
    assert_near(BOX[2:], (stored.x1, stored.y1))
    times = [prompt["meta"]["t"] for prompt in (box, first, second)]
    assert started - 1 <= times[0] <= times[1] <= times[2] <= time.time() + 1
    assert {mask["id"]} == {prompt["parentID"] for prompt in (box, first, second)}
    assert_true(image, result, mask)


def test_one_undo_takes_back_one_click(editor, open_work, toy_backend, picture) -> None:
    """The next click then goes on from what is left, not from what was taken back."""
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.draw_box(BOX, "cat")
    editor.click(*BESIDE, "cat")
    before = editor.regions()
    editor.click(*INSIDE, "cat", positive=False)

    editor.undo()

    assert before == editor.regions()
    last = editor.click(170, 140, "cat", positive=False)
    editor.submit()
    result = work.only_result()
    (mask,) = masks_in(result)
    prompts = prompts_of(result, mask["id"])
    assert [prompt["meta"].get("pos") for prompt in prompts] == [None, True, False]
    assert last.sent[-1]["id"] == prompts[-1]["id"]
    assert_true(image, result, mask)


def test_undoing_everything_leaves_nothing(editor, open_work, toy_backend, picture) -> None:
    """A box that is drawn anew is a new object, not a later step of the one taken back."""
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.draw_box(BOX, "cat")
    editor.click(*BESIDE, "cat")

    editor.undo()
    editor.undo()

    assert editor.regions() == []
    editor.draw_box(BOX, "cat")
    editor.submit()
    result = work.only_result()
    (mask,) = masks_in(result)
    assert len(prompts_of(result, mask["id"])) == 1
    assert_true(image, result, mask)


def test_redo_brings_the_click_back(editor, open_work, toy_backend, picture) -> None:
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.draw_box(BOX, "cat")
    editor.click(*BESIDE, "cat")
    before = editor.regions()

    editor.undo()
    editor.redo()

    assert before == editor.regions()
    editor.submit()
    result = work.only_result()
    assert_true(image, result, masks_in(result)[0])


def test_a_click_goes_to_the_object_it_belongs_to(editor, open_work, toy_backend, picture) -> None:
    """Two objects of one label: each click mends one of them and leaves the other alone."""
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.draw_box(BOX, "cat")
    (first,) = editor.masks()
    editor.draw_box(OTHER_BOX, "cat")
    (second_id,) = {mask.id for mask in editor.masks()} - {first.id}

    editor.click(500, 300, "cat", positive=False)
    editor.click(*INSIDE, "cat", positive=False)
    editor.submit()

    result = work.only_result()
    masks = {mask["id"]: mask for mask in masks_in(result)}
    assert {first.id, second_id} == set(masks)
    for mask_id, click in ((first.id, INSIDE), (second_id, (500, 300))):
        box, mend = prompts_of(result, mask_id)
        assert "box" in box["meta"]
        assert_near(click, pixel(mend))
        assert_true(image, result, masks[mask_id])


def test_a_click_far_from_every_object_starts_one(editor, open_work, toy_backend, picture) -> None:
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.draw_box((40, 40, 120, 120), "cat")

    editor.click(560, 420, "cat")
    editor.submit()

    result = work.only_result()
    masks = masks_in(result)
    assert len(masks) == 2
    assert [len(prompts_of(result, mask["id"])) for mask in masks] == [1, 1]
    for mask in masks:
        assert_true(image, result, mask)


def test_objects_of_two_labels_do_not_meet(editor, open_work, toy_backend, picture) -> None:
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.draw_box(BOX, "cat")
    editor.draw_box(OTHER_BOX, "dog")

    editor.click(*INSIDE, "cat", positive=False)
    editor.click(500, 300, "dog", positive=False)
    editor.submit()

    result = work.only_result()
    masks = {class_of(result, mask["id"]): mask for mask in masks_in(result)}
    assert {"cat", "dog"} == set(masks)
    for mask in masks.values():
        assert len(prompts_of(result, mask["id"])) == 2
        assert_true(image, result, mask)


def test_a_predicted_mask_is_mended_in_place(editor, open_work, toy_backend, picture) -> None:
    """A mask that came with the task keeps its region id and its pixels."""
    name, image = picture
    prior = np.zeros(image.shape[:2], dtype=np.bool_)
    prior[100:300, 200:400] = True
    region = {
        "id": "predicted1",
        "from_name": "mask",
        "to_name": "image",
        "type": "brush",
        "original_width": 640,
        "original_height": 480,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_ls_rle(prior)},
    }
    named = {**region, "from_name": "class", "type": "labels"}
    named["value"] = {**region["value"], "labels": ["cat"]}
    work = open_work([name], toy_backend, predicted=lambda task_id: [region, named])
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    assert [mask.id for mask in editor.masks()] == ["predicted1"]

    editor.click(300, 200, "cat", positive=False, ctrl=True)
    editor.click(405, 150, "cat")
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    assert mask["id"] == "predicted1"
    prompts = prompts_of(result, "predicted1")
    assert [prompt["meta"]["pos"] for prompt in prompts] == [False, True]
    assert np.array_equal(truth(image, prompts, prior=prior), mask_of(mask))


def test_a_photo_stored_on_its_side_is_masked_as_it_is_shown(
    editor, open_work, toy_backend, turned_picture
) -> None:
    name, image = turned_picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)

    editor.draw_box((100, 400, 300, 600), "cat")
    editor.click(200, 500, "cat", positive=False)
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    assert (mask["original_height"], mask["original_width"]) == (640, 480)
    assert_true(image, result, mask)


@pytest.mark.parametrize("auto_accept", [True, False])
def test_bitmask_configs_work_as_well(editor, open_work, toy_backend, picture, auto_accept) -> None:
    name, image = picture
    work = open_work([name], toy_backend, kind="bitmask")
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=auto_accept)

    editor.draw_box(BOX, "cat")
    if not auto_accept:
        editor.accept()
    # An accepted bitmask swallows clicks on it; beside it they arrive.
    editor.click(*BESIDE, "cat")
    if not auto_accept:
        editor.accept()
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    assert mask["type"] == "bitmask"
    assert len(prompts_of(result, mask["id"])) == 2
    assert_true(image, result, mask)


def test_the_default_model_follows_box_and_clicks(editor, open_work, real_backend, studio) -> None:
    """A plain disk on a plain ground: the mask of its box is the disk, and clicks are obeyed."""
    rows, columns = np.mgrid[:480, :640]
    disk: BoolMask = (rows - 240) ** 2 + (columns - 320) ** 2 < 110**2
    image = np.where(disk[:, :, None], (210, 60, 50), (90, 120, 90)).astype(np.uint8)
    noise = np.random.default_rng(1).integers(0, 20, image.shape, dtype=np.uint8)
    Image.fromarray(image + noise).save(studio.files_root / "images" / "disk.png")
    work = open_work(["disk.png"], real_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)

    (boxed,) = masks_in(editor.draw_box((200, 120, 440, 360), "cat").answered)
    (mended,) = masks_in(editor.click(320, 160, "cat", positive=False).answered)
    editor.submit()

    assert iou(mask_of(boxed), disk) > 0.8
    assert mended["id"] == boxed["id"]
    assert not np.array_equal(mask_of(boxed), mask_of(mended))
    (stored,) = masks_in(work.only_result())
    assert np.array_equal(mask_of(mended), mask_of(stored))
