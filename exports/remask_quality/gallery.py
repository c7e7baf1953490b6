"""The gallery of a campaign: every mask small, ordered by rank, to be filtered and enlarged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from remask_campaigns.rounds.instance_state import InstanceState, instance_states
from remask_core.progress import OnProgress, no_progress
from remask_core.types import BoolMask
from remask_quality.measures.campaign import decoded, measure
from remask_quality.measures.rows import InstanceRow, Quality
from remask_quality.sections.pictures import Album, ImageOf, window_around
from remask_ranking.ranks import Rank, Ranks, read_ranks
from remask_reports.gallery import (
    GalleryColumn,
    GalleryMask,
    GalleryValue,
    outline_path,
    write_gallery_page,
)
from remask_storage.campaign_store import CampaignStore

__all__ = ["write_gallery"]

_AT_ONCE: Final = 50
_FEW: Final = 2000
_SIDE_PX: Final = {True: 240, False: 128}
"""Longer side of a picture: of a few thousand masks, and of more, so that the file can be sent."""

_COLUMNS: Final = (
    GalleryColumn("predicted", "predicted IoU", "number", 2, filter=True, caption=1, short="p"),
    GalleryColumn("true", "true IoU", "number", 2, filter=True, caption=1, short="t"),
    GalleryColumn("label", "class", filter=True, caption=2),
    GalleryColumn("outcome", "outcome", filter=True, caption=2),
    GalleryColumn("round", "last round", "number", 0, filter=True),
    GalleryColumn("annotator", "annotator", filter=True),
    GalleryColumn("error", "what is wrong", filter=True),
    GalleryColumn("rank", "rank", "number"),
    GalleryColumn("uncertainty", "uncertainty", "number", 2),
    GalleryColumn("clicks", "clicks", "number"),
    GalleryColumn("seconds", "seconds", "number"),
    GalleryColumn("image", "image"),
)


def write_gallery(
    store: CampaignStore,
    name: str,
    out: Path,
    *,
    ranks: Path | None = None,
    image_of: ImageOf | None = None,
    max_compared: int = 1000,
    processes: int = 1,
    made_by: str = "",
    on_progress: OnProgress = no_progress,
) -> int:
    """Write a page with every mask of a campaign, and return how many there are.

    Instances without a mask are not on it. Each image is fetched once for its instances that
    follow each other.

    Args:
        store: Where the campaign is kept.
        name: Of the campaign.
        out: HTML page.
        ranks: CSV of `remask rank apply`; without, masks are ordered by true IoU where known.
        image_of: Address to image; None shows masks on grey.
        max_compared: As for `measure`, and so for `processes`.
        processes: How many measure.
        made_by: The command that makes the page again.
        on_progress: Hears how many instances are done.

    Raises:
        NotFound: There is no such campaign or file.
        InputError: A file or a mask in the store cannot be read, or `out` cannot be written.
    """
    known: Ranks = {} if ranks is None else read_ranks(ranks)
    quality = measure(
        store,
        name,
        ranks=known,
        max_compared=max_compared,
        processes=processes,
        on_progress=on_progress,
    )
    album = Album(store, quality, image_of)
    shown = sum(row.has_mask for row in quality.instances)
    order = "by predicted IoU, the worst first" if known else "by true IoU, the worst first"
    return write_gallery_page(
        out,
        _masks(store, quality, album, known, on_progress),
        title=f"Masks of {name}",
        columns=_COLUMNS,
        first_order=("predicted" if known else "true", 1),
        summary=(
            f"{shown:,} masks, {order}. Click on one to enlarge it: magenta is the mask, white the "
            "truth where known, yellow the box; green plus and red minus are clicks. p: predicted "
            "IoU, t: true IoU."
        ),
        made_by=made_by,
    )


def _masks(
    store: CampaignStore, quality: Quality, album: Album, ranks: Ranks, on_progress: OnProgress
) -> Iterator[GalleryMask]:
    campaign = quality.campaign
    rows = {row.id: row for row in quality.instances}
    errors = {noise.instance: noise.last.kind for noise in quality.noise if noise.last is not None}
    instances = store.instances(campaign.name)
    truths = store.truths(campaign.name)
    side = _SIDE_PX[len(instances) <= _FEW]
    # One image after the other, so that each is fetched once.
    instances.sort(key=lambda instance: instance.image)
    for start in range(0, len(instances), _AT_ONCE):
        some = instances[start : start + _AT_ONCE]
        stored = dict(store.masks(campaign.name, of=[instance.id for instance in some]))
        for state in instance_states(store, campaign, of=some):
            instance = state.instance
            row = rows[instance.id]
            made = {at: mask.counts for at, mask in stored.get(instance.id, {}).items()}
            mask = _last_mask(state, made)
            if mask is None or not row.has_mask:
                continue
            truth = truths.get(instance.id)
            yield _gallery_mask(
                state,
                mask,
                None if truth is None else decoded(truth.counts, instance),
                album,
                side=side,
                values=_values(quality, row, ranks.get(row.id), errors),
            )
        on_progress("Drawing", min(start + _AT_ONCE, len(instances)), len(instances))


def _last_mask(state: InstanceState, made: Mapping[int, bytes]) -> BoolMask | None:
    """Return the mask that would be delivered; None before there is one."""
    known = dict(made)
    for number, visit in state.visits.items():
        if visit.painted is not None:
            known.setdefault(number, visit.painted)
    return decoded(known[max(known)], state.instance) if known else None


def _gallery_mask(
    state: InstanceState,
    mask: BoolMask,
    truth: BoolMask | None,
    album: Album,
    *,
    side: int,
    values: tuple[GalleryValue, ...],
) -> GalleryMask:
    instance = state.instance
    window = window_around(instance, [mask, *([] if truth is None else [truth])])
    image = np.ascontiguousarray(album.image(instance)[window])
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    x0, y0 = window[1].start, window[0].start
    box = instance.box
    return GalleryMask(
        name=instance.id,
        picture=cv2.resize(image, size, interpolation=shrink).astype(np.uint8, copy=False),
        mask=outline_path(np.ascontiguousarray(mask[window]), scale=scale),
        truth=""
        if truth is None
        else outline_path(np.ascontiguousarray(truth[window]), scale=scale),
        box=(
            (box.x0 - x0) * scale,
            (box.y0 - y0) * scale,
            box.width * scale,
            box.height * scale,
        ),
        clicks=tuple(
            ((click.x - x0) * scale, (click.y - y0) * scale, click.positive, number)
            for number, visit in sorted(state.visits.items())
            for click in visit.clicks
        ),
        values=values,
    )


def _values(
    quality: Quality, row: InstanceRow, rank: Rank | None, errors: Mapping[str, str]
) -> tuple[GalleryValue, ...]:
    seconds = row.seconds[min(row.last_round, len(row.seconds) - 1)]
    return (
        None if rank is None else round(rank.predicted_iou, 4),
        None if row.true_iou is None else round(row.true_iou, 4),
        row.label,
        row.outcome,
        row.last_round,
        quality.name_of(row.annotator) if row.last_round else None,
        errors.get(row.id),
        None if rank is None else rank.rank,
        None if rank is None or rank.uncertainty is None else round(rank.uncertainty, 4),
        row.n_clicks,
        None if seconds is None else round(seconds, 1),
        row.image,
    )
