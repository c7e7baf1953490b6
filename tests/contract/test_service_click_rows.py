"""What webhooks tell the click log, from bodies that Label Studio really sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from remask_core.errors import InputError, WrongState
from remask_label_config.bodies import WebhookRequest, decode_webhook
from remask_service.predict.click_rows import annotation_events, prompt_rows
from remask_service.predict.records import AnswerRecord, PromptRecord
from remask_storage.click_rows import AnnotationEvent

NOW = 1795198700.5


def recorded(shared: Path, name: str) -> WebhookRequest:
    sample = shared / "design" / "label_studio_samples" / f"{name}.json"
    return decode_webhook(json.dumps(json.loads(sample.read_text())["json"]).encode())


def test_a_submission_tells_who_when_and_what(shared: Path) -> None:
    [event] = annotation_events(
        recorded(shared, "webhook_ANNOTATION_CREATED_submit"), received_at=NOW
    )

    assert event == AnnotationEvent(
        annotation_id=5,
        project="6",
        task=56,
        outcome="submitted",
        completed_by=1,
        lead_time_s=10.887,
        updated_at=1795198296.863433,
        received_at=NOW,
        regions=(("197eb5e18c", "brushlabels"),),
    )


def test_a_skip_is_a_submission_that_was_cancelled(shared: Path) -> None:
    [event] = annotation_events(
        recorded(shared, "webhook_ANNOTATION_CREATED_skip"), received_at=NOW
    )

    assert (event.outcome, event.task, event.regions) == ("skipped", 57, ())


def test_an_update_and_a_deletion(shared: Path) -> None:
    [updated] = annotation_events(
        recorded(shared, "webhook_ANNOTATION_UPDATED_update"), received_at=NOW
    )
    [deleted] = annotation_events(
        recorded(shared, "webhook_ANNOTATIONS_DELETED_delete"), received_at=NOW
    )

    assert updated.outcome == "submitted"
    assert (deleted.annotation_id, deleted.outcome) == (7, "deleted")


def test_annotations_made_from_predictions_come_as_a_list() -> None:
    body = (
        b'{"action": "ANNOTATIONS_CREATED", "annotation": ['
        b'{"id": 7, "task": 3, "result": []}, {"id": 8, "task": 4, "result": []}]}'
    )

    events = annotation_events(decode_webhook(body), received_at=NOW)

    assert [(7, 3, "submitted"), (8, 4, "submitted")] == [
        (event.annotation_id, event.task, event.outcome) for event in events
    ]


def test_the_train_button_is_refused(shared: Path) -> None:
    with pytest.raises(WrongState, match="remask train"):
        annotation_events(recorded(shared, "start_training_request"), received_at=NOW)


def test_a_saved_annotation_must_be_there() -> None:
    with pytest.raises(InputError, match="`annotation`"):
        annotation_events(WebhookRequest(action="ANNOTATION_UPDATED"), received_at=NOW)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_a_time_that_cannot_be_read_is_the_time_of_arrival(text: str) -> None:
    body = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "updated_at": text}}

    [event] = annotation_events(decode_webhook(json.dumps(body).encode()), received_at=NOW)

    assert event.updated_at == NOW


def record(*prompts: PromptRecord) -> AnswerRecord:
    return AnswerRecord(
        answer_id="a",
        time=NOW,
        project="2",
        task=33,
        item_index=1,
        labels=("Cat", "Pet"),
        region="mask_1",
        prompts=prompts,
        lane="click",
        outcome="answered",
    )


def test_a_click_and_a_box_become_rows_in_pixels() -> None:
    click = PromptRecord(
        id="c", n=1, step=1, arrived=NOW, fresh=True, click_xy=(3, 4), positive=False
    )
    box = PromptRecord(id="b", n=0, step=0, arrived=NOW, fresh=False, box_xyxy=(1, 2, 30, 40))

    first, second = prompt_rows(record(box, click))

    assert (first.kind, first.x, first.y, first.x1, first.y1) == ("box", 1, 2, 30, 40)
    assert (second.kind, second.x, second.y, second.x1) == ("click", 3, 4, None)
    assert (second.positive, second.position, second.step, second.label) == (False, 1, 1, "Cat")


def test_a_sign_that_was_lost_is_not_logged_as_one() -> None:
    click = PromptRecord(
        id="c",
        n=0,
        step=0,
        arrived=NOW,
        fresh=True,
        click_xy=(3, 4),
        positive=True,
        sign_known=False,
    )

    [row] = prompt_rows(record(click))

    assert row.positive is None


def test_the_web_process_never_loads_torch() -> None:
    """A fault of the device must not be a fault of the process that answers /health."""
    code = "import remask_service.web.wsgi, sys; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
