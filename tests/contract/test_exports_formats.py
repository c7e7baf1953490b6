"""Whole exports, read back by what reads such files outside."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from ls_export import annotation, click_region, mask_region, task, write_export
from pycocotools import coco as outside
from pycocotools.cocoeval import COCOeval

from remask_core.errors import InputError, NotFound
from remask_exports.export import export
from remask_exports.formats.coco import COCO, read_categories
from remask_exports.formats.label_studio import LABEL_STUDIO
from remask_exports.formats.open_images import COLUMNS, OPEN_IMAGES, open_images, read_label_names
from remask_exports.formats.parquet import PARQUET
from remask_exports.formats.png import BINARY_PNG, PNG
from remask_exports.formats.yolo import YOLO
from remask_exports.selection import Selection

NOW = datetime(2026, 11, 21, 1, 2, 3, tzinfo=timezone.utc)
SHAPE = (60, 80)


def ring() -> np.ndarray:
    """Two parts, one of them with a hole."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[5:30, 10:40] = True
    mask[12:20, 18:30] = False
    mask[40:52, 50:74] = True
    return mask


def block(x: int, y: int, size: int = 12) -> np.ndarray:
    mask = np.zeros(SHAPE, np.bool_)
    mask[y : y + size, x : x + size] = True
    return mask


