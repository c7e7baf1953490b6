"""The store brought in line with Label Studio, which alone knows what annotators answered.

`sync` reads every round again and replaces whatever was stored, so that webhooks which were lost,
doubled, late or out of order have changed nothing in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from remask_campaigns.create import tasks_of
from remask_campaigns.rounds.answers import visits_of
from remask_campaigns.rounds.tasks import round_data
from remask_core.errors import InputError
from remask_core.progress import OnProgress, no_progress
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Visit
from remask_storage.campaign_store import CampaignStore

__all__ = ["Synced", "Unreadable", "sync"]

_TASKS_PER_WRITE = 100


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A task that does not say what a task of its round must; its answers do not count."""

    project: int
    task: int
    why: str


@dataclass(frozen=True, slots=True)
class Synced:
    """What was found in Label Studio.

    Attributes:
        tasks: Round to the ids of the instances that have a task in it.
        visits: How many answers there are, all rounds together.
        unreadable: Tasks that were passed over.
    """

    tasks: Mapping[int, frozenset[str]]
    visits: int
    unreadable: tuple[Unreadable, ...]


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
        NotFound: There is no such campaign, or one of its projects is gone.
        Unavailable: Label Studio does not answer.
    """
    campaign = store.campaign(name)
    unreadable: list[Unreadable] = []
    tasks: dict[int, set[str]] = {}
    stored = _tasks_stored(store, name)
    visits = 0
    for one in store.rounds(name):
        if one.project is None:
            continue
        here = tasks.setdefault(one.number, set())
        seen: set[int] = set()
        source = tasks_of(connection, one.project, on_progress=on_progress)
        while page := list(islice(source, _TASKS_PER_WRITE)):
            read: list[Visit] = []
            for task in page:
                seen.add(int(task["id"]))
                try:
                    here.update(shown.id for shown in round_data(task["data"]).instances)
                    read += visits_of(campaign, one.number, task)
                except InputError as error:
                    unreadable.append(Unreadable(one.project, int(task["id"]), str(error)))
            store.replace_visits(name, one.number, [int(task["id"]) for task in page], read)
            visits += len(read)
        store.replace_visits(name, one.number, stored.get(one.number, set()) - seen, [])
    shown = {number: frozenset(ids) for number, ids in tasks.items()}
    return Synced(shown, visits, tuple(unreadable))


def _tasks_stored(store: CampaignStore, name: str) -> dict[int, set[int]]:
    """Return round to the tasks that the stored visits are of."""
    found: dict[int, set[int]] = {}
    for visits in store.visits(name).values():
        for visit in visits:
            found.setdefault(visit.round, set()).add(visit.task)
    return found
