"""LVIS's AP on cases worked by hand: what is annotated, known to be absent, and not exhaustive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError
from remask_core.rle_coco import encode_coco_rle
from remask_evaluation.coco import evaluate_coco, read_scored
from remask_evaluation.lvis import LvisScores, evaluate_lvis


def square(x: int, y: int) -> dict[str, Any]:
    mask = np.zeros((60, 80), np.bool_)
    mask[y : y + 10, x : x + 10] = True
    return {**encode_coco_rle(mask)}


def truth(**image: object) -> dict[str, Any]:
    """A frequent class with two squares; a rare one of which nothing is annotated in image 2."""
    return {
        "images": [
            {"id": 1, "height": 60, "width": 80},
            {"id": 2, "height": 60, "width": 80} | image,
        ],
        "categories": [
            {"id": 7, "name": "cup", "frequency": "f"},
            {"id": 9, "name": "yak", "frequency": "r"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "segmentation": square(0, 0)},
            {"id": 2, "image_id": 2, "category_id": 7, "segmentation": square(20, 20)},
            {"id": 3, "image_id": 1, "category_id": 9, "segmentation": square(40, 40)},
        ],
    }


YAK_IN_2 = {"image_id": 2, "category_id": 9, "segmentation": square(50, 0), "score": 0.9}
FOUND = [
    {"image_id": 1, "category_id": 7, "segmentation": square(0, 0), "score": 0.8},
    {"image_id": 2, "category_id": 7, "segmentation": square(20, 20), "score": 0.7},
    {"image_id": 1, "category_id": 9, "segmentation": square(40, 40), "score": 0.6},
]


def scored(folder: Path, document: dict[str, Any], detections: list[dict[str, Any]]):
    (folder / "gt.json").write_text(json.dumps(document))
    (folder / "dt.json").write_text(json.dumps(detections))
    return read_scored(folder / "gt.json", folder / "dt.json")


def scores(folder: Path, document: dict[str, Any], more: list[dict[str, Any]]) -> LvisScores:
    return evaluate_lvis(scored(folder, document, [*FOUND, *more]))


def test_perfect_detections_score_one(tmp_path: Path) -> None:
    found = scores(tmp_path, truth(), [])

    assert (found.ap, found.ap_rare, found.ap_frequent, found.ar300) == (1.0, 1.0, 1.0, 1.0)
    assert found.ap_common is None
    assert found.ignored == 0


def test_a_class_of_which_nothing_is_known_in_the_image_is_ignored(tmp_path: Path) -> None:
    """COCO's AP halves the rare class: a wrong yak has the higher score."""
    found = scores(tmp_path, truth(), [YAK_IN_2])
    (coco,) = evaluate_coco(scored(tmp_path, truth(), [*FOUND, YAK_IN_2]))

    assert (found.ap_rare, found.ignored) == (1.0, 1)
    assert coco.classes["yak"] == pytest.approx(0.5)


def test_a_class_known_to_be_absent_counts_as_wrong(tmp_path: Path) -> None:
    found = scores(tmp_path, truth(neg_category_ids=[9]), [YAK_IN_2])

    assert (found.ap_rare, found.ignored) == (pytest.approx(0.5), 0)
    assert found.ap == pytest.approx(0.75)


def test_more_of_a_class_that_is_not_annotated_exhaustively_is_no_error(tmp_path: Path) -> None:
    cup = {"image_id": 2, "category_id": 7, "segmentation": square(60, 40), "score": 0.95}

    every = scores(tmp_path, truth(), [cup])
    some = scores(tmp_path, truth(not_exhaustive_category_ids=[7]), [cup])

    assert every.ap_frequent == pytest.approx(2 / 3, abs=0.01)
    assert some.ap_frequent == 1.0


def test_three_hundred_detections_of_an_image_count_of_all_classes(tmp_path: Path) -> None:
    """Wrong cups with higher scores leave no room for the yak of the same image."""
    many = [{"image_id": 1, "category_id": 7, "segmentation": square(60, 40), "score": 0.9}] * 299

    assert scores(tmp_path, truth(), many).ap_rare == 0.0
    assert scores(tmp_path, truth(), many[:298]).ap_rare == 1.0


def test_a_file_that_is_not_of_lvis_is_refused(tmp_path: Path) -> None:
    document = truth()
    del document["categories"][1]["frequency"]

    with pytest.raises(InputError, match="`frequency` of every class, r, c or f; that of yak"):
        scores(tmp_path, document, [])


def test_the_command_scores_by_two_truths(tmp_path: Path) -> None:
    scored(tmp_path, truth(), FOUND)
    document = truth()
    del document["annotations"][1]
    (tmp_path / "noisy.json").write_text(json.dumps(document))
    words = ["eval", "coco", str(tmp_path / "gt.json"), str(tmp_path / "dt.json")]
    both = [*words, "--noisy", str(tmp_path / "noisy.json")]

    lvis = CliRunner().invoke(app, [*both, "--lvis"])
    coco = CliRunner().invoke(app, [*both, "--json"])
    wrong = CliRunner().invoke(app, [*words, "--lvis", "--boxes"])
    assert lvis.exception is None, lvis.exception

    first, second = lvis.stdout.splitlines()[:2]
    assert first.split() == ["gt", "noisy"]
    assert second.split() == ["AP", "1.0000", "1.0000"]
    clean, noisy = json.loads(coco.stdout)
    assert (clean[0]["ap"], noisy[0]["ap"]) == (1.0, 1.0)
    assert "goes with none of" in str(wrong.exception)
