"""Projects deleted in the real Label Studio under a campaign; the campaign deleted at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_studio import DiskMaker, sample_instances
from studio import Studio

from remask_campaigns.create import tasks_of
from remask_campaigns.project_description import title_of
from remask_campaigns.retire import belongings_of, delete_campaign
from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.instance_state import Unanswered
from remask_campaigns.rounds.sync import GoneProject, sync
from remask_campaigns.rounds.tasks import answer_of
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore

NAME = "gone by forty letters, the longest name."


def test_a_campaign_goes_on_when_its_projects_are_deleted(studio: Studio, tmp_path: Path) -> None:
    connection = studio.connection
    store = CampaignStore.open(tmp_path / "campaigns.db")
    source = connection.create_project("boxes of somebody", label_config="<View/>")
    instances = sample_instances(3)
    tasks = [{"data": {"image": instance.image}} for instance in instances[:2]]
    numbers = connection.import_whole_tasks(source, tasks)
    store.add_campaign(
        Campaign(NAME, source, 1000.0, rounds=1),
        [replace(instance, source_task=numbers[instance.source_task]) for instance in instances],
    )
    opened = advance(store, connection, NAME, DiskMaker()).round
    assert opened is not None
    assert opened.project is not None
    first, *_ = tasks_of(connection, opened.project)
    connection.annotate(
        first["id"], result=answer_of(first), skipped=False, lead_time_s=3.0, user=1
    )
    sync(store, connection, NAME)

    connection.delete_project(opened.project)
    with pytest.raises(Unanswered, match="2 instances") as caught:
        advance(store, connection, NAME, DiskMaker())
    assert len(caught.value.without_task) == 2
    (again,) = connection.projects_titled(title_of(NAME, "round 1"))
    for task in tasks_of(connection, again):
        connection.annotate(
            task["id"], result=answer_of(task), skipped=False, lead_time_s=3.0, user=1
        )
    published = advance(store, connection, NAME, DiskMaker())
    assert published.results_project is not None

    connection.delete_project(again)
    connection.delete_project(published.results_project)
    late = advance(store, connection, NAME, DiskMaker())
    assert late.gone == (GoneProject(round=1, project=again, answers=3),)
    assert len(list(tasks_of(connection, late.results_project or 0))) == 2

    store.change_campaign(replace(store.campaign(NAME), archived=True))
    belongings = belongings_of(store, NAME, connection=connection)
    assert set(belongings.projects) == {late.results_project}
    delete_campaign(store, belongings, connection=connection)
    delete_campaign(store, belongings, connection=connection)
    store.close()
    assert connection.projects_titled(title_of(NAME, "masks")) == []
    assert connection.label_config(source)
