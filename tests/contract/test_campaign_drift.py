"""Annotators whose work on gold gets worse: found, shown, and told to a team's own webhook."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from campaign_data import SHAPE, counts, square

from remask_campaigns.drift import find_drifts
from remask_campaigns.status import status
from remask_core.types import Box
from remask_quality.measures.campaign import measure
from remask_quality.measures.headline import next_steps
from remask_service.drift_watch import DriftWatch
from remask_service.logs import make_log
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    PlacedClick,
    Qualification,
    Round,
    Truth,
    Visit,
)
from remask_storage.campaign_store import CampaignStore

NAME = "cats"
MISSED, INSIDE = (47.5, 30.5), (20.5, 30.5)  # truth beyond the shown mask, and well inside of it


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CampaignStore]:
    """A hundred and twenty instances with truth, in an open round."""
    store = CampaignStore.open(tmp_path / "campaigns.db")
    instances = [
        CampaignInstance(f"i{n}", f"/{n}.jpg", SHAPE, "cat", Box(8, 8, 52, 52), n, f"b{n}")
        for n in range(120)
    ]
    store.add_campaign(Campaign(NAME, 3, 0.0), instances)
    store.put_round(NAME, Round(1, "open", 11, "toy@1", 1.0))
    store.put_masks(
        NAME, [Mask(made.id, 0, counts(square(10, 40)), 0.5, "toy@1") for made in instances]
    )
    store.put_truths(NAME, [Truth(made.id, counts(square(10, 50)), "file") for made in instances])
    store.put_person(NAME, 7, name="Ada", qualified=None)
    yield store
    store.close()


def answer(store: CampaignStore, first: int, right: list[bool], *, person: int = 7) -> None:
    """A click of `person` on each instance from `first` on, on an error or beside any."""
    for n, is_right in enumerate(right, start=first):
        x, y = MISSED if is_right else INSIDE
        visit = Visit(
            instance=f"i{n}",
            round=1,
            annotation=n,
            task=n,
            outcome="corrected",
            annotator=person,
            lead_time_s=5.0,
            updated_at=float(n),
            clicks=(PlacedClick(f"k{n}", x, y, True),),
        )
        store.replace_annotation(NAME, 1, n, [visit])


def test_whoever_becomes_worse_than_before_is_found_while_the_round_is_open(
    store: CampaignStore,
) -> None:
    answer(store, 0, [True] * 40 + [True, False] * 15)
    (drift,) = find_drifts(store, NAME)

    assert (drift.annotator, drift.name, drift.compared_with) == (7, "Ada", "before")
    assert (drift.wrong, drift.before, drift.trials) == (0.5, 0.0, 30)
    assert drift.sentence == (
        "Ada is wrong in 50 % of the last 30 clicks and masks on gold, 0 % before."
    )
    assert status(store, NAME).drifts == (drift,)
    assert any("Ada is wrong" in step.words for step in next_steps(measure(store, NAME), None))


def test_a_newcomer_is_compared_with_the_others(store: CampaignStore) -> None:
    answer(store, 0, [True] * 40, person=8)
    answer(store, 40, [False] * 30)
    (drift,) = find_drifts(store, NAME)

    assert (drift.name, drift.compared_with) == ("Ada", "others")


def test_a_bad_day_that_chance_explains_is_no_drift(store: CampaignStore) -> None:
    answer(store, 0, [True] * 60 + [False] * 3 + [True] * 27)

    assert find_drifts(store, NAME) == []


def test_few_answers_or_people_who_do_not_count_are_no_drift(store: CampaignStore) -> None:
    answer(store, 0, [True] * 20 + [False] * 20)
    assert find_drifts(store, NAME) == []

    answer(store, 0, [True] * 40 + [False] * 30)
    assert len(find_drifts(store, NAME)) == 1
    store.change_campaign(Campaign(NAME, 3, 0.0, qualification=Qualification()))
    assert find_drifts(store, NAME) == []


def test_accepted_and_painted_masks_are_judged_by_their_overlap(store: CampaignStore) -> None:
    empty = np.zeros(SHAPE, np.bool_)
    empty[0, 0] = True
    good, bad = counts(square(10, 50)), counts(empty)
    for n in range(80):
        painted = Visit(
            f"i{n}", 1, n, n, "painted", 7, 5.0, float(n), painted=good if n < 50 else bad
        )
        store.replace_annotation(NAME, 1, n, [painted])
    (drift,) = find_drifts(store, NAME)

    assert (drift.wrong, drift.before) == (1.0, 0.0)


def watched(
    store: CampaignStore, answer_with: int, asked: list[httpx.Request]
) -> tuple[DriftWatch, io.StringIO, list[float]]:
    now = [0.0]
    lines = io.StringIO()

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if answer_with == 0:
            raise httpx.ConnectError("nobody there")
        return httpx.Response(answer_with)

    watch = DriftWatch(
        store,
        log=make_log("INFO", stream=lines),
        clock=lambda: now[0],
        client=httpx.Client(transport=httpx.MockTransport(reply)),
        alert_url="http://team.test/alert",
    )
    return watch, lines, now


def test_the_teams_webhook_is_called_once_for_each_person(store: CampaignStore) -> None:
    asked: list[httpx.Request] = []
    watch, lines, now = watched(store, 200, asked)
    answer(store, 0, [True] * 40)
    watch.look(NAME)
    assert (watch.drifts(), asked) == ([], [])

    answer(store, 40, [False] * 30)
    now[0] = 30.0
    watch.look(NAME)
    assert watch.drifts() == []
    for at in (61.0, 130.0):
        now[0] = at
        watch.look(NAME)

    assert [drift.name for drift in watch.drifts()] == ["Ada"]
    (request,) = asked
    body = json.loads(request.content)
    assert (body["event"], body["campaign"], body["name"]) == ("annotator_drifts", NAME, "Ada")
    assert body["text"] == watch.drifts()[0].sentence
    assert "an annotator drifts" in lines.getvalue()


@pytest.mark.parametrize("answer_with", [0, 500])
def test_a_call_that_fails_is_a_line_in_the_log(store: CampaignStore, answer_with: int) -> None:
    asked: list[httpx.Request] = []
    watch, lines, _ = watched(store, answer_with, asked)
    answer(store, 0, [True] * 40 + [False] * 30)
    watch.look(NAME)

    assert len(asked) == 1
    assert "the alert was not delivered" in lines.getvalue()
    assert [drift.name for drift in watch.drifts()] == ["Ada"]


def test_a_damaged_mask_is_a_line_in_the_log(store: CampaignStore) -> None:
    watch, lines, _ = watched(store, 200, [])
    answer(store, 0, [True])
    store.put_masks(NAME, [Mask("i0", 0, b"?", 0.5, "toy@1")])
    watch.look(NAME)

    assert "annotators could not be looked at" in lines.getvalue()
