"""The service's webhook keeps campaigns current, and nothing else changes by it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_studio import DiskMaker, FakeStudio, sample_instances
from fakes import ToySegmenter
from flask import Flask

from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.sync import sync
from remask_campaigns.rounds.tasks import answer_of
from remask_service.logs import make_log
from remask_service.settings import Settings
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


def test_what_cannot_be_read_is_logged_and_stops_nothing(kit: Kit) -> None:
    task = kit.studio.titled("cats · round 1")[0]
    kit.studio.annotate(task["id"], result=answer_of(task))
    broken = json.loads(kit.studio.events[0])
    broken["task"]["data"] = {"image": "x"}
    assert kit.post(json.dumps(broken).encode()) == 202
    assert len(kit.passed_over()) == 1
    kit.post(kit.studio.events[0])

    assert kit.store.visits("cats")["i0"][0].outcome == "accepted"
