"""Embeddings on disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from remask_core.types import Embedding
from remask_worker.embedding_cache import EmbeddingCache
from remask_worker.embedding_files import EmbeddingFolder

EMBEDDING = Embedding(
    shape_hw=(4, 5),
    arrays={
        "version": np.arange(6, dtype=np.float32).reshape(2, 3),
        "half": np.ones(3, np.float16),
    },
)


def spill(folder: Path, *, max_bytes: int = 1 << 20, version: str = "toy@1") -> EmbeddingFolder:
    return EmbeddingFolder(folder, max_bytes=max_bytes, model_version=version)


def same(one: Embedding, other: Embedding | None) -> bool:
    return (
        other is not None
        and one.shape_hw == other.shape_hw
        and one.arrays.keys() == other.arrays.keys()
        and all(
            one.arrays[name].dtype == other.arrays[name].dtype
            and np.array_equal(one.arrays[name], other.arrays[name])
            for name in one.arrays
        )
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    spill(tmp_path).write("a", EMBEDDING)

    assert "a" in spill(tmp_path)
    assert same(EMBEDDING, spill(tmp_path).read("a"))
    assert spill(tmp_path).read("b") is None


def test_another_versions_file_is_never_read(tmp_path: Path) -> None:
    old, new = spill(tmp_path), spill(tmp_path, version="toy@2")
    old.write("a", EMBEDDING)
    assert "a" not in new
    assert new.read("a") is None

    # Not even when it lies in the right place.
    os.rename(old._path("a"), new._path("a"))

    assert new.read("a") is None


def test_a_broken_file_counts_as_absent_and_is_removed(tmp_path: Path) -> None:
    store = spill(tmp_path)
    store.write("a", EMBEDDING)
    whole = store._path("a").read_bytes()
    store._path("a").write_bytes(whole[: len(whole) // 2])

    assert store.read("a") is None
    assert "a" not in store


def test_the_folder_is_bounded_and_the_least_recently_used_leaves(tmp_path: Path) -> None:
    store = spill(tmp_path)
    store.write("a", EMBEDDING)
    size = store._path("a").stat().st_size
    store = spill(tmp_path, max_bytes=2 * size + size // 2)
    store.write("b", EMBEDDING)
    for image_id, age in (("a", 10), ("b", 20)):
        os.utime(store._path(image_id), ns=(age, age))
    store.read("a")

    store.write("c", EMBEDDING)

    assert ("a" in store, "b" in store, "c" in store) == (True, False, True)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    store = spill(tmp_path / "in")
    store.write("../../escape", EMBEDDING)

    assert [tmp_path / "in"] == list(tmp_path.iterdir())


def test_memory_refills_from_disk_in_the_next_life(tmp_path: Path) -> None:
    def life() -> EmbeddingCache:
        return EmbeddingCache(
            max_bytes=1000, spill_dir=tmp_path, spill_bytes=1 << 20, model_version="toy@1"
        )

    first = life()
    first.put("a", EMBEDDING)
    first.close()
    second = life()

    assert "a" in second
    assert len(second) == 0
    assert same(EMBEDDING, second.get("a"))
    assert len(second) == 1
    second.close()
