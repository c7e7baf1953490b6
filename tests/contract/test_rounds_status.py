"""How far a campaign is, as its manager is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2s
from pathlib import Path
from typing import Any

import pytest
from fake_studio import DiskMaker, FakeStudio, sample_instances
from typer.testing import CliRunner

from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.sync import sync
from remask_campaigns.rounds.tasks import answer_of
from remask_campaigns.status import status
from remask_cli.lock import lock
from remask_cli.main import app
from remask_storage.campaign import Campaign, PlacedClick, Qualification
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0, rounds=2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CampaignStore]:
    """Round 1 open: of four instances one is corrected, one skipped, one accepted."""
    opened = CampaignStore.open(tmp_path / "campaigns.db")
    opened.add_campaign(CAMPAIGN, sample_instances(4))
    studio = FakeStudio()
    advance(opened, studio, "cats", DiskMaker())
    first, second, third, _ = studio.titled("cats · round 1")
    clicks = [PlacedClick(f"k{n}", 5.0 + n, 6.0, True) for n in range(3)]
    studio.annotate(first["id"], result=answer_of(first, clicks), lead_time_s=12.0, user=4)
    studio.annotate(second["id"], result=[], skipped=True, lead_time_s=3.0, user=5)
    studio.annotate(third["id"], result=answer_of(third), lead_time_s=4.0, user=4)
    sync(opened, studio, "cats")
    opened.put_person("cats", 4, name="Ada", qualified=True)
    yield opened
    opened.close()


def run(store: CampaignStore, *arguments: str) -> Any:
    folder = str(Path(store.database.place).parent)
    return CliRunner().invoke(app, ["campaign", *arguments, "--state", folder])


def test_instances_are_counted_by_outcome_round_and_annotator(store: CampaignStore) -> None:
    found = status(store, "cats")
    (one,) = found.rounds

    assert found.outcomes == {"open": 2, "skipped": 1, "accepted": 1}
    assert (one.number, one.state, one.instances, one.unanswered) == (1, "open", 4, 1)
    assert one.tally.outcomes == {"corrected": 1, "skipped": 1, "accepted": 1}
    assert (one.tally.clicks, one.tally.median_s, one.tally.total_s) == (3, 4.0, 19.0)
    ada, other = found.annotators
    assert (ada.name, ada.tally.visits, ada.tally.median_s) == ("Ada", 2, 8.0)
    assert (other.annotator, other.by_round[1].outcomes) == (5, {"skipped": 1})


def test_visits_of_the_unqualified_are_shown_and_do_not_count(store: CampaignStore) -> None:
    store.change_campaign(replace(CAMPAIGN, qualification=Qualification()))
    found = status(store, "cats")

    assert [who.is_valid for who in found.annotators] == [True, False]
    assert found.rounds[0].unanswered == 2


def test_a_campaign_that_has_not_begun_has_no_rounds(tmp_path: Path) -> None:
    fresh = CampaignStore.open(tmp_path / "campaigns.db")
    fresh.add_campaign(CAMPAIGN, sample_instances(2))
    found = status(fresh, "cats")
    listed = run(fresh, "list").stdout
    fresh.close()

    assert (found.rounds, found.annotators, found.outcomes) == ((), (), {"open": 2})
    assert "not begun" in listed


def test_the_command_prints_tables_and_json(store: CampaignStore) -> None:
    shown = run(store, "status", "cats")
    assert shown.exit_code == 0
    assert "4 instances, 1 accepted, 2 open, 1 skipped" in shown.stdout
    assert "Ada" in shown.stdout

    told = json.loads(run(store, "status", "cats", "--json").stdout)
    assert told["rounds"][0]["tally"]["outcomes"]["corrected"] == 1
    assert told["annotators"][0]["by_round"]["1"]["clicks"] == 3
    (listed,) = json.loads(run(store, "list", "--json").stdout)
    assert (listed["campaign"], listed["round"], listed["state"]) == ("cats", 1, "open")


def test_the_worst_of_a_ranking_are_sent_back(store: CampaignStore, tmp_path: Path) -> None:
    ranks = tmp_path / "ranks.csv"
    rows = ["instance,round,predicted_iou,uncertainty,rank,true_iou"]
    rows += [f"i{n},1,0.{9 - n},0.1,{n + 1}," for n in range(4)]
    ranks.write_text("\n".join(rows) + "\n")
    refused = run(store, "reopen", "cats", "--ranks", str(ranks))
    assert "round 1 is next" in str(refused.exception)

    store.put_round("cats", replace(store.rounds("cats")[0], state="closed"))
    store.replace_visits("cats", 1, None, [])
    store.change_campaign(replace(CAMPAIGN, rounds=1))
    sent = run(store, "reopen", "cats", "--worst", "50", "--ranks", str(ranks))
    assert "2 instances are sent back" in sent.stdout
    assert store.campaign("cats").reopened == {2: ("i2", "i3")}


def test_two_commands_do_not_advance_a_campaign_at_once(
    store: CampaignStore, tmp_path: Path
) -> None:
    digest = blake2s(b"cats", digest_size=6).hexdigest()
    with lock(tmp_path / f"campaign-{digest}.lock", otherwise="busy"):
        refused = run(store, "close", "cats", "--url", "http://127.0.0.1:9")

    assert "another command" in str(refused.exception)
