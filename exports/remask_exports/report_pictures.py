"""Instances as pictures: each mask that was shown with the clicks it got, then the last mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from remask_core.errors import RemaskError
from remask_core.geometry import box_of_mask
from remask_core.types import BoolMask, Box, Click, RgbImage
from remask_exports.quality_measure import decoded
from remask_exports.quality_rows import InstanceRow, Quality
from remask_reports.overlays import overlay
from remask_reports.page import Picture
from remask_rounds.campaign import CampaignInstance, Visit
from remask_rounds.campaign_store import CampaignStore
from remask_rounds.standing import standings

__all__ = ["CLICKS_LEGEND", "LEGEND", "Album", "ImageOf"]

ImageOf: TypeAlias = Callable[[str], RgbImage]

LEGEND = "Magenta: the mask. White line: the truth, where known. Yellow: the box."
CLICKS_LEGEND = "Green plus: a click on missed object. Red minus: a click on wrong object."

_HEIGHT_PX, _WIDTH_PX = 170, 215  # at most; four beside each other on a wide screen
_MARGIN = 0.3  # of the object's extent, around it
_BLANK = 214


class Album:
    """Makes pictures of a campaign's instances, one at a time, so that memory stays flat.

    Args:
        store: Where the campaign is kept.
        quality: Of the same campaign.
        image_of: Address to image; None draws masks on grey. An image that cannot be had does so
            too, and is counted in `missing`.
    """

    def __init__(self, store: CampaignStore, quality: Quality, image_of: ImageOf | None) -> None:
        self.missing: set[str] = set()
        self._store = store
        self._campaign = quality.campaign
        self._image_of = image_of
        self._instances = {one.id: one for one in store.instances(quality.campaign.name)}
        self._truths = store.truths(quality.campaign.name)

    def story(self, row: InstanceRow) -> tuple[Picture, ...]:
        """Return the instance's way: a picture for each mask that was clicked on, and its last.

        Empty if it has no masks.
        """
        instance, visits, masks = self._known_of(row)
        pictures = []
        shown = masks.get(0)
        for number, visit in sorted(visits.items()):
            if shown is None or (number not in masks and visit.outcome == "corrected"):
                break
            if visit.outcome == "corrected":
                clicks = "1 click" if len(visit.clicks) == 1 else f"{len(visit.clicks)} clicks"
                caption = f"shown in round {number}{_iou(row, number - 1)}; {clicks}"
                pictures.append(Picture(self._draw(instance, shown, visit), caption))
            shown = masks.get(number, shown)
        if shown is not None:
            last = f"the mask{_iou(row, len(row.ious) - 1)}" if row.has_mask else "skipped"
            pictures.append(Picture(self._draw(instance, shown, None), last))
        return tuple(pictures)

    def mask(self, row: InstanceRow, *, first: bool, caption: str) -> Picture | None:
        """Return the mask from the box alone (`first`) or the last one; None if there is none."""
        instance, _, masks = self._known_of(row)
        if not masks:
            return None
        number = min(masks) if first else max(masks)
        return Picture(self._draw(instance, masks[number], None), caption)

    def _known_of(
        self, row: InstanceRow
    ) -> tuple[CampaignInstance, Mapping[int, Visit], dict[int, BoolMask]]:
        """Return an instance, its visits that count, and its masks by round."""
        instance = self._instances[row.id]
        [standing] = standings(self._store, self._campaign, of=[instance])
        stored = dict(self._store.masks(self._campaign.name, of=[row.id])).get(row.id, {})
        masks = {number: decoded(mask.counts, instance) for number, mask in stored.items()}
        for number, visit in standing.visits.items():
            if number not in masks and visit.painted is not None:
                masks[number] = decoded(visit.painted, instance)
        return instance, standing.visits, masks

    def _draw(self, instance: CampaignInstance, mask: BoolMask, visit: Visit | None) -> RgbImage:
        known = self._truths.get(instance.id)
        truth = None if known is None else decoded(known.counts, instance)
        rows, columns = _window(mask if truth is None else mask | truth, instance.box)
        x0, y0 = columns.start, rows.start
        height, width = rows.stop - y0, columns.stop - x0
        clicks = () if visit is None else visit.clicks
        box = instance.box
        return overlay(
            np.ascontiguousarray(self._image(instance)[rows, columns]),
            np.ascontiguousarray(mask[rows, columns]),
            truth=None if truth is None else np.ascontiguousarray(truth[rows, columns]),
            clicks=[Click(one.x - x0 - 0.5, one.y - y0 - 0.5, one.positive) for one in clicks],
            box=Box(box.x0 - x0, box.y0 - y0, box.x1 - x0, box.y1 - y0),
            height_px=max(1, min(_HEIGHT_PX, round(_WIDTH_PX * height / width))),
        )

    def _image(self, instance: CampaignInstance) -> RgbImage:
        if self._image_of is not None:
            try:
                image = self._image_of(instance.image)
            except RemaskError:
                self.missing.add(instance.image)
            else:
                if image.shape[:2] == instance.shape_hw:
                    return image
                self.missing.add(instance.image)
        return np.full((*instance.shape_hw, 3), _BLANK, np.uint8)


def _window(mask: BoolMask, box: Box) -> tuple[slice, slice]:
    """Return the rows and columns around the object, with a margin, inside the image."""
    height, width = mask.shape
    seen = box_of_mask(mask) or box
    x0, y0 = min(seen.x0, box.x0), min(seen.y0, box.y0)
    x1, y1 = max(seen.x1, box.x1), max(seen.y1, box.y1)
    margin = _MARGIN * max(x1 - x0, y1 - y0)
    return (
        slice(int(max(0, y0 - margin)), int(min(height, y1 + margin)) or 1),
        slice(int(max(0, x0 - margin)), int(min(width, x1 + margin)) or 1),
    )


def _iou(row: InstanceRow, number: int) -> str:
    return f", IoU {row.ious[number]:.2f}" if 0 <= number < len(row.ious) else ""
