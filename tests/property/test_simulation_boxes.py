"""Noisy boxes: where they may lie, and how they are distributed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask_core.errors import InputError
from remask_core.types import Box
from remask_simulation.boxes import jittered_box, noisy_box

FRAME = (500, 600)


def box_iou(a: Box, b: Box) -> float:
    across = max(0.0, min(a.x1, b.x1) - max(a.x0, b.x0))
    down = max(0.0, min(a.y1, b.y1) - max(a.y0, b.y0))
    shared = across * down
    return shared / (a.width * a.height + b.width * b.height - shared)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    height, width = FRAME
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Box(x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))


@pytest.mark.parametrize("noise", [noisy_box, jittered_box])
@given(box=boxes(), seed=st.integers(0, 999), min_iou=st.sampled_from([0.5, 0.7, 0.9, 1.0]))
def test_the_iou_is_kept_and_the_box_stays_on_the_image(  # type: ignore[no-untyped-def]
    noise, box: Box, seed: int, min_iou: float
) -> None:
    noisy = noise(box, shape_hw=FRAME, rng=np.random.default_rng(seed), min_iou=min_iou)

    assert box_iou(box, noisy) >= min_iou - 1e-9
    assert noisy.x0 >= 0
    assert noisy.y0 >= 0
    assert noisy.x1 <= FRAME[1]
    assert noisy.y1 <= FRAME[0]


@given(box=boxes(), seed=st.integers(0, 999))
def test_jitter_stays_within_its_share_of_the_side(box: Box, seed: int) -> None:
    noisy = jittered_box(box, shape_hw=FRAME, rng=np.random.default_rng(seed), share=0.12)

    assert max(abs(noisy.x0 - box.x0), abs(noisy.x1 - box.x1)) <= 0.12 * box.width + 1e-9
    assert max(abs(noisy.y0 - box.y0), abs(noisy.y1 - box.y1)) <= 0.12 * box.height + 1e-9


def test_without_noise_the_box_stays() -> None:
    box = Box(10, 20, 110, 90)
    rng = np.random.default_rng(0)

    assert box == noisy_box(box, shape_hw=FRAME, rng=rng, sigma_px=0.0)
    assert box == jittered_box(box, shape_hw=FRAME, rng=rng, share=0.0)


def test_an_impossible_iou_is_refused() -> None:
    with pytest.raises(InputError, match="`min_iou` must lie in"):
        noisy_box(Box(0, 0, 9, 9), shape_hw=FRAME, rng=np.random.default_rng(0), min_iou=0.0)


def test_boxes_are_distributed_as_plain_rejection_would_give_them(golden_folder: Path) -> None:
    """Mean IoU and corner shifts of the golden file, which drew a million boxes the slow way."""
    cases = json.loads((golden_folder / "benenson/derived.json").read_text())[
        "box_noise_rejection(N(0,60) per corner coordinate, keep IoU>=0.7, unclipped)"
    ]
    rng = np.random.default_rng(0)
    for case in cases:
        tight = Box(1000, 1000, 1000 + case["w"], 1000 + case["h"])
        drawn = [noisy_box(tight, shape_hw=(3000, 3000), rng=rng) for _ in range(1500)]
        shifts = np.array(
            [(b.x0 - tight.x0, b.y0 - tight.y0, b.x1 - tight.x1, b.y1 - tight.y1) for b in drawn]
        )
        ious = [box_iou(tight, box) for box in drawn]

        assert abs(np.mean(ious) / case["mean_iou"] - 1) < 0.02
        assert abs(shifts.std() / case["std_corner_shift"] - 1) < 0.05
        assert abs(np.abs(shifts).mean() / case["mean_abs_corner_shift"] - 1) < 0.05
