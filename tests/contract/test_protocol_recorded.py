"""Recorded requests of Label Studio 1.23.2 get the answers that its editor needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from editor_model import Rig, mask_of, toy_image, toy_rig
from fakes import toy_mask

from remask_core.types import Click, Prompt
from remask_label_config import decode_predict, decode_setup, decode_webhook

DATA = Path(__file__).parent / "data"
FULL_HW = (480, 640)
RED = 20  # disks of 25 px, about as large as what the clicks were meant for


def recorded(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return body


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with toy_rig(tmp_path, shape_hw=FULL_HW, red=RED) as made:
        yield made


def result_of(rig: Rig, name: str) -> list[dict[str, Any]]:
    (answer,) = rig.post(recorded(name))
    regions: list[dict[str, Any]] = answer["result"]
    return regions


def expected(*clicks: Click) -> Any:
    return toy_mask(toy_image(FULL_HW, red=RED), Prompt(clicks=clicks))


def test_three_pending_clicks_are_one_object_in_their_order(rig: Rig) -> None:
    regions = result_of(rig, "three_clicks")

    mask = regions[0]
    assert mask["from_name"] == "brush"
    assert mask["type"] == "brushlabels"
    assert mask["value"]["brushlabels"] == ["Cat"]
    assert mask["origin"] == "prediction"
    clicks = Click(160, 168, True), Click(205, 192, False), Click(255, 143, True)
    np.testing.assert_array_equal(mask_of(mask), expected(*clicks))
    points = regions[1:]
    assert [p["id"] for p in points] == ["1rvzSFfCQi", "qaTBDq3GLZ", "kgcmOrEdkP"]
    assert [p["meta"]["pos"] for p in points] == [True, False, True]
    assert [(p["meta"]["n"], p["meta"]["step"]) for p in points] == [(0, 0), (1, 1), (2, 2)]
    assert {p["parentID"] for p in points} == {mask["id"]} == {p["meta"]["rid"] for p in points}


def test_a_repeated_request_names_the_same_region(rig: Rig) -> None:
    first = result_of(rig, "three_clicks")[0]["id"]
    rig.restart()

    assert result_of(rig, "three_clicks")[0]["id"] == first


def test_a_click_near_an_echoed_one_mends_the_same_region(rig: Rig) -> None:
    regions = result_of(rig, "echoed_click")

    assert regions[0]["id"] == "mask_d2470f28"
    np.testing.assert_array_equal(
        mask_of(regions[0]), expected(Click(160, 168, True), Click(205, 192, True))
    )
    assert [(p["id"], p["meta"]["n"]) for p in regions[1:]] == [
        ("ZbvQfKcKaR", 0),
        ("_NLESsO9NH", 1),
    ]
    assert regions[1]["meta"]["t"] == 1795198636.36


def test_an_anchor_brings_its_box_into_every_later_answer(rig: Rig) -> None:
    regions = result_of(rig, "echoed_box_and_click")

    sent = recorded("echoed_box_and_click")["params"]["context"]["result"][0]["meta"]["box"]
    assert regions[0]["id"] == "mask_d3f3c3b7"
    anchor = regions[1]
    assert anchor["id"] == "anc_Tj8Zt2qd8-"
    assert {key: anchor["meta"]["box"][key] for key in sent} == sent
    mask = mask_of(regions[0])
    assert mask[250, 250]
    assert not mask[143, 191]


def test_signs_lost_by_a_reload_are_found_in_the_draft(rig: Rig) -> None:
    regions = result_of(rig, "signs_lost_by_reload")

    assert [p["meta"]["pos"] for p in regions[1:]] == [True, False, True]
    assert all("sign" not in p["meta"] for p in regions[1:])


def test_a_sign_that_nothing_tells_is_taken_as_positive_and_says_so(rig: Rig) -> None:
    body = recorded("signs_lost_by_reload")
    body["tasks"][0]["drafts"] = []

    (answer,) = rig.post(body)

    points = answer["result"][1:]
    assert [p["meta"]["pos"] for p in points] == [True, True, True]
    assert [p["meta"].get("sign") for p in points] == ["unknown", "unknown", None]
    assert [p.sign_known for p in rig.records[-1].prompts] == [False, False, True]


def test_a_box_becomes_a_mask_and_an_anchor_that_carries_it(rig: Rig) -> None:
    mask, anchor = result_of(rig, "box")

    assert anchor["type"] == "keypointlabels"
    assert anchor["from_name"] == "kp"
    assert anchor["parentID"] == mask["id"]
    assert anchor["meta"]["box"]["width"] == 29.967069154774975
    rows, columns = np.nonzero(mask_of(mask))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (64, 73, 255, 263)


def test_plain_points_with_labels_beside_them_are_one_click(rig: Rig) -> None:
    regions = result_of(rig, "labels_and_plain_points")

    assert [(r["type"], r["from_name"]) for r in regions] == [
        ("brush", "brush"),
        ("labels", "lab"),
        ("keypoint", "kp"),
        ("labels", "lab"),
    ]
    assert regions[0]["id"] == regions[1]["id"]
    assert regions[1]["value"]["labels"] == ["Cat"]
    assert len(rig.records[-1].prompts) == 1


def test_an_empty_context_is_answered_at_once_with_an_empty_result(rig: Rig) -> None:
    assert rig.post(recorded("empty_context")) == [{"result": []}]
    assert rig.images.asked == []


def test_every_recorded_request_is_understood(shared: Path) -> None:
    """All samples that the design papers keep, whatever they are."""
    decoders = {"/predict": decode_predict, "/setup": decode_setup, "/webhook": decode_webhook}
    count = 0
    for file in sorted((shared / "design" / "label_studio_samples").glob("*.json")):
        sample = json.loads(file.read_text())
        if isinstance(sample, dict) and sample.get("path") in decoders and sample.get("json"):
            decoders[sample["path"]](json.dumps(sample["json"]).encode())
            count += 1
    assert count >= 10
