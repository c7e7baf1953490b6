"""How annotators work: what they click on, in which order, and how long it takes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from remask_quality.measures.rows import Quality, VisitRow
from remask_reports.estimate import Estimate
from remask_reports.intervals import estimate_of, known, mean_of, share_of

__all__ = ["Behaviour", "behaviour_of"]

_GROUPS = 5


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What annotators did.

    Attributes:
        by_truth: Whether errors were found by the truth; otherwise they are what the next mask
            changed.
        aimed: Visits whose errors are known.
        clicks_shares: For each round, the shares of its visits that were skipped or had 0, 1, ...
            clicks.
        on_error: Share of clicks on an error of their sign; nan unless `by_truth`.
        downhill: Share of clicks that were on a region no larger than the click before.
        all_downhill: Share of visits with several clicks of which all were.
        area_by_place: Mean area in px of what the first, second, ... click was on.
        area_by_clicks: Mean area in px of regions that got 0, 1, 2, ... clicks, in visits with
            clicks.
        px_per_click: Area of all regions clicked on over the clicks.
        seconds_by_clicks: Mean time of visits with 0, 1, 2, ... clicks.
        seconds_by_area: Mean area in px of all errors, and mean time, in groups of equal size.
    """

    by_truth: bool
    aimed: int
    clicks_shares: dict[int, tuple[float, ...]]
    on_error: Estimate
    downhill: Estimate
    all_downhill: Estimate
    area_by_place: tuple[Estimate, ...]
    area_by_clicks: tuple[Estimate, ...]
    px_per_click: Estimate
    seconds_by_clicks: tuple[Estimate, ...]
    seconds_by_area: tuple[tuple[float, Estimate], ...]


def behaviour_of(quality: Quality) -> Behaviour:
    """Return how annotators worked in the visits that count; painted ones are left out."""
    visits = [visit for visit in quality.visits if visit.outcome != "painted"]
    by_truth = any(visit.by_truth for visit in visits)
    aimed = [visit for visit in visits if visit.aims and visit.by_truth == by_truth]
    most = max((visit.n_clicks for visit in visits), default=0)
    steps = [_steps(visit) for visit in aimed]
    clicked = [pair for visit in aimed for pair in _clicked(visit)]
    answered = [visit for visit in visits if visit.outcome != "skipped"]
    return Behaviour(
        by_truth=by_truth,
        aimed=len(aimed),
        clicks_shares=_shares(visits, most),
        on_error=share_of(aim.error is not None for visit in aimed for aim in visit.aims)
        if by_truth
        else Estimate(float("nan")),
        downhill=share_of(step for some in steps for step in some),
        all_downhill=share_of(all(some) for some in steps if some),
        area_by_place=tuple(
            mean_of(
                visit.aims[place].area_px
                for visit in aimed
                if place < len(visit.aims) and visit.aims[place].error is not None
            )
            for place in range(most)
        ),
        area_by_clicks=tuple(
            mean_of(area for area, clicks in clicked if clicks == number)
            for number in range(most + 1)
        ),
        px_per_click=estimate_of(
            lambda areas, clicks: float(areas.sum() / clicks.sum()),
            known(area for area, clicks in clicked if clicks),
            known(clicks for _, clicks in clicked if clicks),
        ),
        seconds_by_clicks=tuple(
            mean_of(visit.seconds for visit in answered if visit.n_clicks == number)
            for number in range(most + 1)
        ),
        seconds_by_area=_by_area(aimed),
    )


def _shares(visits: Sequence[VisitRow], most: int) -> dict[int, tuple[float, ...]]:
    rounds: dict[int, list[VisitRow]] = defaultdict(list)
    for visit in visits:
        rounds[visit.round].append(visit)
    found = {}
    for number, some in sorted(rounds.items()):
        counts = Counter("skip" if visit.outcome == "skipped" else visit.n_clicks for visit in some)
        found[number] = tuple(counts[key] / len(some) for key in ("skip", *range(most + 1)))
    return found


def _steps(visit: VisitRow) -> list[bool]:
    """Return of each click but the first whether its region is no larger than the one before."""
    areas_px = [aim.area_px for aim in visit.aims if aim.error is not None]
    return [second <= first for first, second in pairwise(areas_px)]


def _clicked(visit: VisitRow) -> list[tuple[int, int]]:
    """Return area and clicks of each region of a visit."""
    clicks = Counter(aim.error for aim in visit.aims)
    return [(area, clicks[number]) for number, area in enumerate(visit.error_areas_px)]


def _by_area(visits: Sequence[VisitRow]) -> tuple[tuple[float, Estimate], ...]:
    timed = [visit for visit in visits if visit.seconds is not None]
    if len(timed) < 2 * _GROUPS:
        return ()
    areas_px = np.array([sum(visit.error_areas_px) for visit in timed], np.float64)
    groups = np.array_split(np.argsort(areas_px, kind="stable"), _GROUPS)
    return tuple(
        (float(areas_px[group].mean()), mean_of(timed[index].seconds for index in group.tolist()))
        for group in groups
    )
