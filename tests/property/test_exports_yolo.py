from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from remask_exports.formats.yolo import outline


def filled(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    picture = np.zeros(shape, np.uint8)
    cv2.fillPoly(picture, [points.astype(np.int32)], 1)
    return picture.astype(np.bool_)


@settings(max_examples=200)
@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_nothing_of_a_mask_is_lost_and_the_outline_lies_on_it(mask: np.ndarray) -> None:
    if not mask.any():
        mask[0, 0] = True

    points = outline(mask)

    assert mask[points[:, 1], points[:, 0]].all()
    assert filled(points, mask.shape)[mask].mean() > 0.99


@settings(max_examples=50)
@given(st.integers(2, 25), st.integers(2, 25), st.integers(1, 10))
def test_a_mask_in_one_piece_comes_back_to_the_pixel(width: int, height: int, x: int) -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[3 : 3 + height, x : x + width] = True

    assert np.array_equal(filled(outline(mask), mask.shape), mask)


def test_a_hole_stays_a_hole() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[5:35, 5:35] = True
    mask[12:25, 15:22] = False

    back = filled(outline(mask), mask.shape)

    assert np.array_equal(back[~mask], np.zeros_like(back[~mask]))
    assert np.array_equal(back, mask)


def test_parts_are_joined_where_they_are_nearest() -> None:
    """Three squares in a row: two bridges of four and five pixels are all that is added."""
    mask = np.zeros((20, 60), np.bool_)
    for x in (2, 16, 31):
        mask[5:15, x : x + 10] = True

    back = filled(outline(mask), mask.shape)

    assert back[mask].all()
    assert np.count_nonzero(back & ~mask) == 4 + 5


def test_many_parts_are_joined() -> None:
    mask = np.random.default_rng(0).random((60, 60)) < 0.2

    points = outline(mask)

    assert mask[points[:, 1], points[:, 0]].all()
    assert filled(points, mask.shape)[mask].all()
