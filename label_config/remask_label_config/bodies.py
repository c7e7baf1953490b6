"""The bodies of Label Studio's requests, typed where it matters and tolerant of the rest.

Annotations, drafts and predictions stay undecoded until somebody looks into them: on a task with
many masks they are megabytes, and most clicks need none of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from remask_core.errors import InputError
from remask_label_config.regions import (
    NOTHING,
    Id,
    ReadRegions,
    Region,
    UnreadableRegion,
    read_regions,
    split_error,
)

__all__ = [
    "MAX_TASKS",
    "AnnotationRef",
    "Context",
    "Params",
    "PredictRequest",
    "Ref",
    "ResultHolder",
    "SetupRequest",
    "Task",
    "WebhookAnnotation",
    "WebhookRequest",
    "WebhookTask",
    "decode_predict",
    "decode_setup",
    "decode_webhook",
    "result_holders",
]

MAX_TASKS = 100_000
"""Tasks of one request. Label Studio sends all that are selected; a minute suffices for some
thousands of them."""

_LEAST_TASK_BYTES = len('{"data":{}},')

_SAVED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED")
# Label Studio sends the plural; its own SDK is written for the singular.
_DELETED = ("ANNOTATIONS_DELETED", "ANNOTATION_DELETED")


class ResultHolder(msgspec.Struct, kw_only=True):
    """An annotation, draft or prediction: its regions that can be understood, and the others."""

    id: int | str | None = None
    result: list[Region] = []
    was_cancelled: bool | None = None
    updated_at: str | None = None
    unreadable: tuple[UnreadableRegion, ...] = ()


class _RawHolder(msgspec.Struct, kw_only=True):
    id: int | str | None = None
    result: msgspec.Raw = NOTHING
    was_cancelled: bool | None = None
    updated_at: str | None = None


class Task(msgspec.Struct, kw_only=True):
    """A task as it comes with a request for predictions."""

    id: Id | None = None
    data: dict[str, Any]
    annotations: msgspec.Raw = NOTHING
    drafts: msgspec.Raw = NOTHING
    predictions: msgspec.Raw = NOTHING


class Context(msgspec.Struct, kw_only=True):
    """What an annotator has just drawn, with everything alike that was there before."""

    result: list[Region] = []


class Params(msgspec.Struct, kw_only=True):
    """`params` of a request; `context` is set when an annotator waits for the answer."""

    context: Context | None = None


class PredictRequest(msgspec.Struct, kw_only=True):
    """The body of POST /predict."""

    tasks: list[Task]
    label_config: str
    project: str | int | None = None
    params: Params | None = None

    @property
    def context(self) -> Context | None:
        """The annotator's prompts, or None when nobody draws."""
        return None if self.params is None else self.params.context

    @property
    def project_id(self) -> str | None:
        """The project's number, as text, without the time that Label Studio appends."""
        return None if self.project is None else str(self.project).partition(".")[0]


class SetupRequest(msgspec.Struct, kw_only=True):
    """The body of POST /setup."""

    schema: str
    project: str | int | None = None
    hostname: str | None = None
    access_token: str | None = None
    extra_params: Any = None


class Ref(msgspec.Struct, kw_only=True):
    """Something that is known by its number."""

    id: Id | None = None


class WebhookTask(Ref, kw_only=True):
    """The task that a webhook is about; its data stays undecoded, for most events need none."""

    data: msgspec.Raw = NOTHING


class AnnotationRef(msgspec.Struct, kw_only=True):
    """An annotation that was deleted."""

    id: Id


class WebhookAnnotation(msgspec.Struct, kw_only=True):
    """An annotation as a webhook brings it."""

    id: Id
    task: Id | None = None
    project: Id | None = None
    completed_by: Id | dict[str, Any] | None = None
    was_cancelled: bool | None = None
    lead_time: float | None = None
    created_at: str | None = None
    updated_at: str | None = None
    parent_prediction: int | None = None
    unique_id: str | None = None
    result: msgspec.Raw = NOTHING

    def __post_init__(self) -> None:
        # Text can name a number that JSON cannot.
        if self.lead_time is not None and not math.isfinite(self.lead_time):
            self.lead_time = None

    @property
    def annotator(self) -> int | None:
        """Label Studio's id of whoever submitted it."""
        user = self.completed_by
        found = user.get("id") if isinstance(user, dict) else user
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def read(self) -> ReadRegions:
        """Return the regions that can be understood, and the others by name."""
        return read_regions(self.result)


class WebhookRequest(msgspec.Struct, kw_only=True):
    """The body of POST /webhook: an event on annotations, or the button that starts training.

    `annotation` is a list in ANNOTATIONS_CREATED, when predictions are made into annotations.
    """

    action: str
    annotation: WebhookAnnotation | list[WebhookAnnotation] | None = None
    annotations: list[AnnotationRef] = []
    task: WebhookTask | None = None
    project: Ref | None = None

    @property
    def is_save(self) -> bool:
        """Whether annotations were created or changed; `saved` has them."""
        return self.action in _SAVED

    @property
    def deleted_ids(self) -> list[int]:
        """Ids of the annotations that were deleted; empty for other events."""
        if self.action not in _DELETED:
            return []
        gone: list[AnnotationRef | WebhookAnnotation] = [*self.annotations, *self.saved]
        return [annotation.id for annotation in gone]

    @property
    def saved(self) -> list[WebhookAnnotation]:
        """The annotations that the event brings whole."""
        if isinstance(self.annotation, list):
            return self.annotation
        return [] if self.annotation is None else [self.annotation]


