"""Fields of COCO records as people and programs write them, each read as what it means.

A field that can mean nothing is an `InputError` where the record is of no use without it, and None
where it is.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, TypeAlias

import msgspec

from remask_core.errors import InputError

__all__ = [
    "BoxNumbers",
    "Id",
    "box_of",
    "flag_of",
    "id_of",
    "name_of",
    "number_of",
    "raw_of",
    "side_of",
    "text_of",
]

Id: TypeAlias = int | str
BoxNumbers: TypeAlias = tuple[float, float, float, float]

_FLAGS: Final = {"": False, "0": False, "false": False, "1": True, "true": True}


def id_of(record: object, field: str) -> Id | None:
    """Return an id; 1.0 is 1, and null is none.

    Raises:
        InputError: It is something else.
    """
    value = record.get(field) if isinstance(record, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or (isinstance(value, (int, str)) and not isinstance(value, bool)):
        return value
    raise InputError(f"`{field}` must be a whole number or a text; got {value!r:.40}")


def flag_of(record: dict[str, Any], field: str) -> bool:
    """Return a flag; missing, null, an empty text and "0" are False.

    Raises:
        InputError: It is neither a number nor a text for yes or no.
    """
    value = record.get(field)
    if isinstance(value, str) and value.strip().lower() in _FLAGS:
        return _FLAGS[value.strip().lower()]
    if value is None or isinstance(value, (bool, int, float)):
        return bool(value)
    raise InputError(f"`{field}` must be 0 or 1; got {value!r:.40}")


def text_of(record: dict[str, Any], field: str) -> str:
    """Return a text, or a number as text; empty where there is none."""
    value = record.get(field)
    return "" if value is None else str(value)


def name_of(value: object) -> Id | None:
    """Return a name, a text or a whole number; None for everything else."""
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def number_of(value: object) -> float | None:
    """Return a finite number as it is; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def side_of(value: object) -> int:
    """Return a whole number of pixels; 0 for everything else."""
    number = number_of(value)
    return int(number) if number is not None and number.is_integer() else 0


def box_of(value: object) -> BoxNumbers | None:
    """Return x, y, width and height; None for everything but a list of four finite numbers."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    x, y, width, height = map(number_of, value)
    if x is None or y is None or width is None or height is None:
        return None
    return x, y, width, height


def raw_of(record: dict[str, Any], field: str) -> msgspec.Raw:
    """Return a value as JSON, not decoded; empty where the field is missing."""
    if field not in record:
        return msgspec.Raw()
    return msgspec.Raw(json.dumps(record[field]).encode())
