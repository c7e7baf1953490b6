"""Automatic masks in Label Studio's words: the regions of a prediction that people keep or delete.

A region has no prompts. Its class is the one that was asked for, or the page's only one, or none:
then the annotator gives it one. How many regions a page bears depends on what it stores: the editor
encodes every brush mask anew at each change, a bitmask it keeps as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

from remask_core.errors import InputError
from remask_label_config.answer_regions import JsonRegion, mask_regions
from remask_label_config.labelling_config import ImageControls

__all__ = ["RegionMask", "automatic_regions", "class_of_masks", "regions_at_once"]

_MOST_BITMASKS = 100
_MOST_BRUSHES = 30
_FEWEST_BRUSHES = 5
_BRUSH_PIXELS = 20_000_000
"""Pixels of brush masks that an editor encodes in about 1.5 s: 10 masks of 1920 x 1080."""


@dataclass(frozen=True, slots=True)
class RegionMask:
    """A mask that becomes a region.

    Attributes:
        mask: In the encoding that `answer_regions.encoding_for` names.
        score: The model's own estimate of its IoU, in [0, 1].
        meta: Kept by Label Studio with the region.
    """

    mask: bytes
    score: float
    meta: dict[str, Any]


def regions_at_once(controls: ImageControls, shape_hw: tuple[int, int]) -> int:
    """Return how many regions the editor bears on an image of `shape_hw`.

    Bitmasks: 100. Brush masks: 30 up to 0.67 megapixels, 10 at 1920 x 1080, never fewer than 5.
    """
    if controls.mask.kind == "bitmask":
        return _MOST_BITMASKS
    fitting = round(_BRUSH_PIXELS / (shape_hw[0] * shape_hw[1]))
    return min(max(fitting, _FEWEST_BRUSHES), _MOST_BRUSHES)


def class_of_masks(controls: ImageControls, wanted: str | None) -> tuple[str, ...]:
    """Return the labels of automatic masks: the wanted class, else the page's only one, else none.

    Raises:
        InputError: The mask tag does not have the wanted class.
    """
    if wanted is None:
        return () if controls.only_class is None else (controls.only_class,)
    if not controls.takes(wanted):
        named = controls.mask if controls.mask.labels else controls.labels
        assert named is not None
        raise InputError(
            f"the class must be one of the mask tag `{named.name}`: {', '.join(named.labels)}; "
            f"got {wanted!r}"
        )
    return (wanted,)


def automatic_regions(
    controls: ImageControls,
    masks: Sequence[RegionMask],
    *,
    task_id: int | None,
    labels: Sequence[str],
    shape_hw: tuple[int, int],
    item_index: int | None = None,
) -> list[JsonRegion]:
    """Return the regions of the masks, in their order.

    A region's id follows from its task and its mask, so that the same masks are the same regions.
    """
    regions: list[JsonRegion] = []
    for mask in masks:
        name = f"{task_id}/{item_index or 0}/".encode() + mask.mask
        regions += mask_regions(
            controls,
            mask.mask,
            rid=f"auto_{blake2s(name, digest_size=6).hexdigest()}",
            labels=labels,
            shape_hw=shape_hw,
            score=mask.score,
            meta=mask.meta,
            item_index=item_index,
        )
    return regions
