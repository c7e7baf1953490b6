"""The error tree: what went wrong, and whether trying again can help."""

from __future__ import annotations

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


class RemaskError(Exception):
    """Any error that remask raises on purpose; `code` is a stable slug for logs and answers."""

    code = "error"


class InputError(RemaskError, ValueError):
    """The caller's data is wrong; the same call will never succeed."""

    code = "input"


class ShapeMismatch(InputError):
    """Two arrays that must agree in shape do not."""

    code = "shape-mismatch"


class ClickOutsideImage(InputError):
    """A click does not lie on the image it was given for."""

    code = "click-outside-image"


class BadImage(InputError):
    """The image file cannot be decoded, is too large, or is gone."""

    code = "bad-image"


class MissingExtra(InputError):
    """An optional Python package is needed and not installed."""

    code = "missing-extra"


class NotFound(RemaskError, LookupError):
    """A named thing does not exist."""

    code = "not-found"


class WrongState(RemaskError, RuntimeError):
    """The right call at the wrong moment."""

    code = "wrong-state"


class Unavailable(RemaskError):
    """The answer cannot be had now; the same call may succeed after `retry_after_s` seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AccessRefused(Unavailable):
    """Somebody refuses the credentials that were shown; the same call may succeed with others."""

    code = "access-refused"
