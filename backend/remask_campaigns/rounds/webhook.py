"""What Label Studio tells by itself: an early look at one annotation, by the code of `sync`.

Webhooks may be lost, doubled, late or out of order. An older word on an annotation never undoes a
newer one, and what remains wrong the next `sync` puts right.
"""

from __future__ import annotations

from typing import Any

import msgspec

from remask_campaigns.rounds.answers import visits_of
from remask_core.errors import InputError
from remask_label_config.bodies import AnnotationRef, WebhookAnnotation, decode_webhook
from remask_storage.campaign_store import CampaignStore

__all__ = ["take_webhook"]

_SAVED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED")
_DELETED = ("ANNOTATIONS_DELETED", "ANNOTATION_DELETED")


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
    if told.action in _SAVED and told.saved and told.task is not None:
        # The decoded request knows the task by its number only; what was shown is in its data.
        whole = msgspec.json.decode(body)
        if "data" not in whole["task"]:
            raise InputError("`task.data`: required for a task of a campaign")
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
