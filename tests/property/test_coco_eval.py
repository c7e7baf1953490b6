"""COCO evaluation equals the reference; what could mislead it is refused or renumbered."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from remask_bench.coco_eval import compare_evaluation, reference_scores
from remask_core.errors import InputError, NotFound
from remask_core.left_out import LeftOut
from remask_core.rle_coco import decode_coco_rle, encode_coco_rle
from remask_evaluation.coco import CocoScores, Scored, evaluate_coco, read_scored

NAMES = [name for name in CocoScores.__dataclass_fields__ if name not in ("kind", "classes")]


def listed(scores: CocoScores) -> list[float]:
    values = [getattr(scores, name) for name in NAMES]
    return [-1.0 if value is None else value for value in values]


@pytest.fixture(scope="module")
def golden(golden_folder: Path) -> Scored:
    return read_scored(golden_folder / "coco/gt.json", golden_folder / "coco/dt.json")


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("kind", ["mask", "boundary"])
def test_all_twelve_numbers_equal_the_reference(
    golden: Scored, kind: Any, class_agnostic: bool
) -> None:
    """The reference is pycocotools; for boundaries with IoU := min(mask, boundary) on top."""
    ours = evaluate_coco(golden, boundary=kind == "boundary", class_agnostic=class_agnostic)[-1]
    want = reference_scores(golden, kind=kind, class_agnostic=class_agnostic)
    assert ours.kind == kind
    assert want == pytest.approx(listed(ours), abs=1e-6)


@pytest.mark.parametrize("way", ["by_class", "class_agnostic"])
def test_masks_score_what_pycocotools_once_answered(way: str) -> None:
    """Stored numbers: a change of either library shows."""
    folder = Path(__file__).parents[1] / "golden" / "coco"
    stored = json.loads((folder / "scores.json").read_text())[way]
    scored = read_scored(folder / "gt.json", folder / "dt.json")
    (ours,) = evaluate_coco(scored, class_agnostic=way == "class_agnostic")
    assert listed(ours) == pytest.approx(stored, abs=1e-6)


def test_boxes_score_as_pycocotools_scores_them(golden_folder: Path, tmp_path: Path) -> None:
    """Detections have the boxes that a detector would have written, not those of their masks."""
    folder = golden_folder / "coco"
    detections = json.loads((folder / "dt.json").read_text())
    rng = np.random.default_rng(0)
    for detection in detections:
        x, y, width, height = coco_mask.toBbox(detection["segmentation"])
        shifts = rng.normal(0, 2, 2)
        detection["bbox"] = [x + shifts[0], y + shifts[1], width, height]
    (tmp_path / "dt.json").write_text(json.dumps(detections))
    boxes = [{k: v for k, v in each.items() if k != "segmentation"} for each in detections]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(folder / "gt.json")
        evaluation = COCOeval(truth, truth.loadRes(boxes), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    mask, ours = evaluate_coco(read_scored(folder / "gt.json", tmp_path / "dt.json"), boxes=True)

    assert (mask.kind, ours.kind) == ("mask", "box")
    assert listed(ours) == pytest.approx(evaluation.stats.tolist(), abs=1e-6)
    assert mask.ap == evaluate_coco(read_scored(folder / "gt.json", folder / "dt.json"))[0].ap


def box_mask(draw: Any) -> dict[str, Any]:
    mask = np.zeros((24, 30), np.bool_)
    x0, y0 = draw(st.integers(0, 29)), draw(st.integers(0, 23))
    mask[y0 : y0 + draw(st.integers(0, 16)), x0 : x0 + draw(st.integers(1, 16))] = True
    return {**encode_coco_rle(mask)}


@st.composite
def small_sets(draw: Any) -> Scored:
    """Two images, two classes, few masks: many ties, crowds, empty masks and masks at borders."""
    place = {"image_id": st.integers(1, 2), "category_id": st.integers(1, 2)}
    annotations = []
    for number in range(draw(st.integers(1, 6))):
        rle = box_mask(draw)
        annotation = {key: draw(value) for key, value in place.items()}
        annotation |= {"id": number + 1, "segmentation": rle, "iscrowd": draw(st.integers(0, 1))}
        annotations.append(annotation | {"area": draw(st.sampled_from([0, 50, 2000, 20000]))})
    detections = [
        {key: draw(value) for key, value in place.items()}
        | {"segmentation": rle, "area": int(decode_coco_rle(rle).sum())}
        | {"score": draw(st.sampled_from([0.2, 0.5, 0.9]))}
        for rle in [box_mask(draw) for _ in range(draw(st.integers(1, 6)))]
    ]
    images = [{"id": 1, "height": 24, "width": 30}, {"id": 2, "height": 24, "width": 30}]
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    truth = {"images": images, "categories": categories, "annotations": annotations}
    return Scored(truth, detections)


@given(small_sets(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_small_sets_full_of_ties_equal_the_reference(scored: Scored, class_agnostic: bool) -> None:
    mask, boundary = evaluate_coco(scored, boundary=True, class_agnostic=class_agnostic)
    for kind, ours in (("mask", mask), ("boundary", boundary)):
        want = reference_scores(scored, kind=kind, class_agnostic=class_agnostic)
        assert want == pytest.approx(listed(ours), abs=1e-6), kind


def test_ids_from_zero_change_nothing(golden_folder: Path, tmp_path: Path, golden: Scored) -> None:
    document = json.loads((golden_folder / "coco/gt.json").read_text())
    for number, annotation in enumerate(document["annotations"]):
        annotation["id"] = number
    (tmp_path / "gt.json").write_text(json.dumps(document))
    renumbered = read_scored(tmp_path / "gt.json", golden_folder / "coco/dt.json")
    assert evaluate_coco(golden) == evaluate_coco(renumbered)


def test_a_perfect_copy_scores_one_with_and_without_classes(golden: Scored) -> None:
    solid = [a for a in golden.truth["annotations"] if not a["iscrowd"]]
    perfect = replace(golden, detections=[{**a, "score": 0.5} for a in solid])
    for detection in perfect.detections:
        detection.pop("iscrowd"), detection.pop("id")
    for class_agnostic in (False, True):
        for scores in evaluate_coco(perfect, boundary=True, class_agnostic=class_agnostic):
            assert scores.ap == pytest.approx(1.0)
            assert bool(scores.classes) != class_agnostic


def test_no_detections_score_nothing(golden: Scored) -> None:
    (scores,) = evaluate_coco(replace(golden, detections=[]))
    assert scores.ap == 0.0


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"image_id": 5}, "no-image", "no image 5"),
        ({"category_id": 5}, "no-class", "no category 5"),
        ({"segmentation": {"size": [2, 2], "counts": "0"}}, "no-mask", "2 x 2"),
        ({"segmentation": None}, "no-mask", "there is none"),
        ({"segmentation": [1, 2, 3, 2, 3, 4]}, "no-mask", "or RLE; got [1, 2, 3, 2, 3, 4]"),
    ],
)
def test_bad_truth_is_left_out_and_named(
    golden_folder: Path, tmp_path: Path, change: dict[str, object], reason: str, detail: str
) -> None:
    document = json.loads((golden_folder / "coco/gt.json").read_text())
    first = document["annotations"][0]
    first |= change
    (tmp_path / "gt.json").write_text(json.dumps(document))
    left: list[LeftOut] = []
    scored = read_scored(tmp_path / "gt.json", golden_folder / "coco/dt.json", left_out=left.append)
    assert len(scored.truth["annotations"]) == len(document["annotations"]) - 1
    assert [(f"annotation {first['id']}", reason)] == [
        (record.name, record.reason) for record in left
    ]
    assert detail in left[0].detail


def test_classes_of_one_name_keep_their_own_precision(golden_folder: Path, tmp_path: Path) -> None:
    document = json.loads((golden_folder / "coco/gt.json").read_text())
    for category in document["categories"]:
        category["name"] = "cat"
    ids = [category["id"] for category in document["categories"]]
    (tmp_path / "gt.json").write_text(json.dumps(document))
    (named,) = evaluate_coco(
        read_scored(golden_folder / "coco/gt.json", golden_folder / "coco/dt.json")
    )

    (alike,) = evaluate_coco(read_scored(tmp_path / "gt.json", golden_folder / "coco/dt.json"))

    assert {f"cat ({key})" for key in ids} == set(alike.classes)
    assert list(named.classes.values()) == list(alike.classes.values())


def test_truth_without_a_usable_annotation_is_refused(golden_folder: Path, tmp_path: Path) -> None:
    document = json.loads((golden_folder / "coco/gt.json").read_text())
    for annotation in document["annotations"]:
        del annotation["segmentation"]
    (tmp_path / "gt.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"gt\.json .* it has none\. Left out, no-mask: \d+ "):
        read_scored(tmp_path / "gt.json", golden_folder / "coco/dt.json")


def test_bad_detections_are_named(golden_folder: Path, tmp_path: Path) -> None:
    document = json.loads((golden_folder / "coco/dt.json").read_text())
    document[3]["segmentation"]["counts"] += "~"
    (tmp_path / "dt.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"dt\.json: detection at position 3: `counts`"):
        read_scored(golden_folder / "coco/gt.json", tmp_path / "dt.json")
    with pytest.raises(NotFound):
        read_scored(tmp_path / "none.json", tmp_path / "dt.json")


def test_the_comparison_finds_no_difference() -> None:
    rows = compare_evaluation(masks=30)
    assert [row.kind for row in rows] == ["mask", "boundary"]
    assert max(row.largest_difference for row in rows) < 1e-6
