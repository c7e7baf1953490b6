"""A forecast before any work: time and quality to expect of a campaign, from its boxes alone.

**Time** is that of the visits in other campaigns of the same store, by class where enough is known
of it. Without any it is that of the Open Images campaign: 10.8, 11.7 and 11.9 s for a visit in
rounds 1, 2 and 3; 2.7 % of visits skip and 2.1 % accept, and neither goes on to another round.
There the fastest tenth of the classes took less than 8.7 s a visit and the slowest more than
12.7 s, which is the range given.

**Quality** is that of a simulated campaign with the bundled model on pictures that it had not
learned from (409 objects; docs/ranking.md), by the longer side of the box. People on other pictures
with another model may differ from it by more than its range says; the Open Images campaign reached
a mean IoU of 0.84.

Source: Benenson et al. 2019 (arXiv 1903.10830), sections 4 and 5.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from remask_campaigns.project_description import title_of
from remask_core.errors import InputError
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of, share_of
from remask_storage.campaign_store import CampaignStore

__all__ = ["FirstForecast", "PastVisit", "Sized", "forecast_campaign", "past_visits"]

_PUBLISHED_S: Final = (10.8, 11.7, 11.9)
_PUBLISHED_LEAVE: Final = 0.048
_CLASSES_LOW: Final = 8.7 / 11.4
_CLASSES_HIGH: Final = 12.7 / 11.4
_FEWEST: Final = 20
"""Visits of others that time is taken from, of all classes or of one."""

# Mean IoU with its 95 % range after rounds 0 to 3, for boxes whose longer side is below so many px.
_SIMULATED: Final = (
    (
        100.0,
        (
            (0.770, 0.662, 0.866),
            (0.839, 0.749, 0.908),
            (0.870, 0.794, 0.925),
            (0.875, 0.800, 0.930),
        ),
    ),
    (
        200.0,
        (
            (0.802, 0.773, 0.825),
            (0.845, 0.819, 0.865),
            (0.871, 0.850, 0.888),
            (0.882, 0.864, 0.897),
        ),
    ),
    (
        400.0,
        (
            (0.866, 0.849, 0.880),
            (0.896, 0.882, 0.909),
            (0.915, 0.903, 0.925),
            (0.924, 0.912, 0.936),
        ),
    ),
    (
        float("inf"),
        (
            (0.787, 0.714, 0.846),
            (0.827, 0.755, 0.889),
            (0.856, 0.796, 0.908),
            (0.884, 0.829, 0.925),
        ),
    ),
)


class Sized(NamedTuple):
    """A box: its class and the longer of its sides in pixels; None where its image is not known."""

    label: str
    longer_px: float | None


class PastVisit(NamedTuple):
    """A visit of another campaign; `goes_on` says whether it was corrected."""

    label: str
    round: int
    goes_on: bool
    seconds: float | None


@dataclass(frozen=True, slots=True)
class FirstForecast:
    """What to expect of a campaign.

    Attributes:
        instances: How many boxes there are.
        visits: How many visits are expected in all rounds.
        hours: Working time of all annotators together.
        iou: Mean IoU after the last round.
        iou_first: Mean IoU of the masks from the boxes alone.
        classes: Class, number of boxes and hours, the most hours first.
        sizes: Size of the box, number of boxes and mean IoU after the last round.
        basis: Where the numbers come from, in sentences.
    """

    instances: int
    visits: float
    hours: Estimate
    iou: Estimate
    iou_first: Estimate
    classes: tuple[tuple[str, int, float], ...]
    sizes: tuple[tuple[str, int, Estimate], ...]
    basis: tuple[str, ...]


def forecast_campaign(
    boxes: Sequence[Sized], *, rounds: int, past: Sequence[PastVisit] = ()
) -> FirstForecast:
    """Return time and quality to expect.

    Args:
        boxes: Of the campaign; at least one.
        rounds: How often an instance is visited at most.
        past: Of other campaigns; fewer than 20 with a known time count as none.

    Raises:
        InputError: There is no box, or `rounds` is below 1.
    """
    if not boxes or rounds < 1:
        raise InputError(
            f"there must be a box and a round to forecast; got {len(boxes)} and {rounds}"
        )
    timed = [visit for visit in past if visit.seconds is not None]
    own = len(timed) >= _FEWEST
    leave = 1.0 - share_of(visit.goes_on for visit in past).value if own else _PUBLISHED_LEAVE
    reached = [(1.0 - leave) ** number for number in range(rounds)]
    usual = mean_of(visit.seconds for visit in timed) if own else _published(reached)
    by_class: dict[str, list[float]] = defaultdict(list)
    for visit in timed if own else ():
        by_class[visit.label].append(visit.seconds or 0.0)
    seconds = {
        label: mean_of(by_class[label]).value if len(by_class[label]) >= _FEWEST else usual.value
        for label in {box.label for box in boxes}
    }
    count = Counter(box.label for box in boxes)
    hours = {label: n * sum(reached) * seconds[label] / 3600.0 for label, n in count.items()}
    total = sum(hours.values())
    after = min(rounds, 3)
    return FirstForecast(
        instances=len(boxes),
        visits=len(boxes) * sum(reached),
        hours=Estimate(total, total * usual.low / usual.value, total * usual.high / usual.value),
        iou=_mean_iou(boxes, after),
        iou_first=_mean_iou(boxes, 0),
        classes=tuple(
            sorted(
                ((label, n, hours[label]) for label, n in count.items()),
                key=lambda row: (-row[2], row[0]),
            )
        ),
        sizes=_sizes(boxes, after),
        basis=(
            f"Time: {len(timed)} visits of other campaigns in this store."
            if own
            else "Time: the published figures of the Open Images campaign (Benenson et al. 2019); "
            "its range spans from the fastest to the slowest tenth of their classes.",
            "Quality: a simulated campaign with the bundled model on 409 objects of pictures that "
            "it had not learned from, by size of the box; other pictures may differ by more than "
            "the range. The Open Images campaign reached a mean IoU of 0.84 in three rounds.",
        ),
    )


def past_visits(store: CampaignStore) -> list[PastVisit]:
    """Return the visits of all campaigns in a store, tests for annotators aside."""
    names = [campaign.name for campaign in store.campaigns()]
    tests = {title_of(name, "test") for name in names}
    found = []
    for name in names:
        if name in tests:
            continue
        label_of = {instance.id: instance.label for instance in store.instances(name)}
        found += [
            PastVisit(
                label_of[visit.instance],
                visit.round,
                visit.outcome == "corrected",
                visit.lead_time_s,
            )
            for visits in store.visits(name).values()
            for visit in visits
        ]
    return found


def _published(reached: Sequence[float]) -> Estimate:
    """Return the seconds of a visit, over all rounds as often as they are reached."""
    last = len(_PUBLISHED_S) - 1
    times = [_PUBLISHED_S[min(number, last)] for number in range(len(reached))]
    mean = sum(t * share for t, share in zip(times, reached, strict=True)) / sum(reached)
    return Estimate(mean, mean * _CLASSES_LOW, mean * _CLASSES_HIGH)


def _band(longer_px: float | None) -> int:
    """Return the size band of a box; where its size is not known, the most common one."""
    if longer_px is None:
        return 2
    return next(number for number, (below, _) in enumerate(_SIMULATED) if longer_px < below)


def _mean_iou(boxes: Sequence[Sized], after: int) -> Estimate:
    ious = [_SIMULATED[_band(box.longer_px)][1][after] for box in boxes]
    value, low, high = (sum(numbers) / len(boxes) for numbers in zip(*ious, strict=True))
    return Estimate(value, low, high)


def _sizes(boxes: Iterable[Sized], after: int) -> tuple[tuple[str, int, Estimate], ...]:
    count = Counter(_band(box.longer_px) for box in boxes)
    names = ("below 100 px", "100 to 200 px", "200 to 400 px", "400 px and more")
    return tuple(
        (names[band], count[band], Estimate(*_SIMULATED[band][1][after])) for band in sorted(count)
    )
