"""Edges from files and from a model that knows the object; recall of proposals by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from boundary_data import large_ellipse, write_boundaries
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import encode_coco_rle
from remask_core.types import Candidate, Embedding, Prompt
from remask_evaluation.contestants import BoxSegmenter
from remask_evaluation.edge_maps import (
    THRESHOLDS,
    edge_map_of_file,
    edge_map_of_model,
    measure_edges,
    open_boundaries,
)
from remask_evaluation.edges import edge_scores


class Knows(BoxSegmenter):
    """Answers a point in the ellipse with the ellipse, one outside with the rest of the image."""

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        mask = large_ellipse().astype(np.bool_)
        (click,) = prompt.clicks
        inside = bool(mask[int(click.y), int(click.x)])
        return [Candidate(mask if inside else ~mask, 0.9)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_boundaries(tmp_path / "edges")


def test_the_boundaries_themselves_score_one(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "edges.html"
    words = ["eval", "edges", "--data", str(data), "--maps", str(data / "maps")]

    shown = CliRunner().invoke(app, [*words, "--out", str(page)])
    told = CliRunner().invoke(app, [*words, "--out", str(page), "--json"])

    assert shown.exit_code == told.exit_code == 0, shown.exception
    assert json.loads(told.stdout)["ods"] == 1.0
    assert page.read_text().count("data:image/jpeg") == 6


def test_masks_of_a_model_end_where_the_object_does(data: Path) -> None:
    maker = edge_map_of_model(Knows(), points_per_side=6)

    counts = [counts for *_, counts in measure_edges(open_boundaries(data, limit=1), maker)]

    assert edge_scores(counts, thresholds=THRESHOLDS).ods > 0.9


def test_what_is_missing_or_of_another_size_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="must be a folder with index"):
        open_boundaries(tmp_path)
    with pytest.raises(NotFound, match="none at nowhere"):
        edge_map_of_file(Path("nowhere"))
    cv2.imwrite(str(data / "maps/a.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(
        InputError, match=r"edge map of a must have shape \(240, 320\); got \(5, 5\)"
    ):
        list(measure_edges(open_boundaries(data), edge_map_of_file(data / "maps")))
    next((data / "boundaries").glob("b_*")).unlink()
    next((data / "boundaries").glob("b_*")).unlink()
    with pytest.raises(InputError, match=r"line 3: there is no boundaries/b_\*.png"):
        open_boundaries(data)
    neither = CliRunner().invoke(app, ["eval", "edges", "--data", str(data), "--out", "never"])
    assert "either `--maps` or `--model`; got neither" in str(neither.exception)


def square(x: int, side: int) -> dict[str, Any]:
    mask = np.zeros((120, 400), np.bool_)
    mask[5 : 5 + side, x : x + side] = True
    return {**encode_coco_rle(mask)}


def test_proposals_of_any_class_find_objects_if_they_are_among_the_best(tmp_path: Path) -> None:
    """A small object found by the best mask, a large one by the twelfth, and one not at all."""
    truth = {
        "images": [{"id": 1, "height": 120, "width": 400}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "yak"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": square(0, 20)},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": square(100, 100)},
            {"id": 3, "image_id": 1, "category_id": 2, "segmentation": square(250, 100)},
        ],
    }
    wrong = [(square(40 + number, 8), 0.8) for number in range(10)]
    masks = [(square(0, 20), 0.9), *wrong, (square(100, 100), 0.1)]
    found = [
        {"image_id": 1, "category_id": 1, "segmentation": mask, "score": score}
        for mask, score in masks
    ]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "masks.json").write_text(json.dumps(found))
    words = ["eval", "proposals", str(tmp_path / "truth.json"), str(tmp_path / "masks.json")]

    told = CliRunner().invoke(app, [*words, "--json"])
    shown = CliRunner().invoke(app, words)

    rows = {row["size"]: row for row in json.loads(told.stdout)}
    assert rows["all"]["recall"] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert rows["small"]["recall"] == [1.0, 1.0, 1.0]
    assert rows["large"]["recall"] == pytest.approx([0.0, 0.5, 0.5])
    assert rows["medium"] == {"size": "medium", "objects": 0, "recall": [None] * 3}
    assert rows["large"]["objects"] == 2
    assert "AR@1000" in shown.stdout
