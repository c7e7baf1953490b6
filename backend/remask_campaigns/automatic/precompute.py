"""Embeddings of a project's images, made before anybody clicks.

A first click then costs a run of the decoder alone.

An embedding is kept on disk by the content of its image and the version of its model, so equal
images are encoded once, and another model's embeddings are never taken for this one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from remask_campaigns.automatic.image_calls import ImageJob, answers_in_order
from remask_campaigns.automatic.project_masks import fetch_place, places_of
from remask_core.errors import RemaskError
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_core.progress import OnProgress, no_progress
from remask_images.image_source import ImageSource
from remask_images.image_store import StoredImage
from remask_label_config.labelling_config import parse_labelling_config
from remask_worker.calls import Call, Engine, Lane

__all__ = ["Precomputed", "ProjectImages", "precompute_project"]


class ProjectImages(Protocol):
    """Label Studio, as far as the images of a project's tasks need it."""

    def label_config(self, project_id: int) -> str:
        """Return the labelling config of the project as XML."""

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield id and data of each of the project's tasks."""


@dataclass(slots=True)
class Precomputed:
    """What became of a project's images.

    Attributes:
        tasks: In the project.
        images: Of these tasks, with an embedding now.
        encoded: Of these images, those that were encoded now.
        left_out: Images that cannot be read or encoded.
        image_ids: Content ids of the images, each once.
        stopped: Whether `is_wanted` ended it.
    """

    tasks: int = 0
    images: int = 0
    encoded: int = 0
    left_out: int = 0
    image_ids: frozenset[str] = frozenset()
    stopped: bool = False


def precompute_project(
    studio: ProjectImages,
    engine: Engine,
    images: ImageSource,
    project_id: int,
    *,
    on_progress: OnProgress = no_progress,
    left_out: OnLeftOut = ignore_left_out,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Precomputed:
    """Have the images of all tasks of a project encoded, in the batch lane.

    An image whose embedding is there already costs a look at it, so the same call again goes on
    where an earlier one stopped.

    Args:
        studio: Label Studio.
        engine: Its worker must keep embeddings on disk, or they go with its memory.
        images: Turns addresses into files.
        project_id: Of the project.
        on_progress: Called after each image.
        left_out: Called with each image that cannot be encoded.
        is_wanted: Asked between images whether to go on.

    Raises:
        InputError: The labelling config lacks an image or a mask tag.
        NotFound: There is no such project.
        Unavailable: Label Studio, the model or the images cannot be had now.
    """
    config = parse_labelling_config(studio.label_config(project_id))
    tasks = list(studio.task_data(project_id))
    places = [
        (task_id, data, controls, item_index)
        for task_id, data in tasks
        for image in config.images
        for controls, item_index in places_of(image, data)
    ]
    done = Precomputed(tasks=len(tasks))
    known: set[str] = set()
    on_progress("embeddings", 0, len(places))

    def jobs() -> Iterator[ImageJob[int]]:
        for task_id, data, controls, item_index in places:
            if not is_wanted():
                done.stopped = True
                return
            fetch = partial(fetch_place, images, controls, data, item_index, task_id)
            yield ImageJob(key=task_id, fetch=fetch, call=_call)

    for number, result in enumerate(answers_in_order(engine, jobs()), start=1):
        if isinstance(result.answer, RemaskError):
            done.left_out += 1
            left_out(LeftOut(str(result.key), "no-embedding", str(result.answer)))
        else:
            assert result.image is not None
            done.images += 1
            done.encoded += result.answer.embedded
            known.add(result.image.image_id)
        on_progress("embeddings", number, len(places))
    done.image_ids = frozenset(known)
    return done


def _call(image: StoredImage) -> Call:
    return Call(
        image_id=image.image_id,
        image_path=str(image.path),
        steps=(),
        embed_only=True,
        lane=Lane.BATCH,
    )
