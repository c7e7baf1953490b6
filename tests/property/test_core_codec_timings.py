"""The side-by-side timings of the brush RLE codecs."""

from __future__ import annotations

import numpy as np
import pytest

from remask_bench.codec import compare_codecs, sample_mask

pytest.importorskip("label_studio_sdk")


def test_every_shape_outline_and_direction_is_timed() -> None:
    shapes = [(20, 30), (33, 17)]

    timings = compare_codecs(
        rng=np.random.default_rng(1), shapes_hw=shapes, ours_repeats=1, sdk_repeats=1
    )

    assert len({(t.shape_hw, t.outline, t.direction) for t in timings}) == len(timings) == 8
    for timing in timings:
        assert timing.n_bytes > 7
        assert timing.ratio == timing.sdk_ms / timing.ours_ms > 0


def test_ragged_masks_have_many_more_runs_than_smooth_ones() -> None:
    rng = np.random.default_rng(1)
    runs = {
        outline: np.count_nonzero(np.diff(sample_mask((200, 300), outline, rng=rng)))
        for outline in ("smooth", "ragged")
    }

    assert runs["ragged"] > 10 * runs["smooth"] > 0
