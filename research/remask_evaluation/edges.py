"""Scores of edge maps against the boundaries that several people drew: ODS, OIS, AP and R50.

An edge map says how strong an edge there is at each pixel. At each of many thresholds its pixels
are thinned to lines and matched, one to one and within a small distance, to the boundary pixels of
each annotator. Precision is the share of edge pixels that some annotator's boundary matches, recall
the share of all annotators' boundary pixels that an edge pixel matches.

Source: Martin, Fowlkes and Malik 2004, Learning to detect natural image boundaries, and Arbelaez et
    al. 2011 (BSDS500) for the four numbers; Kirillov et al. 2023, Segment Anything, section 7.2,
    where they are given.
Differs: the matching has the most pairs (Hopcroft and Karp); the published one has the least cost,
    in which a pair is always cheaper than two pixels without one. Lines are thinned after Guo and
    Hall 1989. A matching may pair other pixels of the same number, so that precision, which counts
    the pixels matched by any annotator, may differ a little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

from remask_core.errors import InputError, ShapeMismatch
from remask_core.types import BoolMask, check_mask

__all__ = [
    "MAX_DISTANCE",
    "EdgeCounts",
    "EdgeScores",
    "count_edges",
    "edge_scores",
    "match_pixels",
    "thinned",
]

MAX_DISTANCE: Final = 0.0075
"""How far a matched pixel may lie, as a part of the image's diagonal."""

Strength: TypeAlias = npt.NDArray[np.float32]
_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EdgeCounts:
    """Counts of one image, an entry for each threshold.

    Attributes:
        matched_truth: Boundary pixels that an edge pixel matches, over all annotators.
        truth: Boundary pixels of all annotators; the same at each threshold.
        matched_edges: Edge pixels that the boundary of some annotator matches.
        edges: Edge pixels.
    """

    matched_truth: _Floats
    truth: _Floats
    matched_edges: _Floats
    edges: _Floats


@dataclass(frozen=True, slots=True)
class EdgeScores:
    """What edge maps of several images are worth, in [0, 1].

    Attributes:
        ods: F at the one threshold that is best for all images together.
        ods_threshold: That threshold.
        ois: F with the best threshold of each image.
        ap: Mean precision over recall from 0 to 1; recall that is never reached counts 0.
        r50: Recall where precision is one half; 0 where it never is as high.
        recall: At each threshold.
        precision: At each threshold.
    """

    ods: float
    ods_threshold: float
    ois: float
    ap: float
    r50: float
    recall: tuple[float, ...]
    precision: tuple[float, ...]


def thinned(edges: BoolMask) -> BoolMask:
    """Return (H, W) bool the lines that are left of an area of edges, one pixel wide.

    What is connected stays connected. Source: Guo and Hall 1989, algorithm A1.
    """
    check_mask(edges, name="edges")
    lines = np.pad(edges, 1)
    while True:
        before = int(lines.sum())
        for odd in (False, True):
            p = _neighbours(lines)
            starts = (
                (~p[0] & (p[1] | p[2])).astype(np.int8)
                + (~p[2] & (p[3] | p[4]))
                + (~p[4] & (p[5] | p[6]))
                + (~p[6] & (p[7] | p[0]))
            )
            fewest = np.minimum(_pairs(p, 7), _pairs(p, 0))
            ends = (p[0] | p[1] | ~p[3]) & p[2] if odd else (p[4] | p[5] | ~p[7]) & p[6]
            drop = (starts == 1) & (fewest >= 2) & (fewest <= 3) & ~ends
            lines[1:-1, 1:-1] &= ~drop
        if int(lines.sum()) == before:
            return np.ascontiguousarray(lines[1:-1, 1:-1])


def _pairs(p: list[BoolMask], first: int) -> npt.NDArray[np.int8]:
    """Return how many of the four pairs of next neighbours hold a pixel, from `first` on."""
    found = np.zeros(p[0].shape, np.int8)
    for number in range(first, first + 8, 2):
        found += p[number % 8] | p[(number + 1) % 8]
    return found


def _neighbours(padded: BoolMask) -> list[BoolMask]:
    """Return the eight neighbours of every pixel, from the north clockwise."""
    shifts = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    height, width = padded.shape
    return [
        padded[1 + down : height - 1 + down, 1 + right : width - 1 + right].copy()
        for down, right in shifts
    ]