class _LooseContext(msgspec.Struct, kw_only=True):
    result: msgspec.Raw = NOTHING


class _LooseParams(msgspec.Struct, kw_only=True):
    context: _LooseContext | None = None


class _LoosePredictRequest(msgspec.Struct, kw_only=True):
    tasks: list[Task]
    label_config: str
    project: str | int | None = None
    params: _LooseParams | None = None


class _TaskCount(msgspec.Struct, kw_only=True):
    tasks: list[msgspec.Raw] = []


_Body = TypeVar("_Body")
_TASK_COUNT = msgspec.json.Decoder(_TaskCount)
_PREDICT = msgspec.json.Decoder(PredictRequest)
_LOOSE_PREDICT = msgspec.json.Decoder(_LoosePredictRequest)
_SETUP = msgspec.json.Decoder(SetupRequest)
# Text such as "3.5" becomes a number where a number is needed.
_WEBHOOK = msgspec.json.Decoder(WebhookRequest, strict=False)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_HOLDERS = msgspec.json.Decoder(list[ResultHolder])
_RAW_HOLDER = msgspec.json.Decoder(_RawHolder)


def decode_predict(body: bytes) -> PredictRequest:
    """Return the body of POST /predict.

    Raises:
        InputError: It is not JSON, or a field that is needed is missing or of another type; the
            message names the field. Or it has more tasks than `MAX_TASKS`.
    """
    _check_task_count(body)
    try:
        request = _PREDICT.decode(body)
        context = request.context
        if context is None or all(region.id for region in context.result):
            return request
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        pass
    except msgspec.DecodeError as error:
        raise _refusal(error) from error
    loose = _decode(_LOOSE_PREDICT, body)
    request = PredictRequest(
        tasks=loose.tasks, label_config=loose.label_config, project=loose.project
    )
    if loose.params is not None and loose.params.context is not None:
        read = read_regions(loose.params.context.result)
        if read.unreadable:
            bad = read.unreadable[0]
            field = f".{bad.field}" if bad.field else ""
            raise InputError(f"`params.context.result[{bad.place}]{field}`: {bad.why}")
        request.params = Params(context=Context(result=read.regions))
    return request


def _check_task_count(body: bytes) -> None:
    """Refuse too many tasks before they are decoded: decoding stops every other thread."""
    if len(body) < MAX_TASKS * _LEAST_TASK_BYTES:
        return
    try:
        count = len(_TASK_COUNT.decode(body).tasks)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What is wrong with it is said by the decoder of the whole.
        return
    if count > MAX_TASKS:
        raise InputError(
            f"`tasks` must have at most {MAX_TASKS:,} entries; got {count:,}: select fewer tasks"
        )


def decode_setup(body: bytes) -> SetupRequest:
    """Return the body of POST /setup. Raises `InputError` as `decode_predict` does."""
    return _decode(_SETUP, body)


def decode_webhook(body: bytes) -> WebhookRequest:
    """Return the body of POST /webhook. Raises `InputError` as `decode_predict` does."""
    return _decode(_WEBHOOK, body)


def result_holders(raw: msgspec.Raw) -> list[ResultHolder]:
    """Return a task's annotations, drafts or predictions, each with what can be understood of it.

    A task holds whatever its project's other controls and imports have put there. Such things are
    no reason to refuse a click.
    """
    # One pass over what may be megabytes of masks; piece by piece only where that fails.
    try:
        holders = _HOLDERS.decode(raw)
        if all(region.id for holder in holders for region in holder.result):
            return holders
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return [_holder(raw_holder) for raw_holder in _raw_holders(raw)]


def _holder(raw: _RawHolder) -> ResultHolder:
    read = read_regions(raw.result)
    return ResultHolder(
        id=raw.id,
        result=read.regions,
        was_cancelled=raw.was_cancelled,
        updated_at=raw.updated_at,
        unreadable=read.unreadable,
    )


def _raw_holders(raw: msgspec.Raw) -> Iterator[_RawHolder]:
    text = bytes(raw)
    try:
        entries = _LIST.decode(text) if text.startswith(b"[") else []
    except (msgspec.DecodeError, RecursionError):
        return
    for entry in entries:
        try:
            yield _RAW_HOLDER.decode(entry)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue


def _decode(decoder: msgspec.json.Decoder[_Body], body: bytes) -> _Body:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> InputError:
    if isinstance(error, msgspec.ValidationError):
        field, why = split_error(error)
        return InputError(f"`{field or 'body'}`: {why}")
    if isinstance(error, RecursionError):
        return InputError("`body` must not nest that deeply")
    return InputError(f"`body` must be JSON: {error}")
