"""Masks of single points: what automatic masks ask of a model.

Any `Segmenter` can be asked. One whose model offers several masks for a point, or knows their
logits at the resolution of the image, implements `PointSegmenter` and is asked in that way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from remask_core.types import BoolMask, Candidate, Click, Embedding, Prompt, Segmenter
from remask_masks.automatic.filters import stability
from remask_masks.automatic.grids import Points

__all__ = ["PointMask", "PointSegmenter", "point_masks"]


@dataclass(frozen=True, slots=True)
class PointMask:
    """A mask that a model offers for one point.

    Attributes:
        point: Index of the point among those that were asked for.
        mask: (H, W) bool, the size of the image that was embedded.
        score: The model's own estimate of the mask's IoU; not cut to [0, 1].
        stability: See `filters.stability`; NaN for a mask that is empty at both thresholds.
    """

    point: int
    mask: BoolMask
    score: float
    stability: float


@runtime_checkable
class PointSegmenter(Protocol):
    """A segmenter with a way of its own to answer many points of one image."""

    def point_masks(
        self, embedding: Embedding, points_xy: Points, *, min_score: float, offset: float
    ) -> Iterator[list[PointMask]]:
        """Yield the masks of each run of the model, points in order, masks in the model's order.

        A list may be empty: it is yielded all the same, so that the caller can let more urgent
        work go first. Nothing of the model's state may be half done at a yield.

        Args:
            embedding: Of this segmenter.
            points_xy: (N, 2) float64, in pixels of the image.
            min_score: Masks whose score is not above it need not be given; 0 asks for all.
            offset: As for `filters.stability`.
        """


def point_masks(
    segmenter: Segmenter,
    embedding: Embedding,
    points_xy: Points,
    *,
    min_score: float,
    offset: float,
) -> Iterator[list[PointMask]]:
    """Yield what `PointSegmenter.point_masks` would, from any segmenter.

    One that only has `predict` is asked for one point after the other. The stability of its masks
    is taken from their logits; a mask without logits counts as stable.
    """
    if isinstance(segmenter, PointSegmenter):
        yield from segmenter.point_masks(embedding, points_xy, min_score=min_score, offset=offset)
        return
    for number, (x, y) in enumerate(points_xy):
        click = Click(float(x), float(y), positive=True)
        candidates = segmenter.predict(embedding, Prompt(clicks=(click,)))
        yield [
            PointMask(number, candidate.mask, candidate.score, _stability(candidate, offset))
            for candidate in candidates
            if min_score <= 0 or candidate.score > min_score
        ]


def _stability(candidate: Candidate, offset: float) -> float:
    return 1.0 if candidate.logits is None else stability(candidate.logits, offset=offset)
