"""Annotations read as visits: 60 by 80 pixels, one cat, and a dog where two are needed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from remask_campaigns.rounds.answers import visits_of
from remask_campaigns.rounds.tasks import answer_of, task_of
from remask_core.errors import InputError
from remask_core.rle_coco import encode_coco_counts
from remask_core.rle_ls import encode_ls_rle
from remask_core.types import BoolMask, Box
from remask_exports.annotations import Found, decode_task, instances_of
from remask_storage.campaign import Campaign, CampaignInstance, Mask, PlacedClick, Visit

SHAPE = (60, 80)
CAT = CampaignInstance("cat", "/cat.jpg", SHAPE, "cat", Box(10, 10, 40, 50), 7, "b1")
DOG = CampaignInstance("dog", "/cat.jpg", SHAPE, "dog", Box(42, 10, 72, 50), 7, "b2")
BATCH = Campaign("pets", source_project=3, created_at=0.0)
LIVE = Campaign("pets", source_project=3, created_at=0.0, mode="live")


def _pixels(box: Box) -> BoolMask:
    pixels = np.zeros(SHAPE, np.bool_)
    pixels[int(box.y0) + 2 : int(box.y1) - 2, int(box.x0) + 2 : int(box.x1) - 2] = True
    return pixels


def _counts(pixels: BoolMask) -> bytes:
    return encode_coco_counts(pixels)


def _task(*instances: CampaignInstance, round_: int = 1) -> dict[str, Any]:
    masks = {
        instance.id: Mask(instance.id, round_ - 1, _counts(_pixels(instance.box)), 0.7, "toy@0")
        for instance in instances
    }
    return {"id": 11, **task_of(BATCH, round_, instances, masks)}


def _answered(
    task: dict[str, Any], result: Sequence[dict[str, Any]], **fields: Any
) -> dict[str, Any]:
    annotation = {
        "id": 5,
        "completed_by": 2,
        "lead_time": 12.5,
        "updated_at": "2026-11-20T18:11:36.500000Z",
        "was_cancelled": False,
        "result": list(result),
        **fields,
    }
    return {**task, "annotations": [annotation]}


def _only(visits: Sequence[Visit]) -> Visit:
    (visit,) = visits
    return visit


def _click(name: str, x: float, y: float, *, positive: bool = True) -> PlacedClick:
    return PlacedClick(name, x, y, positive)


def test_clicks_correct_an_instance() -> None:
    """On the mask and beside it, in their order, exactly where they were."""
    task = _task(CAT)
    clicks = (_click("k1", 41.25, 20.5), _click("k2", 20.75, 30.5, positive=False))

    visit = _only(visits_of(BATCH, 1, _answered(task, answer_of(task, clicks))))

    assert visit == Visit(
        instance="cat",
        round=1,
        annotation=5,
        task=11,
        outcome="corrected",
        annotator=2,
        lead_time_s=12.5,
        updated_at=1795198296.5,
        clicks=clicks,
    )


def test_no_clicks_accept() -> None:
    task = _task(CAT)

    visit = _only(visits_of(BATCH, 1, _answered(task, answer_of(task))))

    assert (visit.outcome, visit.clicks, visit.painted) == ("accepted", (), None)


def test_the_skip_button_skips_every_instance_of_the_task() -> None:
    task = _answered(_task(CAT, DOG), [], was_cancelled=True)

    visits = visits_of(BATCH, 1, task)

    assert [(visit.instance, visit.outcome) for visit in visits] == [
        ("cat", "skipped"),
        ("dog", "skipped"),
    ]


def test_a_deleted_mask_skips_its_instance_alone() -> None:
    task = _task(CAT, DOG)

    visits = visits_of(BATCH, 1, _answered(task, answer_of(task, skipped=["cat"])))

    assert [(visit.instance, visit.outcome) for visit in visits] == [
        ("cat", "skipped"),
        ("dog", "accepted"),
    ]


def test_clicks_on_an_instance_without_mask_ask_for_one() -> None:
    task = _task(CAT)
    result = answer_of(task, [_click("k1", 20, 20)], skipped=["cat"])

    visit = _only(visits_of(BATCH, 1, _answered(task, result)))

    assert (visit.outcome, len(visit.clicks)) == ("corrected", 1)


def test_clicks_beyond_the_budget_do_not_count() -> None:
    task = _task(CAT)
    clicks = [_click(f"k{n}", 41.5, 12.5 + n) for n in range(6)]

    visit = _only(visits_of(BATCH, 1, _answered(task, answer_of(task, clicks))))

    assert [click.id for click in visit.clicks] == ["k0", "k1", "k2", "k3"]


def _painted(result: list[dict[str, Any]], pixels: BoolMask, **fields: Any) -> list[dict[str, Any]]:
    """The cat's mask replaced, as the editor stores what was painted."""
    changed = copy.deepcopy(result)
    (region,) = [region for region in changed if region["id"] == "cat"]
    region["value"]["rle"] = encode_ls_rle(pixels)
    region.update(fields)
    return changed


