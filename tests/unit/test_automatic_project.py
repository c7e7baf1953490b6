"""Automatic masks of a project and of a folder, without a Label Studio and with a toy model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fakes import ToySegmenter, write_image

from remask_campaigns.automatic.folder_masks import mask_folder
from remask_campaigns.automatic.project_masks import AutomaticPlan, predict_project
from remask_core.errors import InputError, NotFound, Unavailable
from remask_core.images import image_size
from remask_core.left_out import LeftOut
from remask_core.rle_coco import decode_coco_rle
from remask_core.rle_ls import decode_ls_rle
from remask_images.image_store import StoredImage
from remask_label_studio.api import ImportedPrediction
from remask_masks.automatic.generate import AutomaticSettings
from remask_worker.thread_engine import ThreadEngine

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<{kind} name="mask" toName="image">{labels}</{kind}>'
    '<RectangleLabels name="rect" toName="image" smart="true">{labels}</RectangleLabels></View>'
)
ALL = AutomaticSettings(points_per_side=2, min_score=0, min_stability=0, box_nms=1.0)
PLAN = AutomaticPlan(model=ToySegmenter.version, settings=ALL)


def config(*classes: str, kind: str = "BrushLabels") -> str:
    labels = "".join(f'<Label value="{name}"/>' for name in classes)
    return CONFIG.format(kind=kind, labels=labels)


class Project:
    """A project in memory; it may stop after so many predictions, as on Ctrl+C."""

    def __init__(self, n_tasks: int, xml: str = config("cat")) -> None:
        self.xml = xml
        self.tasks = {n: {"image": f"{n}.png"} for n in range(1, n_tasks + 1)}
        self.annotated: set[int] = set()
        self.predictions: list[ImportedPrediction] = []
        self.shown = ""
        self.stop_after: int | None = None

    def label_config(self, project_id: int) -> str:
        return self.xml

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from self.tasks.items()

    def annotated_tasks(self, project_id: int) -> set[int]:
        return self.annotated

    def predicted_tasks(self, project_id: int, model_version: str) -> set[int]:
        return {p.task_id for p in self.predictions if p.model_version == model_version}

    def import_predictions(
        self, project_id: int, predictions: Sequence[ImportedPrediction]
    ) -> None:
        if self.stop_after is not None and len(self.predictions) >= self.stop_after:
            raise KeyboardInterrupt
        self.predictions += predictions
        self.shown = predictions[-1].model_version

    def show_model_version(self, project_id: int, model_version: str) -> None:
        self.shown = model_version


class Folder:
    """Images that `write_image` makes; addresses in `gone` cannot be had."""

    def __init__(self, folder: Path, gone: dict[str, Exception] | None = None) -> None:
        self.folder = folder
        self.gone = gone or {}

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        if url in self.gone:
            raise self.gone[url]
        path = write_image(self.folder, int(Path(url).stem))
        return StoredImage(url, path, image_size(path.read_bytes()))


@pytest.fixture
def engine() -> Iterator[ThreadEngine]:
    opened = ThreadEngine(ToySegmenter())
    yield opened
    opened.close()


def regions(prediction: ImportedPrediction) -> list[dict[str, Any]]:
    return json.loads(msgspec.json.encode(prediction.result))


def test_every_task_gets_its_masks_as_regions_of_the_only_class(
    engine: ThreadEngine, tmp_path: Path
) -> None:
    project = Project(2)

    done = predict_project(project, engine, Folder(tmp_path), 1, PLAN)

    assert (2, 2, 8, 0) == (done.tasks, done.predicted, done.masks, done.left_out)
    for prediction in project.predictions:
        found = regions(prediction)
        assert [["cat"]] * 4 == [region["value"]["brushlabels"] for region in found]
        assert len({region["id"] for region in found}) == 4
        assert {("mask", "image", "brushlabels", "prediction")} == {
            tuple(region[key] for key in ("from_name", "to_name", "type", "origin"))
            for region in found
        }
        mask = decode_ls_rle(found[0]["value"]["rle"], shape_hw=(40, 50))
        radius = 5 + prediction.task_id
        assert mask[10, 12]
        assert not mask[10, 12 + radius + 2]


def test_a_second_run_makes_nothing_twice_and_another_plan_is_another_prediction(
    engine: ThreadEngine, tmp_path: Path
) -> None:
    project = Project(2)
    predict_project(project, engine, Folder(tmp_path), 1, PLAN)
    first = [regions(prediction) for prediction in project.predictions]

    again = predict_project(project, engine, Folder(tmp_path), 1, PLAN)
    assert (2, 0) == (again.before, again.predicted)
    other = AutomaticPlan(model=PLAN.model, settings=ALL, best=1)
    predict_project(project, engine, Folder(tmp_path), 1, other)

    assert other.model_version == project.shown != PLAN.model_version
    assert [4, 4, 1, 1] == [len(regions(prediction)) for prediction in project.predictions]
    assert [found[0]["id"] for found in first] == [
        regions(prediction)[0]["id"] for prediction in project.predictions[2:]
    ]


def test_a_run_that_was_stopped_goes_on(engine: ThreadEngine, tmp_path: Path) -> None:
    project = Project(5)
    project.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        predict_project(project, engine, Folder(tmp_path), 1, PLAN)
    project.stop_after = None

    done = predict_project(project, engine, Folder(tmp_path), 1, PLAN)

    assert (2, 3) == (done.before, done.predicted)
    assert [1, 2, 3, 4, 5] == [prediction.task_id for prediction in project.predictions]


def test_annotated_tasks_are_left_alone(engine: ThreadEngine, tmp_path: Path) -> None:
    project = Project(3)
    project.annotated = {2}

    done = predict_project(project, engine, Folder(tmp_path), 1, PLAN)

    assert (1, [1, 3]) == (done.annotated, [p.task_id for p in project.predictions])


def test_an_image_that_is_gone_is_named_and_the_others_are_done(
    engine: ThreadEngine, tmp_path: Path
) -> None:
    project, left = Project(3), []
    source = Folder(tmp_path, {"2.png": NotFound("there is no image 2.png")})

    done = predict_project(project, engine, source, 1, PLAN, left_out=left.append)

    assert (2, 1) == (done.predicted, done.left_out)
    assert [LeftOut("2", "no-prediction", "there is no image 2.png")] == left


def test_when_no_image_can_be_had_the_run_ends(engine: ThreadEngine, tmp_path: Path) -> None:
    gone = {f"{n}.png": Unavailable("the storage is away") for n in range(1, 21)}
    with pytest.raises(Unavailable, match="the storage is away"):
        predict_project(Project(20), engine, Folder(tmp_path, gone), 1, PLAN)


def test_of_several_classes_none_is_guessed_and_one_can_be_asked_for(
    engine: ThreadEngine, tmp_path: Path
) -> None:
    project = Project(1, config("cat", "dog"))
    predict_project(project, engine, Folder(tmp_path), 1, PLAN)
    dogs = AutomaticPlan(model=PLAN.model, settings=ALL, label="dog")
    predict_project(project, engine, Folder(tmp_path), 1, dogs)

    assert [[], ["dog"]] == [
        regions(prediction)[0]["value"]["brushlabels"] for prediction in project.predictions
    ]
    with pytest.raises(InputError, match="cat, dog; got 'cow'"):
        predict_project(
            project,
            engine,
            Folder(tmp_path),
            1,
            AutomaticPlan(model=PLAN.model, settings=ALL, label="cow"),
        )


def test_a_bitmask_page_gets_bitmasks(engine: ThreadEngine, tmp_path: Path) -> None:
    project = Project(1, config("cat", kind="BitmaskLabels"))

    predict_project(project, engine, Folder(tmp_path), 1, PLAN)

    (prediction,) = project.predictions
    assert all(
        region["value"]["imageDataURL"].startswith("data:image/png")
        for region in regions(prediction)
    )


def test_all_images_of_a_task_are_masked(engine: ThreadEngine, tmp_path: Path) -> None:
    project = Project(1, config("cat").replace('value="$image"', 'valueList="$images"'))
    project.tasks = {1: {"images": ["1.png", "2.png"]}}

    predict_project(project, engine, Folder(tmp_path), 1, PLAN)

    (prediction,) = project.predictions
    assert [0] * 4 + [1] * 4 == [region["item_index"] for region in regions(prediction)]


# ---- folders


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for mark, place in ((1, folder), (2, folder / "more")):
        shutil.copy(write_image(tmp_path, mark), place / f"{mark}.png")
    return folder


def test_a_folder_becomes_one_coco_file(engine: ThreadEngine, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks.json"

    done = mask_folder(engine, photos, out, PLAN)

    coco = json.loads(out.read_text())
    assert (2, 8) == (done.images, done.masks)
    assert ["1.png", "more/2.png"] == [image["file_name"] for image in coco["images"]]
    assert [{"id": 1, "name": "object"}] == coco["categories"]
    for annotation in coco["annotations"]:
        mask = decode_coco_rle(annotation["segmentation"])
        rows, columns = np.nonzero(mask)
        assert annotation["area"] == mask.sum()
        assert [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1] == annotation[
            "bbox"
        ]
    assert not list(tmp_path.glob("masks.json.*"))


def test_a_folder_goes_on_where_it_stopped_but_not_with_another_image_or_plan(
    engine: ThreadEngine, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks.json"

    def stop(what: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    def run(plan: AutomaticPlan = PLAN) -> int:
        return mask_folder(engine, photos, out, plan).before

    def stopped() -> None:
        with pytest.raises(KeyboardInterrupt):
            mask_folder(engine, photos, out, PLAN, on_progress=stop)

    stopped()
    with (tmp_path / "masks.json.part").open("ab") as file:
        file.write(b'{"cut sho')
    assert run() == 1

    stopped()
    assert run(AutomaticPlan(model="toy@2", settings=ALL)) == 0

    stopped()
    shutil.copy(write_image(tmp_path, 9), photos / "1.png")
    assert run() == 0
    mask = json.loads(out.read_text())["annotations"][0]
    # The radius of the toy's disks, 5 px and the image's mark, says which image was looked at.
    assert mask["bbox"][3] == 10 + 5 + 9


def test_a_file_that_is_no_image_is_named(
    engine: ThreadEngine, photos: Path, tmp_path: Path
) -> None:
    (photos / "bad.jpg").write_bytes(b"nothing")
    left: list[LeftOut] = []

    done = mask_folder(engine, photos, tmp_path / "m.json", PLAN, left_out=left.append)

    assert (2, 1, ["bad.jpg"]) == (done.images, done.left_out, [file.name for file in left])


def test_a_folder_must_be_there_and_hold_images(engine: ThreadEngine, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="must be a folder of images"):
        mask_folder(engine, tmp_path / "none", tmp_path / "m.json", PLAN)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="must hold images"):
        mask_folder(engine, tmp_path / "empty", tmp_path / "m.json", PLAN)
    write_image(tmp_path, 1)
    with pytest.raises(InputError, match="`out` must be writable"):
        mask_folder(engine, tmp_path, tmp_path / "no" / "m.json", PLAN)
