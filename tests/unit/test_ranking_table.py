from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import decode_coco_rle, encode_coco_rle
from remask_core.types import Click
from remask_ranking.features import features
from remask_ranking.table import Row, feature_rows, read_rows, write_rows

ROWS = [
    Row(instance='a, or "b"', round=1, features=(4, 1, 0.7, 12.5, 1 / 3), true_iou=0.75, score=0.9),
    Row(instance="ä", round=2, features=(0, 2, 1, 0, 0), weight=0.5),
    Row(
        instance="b",
        round=1,
        features=(2, 1, 0.5, 3, 2),
        label="cat, tabby",
        annotator=7,
        seconds=11.5,
        box_px=120.0,
        box_ratio=0.5,
        filled=0.25,
        score_before=0.5,
        true_iou_before=0.25,
        clicks_before=0,
    ),
]


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_rows(ROWS, path)

    assert read_rows(path) == ROWS
    assert feature_rows(read_rows(path)).shape == (3, 5)
    assert feature_rows([]).shape == (0, 5)


def test_columns_may_be_more_fewer_and_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "class,mean_distance_px,max_distance_px,iou_with_previous,n_clicks,round,instance\n"
        "cat,1,2,0.5,3,1,a\n"
    )

    assert read_rows(path) == [Row(instance="a", round=1, features=(3, 1, 0.5, 2, 1))]


def visit(**more: object) -> dict[str, object]:
    old, new = np.zeros((20, 30), np.bool_), np.zeros((20, 30), np.bool_)
    old[5:15, 5:15] = True
    new[5:15, 5:20] = True
    return {
        "instance": "a",
        "round": 1,
        "previous_mask": encode_coco_rle(old),
        "mask": encode_coco_rle(new),
        "clicks": [{"x": 17, "y": 10, "positive": True}],
        "box": [5, 5, 20, 15],
    } | more


def test_a_visit_tells_what_the_log_knows_beyond_the_ranking(tmp_path: Path) -> None:
    """The mask of 10 x 15 px lies in a box of 15 x 10 px; the truth is 20 px long."""
    truth = np.zeros((20, 30), np.bool_)
    truth[5:15, 5:25] = True
    path = tmp_path / "visits.jsonl"
    known = {"label": "cat", "annotator": 7, "seconds": 9.5, "score_before": 0.4}
    line = visit(truth=encode_coco_rle(truth), score=0.8, clicks_before=3, **known)
    path.write_text(json.dumps(line) + "\n")

    (row,) = read_rows(path)

    assert {name: getattr(row, name) for name in known} == known
    assert (row.box_px, row.box_ratio, row.filled) == (15.0, 10 / 15, 1.0)
    assert (row.true_iou_before, row.true_iou) == (0.5, 0.75)
    assert row.clicks_before == 3


def test_lines_with_masks_become_features(tmp_path: Path) -> None:
    truth = np.zeros((20, 30), np.bool_)
    truth[5:15, 5:25] = True
    lines = [visit(truth=encode_coco_rle(truth)), visit(instance="b", true_iou=0.5, score=0.8)]
    path = tmp_path / "visits.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")

    first, second = read_rows(path)

    # 3 of 15 pixels of the box are 77 of 385.
    assert first.features == pytest.approx((1, 1, 10 / 15, 77, 77))
    assert first.true_iou == 0.75
    assert (second.true_iou, second.score) == (0.5, 0.8)


def test_the_size_of_an_object_does_not_matter_where_there_is_a_box(tmp_path: Path) -> None:
    def large(mask: dict[str, object]) -> object:
        return encode_coco_rle(np.kron(decode_coco_rle(mask), np.ones((3, 3), np.bool_)))

    small = visit(instance="small")
    sizes = {name: large(small[name]) for name in ("previous_mask", "mask")}
    click = {"x": 53, "y": 31, "positive": True}
    lines = [small, visit(box=[15, 15, 60, 45], clicks=[click], **sizes)]
    path = tmp_path / "visits.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))

    first, second = read_rows(path)

    # A pixel is three; the click is on the outermost of them.
    assert second.features == pytest.approx(first.features)


def test_lines_with_features_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instance": "a", "round": 1, "features": [1, 1, 0.5, 2, 2]}\n')

    assert read_rows(path) == [Row(instance="a", round=1, features=(1, 1, 0.5, 2, 2))]


def test_the_features_of_a_table_are_those_of_the_function() -> None:
    line = visit()
    old, new = np.zeros((20, 30), np.bool_), np.zeros((20, 30), np.bool_)
    old[5:15, 5:15] = True
    new[5:15, 5:20] = True

    found = features(old, new, [Click(17, 10, True)], round_index=1)

    assert line["round"] == 1
    assert found.tolist() == [1, 1, 10 / 15, 3, 3]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rows.txt", "", ".csv or .jsonl"),
        ("rows.csv", "instance,round\na,1\n", "mean_distance_px"),
        ("rows.csv", "", "columns"),
        ("rows.jsonl", "{}\n", "line 1"),
        ("rows.jsonl", '{"instance": "a", "round": 0, "features": [1,1,1,1,1]}\n', "round"),
        ("rows.jsonl", '{"instance": "a", "round": 1, "features": [1,1,1]}\n', "features"),
        ("rows.jsonl", "[1]\n", "line 1"),
        ("rows.jsonl", "\n\nnonsense\n", "line 3"),
        ("rows.jsonl", json.dumps(visit(clicks=[{"x": 99, "y": 0, "positive": True}])), "clicks"),
        ("rows.jsonl", json.dumps(visit(mask={"size": [2, 2], "counts": "zzz"})), "counts"),
        ("rows.jsonl", json.dumps(visit()) + "\n" + json.dumps(visit()), "comes twice"),
        ("rows.jsonl", json.dumps(visit(true_iou=1.2)), "true_iou"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(InputError, match=words):
        read_rows(tmp_path / name)


def test_a_bad_number_in_a_csv_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_rows(ROWS, path)
    path.write_text(path.read_text().replace("12.5", "many"))

    with pytest.raises(InputError, match="line 2"):
        read_rows(path)


def test_a_missing_table_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_rows(tmp_path / "gone.csv")
