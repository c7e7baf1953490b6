"""How long visits took and what they gained, by class, size, round, predicted IoU and annotator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from remask_ranking.table import Row
from remask_ranking.visit_model import gain_of, pairs
from remask_reports.estimate import Estimate
from remask_reports.intervals import known, mean_of

__all__ = ["VisitGroup", "visit_groups"]

_SIZES_PX: Final = (100.0, 200.0, 400.0)
_IOUS: Final = (0.5, 0.7, 0.8, 0.9)

_Places: TypeAlias = Mapping[tuple[str, int], float]


@dataclass(frozen=True, slots=True)
class VisitGroup:
    """Visits that have something in common.

    Attributes:
        by: What: `all`, `class`, `size`, `round`, `predicted IoU` (before the visit) or
            `annotator`.
        value: Which, such as `cat` or `100 to 200 px`.
        visits: How many there are.
        seconds: Mean time of one.
        gain: Mean gain in true IoU; nan where no truth is known.
        gains: How many of them have a known gain.
    """

    by: str
    value: str
    visits: int
    seconds: Estimate
    gain: Estimate
    gains: int


def visit_groups(rows: Sequence[Row], predicted: _Places) -> list[VisitGroup]:
    """Return all visits together, then each group; groups of each kind in their own order.

    Args:
        rows: One per instance and finished round.
        predicted: Instance and round to predicted IoU of the mask after it. First visits have no
            predicted IoU before them, so they are in no such group.
    """
    before = {
        (row.instance, row.round): predicted[earlier.instance, earlier.round]
        for earlier, row in pairs(rows)
    }
    found = [_group("all", "visits", rows)] if rows else []
    found += _by("class", rows, lambda row: row.label)
    found += _by("size", rows, lambda row: _band(row.box_px, _SIZES_PX, "{} px"))
    found += _by("round", rows, lambda row: str(row.round))
    found += _by(
        "predicted IoU",
        rows,
        lambda row: _band(before.get((row.instance, row.round)), _IOUS, "{}"),
    )
    found += _by(
        "annotator", rows, lambda row: None if row.annotator is None else str(row.annotator)
    )
    return found


def _by(by: str, rows: Iterable[Row], value_of: Callable[[Row], str | None]) -> list[VisitGroup]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        value = value_of(row)
        if value is not None:
            groups[value].append(row)
    return [_group(by, value, groups[value]) for value in sorted(groups, key=_natural)]


def _group(by: str, value: str, rows: Sequence[Row]) -> VisitGroup:
    gains = known(gain_of(row) for row in rows)
    return VisitGroup(
        by=by,
        value=value,
        visits=len(rows),
        seconds=mean_of(row.seconds for row in rows),
        gain=mean_of(gains.tolist()),
        gains=len(gains),
    )


def _band(value: float | None, edges: Sequence[float], words: str) -> str | None:
    """Return the band between two edges that a number lies in, in words."""
    if value is None:
        return None
    above = [f"{edge:g}" for edge in edges if value >= edge]
    below = [f"{edge:g}" for edge in edges if value < edge]
    if not above:
        return words.format(f"below {below[0]}")
    if not below:
        return words.format(f"{above[-1]} and more")
    return words.format(f"{above[-1]} to {below[0]}")


def _natural(value: str) -> tuple[float, str]:
    """Return a key that sorts numbers and bands by size, and names by letters."""
    first = value.split()[0] if value.split() else value
    if first == "below":
        return (-1.0, value)
    try:
        return (float(first), value)
    except ValueError:
        return (0.0, value)
