"""A Label Studio in memory, with everything that campaigns ask of it, and a model for their masks.

It answers as the real one does where that matters: an annotation's time
is that of its last change, and a webhook carries the annotation, its task and its project.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from remask_campaigns.rounds.mask_jobs import MaskJob, NoMask
from remask_core.errors import NotFound, Unavailable
from remask_core.history import prompts_of
from remask_core.rle_coco import decode_coco_rle, encode_coco_counts
from remask_core.types import Box
from remask_label_studio.api import BackendAddress, ImportedPrediction, ProjectRef
from remask_storage.campaign import CampaignInstance, Mask

SHAPE_HW = (40, 50)

Made = TypeVar("Made")


class Killed(BaseException):
    """What a process that is killed would not see either."""


class FakeStudio:
    """A `LabelStudioApi` in memory.

    Attributes:
        url: Where it would be.
        calls: How many calls changed, or were about to change, something.
        kill_at: The call that is the last: None for never.
        kill_after: Whether that call is still carried out.
        replies_lost: How many of the next annotations are stored without an answer arriving.
        events: Bodies of the webhooks that were sent, in order.
        files: What was uploaded, by address.
        gives_ids_again: Whether ids of deleted projects and tasks are used again, as the real one
            does on SQLite.
        people: Users by e-mail address.
    """

    def __init__(self) -> None:
        self.url = "http://studio.test"
        self.projects: dict[int, dict[str, Any]] = {}
        self.tasks: dict[int, dict[str, Any]] = {}
        self.calls = 0
        self.kill_at: int | None = None
        self.kill_after = False
        self.replies_lost = 0
        self.events: list[bytes] = []
        self.files: dict[str, bytes] = {}
        self.gives_ids_again = False
        self.people: dict[str, int] = {}
        self._next = 0
        self._now = datetime(2026, 11, 21, tzinfo=timezone.utc)

    # Projects

    def projects_titled(self, title: str) -> list[int]:
        return sorted(n for n, project in self.projects.items() if project["title"] == title)

    def projects_beginning(self, title: str) -> list[ProjectRef]:
        return [
            ProjectRef(
                number,
                project["title"],
                project["description"],
                project["model_version"],
                float(number),
            )
            for number, project in sorted(self.projects.items())
            if project["title"].startswith(title)
        ]

    def create_project(
        self,
        title: str,
        *,
        label_config: str,
        instructions: str = "",
        description: str = "",
        maximum_annotations: int = 1,
    ) -> int:
        def make() -> int:
            number = self._new()
            self.projects[number] = {
                "title": title,
                "label_config": label_config,
                "instructions": instructions,
                "description": description,
                "maximum_annotations": maximum_annotations,
                "model_version": None,
                "webhooks": [],
                "backends": [],
            }
            return number

        return self._changing(make)

    def describe_project(self, project_id: int, description: str) -> None:
        self._changing(lambda: self._project(project_id).update(description=description))

    def delete_project(self, project_id: int) -> None:
        def delete() -> None:
            for task in self._of(project_id):
                del self.tasks[task["id"]]
            del self.projects[project_id]
            if self.gives_ids_again:
                self._next = max([0, *self.projects, *self.tasks])

        self._changing(delete)

    def label_config(self, project_id: int) -> str:
        return str(self._project(project_id)["label_config"])

    def serve_folder(self, project_id: int, folder: Path) -> None:
        self._changing(lambda: self._project(project_id).update(folder=folder))

    def show_model_version(self, project_id: int, model_version: str) -> None:
        self._changing(lambda: self._project(project_id).update(model_version=model_version))

    def add_webhook(self, project_id: int, backend: BackendAddress) -> None:
        self._changing(lambda: self._project(project_id)["webhooks"].append(backend.url))

    def add_backend(self, project_id: int, backend: BackendAddress) -> int:
        self._changing(lambda: self._project(project_id)["backends"].append(backend.url))
        return self._new()

    # Tasks

    def import_whole_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        self._project(project_id)
        return self._changing(lambda: [self._task(project_id, task) for task in tasks])

    def upload_files(self, project_id: int, files: Sequence[tuple[str, bytes]]) -> list[str]:
        def keep() -> list[str]:
            named = {
                f"/data/upload/{project_id}/{self._new()}-{name}": file for name, file in files
            }
            self.files |= named
            return list(named)

        self._project(project_id)
        return self._changing(keep)

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for task in self._of(project_id):
            yield task["id"], copy.deepcopy(task["data"])

    def task_page(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        tasks = self._of(project_id)
        return copy.deepcopy(tasks[(page - 1) * page_size : page * page_size]), len(tasks)

    def task_states(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        tasks, total = self.task_page(project_id, page=page, page_size=page_size)
        return [task | {"annotations": []} for task in tasks], total

    def change_task_data(self, task_id: int, data: Mapping[str, Any]) -> None:
        self._changing(lambda: self.tasks[task_id].update(data=copy.deepcopy(dict(data))))

    # Predictions and tabs

    def model_version(self, project_id: int) -> str:
        return self._project(project_id)["model_version"] or ""

    def import_predictions(
        self, project_id: int, predictions: Sequence[ImportedPrediction]
    ) -> None:
        def store() -> None:
            for given in predictions:
                self.tasks[given.task_id]["predictions"].append(
                    {
                        "id": self._new(),
                        "model_version": given.model_version,
                        "score": given.score,
                        "result": list(given.result),
                    }
                )
            self._project(project_id)["model_version"] = predictions[0].model_version

        self._changing(store)

    def change_score(self, prediction_id: int, score: float | None) -> None:
        self._changing(lambda: self._prediction(prediction_id)[1].update(score=score))

    def delete_prediction(self, prediction_id: int) -> None:
        task, prediction = self._prediction(prediction_id)
        self._changing(lambda: task["predictions"].remove(prediction))

    def put_tab(self, project_id: int, tab: Mapping[str, Any]) -> None:
        tabs = self._project(project_id).setdefault("tabs", {})
        self._changing(lambda: tabs.update({tab["title"]: dict(tab)}))

    def delete_tab(self, project_id: int, title: str) -> None:
        tabs = self._project(project_id).setdefault("tabs", {})
        self._changing(lambda: tabs.pop(title, None))

    def delete_task(self, task_id: int) -> None:
        self._changing(lambda: self.tasks.pop(task_id, None))

    # People

    def users(self) -> dict[str, int]:
        return dict(self.people)

    def add_user(self, address: str, *, name: str) -> int:
        self.people[address] = self._new()
        return self.people[address]

    # What annotators do

    def annotate(
        self,
        task_id: int,
        *,
        result: Sequence[Mapping[str, Any]],
        skipped: bool = False,
        lead_time_s: float = 8.0,
        user: int = 1,
    ) -> int:
        annotation = {
            "id": self._new(),
            "task": task_id,
            "completed_by": user,
            "result": copy.deepcopy(list(result)),
            "was_cancelled": skipped,
            "lead_time": lead_time_s,
            "updated_at": self._tick(),
        }
        self.tasks[task_id]["annotations"].append(annotation)
        self._send("ANNOTATION_CREATED", task_id, annotation)
        if self.replies_lost:
            self.replies_lost -= 1
            raise Unavailable(f"Label Studio at {self.url} does not answer: timed out")
        return int(annotation["id"])

    def change(self, annotation_id: int, result: Sequence[Mapping[str, Any]]) -> None:
        task, annotation = self._annotation(annotation_id)
        annotation["result"] = copy.deepcopy(list(result))
        annotation["was_cancelled"] = False
        annotation["updated_at"] = self._tick()
        self._send("ANNOTATION_UPDATED", task["id"], annotation)

    def withdraw(self, annotation_id: int) -> None:
        task, annotation = self._annotation(annotation_id)
        task["annotations"].remove(annotation)
        body = {
            "action": "ANNOTATIONS_DELETED",
            "annotations": [{"id": annotation_id}],
            "project": {"id": task["project"]},
        }
        self.events.append(json.dumps(body).encode())

    # Looking on

    def titled(self, title: str) -> list[dict[str, Any]]:
        """Tasks of the only project of this title."""
        (number,) = self.projects_titled(title)
        return self._of(number)

    def _project(self, project_id: int) -> dict[str, Any]:
        if project_id not in self.projects:
            raise NotFound(f"no project {project_id}")
        return self.projects[project_id]

    def _of(self, project_id: int) -> list[dict[str, Any]]:
        self._project(project_id)
        return [task for _, task in sorted(self.tasks.items()) if task["project"] == project_id]

    def _annotation(self, annotation_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        for task in self.tasks.values():
            for annotation in task["annotations"]:
                if annotation["id"] == annotation_id:
                    return task, annotation
        raise NotFound(f"no annotation {annotation_id}")

    def _prediction(self, prediction_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        for task in self.tasks.values():
            for prediction in task["predictions"]:
                if prediction["id"] == prediction_id:
                    return task, prediction
        raise NotFound(f"no prediction {prediction_id}")

    def _task(self, project_id: int, task: Mapping[str, Any]) -> int:
        number = self._new()
        whole = copy.deepcopy(dict(task))
        whole |= {"id": number, "project": project_id}
        whole["predictions"] = [
            {"id": self._new(), "score": None, "model_version": "", **given}
            for given in whole.get("predictions", [])
        ]
        whole["annotations"] = [
            {"id": self._new(), "task": number, "completed_by": 1, "was_cancelled": False, **given}
            for given in whole.get("annotations", [])
        ]
        self.tasks[number] = whole
        return number

    def _send(self, action: str, task_id: int, annotation: dict[str, Any]) -> None:
        task = self.tasks[task_id]
        body = {
            "action": action,
            "annotation": {**annotation, "project": task["project"]},
            "project": {"id": task["project"]},
            "task": {"id": task_id, "data": task["data"]},
        }
        self.events.append(json.dumps(body).encode())

    def _tick(self) -> str:
        self._now += timedelta(seconds=1)
        return self._now.isoformat().replace("+00:00", "Z")

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _changing(self, make: Callable[[], Made]) -> Made:
        self.calls += 1
        is_last = self.calls == self.kill_at
        if is_last and not self.kill_after:
            raise Killed
        made = make()
        if is_last:
            raise Killed
        return made


class DiskMaker:
    """A model that draws the box, adds a disk for each positive click and cuts one for each other.

    Attributes:
        asked: Instance and round of each job, in order.
        fails: Instances that it cannot do.
    """

    def __init__(self, fails: Iterable[str] = ()) -> None:
        self.asked: list[tuple[str, int]] = []
        self.fails = set(fails)

    def __call__(self, jobs: Iterable[MaskJob]) -> Iterator[Mask | NoMask]:
        for job in jobs:
            self.asked.append((job.instance.id, job.round))
            if job.instance.id in self.fails:
                yield NoMask(job.instance.id, job.round, "the image is gone")
                continue
            counts = encode_coco_counts(disk_mask(job))
            yield Mask(job.instance.id, job.round, counts, 0.5, "disk@1")


def disk_mask(job: MaskJob) -> np.ndarray:
    """The mask that `DiskMaker` draws."""
    height, width = job.instance.shape_hw
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), dtype=np.bool_)
    if job.prior is not None:
        mask = decode_coco_rle({"size": [height, width], "counts": job.prior})
    *_, prompt = prompts_of(job.steps)
    if prompt.box is not None and job.prior is None:
        box = prompt.box
        mask |= (columns >= box.x0) & (columns < box.x1) & (rows >= box.y0) & (rows < box.y1)
    for click in prompt.clicks:
        disk = (columns - click.x) ** 2 + (rows - click.y) ** 2 <= 16
        mask = mask | disk if click.positive else mask & ~disk
    return mask


def sample_instances(
    count: int, *, images: int = 2, shape_hw: tuple[int, int] = SHAPE_HW
) -> list[CampaignInstance]:
    """Instances `i0`, `i1`, … on so many images, of classes cat and dog."""
    return [
        CampaignInstance(
            id=f"i{n}",
            image=f"/data/local-files/?d=images/{n % images}.png",
            shape_hw=shape_hw,
            label=("cat", "dog")[n % 2],
            box=Box(2.0 + n % 7, 3.0, 30.0 + n % 7, 30.0),
            source_task=n % images,
            source_id=f"b{n}",
        )
        for n in range(count)
    ]
