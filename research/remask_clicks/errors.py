"""Clicked errors: each click with the region that it answers, an object or an error of a mask.

A first click answers the whole object. A later one answers what a mask missed or had too much, so
it needs that mask: a PNG named by the click's `full_stem`, as the published masks are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from remask_clicks.click_file import MeasuredClick, points_of
from remask_core.errors import InputError
from remask_core.rle_coco import CocoRle, decode_coco_rle
from remask_core.types import BoolMask
from remask_evaluation.datasets import Instance
from remask_masks.clickability import ClickType, error_of
from remask_training.clickability.examples import ClickLesson

__all__ = ["ClickedError", "ClickedErrors", "clicked_errors"]


@dataclass(frozen=True, slots=True)
class ClickedError:
    """One error of one object and the clicks on it, on disk.

    Attributes:
        instance: The object.
        kind: What the clicks answer.
        name: The clicks' `full_stem`; unique per object, kind and model.
        clicks: At least one.
        mask: The mask that was to be corrected, a PNG or COCO RLE; None for first clicks.
    """

    instance: Instance
    kind: ClickType
    name: str
    clicks: tuple[MeasuredClick, ...]
    mask: Path | CocoRle | None

    def load(self) -> ClickLesson:
        """Return image, object, error and clicks; the error may be empty.

        Raises:
            NotFound: The object's image or mask is gone.
            InputError: A file or an RLE cannot be read.
            ShapeMismatch: An RLE is not of the image's size.
        """
        sample = self.instance.load()
        height, width = sample.truth.shape
        mask: BoolMask = np.zeros((height, width), dtype=np.bool_)
        if isinstance(self.mask, Path):
            mask = _read_mask(self.mask, (height, width))
        elif self.mask is not None:
            mask = decode_coco_rle(self.mask)
        return ClickLesson(
            name=self.instance.image_path.stem,
            image=sample.image,
            truth=sample.truth,
            error=error_of(sample.truth, mask, self.kind) & sample.valid,
            points_xy=points_of(self.clicks, shape_hw=(height, width)),
        )


@dataclass(frozen=True, slots=True)
class ClickedErrors:
    """What could be put together.

    Attributes:
        errors: In the order of the objects, first clicks first.
        left_out: How many clicks could not be used, by reason.
    """

    errors: tuple[ClickedError, ...]
    left_out: dict[str, int]


def clicked_errors(
    clicks: Iterable[MeasuredClick], instances: Sequence[Instance], *, masks: Path | None = None
) -> ClickedErrors:
    """Return the clicked errors of the objects.

    Args:
        clicks: Of all kinds.
        instances: The objects.
        masks: Folder of the masks that later clicks answer, as `<full_stem>.png` or in a folder
            below it; white is object. Without it, later clicks are left out.
    """
    by_image: defaultdict[str, list[MeasuredClick]] = defaultdict(list)
    for click in clicks:
        by_image[click.image_stem].append(click)
    files = {} if masks is None else {path.stem: path for path in sorted(masks.rglob("*.png"))}
    errors: list[ClickedError] = []
    left_out: Counter[str] = Counter()
    used: set[int] = set()
    for instance in instances:
        parts: defaultdict[tuple[ClickType, str], list[MeasuredClick]] = defaultdict(list)
        for click in by_image.get(instance.image_path.stem, []):
            if click.is_on(instance):
                parts[click.click_type, click.full_stem].append(click)
                used.add(id(click))
        for (kind, name), own in sorted(parts.items(), key=lambda part: part[0][0] != "first"):
            if kind != "first" and name not in files:
                left_out["no mask"] += len(own)
                continue
            path = None if kind == "first" else files[name]
            errors.append(ClickedError(instance, kind, name, tuple(own), path))
    left_out["no object"] = sum(len(own) for own in by_image.values()) - len(used)
    return ClickedErrors(tuple(errors), {reason: n for reason, n in left_out.items() if n})


def _read_mask(path: Path, shape_hw: tuple[int, int]) -> BoolMask:
    """Return (H, W) bool; published masks of large images are smaller than these."""
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise InputError(f"{path} must be a PNG of a mask; it cannot be decoded")
    if pixels.shape != shape_hw:
        pixels = cv2.resize(pixels, shape_hw[::-1], interpolation=cv2.INTER_NEAREST)
    mask: BoolMask = pixels > 127
    return mask