MASKS = {
    "1/ring": ring(),
    "1/block": block(3, 40),
    "2/late": block(60, 5),
    "3/small": block(0, 0, 4),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    box = {"x": 10, "y": 5, "width": 85, "height": 85}
    first = [
        click_region("anc_1", "ring", 10, 5, n=0, pos=None, box=box),
        mask_region("ring", MASKS["1/ring"], "Cat", score=0.7),
        click_region("c1", "ring", 31.25, 75, n=1),
        click_region("c2", "ring", 12.5, 2.123456, n=2, positive=False),
        mask_region("block", MASKS["1/block"], "Dog"),
    ]
    second = [mask_region("late", MASKS["2/late"], "Cat"), mask_region("hollow", block(0, 0, 0))]
    third = [mask_region("small", MASKS["3/small"], "Äpfel, rot")]
    tasks = [
        task(1, annotation(first)),
        task(2, annotation(second, completed_by=9), round=2),
        task(3, annotation(third)),
        task(4, annotation([], was_cancelled=True)),
        task(5),
    ]
    return write_export(tmp_path / "export.json", tasks)


@pytest.fixture
def ranks(tmp_path: Path) -> Path:
    path = tmp_path / "ranks.csv"
    path.write_text(
        "instance,round,predicted_iou,uncertainty,rank,true_iou\n"
        "1/ring,1,0.912344,0.01,1,\n2/late,2,0.8025,0.02,2,\n1/block,1,0.61,0.02,3,0.5\n"
    )
    return path


def run(source: Path, form, out: Path, **more):
    return export(source, form, out=out, now=NOW, **more)


def coco_of(path: Path, capsys) -> outside.COCO:
    opened = outside.COCO(str(path / "instances.json"))
    capsys.readouterr()
    return opened


# What numpy 2 says of how pycocotools hands over its arrays.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_every_mask_as_it_was(source, tmp_path, capsys) -> None:
    run(source, COCO, tmp_path / "coco")
    coco = coco_of(tmp_path / "coco", capsys)

    found = {
        row["instance"]: coco.annToMask(row).astype(bool) for row in coco.dataset["annotations"]
    }
    assert found.keys() == MASKS.keys()
    for name, mask in MASKS.items():
        assert np.array_equal(found[name], mask), name
    assert {image["file_name"] for image in coco.dataset["images"]} == {
        "images/im1.jpg",
        "images/im2.jpg",
        "images/im3.jpg",
    }
    assert all((image["height"], image["width"]) == SHAPE for image in coco.dataset["images"])
    assert {c["name"] for c in coco.loadCats(coco.getCatIds())} == {"Cat", "Dog", "Äpfel, rot"}


def test_an_export_scores_perfectly_against_itself(source, tmp_path, capsys) -> None:
    run(source, COCO, tmp_path / "coco")
    truth = coco_of(tmp_path / "coco", capsys)
    rows = [{**row, "score": 1.0} for row in truth.dataset["annotations"]]
    scores = COCOeval(truth, truth.loadRes(rows), "segm")
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    capsys.readouterr()

    assert scores.stats[0] == 1.0


def test_coco_rows_carry_what_is_known_beyond_coco(source, ranks, tmp_path) -> None:
    run(source, COCO, tmp_path / "coco", ranks=ranks)
    data = json.loads((tmp_path / "coco" / "instances.json").read_text())
    rows = {row["instance"]: row for row in data["annotations"]}

    row = rows["1/ring"]
    assert (row["predicted_iou"], row["rank"], row["score"]) == (0.912344, 1, 0.7)
    assert (row["n_clicks"], row["outcome"], row["annotator"]) == (2, "corrected", 7)
    assert row["bbox"] == [10, 5, 64, 47]
    assert row["area"] == int(ring().sum())
    assert row["drawn_box"] == [8, 3, 68, 51]
    assert [(c["x"], c["y"], c["positive"]) for c in row["clicks"]] == [
        (25, 45, True),
        (10, pytest.approx(1.2740736), False),
    ]
    assert (rows["2/late"]["round"], rows["2/late"]["annotator"]) == (2, 9)
    assert rows["3/small"]["predicted_iou"] is None


def test_category_ids_do_not_depend_on_what_is_selected_and_outlive_new_classes(
    source, tmp_path
) -> None:
    whole = run(source, COCO, tmp_path / "whole")
    part = run(source, COCO, tmp_path / "part", selection=Selection(classes=frozenset(["Dog"])))
    known = read_categories(tmp_path / "whole" / "instances.json")
    late = write_export(
        tmp_path / "late.json", [task(1, annotation([mask_region("a", block(1, 1), "Ant")]))]
    )
    grown = run(late, replace(COCO, known=known), tmp_path / "grown")

    assert whole.categories == part.categories == {"Cat": 1, "Dog": 2, "Äpfel, rot": 3}
    assert part.classes == {"Dog": 1}
    assert grown.categories == {**whole.categories, "Ant": 4}


def test_open_images_columns_are_those_of_the_published_files(source, ranks, tmp_path) -> None:
    names = tmp_path / "classes.csv"
    names.write_text("/m/01yrx,Cat\n")
    run(source, open_images(read_label_names(names)), tmp_path / "oi", ranks=ranks)

    text = (tmp_path / "oi" / "segmentations.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))

    assert text.splitlines()[0] == (
        "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
    )
    row = rows[0]
    assert row["LabelName"] == "/m/01yrx"
    assert row["MaskPath"] == f"{row['ImageID']}_m01yrx_{row['BoxID']}.png"
    assert len(row["ImageID"]) == 16
    assert len(row["BoxID"]) == 8
    assert row["Clicks"] == "0.31250 0.75000 1;0.12500 0.02123 0"
    assert row["PredictedIoU"] == "0.91234"
    edges = [float(row[name]) for name in COLUMNS[4:8]]
    assert edges == [0.1, 0.95, 0.05, 0.9]
    assert rows[-1]["PredictedIoU"] == rows[-1]["Clicks"] == ""
    for row, mask in zip(rows, MASKS.values(), strict=True):
        picture = cv2.imread(str(tmp_path / "oi" / "masks" / row["MaskPath"]), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(picture > 0, mask)
    listed = list(csv.DictReader((tmp_path / "oi" / "images.csv").read_text().splitlines()))
    assert [image["FileName"] for image in listed] == [f"images/im{n}.jpg" for n in (1, 2, 3)]


def test_binary_and_indexed_masks_hold_the_instances(source, tmp_path) -> None:
    run(source, BINARY_PNG, tmp_path / "binary")
    run(source, PNG, tmp_path / "indexed")

    for folder in ("binary", "indexed"):
        rows = list(csv.DictReader((tmp_path / folder / "index.csv").read_text().splitlines()))
        assert [row["name"] for row in rows] == list(MASKS)
        for row in rows:
            path = tmp_path / folder / "masks" / row["mask"]
            picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            assert np.array_equal(picture == int(row["instance"]), MASKS[row["name"]])
    assert len(list((tmp_path / "indexed" / "masks").iterdir())) == 3


def test_where_instances_overlap_a_map_shows_the_smaller(tmp_path) -> None:
    small, large = block(10, 10, 5), block(5, 5, 30)
    regions = [mask_region("small", small), mask_region("large", large)]
    source = write_export(tmp_path / "export.json", [task(1, annotation(regions))])
    run(source, PNG, tmp_path / "out")

    (path,) = (tmp_path / "out" / "masks").iterdir()
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(picture == 1, small)
    assert np.array_equal(picture == 2, large & ~small)


def test_more_instances_than_a_map_can_number_get_a_second_map(tmp_path) -> None:
    regions = []
    for number in range(260):
        mask = np.zeros((20, 20), np.bool_)
        mask.flat[number] = True
        regions.append(mask_region(f"r{number}", mask))
    source = write_export(tmp_path / "export.json", [task(1, annotation(regions))])
    run(source, PNG, tmp_path / "out")

    rows = list(csv.DictReader((tmp_path / "out" / "index.csv").read_text().splitlines()))
    assert len({row["mask"] for row in rows}) == 2
    assert max(int(row["instance"]) for row in rows) == 254


def test_yolo_polygons_fill_to_the_masks(source, tmp_path) -> None:
    run(source, YOLO, tmp_path / "yolo")
    lines = (tmp_path / "yolo" / "labels" / "im1.txt").read_text().splitlines()

    for line, mask in zip(lines, (MASKS["1/ring"], MASKS["1/block"]), strict=True):
        number, *numbers = line.split()
        places = np.array(numbers, float).reshape(-1, 2) * SHAPE[::-1]
        filled = np.zeros(SHAPE, np.uint8)
        cv2.fillPoly(filled, [places.astype(np.int32)], 1)
        assert int(number) in (0, 1)
        # One bridge between the parts is a line of pixels.
        assert np.count_nonzero(filled.astype(bool) != mask) <= 40
    assert (tmp_path / "yolo" / "labels" / "im3.txt").read_text().startswith("2 ")
    yaml = pytest.importorskip("yaml")
    names = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text(encoding="utf-8"))["names"]
    assert names == {0: "Cat", 1: "Dog", 2: "Äpfel, rot"}


def test_the_manifest_says_what_came_from_where_and_what_did_not(source, ranks, tmp_path) -> None:
    said = run(
        source,
        COCO,
        tmp_path / "coco",
        ranks=ranks,
        selection=Selection(top_percent=70, classes=frozenset(["Cat", "Dog"])),
    )
    manifest = json.loads((tmp_path / "coco" / "manifest.json").read_text())
    left_out = list(csv.DictReader((tmp_path / "coco" / "left_out.csv").read_text().splitlines()))

    assert said.instances == manifest["instances"] == 3
    assert manifest["tasks"] == 5
    assert manifest["left_out"] == {
        "not-annotated": 1,
        "not-selected: class": 1,
        "not-selected: not-ranked": 1,
        "skipped": 1,
    }
    assert [row["name"] for row in left_out] == ["2/hollow", "3/small", "4/1", "5"]
    assert manifest["selection"] == {"top_percent": 70, "classes": ["Cat", "Dog"]}
    assert manifest["source"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    written = (tmp_path / "coco" / "instances.json").read_bytes()
    assert manifest["files"]["instances.json"] == hashlib.sha256(written).hexdigest()
    assert manifest["made_at"] == "2026-11-21T01:02:03+00:00"


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection(top_percent=34), ["1/ring", "2/late"]),
        (Selection(top_percent=33), ["1/ring"]),
        (Selection(bottom_percent=33), ["1/block"]),
        (Selection(min_iou=0.8), ["1/ring", "2/late"]),
        (Selection(max_iou=0.8), ["1/block"]),
        (Selection(rounds=frozenset([2])), ["2/late"]),
        (Selection(annotators=frozenset([7])), ["1/ring", "1/block", "3/small"]),
        (Selection(outcomes=frozenset(["corrected"])), ["1/ring"]),
        (Selection(top_percent=50, classes=frozenset(["Dog"])), ["1/block"]),
    ],
)
def test_what_is_selected_is_what_is_exported(source, ranks, tmp_path, selection, names) -> None:
    run(source, COCO, tmp_path / "coco", ranks=ranks, selection=selection)
    data = json.loads((tmp_path / "coco" / "instances.json").read_text())

    assert [row["instance"] for row in data["annotations"]] == names


