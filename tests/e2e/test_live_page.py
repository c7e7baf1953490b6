"""The live page in an annotator's hand: actions, keys, sentences, what is seen and what fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e2e.editor import INTERACTIVE, Editor
from e2e.live_page import LivePage
from e2e.results import class_of, mask_of, masks_in, prompts_of
from label_studio_sdk.converter.brush import decode_rle
from playwright.sync_api import Browser
from ports import free_port
from studio import ACCOUNT, Studio

from remask_cli.demo.backend import start_backend
from remask_cli.demo.programs import HOST
from remask_core.types import RgbImage
from remask_label_config.pages.extend import extend_labelling_config
from remask_label_config.pages.live import NOTICES, write_labelling_config
from remask_label_studio.client import BackendAddress

LAPTOP = (1366, 768)
SAM_PAGE = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <KeyPointLabels name="kp" toName="image" smart="true">
    <Label value="cat" background="#250dd3"/><Label value="dog" background="#ff8800"/>
  </KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true">
    <Label value="cat" background="#250dd3"/><Label value="dog" background="#ff8800"/>
  </RectangleLabels>
  <BrushLabels name="tag" toName="image">
    <Label value="cat" background="#250dd3"/><Label value="dog" background="#ff8800"/>
  </BrushLabels>
  <PolygonLabels name="poly" toName="image"><Label value="zone"/></PolygonLabels>
  <Choices name="weather" toName="image"><Choice value="rain"/><Choice value="sun"/></Choices>
</View>"""


class Hand:
    """An annotator's hand: every key, click and drag is one action, whatever key is held."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.actions: list[str] = []

    def key(self, key: str) -> None:
        self.actions.append(key)
        self.editor.key(key)

    def click(self, x: float, y: float, *, positive: bool = True) -> None:
        self.actions.append("click" if positive else "Alt+click")
        self.editor.ask(x, y, positive=positive)

    def drag(self, box: tuple[float, float, float, float]) -> None:
        self.actions.append("drag")
        self.editor.ask_box(box)

    def submit(self) -> None:
        self.actions.append("Ctrl+Enter")
        self.editor.submit(by_key=True)


@pytest.fixture(scope="session")
def readings_backend(
    studio: Studio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BackendAddress]:
    """A backend whose model has three candidates: see `fakes.ReadingsSegmenter`."""
    address = BackendAddress(f"http://{HOST}:{free_port()}", user="label-studio", password="known")
    with start_backend(
        address,
        model="fakes:load_readings",
        state_dir=tmp_path_factory.mktemp("readings"),
        label_studio_url=studio.url,
        api_key=studio.api_key,
        environ={**os.environ, "PYTHONPATH": _python_path(), "OMP_NUM_THREADS": "1"},
    ):
        yield address


def _python_path() -> str:
    tests = str(Path(__file__).parents[1])
    return os.pathsep.join(filter(None, (tests, os.environ.get("PYTHONPATH"))))


def test_five_objects_with_seven_prompts_take_eleven_actions(
    editor: Editor,
    open_work: Callable[..., Any],
    toy_backend: BackendAddress,
    picture: tuple[str, RgbImage],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two classes, boxes and clicks, one mask mended twice, by mouse and keyboard."""
    name, _ = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    hand = Hand(editor)

    hand.key("r")
    hand.drag((60, 60, 160, 160))
    hand.drag((250, 60, 350, 160))
    hand.key("2")
    hand.drag((60, 250, 160, 350))
    hand.key("k")
    hand.click(165, 300)
    hand.click(80, 270, positive=False)
    hand.click(420, 300)
    hand.click(560, 120)
    hand.submit()

    with capsys.disabled():
        # Counted aloud, so that a run of this test shows the figure that the guide gives.
        sys.stdout.write(f"\n{len(hand.actions)} actions: {', '.join(hand.actions)}\n")
    assert len(hand.actions) <= 11
    result = work.only_result()
    classes = sorted(class_of(result, mask["id"]) for mask in masks_in(result))
    assert classes == ["cat", "cat", "dog", "dog", "dog"]
    assert sorted(len(prompts_of(result, mask["id"])) for mask in masks_in(result)) == [
        1,
        1,
        1,
        1,
        3,
    ]


