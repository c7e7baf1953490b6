"""Webhooks may be lost, doubled, late or out of order: after `sync` the store is as it must be."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fake_studio import DiskMaker, FakeStudio, sample_instances
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.sync import sync
from remask_campaigns.rounds.tasks import answer_of
from remask_campaigns.rounds.webhook import take_webhook
from remask_label_config import decode_webhook
from remask_storage.campaign import Campaign, PlacedClick
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0)


def clicks(count: int) -> list[PlacedClick]:
    return [PlacedClick(f"k{n}", 5.0 + n, 6.0, n % 2 == 0) for n in range(count)]


def open_campaign(folder: Path, studio: FakeStudio) -> CampaignStore:
    store = CampaignStore.open(folder / "campaigns.db")
    store.add_campaign(CAMPAIGN, sample_instances(3))
    advance(store, studio, "cats", DiskMaker())
    return store


def act(studio: FakeStudio, deeds: list[tuple[str, int, int]]) -> None:
    """What annotators do: each deed is its kind, which task or annotation, and how many clicks."""
    tasks = studio.titled("cats · round 1")
    made: list[tuple[int, dict[str, Any]]] = []
    for kind, which, count in deeds:
        if kind == "submit" or not made:
            task = tasks[which % len(tasks)]
            result = answer_of(task, clicks(count))
            made.append((studio.annotate(task["id"], result=result, user=which), task))
        elif kind == "skip":
            task = tasks[which % len(tasks)]
            made.append((studio.annotate(task["id"], result=[], skipped=True, user=which), task))
        else:
            annotation, task = made.pop(which % len(made))
            if kind == "withdraw":
                studio.withdraw(annotation)
            else:
                studio.change(annotation, answer_of(task, clicks(count)))
                made.append((annotation, task))


deeds = st.lists(
    st.tuples(
        st.sampled_from(["submit", "skip", "change", "withdraw"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(done=deeds, data=st.data())
def test_whatever_webhooks_arrive_a_sync_settles_the_store(done: Any, data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        studio = FakeStudio()
        store = open_campaign(Path(folder), studio)
        act(studio, done)
        sync(store, studio, "cats")
        truth = store.visits("cats")
        store.replace_visits("cats", 1, None, [])
        arriving = data.draw(st.lists(st.sampled_from(studio.events), max_size=20))
        for body in arriving:
            assert take_webhook(store, decode_webhook(body))
        sync(store, studio, "cats")
        seen = store.visits("cats")
        store.close()

    assert truth == seen


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(done=deeds)
def test_webhooks_that_arrive_in_order_need_no_sync(done: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        studio = FakeStudio()
        store = open_campaign(Path(folder), studio)
        act(studio, done)
        for body in studio.events:
            take_webhook(store, decode_webhook(body))
            take_webhook(store, decode_webhook(body))
        told = store.visits("cats")
        sync(store, studio, "cats")
        truth = store.visits("cats")
        store.close()

    assert truth == told
