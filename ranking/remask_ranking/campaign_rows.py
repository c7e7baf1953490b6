"""The table of a campaign's visits, to train a ranking on and to rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from remask_campaigns.visit_records import VisitRecord, read_visits
from remask_core.parallel import map_in_order
from remask_core.rle_coco import coco_rle
from remask_ranking.table import ClickPlace, Row, RowVisit
from remask_storage.campaign import CampaignInstance
from remask_storage.campaign_store import CampaignStore

__all__ = ["campaign_rows"]

_VISITS_AT_ONCE = 20


def campaign_rows(store: CampaignStore, name: str, *, processes: int = 1) -> Iterator[Row]:
    """Yield a row for each visit that an instance's round went on from.

    Instances are named as exports of the campaign's results name them. Those that were skipped, in
    whichever round, have no mask and no row, and a round that is not closed has no rows yet. Where
    the truth is known, the row has the mask's IoU with it. Memory does not grow with the campaign.

    Args:
        store: Where the campaign is kept.
        name: Of the campaign.
        processes: How many measure; the rows do not depend on it.

    Raises:
        NotFound: There is no such campaign.
        InputError: A stored mask is damaged, or a click is not on its image.
    """
    visits = _visits(store, name)
    batches = iter(lambda: list(islice(visits, _VISITS_AT_ONCE)), [])
    for rows in map_in_order(_rows_of, batches, shared=None, processes=processes):
        yield from rows


def _rows_of(_: None, visits: Sequence[RowVisit]) -> list[Row]:
    return [visit.to_row() for visit in visits]


def _visits(store: CampaignStore, name: str) -> Iterator[RowVisit]:
    clicked = Counter[str]()
    for entry in read_visits(store, name):
        if entry.is_dropped or not entry.is_valid:
            continue
        own = entry.instance.id
        if entry.before is not None and entry.after is not None:
            yield _visit(entry, clicks_before=clicked[own])
        # Visits come instance by instance, so the count of one is all that is kept.
        clicked = Counter({own: clicked[own] + len(entry.visit.clicks)})


def _visit(entry: VisitRecord, *, clicks_before: int) -> RowVisit:
    assert entry.before is not None
    assert entry.after is not None
    instance, box = entry.instance, entry.instance.box
    pixels = [click.pixel for click in entry.visit.clicks]
    return RowVisit(
        instance=instance.id,
        round=entry.visit.round,
        previous_mask=_rle(instance, entry.before.counts),
        mask=_rle(instance, entry.after.counts),
        clicks=tuple(ClickPlace(x=at.x, y=at.y, positive=at.positive) for at in pixels),
        box=(box.x0, box.y0, box.x1, box.y1),
        truth=None if entry.truth is None else _rle(instance, entry.truth.counts),
        score=entry.after.score,
        label=instance.label,
        annotator=entry.visit.annotator,
        seconds=entry.visit.lead_time_s,
        score_before=entry.before.score,
        clicks_before=clicks_before,
    )


def _rle(instance: CampaignInstance, counts: bytes) -> dict[str, Any]:
    return dict(coco_rle(counts, shape_hw=instance.shape_hw))