def test_a_single_class_needs_no_class_at_all(
    editor, open_work, toy_backend, picture, capsys
) -> None:
    name, _ = picture
    work = open_work([name], toy_backend, config=write_labelling_config(["cat"]))
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    hand = Hand(editor)

    hand.key("k")
    hand.click(100, 100)
    editor.undo()
    hand.click(100, 100)
    hand.click(118, 100)
    hand.click(100, 112, positive=False)
    editor.let_go()
    hand.click(500, 300)
    hand.submit()

    result = work.only_result()
    masks = masks_in(result)
    assert [mask["value"]["brushlabels"] for mask in masks] == [["cat"], ["cat"]]
    assert sorted(len(prompts_of(result, mask["id"])) for mask in masks) == [1, 3]
    # No second entry of the mask's id, and its pixels are stored once.
    assert len({region["id"] for region in result}) == len(result)


def test_the_page_says_what_is_missing(annotator, open_work, toy_backend, picture) -> None:
    """Each sentence rests on class names that the editor does not document."""
    name, _ = picture
    work = open_work([name], toy_backend)
    annotator.open_task(work.project_id, work.task_ids[0])
    place = LivePage(annotator).picture_box()

    annotator.switch(auto_annotation=False, auto_accept=False)
    assert LivePage(annotator).sentences() == ["Switch on Auto-Annotation, below the picture."]
    annotator.switch(auto_accept=False)
    assert LivePage(annotator).sentences() == [
        "Switch on Auto-Accept Suggestions, below the picture."
    ]
    annotator.switch(auto_accept=True)
    assert LivePage(annotator).sentences() == [
        "Press K to click or R to draw boxes with the model."
    ]
    annotator.key("k")
    assert LivePage(annotator).sentences() == []
    annotator.ask(200, 200)
    annotator.undo()
    assert LivePage(annotator).sentences() == ["No class chosen: press its key."]
    # A sentence that moved the picture would have a double click miss its place.
    assert place == LivePage(annotator).picture_box()
    annotator.ask(200, 200)
    assert LivePage(annotator).sentences()[0] == NOTICES["class"]
    annotator.key("1")
    annotator.ask(200, 200)
    assert LivePage(annotator).sentences() == []


def test_dots_show_their_sign_and_cannot_be_dragged(
    editor, open_work, toy_backend, picture
) -> None:
    name, _ = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.key("k")
    editor.ask(200, 200)
    editor.ask(210, 200, positive=False)

    before = LivePage(editor).dots()
    editor.drag_from((200, 200), (300, 300))
    editor.key("k")

    assert before == LivePage(editor).dots()
    assert {colour for _, _, colour in before} == {"#00b400", "#ff1a1a"}
    editor.submit()
    (mask,) = masks_in(work.only_result())
    shape = mask["original_height"], mask["original_width"], 4
    alpha = decode_rle(mask["value"]["rle"]).reshape(shape)[..., 3]
    assert set(np.unique(alpha)) == {0, 140, 254}


