"""A campaign's click log read as clicked errors, by the names of its export."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data import SHAPE_HW, write_coco, write_folder

from remask_clicks.log import read_clicked_errors
from remask_core.errors import InputError, NotFound, ShapeMismatch
from remask_core.rle_coco import encode_coco_rle
from remask_core.types import BoolMask
from remask_evaluation.datasets import open_set

LEFT = np.zeros(SHAPE_HW, dtype=np.bool_)
LEFT[:, :40] = True

ROW = {
    "campaign": "c",
    "instance": "4/b",
    "image": "1.png",
    "round": 1,
    "annotator": 3,
    "counts": "true",
    "position": 0,
    "positive": "true",
    "x": 50.4,
    "y": 35.9,
    "height": 60,
    "width": 80,
}


def packed(mask: BoolMask) -> str:
    return str(encode_coco_rle(mask)["counts"])


def a_log(path: Path, *changes: dict[str, Any]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*ROW, "mask_before"])
        writer.writeheader()
        writer.writerows({**ROW, "mask_before": packed(LEFT), **change} for change in changes)
    return path


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A set whose index names its objects as `remask export png` does."""
    folder = write_folder(tmp_path / "export")
    rows = (folder / "index.csv").read_text().splitlines()
    named = [f"{row},{name}" for row, name in zip(rows, ("name", "4/a", "4/b", "5/c"), strict=True)]
    (folder / "index.csv").write_text("\n".join(named) + "\n")
    return folder


def test_clicks_of_a_round_answer_the_mask_that_it_began_with(export: Path, tmp_path: Path) -> None:
    log = a_log(
        tmp_path / "log.csv",
        {},
        {"x": 45, "y": 30, "position": 1},
        {"x": 5, "y": 5, "positive": "false", "position": 2},
        {"round": 2, "mask_before": packed(~LEFT)},
    )

    found = read_clicked_errors([log], [export])

    truth = open_set(export)[1].load().truth
    assert [error.name for error in found.errors] == ["4/b-1-fn", "4/b-1-fp", "4/b-2-fn"]
    missed, wrong, later = (error.load() for error in found.errors)
    assert np.array_equal(missed.error, truth & ~LEFT)
    assert missed.points_xy.tolist() == [[50, 35], [45, 30]]
    assert np.array_equal(wrong.error, LEFT & ~truth)
    assert np.array_equal(later.error, truth & LEFT)
    assert found.left_out == {}


def test_what_cannot_be_used_is_counted(export: Path, tmp_path: Path) -> None:
    log = a_log(
        tmp_path / "log.csv",
        {"instance": "4/gone"},
        {"mask_before": ""},
        {"counts": "false"},
        {"counts": "false"},
    )

    found = read_clicked_errors([log], [export])

    assert found.errors == ()
    assert found.left_out == {"no object": 1, "no mask": 1, "does not count": 2}


def test_a_coco_export_names_its_instances_too(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco/instances.json")
    content = json.loads(path.read_text())
    content["annotations"][1]["instance"] = "9/abc"
    path.write_text(json.dumps(content))
    log = a_log(tmp_path / "log.csv", {"instance": "abc"}, {"instance": "9/abc"}, {"instance": "1"})

    found = read_clicked_errors([log], [path])

    assert [error.instance.name for error in found.errors] == ["2", "2", "1"]


def test_both_layouts_are_read_together(export: Path, tmp_path: Path) -> None:
    plain = tmp_path / "clicks.csv"
    plain.write_text(
        "dataset,image_stem,object_stem,model_type,click_type,full_stem,device,x,y,w,h\n"
        "export,0,1,,first,0_______1,pc,25,20,80,60\n"
    )

    found = read_clicked_errors([a_log(tmp_path / "log.csv", {}), plain], [export])

    assert [error.kind for error in found.errors] == ["first", "fn"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"round": ""}, "line 2: `round` must be a number"),
        ({"positive": "maybe"}, "line 2: `positive` must be true or false"),
        ({"x": "left"}, "line 2: `x` must be a number"),
    ],
)
def test_a_wrong_row_is_named(
    export: Path, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        read_clicked_errors([a_log(tmp_path / "log.csv", change)], [export])


def test_a_log_without_masks_is_refused(export: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("instance,round,positive,x,y\n4/b,1,1,2,3\n")

    with pytest.raises(InputError, match="mask_before"):
        read_clicked_errors([log], [export])


def test_a_mask_of_another_size_is_refused(export: Path, tmp_path: Path) -> None:
    log = a_log(
        tmp_path / "log.csv",
        {"height": 30, "width": 40, "mask_before": packed(np.ones((30, 40), dtype=np.bool_))},
    )

    with pytest.raises(ShapeMismatch, match="mask"):
        read_clicked_errors([log], [export]).errors[0].load()


def test_a_missing_file_is_named(export: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        read_clicked_errors([tmp_path / "nowhere.csv"], [export])
