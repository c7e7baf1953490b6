"""Pictures of label noise: objects of two COCO files beside each other, mildest change first.

Source: "Spatial Noise Matters" (COCO-N, 2024), figures 3, 4, 9 and 11, which show such pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remask_core.errors import InputError, NotFound
from remask_core.images import decode_image
from remask_core.left_out import OnLeftOut, ignore_left_out
from remask_core.overlap import boundary_f, iou
from remask_core.types import RgbImage
from remask_evaluation.pictures import spread
from remask_files.coco import CocoFile, Id, Index
from remask_masks.error_kinds import compare
from remask_noise.estimate.pairs import Pair, read_pairs
from remask_reports.overlays import overlay
from remask_reports.page import Block, Gallery, Page, Picture, Section, Text

__all__ = ["noise_pictures"]

_HEIGHT_PX = 220
_DRAWN = 20  # objects looked at for each that is shown


@dataclass(frozen=True, slots=True)
class _Seen:
    """A pair with what its picture says."""

    pair: Pair
    iou: float


def noise_pictures(
    clean: Path,
    noisy: Path,
    images: Path,
    *,
    objects: int = 12,
    rng: np.random.Generator,
    left_out: OnLeftOut = ignore_left_out,
    made_by: str = "",
) -> Page:
    """Return a page of objects as they are in two COCO files, from small changes to large ones.

    Args:
        clean: COCO file.
        noisy: COCO file with the same ids of annotations: made by `remask noise apply` or `weak`,
            or drawn by somebody else.
        images: Folder of the images of `clean`.
        objects: How many to show of those whose mask changed, and at most a third as many of
            those whose class alone did.
        rng: Draws the objects of large files.
        left_out: Called with each record that cannot be used.
        made_by: The command, for the foot of the page.

    Raises:
        NotFound: A file or an image is missing.
        InputError: A file is not as it must be, or no object differs.
    """
    index = CocoFile(clean).index()
    found = read_pairs(clean, noisy, limit=_DRAWN * objects, rng=rng, left_out=left_out)
    seen = [_Seen(pair, iou(pair.noisy, pair.reference)) for pair in found.pairs]
    changed = [each for each in seen if each.iou < 1.0]
    renamed = [each for each in seen if each.iou == 1.0 and _is_renamed(each.pair)]
    if not changed and not renamed:
        raise InputError(f"{noisy} must differ from {clean}; no object compared does")
    order = spread([-each.iou for each in changed], objects)
    sections = []
    for title, shown in (
        ("Masks that changed", [changed[number] for number in order]),
        ("Masks that stayed, with another class", renamed[: max(1, objects // 3)]),
    ):
        if shown:
            pictures = [picture for each in shown for picture in _beside(each, index, images)]
            blocks: tuple[Block, ...] = (
                Gallery(tuple(pictures), "Left: as it was. Right: as it is.", group=2),
            )
            sections.append(Section(title, blocks))
    words = Text(
        "Magenta: the mask. White line on the right: where the mask was before. The kind of change "
        "is what explains most of the difference, whatever made it."
    )
    whole = len(seen)
    return Page(
        title="Label noise in pictures",
        summary=f"{clean.name} and {noisy.name}: of {whole} objects compared, {len(changed)} have "
        f"another mask and {sum(_is_renamed(each.pair) for each in seen)} another class. Mean IoU "
        f"of all masks {np.mean([each.iou for each in seen]):.3f}.",
        sections=(Section("How to read this", (words,)), *sections),
        made_by=made_by,
    )


def _is_renamed(pair: Pair) -> bool:
    return pair.classes[0] != pair.classes[1]


def _beside(seen: _Seen, index: Index, images: Path) -> tuple[Picture, Picture]:
    pair = seen.pair
    crop = _crop(pair, index, images)
    before = overlay(crop, pair.reference, height_px=_HEIGHT_PX)
    after = overlay(crop, pair.noisy, truth=pair.reference, height_px=_HEIGHT_PX)
    old, new = (_class_name(index, key) for key in pair.classes)
    if seen.iou == 1.0:
        change = "the same mask"
    else:
        kind = compare(pair.noisy, pair.reference).outline
        score = boundary_f(pair.noisy, pair.reference)
        change = f"{kind}, IoU {seen.iou:.3f}, boundary F {score:.3f}"
    renamed = f"{new} instead of {old}; " if _is_renamed(pair) else ""
    return Picture(before, old), Picture(after, renamed + change)


def _class_name(index: Index, key: Id) -> str:
    category = index.categories.get(key)
    return category.name if category is not None and category.name else f"class {key}"


def _crop(pair: Pair, index: Index, images: Path) -> RgbImage:
    """Return the part of the image that the pair's masks cover."""
    assert pair.around is not None
    assert pair.image_id is not None
    path = images / index.images[pair.image_id].file_name
    try:
        image = decode_image(path.read_bytes())
    except OSError as error:
        raise NotFound(f"the image {path} cannot be read: {error}") from error
    box = pair.around
    crop = image[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    if crop.shape[:2] != pair.reference.shape:
        raise InputError(f"the image {path} must have the size that the file says; it is smaller")
    return np.ascontiguousarray(crop)
