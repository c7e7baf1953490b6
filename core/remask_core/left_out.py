"""What of an input was not used, and why: single records, and their numbers by reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["LeftOut", "LeftOutCounts", "OnLeftOut", "ignore_left_out"]

_NAMED_PER_REASON = 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something in an input that is not used.

    Attributes:
        name: Task, or task and region, in Label Studio; or the name in a file.
        reason: A short slug that counts are kept by.
        detail: A sentence, where the reason alone does not say it.
    """

    name: str
    reason: str
    detail: str = ""


OnLeftOut: TypeAlias = Callable[[LeftOut], None]
"""Called with each thing that is left out."""


def ignore_left_out(left_out: LeftOut) -> None:
    """Do nothing; where nobody wants to know."""


@dataclass(slots=True)
class LeftOutCounts:
    """How many things were left out for each reason, and the first few of them.

    Attributes:
        counts: Numbers by reason, in the order in which the reasons came up.
        first: The first things by reason; memory does not grow with the others.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[LeftOut]] = field(default_factory=dict)

    def add(self, left_out: LeftOut) -> None:
        """Count one thing."""
        self._count(left_out.reason, 1, [left_out])

    def before(self, left_out: OnLeftOut) -> OnLeftOut:
        """Return what counts each thing that it is called with, and then calls `left_out`."""

        def count(thing: LeftOut) -> None:
            self.add(thing)
            left_out(thing)

        return count

    def add_all(self, other: LeftOutCounts) -> None:
        """Count what another counted."""
        for reason, count in other.counts.items():
            self._count(reason, count, other.first[reason])

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def lines(self, *, what: str = "Left out") -> list[str]:
        """Return a line for people per reason: how many, and which were the first.

        Args:
            what: Begins each line; says what was done to them.
        """
        return [
            f"{what}, {reason}: {count} ({self._names(reason)})"
            for reason, count in self.counts.items()
        ]

    def _names(self, reason: str) -> str:
        named = [
            f"{record.name} ({record.detail})" if record.detail else record.name
            for record in self.first[reason]
        ]
        return ", ".join(named + ["…"] * (self.counts[reason] > len(named)))

    def _count(self, reason: str, count: int, things: list[LeftOut]) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + count
        first = self.first.setdefault(reason, [])
        first += things[: _NAMED_PER_REASON - len(first)]
