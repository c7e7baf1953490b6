"""Kinds of errors in masks, before and after the annotators' work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from remask_masks.error_kinds import KINDS, ErrorKind, MaskError
from remask_quality.measures.rows import Quality
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of, share_of

__all__ = [
    "Agreement",
    "ClassFigures",
    "Confusion",
    "KindFigures",
    "agreement_of",
    "classes_of",
    "kinds_of",
]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well masks agree with their references, on average."""

    pairs: int
    iou: Estimate
    boundary_iou: Estimate
    boundary_f: Estimate


@dataclass(frozen=True, slots=True)
class KindFigures:
    """One kind of error.

    Attributes:
        kind: See `ErrorKind`.
        first: Share of the masks from the boxes alone.
        last: Share of the masks that would be delivered; nan where these are the reference.
        iou: Mean IoU of the latter (or of the former) that have this kind of error.
        examples: Instances with it, the lowest IoU first.
    """

    kind: ErrorKind
    first: Estimate
    last: Estimate
    iou: Estimate
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Instances of one class that are really of another.

    Attributes:
        label: The class that they have.
        true_label: The class that they are of.
        instances: Their ids, in order.
    """

    label: str
    true_label: str
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How often the class is wrong, of the masks to be delivered whose true class is known.

    Attributes:
        known: How many these are.
        wrong: Share of them with another class; nan of none.
        confusions: The most frequent first.
    """

    known: int
    wrong: Estimate
    confusions: tuple[Confusion, ...]


def agreement_of(errors: Iterable[MaskError]) -> Agreement:
    """Return the means; none give nan."""
    found = list(errors)
    return Agreement(
        pairs=len(found),
        iou=mean_of(error.iou for error in found),
        boundary_iou=mean_of(error.boundary_iou for error in found),
        boundary_f=mean_of(error.boundary_f for error in found),
    )


def kinds_of(quality: Quality) -> list[KindFigures]:
    """Return each kind of error that occurs, the most frequent among the last masks first."""
    rows = quality.noise
    figures = [
        KindFigures(
            kind=kind,
            first=share_of(row.first.outline == kind for row in rows),
            last=share_of(row.last.outline == kind for row in rows if row.last is not None),
            iou=mean_of(error.iou for error, _ in _with_kind(quality, kind)),
            examples=_examples(_with_kind(quality, kind)),
        )
        for kind in KINDS
    ]
    occurring = [figure for figure in figures if figure.first.value > 0 or figure.last.value > 0]
    return sorted(
        occurring,
        key=lambda figure: -(figure.last.value if quality.noise_by_truth else figure.first.value),
    )


def classes_of(quality: Quality) -> ClassFigures:
    """Return which classes are taken for which."""
    known = [row for row in quality.instances if row.has_mask and row.true_label is not None]
    confused: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in known:
        if row.true_label is not None and row.true_label != row.label:
            confused[row.label, row.true_label].append(row.id)
    confusions = [Confusion(*pair, tuple(sorted(ids))) for pair, ids in confused.items()]
    return ClassFigures(
        known=len(known),
        wrong=share_of(row.true_label != row.label for row in known),
        confusions=tuple(
            sorted(
                confusions,
                key=lambda confusion: (
                    -len(confusion.instances),
                    confusion.label,
                    confusion.true_label,
                ),
            )
        ),
    )


def _with_kind(quality: Quality, kind: ErrorKind) -> list[tuple[MaskError, str]]:
    judged = ((row.last or row.first, row.instance) for row in quality.noise)
    return [(error, instance) for error, instance in judged if error.outline == kind]


def _examples(found: Sequence[tuple[MaskError, str]]) -> tuple[str, ...]:
    order = sorted(found, key=lambda pair: (pair[0].iou, pair[1]))
    return tuple(instance for _, instance in order)
