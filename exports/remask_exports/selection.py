"""The conditions of an export: rank, predicted IoU, class, round, annotator and outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remask_core.errors import InputError
from remask_exports.annotations import Found
from remask_exports.instances import ExportedOutcome
from remask_ranking.order_curves import percent_count
from remask_ranking.ranks import Rank

__all__ = ["Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What to export; what is not asked for is not looked at.

    Attributes:
        top_percent: Only the best so many per cent, by rank, of what passes the other conditions.
        bottom_percent: Only the worst so many per cent, likewise.
        min_iou: Lowest predicted IoU.
        max_iou: Highest predicted IoU.
        classes: Only these.
        rounds: Only instances whose last round is one of these.
        annotators: Only annotations of these people, by Label Studio's ids.
        outcomes: Only these.
        promised: Only instances of these names, about which something is promised; None for all.
            A part of a promised set is not promised, so it stands alone.
    """

    top_percent: float | None = None
    bottom_percent: float | None = None
    min_iou: float | None = None
    max_iou: float | None = None
    classes: frozenset[str] = frozenset()
    rounds: frozenset[int] = frozenset()
    annotators: frozenset[int] = frozenset()
    outcomes: frozenset[ExportedOutcome] = frozenset()
    promised: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for name in ("top_percent", "bottom_percent"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value <= 100.0:
                raise InputError(f"`{name}` must lie in (0, 100]; got {value}")
        if self.top_percent is not None and self.bottom_percent is not None:
            raise InputError("`top_percent` and `bottom_percent` must not both be given")
        others = (self.classes, self.rounds, self.annotators, self.outcomes)
        if self.promised is not None and (self.needs_ranks or any(others)):
            raise InputError(
                "`promised` must be the only condition: what is promised of a set is not promised "
                "of a part of it"
            )

    @property
    def needs_ranks(self) -> bool:
        """Whether instances without a predicted IoU can only be left out."""
        asked = (self.top_percent, self.bottom_percent, self.min_iou, self.max_iou)
        return any(value is not None for value in asked)

    def refusal(self, found: Found, rank: Rank | None) -> str | None:
        """Return why an instance is not wanted, as a slug; None if it is, or if ranks decide."""
        if self.promised is not None and found.name not in self.promised:
            return "not-promised"
        if self.classes and found.label not in self.classes:
            return "class"
        if self.rounds and found.round not in self.rounds:
            return "round"
        if self.annotators and found.annotator not in self.annotators:
            return "annotator"
        if self.outcomes and found.outcome not in self.outcomes:
            return "outcome"
        if rank is None:
            return "not-ranked" if self.needs_ranks else None
        if self.min_iou is not None and rank.predicted_iou < self.min_iou:
            return "predicted-iou"
        if self.max_iou is not None and rank.predicted_iou > self.max_iou:
            return "predicted-iou"
        return None

    def within_percent(self, ranked: Iterable[tuple[int, str]]) -> frozenset[str] | None:
        """Return the names of the best or worst part; None where no part is asked for.

        Args:
            ranked: Rank and name of every instance without a refusal.
        """
        percent = self.top_percent or self.bottom_percent
        if percent is None:
            return None
        order = sorted(ranked, reverse=self.bottom_percent is not None)
        return frozenset(name for _, name in order[: percent_count(percent, len(order))])
