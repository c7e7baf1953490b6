"""`remask export` from a Label Studio export to each format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ls_export import annotation, click_region, mask_region, task, write_export
from typer.testing import CliRunner

from remask_cli.export import app
from remask_core.errors import InputError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tasks = []
    for number in range(1, 11):
        mask = np.zeros((30, 40), np.bool_)
        mask[5:15, number : number + 10] = True
        clicks = [click_region("c", "m", 50, 50, n=0)] if number % 2 else []
        label = "cat" if number < 6 else "dog"
        tasks.append(task(number, annotation([mask_region("m", mask, label), *clicks])))
    return write_export(tmp_path / "export.json", tasks)


@pytest.fixture
def ranks(tmp_path: Path) -> Path:
    lines = [f"{number}/m,{1 - number / 20},{number}" for number in range(1, 11)]
    path = tmp_path / "ranks.csv"
    path.write_text("\n".join(["instance,predicted_iou,rank", *lines]) + "\n")
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("form", "file"),
    [
        (("coco",), "instances.json"),
        (("openimages",), "segmentations.csv"),
        (("png",), "index.csv"),
        (("png", "--binary"), "index.csv"),
        (("yolo",), "data.yaml"),
        (("parquet",), "instances.parquet"),
        (("labelstudio",), "tasks.json"),
        (("labelstudio", "--annotations"), "tasks.json"),
    ],
)
def test_every_format_writes_its_folder(source, tmp_path, form, file) -> None:
    said = run(form[0], source, "--out", tmp_path / "out", *form[1:])

    assert (tmp_path / "out" / file).exists()
    assert (tmp_path / "out" / "manifest.json").exists()
    assert "10 instances on 10 images, 2 classes, from 10 tasks" in said


def test_every_condition_reaches_the_export(source, ranks, tmp_path) -> None:
    conditions = ["--ranks", ranks, "--top", 50, "--class", "cat", "--outcome", "corrected"]
    conditions += ["--annotator", 7, "--min-iou", 0.7, "--max-iou", 0.99]

    manifest = json.loads(run("coco", source, "--out", tmp_path / "out", "--json", *conditions))

    assert manifest["instances"] == 2
    assert manifest["selection"] == {
        "top_percent": 50,
        "min_iou": 0.7,
        "max_iou": 0.99,
        "classes": ["cat"],
        "annotators": [7],
        "outcomes": ["corrected"],
    }
    assert manifest["ranks"]["name"] == "ranks.csv"


def test_what_is_left_out_is_said(source, ranks, tmp_path) -> None:
    said = run("yolo", source, "--out", tmp_path / "out", "--ranks", ranks, "--bottom", 30)

    assert "3 instances" in said
    assert "left out, not-selected: rank: 7" in said


def test_ranks_are_needed_to_select_by_rank(source, tmp_path) -> None:
    with pytest.raises(InputError, match="ranks"):
        run("coco", source, "--out", tmp_path / "out", "--top", 50)


def test_known_categories_keep_their_ids(source, tmp_path) -> None:
    old = tmp_path / "old.json"
    old.write_text(json.dumps({"categories": [{"id": 9, "name": "dog"}]}))

    manifest = json.loads(
        run("coco", source, "--out", tmp_path / "out", "--categories", old, "--json")
    )

    assert manifest["categories"] == {"dog": 9, "cat": 10}
