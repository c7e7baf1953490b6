"""Without an annotator: every box of every task becomes a mask, in bounded memory and time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
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
    OneImage,
    Rig,
    is_mask,
    mask_of,
    toy_rig,
)
from label_studio_sdk.label_interface import LabelInterface

from remask_core.errors import (
    BadImage,
)
from remask_core.rle_ls import encode_ls_rle_bytes
from remask_service.predict.predictor import Limits
from remask_worker.calls import (
    Answer,
    Call,
    Expired,
    Health,
    Lane,
    Overloaded,
)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with toy_rig(tmp_path) as made:
        yield made


def box(own_id: str, *, x: float = 25.0, label: str | None = "Cat", **extra: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"x": x, "y": 25.0, "width": 25.0, "height": 50.0, "rotation": 0}
    if label is not None:
        value["rectanglelabels"] = [label]
    region = {"id": own_id, "type": "rectanglelabels", "from_name": "box", "to_name": "image"}
    return {**region, "value": value, **extra}


def task(number: int, **held: list[dict[str, Any]]) -> dict[str, Any]:
    holders = {kind: [{"id": 1, "result": result}] for kind, result in held.items()}
    return {"id": number, "data": {"image": f"/{number}.png"}, **holders}


def body(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {
        "tasks": list(tasks),
        "label_config": CONFIG,
        "project": "1.2",
        "params": {"context": None},
    }


def masks(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [region for region in answer["result"] if is_mask(region)]


@pytest.mark.parametrize("config", [CONFIG, LIVE_CONFIG, ONE_CLASS_CONFIG])
def test_label_studio_imports_the_answer_as_a_prediction(rig: Rig, config: str) -> None:
    """It drops without a word what its own check does not let pass."""
    asked = body(task(1, annotations=[box("a")]))

    (answer,) = rig.post({**asked, "label_config": config})

    problems = LabelInterface(config).validate_prediction(answer, return_errors=True)
    assert problems == []
    assert len(masks(answer)) == 1


def test_each_box_becomes_a_mask(rig: Rig) -> None:
    (answer,) = rig.post(body(task(1, annotations=[box("a"), box("b", x=60.0)])))

    first, second = masks(answer)
    rows, columns = np.nonzero(mask_of(first))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (40, 30, 79, 89)
    assert first["id"] != second["id"]
    assert first["value"]["brushlabels"] == ["Cat"]
    assert answer["score"] == 0.5
    assert answer["model_version"] == "toy@000000000000"
    anchors = [region for region in answer["result"] if not is_mask(region)]
    assert [anchor["parentID"] for anchor in anchors] == [first["id"], second["id"]]


@pytest.mark.parametrize("kind", ["annotations", "drafts", "predictions"])
def test_boxes_are_found_wherever_they_are(rig: Rig, kind: str) -> None:
    (answer,) = rig.post(body(task(1, **{kind: [box("a")]})))

    assert len(masks(answer)) == 1


@pytest.mark.parametrize("kind", ["annotations", "predictions"])
@pytest.mark.parametrize("own_id", [None, 7, 0, "", "ok"])
@pytest.mark.parametrize("odd", [{}, {"x": "25", "rectanglelabels": "Cat"}])
def test_boxes_as_people_import_them_get_masks(
    rig: Rig, kind: str, own_id: Any, odd: dict[str, Any]
) -> None:
    """Without an id or with a number, with numbers as text and one label as bare text."""
    region = box("a")
    region["value"] |= odd
    if own_id is None:
        del region["id"]
    else:
        region["id"] = own_id
    asked = body(task(1, **{kind: [region, box("b", x=60.0)]}))
    (first,), (second,) = rig.post(asked), rig.post(asked)

    ids = [region["id"] for region in masks(first)]
    assert len(set(ids)) == 2
    assert [region["id"] for region in masks(second)] == ids


def test_a_box_that_cannot_be_read_is_recorded_and_the_others_get_masks(rig: Rig) -> None:
    strange = box("a") | {"value": {"x": "left", "rectanglelabels": ["Cat"]}}
    far = box("c", x=1e9)
    (answer,) = rig.post(body(task(1, predictions=[strange, far, box("b")])))

    assert len(masks(answer)) == 1
    assert [record.outcome for record in rig.records] == ["failed", "failed", "answered"]
    assert "`value.x` of region `a`" in rig.records[0].detail
    assert "`value.x` of region `c`" in rig.records[1].detail


def test_a_box_without_to_name_lies_on_the_only_image(rig: Rig) -> None:
    (answer,) = rig.post(body(task(1, predictions=[box("a") | {"to_name": None}])))

    assert len(masks(answer)) == 1


def test_a_box_of_an_unknown_class_is_recorded(rig: Rig) -> None:
    (answer,) = rig.post(body(task(1, predictions=[box("a", label="Bird")])))

    assert answer["result"] == []
    assert ["got `Bird`" in record.detail for record in rig.records] == [True]


def test_the_same_request_names_the_same_regions(rig: Rig) -> None:
    asked = body(task(1, annotations=[box("a")]))
    first = rig.post(asked)
    rig.restart()

    assert masks(rig.post(asked)[0])[0]["id"] == masks(first[0])[0]["id"]


def test_a_mask_made_before_is_made_again_from_its_anchor(rig: Rig) -> None:
    (first,) = rig.post(body(task(1, annotations=[box("a")])))

    (second,) = rig.post(body(task(1, annotations=[*first["result"], box("a")])))

    assert [region["id"] for region in masks(second)] == [masks(first)[0]["id"]]


def test_equal_boxes_of_two_people_are_one(rig: Rig) -> None:
    asked = task(1)
    asked["annotations"] = [{"id": 1, "result": [box("a")]}, {"id": 2, "result": [box("b")]}]

    assert len(masks(rig.post(body(asked))[0])) == 1


def test_skipped_annotations_do_not_count(rig: Rig) -> None:
    asked = task(1)
    asked["annotations"] = [{"id": 1, "was_cancelled": True, "result": [box("a")]}]

    assert rig.post(body(asked))[0]["result"] == []


def test_a_task_without_boxes_has_an_empty_result(rig: Rig) -> None:
    """Label Studio stores that, and does not ask again."""
    assert rig.post(body(task(1))) == [{"result": [], "model_version": "toy@000000000000"}]


def test_what_cannot_be_read_is_left_out(rig: Rig) -> None:
    nonsense: list[Any] = [
        {"id": "c", "type": "choices", "value": {"choices": ["x"]}},
        {"type": "rectanglelabels"},
        {"id": "r", "type": "rectanglelabels", "to_name": "image", "value": {"x": 1}},
        7,
        box("nolabel", label=None),
        box("strange", label="Bird"),
    ]

    (answer,) = rig.post(body(task(1, annotations=[*nonsense, box("a")])))

    assert len(masks(answer)) == 1


def test_a_task_whose_image_is_gone_is_not_stored(rig: Rig) -> None:
    rig.images.error = BadImage("not an image")

    assert rig.post(body(task(1, annotations=[box("a")]))) == [[]]
    assert rig.records[-1].error == "bad-image"


class SlowEngine:
    """Answers when asked to finish; counts what is under way."""

    def __init__(self, settle: Callable[[Call, Future[Answer]], None]) -> None:
        self.settle = settle
        self.under_way: set[Future[Answer]] = set()
        self.most = 0
        self.lanes: set[Lane] = set()

    def submit(self, call: Call) -> Future[Answer]:
        future: Future[Answer] = Future()
        self.under_way.add(future)
        self.most = max(self.most, len(self.under_way))
        self.lanes.add(call.lane)
        real = future.result

        def result(timeout: float | None = None) -> Answer:
            if not future.done():
                self.settle(call, future)
            self.under_way.discard(future)
            return real(timeout)

        future.result = result  # type: ignore[method-assign]
        return future

    def health(self) -> Health:
        return Health(ready=True, state="ready", model_version="slow@1")

    def close(self, *, grace_s: float = 10.0) -> None:
        pass


def some_answer() -> Answer:
    mask = np.zeros(SHAPE_HW, dtype=np.bool_)
    mask[:9, :9] = True
    return Answer(
        mask=encode_ls_rle_bytes(mask),
        shape_hw=SHAPE_HW,
        area_px=81,
        score=0.5,
        model_version="slow@1",
        embedded=False,
        model_ms=1.0,
    )


def test_a_thousand_tasks_stream_through_a_bounded_window(tmp_path: Path) -> None:
    engine = SlowEngine(lambda _, future: future.set_result(some_answer()))
    rig = Rig(engine, OneImage(tmp_path), Limits(batch_window=5))

    answers = rig.post(body(*(task(n, annotations=[box("a")]) for n in range(1000))))

    assert len(answers) == 1000
    assert all(len(masks(answer)) == 1 for answer in answers)
    assert engine.most == 5
    assert engine.lanes == {Lane.BATCH}


def test_one_task_is_somebody_opening_it(tmp_path: Path) -> None:
    engine = SlowEngine(lambda _, future: future.set_result(some_answer()))

    Rig(engine, OneImage(tmp_path)).post(body(task(1, annotations=[box("a")])))

    assert engine.lanes == {Lane.OPENED}


def test_tasks_that_are_not_finished_in_time_are_not_stored(tmp_path: Path) -> None:
    """Label Studio asks for them again; the others are kept."""
    count = itertools.count()

    def settle(_: Call, future: Future[Answer]) -> None:
        if next(count) < 3:
            future.set_result(some_answer())
        else:
            future.set_exception(Expired("too late"))

    engine = SlowEngine(settle)
    rig = Rig(engine, OneImage(tmp_path), Limits(batch_window=1))

    answers = rig.post(body(*(task(n, annotations=[box("a")]) for n in range(5))))

    assert [bool(answer) for answer in answers] == [True, True, True, False, False]
    assert answers[4] == []


def test_a_full_worker_is_asked_again(tmp_path: Path) -> None:
    count = itertools.count()

    def settle(_: Call, future: Future[Answer]) -> None:
        if next(count) % 2 == 0:
            future.set_exception(Overloaded("full", retry_after_s=0.001))
        else:
            future.set_result(some_answer())

    rig = Rig(SlowEngine(settle), OneImage(tmp_path))

    answers = rig.post(body(*(task(n, annotations=[box("a")]) for n in range(4))))

    assert all(answer["result"] for answer in answers)


def test_no_tasks_no_results(rig: Rig) -> None:
    assert rig.post(body()) == []
