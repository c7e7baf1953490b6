"""A request with prompts, and what can be said of a prompt within it."""

from __future__ import annotations

from dataclasses import dataclass

from remask_core.errors import InputError
from remask_core.types import Box
from remask_images.image_store import StoredImage
from remask_label_config.labelling_config import ImageControls
from remask_label_config.prompts import Mark, Sign
from remask_service.predict.known_objects import KnownObjects
from remask_service.predict.recorder import Asked
from remask_service.predict.task_context import TaskContext

__all__ = ["Scene", "check_labels", "claimed_shape", "is_alike", "is_prompt", "is_redrawn"]

_REDRAWN_IOU = 0.5
"""A later box that overlaps an earlier one this much was drawn in its place."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A request with prompts: those alike to the last one, and what they were drawn on.

    `lost` has the ids of those that never got an answer, on whichever host.
    """

    asked: Asked
    controls: ImageControls
    marks: tuple[Mark, ...]
    image: StoredImage
    around: TaskContext
    objects: KnownObjects
    lost: frozenset[str] = frozenset()

    @property
    def labels(self) -> tuple[str, ...]:
        """The class of the last prompt; where the page has a single one, that."""
        only = self.controls.only_class
        return self.marks[-1].labels or (() if only is None else (only,))

    @property
    def item_index(self) -> int | None:
        """Which image of a task with several."""
        return self.marks[-1].region.item_index

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape_hw


def is_alike(mark: Mark, last: Mark) -> bool:
    """Whether two prompts can belong together: same image, same labels, both points or boxes."""
    return (
        mark.drawn_box == last.drawn_box
        and set(mark.labels) == set(last.labels)
        and mark.region.to_name == last.region.to_name
        and (mark.region.item_index or 0) == (last.region.item_index or 0)
    )


def is_prompt(mark: Mark, scene: Scene) -> bool:
    """Whether a point that no answer has carried was meant as a click.

    A point that came with a prediction and has no sign is part of that prediction.
    """
    imported = (mark.region.origin or "manual") != "manual"
    return not (imported and scene.around.sign_of(mark) is Sign.UNKNOWN)


def is_redrawn(mark: Mark, scene: Scene) -> bool:
    """Whether a later box of the request was drawn in place of this one.

    During an outage a box stays on the screen without a mask, and its annotator draws it again.
    """
    assert mark.box is not None
    box = mark.box.to_box(scene.shape_hw)
    place = scene.marks.index(mark)
    return any(
        _box_iou(box, later.box.to_box(scene.shape_hw)) >= _REDRAWN_IOU
        for later in scene.marks[place + 1 :]
        if later.box is not None
    )


def _box_iou(box: Box, other: Box) -> float:
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    common = max(0.0, width) * max(0.0, height)
    return common / (box.width * box.height + other.width * other.height - common)


def check_labels(mark: Mark, controls: ImageControls) -> None:
    """Refuse a label that no mask may have; a prompt of no class at all is another matter."""
    for label in mark.labels:
        if not controls.takes(label):
            named = controls.mask if controls.mask.labels else controls.labels
            assert named is not None
            raise InputError(
                f"label `{label}` of region `{mark.id}` must be one of the mask tag "
                f"`{named.name}`: {', '.join(named.labels)}"
            )


def claimed_shape(mark: Mark) -> tuple[int, int] | None:
    """Return the image's height and width as the editor has them; None where it does not say."""
    height, width = mark.region.original_height, mark.region.original_width
    if not height or not width or min(height, width) < 1 or max(height, width) > 2**31:
        return None
    return round(height), round(width)
