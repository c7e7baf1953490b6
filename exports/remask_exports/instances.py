"""An exported instance: a mask with everything that is known about it, in no format yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from remask_core.geometry import window_of
from remask_core.types import BoolMask, Box
from remask_label_config.regions import Region

__all__ = ["ExportedOutcome", "ImageRef", "Instance", "PlacedClick"]

ExportedOutcome: TypeAlias = Literal["corrected", "accepted", "painted"]
"""Clicks were given in the last round, or none because the mask is good, or somebody painted it."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """The image that an instance lies on.

    Attributes:
        key: Task and place in the task; the same in every export of the project.
        file_name: Relative path of the image file, with forward slashes; see `image_names`.
        address: Where Label Studio has it: a URL or a path.
        shape_hw: Height and width in pixels, as the browser showed it (EXIF applied).
        task: Label Studio's task id.
        data: Label Studio's data of that task.
        has_own_stem: Whether no other image of the project has the same file name without folder
            and ending.
        assumed: The image tag and the key of the task's data, where only their names or numbers
            say that they belong together.
    """

    key: str
    file_name: str
    address: str
    shape_hw: tuple[int, int]
    task: int
    data: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    has_own_stem: bool = True
    assumed: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PlacedClick:
    """A click on an instance, in the order in which it was given.

    Attributes:
        x: Distance from the image's left edge in pixels, not rounded to a pixel.
        y: Distance from its upper edge.
        positive: Whether the place belongs to the object.
        order: Place among the instance's prompts, from 0.
        round: Round it was given in; None where nobody counted.
        time_s: When the backend received it, Unix seconds; None where unknown.
    """

    x: float
    y: float
    positive: bool
    order: int
    round: int | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as it stands in the annotation that is exported.

    Attributes:
        name: Unique within the project, and stable: the campaign's name for it, or else task and
            region. Rankings go by it.
        image: The image it lies on.
        label: Its class.
        mask: (H, W) bool, never empty.
        tight: The half-open box around its pixels.
        box: The box it was drawn with, in pixels, half-open; None without one.
        clicks: In order.
        score: The model's own estimate of the IoU; None for a mask painted by hand.
        predicted_iou: What the ranking model expects; None before ranking.
        rank: Place in the ranking, from 1, the best.
        round: The last round it went through; None where nobody counted.
        outcome: How it left that round; skipped ones have no mask and are never exported.
        annotator: Label Studio's id of who gave the clicks, or else of who submitted it.
        source_id: What the box is called where a campaign took it from, such as a COCO annotation
            id; None outside campaigns.
        regions: The regions that it was read from, its mask's and those of its prompts.
    """

    name: str
    image: ImageRef
    label: str
    mask: BoolMask
    tight: Box
    box: Box | None = None
    clicks: tuple[PlacedClick, ...] = ()
    score: float | None = None
    predicted_iou: float | None = None
    rank: int | None = None
    round: int | None = None
    outcome: ExportedOutcome = "accepted"
    annotator: int | None = None
    source_id: str | None = None
    regions: tuple[Region, ...] = field(default=(), compare=False, repr=False)

    @property
    def area(self) -> int:
        """The number of the mask's pixels."""
        return int(np.count_nonzero(self.mask[window_of(self.tight)]))
