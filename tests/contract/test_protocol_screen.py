"""What stands on the screen is the truth: changed classes, deleted masks, pending and lost prompts.

Each test runs on the page of the SAM examples, with labels on every tool, and on ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from editor_model import (
    CONFIG,
    LIVE_CONFIG,
    ONE_CLASS_CONFIG,
    SHAPE_HW,
    Editor,
    OneImage,
    Rig,
    class_of,
    is_mask,
    mask_of,
    merged,
    toy_image,
)
from fakes import ToySegmenter, toy_mask

from remask_core.errors import AccessRefused, BadImage, NotFound, RemaskError, Unavailable
from remask_core.rle_ls import encode_ls_rle
from remask_core.types import BoolMask, Box, Click, Prompt
from remask_service.predict.click_rows import prompt_rows
from remask_service.predict.notices import notice_of
from remask_storage.click_rows import store_prompts
from remask_storage.database import Database
from remask_storage.task_notes import TaskNotes
from remask_worker.calls import Answer, Call, Expired, Health, ModelFailed, Overloaded, WorkerDied
from remask_worker.thread_engine import ThreadEngine

PAGES = pytest.mark.parametrize("config", [CONFIG, LIVE_CONFIG], ids=["own labels", "live page"])


class BreakableEngine:
    """A real engine whose calls fail while `error` is set."""

    def __init__(self) -> None:
        self.engine = ThreadEngine(ToySegmenter())
        self.error: Exception | None = None

    def submit(self, call: Call) -> Future[Answer]:
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


def truth(*clicks: Click, box: Box | None = None, prior: BoolMask | None = None) -> BoolMask:
    return toy_mask(toy_image(), Prompt(clicks=clicks, box=box, prior_mask=prior))


def masks_in(result: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [region for region in result if is_mask(region)]


def predicted(own_id: str, mask: BoolMask, label: str, config: str) -> list[dict[str, Any]]:
    region: dict[str, Any] = {
        "id": own_id,
        "type": "brushlabels" if config == CONFIG else "brush",
        "from_name": "mask",
        "to_name": "image",
        "original_width": SHAPE_HW[1],
        "original_height": SHAPE_HW[0],
        "value": {"format": "rle", "rle": encode_ls_rle(mask)},
    }
    if config == CONFIG:
        region["value"]["brushlabels"] = [label]
        return [region]
    value = {**region["value"], "labels": [label]}
    return [region, {**region, "type": "labels", "from_name": "class", "value": value}]


# Deleted masks


@PAGES
@pytest.mark.parametrize("moves_up", [True, False])
def test_a_deleted_mask_stays_deleted(rig: Rig, config: str, moves_up: bool) -> None:
    """Label Studio leaves its dots behind, and their `parentID` with them."""
    editor = Editor(rig, config=config)
    editor.box(10, 10, 40, 40)
    second = editor.box(60, 60, 100, 100)[0]["id"]
    editor.click(80, 80, positive=False)

    editor.delete(second, moves_up=moves_up)

    mask = masks_in(editor.click(70, 70))[0]
    assert mask["id"] != second
    assert mask["meta"]["n_clicks"] == 1
    np.testing.assert_array_equal(mask_of(mask), truth(Click(70, 70, True)))


# Changed classes


@PAGES
def test_a_mask_of_a_changed_class_is_mended_in_that_class(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    rid = editor.box(20, 20, 60, 60)[0]["id"]
    editor.change_class(rid, "Dog")
    editor.save_draft()

    editor.click(40, 40, label="Dog", positive=False)

    assert list(editor.masks()) == [rid]
    assert class_of(editor.regions[rid]) == "Dog"
    expected = truth(Click(40, 40, False), box=Box(20, 20, 60, 60))
    np.testing.assert_array_equal(editor.masks()[rid], expected)


@PAGES
def test_a_click_of_the_old_class_does_not_turn_it_back(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    rid = editor.box(20, 20, 60, 60)[0]["id"]
    editor.change_class(rid, "Dog")
    editor.save_draft()

    editor.click(40, 40, label="Cat")

    assert class_of(editor.regions[rid]) == "Dog"
    np.testing.assert_array_equal(editor.masks()[rid], truth(box=Box(20, 20, 60, 60)))
    assert len(editor.masks()) == 2


@PAGES
def test_later_clicks_of_the_new_class_go_on_from_there(rig: Rig, config: str) -> None:
    """The prompts come back in the new class, so that no draft is needed any more."""
    editor = Editor(rig, config=config)
    rid = editor.box(20, 20, 60, 60)[0]["id"]
    editor.change_class(rid, "Dog")
    editor.save_draft()
    editor.click(40, 40, label="Dog", positive=False)
    editor.task["drafts"] = []

    (mask,) = masks_in(editor.click(63, 40, label="Dog"))

    assert mask["id"] == rid
    assert mask["meta"]["n_clicks"] == 2


@PAGES
def test_a_predicted_mask_of_a_changed_class_is_mended_in_place(rig: Rig, config: str) -> None:
    prior = np.zeros(SHAPE_HW, dtype=np.bool_)
    prior[20:60, 20:60] = True
    regions = predicted("mine", prior, "Cat", config)
    editor = Editor(rig, config=config)
    editor.task["predictions"] = [{"id": 5, "result": regions}]
    editor.regions = merged(regions)
    editor.change_class("mine", "Dog")
    editor.save_draft()

    editor.click(30, 30, label="Dog", positive=False)

    assert list(editor.masks()) == ["mine"]
    assert class_of(editor.regions["mine"]) == "Dog"
    np.testing.assert_array_equal(editor.masks()["mine"], truth(Click(30, 30, False), prior=prior))


@PAGES
def test_a_class_changed_before_submitting_stays_when_it_is_opened_again(
    rig: Rig, config: str
) -> None:
    editor = Editor(rig, config=config)
    rid = editor.box(20, 20, 60, 60)[0]["id"]
    editor.change_class(rid, "Dog")
    editor.submit_and_open_again()

    editor.click(40, 40, label="Cat")

    assert class_of(editor.regions[rid]) == "Dog"


# Masks that nobody may change


@PAGES
def test_a_read_only_mask_is_left_alone(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    rid = editor.box(20, 20, 60, 60)[0]["id"]
    editor.regions[rid]["readonly"] = True
    editor.save_draft()
    before = editor.masks()[rid]

    editor.click(40, 40)

    np.testing.assert_array_equal(editor.masks()[rid], before)
    assert len(editor.masks()) == 2


# Prompts that wait, and prompts that were lost


@PAGES
def test_a_pending_box_counts_when_a_click_follows(rig: Rig, config: str) -> None:
    """The editor never sends boxes and points together; the draft holds the box."""
    editor = Editor(rig, auto_accept=False, config=config)
    rid = editor.box(20, 20, 60, 60)[0]["id"]
    editor.save_draft()

    (mask,) = masks_in(editor.click(40, 40, positive=False))
    editor.accept_all()

    assert mask["id"] == rid
    expected = truth(Click(40, 40, False), box=Box(20, 20, 60, 60))
    np.testing.assert_array_equal(mask_of(mask), expected)
    assert list(editor.masks()) == [rid]
    (again,) = masks_in(editor.click(25, 25, positive=False))
    assert (again["id"], again["meta"]["n_clicks"]) == (rid, 2)


@PAGES
def test_a_box_drawn_again_after_an_outage_replaces_the_old_one(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    # The request came to nothing, so the rectangle stays on the screen.
    lost = editor._drawn(
        "rectangle", "box", {"x": 10.0, "y": 10.0, "width": 30.0, "height": 30.0}, "Cat"
    )
    editor.regions[lost["id"]] = lost
    editor.dynamic.add(lost["id"])

    editor.box(17, 13, 65, 47)

    assert len(editor.masks()) == 1
    (mask,) = editor.masks().values()
    np.testing.assert_array_equal(mask, truth(box=Box(17, 13, 65, 47)))


@PAGES
def test_a_box_elsewhere_that_was_lost_is_answered_with_the_next(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    lost = editor._drawn(
        "rectangle", "box", {"x": 10.0, "y": 10.0, "width": 20.0, "height": 20.0}, "Cat"
    )
    editor.regions[lost["id"]] = lost
    editor.dynamic.add(lost["id"])

    editor.box(100, 60, 140, 100)

    assert len(editor.masks()) == 2


@PAGES
def test_a_click_that_failed_is_no_part_of_the_next_object(
    rig: Rig, engine: BreakableEngine, config: str
) -> None:
    editor = Editor(rig, config=config, auto_accept=False)
    engine.error = WorkerDied("the worker was lost")
    editor.click(30, 30)
    engine.error = None

    masks = masks_in(editor.click(120, 90))

    found = sorted(int(mask_of(mask).sum()) for mask in masks)
    assert len(masks) == 2
    assert found == [int(truth(Click(30, 30, True)).sum())] * 2


@PAGES
@pytest.mark.parametrize("answered", [True, False])
def test_a_click_that_came_while_nobody_ran_is_no_part_of_the_next_object(
    rig: Rig, config: str, answered: bool, tmp_path: Path
) -> None:
    """The click log tells it from a click that another process answered."""
    editor = Editor(rig, config=config, auto_accept=False)
    earlier = editor.click(30, 30)
    database = Database.open(tmp_path / "sessions.db")
    rig.notes = TaskNotes(database)
    if answered:
        with database.writing() as connection:
            store_prompts(connection, prompt_rows(rig.records[-1]))
    rig.restart()

    masks = masks_in(editor.click(120, 90))

    rig.notes.close()
    database.close()
    assert len(masks) == (1 if answered else 2)
    assert earlier[0]["id"] in {mask["id"] for mask in masks}


# Prompts without a class


def test_where_there_is_one_class_nobody_has_to_choose_it(rig: Rig) -> None:
    editor = Editor(rig, config=ONE_CLASS_CONFIG)

    rid = editor.box(20, 20, 60, 60, label=None)[0]["id"]
    mask = masks_in(editor.click(40, 40, label=None, positive=False))[0]

    assert mask["id"] == rid
    assert mask["value"]["brushlabels"] == ["Cat"]
    expected = truth(Click(40, 40, False), box=Box(20, 20, 60, 60))
    np.testing.assert_array_equal(mask_of(mask), expected)


def test_a_click_of_no_class_mends_the_mask_that_it_is_in(rig: Rig) -> None:
    """After an undo no class is chosen; a click into a mask has only one reading."""
    editor = Editor(rig, config=LIVE_CONFIG)
    rid = editor.box(20, 20, 60, 60, label="Dog")[0]["id"]
    editor.save_draft()

    mask = masks_in(editor.click(40, 40, label=None, positive=False))[0]

    assert mask["id"] == rid
    assert class_of(editor.regions[rid]) == "Dog"


def test_a_click_of_no_class_elsewhere_is_answered_with_a_sentence(rig: Rig) -> None:
    editor = Editor(rig, config=LIVE_CONFIG)

    assert masks_in(editor.click(40, 40, label=None)) == []
    assert editor.shown == "class"
    assert masks_in(editor.box(10, 10, 30, 30, label=None)) == []
    assert editor.shown == "class"

    editor.click(40, 40)

    assert editor.shown == "ok"
    assert len(editor.masks()) == 1


# Failures


def test_a_failure_is_told_until_the_next_answer(rig: Rig, engine: BreakableEngine) -> None:
    editor = Editor(rig, config=LIVE_CONFIG)
    editor.click(40, 40)
    assert editor.shown is None
    engine.error = Overloaded("the lane is full")

    editor.click(48, 40)

    assert editor.shown == "busy"
    assert len(editor.masks()) == 1
    engine.error = None
    editor.click(48, 40)
    assert editor.shown == "ok"
    editor.shown = None
    editor.click(56, 40)
    assert editor.shown is None


def test_a_sentence_in_the_draft_is_taken_off_by_another_process(
    rig: Rig, engine: BreakableEngine
) -> None:
    editor = Editor(rig, config=LIVE_CONFIG)
    editor.task["drafts"] = [
        {
            "id": 1,
            "result": [
                {
                    "id": "remask_state",
                    "type": "choices",
                    "from_name": "state",
                    "to_name": "image",
                    "value": {"choices": ["busy"]},
                }
            ],
        }
    ]

    editor.click(40, 40)

    assert editor.shown == "ok"


@pytest.mark.parametrize("auto_accept", [True, False])
def test_an_image_that_cannot_be_had_is_told(rig: Rig, auto_accept: bool) -> None:
    editor = Editor(rig, config=LIVE_CONFIG, auto_accept=auto_accept)
    rig.images.error = AccessRefused("the token is refused")

    editor.click(40, 40)

    assert editor.shown == "token"
    rig.images.error = None
    assert masks_in(editor.click(44, 40))
    assert editor.shown == "ok"


@pytest.mark.parametrize(
    ("error", "notice"),
    [
        (AccessRefused("x"), "token"),
        (BadImage("x"), "image"),
        (NotFound("x"), "image"),
        (Overloaded("x"), "busy"),
        (Expired("x"), "busy"),
        (WorkerDied("x"), "starting"),
        (Unavailable("x"), "starting"),
        (ModelFailed("x"), "failed"),
        (RemaskError("x"), "failed"),
    ],
)
def test_each_failure_has_its_own_sentence(error: RemaskError, notice: str) -> None:
    assert notice == notice_of(error)
