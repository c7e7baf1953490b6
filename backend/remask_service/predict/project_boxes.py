"""Masks of a project's boxes as predictions, made before anybody opens a task.

The same answers as Label Studio's "Retrieve predictions", without its limit of 100 seconds: a few
tasks at a time, stored as they are done, and gone on with where an earlier run stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from remask_campaigns.automatic.project_masks import ProjectPredictions
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_core.progress import OnProgress, no_progress
from remask_images.image_source import ImageSource
from remask_label_config.bodies import decode_predict
from remask_label_studio.api import ImportedPrediction
from remask_service.predict.batch import Batch
from remask_service.predict.recorder import Recorder
from remask_service.predict.records import AnswerRecord
from remask_worker.calls import Engine, Lane

__all__ = ["MaskedBoxes", "ProjectTasks", "mask_boxes"]

_TASKS_AT_ONCE = 10
_PATIENCE_S = 3600.0
_WINDOW = 16


class ProjectTasks(ProjectPredictions, Protocol):
    """Label Studio, as far as the boxes of a project's tasks need it."""

    def task_page(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return one page of the project's tasks with annotations, and how many tasks it has."""


@dataclass(slots=True)
class MaskedBoxes:
    """What became of a project's tasks.

    Attributes:
        tasks: In the project.
        before: Had a prediction of this model already.
        without_boxes: Have no box.
        predicted: Got a prediction now.
        left_out: Have boxes, and no prediction because of their image or because of the model.
    """

    tasks: int = 0
    before: int = 0
    without_boxes: int = 0
    predicted: int = 0
    left_out: int = 0


class _Answer(msgspec.Struct):
    result: list[msgspec.Raw] = []
    score: float = 0.0
    model_version: str = ""


def mask_boxes(
    studio: ProjectTasks,
    engine: Engine,
    images: ImageSource,
    project_id: int,
    model_version: str,
    *,
    on_progress: OnProgress = no_progress,
    left_out: OnLeftOut = ignore_left_out,
) -> MaskedBoxes:
    """Give each task with boxes a prediction with a mask for each of them.

    Args:
        studio: Label Studio.
        engine: Answers the calls, in the batch lane.
        images: Turns addresses into files.
        project_id: Of the project.
        model_version: Of the engine's model; tasks with a prediction of it are left alone.
        on_progress: Called after each few tasks.
        left_out: Called with each task that has boxes and gets no prediction.

    Raises:
        InputError: The labelling config lacks something.
        NotFound: There is no such project.
        Unavailable: Label Studio cannot be had now.
    """
    xml = studio.label_config(project_id)
    before = studio.predicted_tasks(project_id, model_version)
    failures: dict[int | None, str] = {}

    def note(record: AnswerRecord) -> None:
        if record.outcome == "failed":
            failures[record.task] = record.detail

    recorder = Recorder(clock=time.time, new_id=lambda: "", on_answer=note)
    batch = Batch(
        engine, images, clock=time.time, recorder=recorder, wait=time.sleep, window=_WINDOW
    )
    done = MaskedBoxes()
    for tasks, total in _pages(studio, project_id):
        todo = [task for task in tasks if task["id"] not in before]
        done.tasks += len(tasks)
        done.before += len(tasks) - len(todo)
        body = {"tasks": todo, "label_config": xml, "project": str(project_id)}
        request = decode_predict(msgspec.json.encode({**body, "params": {"context": None}}))
        answers = batch.answer(request, lane=Lane.BATCH, limit_s=_PATIENCE_S) if todo else []
        made: list[ImportedPrediction] = []
        for task, raw in zip(todo, answers, strict=True):
            if bytes(raw) == b"[]":
                done.left_out += 1
                reason = failures.get(task["id"], "the model has no answer")
                left_out(LeftOut(str(task["id"]), "no-prediction", reason))
                continue
            answer = msgspec.json.decode(raw, type=_Answer)
            if not answer.result:
                done.without_boxes += 1
                continue
            # The regions stay as they are written: a mask is a list of a million numbers.
            regions: list[Any] = list(answer.result)
            made.append(ImportedPrediction(task["id"], regions, answer.score, answer.model_version))
        if made:
            studio.import_predictions(project_id, made)
            done.predicted += len(made)
        on_progress("masks of boxes", done.tasks, total)
    return done


def _pages(studio: ProjectTasks, project_id: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
    page, seen, total = 1, 0, 1
    while seen < total:
        tasks, total = studio.task_page(project_id, page=page, page_size=_TASKS_AT_ONCE)
        if not tasks:
            return
        yield tasks, total
        seen += len(tasks)
        page += 1