def test_a_mask_changed_by_hand_is_painted() -> None:
    """Clicks given as well are kept, but the mask is what was painted."""
    task = _task(CAT)
    pixels = _pixels(Box(5, 5, 45, 55))
    result = _painted(
        answer_of(task, [_click("k1", 20, 20, positive=False)]), pixels, origin="prediction-changed"
    )

    visit = _only(visits_of(BATCH, 1, _answered(task, result)))

    assert (visit.outcome, visit.painted, len(visit.clicks)) == ("painted", _counts(pixels), 1)


def test_a_mask_stored_anew_with_the_same_pixels_is_not_painted() -> None:
    task = _task(CAT)
    result = _painted(answer_of(task), _pixels(CAT.box), origin="prediction-changed")

    visit = _only(visits_of(BATCH, 1, _answered(task, result)))

    assert (visit.outcome, visit.painted) == ("accepted", None)


def test_a_mask_wiped_away_is_skipped() -> None:
    task = _task(CAT)
    result = _painted(answer_of(task), np.zeros(SHAPE, np.bool_))

    assert _only(visits_of(BATCH, 1, _answered(task, result))).outcome == "skipped"


def test_what_is_painted_as_a_region_of_its_own_joins_the_mask() -> None:
    """With two instances it goes to the one in whose box it lies."""
    task = _task(CAT, DOG)
    extra = np.zeros(SHAPE, np.bool_)
    extra[48:55, 45:60] = True
    result = answer_of(task)
    (dog,) = [region for region in result if region["id"] == "dog"]
    value = {"format": "rle", "rle": encode_ls_rle(extra), "brushlabels": ["cat"]}
    result.append({**dog, "id": "fresh", "value": value, "origin": "manual"})

    cat, painted = visits_of(BATCH, 1, _answered(task, result))

    assert cat.outcome == "accepted"
    assert (painted.outcome, painted.painted) == ("painted", _counts(_pixels(DOG.box) | extra))


@pytest.mark.parametrize(
    ("click", "owner"),
    [
        (_click("adds to the nearer", 40.25, 30), "cat"),
        (_click("adds inside the box", 71, 49), "dog"),
        (_click("takes away from what it lies on", 50, 30, positive=False), "dog"),
        (_click("far from both", 79, 59), "dog"),
        (_click("takes away beside both", 11, 11, positive=False), "cat"),
    ],
)
def test_of_several_instances_a_click_goes_to_the_one_it_would_change(
    click: PlacedClick, owner: str
) -> None:
    task = _task(CAT, DOG)

    visits = visits_of(BATCH, 1, _answered(task, answer_of(task, [click])))

    assert {owner: (click,)} == {visit.instance: visit.clicks for visit in visits if visit.clicks}
    assert [visit.lead_time_s for visit in visits] == [6.25, 6.25]


def test_a_positive_click_on_one_mask_is_meant_for_the_other_whose_box_holds_it() -> None:
    """It would change nothing about the mask that it lies on."""
    wide = CampaignInstance("wide", "/cat.jpg", SHAPE, "dog", Box(10, 10, 76, 56), 7, "b3")
    task = _task(CAT, wide)
    (region,) = [region for region in task["predictions"][0]["result"] if region["id"] == "wide"]
    region["value"]["rle"] = encode_ls_rle(_pixels(Box(40, 10, 76, 56)))

    visits = visits_of(BATCH, 1, _answered(task, answer_of(task, [_click("k1", 30, 30)])))

    assert [visit.instance for visit in visits if visit.clicks] == ["wide"]


@pytest.mark.parametrize(("x", "positive"), [(20, False), (60, True)])
def test_a_click_without_sign_changes_what_is_there(x: float, positive: bool) -> None:
    """Undo drops the chosen label in the editor; on the mask a click then takes away."""
    task = _task(CAT)
    result = answer_of(task, [_click("k1", x, 30)])

    visit = _only(
        visits_of(BATCH, 1, _answered(task, [r for r in result if r["type"] != "labels"]))
    )

    assert [click.positive for click in visit.clicks] == [positive]


def _echo(name: str, n: int, *, positive: bool, t: float) -> dict[str, Any]:
    return {
        "id": name,
        "type": "keypointlabels",
        "from_name": "click",
        "to_name": "image",
        "original_width": 80,
        "original_height": 60,
        "parentID": "cat",
        "value": {"x": 50, "y": 50, "width": 0.3, "keypointlabels": ["cat"]},
        "meta": {"rid": "cat", "n": n, "pos": positive, "t": t, "step": n},
    }


