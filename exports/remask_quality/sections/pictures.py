"""Pictures of instances: each mask with the clicks it got, then the last mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from remask_campaigns.rounds.instance_state import instance_states
from remask_core.errors import RemaskError
from remask_core.geometry import box_of_mask
from remask_core.types import BoolMask, Box, Click, RgbImage
from remask_quality.measures.campaign import decoded
from remask_quality.measures.rows import InstanceRow, Quality, VisitRow
from remask_reports.overlays import overlay
from remask_reports.page import Picture
from remask_storage.campaign import CampaignInstance, PlacedClick, Visit
from remask_storage.campaign_store import CampaignStore

__all__ = ["CLICKS_LEGEND", "LEGEND", "Album", "ImageOf", "window_around"]

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
        self._last: tuple[tuple[str, tuple[int, int]], RgbImage] | None = None
        self._store = store
        self._campaign = quality.campaign
        self._image_of = image_of
        self._instances = {
            instance.id: instance for instance in store.instances(quality.campaign.name)
        }
        self._truths = store.truths(quality.campaign.name)

    def story(self, row: InstanceRow) -> tuple[Picture, ...]:
        """Return a picture of each mask of the instance that was clicked on, and of its last mask.

        Empty if it has no masks.
        """
        instance, visits, masks = self._of(row.id)
        scene = self._scene(instance, masks.values(), self._truth(instance))
        pictures = []
        shown = masks.get(0)
        for number, visit in sorted(visits.items()):
            if shown is None or (number not in masks and visit.outcome == "corrected"):
                break
            if visit.outcome == "corrected":
                clicks = "1 click" if len(visit.clicks) == 1 else f"{len(visit.clicks)} clicks"
                caption = f"shown in round {number}{_iou(row, number - 1)}; {clicks}"
                pictures.append(Picture(scene.draw(shown, visit.clicks), caption))
            shown = masks.get(number, shown)
        if shown is not None:
            last = f"the mask{_iou(row, len(row.ious) - 1)}" if row.has_mask else "skipped"
            pictures.append(Picture(scene.draw(shown), last))
        return tuple(pictures)

    def visit(self, visit: VisitRow, *, caption: str) -> Picture | None:
        """Return a picture of the mask that was shown in a visit, with the clicks it got.

        Its IoU with the truth before and after stands below, where known. None if the mask or the
        visit is not there.
        """
        instance, visits, masks = self._of(visit.instance)
        shown = [number for number in masks if number < visit.round]
        if not shown or visit.round not in visits:
            return None
        ious = [f"{iou:.2f}" for iou in (visit.iou_before, visit.iou_after) if iou is not None]
        words = [f"{instance.label}, {caption}", *([f"IoU {' to '.join(ious)}"] if ious else [])]
        before = masks[max(shown)]
        scene = self._scene(instance, [before], self._truth(instance))
        return Picture(scene.draw(before, visits[visit.round].clicks), "; ".join(words))

    def mask(self, row: InstanceRow, *, first: bool, caption: str) -> Picture | None:
        """Return the last mask with the truth, or the `first` one with what it became.

        None if there is none.
        """
        instance, _, masks = self._of(row.id)
        if not masks:
            return None
        last = masks[max(masks)]
        mask = masks[min(masks)] if first else last
        truth = last if first else self._truth(instance)
        scene = self._scene(instance, [mask], truth)
        return Picture(scene.draw(mask), caption)

    def _of(self, name: str) -> tuple[CampaignInstance, Mapping[int, Visit], dict[int, BoolMask]]:
        """Return an instance, its visits that count, and its masks by round."""
        instance = self._instances[name]
        [state] = instance_states(self._store, self._campaign, of=[instance])
        stored = dict(self._store.masks(self._campaign.name, of=[name])).get(name, {})
        masks = {number: decoded(mask.counts, instance) for number, mask in stored.items()}
        for number, visit in state.visits.items():
            if number not in masks and visit.painted is not None:
                masks[number] = decoded(visit.painted, instance)
        return instance, state.visits, masks

    def _scene(
        self, instance: CampaignInstance, masks: Iterable[BoolMask], truth: BoolMask | None
    ) -> _Scene:
        window = window_around(instance, [*masks, *([] if truth is None else [truth])])
        return _Scene(
            image=np.ascontiguousarray(self.image(instance)[window]),
            truth=None if truth is None else np.ascontiguousarray(truth[window]),
            box=instance.box,
            window=window,
        )

    def _truth(self, instance: CampaignInstance) -> BoolMask | None:
        known = self._truths.get(instance.id)
        return None if known is None else decoded(known.counts, instance)

    def image(self, instance: CampaignInstance) -> RgbImage:
        """Return the image that an instance lies on; grey where it cannot be had.

        The last one is kept, for the next instance may lie on it, too.
        """
        key = (instance.image, instance.shape_hw)
        if self._last is None or self._last[0] != key:
            self._last = (key, self._fetched(instance))
        return self._last[1]

    def _fetched(self, instance: CampaignInstance) -> RgbImage:
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


@dataclass(frozen=True, slots=True)
class _Scene:
    """What lies around one instance, and stays the same in all of its pictures.

    Attributes:
        image: Of the window alone.
        truth: Of the window alone; outlined in white.
        box: In pixels of the whole image.
        window: Rows and columns of the whole image.
    """

    image: RgbImage
    truth: BoolMask | None
    box: Box
    window: tuple[slice, slice]

    def draw(self, mask: BoolMask, clicks: Sequence[PlacedClick] = ()) -> RgbImage:
        """Return a picture of a mask of the whole image, with the clicks that it got."""
        x0, y0 = self.window[1].start, self.window[0].start
        height, width = self.image.shape[:2]
        box = self.box
        return overlay(
            self.image,
            np.ascontiguousarray(mask[self.window]),
            truth=self.truth,
            clicks=[
                Click(click.x - x0 - 0.5, click.y - y0 - 0.5, click.positive) for click in clicks
            ],
            box=Box(box.x0 - x0, box.y0 - y0, box.x1 - x0, box.y1 - y0),
            height_px=max(1, min(_HEIGHT_PX, round(_WIDTH_PX * height / width))),
        )


def window_around(instance: CampaignInstance, masks: Iterable[BoolMask]) -> tuple[slice, slice]:
    """Return the rows and columns around the object, with a margin, inside the image."""
    height, width = instance.shape_hw
    seen = [box_of_mask(mask) for mask in masks]
    boxes = [instance.box, *(box for box in seen if box is not None)]
    x0, y0 = min(box.x0 for box in boxes), min(box.y0 for box in boxes)
    x1, y1 = max(box.x1 for box in boxes), max(box.y1 for box in boxes)
    margin = _MARGIN * max(x1 - x0, y1 - y0)
    left, top = (
        int(max(0, min(x0 - margin, width - 1))),
        int(max(0, min(y0 - margin, height - 1))),
    )
    right, bottom = int(min(width, x1 + margin)), int(min(height, y1 + margin))
    return slice(top, max(top + 1, bottom)), slice(left, max(left + 1, right))


def _iou(row: InstanceRow, number: int) -> str:
    return f", IoU {row.ious[number]:.2f}" if 0 <= number < len(row.ious) else ""
