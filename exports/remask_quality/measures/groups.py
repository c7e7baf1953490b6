"""Figures of a campaign by class and by annotator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from remask_quality.measures.rows import Aim, InstanceRow, Quality, VisitRow
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of, median_of, share_of

__all__ = ["ClassFigures", "PersonFigures", "by_class", "by_person", "class_figures"]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class; means are over its instances.

    Attributes:
        label: Its name.
        instances: How many there are.
        done: How many are owed no further visit.
        skipped: Share of the done ones that no mask should be made of.
        clicks: On a done instance.
        seconds: On a done instance.
        predicted_iou: Of its masks.
        true_iou: Of its masks.
    """

    label: str
    instances: int
    done: int
    skipped: Estimate
    clicks: Estimate
    seconds: Estimate
    predicted_iou: Estimate
    true_iou: Estimate


@dataclass(frozen=True, slots=True)
class PersonFigures:
    """One annotator; means are over the visits that count.

    Attributes:
        annotator: Label Studio's user id; None where it is not known.
        name: How the annotator is called.
        qualified: Whether the person's clicks count; None without a verdict.
        by_hand: Whether a manager has decided so, and not the test.
        visits: How many count.
        seconds: Median of a visit.
        clicks: Of a visit that was not skipped.
        accepted: Share of visits without clicks.
        skipped: Share of visits.
        on_error: Share of clicks that lie on an error of their sign.
        gain: IoU after a correction minus IoU before; nan without truth.
        kept: IoU of the masks before and after a correction.
        predicted_iou: Of masks whose last visit was this person's.
        true_iou: The same by truth.
        agreement: Share of instances, visited by another person too in the same round, of which
            both said the same.
        painted_iou: Of masks that this person and another one painted of the same instance.
    """

    annotator: int | None
    name: str
    qualified: bool | None
    by_hand: bool
    visits: int
    seconds: Estimate
    clicks: Estimate
    accepted: Estimate
    skipped: Estimate
    on_error: Estimate
    gain: Estimate
    kept: Estimate
    predicted_iou: Estimate
    true_iou: Estimate
    agreement: Estimate
    painted_iou: Estimate


def by_class(quality: Quality) -> list[ClassFigures]:
    """Return the figures of each class, the most frequent first."""
    groups: dict[str, list[InstanceRow]] = defaultdict(list)
    for row in quality.instances:
        groups[row.label].append(row)
    order = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [class_figures(label, rows) for label, rows in order]


def class_figures(label: str, rows: list[InstanceRow]) -> ClassFigures:
    """Return the figures of instances under one name."""
    done = [row for row in rows if row.is_done]
    return ClassFigures(
        label=label,
        instances=len(rows),
        done=len(done),
        skipped=share_of(row.outcome == "skipped" for row in done),
        clicks=mean_of(row.n_clicks for row in done),
        seconds=mean_of(row.seconds[-1] for row in done),
        predicted_iou=mean_of(row.predicted_iou for row in rows if row.has_mask),
        true_iou=mean_of(row.true_iou for row in rows),
    )


def by_person(quality: Quality) -> list[PersonFigures]:
    """Return the figures of each annotator, the one with the most visits first."""
    visits: dict[int | None, list[VisitRow]] = defaultdict(list)
    for visit in quality.visits:
        visits[visit.annotator].append(visit)
    last: dict[int | None, list[InstanceRow]] = defaultdict(list)
    for row in quality.instances:
        if row.last_round and row.has_mask:
            last[row.annotator].append(row)
    order = sorted(
        visits, key=lambda annotator: (-len(visits[annotator]), quality.name_of(annotator))
    )
    return [_person(quality, annotator, visits[annotator], last[annotator]) for annotator in order]


def _person(
    quality: Quality, annotator: int | None, visits: list[VisitRow], last: list[InstanceRow]
) -> PersonFigures:
    corrected = [visit for visit in visits if visit.outcome == "corrected"]
    shared = [pair for pair in quality.twice if annotator in pair.annotators]
    return PersonFigures(
        annotator=annotator,
        name=quality.name_of(annotator),
        qualified=None if annotator is None else quality.people.get(annotator, ("", None))[1],
        by_hand=annotator in quality.by_hand,
        visits=len(visits),
        seconds=median_of(visit.seconds for visit in visits),
        clicks=mean_of(visit.n_clicks for visit in visits if visit.outcome != "skipped"),
        accepted=share_of(visit.outcome == "accepted" for visit in visits),
        skipped=share_of(visit.outcome == "skipped" for visit in visits),
        on_error=share_of(aim.error is not None for aim in _aims(visits)),
        gain=mean_of(_gain(visit) for visit in corrected),
        kept=mean_of(visit.kept for visit in corrected),
        predicted_iou=mean_of(row.predicted_iou for row in last),
        true_iou=mean_of(row.true_iou for row in last),
        agreement=share_of(pair.same_outcome for pair in shared if pair.same_outcome is not None),
        painted_iou=mean_of(None if pair.error is None else pair.error.iou for pair in shared),
    )


def _aims(visits: Iterable[VisitRow]) -> list[Aim]:
    return [aim for visit in visits if visit.by_truth for aim in visit.aims]


def _gain(visit: VisitRow) -> float | None:
    if visit.iou_before is None or visit.iou_after is None:
        return None
    return visit.iou_after - visit.iou_before
