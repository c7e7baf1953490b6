"""Automatic masks as batch prediction, for tasks without boxes, where the service is set so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from editor_model import CONFIG, ONE_CLASS_CONFIG, Rig, is_mask, mask_of, toy_rig

from remask_core.errors import Unavailable
from remask_masks.automatic.generate import AutomaticSettings

POINTS = AutomaticSettings(points_per_side=2, min_score=0, min_stability=0, box_nms=1.0)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with toy_rig(tmp_path) as made:
        made.automatic = POINTS
        made.restart()
        yield made


def body(*tasks: dict[str, Any], config: str = CONFIG) -> dict[str, Any]:
    return {
        "tasks": list(tasks),
        "label_config": config,
        "project": "1.2",
        "params": {"context": None},
    }


def task(number: int, *regions: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"id": number, "data": {"image": f"/{number}.png"}}
    if regions:
        made["predictions"] = [{"id": 1, "result": list(regions)}]
    return made


BOX = {
    "id": "b1",
    "type": "rectanglelabels",
    "from_name": "box",
    "to_name": "image",
    "value": {
        "x": 25.0,
        "y": 25.0,
        "width": 25.0,
        "height": 50.0,
        "rotation": 0,
        "rectanglelabels": ["Cat"],
    },
}


def test_a_task_without_boxes_gets_the_masks_of_its_image(rig: Rig) -> None:
    first, second = rig.post(body(task(1), task(2)))

    assert [4, 4] == [len(answer["result"]) for answer in (first, second)]
    assert all(is_mask(region) and mask_of(region).any() for region in first["result"])
    assert len({region["id"] for region in [*first["result"], *second["result"]]}) == 8
    assert (0.5, "toy@000000000000") == (first["score"], first["model_version"])
    assert ["answered"] * 2 == [record.outcome for record in rig.records]


def test_a_task_with_a_box_gets_the_mask_of_the_box_alone(rig: Rig) -> None:
    with_box, without = rig.post(body(task(1, BOX), task(2)))

    assert (1, 4) == tuple(
        sum(is_mask(region) for region in answer["result"]) for answer in (with_box, without)
    )


def test_masks_have_the_only_class_of_a_page(rig: Rig) -> None:
    (answer,) = rig.post(body(task(1), config=ONE_CLASS_CONFIG))

    named = [region["value"] for region in answer["result"]]
    assert sum("Cat" in str(value.get("brushlabels", value.get("labels"))) for value in named) == 4


def test_no_masks_are_an_answer_that_is_stored(rig: Rig) -> None:
    rig.automatic = AutomaticSettings(points_per_side=2, min_score=0.99)
    rig.restart()

    (answer,) = rig.post(body(task(1)))

    assert ([], 0.0, "toy@000000000000") == (
        answer["result"],
        answer["score"],
        answer["model_version"],
    )


def test_an_image_that_cannot_be_had_now_is_asked_for_again(rig: Rig) -> None:
    rig.images.error = Unavailable("the storage is away")
    assert [[]] == rig.post(body(task(1)))

    rig.images.error = None
    (answer,) = rig.post(body(task(1)))
    assert len(answer["result"]) == 4


def test_without_the_setting_such_a_task_gets_nothing(tmp_path: Path) -> None:
    with toy_rig(tmp_path) as plain:
        (answer,) = plain.post(body(task(1)))

    assert answer["result"] == []