def match_pixels(
    first: BoolMask, second: BoolMask, *, distance_px: float
) -> tuple[BoolMask, BoolMask]:
    """Return which pixels of two masks have a partner in the other, as many pairs as there can be.

    Each pixel has at most one partner, at most `distance_px` away.

    Raises:
        ShapeMismatch: The masks differ in shape.
    """
    if first.shape != second.shape:
        raise ShapeMismatch(f"`second` must have shape {first.shape}; got {second.shape}")
    found = np.zeros_like(first), np.zeros_like(second)
    points = np.argwhere(first), np.argwhere(second)
    if not len(points[0]) or not len(points[1]):
        return found
    near = cKDTree(points[0]).query_ball_tree(cKDTree(points[1]), distance_px + 1e-9)
    counts = [len(partners) for partners in near]
    columns = np.concatenate([np.asarray(partners, np.int64) for partners in near])
    starts = np.concatenate([[0], np.cumsum(counts)])
    graph = csr_matrix(
        (np.ones(len(columns), np.int8), columns, starts), shape=(len(points[0]), len(points[1]))
    )
    partner = maximum_bipartite_matching(graph, perm_type="column")
    rows = points[0][partner >= 0]
    found[0][rows[:, 0], rows[:, 1]] = True
    others = points[1][partner[partner >= 0]]
    found[1][others[:, 0], others[:, 1]] = True
    return found


def count_edges(
    strength: Strength,
    boundaries: Sequence[BoolMask],
    *,
    thresholds: Sequence[float],
    max_distance: float = MAX_DISTANCE,
) -> EdgeCounts:
    """Return the counts of one image.

    Args:
        strength: (H, W) float32 in [0, 1].
        boundaries: (H, W) bool of each annotator, at least one.
        thresholds: Edges are at least so strong.
        max_distance: See `MAX_DISTANCE`.

    Raises:
        InputError: There is no annotator.
        ShapeMismatch: A boundary has another shape.
    """
    if not boundaries:
        raise InputError("`boundaries` must hold that of one annotator at least; got none")
    distance_px = max_distance * math.hypot(*strength.shape)
    total = sum(int(boundary.sum()) for boundary in boundaries)
    counts = []
    for threshold in thresholds:
        lines = thinned(strength >= threshold)
        anybody = np.zeros_like(lines)
        matched = 0
        for boundary in boundaries:
            edges, truth = match_pixels(lines, boundary, distance_px=distance_px)
            anybody |= edges
            matched += int(truth.sum())
        counts.append((matched, total, int(anybody.sum()), int(lines.sum())))
    columns = np.asarray(counts, np.float64).T
    return EdgeCounts(columns[0], columns[1], columns[2], columns[3])


def edge_scores(images: Sequence[EdgeCounts], *, thresholds: Sequence[float]) -> EdgeScores:
    """Return the scores of several images, counted at the same thresholds.

    Raises:
        InputError: There is no image.
    """
    if not images:
        raise InputError("`images` must hold the counts of one image at least; got none")
    recall = _share(
        np.sum([image.matched_truth for image in images], axis=0),
        np.sum([image.truth for image in images], axis=0),
    )
    precision = _share(
        np.sum([image.matched_edges for image in images], axis=0),
        np.sum([image.edges for image in images], axis=0),
    )
    best = int(np.argmax(_f(precision, recall)))
    chosen = [
        (
            image,
            int(
                np.argmax(
                    _f(
                        _share(image.matched_edges, image.edges),
                        _share(image.matched_truth, image.truth),
                    )
                )
            ),
        )
        for image in images
    ]
    own_recall = _share(
        np.array([sum(image.matched_truth[at] for image, at in chosen)]),
        np.array([sum(image.truth[at] for image, at in chosen)]),
    )
    own_precision = _share(
        np.array([sum(image.matched_edges[at] for image, at in chosen)]),
        np.array([sum(image.edges[at] for image, at in chosen)]),
    )
    ap, r50 = _area_and_r50(precision, recall)
    return EdgeScores(
        ods=float(_f(precision, recall)[best]),
        ods_threshold=float(thresholds[best]),
        ois=float(_f(own_precision, own_recall)[0]),
        ap=ap,
        r50=r50,
        recall=tuple(recall.tolist()),
        precision=tuple(precision.tolist()),
    )


def _area_and_r50(precision: _Floats, recall: _Floats) -> tuple[float, float]:
    reached, first = np.unique(recall, return_index=True)
    values = np.array([precision[recall == value].max() for value in recall[first]])
    if len(reached) < 2:
        return float(values[0] * reached[0]), float(reached[0] if values[0] >= 0.5 else 0.0)
    grid = np.linspace(0.0, 1.0, 101)
    between = np.interp(grid, reached, values, left=0.0, right=0.0)
    fine = np.linspace(reached[0], reached[-1], 10_001)
    above = fine[np.interp(fine, reached, values) >= 0.5]
    return float(between.sum() / 100.0), float(above.max()) if above.size else 0.0


def _share(part: _Floats, whole: _Floats) -> _Floats:
    """Return `part / whole`, 0 where there is nothing."""
    found: _Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return found


def _f(precision: _Floats, recall: _Floats) -> _Floats:
    return _share(2 * precision * recall, precision + recall)
