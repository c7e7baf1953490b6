"""The service's webhook keeps campaigns current, and nothing else changes by it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_studio import DiskMaker, FakeStudio, sample_instances
from fakes import ToySegmenter
from flask import Flask

from remask_campaigns.drift import Drift
from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.sync import sync
from remask_campaigns.rounds.tasks import answer_of
from remask_service import drift_watch
from remask_service.logs import make_log
from remask_service.settings import Settings
from remask_service.web import campaign_webhooks
from remask_service.web.app import create_app, service_of
from remask_storage.campaign import Campaign, PlacedClick
from remask_storage.campaign_store import CampaignStore
from remask_worker.thread_engine import ThreadEngine


class Kit:
    def __init__(self, folder: Path) -> None:
        self.settings = Settings(state_dir=folder, model="toy")
        self.store = CampaignStore.open(self.settings.campaign_place)
        self.store.add_campaign(Campaign("cats", 7, 1000.0), sample_instances(2))
        self.studio = FakeStudio()
        advance(self.store, self.studio, "cats", DiskMaker())
        self.lines = io.StringIO()
        self.app: Flask = create_app(
            self.settings,
            engine=ThreadEngine(ToySegmenter()),
            log=make_log("INFO", stream=self.lines),
        )

    def post(self, body: bytes) -> int:
        response = self.app.test_client().post("/webhook", data=body)
        service_of(self.app).campaign_events.flush()
        return response.status_code

    def passed_over(self) -> list[str]:
        lines = [json.loads(line) for line in self.lines.getvalue().splitlines()]
        return [line["why"] for line in lines if "passed over" in line["event"]]


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    kit = Kit(tmp_path)
    yield kit
    service_of(kit.app).close()
    kit.store.close()


def test_an_answer_is_in_the_store_before_any_sync(kit: Kit) -> None:
    first, second = kit.studio.titled("cats · round 1")
    clicks = [PlacedClick("k", 5.5, 6.5, False)]
    kit.studio.annotate(first["id"], result=answer_of(first, clicks), user=3)
    kit.studio.annotate(second["id"], result=[], skipped=True)
    assert [kit.post(body) for body in kit.studio.events] == [202, 202]
    told = kit.store.visits("cats")

    assert (told["i0"][0].outcome, told["i0"][0].annotator) == ("corrected", 3)
    assert told["i1"][0].outcome == "skipped"
    sync(kit.store, kit.studio, "cats")
    assert kit.store.visits("cats") == told


def test_a_deleted_annotation_is_gone(kit: Kit) -> None:
    task = kit.studio.titled("cats · round 1")[0]
    annotation = kit.studio.annotate(task["id"], result=answer_of(task))
    kit.studio.withdraw(annotation)
    for body in kit.studio.events:
        kit.post(body)

    assert kit.store.visits("cats") == {}


def test_an_older_event_never_undoes_a_newer_one(kit: Kit) -> None:
    task = kit.studio.titled("cats · round 1")[0]
    annotation = kit.studio.annotate(task["id"], result=answer_of(task))
    kit.studio.change(annotation, answer_of(task, [PlacedClick("k", 5.5, 6.5, True)]))
    created, updated = kit.studio.events
    kit.post(updated)
    kit.post(created)

    assert kit.store.visits("cats")["i0"][0].outcome == "corrected"


def test_other_projects_are_none_of_a_campaigns_business(kit: Kit) -> None:
    task = kit.studio.titled("cats · round 1")[0]
    kit.studio.annotate(task["id"], result=answer_of(task))
    body = json.loads(kit.studio.events[0])
    body["project"]["id"] = body["annotation"]["project"] = 999
    assert kit.post(json.dumps(body).encode()) == 202

    assert kit.store.visits("cats") == {}
    assert kit.passed_over() == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda body: body.update(extra=1e999), 202),
        (lambda body: body["task"].pop("id"), 202),
        (lambda body: body["task"]["data"]["remask"].update(instances=[]), 202),
        (lambda body: body["task"]["data"]["remask"].update(shape_hw=[0, 0]), 202),
        (lambda body: body["task"]["data"]["remask"].update(shape_hw=[2**40, 2**40]), 202),
        (lambda body: body["task"]["data"].update(extra=1e999), 202),
        (lambda body: body["task"].update(data=None), 202),
        (lambda body: body["task"].update(data="\ud800"), 400),
        (lambda body: body["annotation"].update(id=2**63), 400),
        (lambda body: body["annotation"].update(lead_time="nan"), 202),
        (lambda body: body["annotation"].update(updated_at="99999-01-01"), 202),
        (lambda body: body["annotation"].update(completed_by={"id": 1e300}), 202),
        (lambda body: body["annotation"].update(completed_by={"id": 2**80}), 202),
        (lambda body: body["annotation"].update(result=[None, 3, {"type": "brush"}]), 202),
        (lambda body: body["annotation"].update(result="none"), 202),
        (lambda body: body.update(annotation=None), 400),
    ],
)
def test_no_body_ends_the_intake(kit: Kit, change: Any, status: int) -> None:
    """The valid webhook after it takes effect, and the thread is alive."""
    task = kit.studio.titled("cats · round 1")[0]
    kit.studio.annotate(task["id"], result=answer_of(task))
    odd = json.loads(kit.studio.events[0])
    change(odd)
    assert kit.post(json.dumps(odd).replace("Infinity", "1e999").encode()) == status
    kit.studio.annotate(task["id"], result=answer_of(task), user=4)

    assert kit.post(kit.studio.events[-1]) == 202
    assert 4 in [visit.annotator for visit in kit.store.visits("cats")["i0"]]
    assert service_of(kit.app).campaign_events.state().alive


def test_a_bug_in_the_intake_is_logged_and_counted(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw must not end the thread either."""
    task = kit.studio.titled("cats · round 1")[0]
    kit.studio.annotate(task["id"], result=answer_of(task))
    with monkeypatch.context() as patch:
        patch.setattr(campaign_webhooks, "take_webhook", lambda *_: 1 / 0)
        kit.post(kit.studio.events[0])
    assert kit.store.visits("cats") == {}
    kit.post(kit.studio.events[0])

    assert kit.store.visits("cats")["i0"][0].outcome == "accepted"
    state = service_of(kit.app).campaign_events.state()
    assert (state.alive, state.taken, state.refused, state.dropped) == (True, 2, 1, 0)
    assert "ZeroDivisionError" in kit.lines.getvalue()


def test_what_cannot_be_read_is_logged_and_stops_nothing(kit: Kit) -> None:
    task = kit.studio.titled("cats · round 1")[0]
    kit.studio.annotate(task["id"], result=answer_of(task))
    broken = json.loads(kit.studio.events[0])
    broken["task"]["data"] = {"image": "x"}
    assert kit.post(json.dumps(broken).encode()) == 202
    assert len(kit.passed_over()) == 1
    kit.post(kit.studio.events[0])

    assert kit.store.visits("cats")["i0"][0].outcome == "accepted"


def test_an_annotator_who_drifts_is_shown_after_the_next_answer(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift = Drift("cats", 3, "Ada", 0.5, 0.1, "before", 30)
    monkeypatch.setattr(drift_watch, "find_drifts", lambda _store, _name: [drift])
    task = kit.studio.titled("cats · round 1")[0]
    kit.studio.annotate(task["id"], result=answer_of(task), user=3)
    before = kit.app.test_client().get("/").get_data(as_text=True)
    kit.post(kit.studio.events[-1])
    after = kit.app.test_client().get("/").get_data(as_text=True)

    assert "Annotators to talk to" not in before
    assert drift.sentence in after
