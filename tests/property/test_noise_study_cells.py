"""A mask in cells of a box, and back: the same mask but for what a cell cannot hold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask_core.overlap import iou
from remask_core.types import Box
from remask_noise.study.data import cells_of, drawn


@given(st.integers(20, 80), st.integers(20, 60), st.integers(12, 19), st.floats(-3, 3))
def test_a_disc_comes_back_from_cells(x: int, y: int, radius: int, off: float) -> None:
    disc = np.zeros((80, 100), np.uint8)
    cv2.circle(disc, (x, y), radius, 1, -1)
    mask = disc.view(np.bool_)
    box = Box(x - radius - 4 + off, y - radius - 4, x + radius + 5, y + radius + 5 + off)
    cells = cells_of(mask, at_xy=(0, 0), box=box, cells=28)
    back = drawn(cells, box=box, shape_hw=(80, 100))
    whole = np.zeros_like(mask)
    rows, columns = back.mask.shape
    whole[back.y0 : back.y0 + rows, back.x0 : back.x0 + columns] = back.mask
    assert iou(mask, whole) > 0.96


def test_cells_hold_the_share_of_the_mask_in_them() -> None:
    mask = np.zeros((12, 12), np.bool_)
    mask[:, :5] = True
    cells = cells_of(mask, at_xy=(8, 18), box=Box(10, 20, 18, 28), cells=4)
    assert cells.shape == (4, 4)
    assert cells[:, 0] == pytest.approx(1)
    assert cells[:, 1] == pytest.approx(0.5, abs=0.1)
    assert cells[:, 2:] == pytest.approx(0)


def test_a_box_beyond_the_image_is_cut_off() -> None:
    window = drawn(np.ones((28, 28), np.float32), box=Box(-5, -5, 200, 30), shape_hw=(20, 30))
    assert (window.x0, window.y0, window.mask.shape) == (0, 0, (20, 30))
    assert window.mask.all()
