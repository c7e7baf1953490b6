"""The errors that remask raises on purpose; every one derives from `RemaskError`."""

from __future__ import annotations

from remask_core.errors import (
    BadImage,
    ClickOutsideImage,
    InputError,
    MissingExtra,
    NotFound,
    RemaskError,
    ShapeMismatch,
    Unavailable,
    WrongState,
)

__all__ = [
    "BadImage",
    "ClickOutsideImage",
    "InputError",
    "MissingExtra",
    "NotFound",
    "RemaskError",
    "ShapeMismatch",
    "Unavailable",
    "WrongState",
]
