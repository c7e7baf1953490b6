"""Embeddings before anybody clicks: of a project, and in the background of a service."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fakes import ToySegmenter, write_image

from remask_campaigns.automatic.precompute import Precomputed, precompute_project
from remask_core.errors import InputError, NotFound, Unavailable
from remask_core.images import image_size
from remask_core.left_out import LeftOut
from remask_images.image_store import StoredImage
from remask_label_studio.api import ImportedPrediction
from remask_service.logs import make_log
from remask_service.precompute import Background, project_number
from remask_service.predict.project_boxes import mask_boxes
from remask_service.settings import Settings
from remask_worker.calls import Lane
from remask_worker.embedding_files import EmbeddingFolder
from remask_worker.settings import WorkerSettings
from remask_worker.thread_engine import ThreadEngine

WAIT_S = 20
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="mask" toName="image"><Label value="cat"/></BrushLabels>'
    '<RectangleLabels name="rect" toName="image" smart="true"><Label value="cat"/>'
    "</RectangleLabels></View>"
)


class Project:
    """A project in memory; its tasks are those of Label Studio's API."""

    def __init__(self, *tasks: dict[str, Any]) -> None:
        self.tasks = tasks
        self.predictions: list[ImportedPrediction] = []

    def label_config(self, project_id: int) -> str:
        return CONFIG

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from ((task["id"], task["data"]) for task in self.tasks)

    def task_page(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        start = (page - 1) * page_size
        return list(self.tasks[start : start + page_size]), len(self.tasks)

    def annotated_tasks(self, project_id: int) -> set[int]:
        return set()

    def predicted_tasks(self, project_id: int, model_version: str) -> set[int]:
        return {p.task_id for p in self.predictions if p.model_version == model_version}

    def import_predictions(
        self, project_id: int, predictions: Sequence[ImportedPrediction]
    ) -> None:
        self.predictions += predictions

    def show_model_version(self, project_id: int, model_version: str) -> None:
        raise AssertionError


class Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gone: set[str] = set()

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        if url in self.gone:
            raise NotFound(f"there is no image {url}")
        path = write_image(self.folder, int(Path(url).stem))
        return StoredImage(url, path, image_size(path.read_bytes()))


def task(number: int, *, image: int | None = None, boxes: int = 0) -> dict[str, Any]:
    value = {"y": 10.0, "width": 20.0, "height": 50.0, "rotation": 0, "rectanglelabels": ["cat"]}
    result = [
        {
            "id": f"b{n}",
            "type": "rectanglelabels",
            "from_name": "rect",
            "to_name": "image",
            "value": {"x": 25.0 * n, **value},
        }
        for n in range(boxes)
    ]
    annotations = [{"id": number, "result": result}] if boxes else []
    data = {"image": f"{image or number}.png"}
    return {"id": number, "data": data, "annotations": annotations, "predictions": []}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ThreadEngine]:
    settings = WorkerSettings(model="toy", spill_dir=str(tmp_path / "embeddings"))
    opened = ThreadEngine(ToySegmenter(), settings)
    yield opened
    opened.close()


def on_disk(folder: Path, *image_ids: str) -> list[bool]:
    kept = EmbeddingFolder(
        folder / "embeddings", max_bytes=1 << 30, model_version=ToySegmenter.version
    )
    found = [image_id in kept for image_id in image_ids]
    kept.close()
    return found


# ---- a project


def test_each_image_is_encoded_once_and_is_on_disk(engine: ThreadEngine, tmp_path: Path) -> None:
    project = Project(task(1), task(2), task(3, image=1))

    first = precompute_project(project, engine, Folder(tmp_path), 7)
    again = precompute_project(project, engine, Folder(tmp_path), 7)

    assert (3, 3, 2) == (first.tasks, first.images, first.encoded)
    assert (3, 0) == (again.images, again.encoded)
    assert {"1.png", "2.png"} == first.image_ids
    assert [True, True] == on_disk(tmp_path, "1.png", "2.png")


def test_what_cannot_be_encoded_is_named(engine: ThreadEngine, tmp_path: Path) -> None:
    source, left = Folder(tmp_path), []
    source.gone.add("2.png")

    done = precompute_project(
        Project(task(1), task(2), task(3)), engine, source, 7, left_out=left.append
    )

    assert (2, 1) == (done.images, done.left_out)
    assert [LeftOut("2", "no-embedding", "there is no image 2.png")] == left


