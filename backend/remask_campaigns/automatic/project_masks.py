"""Automatic masks of a project: one prediction per task, which its annotators keep or delete."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2s
from typing import Any, Protocol

from remask_campaigns.automatic.image_calls import ImageAnswer, ImageJob, answers_in_order
from remask_core.errors import NotFound, RemaskError
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_core.progress import OnProgress, no_progress
from remask_images.image_source import ImageSource
from remask_images.image_store import StoredImage
from remask_label_config.answer_regions import JsonRegion, encoding_for
from remask_label_config.automatic_regions import (
    RegionMask,
    automatic_regions,
    class_of_masks,
    regions_at_once,
)
from remask_label_config.labelling_config import ImageControls, parse_labelling_config
from remask_label_studio.api import ImportedPrediction
from remask_masks.automatic.generate import AutomaticSettings
from remask_worker.calls import Answer, Call, Engine, Lane

__all__ = [
    "AutomaticPlan",
    "PredictedProject",
    "ProjectPredictions",
    "fetch_place",
    "places_of",
    "predict_project",
    "regions_of",
]


class ProjectPredictions(Protocol):
    """Label Studio, as far as predictions of a project's tasks need it."""

    def label_config(self, project_id: int) -> str:
        """Return the labelling config of the project as XML."""

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield id and data of each of the project's tasks."""

    def annotated_tasks(self, project_id: int) -> set[int]:
        """Return the ids of the tasks that have an annotation."""

    def predicted_tasks(self, project_id: int, model_version: str) -> set[int]:
        """Return the ids of the tasks that have a prediction of this model version."""

    def import_predictions(
        self, project_id: int, predictions: Sequence[ImportedPrediction]
    ) -> None:
        """Store predictions and have annotators start from their model version."""

    def show_model_version(self, project_id: int, model_version: str) -> None:
        """Have the tasks open with the predictions of this version copied in."""


@dataclass(frozen=True, slots=True)
class AutomaticPlan:
    """What is asked for.

    Attributes:
        model: `Segmenter.version` of the model.
        settings: How masks are looked for.
        best: At most so many masks of an image; None: as many as its page bears.
        label: The class that all masks get; None: the page's only class, or none.
    """

    model: str
    settings: AutomaticSettings
    best: int | None = None
    label: str | None = None

    @property
    def model_version(self) -> str:
        """Of the predictions: the model's, and a digest of everything else that decides them."""
        rest = repr((self.settings, self.best, self.label)).encode()
        return f"{self.model} auto@{blake2s(rest, digest_size=4).hexdigest()}"


@dataclass(slots=True)
class PredictedProject:
    """What became of a project's tasks.

    Attributes:
        tasks: In the project.
        annotated: Left alone, because people have worked on them.
        before: Had this prediction already.
        predicted: Got one now.
        masks: Of all predictions made now.
        not_shown: Masks that were found beyond what the page bears.
        left_out: Tasks without a prediction, because of their image or because of the model.
    """

    tasks: int = 0
    annotated: int = 0
    before: int = 0
    predicted: int = 0
    masks: int = 0
    not_shown: int = 0
    left_out: int = 0


@dataclass(slots=True)
class _Open:
    """A task whose images are worked on."""

    task_id: int
    left: int
    regions: list[JsonRegion] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """An image of a task."""

    task: _Open
    controls: ImageControls
    item_index: int | None


