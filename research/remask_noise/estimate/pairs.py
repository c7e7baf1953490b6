"""Masks with their references: the annotations of two COCO files that have the same id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remask_core.errors import InputError
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_core.types import BoolMask, Box
from remask_files.coco import CocoFile, Id, Index, UsableAnnotation
from remask_masks.mask_windows import (
    MaskWindow,
    empty_window,
    read_segmentation,
    window_of,
)

__all__ = ["MARGIN_PX", "Pair", "Pairs", "pair_of", "read_pairs"]

MARGIN_PX = 54  # as far as the strongest noise reaches that is looked for


@dataclass(frozen=True, slots=True)
class Pair:
    """One object twice, in a window that holds both masks and `MARGIN_PX` around them.

    Attributes:
        reference: (h, w) bool; not empty.
        noisy: (h, w) bool.
        classes: Class in the reference and in the other file.
        image_id: Of its image; None where it has none.
        around: Where in the image the window lies; None where there is no image.
    """

    reference: BoolMask
    noisy: BoolMask
    classes: tuple[Id, Id]
    image_id: Id | None = None
    around: Box | None = None


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two files have in common.

    Attributes:
        pairs: The objects that are compared.
        wrong_class: For every object in both files, whether its class differs.
        only_reference: Annotations without a counterpart in the other file.
        only_noisy: The other way round.
        without_mask: Objects in both files that have no mask in one of them, or no pixel in the
            reference.
    """

    pairs: list[Pair]
    wrong_class: list[bool]
    only_reference: int
    only_noisy: int
    without_mask: int


def pair_of(reference: BoolMask, noisy: BoolMask, *, classes: tuple[Id, Id] = (0, 0)) -> Pair:
    """Return two whole masks of one shape as a pair; the reference must not be empty."""
    shape_hw = (reference.shape[0], reference.shape[1])
    pair = _paired(
        MaskWindow(reference, 0, 0, shape_hw), MaskWindow(noisy, 0, 0, shape_hw), classes
    )
    if pair is None:
        raise InputError("`reference` must have a pixel; it is empty")
    return pair


def read_pairs(
    reference: Path,
    noisy: Path,
    *,
    limit: int | None,
    rng: np.random.Generator,
    left_out: OnLeftOut = ignore_left_out,
) -> Pairs:
    """Return the annotations that two COCO files share by id, with masks.

    Args:
        reference: COCO file that is trusted.
        noisy: COCO file of the same images, its annotations with the ids of the first.
        limit: Only so many objects, drawn by `rng`; classes are compared for all.
        rng: Source of chance.
        left_out: Called with each record that cannot be used.

    Raises:
        NotFound: A file is missing.
        InputError: A file is not as it must be, the files share no id, or an object is on another
            image in the second file.
    """
    files = CocoFile(reference), CocoFile(noisy)
    index = files[0].index(left_out=left_out)
    before = _by_id(files[0], index, left_out)
    after = _by_id(files[1], files[1].index(left_out=left_out), left_out)
    shared = [key for key in before if key in after]
    if not shared:
        raise InputError(f"{reference} and {noisy} must share ids of annotations; they share none")
    wrong_class = [before[key].category_id != after[key].category_id for key in shared]
    chosen = shared
    if limit is not None and limit < len(shared):
        chosen = [shared[i] for i in sorted(rng.choice(len(shared), limit, replace=False))]
    pairs, without_mask = [], 0
    for key in chosen:
        if before[key].image_id != after[key].image_id:
            raise InputError(
                f"the annotation with id {key} must be on the same image in both files"
            )
        shape_hw = before[key].shape_hw
        windows = [_window(usable, shape_hw, left_out) for usable in (before[key], after[key])]
        classes = before[key].category_id, after[key].category_id
        pair = None
        if windows[0] is not None and windows[1] is not None:
            pair = _paired(windows[0], windows[1], classes, before[key].image_id)
        if pair is None:
            without_mask += 1
        else:
            pairs.append(pair)
    return Pairs(
        pairs, wrong_class, len(before) - len(shared), len(after) - len(shared), without_mask
    )


def _by_id(file: CocoFile, index: Index, left_out: OnLeftOut) -> dict[Id, UsableAnnotation]:
    return {
        usable.annotation.id: usable
        for usable in file.usable_annotations(index, left_out=left_out)
        if usable.annotation.id is not None
    }


def _window(
    usable: UsableAnnotation, shape_hw: tuple[int, int], left_out: OnLeftOut
) -> MaskWindow | None:
    """Return the mask; None where there is none to be read, an empty window for an empty mask."""
    mask_json = usable.annotation.mask_json
    if mask_json is None:
        return None
    try:
        segmentation = read_segmentation(mask_json)
        window, _ = window_of(segmentation, shape_hw=shape_hw)
    except InputError as error:
        left_out(LeftOut(usable.name, "no-mask", str(error)))
        return None
    return window or empty_window(shape_hw)


def _paired(
    reference: MaskWindow,
    noisy: MaskWindow,
    classes: tuple[Id, Id],
    image_id: Id | None = None,
) -> Pair | None:
    boxes = [box for box in (reference.box(), noisy.box()) if box is not None]
    if reference.box() is None:
        return None
    height, width = reference.shape_hw
    around = Box(
        max(0, min(box.x0 for box in boxes) - MARGIN_PX),
        max(0, min(box.y0 for box in boxes) - MARGIN_PX),
        min(width, max(box.x1 for box in boxes) + MARGIN_PX),
        min(height, max(box.y1 for box in boxes) + MARGIN_PX),
    )
    return Pair(_placed(reference, around), _placed(noisy, around), classes, image_id, around)


def _placed(window: MaskWindow, around: Box) -> BoolMask:
    """Return the window's mask in a frame that holds its object."""
    frame = np.zeros((int(around.height), int(around.width)), np.bool_)
    box = window.box()
    if box is not None:
        rows = slice(int(box.y0) - window.y0, int(box.y1) - window.y0)
        columns = slice(int(box.x0) - window.x0, int(box.x1) - window.x0)
        y, x = int(box.y0 - around.y0), int(box.x0 - around.x0)
        frame[y : y + int(box.height), x : x + int(box.width)] = window.mask[rows, columns]
    return frame
