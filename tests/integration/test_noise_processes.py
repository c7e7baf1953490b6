"""Noise made by several processes is the noise made by one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from remask_bench.noise import sample_annotations
from remask_core.left_out import LeftOut
from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.operations import LEVELS

OPTIONS = NoiseOptions(LEVELS["hard"], seed=1)


def test_any_number_of_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    """Of a file of more batches than stay in this process, with progress that ends at the end."""
    source = tmp_path / "clean.json"
    made = sample_annotations(2100, np.random.default_rng(0), shape_hw=(120, 160))
    source.write_text(json.dumps(made))
    results = []
    for jobs in (1, 3):
        seen: list[int] = []
        out = tmp_path / f"{jobs}.json"
        counts = apply_noise(
            source,
            out,
            OPTIONS,
            jobs=jobs,
            watch=lambda done, _, seen=seen: seen.append(done),
        )
        assert counts.annotations == 2100
        assert seen == sorted(seen)
        assert seen[-1] == source.stat().st_size
        results.append((out.read_bytes(), counts))
    assert results[0] == results[1]
    assert not list(tmp_path.glob("*.part"))


def test_what_a_process_leaves_out_is_named(tmp_path: Path) -> None:
    source, out = tmp_path / "clean.json", tmp_path / "out.json"
    made = sample_annotations(2000, np.random.default_rng(0), shape_hw=(120, 160))
    made["annotations"][1751]["image_id"] = -1
    source.write_text(json.dumps(made))

    counts = apply_noise(source, out, OPTIONS, jobs=2)

    assert counts.left_out.first == {
        "no-image": [LeftOut("annotation 1752", "no-image", "no image -1")]
    }
    # It is copied as it was.
    assert json.loads(out.read_text())["annotations"][1751] == made["annotations"][1751]
