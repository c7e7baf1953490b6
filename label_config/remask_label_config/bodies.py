"""The bodies that Label Studio posts, typed where it matters and tolerant of the rest.

Annotations, drafts and predictions stay undecoded until somebody looks into them: on a task with
many masks they are megabytes, and most clicks need none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from remask_core.errors import InputError

__all__ = [
    "AnnotationRef",
    "Context",
    "Params",
    "PredictRequest",
    "Ref",
    "Region",
    "ResultHolder",
    "SetupRequest",
    "Task",
    "Value",
    "WebhookAnnotation",
    "WebhookRequest",
    "decode_predict",
    "decode_setup",
    "decode_webhook",
    "regions_of",
    "result_holders",
]

NOTHING = msgspec.Raw()

Id: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Value(msgspec.Struct, kw_only=True):
    """A region's `value`: geometry in percent of the image, labels, and masks undecoded."""

    x: float | None = None
    y: float | None = None
    width: float | None = None
    height: float | None = None
    rotation: float | None = None
    labels: list[str] | None = None
    keypointlabels: list[str] | None = None
    rectanglelabels: list[str] | None = None
    brushlabels: list[str] | None = None
    bitmasklabels: list[str] | None = None
    rle: msgspec.Raw = NOTHING
    touches: msgspec.Raw = NOTHING
    image_data_url: str | None = msgspec.field(default=None, name="imageDataURL")


class Region(msgspec.Struct, kw_only=True):
    """One entry of a `result` list."""

    id: str
    type: str
    value: Value
    from_name: str = ""
    to_name: str = ""
    original_width: float | None = None
    original_height: float | None = None
    image_rotation: float | None = None
    item_index: Id | None = None
    is_positive: bool | int | None = None
    meta: dict[str, Any] | None = None
    origin: str | None = None
    score: Any = None
    parent_id: str | None = msgspec.field(default=None, name="parentID")

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the region carries, whichever control gave them."""
        value = self.value
        return tuple(
            value.keypointlabels
            or value.rectanglelabels
            or value.brushlabels
            or value.bitmasklabels
            or value.labels
            or ()
        )


class ResultHolder(msgspec.Struct, kw_only=True):
    """An annotation, draft or prediction, with the regions of it that can be understood."""

    id: int | str | None = None
    result: list[Region] = []
    was_cancelled: bool | None = None
    updated_at: str | None = None


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


class AnnotationRef(msgspec.Struct, kw_only=True):
    """An annotation that was deleted."""

    id: Id


class WebhookAnnotation(msgspec.Struct, kw_only=True):
    """An annotation as a webhook brings it."""

    id: Id
    task: Id | None = None
    project: Id | None = None
    completed_by: Id | dict[str, Any] | None = None
    was_cancelled: bool = False
    lead_time: float | None = None
    created_at: str | None = None
    updated_at: str | None = None
    parent_prediction: int | None = None
    unique_id: str | None = None
    result: msgspec.Raw = NOTHING

    def regions(self) -> list[Region]:
        """Return the regions that can be understood; others are left out."""
        return regions_of(self.result)


class WebhookRequest(msgspec.Struct, kw_only=True):
    """The body of POST /webhook: an event on annotations, or the button that starts training.

    `annotation` is a list in ANNOTATIONS_CREATED, when predictions are made into annotations.
    """

    action: str
    annotation: WebhookAnnotation | list[WebhookAnnotation] | None = None
    annotations: list[AnnotationRef] = []
    task: Ref | None = None
    project: Ref | None = None

    @property
    def saved(self) -> list[WebhookAnnotation]:
        """The annotations that the event brings whole."""
        if isinstance(self.annotation, list):
            return self.annotation
        return [] if self.annotation is None else [self.annotation]


_Body = TypeVar("_Body")
_PREDICT = msgspec.json.Decoder(PredictRequest)
_SETUP = msgspec.json.Decoder(SetupRequest)
_WEBHOOK = msgspec.json.Decoder(WebhookRequest)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_REGION = msgspec.json.Decoder(Region)
_REGIONS = msgspec.json.Decoder(list[Region])
_HOLDERS = msgspec.json.Decoder(list[ResultHolder])
_RAW_HOLDER = msgspec.json.Decoder(_RawHolder)


def decode_predict(body: bytes) -> PredictRequest:
    """Return the body of POST /predict.

    Raises:
        InputError: It is not JSON, or a field that is needed is missing or of another type; the
            message names the field.
    """
    return _decode(_PREDICT, body)


def decode_setup(body: bytes) -> SetupRequest:
    """Return the body of POST /setup. Raises `InputError` as `decode_predict` does."""
    return _decode(_SETUP, body)


def decode_webhook(body: bytes) -> WebhookRequest:
    """Return the body of POST /webhook. Raises `InputError` as `decode_predict` does."""
    return _decode(_WEBHOOK, body)


def result_holders(raw: msgspec.Raw) -> list[ResultHolder]:
    """Return a task's annotations, drafts or predictions; what cannot be understood is left out.

    A task holds whatever its project's other controls and imports have put there: a text answer,
    a region without an id. Such things are none of our business and no reason to refuse a click.
    """
    # One pass over what may be megabytes of masks; piece by piece only where that fails.
    known = _whole(_HOLDERS, raw)
    if known is not None:
        return known
    return [
        ResultHolder(
            id=holder.id,
            result=regions_of(holder.result),
            was_cancelled=holder.was_cancelled,
            updated_at=holder.updated_at,
        )
        for holder in _understood(_RAW_HOLDER, raw)
    ]


def regions_of(raw: msgspec.Raw) -> list[Region]:
    """Return the regions of a `result` that can be understood; others are left out."""
    known = _whole(_REGIONS, raw)
    return list(_understood(_REGION, raw)) if known is None else known


def _decode(decoder: msgspec.json.Decoder[_Body], body: bytes) -> _Body:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        field = path.rstrip("`").removeprefix("$").removeprefix(".") or "body"
        raise InputError(f"`{field}`: {reason[0].lower()}{reason[1:]}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`body` must be JSON: {error}") from error
    except RecursionError as error:
        raise InputError("`body` must not nest that deeply") from error


def _whole(decoder: msgspec.json.Decoder[_Body], raw: msgspec.Raw) -> _Body | None:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _understood(decoder: msgspec.json.Decoder[_Body], raw: msgspec.Raw) -> Iterator[_Body]:
    text = bytes(raw)
    if not text.startswith(b"["):
        return
    try:
        entries = _LIST.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return
    for entry in entries:
        try:
            yield decoder.decode(entry)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
