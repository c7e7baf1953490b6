"""`advance` killed at any point and given again: the end is that of an undisturbed run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fake_studio import DiskMaker, FakeStudio, Killed, sample_instances

from remask_campaigns.rounds import open_round as opening
from remask_campaigns.rounds import results
from remask_campaigns.rounds import update_masks as refresh
from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.instance_state import Unanswered
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_storage.campaign import Campaign, PlacedClick
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0, rounds=2)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many requests and many writes, so that there are many points to be killed at."""
    monkeypatch.setattr(opening, "_TASKS_PER_REQUEST", 2)
    monkeypatch.setattr(results, "_TASKS_PER_REQUEST", 1)
    monkeypatch.setattr(refresh, "_MASKS_PER_WRITE", 2)


def answer_all(studio: FakeStudio, number: int) -> None:
    for task in studio.titled(f"cats · round {number}"):
        (instance,) = instances_in(task["data"])
        n = int(instance.id[1:])
        given = [PlacedClick(f"k{n}", 40.0 + n, 20.0, True)] if n < 4 - number else []
        if not task["annotations"]:
            studio.annotate(task["id"], result=answer_of(task, given))


def through(folder: Path, studio: FakeStudio) -> dict[str, Any]:
    """Run the whole campaign; who is killed by the studio begins again."""
    store = CampaignStore.open(folder / "campaigns.db")
    with suppress(Exception):
        store.add_campaign(CAMPAIGN, sample_instances(3))
    number = 0
    while store.campaign("cats").results_project is None:
        try:
            done = advance(store, studio, "cats", DiskMaker(), now=lambda: 5.0)
        except Killed:
            store.close()
            studio.kill_at = None
            store = CampaignStore.open(folder / "campaigns.db")
            continue
        except Unanswered:
            # Killed after the round had opened, but before anybody knew.
            done = None
        number = store.rounds("cats")[-1].number
        if done is None or done.round is not None:
            answer_all(studio, number)
    state = picture(store, studio)
    store.close()
    return state


def picture(store: CampaignStore, studio: FakeStudio) -> dict[str, Any]:
    """Everything that matters, without the numbers that depend on the way."""
    return {
        "projects": sorted(project["title"] for project in studio.projects.values()),
        "tasks": sorted(
            (
                studio.projects[task["project"]]["title"],
                [instance["id"] for instance in task["data"]["remask"]["instances"]],
                [instance.get("outcome") for instance in task["data"]["remask"]["instances"]],
                len(task["annotations"]),
            )
            for task in studio.tasks.values()
        ),
        "rounds": [
            (campaign_round.number, campaign_round.state, campaign_round.model_version)
            for campaign_round in store.rounds("cats")
        ],
        "masks": dict(store.masks("cats")),
        "visits": {
            name: [(visit.round, visit.outcome, visit.clicks) for visit in visits]
            for name, visits in store.visits("cats").items()
        },
    }


def test_killed_at_any_request_and_run_again_the_end_is_the_same(tmp_path: Path) -> None:
    undisturbed = FakeStudio()
    expected = through(tmp_path / "undisturbed", undisturbed)
    assert undisturbed.calls >= 9

    for call in range(1, undisturbed.calls + 1):
        for after in (False, True):
            studio = FakeStudio()
            studio.kill_at, studio.kill_after = call, after
            folder = tmp_path / f"{call}-{after}"
            assert expected == through(folder, studio), (call, after)


def test_killed_in_the_middle_of_the_masks_only_the_missing_ones_are_made_again(
    tmp_path: Path,
) -> None:
    class Mortal(DiskMaker):
        def __call__(self, jobs: Any) -> Any:
            for number, made in enumerate(super().__call__(jobs)):
                if number == 2:
                    raise Killed
                yield made

    store = CampaignStore.open(tmp_path / "campaigns.db")
    store.add_campaign(CAMPAIGN, sample_instances(3))
    studio = FakeStudio()
    with pytest.raises(Killed):
        advance(store, studio, "cats", Mortal())
    heir = DiskMaker()
    advance(store, studio, "cats", heir)
    store.close()

    assert len(heir.asked) == 1
