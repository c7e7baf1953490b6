"""A campaign's store, lost and made again from the real Label Studio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_studio import DiskMaker
from studio import Studio

from remask_campaigns.create import create_campaign
from remask_campaigns.project_description import describe, title_of
from remask_campaigns.restore import restore_campaign
from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_campaigns.sources.upload import ImagePlace, SourceBox, SourceImage, import_source
from remask_core.errors import NotFound, WrongState
from remask_label_config.prompts import PercentBox
from remask_storage.campaign import Campaign, PlacedClick
from remask_storage.campaign_store import CampaignStore

IMAGES = [
    SourceImage(
        f"{n}.png",
        (60, 80),
        (SourceBox(f"b{n}", "cat", PercentBox(x=10, y=10, width=60, height=60)),),
    )
    for n in range(4)
]


def begin(studio: Studio, store: CampaignStore, name: str) -> Campaign:
    """A campaign whose boxes came from a file."""
    campaign = Campaign(name, 0, 12.5, rounds=2, long_side_px=20, short_side_px=20)
    project = import_source(
        studio.connection,
        title_of(name, "boxes"),
        IMAGES,
        place=ImagePlace(prefix="/data/local-files/?d=images/"),
        description=describe(campaign, "boxes"),
    )
    begun = Campaign(name, project, 12.5, rounds=2, long_side_px=20, short_side_px=20)
    create_campaign(store, studio.connection, begun)
    return begun


def answer(studio: Studio, project: int, clicks: Callable[[int], int | None]) -> None:
    """Answer a round: so many clicks on each instance by its place, or a skip for None."""
    for task_id, data in studio.connection.task_data(project):
        task = next(
            task
            for task in studio.connection.task_page(project, page=1, page_size=10)[0]
            if task["id"] == task_id
        )
        place = int(instances_in(data)[0].source_id[1:])
        count = clicks(place)
        given = [PlacedClick(f"k{place}{n}", 40.0 + n, 20.0, n == 0) for n in range(count or 0)]
        studio.connection.annotate(
            task_id,
            result=[] if count is None else answer_of(task, given),
            skipped=count is None,
            lead_time_s=7.0,
            user=1,
        )


def everything(store: CampaignStore, name: str) -> tuple[object, ...]:
    rounds = [
        (
            campaign_round.number,
            campaign_round.state,
            campaign_round.project,
            campaign_round.model_version,
        )
        for campaign_round in store.rounds(name)
    ]
    return store.campaign(name), store.instances(name), rounds, store.visits(name)


def test_a_lost_store_is_made_again_from_the_projects(studio: Studio, tmp_path: Path) -> None:
    store = CampaignStore.open(tmp_path / "lost.db")
    begun = begin(studio, store, "lost")
    copies = iter(range(9))

    def restored() -> tuple[object, ...]:
        copy = CampaignStore.open(tmp_path / f"copy{next(copies)}.db")
        assert restore_campaign(copy, studio.connection, "lost") == copy.campaign("lost")
        with pytest.raises(WrongState, match="lost"):
            restore_campaign(copy, studio.connection, "lost")
        found = everything(copy, "lost")
        copy.close()
        return found

    assert everything(store, "lost") == restored()
    assert begun == store.campaign("lost")

    makers = DiskMaker()
    first = advance(store, studio.connection, "lost", makers).round
    assert first is not None
    assert everything(store, "lost") == restored()

    answer(studio, first.project or 0, lambda place: (2, 0, None, 1)[place])
    second = advance(store, studio.connection, "lost", makers).round
    assert second is not None
    answer(studio, second.project or 0, lambda place: place % 2)
    done = advance(store, studio.connection, "lost", makers)
    assert done.round is None
    again = restored()
    assert everything(store, "lost") == again

    copy = CampaignStore.open(tmp_path / "whole.db")
    restore_campaign(copy, studio.connection, "lost")
    assert advance(copy, studio.connection, "lost", makers).results_project == done.results_project
    assert dict(store.masks("lost")) == dict(copy.masks("lost"))
    copy.close()
    store.close()


def test_a_campaign_that_no_project_tells_of_cannot_be_restored(
    studio: Studio, tmp_path: Path
) -> None:
    store = CampaignStore.open(tmp_path / "none.db")
    studio.connection.create_project(
        "imposter · round 1", label_config="<View><Image name='i' value='$image'/></View>"
    )
    with pytest.raises(NotFound, match="imposter"):
        restore_campaign(store, studio.connection, "imposter")
    store.close()
