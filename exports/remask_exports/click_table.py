"""The clicks of a campaign as rows: each click with its visit and what it changed.

Places and masks are those of the whole image, also where annotators were shown a crop of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from remask_campaigns.crops.geometry import paste_counts, whole_clicks, whole_instance
from remask_campaigns.visit_records import VisitRecord, read_visits
from remask_core.overlap import iou
from remask_core.parallel import map_in_order
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import BoolMask
from remask_exports.tables import columns_of, write_table
from remask_masks.error_regions import ErrorRegion, error_regions
from remask_storage.campaign import CampaignInstance, Mask, PlacedClick, Truth
from remask_storage.campaign_store import CampaignStore
from remask_storage.click_rows import JoinedPrompt, PromptRow, joined_prompts
from remask_storage.database import Database

__all__ = ["ClickRow", "click_rows", "write_clicks", "write_live_prompts"]

_ENTRIES_AT_ONCE = 20

_Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ClickRow:
    """One click. Fields that nobody knows are None.

    Attributes:
        campaign: Name of the campaign.
        instance: As rankings and exports call it.
        image: Address of the image; of the whole one where a crop was shown.
        label: Class of the instance.
        source_id: What the box was called where it came from.
        round: From 1.
        annotation_id: Label Studio's id.
        annotator: Label Studio's id of the person.
        counts: Whether the mask was made with this click; see `VisitRecord.is_valid`.
        outcome: How the instance left this visit.
        lead_time_s: Seconds of the visit, by the browser's clock.
        position: Place of the click in its visit, from 0.
        click_id: Label Studio's region id.
        positive: Whether the place belongs to the object.
        x: Column in pixels of the image, not rounded; of the whole one where a crop was shown.
        y: Row.
        at: When the server heard of it, Unix seconds.
        height: Of the image and its masks; of the whole ones where a crop was shown.
        width: The same.
        mask_before: Packed COCO RLE counts of the mask that was clicked on.
        mask_after: The same of the mask after the round.
        iou_with_previous: IoU of the two, as the ranking model sees it.
        error_area_px: Pixels of the connected error under the click that the click's sign puts
            right; 0 where there is none. Needs the truth.
        true_iou_before: IoU of the mask before with the truth.
        true_iou_after: IoU of the mask after with the truth.
    """

    campaign: str
    instance: str
    image: str
    label: str
    source_id: str
    round: int
    annotation_id: int
    annotator: int | None
    counts: bool
    outcome: str
    lead_time_s: float | None
    position: int
    click_id: str
    positive: bool
    x: float
    y: float
    at: float | None
    height: int
    width: int
    mask_before: str | None
    mask_after: str | None
    iou_with_previous: float | None
    error_area_px: int | None
    true_iou_before: float | None
    true_iou_after: float | None


def click_rows(
    store: CampaignStore, name: str, *, all_visits: bool = False, processes: int = 1
) -> Iterator[ClickRow]:
    """Yield the clicks of a campaign in order of instance, round and position.

    Memory does not grow with the campaign.

    Args:
        store: Where it is kept.
        name: Of the campaign.
        all_visits: Clicks of visits that do not count, too: of annotators who have not passed the
            test, and of annotations that a newer one replaced.
        processes: How many measure; the rows do not depend on it.

    Raises:
        NotFound: There is no such campaign.
        InputError: A stored mask is damaged.
    """
    entries = (
        entry
        for entry in read_visits(store, name)
        if entry.visit.clicks and (all_visits or entry.is_valid)
    )
    batches = iter(lambda: list(islice(entries, _ENTRIES_AT_ONCE)), [])
    for rows in map_in_order(_rows_of, batches, shared=name, processes=processes):
        yield from rows


def write_clicks(
    store: CampaignStore,
    name: str,
    out: Path,
    *,
    all_visits: bool = False,
    processes: int = 1,
) -> int:
    """Write the clicks of a campaign to a `.csv` or `.parquet`; return how many there are.

    Otherwise as `click_rows` and `write_table`.
    """
    rows = click_rows(store, name, all_visits=all_visits, processes=processes)
    return write_table(map(asdict, rows), out, columns=columns_of(ClickRow))


def write_live_prompts(store: Database, out: Path, *, project: str | None = None) -> int:
    """Write the prompts of live labelling, each with the annotation it ended up in.

    Args:
        store: The service's click log.
        out: `.csv` or `.parquet`.
        project: Only of this project of Label Studio.

    Returns:
        How many prompts there are.

    Raises:
        InputError: As `write_table`.
    """
    annotation = {name: kind for name, kind in columns_of(JoinedPrompt).items() if name != "prompt"}
    rows = (
        asdict(joined.prompt) | {name: getattr(joined, name) for name in annotation}
        for joined in joined_prompts(store, project=project)
    )
    return write_table(rows, out, columns={**columns_of(PromptRow), **annotation})


def _rows_of(campaign: str, entries: Sequence[VisitRecord]) -> list[ClickRow]:
    return [row for entry in entries for row in _rows(campaign, entry)]


def _rows(campaign: str, entry: VisitRecord) -> Iterator[ClickRow]:
    visit, size = entry.visit, entry.instance.shape_hw
    before, after, truth = (
        _decoded(mask, size) for mask in (entry.before, entry.after, entry.truth)
    )
    errors = None if before is None or truth is None else error_regions(truth, before)
    changed, iou_before, iou_after = _iou(before, after), _iou(before, truth), _iou(after, truth)
    areas = [None if errors is None else _area_under(click, errors) for click in visit.clicks]
    instance = whole_instance(entry.instance)
    shown, made = (_text(mask, entry.instance) for mask in (entry.before, entry.after))
    clicks = whole_clicks(visit.clicks, entry.instance)
    for position, (click, area) in enumerate(zip(clicks, areas, strict=True)):
        yield ClickRow(
            campaign=campaign,
            instance=instance.id,
            image=instance.image,
            label=instance.label,
            source_id=instance.source_id,
            round=visit.round,
            annotation_id=visit.annotation,
            annotator=visit.annotator,
            counts=entry.is_valid,
            outcome=visit.outcome,
            lead_time_s=visit.lead_time_s,
            position=position,
            click_id=click.id,
            positive=click.positive,
            x=click.x,
            y=click.y,
            at=click.at,
            height=instance.shape_hw[0],
            width=instance.shape_hw[1],
            mask_before=shown,
            mask_after=made,
            iou_with_previous=changed,
            error_area_px=area,
            true_iou_before=iou_before,
            true_iou_after=iou_after,
        )


def _decoded(mask: Mask | Truth | None, size: _Size) -> BoolMask | None:
    return None if mask is None else decode_coco_counts(mask.counts, shape_hw=size)


def _text(mask: Mask | None, instance: CampaignInstance) -> str | None:
    return None if mask is None else paste_counts(mask.counts, instance).decode("ascii")


def _iou(a: BoolMask | None, b: BoolMask | None) -> float | None:
    return None if a is None or b is None else iou(a, b)


def _area_under(click: PlacedClick, errors: Sequence[ErrorRegion]) -> int:
    for region in errors:
        row, column = int(click.y) - region.y0, int(click.x) - region.x0
        height, width = region.pixels.shape
        inside = 0 <= row < height and 0 <= column < width
        if region.positive == click.positive and inside and region.pixels[row, column]:
            return region.area_px
    return 0
