"""Which kinds of errors masks have, before and after the annotators' work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from remask_exports.quality_intervals import mean_of, share_of
from remask_exports.quality_rows import Quality
from remask_reports.estimate import Estimate
from remask_simulation.mask_errors import KINDS, ErrorKind, MaskError

__all__ = ["Agreement", "KindFigures", "agreement_of", "kinds_of"]


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
    occurring = [one for one in figures if one.first.value > 0 or one.last.value > 0]
    return sorted(
        occurring, key=lambda one: -(one.last.value if quality.noise_by_truth else one.first.value)
    )


def _with_kind(quality: Quality, kind: ErrorKind) -> list[tuple[MaskError, str]]:
    judged = ((row.last or row.first, row.instance) for row in quality.noise)
    return [(error, instance) for error, instance in judged if error.outline == kind]


def _examples(found: Sequence[tuple[MaskError, str]]) -> tuple[str, ...]:
    order = sorted(found, key=lambda one: (one[0].iou, one[1]))
    return tuple(instance for _, instance in order)
