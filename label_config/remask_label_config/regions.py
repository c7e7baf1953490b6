"""Regions: the entries of a `result` list, read leniently and with a reason for each failure.

The editor writes regions with a text as id and numbers as coordinates. Label Studio itself accepts
far more from an import, keeps it, and shows it: no id at all, a number as id, `"x": "20"`, one
label as bare text. Reading therefore has two steps. A whole list is decoded at once, which is
quick and succeeds for what the editor wrote. Where that fails, each entry is decoded alone, after
it was rewritten into the editor's form as the editor itself would do on loading.

A `result` also holds what no image control made: relations, choices, text answers. Those are
passed over. An entry that claims to be a mask, point, rectangle or label and still cannot be
decoded is reported as an `UnreadableRegion`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s
from typing import Annotated, Any, TypeAlias

import msgspec

__all__ = ["NOTHING", "Id", "ReadRegions", "Region", "UnreadableRegion", "Value", "read_regions"]

NOTHING = msgspec.Raw()
"""A field that is kept undecoded, where it is missing."""

Id: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_LABEL_KEYS = (
    "keypointlabels",
    "rectanglelabels",
    "brushlabels",
    "bitmasklabels",
    "ellipselabels",
    "labels",
)
_NUMBERS = ("original_width", "original_height", "image_rotation")
_VALUE_NUMBERS = ("x", "y", "width", "height", "rotation")
_KINDS = ("keypoint", "rectangle", "brush", "bitmask")


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
    ellipselabels: list[str] | None = None
    choices: list[str] | None = None
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
    readonly: Any = None
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
            or value.ellipselabels
            or value.labels
            or ()
        )


@dataclass(frozen=True, slots=True)
class UnreadableRegion:
    """An entry that claims to be a region of ours and cannot be decoded.

    Attributes:
        name: The region's id, or its place in the list where it has none.
        place: Its place in the list, from 0.
        field: The field at fault, such as `value.x`; empty for the entry as a whole.
        why: What was needed and what came.
    """

    name: str
    place: int
    field: str
    why: str

    def __str__(self) -> str:
        where = f"`{self.field}` of region `{self.name}`" if self.field else f"region `{self.name}`"
        return f"{where}: {self.why}"


@dataclass(frozen=True, slots=True)
class ReadRegions:
    """A `result` list, read.

    Attributes:
        regions: Those that were understood, in their order.
        unreadable: Those that were not.
    """

    regions: list[Region]
    unreadable: tuple[UnreadableRegion, ...] = ()


_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REGIONS = msgspec.json.Decoder(list[Region])
# Text such as "20" becomes a number where a number is needed.
_LENIENT = msgspec.json.Decoder(Region, strict=False)


def read_regions(result: msgspec.Raw) -> ReadRegions:
    """Return the regions of a `result` list that can be understood, and the others by name.

    A region without an id gets one that follows from its content, so that the same region has the
    same id in every request, export and campaign.
    """
    try:
        regions = _REGIONS.decode(result)
        if all(region.id for region in regions):
            return ReadRegions(regions)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    text = bytes(result)
    try:
        entries = _ENTRIES.decode(text) if text.startswith(b"[") else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        entries = []
    return _one_by_one(entries)


def _one_by_one(entries: list[msgspec.Raw]) -> ReadRegions:
    regions: list[Region] = []
    unreadable: list[UnreadableRegion] = []
    nameless: Counter[str] = Counter()
    for place, entry in enumerate(entries):
        fields = _fields(entry)
        if fields is None:
            unreadable.append(UnreadableRegion(f"result[{place}]", place, "", "expected an object"))
            continue
        own_id, kind = _id_text(fields.get("id")), _type_of(fields)
        try:
            region = _LENIENT.decode(_in_editor_form(fields, own_id or "?", kind))
            _check_finite(region)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if kind == "labels" or kind.startswith(_KINDS):
                field, why = split_error(error)
                name = own_id or f"result[{place}]"
                unreadable.append(UnreadableRegion(name, place, field, why))
            continue
        if own_id is None:
            digest = _content_digest(entry)
            nameless[digest] += 1
            copies = nameless[digest]
            region.id = f"noid_{digest}" if copies == 1 else f"noid_{digest}_{copies}"
        regions.append(region)
    return ReadRegions(regions, tuple(unreadable))


def split_error(error: Exception) -> tuple[str, str]:
    """Return the field that a decoder's error names, empty for the whole, and its reason."""
    reason, _, path = str(error).partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    return field, reason[:1].lower() + reason[1:]


def _fields(entry: msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    try:
        return _FIELDS.decode(entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _plain(raw: msgspec.Raw | None) -> Any:
    """Return the JSON value of a field, None where it is missing or malformed."""
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _id_text(raw: msgspec.Raw | None) -> str | None:
    """Return an id as the editor reads it: a number as text; what counts as false is no id."""
    value = _plain(raw)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, str | int | float) and value else None


def _type_of(fields: Mapping[str, msgspec.Raw]) -> str:
    """Return the type of an entry, by the key of its labels where it does not say."""
    kind = _plain(fields.get("type"))
    if isinstance(kind, str):
        return kind
    value = _fields(fields.get("value", NOTHING)) or {}
    return next((key for key in _LABEL_KEYS if key in value), "")


def _in_editor_form(fields: Mapping[str, msgspec.Raw], own_id: str, kind: str) -> bytes:
    """Return an entry as JSON with texts for ids, lists for labels, and no fields of odd types."""
    row: dict[str, Any] = {
        key: raw for key, raw in fields.items() if bytes(raw) != b"null" or key == "value"
    }
    row["id"], row["type"] = own_id, kind
    if "parentID" in row:
        row["parentID"] = _id_text(fields["parentID"])
    for key, needed in (("meta", dict), ("origin", str), ("from_name", str), ("to_name", str)):
        # None of these is needed to know what the region shows.
        if key in row and not isinstance(_plain(fields[key]), needed):
            del row[key]
    value = _fields(fields.get("value", NOTHING))
    if value is not None:
        labels = {key: _labels(value[key]) for key in _LABEL_KEYS if key in value}
        row["value"] = {**value, **labels}
    return msgspec.json.encode(row)


def _labels(raw: msgspec.Raw) -> Any:
    """Return labels as a list of texts, if they are texts or numbers, alone or in a list."""
    value = _plain(raw)
    if value is None or value == "":
        return None
    labels = value if isinstance(value, list) else [value]
    if all(isinstance(label, str | int | float | None) for label in labels):
        return [str(label) for label in labels if label is not None and label != ""]
    return raw


def _check_finite(region: Region) -> None:
    """Raise for numbers that text can name and JSON cannot: "nan" and "inf"."""
    numbers = {name: getattr(region, name) for name in _NUMBERS}
    numbers |= {f"value.{name}": getattr(region.value, name) for name in _VALUE_NUMBERS}
    for field, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise msgspec.ValidationError(f"Expected a finite number - at `$.{field}`")


def _content_digest(entry: msgspec.Raw) -> str:
    content = msgspec.json.encode(_plain(entry), order="deterministic")
    return blake2s(content, digest_size=5).hexdigest()
