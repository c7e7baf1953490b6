"""The store brought in line with Label Studio, which alone knows what annotators answered.

`sync` reads every round again and replaces whatever was stored, so that webhooks which were lost,
doubled, late or out of order have changed nothing in the end. A webhook is an early look at one
annotation by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from remask_core.errors import InputError
from remask_label_config.bodies import AnnotationRef, WebhookAnnotation, decode_webhook
from remask_rounds.answers import visits_of
from remask_rounds.campaign import Visit
from remask_rounds.campaign_store import CampaignStore
from remask_rounds.create import tasks_of
from remask_rounds.label_studio import Connection
from remask_rounds.progress import Told, nobody
from remask_rounds.round_tasks import round_data

__all__ = ["Synced", "Unreadable", "sync", "take_webhook"]

_TASKS_PER_WRITE = 100

_SAVED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED")
_DELETED = ("ANNOTATIONS_DELETED", "ANNOTATION_DELETED")


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


def sync(store: CampaignStore, connection: Connection, name: str, *, told: Told = nobody) -> Synced:
    """Read all answers of a campaign again.

    A page of tasks is in memory at a time. The time does not depend on how much has changed.

    Args:
        store: With the campaign in it.
        connection: To the Label Studio where its projects are.
        name: Of the campaign.
        told: Of the tasks read.

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
        source = tasks_of(connection, one.project, told=told)
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


def take_webhook(store: CampaignStore, body: bytes) -> bool:
    """Note what a webhook says of an annotation; return whether it was one of a campaign's.

    Args:
        store: Of the campaigns.
        body: Of the request, JSON.

    Raises:
        InputError: The body, or what it says of a campaign's task, cannot be read.
    """
    told = decode_webhook(body)
    place = None if told.project is None or told.project.id is None else told.project.id
    found = None if place is None else store.round_of_project(place)
    if found is None:
        return False
    name, number = found
    if told.action in _SAVED and told.task is not None:
        # The decoded request knows the task by its number only; what was shown is in its data.
        whole = msgspec.json.decode(body)
        task = {**whole["task"], "annotations": _as_list(whole["annotation"])}
        visits = visits_of(store.campaign(name), number, task)
        for annotation in told.saved:
            its = [visit for visit in visits if visit.annotation == annotation.id]
            store.replace_annotation(name, number, annotation.id, its)
    elif told.action in _DELETED:
        gone: list[AnnotationRef | WebhookAnnotation] = [*told.annotations, *told.saved]
        for one in gone:
            store.replace_annotation(name, number, one.id, [])
    return True


def _as_list(one: Any) -> list[Any]:
    return one if isinstance(one, list) else [one]


def _tasks_stored(store: CampaignStore, name: str) -> dict[int, set[int]]:
    """Return round to the tasks that the stored visits are of."""
    found: dict[int, set[int]] = {}
    for visits in store.visits(name).values():
        for visit in visits:
            found.setdefault(visit.round, set()).add(visit.task)
    return found
