"""The cluster's benchmark, as far as it needs no Ray: its load and its images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from remask_bench.cluster import ImageFiles, mixed_load
from remask_bench.scheduling import StandIn, load_instant
from remask_core.types import Candidate, Prompt
from remask_worker.thread_engine import ThreadEngine


def test_images_are_different_and_named_by_their_content(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    taken = [images.take() for _ in range(5)]

    assert len({image_id for image_id, _ in taken}) == 5
    for image_id, path in taken:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == image_id


def test_a_load_counts_encodings_and_finds_no_wrong_mask(tmp_path: Path) -> None:
    engine = ThreadEngine(load_instant())
    row = mixed_load(engine, ImageFiles(tmp_path), np.random.default_rng(3), 120)
    engine.close()

    assert (row.calls, row.wrong) == (120, 0)
    assert row.encoded == row.images
    assert row.per_s > 0


class Wrong(StandIn):
    """A stand-in whose masks are all full."""

    def predict_batch(self, embedding: object, prompts: object) -> list[list[Candidate]]:
        shape_hw = embedding.shape_hw  # type: ignore[attr-defined]
        mask = np.ones(shape_hw, np.bool_)
        return [[Candidate(mask=mask, score=0.5)] for _ in prompts]  # type: ignore[attr-defined]

    def predict(self, embedding: object, prompt: Prompt) -> list[Candidate]:
        return self.predict_batch(embedding, [prompt])[0]


def test_a_wrong_mask_is_counted(tmp_path: Path) -> None:
    engine = ThreadEngine(Wrong(embed_s=0.0, call_s=0.0, prompt_s=0.0))  # type: ignore[arg-type]
    row = mixed_load(engine, ImageFiles(tmp_path), np.random.default_rng(3), 40)
    engine.close()

    assert row.wrong == 40
