"""Scores of edge maps: lines, matchings and the four numbers, on cases worked by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from remask_core.errors import InputError, ShapeMismatch
from remask_evaluation.edges import count_edges, edge_scores, match_pixels, thinned


def column(x: int, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    mask[2:18, x] = True
    return mask


def test_a_thick_line_becomes_one_pixel_wide_and_a_thin_one_stays() -> None:
    thick = column(10) | column(11) | column(12)

    assert thinned(thick).sum(axis=1).max() == 1
    assert 12 <= thinned(thick).sum() <= 16
    assert np.array_equal(thinned(column(10)), column(10))
    assert not thinned(np.zeros((5, 5), np.bool_)).any()


def test_thinning_keeps_what_is_connected() -> None:
    rng = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(rng.random((60, 80)).astype(np.float32), (0, 0), 3) > 0.5

    lines = thinned(blobs)

    assert not (lines & ~blobs).any()
    parts = [
        cv2.connectedComponents(each.view(np.uint8), connectivity=8)[0] for each in (blobs, lines)
    ]
    assert parts[0] == parts[1]


def test_every_pixel_has_one_partner_at_most() -> None:
    """Three edge pixels beside two boundary pixels: two pairs."""
    edges, truth = np.zeros((5, 9), np.bool_), np.zeros((5, 9), np.bool_)
    edges[2, [1, 3, 5]] = True
    truth[2, [2, 4]] = True

    found = match_pixels(edges, truth, distance_px=1.0)

    assert [int(each.sum()) for each in found] == [2, 2]
    assert [int(each.sum()) for each in match_pixels(edges, truth, distance_px=0.5)] == [0, 0]


def test_a_greedy_pairing_would_find_fewer_pairs() -> None:
    """The pixel that both could take must go to the one that has no other."""
    edges, truth = np.zeros((1, 7), np.bool_), np.zeros((1, 7), np.bool_)
    edges[0, [2, 4]] = True
    truth[0, [3, 5]] = True

    assert int(match_pixels(edges, truth, distance_px=1.0)[0].sum()) == 2


def test_counts_by_hand() -> None:
    """Two annotators, 16 and 32 boundary pixels; a right edge of .8 and a wrong one of .4."""
    strength = np.zeros((20, 30), np.float32)
    strength[column(5)] = 0.8
    strength[column(25)] = 0.4

    counts = count_edges(
        strength, [column(5), column(5) | column(15)], thresholds=(0.2, 0.6), max_distance=0.03
    )

    assert counts.truth.tolist() == [48, 48]
    assert counts.matched_truth.tolist() == [32, 32]
    assert counts.edges.tolist() == [32, 16]
    assert counts.matched_edges.tolist() == [16, 16]


def test_scores_by_hand() -> None:
    """Precision 1/2 and 1, recall 2/3 at both: F = 4/7 and 4/5."""
    strength = np.zeros((20, 30), np.float32)
    strength[column(5)] = 0.8
    strength[column(25)] = 0.4
    thresholds = (0.2, 0.6)
    counts = count_edges(
        strength, [column(5), column(5) | column(15)], thresholds=thresholds, max_distance=0.03
    )

    scores = edge_scores([counts], thresholds=thresholds)

    assert scores.ods == pytest.approx(4 / 5)
    assert scores.ods_threshold == 0.6
    assert scores.ois == pytest.approx(4 / 5)
    assert scores.r50 == pytest.approx(2 / 3)
    assert scores.precision == pytest.approx((0.5, 1.0))


def test_each_image_has_its_own_best_threshold() -> None:
    """A weak right edge in one image, a wrong one as weak in another."""
    weak = np.where(column(5), np.float32(0.4), np.float32(0))
    both = np.where(column(5), np.float32(0.8), np.where(column(25), np.float32(0.4), 0))
    thresholds = (0.2, 0.6)
    images = [
        count_edges(each.astype(np.float32), [column(5)], thresholds=thresholds, max_distance=0.03)
        for each in (weak, both)
    ]

    scores = edge_scores(images, thresholds=thresholds)

    assert scores.ois == 1.0
    # 32 of 48 edges are right and all boundaries are found; or all edges are, and half are found.
    assert scores.ods == pytest.approx(2 * (2 / 3) / (1 + 2 / 3))


def test_the_area_under_a_curve_of_two_points() -> None:
    """From recall .5 at precision 1 to recall 1 at precision .5: a mean of .75 over half of it."""
    thresholds = (0.2, 0.6)
    strength = np.zeros((20, 60), np.float32)
    for x, value in ((5, 0.8), (15, 0.4), (25, 0.4), (35, 0.4)):
        strength[column(x, (20, 60))] = value
    truth = column(5, (20, 60)) | column(15, (20, 60))
    counts = count_edges(strength, [truth], thresholds=thresholds, max_distance=0.02)

    scores = edge_scores([counts], thresholds=thresholds)

    assert scores.recall == pytest.approx((1.0, 0.5))
    assert scores.precision == pytest.approx((0.5, 1.0))
    assert scores.ap == pytest.approx(51 * 0.75 / 100)
    assert scores.r50 == pytest.approx(1.0)


def test_what_is_missing_is_named() -> None:
    strength = np.zeros((20, 30), np.float32)

    with pytest.raises(InputError, match="one annotator"):
        count_edges(strength, [], thresholds=(0.5,))
    with pytest.raises(InputError, match="one image"):
        edge_scores([], thresholds=(0.5,))
    with pytest.raises(ShapeMismatch):
        match_pixels(column(5), column(5, (20, 31)), distance_px=1)
    empty = edge_scores([count_edges(strength, [column(5)], thresholds=(0.5,))], thresholds=(0.5,))
    assert (empty.ods, empty.ois, empty.ap, empty.r50) == (0.0, 0.0, 0.0, 0.0)
