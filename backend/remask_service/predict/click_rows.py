"""Rows of the click log, made from answers, and its events, made from webhooks."""

from __future__ import annotations

from datetime import datetime

from remask_core.errors import InputError, WrongState
from remask_label_config.bodies import WebhookAnnotation, WebhookRequest
from remask_service.predict.records import AnswerRecord, PromptRecord
from remask_storage.click_rows import AnnotationEvent, PromptRow

__all__ = ["annotation_events", "prompt_rows"]


def prompt_rows(record: AnswerRecord) -> list[PromptRow]:
    """Return one row per prompt of the record, older ones included.

    The log ignores those that it has. It has to be offered them, because a prompt that could not
    be answered when it came is answered together with a later one.
    """
    return [_row(record, prompt) for prompt in record.prompts]


def annotation_events(request: WebhookRequest, *, received_at: float) -> list[AnnotationEvent]:
    """Return what a webhook says of annotations; nothing for events on anything else.

    Args:
        request: Its body.
        received_at: Unix seconds.

    Raises:
        InputError: An annotation was saved, but is not in the body.
        WrongState: It is Label Studio's button that starts training.
    """
    if request.action == "START_TRAINING":
        raise WrongState(
            "remask does not train on Label Studio's button; export the project and run "
            "`remask train`"
        )
    if request.is_save:
        if request.annotation is None:
            raise InputError(f"`annotation`: required when `action` is {request.action}")
        return [_saved(request, annotation, received_at) for annotation in request.saved]
    return [_deleted(annotation_id, received_at) for annotation_id in request.deleted_ids]


def _row(record: AnswerRecord, prompt: PromptRecord) -> PromptRow:
    if prompt.box_xyxy is not None:
        x, y, x1, y1 = prompt.box_xyxy
        place: tuple[float | None, ...] = (x, y, x1, y1)
    elif prompt.click_xy is not None:
        place = (*prompt.click_xy, None, None)
    else:
        place = (None, None, None, None)
    return PromptRow(
        project=record.project or "",
        task=record.task or 0,
        prompt_id=prompt.id,
        kind="click" if prompt.box_xyxy is None else "box",
        positive=prompt.positive if prompt.sign_known else None,
        x=place[0],
        y=place[1],
        x1=place[2],
        y1=place[3],
        label=record.labels[0] if record.labels else None,
        item_index=record.item_index,
        position=prompt.n,
        step=prompt.step,
        lane=record.lane,
        arrived_at=prompt.arrived,
        region_id=record.region,
        outcome=record.outcome,
        error_code=record.error,
        model_version=record.model_version,
        score=record.score,
        latency_ms=record.latency_ms,
        model_ms=record.model_ms,
    )


def _saved(
    request: WebhookRequest, annotation: WebhookAnnotation, received_at: float
) -> AnnotationEvent:
    project = annotation.project or (request.project and request.project.id)
    return AnnotationEvent(
        annotation_id=annotation.id,
        project=None if project is None else str(project),
        task=annotation.task or (request.task and request.task.id) or None,
        outcome="skipped" if annotation.was_cancelled else "submitted",
        completed_by=annotation.annotator,
        lead_time_s=annotation.lead_time,
        updated_at=_unix(annotation.updated_at, otherwise=received_at),
        received_at=received_at,
        regions=tuple((region.id, region.type) for region in annotation.read().regions),
    )


def _deleted(annotation_id: int, received_at: float) -> AnnotationEvent:
    return AnnotationEvent(
        annotation_id=annotation_id,
        project=None,
        task=None,
        outcome="deleted",
        completed_by=None,
        lead_time_s=None,
        updated_at=received_at,
        received_at=received_at,
    )


def _unix(text: str | None, *, otherwise: float) -> float:
    """Return Label Studio's time, such as 2026-11-20T18:11:36.863408Z, as Unix seconds."""
    try:
        return datetime.fromisoformat((text or "").replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return otherwise
