"""Progress reports of long work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["OnProgress", "no_progress"]

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is under way, how much of it is done, and how much there is in all."""


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore the report."""
