"""IoU, boundary IoU and boundary F: by hand, and against golden counts of the authors' code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from remask_core.errors import InputError, ShapeMismatch
from remask_core.overlap import boundary_band, boundary_f, boundary_iou, iou
from remask_core.types import BoolMask

EMPTY = np.zeros((2, 2), bool)
FULL = np.ones((2, 2), bool)
LEFT = np.array([[True, False], [True, False]])
TOP = np.array([[True, True], [False, False]])


def rectangle(y0: int, x0: int, y1: int, x1: int) -> BoolMask:
    mask = np.zeros((20, 30), bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (LEFT, LEFT, 1.0),
        (LEFT, TOP, 1 / 3),
        (LEFT, FULL, 1 / 2),
        (LEFT, ~LEFT, 0.0),
        (LEFT, EMPTY, 0.0),
        (EMPTY, EMPTY, 1.0),
    ],
)
def test_iou_of_four_pixels(a: BoolMask, b: BoolMask, expected: float) -> None:
    assert iou(a, b) == expected
    assert type(iou(a, b)) is float


def test_ignored_pixels_count_for_neither() -> None:
    trimap = np.array([[1, 0, 255, 255]], np.uint8)
    guess = np.array([[True, False, True, False]])

    assert iou(guess, trimap == 1) == 1 / 2
    assert iou(guess, trimap == 1, ignore=trimap == 255) == 1.0


def test_masks_agree_where_everything_is_ignored() -> None:
    assert iou(FULL, EMPTY, ignore=FULL) == 1.0


@pytest.mark.parametrize("measure", [boundary_iou, boundary_f])
def test_boundaries_of_empty_masks(measure: Any) -> None:
    one = rectangle(5, 5, 9, 9)
    empty = np.zeros_like(one)

    assert measure(empty, empty) == 1.0
    assert measure(one, empty) == 0.0
    assert measure(empty, one) == 0.0
    assert measure(one, one) == 1.0


def test_border_of_the_image_is_boundary_for_iou_but_not_for_f() -> None:
    full, empty = np.ones((20, 30), bool), np.zeros((20, 30), bool)

    assert boundary_iou(full, empty) == 0.0
    assert boundary_f(full, empty) == 1.0


def test_boundary_iou_of_two_squares_by_hand() -> None:
    """Rings of one pixel, 12 of a 4 x 4 and 8 of a 3 x 3, share two sides: 5 pixels."""
    assert boundary_iou(rectangle(5, 5, 9, 9), rectangle(5, 5, 8, 8)) == 5 / (12 + 8 - 5)


def test_band_is_one_pixel_at_least_and_halves_go_to_even() -> None:
    mask = np.ones((30, 40), bool)

    assert boundary_band(mask, dilation_ratio=0.0).sum() == 2 * 40 + 2 * 28
    assert boundary_band(mask, dilation_ratio=0.05).sum() == 30 * 40 - 26 * 36  # 2.5 px
    assert boundary_band(mask, dilation_ratio=0.07).sum() == 30 * 40 - 22 * 32  # 3.5 px
    assert not boundary_band(~mask).any()


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (2, 1.0), (3, 0.5)])
def test_boundary_f_of_two_ribbons_by_hand(shift: int, expected: float) -> None:
    """Their left edges are the same, their right edges `shift` pixels apart."""
    narrow, wide = np.zeros((8, 30), bool), np.zeros((8, 30), bool)
    narrow[:, 10:20] = True
    wide[:, 10 : 20 + shift] = True

    assert boundary_f(narrow, wide, radius_px=2) == expected


def test_radius_is_inclusive_and_euclidean() -> None:
    a, b = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    a[10, 10] = True
    b[14, 13] = True

    assert boundary_f(a, b, radius_px=5) == 1.0
    assert boundary_f(a, b, radius_px=2.8) < boundary_f(a, b, radius_px=4.2) < 1.0
    assert boundary_f(a, b, radius_px=0) == 0.0


@pytest.mark.parametrize("measure", [iou, boundary_iou, boundary_f])
def test_masks_must_be_alike(measure: Any) -> None:
    with pytest.raises(ShapeMismatch, match=r"`b` must have shape \(2, 2\); got \(2, 3\)"):
        measure(FULL, np.ones((2, 3), bool))
    with pytest.raises(InputError, match="`a` must be a two-dimensional bool array"):
        measure(np.ones((2, 2), np.uint8), FULL)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_radius_and_ratio_must_be_sensible(bad: float) -> None:
    with pytest.raises(InputError, match="`radius_px` must be finite"):
        boundary_f(FULL, FULL, radius_px=bad)
    with pytest.raises(InputError, match="`dilation_ratio` must be finite"):
        boundary_iou(FULL, FULL, dilation_ratio=bad)


def test_golden_pairs_give_golden_values(golden_folder: Path) -> None:
    folder = golden_folder / "metrics"
    pairs = json.loads((folder / "pairs.json").read_text())["pairs"]
    arrays = np.load(folder / "pairs.npz")

    assert len(pairs) >= 8
    for name, golden in pairs.items():
        height, width = golden["shape"]
        truth, guess = (
            np.unpackbits(arrays[f"{name}__{which}"])[: height * width]
            .reshape(height, width)
            .astype(bool)
            for which in ("gt", "pred")
        )
        assert iou(guess, truth) == golden["davis_jaccard(empty_empty=1)"], name
        for ratio in (0.02, 0.01, 0.005):
            exact = golden[f"boundary@{ratio}"]
            bands = [boundary_band(mask, dilation_ratio=ratio) for mask in (truth, guess)]
            assert bands[0].sum() == exact["gt_boundary_px"], name
            assert bands[1].sum() == exact["pred_boundary_px"], name
            expected = exact["intersection"] / exact["union"] if exact["union"] else 1.0
            assert boundary_iou(guess, truth, dilation_ratio=ratio) == expected, name
        for key in ("F@5px", "F@1px", "F@davis_0.008diag"):
            exact = golden[key]
            found = boundary_f(guess, truth, radius_px=exact["bound_px"])
            assert found == pytest.approx(exact["F"], abs=1e-12), name