def test_it_ends_between_images_when_nobody_wants_it(engine: ThreadEngine, tmp_path: Path) -> None:
    wanted = iter([True, True, False])

    done = precompute_project(
        Project(*map(task, range(1, 9))),
        engine,
        Folder(tmp_path),
        7,
        is_wanted=lambda: next(wanted),
    )

    assert (2, True) == (done.images, done.stopped)


def test_its_calls_wait_in_the_batch_lane(engine: ThreadEngine, tmp_path: Path) -> None:
    lanes: list[Lane] = []
    submit = engine.submit

    def noting(call: Any) -> Any:
        lanes.append(call.lane)
        return submit(call)

    engine.submit = noting  # type: ignore[method-assign]
    precompute_project(Project(task(1)), engine, Folder(tmp_path), 7)

    assert [Lane.BATCH] == lanes


# ---- masks of boxes


def test_tasks_with_boxes_get_their_masks_once(engine: ThreadEngine, tmp_path: Path) -> None:
    project = Project(*(task(n, boxes=n % 3) for n in range(1, 24)))
    version = ToySegmenter.version

    first = mask_boxes(project, engine, Folder(tmp_path), 7, version)
    again = mask_boxes(project, engine, Folder(tmp_path), 7, version)

    assert (23, 16, 7) == (first.tasks, first.predicted, first.without_boxes)
    assert (16, 0) == (again.before, again.predicted)
    for prediction in project.predictions:
        regions = msgspec.json.decode(msgspec.json.encode(prediction.result))
        masks = [region for region in regions if region["type"] == "brushlabels"]
        assert len(masks) == prediction.task_id % 3
        assert prediction.model_version == version


def test_a_box_on_an_image_that_is_gone_is_named(engine: ThreadEngine, tmp_path: Path) -> None:
    source, left = Folder(tmp_path), []
    source.gone.add("1.png")

    done = mask_boxes(
        Project(task(1, boxes=1), task(2, boxes=1)),
        engine,
        source,
        7,
        ToySegmenter.version,
        left_out=left.append,
    )

    assert (1, 1) == (done.predicted, done.left_out)
    assert [LeftOut("1", "no-prediction", "there is no image 1.png")] == left


# ---- in the background


class Work:
    """Work that a test lets go on, and that fails as it says."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.done: list[int] = []
        self.came = threading.Semaphore(0)

    def __call__(self, project_id: int, is_wanted: Any) -> Precomputed:
        assert is_wanted()
        self.done.append(project_id)
        self.came.release()
        if self.errors:
            raise self.errors.pop()
        return Precomputed()

    def wait(self) -> None:
        assert self.came.acquire(timeout=WAIT_S)


def background(work: Work, **other: Any) -> Background:
    return Background(work, log=make_log("ERROR"), **other)


def test_a_project_is_worked_on_once_in_ten_minutes() -> None:
    work, now = Work(), [0.0]
    running = background(work, clock=lambda: now[0])
    for project_id, at in ((7, 0.0), (7, 1.0), (8, 2.0), (7, 599.0), (7, 601.0)):
        now[0] = at
        running.note(project_id)
    for _ in range(3):
        work.wait()
    running.close()

    assert [7, 8, 7] == work.done


def test_a_failure_ends_neither_the_thread_nor_the_hope() -> None:
    work = Work(RuntimeError("a bug"), Unavailable("Label Studio is away"))
    running = background(work)
    running.note(7)
    work.wait()
    running.note(8)
    work.wait()
    # Project 8 came after 7 was given up, so 7 may be asked for again.
    running.note(7)
    work.wait()
    running.close()

    assert [7, 8, 7] == work.done


@pytest.mark.parametrize(
    ("named", "number"),
    [("7.1795197050", 7), ("7", 7), (7, 7), (None, None), ("", None), ("seven", None)],
)
def test_a_project_is_read_from_its_name(named: str | int | None, number: int | None) -> None:
    assert number == project_number(named)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "LABEL_STUDIO_API_KEY"),
        (
            {"LABEL_STUDIO_URL": "http://a", "LABEL_STUDIO_API_KEY": "k"},
            "REMASK_SPILL_MB",
        ),
    ],
)
def test_the_setting_needs_label_studio_and_room(environ: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings.from_environ({"REMASK_PRECOMPUTE": "on", **environ})


def test_a_switch_is_on_or_off() -> None:
    for text, value in (("on", True), ("OFF", False), ("true", True), ("0", False)):
        assert value is Settings.from_environ({"REMASK_AUTOMATIC_MASKS": text}).automatic_masks
    with pytest.raises(InputError, match="`on` or `off`; got 'perhaps'"):
        Settings.from_environ({"REMASK_AUTOMATIC_MASKS": "perhaps"})
