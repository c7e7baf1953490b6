"""The end of a campaign: archived, which can be undone, or deleted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from remask_campaigns.project_description import own_projects
from remask_campaigns.qualification.exam import name_of_test
from remask_core.errors import NotFound
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore

__all__ = ["Belongings", "archive_campaign", "belongings_of", "delete_campaign"]


@dataclass(frozen=True, slots=True)
class Belongings:
    """What goes with a campaign when it is deleted.

    Attributes:
        campaigns: Names of the campaign and of its test, as far as the store has them.
        instances: How many they have.
        answers: How many answers are stored.
        projects: Titles of its projects in Label Studio, by id; empty where these stay. The project
            that somebody made its boxes in is never among them.
    """

    campaigns: tuple[str, ...]
    instances: int
    answers: int
    projects: dict[int, str]


def archive_campaign(store: CampaignStore, name: str, *, archived: bool) -> Campaign:
    """Store that a campaign is archived, or no longer is, and return it.

    An archived one keeps everything, is not listed, and is not advanced.

    Raises:
        NotFound: There is no such campaign.
    """
    campaign = replace(store.campaign(name), archived=archived)
    store.change_campaign(campaign)
    return campaign


def belongings_of(
    store: CampaignStore, name: str, *, connection: LabelStudioApi | None = None
) -> Belongings:
    """Return what `delete_campaign` would delete.

    Args:
        store: With the campaign in it.
        name: Of the campaign.
        connection: To Label Studio, where the projects are to go as well; None: they stay.

    Raises:
        NotFound: There is no such campaign.
    """
    stored = {campaign.name for campaign in store.campaigns()}
    if name not in stored:
        # For the sentence that names those there are.
        store.campaign(name)
    names = tuple(own for own in (name, name_of_test(name)) if own in stored)
    projects: dict[int, str] = {}
    if connection is not None:
        for own in (name, name_of_test(name)):
            for project in own_projects(connection, own):
                projects[project.ref.id] = project.ref.title
    return Belongings(
        campaigns=names,
        instances=sum(len(store.instances(own)) for own in names),
        answers=sum(len(visits) for own in names for visits in store.visits(own).values()),
        projects=projects,
    )


def delete_campaign(
    store: CampaignStore, belongings: Belongings, *, connection: LabelStudioApi | None = None
) -> None:
    """Delete what belongs to a campaign: first its projects, then all that is stored.

    What is gone already is no error, so a call that was interrupted can be repeated.

    Args:
        store: With the campaign in it.
        belongings: Of `belongings_of`.
        connection: To Label Studio; needed if there are projects.
    """
    assert connection is not None or not belongings.projects
    for project in belongings.projects:
        assert connection is not None
        try:
            connection.delete_project(project)
        except NotFound:
            continue
    # The test first: without its campaign nobody would find it.
    for name in reversed(belongings.campaigns):
        store.delete_campaign(name)
