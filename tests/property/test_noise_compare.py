"""The published way, written again for comparison, makes the same kind of noise as ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from remask_bench.noise import as_published, compare_noise, sample_annotations, table_of
from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.estimate.fit import estimate_noise
from remask_noise.estimate.pairs import read_pairs
from remask_noise.operations import LEVELS


def test_rows_have_a_rate_and_a_ratio_to_the_published_way() -> None:
    rows = compare_noise(masks=12, jobs=(1,), levels=("hard",), shapes_hw=((90, 120),))
    assert [(row.way, row.jobs, row.masks) for row in rows] == [
        ("published", 1, 12),
        ("remask", 1, 12),
    ]
    assert rows[0].ratio == 1.0
    assert rows[1].ratio == pytest.approx(rows[1].rate / rows[0].rate)
    assert [line[:3] for line in table_of(rows).words()] == [
        ["120 x 90", "hard", "published"],
        ["120 x 90", "hard", "remask"],
    ]


def test_both_ways_make_noise_of_the_same_strength(tmp_path: Path) -> None:
    """As the estimate sees it: the level, and a class noise as published."""
    clean = tmp_path / "clean.json"
    clean.write_text(json.dumps(sample_annotations(120, np.random.default_rng(2))))
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    options = NoiseOptions(LEVELS["medium"], seed=3, as_published=True)
    apply_noise(clean, ours, options)
    as_published(clean, theirs, LEVELS["medium"], np.random.default_rng(3))
    for noisy in (ours, theirs):
        rng = np.random.default_rng(4)
        found = estimate_noise(read_pairs(clean, noisy, limit=None, rng=rng), rng=rng)
        assert found.level == "medium"
        assert found.kinds["localisation"].share == pytest.approx(0.25, abs=0.12)
        assert found.wrong_class.share == pytest.approx(0.3, abs=0.12)