def test_live_answers_bring_their_clicks_and_their_mask() -> None:
    """Order, sign and time are those that the service noted."""
    task = _task(CAT)
    pixels = _pixels(Box(5, 5, 45, 55))
    result = _painted(answer_of(task), pixels, origin="prediction")
    result += [_echo("k2", 1, positive=False, t=102.5), _echo("k1", 0, positive=True, t=101.0)]

    visit = _only(visits_of(LIVE, 1, _answered(task, result)))

    assert visit.outcome == "corrected"
    assert [(click.id, click.positive, click.at) for click in visit.clicks] == [
        ("k1", True, 101.0),
        ("k2", False, 102.5),
    ]
    assert visit.painted == _counts(pixels)


def test_live_every_click_counts_that_made_the_mask() -> None:
    task = _task(CAT)
    result = _painted(answer_of(task), _pixels(Box(5, 5, 45, 55)), origin="prediction")
    count = LIVE.clicks_per_round + 2
    result += [_echo(f"k{n}", n, positive=True, t=101.0 + n) for n in range(count)]

    assert len(_only(visits_of(LIVE, 1, _answered(task, result))).clicks) == count


def test_painting_over_a_live_answer_is_painting() -> None:
    task = _task(CAT)
    result = _painted(answer_of(task), _pixels(Box(5, 5, 45, 55)), origin="prediction-changed")
    result.append(_echo("k1", 0, positive=True, t=101.0))

    assert _only(visits_of(LIVE, 1, _answered(task, result))).outcome == "painted"


def test_several_annotations_are_several_visits() -> None:
    task = _task(CAT)
    first = _answered(task, answer_of(task))["annotations"]
    second = _answered(task, [], id=6, completed_by={"id": 9}, was_cancelled=True)["annotations"]

    visits = visits_of(BATCH, 1, {**task, "annotations": first + second})

    assert [(visit.annotation, visit.annotator, visit.outcome) for visit in visits] == [
        (5, 2, "accepted"),
        (6, 9, "skipped"),
    ]


def test_a_click_on_the_far_edge_stays_in_the_image() -> None:
    task = _task(CAT)

    visit = _only(visits_of(BATCH, 1, _answered(task, answer_of(task, [_click("k1", 80, 60)]))))

    (click,) = visit.clicks
    assert (int(click.x), int(click.y)) == (79, 59)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (80, 60), (80.001, 60.4), (-1, -0.001), (79.999, 5)])
def test_answers_and_exports_read_a_click_alike(x: float, y: float) -> None:
    """Also on the image's edges and just beyond, and where a place is written as text."""
    task = _task(CAT)
    result = answer_of(task, [_click("k1", x, y)])
    for region in result:
        if region["id"] == "k1":
            region["value"] |= {key: str(region["value"][key]) for key in ("x", "y")}
            region["parentID"] = "cat"
    answered = _answered(task, result)
    (click,) = _only(visits_of(BATCH, 1, answered)).clicks

    (exported,) = instances_of(decode_task(msgspec.json.encode(answered)))
    assert isinstance(exported, Found)
    (found,) = exported.decode().clicks

    assert (found.x, found.y) == (click.x, click.y)
    assert 0 <= click.x < 80
    assert 0 <= click.y < 60


def test_an_annotation_with_a_region_that_cannot_be_read_is_refused() -> None:
    """Rather than that a click or a mask vanishes without a word."""
    task = _task(CAT)
    result = answer_of(task, [_click("k1", 20, 20)])
    result[-1]["value"]["x"] = "left"

    with pytest.raises(InputError, match=r"annotation 5: `value\.x` of region `k1`"):
        visits_of(BATCH, 1, _answered(task, result))


def test_a_task_without_instances_is_refused() -> None:
    task = _answered(_task(CAT), [])
    task["data"]["remask"]["instances"] = []

    with pytest.raises(InputError, match=r"`remask\.instances` .* must not be empty"):
        visits_of(BATCH, 1, task)


def test_a_task_nobody_answered_has_no_visits() -> None:
    assert visits_of(BATCH, 1, _task(CAT)) == []


def test_a_task_of_another_round_is_refused() -> None:
    with pytest.raises(InputError, match="must be of round 2; it is of round 1"):
        visits_of(BATCH, 2, _task(CAT))


def test_an_annotation_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InputError, match="`annotations` must be as Label Studio gives them"):
        visits_of(BATCH, 1, {**_task(CAT), "annotations": [{"id": "five"}]})
