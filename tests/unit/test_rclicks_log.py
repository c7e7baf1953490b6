"""A campaign's click log read as measured clicks, by the names of its export."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from bench_data import write_coco, write_folder

from remask_bench.datasets import open_set
from remask_bench.rclicks_errors import clicked_errors
from remask_bench.rclicks_log import is_click_log, read_any_clicks
from remask_core.errors import InputError, NotFound

COLUMNS = (
    "campaign,instance,image,label,round,annotation_id,annotator,position,click_id,positive,x,y,"
    "at,lead_time_s,outcome,source_id"
)


def a_log(path: Path, *rows: tuple[str, object, object, object, object]) -> Path:
    """Rows of instance, round, positive, x, y."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.split(","))
        for number, (instance, turn, positive, x, y) in enumerate(rows):
            known = ("c", instance, "0.png", "thing", turn, 7, 1, number, f"k{number}")
            writer.writerow((*known, positive, x, y, "", 4.5, "corrected", ""))
    return path


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A set whose index names its objects as `remask export png` does."""
    folder = write_folder(tmp_path / "export")
    rows = (folder / "index.csv").read_text().splitlines()
    named = [f"{row},{name}" for row, name in zip(rows, ("name", "4/a", "4/b", "5/c"), strict=True)]
    (folder / "index.csv").write_text("\n".join(named) + "\n")
    return folder


def test_a_log_becomes_clicks_by_sign_and_round(export: Path, tmp_path: Path) -> None:
    log = a_log(
        tmp_path / "log.csv",
        ("b", 1, True, 50.4, 35.9),
        ("b", 2, "false", 5, 5),
        ("gone", 1, 1, 1, 1),
    )

    clicks = read_any_clicks(log, [export])

    assert [(click.click_type, click.full_stem) for click in clicks] == [
        ("fn", "b-1"),
        ("fp", "b-2"),
    ]
    assert (clicks[0].x, clicks[0].y, clicks[0].w, clicks[0].h) == (50, 35, 80, 60)
    assert all(click.is_on(open_set(export)[1]) for click in clicks)


def test_clicks_of_a_round_answer_the_mask_that_it_began_with(export: Path, tmp_path: Path) -> None:
    log = a_log(tmp_path / "log.csv", ("b", 1, 1, 50, 35), ("b", 1, 1, 45, 30), ("b", 2, 0, 5, 5))
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "b-1.png").write_bytes((export / "masks/0.png").read_bytes())

    found = clicked_errors(read_any_clicks(log, [export]), open_set(export), masks=masks)

    assert [(error.name, len(error.clicks)) for error in found.errors] == [("b-1", 2)]
    assert found.left_out == {"no mask": 1}


def test_a_coco_export_names_its_instances_too(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco/instances.json")
    content = json.loads(path.read_text())
    content["annotations"][1]["instance"] = "9/abc"
    path.write_text(json.dumps(content))
    log = a_log(tmp_path / "log.csv", ("abc", 1, 1, 10, 10), ("1", 1, 1, 20, 20))

    clicks = read_any_clicks(log, [path])

    assert [click.object_stem for click in clicks] == ["2", "1"]


def test_the_published_layout_is_read_by_the_same_door(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text(
        "dataset,image_stem,object_stem,model_type,click_type,full_stem,device,x,y,w,h\n"
        "tiny,0,1,,first,0_______1,pc,3,4,80,60\n"
    )

    assert not is_click_log(path)
    assert [click.x for click in read_any_clicks(path, [])] == [3]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (("b", "", 1, 1, 1), "line 2: `round` must be a number"),
        (("b", 1, "maybe", 1, 1), "line 2: `positive` must be 1 or 0"),
        (("b", 1, 1, "x", 1), "line 2: `x` must be a number"),
    ],
)
def test_a_wrong_row_is_named(
    export: Path, tmp_path: Path, row: tuple[str, object, object, object, object], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        read_any_clicks(a_log(tmp_path / "log.csv", row), [export])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        read_any_clicks(tmp_path / "nowhere.csv", [])
