"""What is exported for Label Studio goes into the real one, and comes out of it as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ls_export import annotation, click_region, mask_region, task, write_export
from studio import Studio

from remask_exports.export import export
from remask_exports.fetch import fetch
from remask_exports.formats.coco import COCO
from remask_exports.formats.label_studio import LABEL_STUDIO, LABEL_STUDIO_ANNOTATIONS

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>
<KeyPointLabels name="kp" toName="image"><Label value="Cat"/></KeyPointLabels></View>"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    mask = np.zeros((60, 80), np.bool_)
    mask[10:40, 20:60] = True
    mask[20:30, 30:40] = False
    regions = [
        mask_region("m", mask, score=0.5, meta={"instance": "ins_1", "outcome": "corrected"}),
        click_region("k", "m", 50, 50, n=0),
    ]
    return write_export(tmp_path / "source.json", [task(1, annotation(regions))])


@pytest.fixture
def ranks(tmp_path: Path) -> Path:
    path = tmp_path / "ranks.csv"
    path.write_text("instance,predicted_iou,rank\nins_1,0.75,1\n")
    return path


def row(folder: Path) -> dict[str, object]:
    [only] = json.loads((folder / "instances.json").read_text())["annotations"]
    return {name: value for name, value in only.items() if name != "annotator"}


def test_finished_annotations_come_out_as_they_went_in(
    studio: Studio, source: Path, ranks: Path, tmp_path: Path
) -> None:
    export(source, LABEL_STUDIO_ANNOTATIONS, out=tmp_path / "again", ranks=ranks)
    project = studio.connection.create_project("again", label_config=CONFIG)
    tasks = json.loads((tmp_path / "again" / "tasks.json").read_text())
    studio.connection.import_whole_tasks(project, tasks)
    fetch(studio.connection, project, out=tmp_path / "fetched.json")

    for path, name in ((source, "before"), (tmp_path / "fetched.json", "after")):
        export(path, COCO, out=tmp_path / name, ranks=ranks)
    assert row(tmp_path / "after") == row(tmp_path / "before")
    [(_, data)] = studio.connection.task_data(project)
    assert (data["rank"], data["predicted_iou"], data["instances"]) == (1, 0.75, 1)


@pytest.mark.parametrize("ranked", [True, False])
def test_predictions_are_taken_with_their_score_or_without(
    studio: Studio, source: Path, ranks: Path, tmp_path: Path, ranked: bool
) -> None:
    export(source, LABEL_STUDIO, out=tmp_path / "again", ranks=ranks if ranked else None)
    project = studio.connection.create_project("predicted", label_config=CONFIG)
    tasks = json.loads((tmp_path / "again" / "tasks.json").read_text())
    studio.connection.import_whole_tasks(project, tasks)

    [stored], _ = studio.connection.task_page(project, page=1, page_size=10)
    [prediction] = stored["predictions"]
    assert prediction["score"] == (0.75 if ranked else None)
    assert [region["id"] for region in prediction["result"]] == ["m", "k"]
