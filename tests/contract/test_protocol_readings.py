"""One click, several readings: a second click on the dot takes the model's next candidate."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from editor_model import CONFIG, LIVE_CONFIG, Editor, OneImage, Rig, is_mask, mask_of, toy_image
from fakes import ReadingsSegmenter, ToySegmenter

from remask_core.history import Step, replay
from remask_core.types import BoolMask, Box, Click
from remask_worker.calls import Answer, Call
from remask_worker.thread_engine import ThreadEngine

PAGES = pytest.mark.parametrize("config", [CONFIG, LIVE_CONFIG], ids=["own labels", "live page"])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    engine = ThreadEngine(ReadingsSegmenter())
    yield Rig(engine, OneImage(tmp_path))
    engine.close()


def expected(*steps: Step) -> BoolMask:
    model = ReadingsSegmenter()
    return replay(model, model.embed(toy_image()), steps)[-1].mask


def step(x: int, y: int, *, positive: bool = True, reading: int = 0) -> Step:
    return Step(clicks=(Click(x, y, positive),), reading=reading)


def only_mask(result: list[dict[str, Any]]) -> dict[str, Any]:
    (mask,) = [region for region in result if is_mask(region)]
    return mask


@PAGES
@pytest.mark.parametrize("auto_accept", [True, False])
def test_each_click_on_the_dot_takes_the_next_candidate_in_place(
    rig: Rig, config: str, auto_accept: bool
) -> None:
    editor = Editor(rig, config=config, auto_accept=auto_accept)
    first = only_mask(editor.click(80, 60))

    for reading in (1, 2, 3):
        mask = only_mask(editor.click(80, 60))
        assert mask["id"] == first["id"]
        assert mask["meta"]["n_clicks"] == 1
        np.testing.assert_array_equal(mask_of(mask), expected(step(80, 60, reading=reading)))

    # Counted round: after the last candidate comes the first.
    np.testing.assert_array_equal(mask_of(mask), mask_of(first))


@PAGES
def test_the_two_requests_of_a_double_click_with_ctrl_are_one_click_and_its_next_reading(
    rig: Rig, config: str
) -> None:
    """The second is sent before the first is answered, so it brings both clicks."""
    editor = Editor(rig, config=config, auto_accept=False)
    editor.click(80, 60)
    result = editor.click(80, 60)
    editor.accept_all()

    np.testing.assert_array_equal(mask_of(only_mask(result)), expected(step(80, 60, reading=1)))
    points = [region for region in editor.regions.values() if not is_mask(region)]
    assert [point["meta"]["reading"] for point in points] == [1]


@PAGES
def test_a_boxs_next_reading_is_asked_for_on_its_corner(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    editor.box(20.5, 20.5, 60, 60)

    mask = only_mask(editor.click(20, 20))

    box = Step(box=Box(20.5, 20.5, 60, 60), reading=1)
    np.testing.assert_array_equal(mask_of(mask), expected(box))
    assert mask["meta"]["n_clicks"] == 0


@PAGES
def test_later_clicks_build_on_the_reading_that_was_taken(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    editor.click(80, 60)
    editor.click(80, 60)

    mask = only_mask(editor.click(86, 60))

    steps = step(80, 60, reading=1), step(86, 60)
    np.testing.assert_array_equal(mask_of(mask), expected(*steps))
    rig.restart()
    again = only_mask(editor.click(92, 60))
    np.testing.assert_array_equal(mask_of(again), expected(*steps, step(92, 60)))


@PAGES
def test_undo_brings_the_reading_before_back(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    editor.click(80, 60)
    before = editor.masks()
    editor.click(80, 60)

    editor.undo()

    assert before.keys() == editor.masks().keys()
    mask = only_mask(editor.click(80, 60))
    np.testing.assert_array_equal(mask_of(mask), expected(step(80, 60, reading=1)))


@PAGES
def test_a_click_of_the_other_sign_on_a_dot_is_a_click(rig: Rig, config: str) -> None:
    editor = Editor(rig, config=config)
    editor.click(80, 60)

    mask = only_mask(editor.click(80, 60, positive=False))

    assert mask["meta"]["n_clicks"] == 2


def test_a_model_with_one_candidate_says_that_there_is_no_other(tmp_path: Path) -> None:
    engine = ThreadEngine(ToySegmenter())
    editor = Editor(Rig(engine, OneImage(tmp_path)), config=LIVE_CONFIG)
    first = only_mask(editor.click(80, 60))

    mask = only_mask(editor.click(80, 60))
    engine.close()

    assert mask["value"]["rle"] == first["value"]["rle"]
    assert editor.shown == "only"


@pytest.mark.parametrize("saved", [True, False])
def test_after_a_restart_a_draft_of_another_reading_is_not_taken_for_the_mask(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:
    editor = Editor(rig)
    editor.click(40, 60)
    editor.click(120, 60)
    editor.save_draft()
    editor.click(40, 60)
    if saved:
        editor.save_draft()
    calls: list[Call] = []
    submit = rig.engine.submit

    def noted(call: Call) -> Future[Answer]:
        calls.append(call)
        return submit(call)

    monkeypatch.setattr(rig.engine, "submit", noted)
    rig.restart()
    editor.click(123, 60)

    made_again = [] if saved else [(step(40, 60, reading=1),)]
    assert [call.steps for call in calls] == [*made_again, (step(120, 60), step(123, 60))]
