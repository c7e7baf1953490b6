"""The quality report of a campaign: what was measured, put together into one page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from remask_core.errors import InputError
from remask_core.progress import OnProgress, no_progress
from remask_quality.measures.campaign import measure
from remask_quality.measures.headline import (
    Headline,
    headline_of,
    hours_words,
    next_steps,
    percent_words,
)
from remask_quality.measures.help import who_needs_help
from remask_quality.measures.progress import paces, worse_masks
from remask_quality.measures.ranking import Ranking, ranking_of
from remask_quality.measures.rows import InstanceRow, Quality
from remask_quality.sections.behaviour import behaviour_section
from remask_quality.sections.decisions import (
    cost_section,
    deliver_section,
    help_section,
    worse_section,
)
from remask_quality.sections.mask_errors import noise_section
from remask_quality.sections.people import class_section, person_section
from remask_quality.sections.pictures import CLICKS_LEGEND, LEGEND, Album, ImageOf
from remask_quality.sections.progress import progress_section
from remask_quality.sections.ranking import ranking_section
from remask_ranking.campaign_plan import rows_plan
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.guarantee import Guarantee
from remask_ranking.judge import held_out_predictions
from remask_ranking.plan import Plan
from remask_ranking.promises import rows_guarantee
from remask_ranking.ranks import read_ranks
from remask_ranking.table import Row, read_rows
from remask_reports.intervals import RESAMPLED
from remask_reports.page import Advice, Block, Fact, Facts, Gallery, Page, Section, Text
from remask_storage.campaign_store import CampaignStore

__all__ = ["quality_page", "summary", "write_report"]

_WORST: Final = 8
_NO_TRUTH: Final = "no truth is known of any mask"


def write_report(
    store: CampaignStore,
    name: str,
    out: Path,
    *,
    ranks: Path | None = None,
    rows: Path | None = None,
    image_of: ImageOf | None = None,
    max_compared: int = 1000,
    processes: int = 1,
    made_by: str = "",
    on_progress: OnProgress = no_progress,
) -> Quality:
    """Write the report of a campaign, and return the figures that it was written from.

    Args:
        store: Where the campaign is kept.
        name: Of the campaign.
        out: HTML page.
        ranks: CSV of `remask rank apply`: predicted IoU and rank.
        rows: Table of `remask rank rows`; the ranking is then judged on instances whose truth it
            has not seen.
        image_of: Address to image; None draws masks on grey.
        max_compared: See `measure`, and so for `processes` and `on_progress`.
        processes: How many measure.
        made_by: The command that makes the page again.
        on_progress: Hears how many instances are done.

    Raises:
        NotFound: There is no such campaign or file.
        InputError: A file or a mask in the store cannot be read, or `out` cannot be written.
    """
    predicted = None if ranks is None else read_ranks(ranks)
    table = None if rows is None else read_rows(rows)
    held_out = None if table is None else held_out_predictions(table)
    quality = measure(
        store,
        name,
        ranks=predicted,
        max_compared=max_compared,
        processes=processes,
        on_progress=on_progress,
    )
    if table is None:
        # Without truth there is nothing to work out of them.
        known = store.truths(name)
        table = list(campaign_rows(store, name, processes=processes)) if known else []
    page = quality_page(
        store,
        quality,
        image_of=image_of,
        held_out=held_out,
        promise=_promise(table),
        plan=_plan(table, quality),
        made_by=made_by,
    )
    page.write(out)
    return quality


def summary(quality: Quality) -> str:
    """Return the state of a campaign in a few lines for a terminal."""
    lines = [headline_of(quality).sentence()]
    for pace in paces(quality, by_truth=True):
        after = f"round {pace.round}" if pace.round else "the box"
        lines.append(f"After {after}: mIoU {pace.iou.value:.3f}, {pace.seconds.value:.0f} s")
    return "\n".join(lines)


def _promise(table: list[Row]) -> Guarantee | str:
    """Return what can be promised of the masks, or why nothing can be said."""
    if not any(row.true_iou is not None for row in table):
        return _NO_TRUTH
    try:
        return rows_guarantee(table)
    except InputError as error:
        return str(error)


def _plan(table: list[Row], quality: Quality) -> Plan | str:
    """Return what another round would bring and cost, or why nothing can be said."""
    if not any(row.true_iou is not None for row in table):
        return _NO_TRUTH
    painted = {row.id for row in quality.instances if row.outcome == "painted"}
    try:
        return rows_plan(table, settled=painted)
    except InputError as error:
        return str(error)


def quality_page(
    store: CampaignStore,
    quality: Quality,
    *,
    image_of: ImageOf | None = None,
    held_out: Mapping[str, float] | None = None,
    promise: Guarantee | str = "no guarantee was worked out",
    plan: Plan | str = "no plan was worked out",
    made_by: str = "",
) -> Page:
    """Return the report of a campaign.

    Args:
        store: Where the campaign is kept; read for the pictures alone.
        quality: Of `measure`.
        image_of: Address to image; None draws masks on grey.
        held_out: See `ranking_of`.
        promise: What can be promised of the masks, or why nothing can be said.
        plan: What another round would bring and cost, or why nothing can be said.
        made_by: The command that makes the page again.
    """
    album = Album(store, quality, image_of)
    headline = headline_of(quality)
    ranking = ranking_of(quality, held_out=held_out)
    worse = worse_section(worse_masks(quality), album)
    sections = (
        _glance(quality, headline, ranking),
        deliver_section(quality.campaign.name, promise),
        cost_section(quality.campaign.name, plan),
        help_section(quality, who_needs_help(quality), album),
        class_section(quality),
        ranking_section(ranking),
        progress_section(quality),
        *([] if worse is None else [worse]),
        _worst_section(quality, album),
        person_section(quality),
        behaviour_section(quality),
        noise_section(quality, album),
        # Last, for it says which images the others could not have.
        _reading(quality, album, image_of),
    )
    return Page(
        title=f"Campaign {quality.campaign.name}",
        summary=headline.sentence(),
        sections=sections,
        made_by=made_by,
    )


def _glance(quality: Quality, headline: Headline, ranking: Ranking | None) -> Section:
    done = headline.done / headline.instances if headline.instances else 0.0
    facts = [
        Fact(f"{headline.instances:,}", "instances", f"{quality.campaign.rounds} rounds planned"),
        Fact(
            percent_words(done), "done", f"{headline.masks:,} masks, {headline.skipped:,} skipped"
        ),
    ]
    if math.isfinite(headline.hours):
        facts.append(Fact(hours_words(headline.hours), "of annotators' time", headline.pace()))
    if headline.clicks:
        facts.append(Fact(f"{headline.clicks:,}", "clicks", _per_instance(headline)))
    if math.isfinite(headline.predicted_iou.value):
        ranked = 0 if ranking is None else ranking.ranked
        facts.append(
            Fact(f"{headline.predicted_iou.value:.2f}", "predicted mean IoU", f"{ranked:,} masks")
        )
    if headline.with_truth:
        true = headline.true_iou
        between = f"{true.low:.2f} to {true.high:.2f}; " if true.has_range else ""
        facts.append(
            Fact(
                f"{true.value:.2f}",
                "true mean IoU",
                f"{between}{headline.with_truth:,} masks with truth",
            )
        )
    return Section(
        "At a glance",
        (Facts(tuple(facts)), Advice("What to do next", tuple(next_steps(quality, ranking)))),
    )


def _per_instance(headline: Headline) -> str:
    return f"{headline.clicks / headline.answered:.1f} on an instance" if headline.answered else ""


def _worst_section(quality: Quality, album: Album) -> Section:
    with_mask = [row for row in quality.instances if row.has_mask and row.last_round]
    if not with_mask:
        return Section("Worst masks", (Text("No mask has been visited yet."),))
    how, order = _worst_first(with_mask)
    blocks: list[Block] = [Text(f"{how} {LEGEND} {CLICKS_LEGEND}")]
    for row in order[:_WORST]:
        story = album.story(row)
        if story:
            blocks.append(Gallery(story, caption=_caption(row), group=len(story)))
    return Section("Worst masks", tuple(blocks))


def _worst_first(rows: list[InstanceRow]) -> tuple[str, list[InstanceRow]]:
    if any(row.predicted_iou is not None for row in rows):
        ranked = [(row.predicted_iou, row.id, row) for row in rows if row.predicted_iou is not None]
        return "Lowest predicted IoU first.", [row for _, _, row in sorted(ranked)]
    if any(row.true_iou is not None for row in rows):
        known = [(row.true_iou, row.id, row) for row in rows if row.true_iou is not None]
        return "Lowest true IoU first; nobody has ranked the masks.", [
            r for _, _, r in sorted(known)
        ]
    changed = sorted(
        (row.settled[-2] if len(row.settled) > 1 else 1.0, row.id, row) for row in rows
    )
    return (
        "Masks that changed most in their last round first; nobody has ranked the masks, and no "
        "truth is known.",
        [row for _, _, row in changed],
    )


def _caption(row: InstanceRow) -> str:
    known = [f"{row.label}, {row.id}"]
    if row.predicted_iou is not None:
        known.append(f"predicted IoU {row.predicted_iou:.2f}")
    if row.true_iou is not None:
        known.append(f"true IoU {row.true_iou:.2f}")
    known.append(f"{row.outcome} after round {row.last_round}, {row.n_clicks} clicks")
    return "; ".join(known)


def _reading(quality: Quality, album: Album, image_of: ImageOf | None) -> Section:
    blocks: list[Block] = [
        Text(
            f"Ranges hold the middle 95 % of what {RESAMPLED} resamplings (bootstrap) of the "
            "instances or visits at hand give; those of shares are Wilson's. They tell what chance "
            "does, not what a biased choice of instances or a wrong truth does. Instances of one "
            "image and clicks of one person are taken to be independent, so ranges from few images "
            "or people are too narrow."
        ),
        Text(
            "IoU: pixels in both masks over pixels in either. Predicted IoU: what the ranking "
            "expects of a mask by the clicks it got. Time: of the browser's clock, from opening to "
            "submitting."
        ),
    ]
    versions = sorted({opened.model_version for opened in quality.rounds if opened.model_version})
    if versions:
        blocks.append(Text(f"Masks by {', '.join(versions)}."))
    if quality.campaign.qualification is not None and quality.campaign.qualification.required:
        blocks.append(Text("Visits of people who have not passed the test are left out."))
    if image_of is None:
        blocks.append(Text("The page was made without images, so that masks lie on grey."))
    elif album.missing:
        blocks.append(
            Text(f"{len(album.missing)} images could not be had; their masks lie on grey.")
        )
    return Section("How to read this", tuple(blocks))