def test_nothing_selected_is_an_export_of_nothing(source, tmp_path, capsys) -> None:
    none = Selection(classes=frozenset(["Unicorn"]))
    assert run(source, COCO, tmp_path / "coco", selection=none).instances == 0
    assert coco_of(tmp_path / "coco", capsys).dataset["annotations"] == []
    assert run(source, PNG, tmp_path / "png", selection=none).instances == 0


def test_a_broken_mask_is_left_out_and_named(tmp_path) -> None:
    broken = mask_region("bad", block(1, 1))
    broken["value"]["rle"] = broken["value"]["rle"][:-3]
    regions = [broken, mask_region("good", block(1, 1))]
    other = mask_region("other", np.ones((9, 9), np.bool_))
    tasks = [task(1, annotation([*regions, other])), {"id": 2}, task(3)]
    source = write_export(tmp_path / "export.json", tasks)

    manifest = run(source, COCO, tmp_path / "coco")

    assert manifest.instances == 1
    assert manifest.left_out == {
        "bad-mask": 1,
        "not-annotated": 1,
        "other-size": 1,
        "unreadable-task": 1,
    }


def test_an_export_appears_whole_or_not_at_all(source, tmp_path) -> None:
    whole = source.read_bytes()
    source.write_bytes(whole[:-100])

    with pytest.raises(InputError, match="ends within a value"):
        run(source, COCO, tmp_path / "coco")
    assert [path.name for path in tmp_path.iterdir()] == ["export.json"]

    source.write_bytes(whole)
    run(source, COCO, tmp_path / "coco")
    with pytest.raises(InputError, match="empty folder"):
        run(source, COCO, tmp_path / "coco")


