"""The objects of a study: those of the commonest classes on some images, split by image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_core.types import BoolMask, Box
from remask_files.coco import CocoFile, Id, UsableAnnotation
from remask_masks.mask_windows import MaskWindow, read_segmentation, window_of
from remask_noise.operations import LEVELS
from remask_simulation.boxes import jittered_box

__all__ = ["StudyObject", "StudySet", "cells_of", "drawn", "read_study"]

_Floats: TypeAlias = npt.NDArray[np.float32]

_LEAST_PX = 24 * 24  # smaller objects have fewer pixels than a mask has cells
_TEST_SHARE = 1 / 3
_JITTER = 0.08  # of the sides: how far a proposal is off
_CONTEXT = 0.1  # of the sides: what is looked at around a proposal
_FINER = 4


@dataclass(frozen=True, slots=True)
class StudyObject:
    """One object.

    Attributes:
        image_id: Its image.
        position: In the list of annotations; its noise is drawn from it.
        label: Number of its class, from 0.
        window: Its true mask, with room for the strongest noise around it.
        proposal: What a detector might have proposed, with some context: its box with noise on
            every side, and a tenth of the sides more.
    """

    image_id: Id
    position: int
    label: int
    window: MaskWindow
    proposal: Box


@dataclass(frozen=True, slots=True)
class StudySet:
    """What a study trains and tests on; no image is in both.

    Attributes:
        classes: Names, the commonest first.
        train: Objects to train on, image after image.
        test: Objects to test on, image after image.
        files: Image files by id.
    """

    classes: tuple[str, ...]
    train: list[StudyObject]
    test: list[StudyObject]
    files: dict[Id, Path]


def read_study(
    annotations: Path,
    images: Path,
    *,
    n_images: int,
    n_classes: int,
    seed: int,
    left_out: OnLeftOut = ignore_left_out,
) -> StudySet:
    """Return the objects of a study; crowds and objects below 24 x 24 pixels are left out.

    Args:
        annotations: COCO or LVIS JSON file.
        images: Folder of its images.
        n_images: Draw so many images at most, a third of them to test on.
        n_classes: Keep so many of the commonest classes on them.
        seed: Of the choice and of the proposals.
        left_out: Called with each record that cannot be used.

    Raises:
        NotFound: The file is missing.
        InputError: Something in it is not as it must be, or there are too few objects.
    """
    file = CocoFile(annotations)
    index = file.index(left_out=left_out)
    names = {key: image.file_name for key, image in index.images.items() if image.file_name}
    ids = list(names)
    drawn_ids = [ids[i] for i in np.random.default_rng(seed).permutation(len(ids))[:n_images]]
    tested = set(drawn_ids[: round(_TEST_SHARE * len(drawn_ids))])
    chosen = set(drawn_ids)
    found: list[tuple[UsableAnnotation, MaskWindow]] = []
    margin_px = max(level.reach_px for level in LEVELS.values()) + 1
    for usable in file.usable_annotations(index, left_out=left_out):
        mask_json = usable.annotation.mask_json
        if usable.image_id not in chosen or usable.annotation.is_crowd or mask_json is None:
            continue
        try:
            segmentation = read_segmentation(mask_json)
            window, _ = window_of(segmentation, shape_hw=usable.shape_hw, margin_px=margin_px)
        except InputError as error:
            left_out(LeftOut(usable.name, "no-mask", str(error)))
            continue
        if window is not None and window.area_px >= _LEAST_PX:
            found.append((usable, window))
    common = Counter(usable.category_id for usable, _ in found).most_common(n_classes)
    label_of = {category: number for number, (category, _) in enumerate(common)}
    objects = [
        StudyObject(
            usable.image_id,
            usable.place,
            label_of[usable.category_id],
            window,
            _proposal(window, usable.place, seed),
        )
        for usable, window in found
        if usable.category_id in label_of
    ]
    objects.sort(key=lambda entry: (str(entry.image_id), entry.position))
    train = [entry for entry in objects if entry.image_id not in tested]
    test = [entry for entry in objects if entry.image_id in tested]
    if len(common) < 2 or not train or not test:
        raise InputError(
            "a study needs objects of two classes at least, on images to train and to test on; "
            f"{annotations} has {len(train)} and {len(test)} of {len(common)} classes"
        )
    return StudySet(
        tuple(index.categories[category].name or str(category) for category, _ in common),
        train,
        test,
        {image_id: images / names[image_id] for image_id in drawn_ids},
    )


def _proposal(window: MaskWindow, position: int, seed: int) -> Box:
    tight = window.box()
    assert tight is not None
    rng = np.random.default_rng([seed, position])
    box = jittered_box(tight, shape_hw=window.shape_hw, rng=rng, share=_JITTER)
    across, down = _CONTEXT * box.width, _CONTEXT * box.height
    return Box(box.x0 - across, box.y0 - down, box.x1 + across, box.y1 + down)


def cells_of(mask: BoolMask, *, at_xy: tuple[int, int], box: Box, cells: int) -> _Floats:
    """Return how much of each cell of a box is mask, (cells, cells) float32 in [0, 1].

    Args:
        mask: (h, w) bool, a part of an image; nothing is mask around it.
        at_xy: Where in the image its first pixel lies.
        box: In the image.
        cells: Per side of the box.
    """
    fine = _FINER * cells
    step_x, step_y = box.width / fine, box.height / fine
    # From the middle of a fine cell to the pixel that holds it.
    to_mask = np.array(
        [
            [step_x, 0, box.x0 - at_xy[0] + step_x / 2 - 0.5],
            [0, step_y, box.y0 - at_xy[1] + step_y / 2 - 0.5],
        ]
    )
    seen = cv2.warpAffine(
        mask.astype(np.float32),
        to_mask,
        (fine, fine),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    pooled: _Floats = (
        np.asarray(seen, np.float32).reshape(cells, _FINER, cells, _FINER).mean((1, 3))
    )
    return pooled


def drawn(probs: _Floats, *, box: Box, shape_hw: tuple[int, int]) -> MaskWindow:
    """Return a mask of cells in a box as a mask of the image: where the probability is a half.

    Args:
        probs: (cells, cells) float32 in [0, 1].
        box: In the image; what lies beyond the image is cut off.
        shape_hw: Of the image.
    """
    x0, y0 = max(0, int(np.floor(box.x0))), max(0, int(np.floor(box.y0)))
    x1 = max(x0 + 1, min(shape_hw[1], int(np.ceil(box.x1))))
    y1 = max(y0 + 1, min(shape_hw[0], int(np.ceil(box.y1))))
    step_x, step_y = box.width / probs.shape[1], box.height / probs.shape[0]
    to_cells = np.array(
        [
            [1 / step_x, 0, (x0 + 0.5 - box.x0) / step_x - 0.5],
            [0, 1 / step_y, (y0 + 0.5 - box.y0) / step_y - 0.5],
        ]
    )
    smooth = cv2.warpAffine(
        probs,
        to_cells,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return MaskWindow(np.asarray(smooth) > 0.5, x0, y0, shape_hw)
