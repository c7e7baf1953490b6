"""A webhook about a campaign's task: an early look at one annotation, by the code of `sync`.

Webhooks may be lost, doubled, late or out of order. An older event on an annotation never undoes a
newer one, and what remains wrong the next `sync` puts right.
"""

from __future__ import annotations

from typing import Any

import msgspec

from remask_campaigns.rounds.answers import visits_of_annotation
from remask_campaigns.rounds.tasks import RoundData, round_data
from remask_core.errors import InputError
from remask_label_config.bodies import WebhookRequest, WebhookTask
from remask_storage.campaign_store import CampaignStore

__all__ = ["take_webhook"]

_DATA = msgspec.json.Decoder(dict[str, Any])


def take_webhook(store: CampaignStore, event: WebhookRequest) -> str | None:
    """Store what a webhook says of an annotation; return its campaign, or None if it has none.

    Args:
        store: Of the campaigns.
        event: Of `decode_webhook`.

    Raises:
        InputError: What it says of a campaign's task cannot be read.
    """
    project = None if event.project is None else event.project.id
    found = None if project is None else store.round_of_project(project)
    if found is None:
        return None
    name, number = found
    if event.is_save and event.saved and event.task is not None:
        task_id, data = _task(event.task)
        campaign = store.campaign(name)
        for annotation in event.saved:
            visits = visits_of_annotation(campaign, number, task_id, data, annotation)
            store.replace_annotation(name, number, annotation.id, visits)
    for annotation_id in event.deleted_ids:
        store.replace_annotation(name, number, annotation_id, [])
    return name


def _task(task: WebhookTask) -> tuple[int, RoundData]:
    if task.id is None:
        raise InputError("`task.id`: required for a task of a campaign")
    if not bytes(task.data):
        raise InputError("`task.data`: required for a task of a campaign")
    try:
        data = _DATA.decode(task.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"`task.data` must be a JSON object: {error}") from error
    return task.id, round_data(data)
