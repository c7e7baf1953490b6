"""Annotators' answers: the annotations of a round's task, read as visits to its instances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cv2
import msgspec
import numpy as np

from remask_campaigns.rounds.tasks import RoundData, ShownInstance, digest_of, round_data
from remask_core.errors import InputError
from remask_core.rle_coco import encode_coco_counts
from remask_core.types import BoolMask, Click
from remask_label_config.bodies import WebhookAnnotation
from remask_label_config.prompts import Mark, Sign
from remask_label_config.region_masks import has_mask, mask_of_region
from remask_label_config.regions import Region
from remask_label_config.round_regions import clicks_among, is_frame
from remask_storage.campaign import Campaign, PlacedClick, Visit, VisitOutcome

__all__ = ["visits_of", "visits_of_annotation"]

_ANNOTATION = msgspec.json.Decoder(WebhookAnnotation, strict=False)


def visits_of(campaign: Campaign, number: int, task: Mapping[str, Any]) -> list[Visit]:
    """Return what each annotation of a round's task says of each instance.

    An annotation that was cancelled skips all instances of its task. Otherwise an instance is
    `skipped` if its mask was deleted or wiped away, `painted` if the mask was changed by hand,
    `corrected` if it was clicked, else `accepted`. Clicks on an instance whose mask was deleted
    say that there should be one: it is `corrected`.

    Args:
        campaign: The first `clicks_per_round` clicks of a visit count; live, all of them.
        number: The round, from 1.
        task: As Label Studio's API, export or webhook gives it, with `id`, `data` and
            `annotations`. Without annotations the list is empty.

    Raises:
        InputError: The task is not one of this round, an annotation cannot be read, or a mask in
            it is malformed.
    """
    data = round_data(task["data"])
    _check_round(data, number)
    return [
        visit
        for annotation in task.get("annotations") or ()
        for visit in visits_of_annotation(
            campaign, number, int(task["id"]), data, _annotation(annotation)
        )
    ]


def visits_of_annotation(
    campaign: Campaign,
    number: int,
    task_id: int,
    data: RoundData,
    annotation: WebhookAnnotation,
) -> list[Visit]:
    """Return what one annotation of a round's task says of each instance; see `visits_of`.

    Args:
        campaign: The first `clicks_per_round` clicks of a visit count; live, all of them.
        number: The round, from 1.
        task_id: Label Studio's number of the task.
        data: What the task's data says under `remask`.
        annotation: Of this task.

    Raises:
        InputError: As for `visits_of`.
    """
    _check_round(data, number)
    return list(_Reader(campaign, data, task_id, annotation).visits())


def _check_round(data: RoundData, number: int) -> None:
    if data.round != number:
        raise InputError(f"`task` must be of round {number}; it is of round {data.round}")


@dataclass(frozen=True, slots=True)
class _Found:
    """An instance as an annotation has it; `mask` is None where it was deleted.

    `by_hand` tells what the editor says of the mask; only its pixels can be sure.
    """

    shown: ShownInstance
    mask: BoolMask | None
    by_hand: bool

    @property
    def area_px(self) -> int:
        return 0 if self.mask is None else int(np.count_nonzero(self.mask))

    def contains(self, click: Click) -> bool:
        return self.mask is not None and bool(self.mask[int(click.y), int(click.x)])

    def distance_px(self, click: Click) -> float:
        """Return how far a click is from the mask; infinite without one."""
        places = None if self.mask is None else cv2.findNonZero(self.mask.view(np.uint8))
        if places is None:
            return math.inf
        return float(np.hypot(*(places.reshape(-1, 2) - (click.x, click.y)).T).min())

    def beside_box(self, click: Click) -> bool:
        x0, y0, x1, y1 = self.shown.box
        return not (x0 <= click.x < x1 and y0 <= click.y < y1)


class _Reader:
    """Reads one annotation."""

    def __init__(
        self, campaign: Campaign, data: RoundData, task_id: int, annotation: WebhookAnnotation
    ) -> None:
        self._campaign = campaign
        self._data = data
        self._task_id = task_id
        self._annotation = annotation

    def visits(self) -> Iterator[Visit]:
        if self._annotation.was_cancelled:
            for shown in self._data.instances:
                yield self._visit(shown, "skipped")
            return
        read = self._annotation.read()
        if read.unreadable:
            raise InputError(f"annotation {self._annotation.id}: {read.unreadable[0]}")
        found = self._found(read.regions)
        clicks: dict[str, list[PlacedClick]] = {instance.shown.id: [] for instance in found}
        for mark in clicks_among(read.regions):
            owner, click = self._owned(mark, found)
            clicks[owner].append(click)
        for instance in found:
            yield self._read(instance, clicks[instance.shown.id][: self._most_clicks])

    @property
    def _most_clicks(self) -> int | None:
        # A live mask is made of every click that it was answered for, so all of them count.
        return None if self._campaign.mode == "live" else self._campaign.clicks_per_round

    def _read(self, found: _Found, clicks: Sequence[PlacedClick]) -> Visit:
        empty = found.mask is None or not found.mask.any()
        counts = b"" if found.mask is None else encode_coco_counts(found.mask)
        changed = not empty and digest_of(counts) != found.shown.shown
        answered = self._campaign.mode == "live" and bool(clicks) and not found.by_hand
        painted = counts if changed else None
        if changed and not answered:
            return self._visit(found.shown, "painted", clicks, painted)
        if clicks:
            return self._visit(found.shown, "corrected", clicks, painted)
        return self._visit(found.shown, "skipped" if empty else "accepted")

    def _visit(
        self,
        shown: ShownInstance,
        outcome: VisitOutcome,
        clicks: Sequence[PlacedClick] = (),
        painted: bytes | None = None,
    ) -> Visit:
        annotation = self._annotation
        lead_time = annotation.lead_time
        return Visit(
            instance=shown.id,
            round=self._data.round,
            annotation=annotation.id,
            task=self._task_id,
            outcome=outcome,
            annotator=annotation.annotator,
            lead_time_s=None if lead_time is None else lead_time / len(self._data.instances),
            updated_at=_unix(annotation.updated_at or annotation.created_at),
            clicks=tuple(clicks),
            painted=painted,
        )

    def _found(self, regions: Sequence[Region]) -> list[_Found]:
        """Return the instances with their masks.

        What was painted as a region of its own belongs to the instance whose box it shares most
        with.
        """
        shown = self._data.instances
        masks: dict[str, BoolMask] = {}
        by_hand: set[str] = set()
        named = {instance.id for instance in shown}
        for region in regions:
            if not has_mask(region) or is_frame(region):
                continue
            mask = mask_of_region(region, shape_hw=self._data.shape_hw)
            owner = region.id if region.id in named else _boxed(mask, shown).id
            masks[owner] = masks[owner] | mask if owner in masks else mask
            if owner != region.id or region.origin == "prediction-changed":
                by_hand.add(owner)
        return [
            _Found(instance, masks.get(instance.id), instance.id in by_hand) for instance in shown
        ]

    def _owned(self, mark: Mark, found: Sequence[_Found]) -> tuple[str, PlacedClick]:
        """Return the instance that a click belongs to, and the click.

        A corrective click changes what is there: one that adds lies outside its mask, one that
        takes away lies on it. So a click that has lost its sign still has a meaning, and among
        several instances those that it would not change are out of the question.
        """
        at = mark.to_click(self._data.shape_hw, positive=True)
        if mark.sign is Sign.UNKNOWN:
            positive = not any(instance.contains(at) for instance in found)
        else:
            positive = mark.sign is Sign.POSITIVE
        owner = next((instance for instance in found if instance.shown.id == mark.echo.rid), None)
        if owner is None:
            present = [instance for instance in found if instance.mask is not None] or found
            wrong = [
                instance for instance in present if instance.contains(at) != positive
            ] or present
            owner = min(
                wrong,
                key=lambda instance: (
                    instance.beside_box(at),
                    instance.distance_px(at),
                    instance.area_px,
                ),
            )
        x, y = mark.to_xy(self._data.shape_hw)
        return owner.shown.id, PlacedClick(mark.id, x, y, positive, at=mark.time_s)


def _annotation(raw: Mapping[str, Any]) -> WebhookAnnotation:
    try:
        return _ANNOTATION.decode(msgspec.json.encode(raw))
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise InputError(f"`annotations` must be as Label Studio gives them: {error}") from error


def _boxed(mask: BoolMask, shown: Sequence[ShownInstance]) -> ShownInstance:
    """Return the instance in whose box most of a mask lies; of equals, the first."""

    def inside(instance: ShownInstance) -> int:
        x0, y0, x1, y1 = (max(round(edge), 0) for edge in instance.box)
        return int(np.count_nonzero(mask[y0:y1, x0:x1]))

    return max(shown, key=inside)


def _unix(text: str | None) -> float:
    """Return Unix seconds; 0 where Label Studio gives no time that can be read."""
    try:
        return datetime.fromisoformat((text or "").replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0
