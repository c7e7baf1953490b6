"""Weak annotations, made through a worker's engine by a model whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import ToySegmenter

from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import decode_coco_rle
from remask_noise.weak import make_weak
from remask_worker.thread_engine import ThreadEngine


@pytest.fixture
def engine() -> Iterator[ThreadEngine]:
    engine = ThreadEngine(ToySegmenter())
    yield engine
    engine.close()


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """Two images; their objects stand mixed in the file, one of them without a mask."""
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((40, 50, 3), np.uint8))
    square = [[10, 12, 30, 12, 30, 26, 10, 26]]
    return {
        "images": [
            {"id": 7, "height": 40, "width": 50, "file_name": "a.png"},
            {"id": 8, "height": 40, "width": 50, "coco_url": "http://images.example/b.png"},
        ],
        "categories": [{"id": n} for n in range(1, 6)],
        "annotations": [
            {"id": 0, "image_id": 7, "category_id": 1, "segmentation": square, "iscrowd": 0},
            {"id": 1, "image_id": 8, "category_id": 2, "segmentation": square, "extra": "x"},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4]},
            {"id": 3, "image_id": 7, "category_id": 3, "segmentation": square},
        ],
    }


def made(document: dict[str, Any], folder: Path, engine: ThreadEngine, **more: Any) -> Any:
    (folder / "in.json").write_text(json.dumps(document))
    out = folder / "out.json"
    counts = make_weak(folder / "in.json", folder, out, engine=engine, **more)
    return counts, json.loads(out.read_text())


def test_boxes_become_the_models_masks(
    document: dict[str, Any], tmp_path: Path, engine: ThreadEngine
) -> None:
    """The toy model fills the box, so the mask is the true square."""
    counts, result = made(document, tmp_path, engine, prompt="box")
    first, second, without, last = result["annotations"]
    assert [a["id"] for a in result["annotations"]] == [1, 2, 3, 4]
    for annotation in (first, second, last):
        mask = decode_coco_rle(annotation["segmentation"])
        assert annotation["bbox"] == [10, 12, 20, 14]
        assert annotation["area"] == int(mask.sum()) == 280
        assert mask[12:26, 10:30].all()
        assert annotation["boundary_type"] == "box"
    assert second["extra"] == "x"
    assert without["bbox"] == [1, 2, 3, 4]
    assert without["boundary_type"] == "none"
    assert (counts.annotations, counts.images, counts.no_mask, counts.class_noise) == (4, 2, 1, 0)
    assert counts.model_version == "toy@000000000000"


def test_centres_become_the_models_masks(
    document: dict[str, Any], tmp_path: Path, engine: ThreadEngine
) -> None:
    """The toy model draws a disk of 5 pixels around the click."""
    _, result = made(document, tmp_path, engine, prompt="center")
    mask = decode_coco_rle(result["annotations"][0]["segmentation"])
    rows, columns = np.nonzero(mask)
    assert (columns.mean(), rows.mean()) == (19.5, 18.5)


def test_class_noise_comes_from_the_seed(
    document: dict[str, Any], tmp_path: Path, engine: ThreadEngine
) -> None:
    runs = [made(document, tmp_path, engine, prompt="box", class_share=1.0) for _ in range(2)]
    assert runs[0] == runs[1]
    counts, result = runs[0]
    assert counts.class_noise == 4
    assert all(annotation["class_noise"] for annotation in result["annotations"])


def test_what_is_wrong_is_named_and_nothing_is_written(
    document: dict[str, Any], tmp_path: Path, engine: ThreadEngine
) -> None:
    document["images"][1]["coco_url"] = "gone.png"
    with pytest.raises(NotFound, match=r"gone\.png"):
        made(document, tmp_path, engine, prompt="box")
    document["images"][1]["coco_url"] = "b.png"
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(InputError, match=r"b\.png"):
        made(document, tmp_path, engine, prompt="box")
    assert not (tmp_path / "out.json").exists()


def test_odd_annotations_are_copied_and_named(
    document: dict[str, Any], tmp_path: Path, engine: ThreadEngine
) -> None:
    document["annotations"][1]["image_id"] = 9
    document["annotations"][3]["segmentation"] = [1, 2, 3, 4, 5, 6]
    counts, result = made(document, tmp_path, engine, prompt="box")
    assert result["annotations"][1] == document["annotations"][1]
    assert result["annotations"][3]["boundary_type"] == "none"
    assert counts.left_out.counts == {"no-image": 1, "no-mask": 1}
    assert (counts.annotations, counts.no_mask) == (4, 2)