@pytest.mark.parametrize("gesture", ["Ctrl+double click", "Ctrl+click"])
def test_a_gesture_on_the_spot_takes_the_next_reading(
    editor, open_work, readings_backend, picture, gesture: str
) -> None:
    name, _ = picture
    work = open_work([name], readings_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.key("k")

    if gesture == "Ctrl+double click":
        editor.double_click(200, 200)
    else:
        first = mask_of(masks_in(editor.ask(200, 200).answered)[0])
        second = mask_of(masks_in(editor.ask(200, 200, keys=("Control",)).answered)[0])
        assert 0 < second.sum() < first.sum()
        editor.undo()
        editor.key("1")
        editor.ask(200, 200, keys=("Control",))
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    (dot,) = prompts_of(result, mask["id"])
    assert dot["meta"]["reading"] == 1


def test_a_changed_class_stays_and_a_deleted_mask_stays_deleted(
    editor, open_work, toy_backend, picture
) -> None:
    name, _ = picture
    work = open_work([name], toy_backend)
    editor.open_task(work.project_id, work.task_ids[0])
    editor.switch(auto_accept=True)
    editor.draw_box((60, 60, 160, 160), "cat")
    (first,) = editor.masks()
    editor.draw_box((300, 60, 400, 160), "cat")
    (second,) = [mask for mask in editor.masks() if mask.id != first.id]

    editor.choose_region(first.id)
    editor.key("2")
    editor.let_go()
    editor.delete_region(second.id)
    editor.let_go()
    editor.save_draft()
    editor.click(110, 110, "dog", positive=False)
    editor.click(350, 110, "cat")
    editor.submit()

    result = work.only_result()
    masks = {mask["id"]: mask for mask in masks_in(result)}
    assert class_of(result, first.id) == "dog"
    assert second.id not in masks
    assert len(masks) == 2
    assert len(prompts_of(result, first.id)) == 2


def test_a_pending_box_counts_with_the_click_that_follows(
    editor, open_work, toy_backend, picture
) -> None:
    name, _ = picture
    work = open_work([name], toy_backend)
    editor.open_task(work.project_id, work.task_ids[0])
    editor.switch(auto_accept=False)
    editor.draw_box((150, 120, 350, 300), "cat")
    editor.save_draft()

    # The rectangle itself takes a plain click.
    editor.click(250, 210, "cat", positive=False, ctrl=True)
    editor.accept()
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    box, click = prompts_of(result, mask["id"])
    assert "box" in box["meta"]
    assert click["meta"]["pos"] is False
    assert mask_of(mask)[130, 160]


@pytest.mark.parametrize("size", [LAPTOP, (1920, 1080)])
def test_the_picture_takes_the_room_there_is(
    browser: Browser, studio, slowdown, open_work, toy_backend, picture, size
) -> None:
    name, _ = picture
    work = open_work([name], toy_backend)
    annotator = Editor(browser, studio.url, ACCOUNT, size=size, slowdown=slowdown)
    try:
        annotator.open_stream(work.project_id)
        _, top, width, height = LivePage(annotator).picture_box()
    finally:
        annotator.close()

    assert width * height >= 0.45 * size[0] * size[1]
    assert top + height <= size[1]


def test_a_page_of_ones_own_is_extended_and_its_class_stays_chosen(
    annotator, open_work, toy_backend, picture
) -> None:
    """The page of the SAM examples, polygons and choices beside: the second click works."""
    name, _ = picture
    work = open_work([name], toy_backend, config=extend_labelling_config(SAM_PAGE))
    annotator.open_stream(work.project_id)
    annotator.switch(auto_accept=True)

    annotator.key("k")
    annotator.ask(100, 100)
    annotator.ask(118, 100)
    annotator.key("r")
    annotator.ask_box((300, 100, 400, 200))
    annotator.submit()

    result = work.only_result()
    masks = [mask for mask in masks_in(result) if mask["type"] == "brushlabels"]
    assert sorted(len(prompts_of(result, mask["id"])) for mask in masks) == [1, 2]
    assert {mask["value"]["brushlabels"][0] for mask in masks} == {"cat"}


def test_a_page_of_ones_own_goes_on_working(annotator, open_work, toy_backend, picture) -> None:
    name, _ = picture
    work = open_work([name], toy_backend, config=SAM_PAGE)
    annotator.open_stream(work.project_id)
    annotator.switch(auto_accept=True)

    annotator.draw_box((150, 120, 350, 300), "cat")
    annotator.click(358, 200, "cat")
    annotator.click(250, 210, "cat", positive=False)
    annotator.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    assert mask["value"]["brushlabels"] == ["cat"]
    assert len(prompts_of(result, mask["id"])) == 3


def test_a_picture_that_cannot_be_read_is_told(
    annotator, open_work, toy_backend, picture, studio
) -> None:
    name, _ = picture
    moved = studio.files_root / "images" / "comes_back.png"
    moved.write_bytes((studio.files_root / "images" / name).read_bytes())
    work = open_work(["comes_back.png"], toy_backend)
    annotator.open_stream(work.project_id)
    annotator.switch(auto_accept=True)
    annotator.key("k")
    moved.unlink()

    annotator.ask(200, 200)

    assert LivePage(annotator).sentences() == [NOTICES["image"]]
    moved.write_bytes((studio.files_root / "images" / name).read_bytes())
    annotator.ask(200, 200)
    assert LivePage(annotator).sentences() == []
    assert len(annotator.masks()) == 1
    moved.unlink()


def test_a_backend_that_is_down_is_told_and_its_clicks_are_answered_afterwards(
    annotator, open_work, studio, picture, tmp_path
) -> None:
    """Two clicks of an outage are two objects, not one."""
    name, _ = picture
    address = BackendAddress(f"http://{HOST}:{free_port()}", user="label-studio", password="known")

    def started() -> Any:
        return start_backend(
            address,
            model="fakes:load_toy",
            state_dir=tmp_path,
            label_studio_url=studio.url,
            api_key=studio.api_key,
            environ={**os.environ, "PYTHONPATH": _python_path(), "OMP_NUM_THREADS": "1"},
        )

    with started():
        work = open_work([name], address)
        annotator.open_stream(work.project_id)
        annotator.switch(auto_accept=True)
        annotator.key("k")
        annotator.ask(100, 100)
    with annotator.page.expect_request_finished(lambda sent: INTERACTIVE in sent.url):
        annotator.point(300, 300)
    LivePage(annotator).wait_for_sentence("The model has not answered: click again.")
    with started():
        annotator.ask(500, 150)
        annotator.submit()

    result = work.only_result()
    assert sorted(len(prompts_of(result, mask["id"])) for mask in masks_in(result)) == [1, 1, 1]
