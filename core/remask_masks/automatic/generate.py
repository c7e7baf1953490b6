"""Automatic masks of an image, by any `Segmenter`.

Each crop of the image is embedded, each point of its grid asked for masks, and the masks pass
through filters: the model's own score, stability, the crop's border, and suppression of masks that
were found twice, first within a crop, then among crops, where the smaller crop wins. A last step
cleans small holes and islands.

Source: Kirillov et al. 2023, appendix B, and the authors' `segment_anything` 1.0
(`SamAutomaticMaskGenerator`), whose order of steps and default values are kept.
Differs: `max_share` is in the paper and not in the code; `skip_covered` is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from remask_core.errors import InputError
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_core.types import (
    BoolMask,
    Embedding,
    Pause,
    RgbImage,
    Segmenter,
    check_image,
    no_pause,
)
from remask_masks.automatic.filters import PixelBox, kept_by_nms, mask_box
from remask_masks.automatic.grids import Crop, Points, crops_of, layer_grids, leaves_crop
from remask_masks.automatic.point_masks import PointMask, point_masks
from remask_masks.automatic.small_regions import clean

__all__ = ["AutomaticMask", "AutomaticSettings", "automatic_masks"]

_POINTS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class AutomaticSettings:
    """How automatic masks are looked for; the defaults are those of `segment_anything`.

    Attributes:
        points_per_side: Of the grid on the whole image.
        min_score: A mask's score must be above it; 0 lets every mask pass.
        min_stability: A mask's stability must reach it; 0 lets every mask pass.
        stability_offset: How far the threshold of the logits is moved to see how stable a mask is.
        box_nms: Of masks of one crop whose boxes have a higher IoU, the one with the best score
            stays.
        crop_layers: Layers of crops besides the whole image: 1 adds 4 crops, 2 adds 4 and 16.
        crop_nms: As `box_nms` for masks of different crops: that of the smaller crop stays.
        crop_overlap: See `grids.crops_of`.
        crop_downscale: Points per side are divided by it from layer to layer.
        min_region_px: Holes and islands of fewer pixels are removed; 0 leaves masks as they are.
        max_share: Masks that cover this share of the image or more are dropped; 1 or more keeps
            all. The paper takes 0.95.
        skip_covered: Whether points on a mask that was found already are left out. Fewer runs of
            the model, and no parts within wholes.
    """

    points_per_side: int = 32
    min_score: float = 0.88
    min_stability: float = 0.95
    stability_offset: float = 1.0
    box_nms: float = 0.7
    crop_layers: int = 0
    crop_nms: float = 0.7
    crop_overlap: float = 512 / 1500
    crop_downscale: int = 1
    min_region_px: int = 0
    max_share: float = 2.0
    skip_covered: bool = False

    def __post_init__(self) -> None:
        for name in ("box_nms", "crop_nms"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"`{name}` must be in [0, 1]; got {getattr(self, name)}")
        for name in ("stability_offset", "min_region_px"):
            if getattr(self, name) < 0:
                raise InputError(f"`{name}` must be at least 0; got {getattr(self, name)}")
        if not self.max_share > 0:
            raise InputError(f"`max_share` must be above 0; got {self.max_share}")
        self.grids()
        crops_of((64, 64), layers=self.crop_layers, overlap_ratio=self.crop_overlap)

    def grids(self) -> list[Points]:
        """Return the grid of each layer; see `grids.layer_grids`."""
        return layer_grids(
            self.points_per_side, crop_layers=self.crop_layers, downscale=self.crop_downscale
        )


@dataclass(frozen=True, slots=True)
class AutomaticMask:
    """One mask that was found.

    Attributes:
        counts: The mask as packed counts of COCO's RLE, of the image's size.
        area_px: Its pixels.
        box: Its first and last column and row, in pixels of the image.
        score: The model's own estimate of its IoU; not cut to [0, 1].
        stability: See `filters.stability`.
        point_xy: The point that was asked for, in pixels of the image.
        crop: Where it was found.
    """

    counts: bytes
    area_px: int
    box: PixelBox
    score: float
    stability: float
    point_xy: tuple[float, float]
    crop: Crop

    def mask(self, shape_hw: tuple[int, int]) -> BoolMask:
        """Return the mask, (H, W) bool, of an image of `shape_hw`."""
        return decode_coco_counts(self.counts, shape_hw=shape_hw)


def automatic_masks(
    segmenter: Segmenter,
    image: RgbImage,
    settings: AutomaticSettings = AutomaticSettings(),
    *,
    embedding: Embedding | None = None,
    pause: Pause = no_pause,
) -> list[AutomaticMask]:
    """Return the masks of an image.

    Args:
        segmenter: The model. It is asked point by point; see `point_masks.PointSegmenter`.
        image: (H, W, 3) uint8 RGB.
        settings: See `AutomaticSettings`.
        embedding: Of the whole image by this segmenter, where it is there already.
        pause: Called between two runs of the model, and by `Segmenter.embed`.

    Returns:
        The masks in the order in which suppression keeps them: without crops, the best score
        first. Empty where nothing passes the filters.
    """
    check_image(image)
    shape_hw = (image.shape[0], image.shape[1])
    grids = settings.grids()
    crops = crops_of(shape_hw, layers=settings.crop_layers, overlap_ratio=settings.crop_overlap)
    masks: list[AutomaticMask] = []
    for crop in crops:
        seen = embedding if crop.layer == 0 else None
        if seen is None:
            # Contiguous, because a model may hand the pixels to a library that needs it.
            part = np.ascontiguousarray(image[crop.y0 : crop.y1, crop.x0 : crop.x1])
            seen = segmenter.embed(part, pause=pause)
        masks += _of_crop(segmenter, seen, crop, grids[crop.layer], shape_hw, settings, pause)
    if len(crops) > 1:
        masks = _suppress(masks, [1 / mask.crop.area_px for mask in masks], settings.crop_nms)
    if settings.min_region_px > 0:
        masks = _without_small_regions(masks, shape_hw, settings)
    return masks


def _of_crop(
    segmenter: Segmenter,
    embedding: Embedding,
    crop: Crop,
    grid: Points,
    shape_hw: tuple[int, int],
    settings: AutomaticSettings,
    pause: Pause,
) -> list[AutomaticMask]:
    """Return the masks of one crop, those found twice left out, in pixels of the image."""
    height, width = crop.shape_hw
    points = grid * (width, height)
    covered = np.zeros(crop.shape_hw, np.bool_) if settings.skip_covered else None
    masks: list[AutomaticMask] = []
    # Where each answer decides what is asked next, points are asked one by one.
    at_once = 1 if settings.skip_covered else _POINTS_AT_ONCE
    for start in range(0, len(points), at_once):
        asked = points[start : start + at_once]
        if covered is not None and covered[int(asked[0, 1]), int(asked[0, 0])]:
            continue
        for found in point_masks(
            segmenter,
            embedding,
            asked,
            min_score=settings.min_score,
            offset=settings.stability_offset,
        ):
            for point_mask in found:
                mask = _passed(point_mask, asked, crop, shape_hw, settings)
                if mask is not None:
                    masks.append(mask)
                    if covered is not None:
                        covered |= point_mask.mask
            pause()
    return _suppress(masks, [mask.score for mask in masks], settings.box_nms)


def _passed(
    found: PointMask,
    asked: Points,
    crop: Crop,
    shape_hw: tuple[int, int],
    settings: AutomaticSettings,
) -> AutomaticMask | None:
    """Return the mask in pixels of the image, or None where a filter drops it."""
    # Compared in single precision, as the values are: 19 of 20 pixels reach 0.95.
    if settings.min_score > 0 and not np.float32(found.score) > np.float32(settings.min_score):
        return None
    # Written so that a mask without pixels, whose stability is NaN, fails as well.
    least = np.float32(settings.min_stability)
    if least > 0 and not np.float32(found.stability) >= least:
        return None
    area_px = int(np.count_nonzero(found.mask))
    if area_px >= settings.max_share * shape_hw[0] * shape_hw[1]:
        return None
    box = mask_box(found.mask)
    if leaves_crop(box, crop, shape_hw=shape_hw):
        return None
    x, y = asked[found.point]
    return AutomaticMask(
        counts=encode_coco_counts(_on_image(found.mask, crop, shape_hw)),
        area_px=area_px,
        box=(box[0] + crop.x0, box[1] + crop.y0, box[2] + crop.x0, box[3] + crop.y0),
        score=found.score,
        stability=found.stability,
        point_xy=(float(x) + crop.x0, float(y) + crop.y0),
        crop=crop,
    )


def _on_image(mask: BoolMask, crop: Crop, shape_hw: tuple[int, int]) -> BoolMask:
    if crop.shape_hw == shape_hw:
        return mask
    whole = np.zeros(shape_hw, np.bool_)
    whole[crop.y0 : crop.y1, crop.x0 : crop.x1] = mask
    return whole


def _suppress(
    masks: Sequence[AutomaticMask], scores: Sequence[float], iou_threshold: float
) -> list[AutomaticMask]:
    boxes = [mask.box for mask in masks]
    return [masks[place] for place in kept_by_nms(boxes, scores, iou_threshold=iou_threshold)]


def _without_small_regions(
    masks: Sequence[AutomaticMask], shape_hw: tuple[int, int], settings: AutomaticSettings
) -> list[AutomaticMask]:
    """Return the masks cleaned; where two have become alike, one that needed no cleaning stays."""
    cleaned: list[AutomaticMask] = []
    unchanged: list[float] = []
    for mask in masks:
        result = clean(mask.mask(shape_hw), min_area_px=settings.min_region_px)
        unchanged.append(float(not result.changed))
        cleaned.append(mask if not result.changed else _redrawn(mask, result.mask))
    return _suppress(cleaned, unchanged, max(settings.box_nms, settings.crop_nms))


def _redrawn(found: AutomaticMask, mask: BoolMask) -> AutomaticMask:
    return replace(
        found,
        counts=encode_coco_counts(mask),
        area_px=int(np.count_nonzero(mask)),
        box=mask_box(mask),
    )
