"""The project of the demo in Label Studio: photos, their first masks, and the backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from remask_cli.demo.photos import FOLDER, Photo, classes, live_photos
from remask_core.errors import Unavailable
from remask_label_config import parse_labelling_config
from remask_label_config.editor_prompts import box_prompt
from remask_label_config.pages.live import write_labelling_config
from remask_label_studio.api import BackendAddress, ImportedPrediction
from remask_label_studio.client import Connection

__all__ = ["DemoProject", "Progress", "open_project"]

TITLE = "remask demo"
# A project has this title until it is whole, so that a start that was cut short leaves nothing
# that a later one takes for the demo.
UNFINISHED_TITLE = "remask demo (being prepared)"
TASKS_PER_REQUEST = 4
PREANNOTATION_TIMEOUT_S = 900.0
RETRY_S = 1.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class DemoProject:
    """A project that is ready to be worked on.

    Attributes:
        project_id: In Label Studio.
        backend_id: Of the registered backend.
        label_config: XML.
        tasks: Task id and its photo, in the order of the photos.
        existed: Whether it was there before, with whatever work was done in it.
    """

    project_id: int
    backend_id: int
    label_config: str
    tasks: tuple[tuple[int, Photo], ...]
    existed: bool


def open_project(
    connection: Connection, backend: BackendAddress, *, progress: Progress
) -> DemoProject:
    """Return the demo's project, made anew unless an earlier run has made it.

    Args:
        connection: To the demo's Label Studio.
        backend: Already answering.
        progress: Called with how many photos have their masks, of how many.
    """
    for leftover in connection.projects_titled(UNFINISHED_TITLE):
        connection.delete_project(leftover)
    earlier = connection.projects_titled(TITLE)
    project_id = earlier[-1] if earlier else _create(connection, backend, progress)
    # Last: predictions must be there before the backend is (see Connection.import_predictions).
    # Anew each time, because port and password may have changed.
    backend_id = connection.add_backend(project_id, backend)
    by_file = {photo.file: photo for photo in live_photos()}
    tasks = [
        (task["id"], by_file[task["data"]["photo"]]) for task in connection.export_tasks(project_id)
    ]
    return DemoProject(
        project_id=project_id,
        backend_id=backend_id,
        label_config=connection.label_config(project_id),
        tasks=tuple(tasks),
        existed=bool(earlier),
    )


def _create(connection: Connection, backend: BackendAddress, progress: Progress) -> int:
    label_config = write_labelling_config(classes())
    project_id = connection.create_project(UNFINISHED_TITLE, label_config=label_config)
    connection.serve_folder(project_id, FOLDER)
    wanted = live_photos()
    task_ids = connection.import_tasks(project_id, [_task_data(photo) for photo in wanted])
    predictions = _preannotate(
        backend, project_id, label_config, list(zip(task_ids, wanted, strict=True)), progress
    )
    connection.import_predictions(project_id, predictions)
    connection.rename_project(project_id, TITLE)
    return project_id


def _task_data(photo: Photo) -> dict[str, Any]:
    return {
        "image": f"/data/local-files/?d={FOLDER.name}/{photo.file}",
        "photo": photo.file,
        "licence": f"COCO {photo.coco_id}, {photo.licence}, {photo.licence_url}",
    }


def _preannotate(
    backend: BackendAddress,
    project_id: int,
    label_config: str,
    tasks: Sequence[tuple[int, Photo]],
    progress: Progress,
) -> list[ImportedPrediction]:
    """Return one prediction per task: the backend's mask for each of the photo's boxes."""
    auth = (backend.user, backend.password or "") if backend.user is not None else None
    done: list[ImportedPrediction] = []
    with httpx.Client(
        base_url=backend.url, auth=auth, timeout=PREANNOTATION_TIMEOUT_S, trust_env=False
    ) as client:
        while len(done) < len(tasks):
            progress(len(done), len(tasks))
            group = tasks[len(done) : len(done) + TASKS_PER_REQUEST]
            body = {
                "tasks": [_boxed_task(task_id, photo, label_config) for task_id, photo in group],
                "project": f"{project_id}.0",
                "label_config": label_config,
            }
            done += [
                ImportedPrediction(
                    task_id=task_id,
                    result=answer["result"],
                    score=answer["score"],
                    model_version=answer["model_version"],
                )
                for (task_id, _), answer in zip(group, _ask(client, body), strict=True)
            ]
    progress(len(done), len(tasks))
    return done


def _boxed_task(task_id: int, photo: Photo, label_config: str) -> dict[str, Any]:
    controls = parse_labelling_config(label_config).images[0]
    boxes = [
        box_prompt(
            item.box, item.label, prompt_id=f"box{n}", controls=controls, shape_hw=photo.shape_hw
        )
        for n, item in enumerate(photo.objects)
    ]
    return {"id": task_id, "data": _task_data(photo), "predictions": [{"result": boxes}]}


def _ask(client: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one answer with masks per task, asking again while the model is still starting."""
    end = time.monotonic() + PREANNOTATION_TIMEOUT_S
    answered = "nothing"
    while time.monotonic() < end:
        try:
            response = client.post("/predict", json=body)
        except httpx.HTTPError as error:
            raise Unavailable(f"the backend does not answer: {error}") from error
        if response.is_success:
            answers: list[Any] = response.json()["results"]
            if all(answer and answer["result"] for answer in answers):
                return answers
        elif response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        answered = response.text[:300]
        time.sleep(RETRY_S)
    raise Unavailable(f"the backend gave no masks for the demo's boxes; it answered: {answered}")
