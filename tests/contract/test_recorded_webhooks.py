"""What Label Studio 1.23 sends of annotations, recorded by tools/record_webhooks.py."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from remask_core.errors import WrongState
from remask_exports.annotations import LeftOut, decode_task, instances_of
from remask_label_config.bodies import decode_webhook
from remask_service.predict.click_rows import annotation_events
from remask_storage.click_rows import AnnotationEvent

FOLDER = Path(__file__).parent / "data" / "label_studio"
NOW = 1795198700.5


def recorded(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return body


def event_of(name: str) -> AnnotationEvent:
    (event,) = annotation_events(
        decode_webhook(json.dumps(recorded(name)).encode()), received_at=NOW
    )
    return event


def test_a_submission_says_who_when_and_what() -> None:
    annotation = recorded("submit")["annotation"]
    updated_at = datetime.fromisoformat(annotation["updated_at"].replace("Z", "+00:00"))

    assert event_of("submit") == AnnotationEvent(
        annotation_id=annotation["id"],
        project=str(recorded("submit")["project"]["id"]),
        task=annotation["task"],
        outcome="submitted",
        completed_by=annotation["completed_by"],
        lead_time_s=10.5,
        updated_at=updated_at.timestamp(),
        received_at=NOW,
        regions=(
            ("mask1", "brushlabels"),
            ("click0", "keypointlabels"),
            ("click1", "keypointlabels"),
        ),
    )


def test_a_skip_is_a_submission_without_regions() -> None:
    event = event_of("skip")

    assert (event.outcome, event.regions, event.lead_time_s) == ("skipped", (), None)
    assert event.task == recorded("skip")["task"]["id"]


def test_an_update_and_a_deletion_name_the_same_annotation() -> None:
    updated, deleted = event_of("update"), event_of("delete")

    assert (updated.outcome, updated.lead_time_s) == ("submitted", 12.0)
    assert [region for region, _ in updated.regions] == ["mask1", "click0"]
    assert (deleted.annotation_id, deleted.outcome) == (updated.annotation_id, "deleted")


def test_the_train_button_is_refused() -> None:
    body = json.dumps(recorded("train")).encode()

    with pytest.raises(WrongState, match="remask train"):
        annotation_events(decode_webhook(body), received_at=NOW)


def test_an_export_gives_the_mask_and_its_click_back() -> None:
    task = decode_task(json.dumps(recorded("export")).encode())
    (found,) = instances_of(task)
    assert not isinstance(found, LeftOut)
    instance = found.decode()
    mask = np.zeros((30, 40), np.bool_)
    mask[8:20, 10:28] = True

    assert instance.label == "cat"
    assert np.array_equal(instance.mask, mask)
    assert [(click.x, click.y, click.positive) for click in instance.clicks] == [(10.0, 12.0, True)]
