"""A campaign's store, made again from nothing but its projects in Label Studio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from remask_campaigns.create import instances_of_source
from remask_campaigns.crops.images import known_crops
from remask_campaigns.project_description import OwnProject, own_projects
from remask_campaigns.rounds.sync import sync
from remask_campaigns.rounds.tasks import instances_in
from remask_campaigns.sources.boxes import ShapeOf
from remask_core.errors import NotFound, WrongState
from remask_core.left_out import LeftOut
from remask_core.progress import OnProgress, no_progress
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign, CampaignInstance, Round
from remask_storage.campaign_store import CampaignStore

__all__ = ["restore_campaign"]


def restore_campaign(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    *,
    shape_of: ShapeOf | None = None,
    on_progress: OnProgress = no_progress,
    left_out: Callable[[LeftOut], None] = lambda _: None,
) -> Campaign:
    """Store a campaign as its projects describe it, with rounds and answers, and return it.

    Masks are not read: they follow from the answers, and the next `advance` makes them. Of the
    rounds the last one is taken to be open, unless the results were published after it.

    Args:
        store: That has no campaign of this name.
        connection: To the Label Studio with the projects.
        name: Of the campaign.
        shape_of: As for `create_campaign`.
        on_progress: Called with the progress of the tasks read.
        left_out: As for `create_campaign`; called only where the boxes are read again.

    Raises:
        WrongState: The store has a campaign of this name.
        NotFound: No project says that it belongs to this campaign, or the boxes are gone and no
            round has them all.
        Unavailable: Label Studio does not answer.
    """
    if any(known.name == name for known in store.campaigns()):
        raise WrongState(f"`name` must not be in the store; there is a campaign {name!r}")
    projects = _projects(connection, name)
    campaign = _settings(projects)
    rounds = _rounds(projects)
    instances = _shown(connection, rounds, on_progress)
    if len(rounds) < 2 or rounds[0].number != 1:
        # The first round shows every instance, unless it was the last and lacks tasks, or its
        # project has been deleted.
        boxes = instances_of_source(
            connection, campaign, shape_of=shape_of, on_progress=on_progress, left_out=left_out
        )
        begun = known_crops(connection, campaign, boxes)
        instances = {**{instance.id: instance for instance in begun}, **instances}
    store.add_campaign(campaign, list(instances.values()))
    for found in rounds:
        store.put_round(name, found)
    sync(store, connection, name, on_progress=on_progress)
    return campaign


def _projects(connection: LabelStudioApi, name: str) -> dict[str, OwnProject]:
    """Return the campaign's projects by what they are to it, oldest first."""
    found: dict[str, OwnProject] = {}
    for project in own_projects(connection, name):
        found.setdefault(project.described.kind, project)
    if not found:
        raise NotFound(
            f"no project in {connection.url} says that it belongs to a campaign {name!r}"
        )
    return found


def _settings(projects: Mapping[str, OwnProject]) -> Campaign:
    """Return the settings as the newest project has them, with the projects made since."""
    newest = max(projects.values(), key=lambda project: project.ref.id)
    campaign = newest.described.campaign
    if "boxes" in projects:
        campaign = replace(campaign, source_project=projects["boxes"].ref.id)
    if "masks" in projects:
        campaign = replace(campaign, results_project=projects["masks"].ref.id)
    return campaign


def _rounds(projects: Mapping[str, OwnProject]) -> list[Round]:
    by_number = {
        project.described.round: project.ref
        for project in projects.values()
        if project.described.round is not None
    }
    published = projects["masks"].ref if "masks" in projects else None
    rounds: list[Round] = []
    for number, ref in sorted(by_number.items()):
        following = by_number.get(number + 1) or published
        ended = following is not None and following.id > ref.id
        rounds.append(
            Round(
                number=number,
                state="closed" if ended else "open",
                project=ref.id,
                model_version=ref.model_version,
                opened_at=ref.created_at,
                closed_at=following.created_at if ended and following is not None else None,
            )
        )
    return rounds


def _shown(
    connection: LabelStudioApi, rounds: Sequence[Round], on_progress: OnProgress
) -> dict[str, CampaignInstance]:
    """Return the instances that the rounds' tasks show, by id."""
    found: dict[str, CampaignInstance] = {}
    for done, shown in enumerate(rounds, start=1):
        assert shown.project is not None
        for _, data in connection.task_data(shown.project):
            for instance in instances_in(data):
                found.setdefault(instance.id, instance)
        on_progress("rounds", done, len(rounds))
    return found
