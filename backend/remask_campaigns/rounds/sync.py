"""Reading all answers of a campaign from Label Studio, which alone knows what annotators did.

`sync` reads every round again and replaces whatever was stored, so that webhooks which were lost,
doubled, late or out of order have changed nothing in the end. Only the answers of a project that
somebody has deleted stay as they were stored: nobody else has them any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice

from remask_campaigns.create import tasks_of
from remask_campaigns.project_description import has_round, own_projects
from remask_campaigns.rounds.answers import visits_of
from remask_campaigns.rounds.tasks import round_data
from remask_core.errors import InputError, NotFound
from remask_core.progress import OnProgress, no_progress
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign, Round, Visit
from remask_storage.campaign_store import CampaignStore

__all__ = ["GoneProject", "Synced", "Unreadable", "sync"]

_TASKS_PER_WRITE = 100


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A task that does not say what a task of its round must; its answers do not count."""

    project: int
    task: int
    why: str


@dataclass(frozen=True, slots=True)
class GoneProject:
    """A round's project that was deleted in Label Studio; its stored answers stay.

    Attributes:
        round: Its number.
        project: Label Studio's id.
        answers: How many are stored.
    """

    round: int
    project: int
    answers: int


@dataclass(frozen=True, slots=True)
class Synced:
    """What was found in Label Studio.

    Attributes:
        tasks: Round to the ids of the instances that have a task in it.
        visits: How many answers there are, all rounds together.
        unreadable: Tasks that were passed over.
        gone: Projects that were deleted.
    """

    tasks: Mapping[int, frozenset[str]]
    visits: int
    unreadable: tuple[Unreadable, ...] = ()
    gone: tuple[GoneProject, ...] = ()


def sync(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    *,
    on_progress: OnProgress = no_progress,
) -> Synced:
    """Read all answers of a campaign again.

    A page of tasks is in memory at a time. The time does not depend on how much has changed.

    Args:
        store: With the campaign in it.
        connection: To the Label Studio where its projects are.
        name: Of the campaign.
        on_progress: Called with the progress of the tasks read.

    Raises:
        NotFound: There is no such campaign, or none of its projects is in this Label Studio.
        Unavailable: Label Studio does not answer.
    """
    campaign = store.campaign(name)
    stored = _tasks_stored(store, name)
    tasks: dict[int, frozenset[str]] = {}
    visits = 0
    unreadable: list[Unreadable] = []
    gone: list[GoneProject] = []
    for round_ in store.rounds(name):
        if round_.project is None:
            continue
        try:
            if not has_round(connection, name, round_.number, round_.project):
                raise NotFound(f"project {round_.project} is gone")
            found = _read_round(store, connection, campaign, round_, on_progress)
        except NotFound:
            _check_place(store, connection, campaign)
            answers = store.keep_visits(name, round_.number)
            gone.append(GoneProject(round_.number, round_.project, answers))
            tasks[round_.number] = frozenset()
            visits += answers
            continue
        tasks[round_.number] = frozenset(found.instances)
        visits += found.visits
        unreadable += found.unreadable
        store.replace_visits(
            name, round_.number, stored.get(round_.number, set()) - found.tasks, []
        )
    return Synced(tasks, visits, tuple(unreadable), tuple(gone))


@dataclass(slots=True)
class _RoundRead:
    """What a round's project holds: tasks, the instances in them, and answers."""

    tasks: set[int] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)
    visits: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)


def _read_round(
    store: CampaignStore,
    connection: LabelStudioApi,
    campaign: Campaign,
    round_: Round,
    on_progress: OnProgress,
) -> _RoundRead:
    """Store what a round's project holds, page by page, and return what was found."""
    assert round_.project is not None
    found = _RoundRead()
    source = tasks_of(connection, round_.project, on_progress=on_progress)
    while page := list(islice(source, _TASKS_PER_WRITE)):
        visits: list[Visit] = []
        numbers = [int(task["id"]) for task in page]
        for number, task in zip(numbers, page, strict=True):
            try:
                instances = round_data(task["data"]).instances
                found.instances.update(instance.id for instance in instances)
                visits += visits_of(campaign, round_.number, task)
            except InputError as error:
                found.unreadable.append(Unreadable(round_.project, number, str(error)))
        store.replace_visits(campaign.name, round_.number, numbers, visits)
        found.tasks.update(numbers)
        found.visits += len(visits)
    return found


def _check_place(store: CampaignStore, connection: LabelStudioApi, campaign: Campaign) -> None:
    """Refuse a Label Studio that has nothing of the campaign: it is probably another one."""
    if own_projects(connection, campaign.name):
        return
    images = {
        instance.source_task: instance.whole_image for instance in store.instances(campaign.name)
    }
    with suppress(NotFound):
        for task, data in connection.task_data(campaign.source_project):
            if task in images and images[task] in data.values():
                return
    raise NotFound(
        f"`url` must be the Label Studio of the campaign; none of the projects of {campaign.name} "
        f"is at {connection.url}"
    )


def _tasks_stored(store: CampaignStore, name: str) -> dict[int, set[int]]:
    """Return round to the tasks that the stored visits are of; none of deleted projects."""
    found: dict[int, set[int]] = {}
    for visit in chain.from_iterable(store.visits(name).values()):
        if visit.task > 0:
            found.setdefault(visit.round, set()).add(visit.task)
    return found
