"""Working live: objects, labels, predicted masks, several images, failures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from editor_model import (
    CONFIG,
    SHAPE_HW,
    Editor,
    OneImage,
    Rig,
    is_mask,
    mask_of,
    toy_image,
    toy_rig,
)
from fakes import ToySegmenter, toy_mask

from remask_core.errors import InputError, NotFound, Unavailable
from remask_core.rle_ls import encode_ls_rle
from remask_core.types import BoolMask, Click, Prompt
from remask_label_config import ConfigProblem
from remask_label_config.pages.live import write_labelling_config
from remask_worker.calls import Answer, Call, Health, WorkerDied
from remask_worker.thread_engine import ThreadEngine


class BreakableEngine:
    """A real engine whose calls fail while `error` is set."""

    def __init__(self) -> None:
        self.engine = ThreadEngine(ToySegmenter())
        self.error: Exception | None = None
        self.calls: list[Call] = []

    def submit(self, call: Call) -> Future[Answer]:
        self.calls.append(call)
        if self.error is None:
            return self.engine.submit(call)
        failed: Future[Answer] = Future()
        failed.set_exception(self.error)
        return failed

    def health(self) -> Health:
        return self.engine.health()

    def close(self, *, grace_s: float = 10.0) -> None:
        self.engine.close(grace_s=grace_s)


@pytest.fixture
def engine() -> Iterator[BreakableEngine]:
    made = BreakableEngine()
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path: Path, engine: BreakableEngine) -> Rig:
    return Rig(engine, OneImage(tmp_path))


def truth(*clicks: Click, prior: BoolMask | None = None) -> BoolMask:
    return toy_mask(toy_image(), Prompt(clicks=clicks, prior_mask=prior))


def square(x0: int, y0: int, x1: int, y1: int) -> BoolMask:
    mask = np.zeros(SHAPE_HW, dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def predicted(own_id: str, mask: BoolMask, *, label: str = "Cat", **extra: Any) -> dict[str, Any]:
    return {
        "id": own_id,
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "original_width": SHAPE_HW[1],
        "original_height": SHAPE_HW[0],
        "value": {"format": "rle", "rle": encode_ls_rle(mask), "brushlabels": [label]},
        **extra,
    }


# Objects


def test_a_box_and_clicks_mend_one_region_in_place(rig: Rig) -> None:
    editor = Editor(rig)
    rid = editor.box(20, 20, 60, 60)[0]["id"]

    editor.click(40, 40, positive=False)
    editor.click(70, 40)

    assert list(editor.masks()) == [rid]
    mask = editor.masks()[rid]
    assert mask[25, 25]
    assert not mask[40, 40]
    assert mask[40, 70]
    log = [region["meta"] for region in editor.regions.values() if region.get("parentID") == rid]
    assert [entry.get("pos") for entry in log] == [None, False, True]
    assert [entry["n"] for entry in log] == [0, 1, 2]
    assert log[0]["t"] < log[1]["t"] < log[2]["t"]


def test_the_answer_says_what_made_it(rig: Rig) -> None:
    mask = Editor(rig).click(50, 50)[0]

    assert mask["meta"] == {"n_clicks": 1, "model_version": "toy@000000000000"}
    assert mask["score"] == 0.5
    record = rig.records[-1]
    assert record.outcome == "answered"
    assert record.region == mask["id"]
    assert record.lane == "click"
    assert record.prompts[0].click_xy == (50, 50)
    assert record.prompts[0].fresh


def test_where_masks_overlap_the_one_touched_last_is_mended(rig: Rig) -> None:
    editor = Editor(rig)
    first = editor.box(10, 10, 60, 60)[0]["id"]
    second = editor.box(40, 40, 90, 90)[0]["id"]
    assert editor.click(50, 50, positive=False)[0]["id"] == second

    editor.click(15, 15, positive=False)

    assert editor.click(45, 45, positive=False)[0]["id"] == first


def test_a_lone_negative_click_makes_nothing_and_is_logged(rig: Rig) -> None:
    assert Editor(rig).click(50, 50, positive=False) == []
    assert rig.records[-1].outcome == "empty"
    assert [prompt.positive for prompt in rig.records[-1].prompts] == [False]


def test_a_negative_click_before_the_first_positive_one_counts(rig: Rig) -> None:
    editor = Editor(rig, auto_accept=False)
    editor.click(50, 50, positive=False)

    (mask, *_) = editor.click(56, 50)

    clicks = Click(50, 50, False), Click(56, 50, True)
    np.testing.assert_array_equal(mask_of(mask), truth(*clicks))


def test_several_pending_boxes_are_several_objects(rig: Rig) -> None:
    editor = Editor(rig, auto_accept=False)
    (first, *_) = editor.box(10, 10, 30, 30)

    masks = [region for region in editor.box(50, 50, 80, 80) if is_mask(region)]

    assert masks[0]["id"] == first["id"]
    np.testing.assert_array_equal(mask_of(masks[0]), square(10, 10, 30, 30))
    np.testing.assert_array_equal(mask_of(masks[1]), square(50, 50, 80, 80))


def test_imported_boxes_are_not_answered_with_a_new_one(rig: Rig) -> None:
    editor = Editor(rig)
    imported = editor._drawn(
        "rectanglelabels",
        "box",
        {"x": 10.0, "y": 10.0, "width": 20.0, "height": 20.0, "rectanglelabels": ["Cat"]},
    )
    editor.regions["imported"] = {**imported, "id": "imported", "origin": "prediction"}

    result = editor.box(80, 80, 110, 110)

    assert len([region for region in result if is_mask(region)]) == 1


def test_regions_of_other_labels_are_none_of_our_business(rig: Rig) -> None:
    editor = Editor(rig)
    cat = editor.click(50, 50, label="Cat")[0]["id"]

    dog = editor.click(50, 50, label="Dog")[0]

    assert dog["id"] != cat
    assert dog["value"]["brushlabels"] == ["Dog"]


# Masks that came with the task


def test_a_click_on_a_predicted_mask_takes_it_over(rig: Rig) -> None:
    prior = square(20, 20, 60, 60)
    editor = Editor(rig)
    editor.task["predictions"] = [{"id": 5, "result": [predicted("mine", prior)]}]

    (mask, point) = editor.click(30, 30, positive=False)
    (mended, *_) = editor.click(62, 40)

    assert mask["id"] == mended["id"] == "mine"
    assert point["meta"]["prior"]["prediction"] == 5
    assert point["meta"]["prior"]["region"] == "mine"
    clicks = Click(30, 30, False), Click(62, 40, True)
    np.testing.assert_array_equal(mask_of(mended), truth(*clicks, prior=prior))


def test_a_predicted_bitmask_is_taken_over_as_well(rig: Rig) -> None:
    prior = square(20, 20, 60, 60)
    png = cv2.imencode(".png", np.dstack([255 * prior.astype(np.uint8)] * 4))[1].tobytes()
    url = "data:image/png;base64," + base64.b64encode(png).decode()
    region = predicted("mine", prior)
    region |= {"type": "bitmasklabels", "value": {"imageDataURL": url, "bitmasklabels": ["Cat"]}}
    editor = Editor(rig, config=write_labelling_config(["Cat"], kind="bitmask"))
    editor.task["predictions"] = [{"id": 5, "result": [region]}]

    (mask, *_) = editor.click(30, 30, positive=False)

    assert mask["id"] == "mine"
    assert mask["type"] == "bitmasklabels"
    picture = base64.b64decode(mask["value"]["imageDataURL"].partition(",")[2])
    alpha = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)[..., 3]
    np.testing.assert_array_equal(alpha >= 128, truth(Click(30, 30, False), prior=prior))


def test_a_click_far_from_a_predicted_mask_starts_an_object(rig: Rig) -> None:
    editor = Editor(rig)
    editor.task["predictions"] = [{"id": 5, "result": [predicted("mine", square(5, 5, 15, 15))]}]

    assert editor.click(120, 100)[0]["id"] != "mine"


def test_a_predicted_mask_that_the_draft_lacks_was_deleted(rig: Rig) -> None:
    editor = Editor(rig)
    editor.task["predictions"] = [{"id": 5, "result": [predicted("mine", square(20, 20, 60, 60))]}]
    editor.task["drafts"] = [{"id": 1, "result": []}]

    assert editor.click(30, 30)[0]["id"] != "mine"


def test_of_two_predictions_the_newest_is_taken(rig: Rig) -> None:
    editor = Editor(rig)
    editor.task["predictions"] = [
        {"id": 6, "result": [predicted("new", square(20, 20, 60, 60))]},
        {"id": 5, "result": [predicted("old", square(20, 20, 60, 60))]},
    ]

    assert editor.click(30, 30)[0]["id"] == "new"


@pytest.mark.parametrize("now", [[], [predicted("mine", square(20, 20, 50, 60))]])
def test_a_prediction_that_is_gone_or_changed_leaves_the_mask_alone(rig: Rig, now: Any) -> None:
    editor = Editor(rig)
    editor.task["predictions"] = [{"id": 5, "result": [predicted("mine", square(20, 20, 60, 60))]}]
    editor.click(30, 30)
    before = editor.masks()["mine"]
    editor.task["predictions"] = [{"id": 5, "result": now}]

    assert editor.click(40, 40, positive=False) == []

    assert rig.records[-1].error == "prior-lost"
    assert rig.records[-1].outcome == "kept_previous"
    np.testing.assert_array_equal(editor.masks()["mine"], before)


def test_points_that_came_with_a_predicted_mask_are_no_new_clicks(rig: Rig) -> None:
    editor = Editor(rig)
    editor.task["predictions"] = [{"id": 5, "result": [predicted("mine", square(20, 20, 60, 60))]}]
    old = editor._drawn(
        "keypointlabels", "click", {"x": 90.0, "y": 90.0, "keypointlabels": ["Cat"]}
    )
    editor.regions["old"] = {**old, "id": "old", "parentID": "mine", "origin": "prediction"}

    (mask, *points) = editor.click(30, 30, positive=False)

    assert mask["id"] == "mine"
    assert [point["id"] for point in points] == ["prompt00002"]


def test_other_peoples_annotations_are_never_answered(rig: Rig) -> None:
    editor = Editor(rig)
    theirs = predicted("theirs", square(20, 20, 60, 60))
    editor.task["annotations"] = [{"id": 9, "completed_by": 2, "result": [theirs]}]

    (mask, *_) = editor.click(30, 30)

    assert mask["id"] != "theirs"
    np.testing.assert_array_equal(mask_of(mask), truth(Click(30, 30, True)))


# Several images


def test_each_image_of_a_task_has_its_own_objects(rig: Rig) -> None:
    config = CONFIG.replace('value="$image"', 'valueList="$images"')
    editor = Editor(rig, config=config)
    editor.task["data"] = {"images": ["/a.png", "/b.png"]}
    first = editor.click(50, 50, item_index=0)[0]

    result = editor.click(50, 50, item_index=1)

    assert result[0]["id"] != first["id"]
    assert {region["item_index"] for region in result} == {1}
    assert [url for url, _ in rig.images.asked] == ["/a.png", "/b.png"]


# Restarts


def many_objects(rig: Rig) -> Editor:
    editor = Editor(rig)
    for column in range(6):
        for row in range(4):
            x, y = 15 + 25 * column, 15 + 30 * row
            editor.box(x - 8, y - 8, x + 8, y + 8)
            editor.click(x, y, positive=False)
    return editor


def test_a_click_after_a_restart_takes_the_other_masks_from_the_draft(
    rig: Rig, engine: BreakableEngine
) -> None:
    editor = many_objects(rig)
    expected = editor.click(90, 19)
    editor.undo()
    editor.reload()
    rig.restart()
    engine.calls.clear()
    again = editor.click(90, 19)

    assert [len(call.steps) for call in engine.calls] == [3]
    assert again[0]["id"] == expected[0]["id"]
    np.testing.assert_array_equal(mask_of(again[0]), mask_of(expected[0]))


def test_a_mask_of_which_the_draft_has_other_prompts_is_made_again(
    rig: Rig, engine: BreakableEngine
) -> None:
    editor = many_objects(rig)
    editor.reload()
    editor.click(93, 19)
    rig.restart()
    engine.calls.clear()
    editor.click(18, 17)

    assert sorted(len(call.steps) for call in engine.calls) == [3, 3]


# Failures


@pytest.mark.parametrize("auto_accept", [True, False])
def test_a_worker_that_dies_leaves_the_mask_and_the_log(
    rig: Rig, engine: BreakableEngine, auto_accept: bool
) -> None:
    editor = Editor(rig, auto_accept=auto_accept)
    (mask, *_) = editor.click(50, 50)
    before = editor.masks()[mask["id"]]
    engine.error = WorkerDied("the worker was lost")

    editor.click(56, 50)

    np.testing.assert_array_equal(editor.masks()[mask["id"]], before)
    record = rig.records[-1]
    assert (record.outcome, record.error) == ("kept_previous", "worker-died")
    assert [prompt.click_xy for prompt in record.prompts if prompt.fresh] == [(56, 50)]
    engine.error = None
    (later, *_) = editor.click(58, 50)
    assert later["id"] == mask["id"]


def test_a_first_click_that_fails_gives_nothing_and_is_logged(
    rig: Rig, engine: BreakableEngine
) -> None:
    engine.error = Unavailable("no worker")

    assert Editor(rig).click(50, 50) == []
    assert (rig.records[-1].outcome, rig.records[-1].error) == ("failed", "unavailable")


def test_an_image_that_cannot_be_had_is_no_error_to_the_editor(rig: Rig) -> None:
    rig.images.error = NotFound("no such file")

    assert Editor(rig).click(50, 50) == []
    record = rig.records[-1]
    assert (record.outcome, record.error) == ("failed", "not-found")
    assert record.prompts[0].click_xy == (50, 50)


def test_an_image_of_another_size_than_in_the_editor_is_refused(tmp_path: Path) -> None:
    """Such as a photo whose EXIF orientation one side forgot."""
    with toy_rig(tmp_path, shape_hw=(160, 120)) as rig:
        assert Editor(rig).click(50, 50) == []
        assert rig.records[-1].error == "shape-mismatch"


def test_a_label_that_the_mask_tag_lacks_is_named(rig: Rig) -> None:
    with pytest.raises(InputError, match="label `Bird`"):
        Editor(rig).click(50, 50, label="Bird")
    assert rig.records[-1].outcome == "failed"


def test_a_config_without_masks_is_told(rig: Rig) -> None:
    config = CONFIG.replace("BrushLabels", "PolygonLabels")

    with pytest.raises(ConfigProblem, match="no <BrushLabels> or <BitmaskLabels>"):
        Editor(rig, config=config).click(50, 50)


# Cost


def test_a_click_costs_one_call_of_the_worker(rig: Rig, engine: BreakableEngine) -> None:
    """Whose mask a click meets is known from the last answer."""
    editor = Editor(rig)
    for x in (50, 54, 58, 62):
        editor.click(x, 50)

    assert len(engine.calls) == 4