def test_the_same_export_twice_is_the_same_to_the_byte(source, ranks, tmp_path) -> None:
    for form in (COCO, OPEN_IMAGES, BINARY_PNG, PNG, YOLO, PARQUET, LABEL_STUDIO):
        first, second = tmp_path / f"{form.name}1", tmp_path / f"{form.name}2"
        one, two = (run(source, form, out, ranks=ranks) for out in (first, second))
        assert one.files == two.files


def test_wrong_input_is_refused(source, tmp_path) -> None:
    with pytest.raises(NotFound):
        run(tmp_path / "gone.json", COCO, tmp_path / "out")
    with pytest.raises(InputError, match="ranks"):
        run(source, COCO, tmp_path / "out", selection=Selection(top_percent=70))
    with pytest.raises(InputError, match="top_percent"):
        Selection(top_percent=0)
    with pytest.raises(InputError, match="both"):
        Selection(top_percent=10, bottom_percent=10)
    (tmp_path / "bad.csv").write_text("instance,rank\na,1\n")
    with pytest.raises(InputError, match="predicted_iou"):
        run(source, COCO, tmp_path / "out", ranks=tmp_path / "bad.csv")
    with pytest.raises(NotFound):
        run(source, COCO, tmp_path / "out", ranks=tmp_path / "gone.csv")