def predict_project(
    studio: ProjectPredictions,
    engine: Engine,
    images: ImageSource,
    project_id: int,
    plan: AutomaticPlan,
    *,
    on_progress: OnProgress = no_progress,
    left_out: OnLeftOut = ignore_left_out,
) -> PredictedProject:
    """Give each task that nobody has annotated a prediction of automatic masks.

    A prediction is stored as soon as its task is done. Tasks that have one of the same plan are
    left alone, so the same call again goes on where an earlier one stopped.

    Raises:
        InputError: The labelling config lacks something, or the plan's class.
        NotFound: There is no such project.
        Unavailable: Label Studio, the model or the images cannot be had now.
    """
    config = parse_labelling_config(studio.label_config(project_id))
    for controls in config.images:
        class_of_masks(controls, plan.label)
    version = plan.model_version
    done = PredictedProject()
    annotated = studio.annotated_tasks(project_id)
    before = studio.predicted_tasks(project_id, version)
    todo: list[tuple[int, dict[str, Any]]] = []
    for task_id, data in studio.task_data(project_id):
        done.tasks += 1
        if task_id in annotated:
            done.annotated += 1
        elif task_id in before:
            done.before += 1
        else:
            todo.append((task_id, data))
    finished = 0
    on_progress("automatic masks", finished, len(todo))
    jobs = _jobs(todo, config.images, images, plan)
    for result in answers_in_order(engine, jobs):
        task = result.key.task
        _note(result, plan, done)
        task.left -= 1
        if task.left:
            continue
        if task.problem:
            done.left_out += 1
            left_out(LeftOut(str(task.task_id), "no-prediction", task.problem))
        else:
            score = sum(task.scores) / len(task.scores) if task.scores else 0.0
            made = ImportedPrediction(task.task_id, task.regions, score, version)
            studio.import_predictions(project_id, [made])
            done.predicted += 1
            done.masks += len(task.scores)
        finished += 1
        on_progress("automatic masks", finished, len(todo))
    if not todo and before:
        studio.show_model_version(project_id, version)
    return done


def regions_of(
    answer: Answer,
    controls: ImageControls,
    *,
    task_id: int | None,
    best: int | None,
    label: str | None,
    item_index: int | None = None,
) -> tuple[list[JsonRegion], list[float]]:
    """Return the regions of an image's automatic masks, best first, and their scores."""
    most = regions_at_once(controls, answer.shape_hw) if best is None else best
    by_score = sorted(answer.found, key=lambda found: -found.score)[:most]
    masks = [
        RegionMask(
            mask=found.mask,
            score=min(max(found.score, 0.0), 1.0),
            meta={"n_clicks": 0, "model_version": answer.model_version, "automatic": True},
        )
        for found in by_score
    ]
    regions = automatic_regions(
        controls,
        masks,
        task_id=task_id,
        labels=class_of_masks(controls, label),
        shape_hw=answer.shape_hw,
        item_index=item_index,
    )
    return regions, [mask.score for mask in masks]


def _note(result: ImageAnswer[_Place], plan: AutomaticPlan, done: PredictedProject) -> None:
    place, answer = result.key, result.answer
    if isinstance(answer, RemaskError):
        place.task.problem = str(answer)
        return
    regions, scores = regions_of(
        answer,
        place.controls,
        task_id=place.task.task_id,
        best=plan.best,
        label=plan.label,
        item_index=place.item_index,
    )
    place.task.regions += regions
    place.task.scores += scores
    done.not_shown += len(answer.found) - len(scores)


def _jobs(
    tasks: Iterable[tuple[int, Mapping[str, Any]]],
    images: Collection[ImageControls],
    source: ImageSource,
    plan: AutomaticPlan,
) -> Iterator[ImageJob[_Place]]:
    for task_id, data in tasks:
        places = [place for controls in images for place in places_of(controls, data)]
        task = _Open(task_id, left=len(places))
        for controls, item_index in places:
            yield ImageJob(
                key=_Place(task, controls, item_index),
                fetch=partial(fetch_place, source, controls, data, item_index, task_id),
                call=partial(_call, plan=plan, controls=controls),
            )


def places_of(
    controls: ImageControls, data: Mapping[str, Any]
) -> list[tuple[ImageControls, int | None]]:
    """Return each image of a tag; one that is not there is asked for, and then named as missing."""
    found = data.get(controls.image.value.lstrip("$")) if controls.image.several else None
    if isinstance(found, list) and found:
        return [(controls, index) for index in range(len(found))]
    return [(controls, None)]


def fetch_place(
    source: ImageSource,
    controls: ImageControls,
    data: Mapping[str, Any],
    item_index: int | None,
    task_id: int,
) -> StoredImage:
    """Return the file of an image of a task; see `places_of`.

    Raises:
        NotFound: The task's data holds no such image, or there is none at its address.
        RemaskError: What `ImageSource.fetch` raises.
    """
    try:
        address = controls.image.url(data, item_index=item_index or 0)
    except NotFound as error:
        raise NotFound(f"task {task_id}: {error}") from error
    return source.fetch(address, task_id=task_id)


def _call(image: StoredImage, *, plan: AutomaticPlan, controls: ImageControls) -> Call:
    return Call(
        image_id=image.image_id,
        image_path=str(image.path),
        steps=(),
        automatic=plan.settings,
        lane=Lane.BATCH,
        encoding=encoding_for(controls),
    )
