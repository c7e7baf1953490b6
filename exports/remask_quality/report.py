"""A campaign's report: read in five minutes by a manager, in fifty by an engineer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from remask_quality.measures.headline import (
    Headline,
    headline_of,
    hours_words,
    next_steps,
    percent_words,
)
from remask_quality.measures.intervals import RESAMPLED
from remask_quality.measures.ranking import Ranking, ranking_of
from remask_quality.measures.rows import InstanceRow, Quality
from remask_quality.sections.behaviour import behaviour_section
from remask_quality.sections.mask_errors import noise_section
from remask_quality.sections.people import class_section, person_section
from remask_quality.sections.pictures import CLICKS_LEGEND, LEGEND, Album, ImageOf
from remask_quality.sections.progress import progress_section
from remask_quality.sections.ranking import ranking_section
from remask_reports.page import Advice, Block, Fact, Facts, Gallery, Page, Section, Text
from remask_storage.campaign_store import CampaignStore

__all__ = ["quality_page"]

_WORST: Final = 8


def quality_page(
    store: CampaignStore,
    quality: Quality,
    *,
    image_of: ImageOf | None = None,
    held_out: Mapping[str, float] | None = None,
    made_by: str = "",
) -> Page:
    """Return the report of a campaign.

    Args:
        store: Where the campaign is kept; read for the pictures alone.
        quality: Of `measure`.
        image_of: Address to image; None draws masks on grey.
        held_out: See `ranking_of`.
        made_by: The command that makes the page again.
    """
    album = Album(store, quality, image_of)
    headline = headline_of(quality)
    ranking = ranking_of(quality, held_out=held_out)
    pictures = (_worst_section(quality, album), noise_section(quality, album))
    sections = (
        _glance(quality, headline, ranking),
        progress_section(quality),
        ranking_section(ranking),
        pictures[0],
        class_section(quality),
        person_section(quality),
        behaviour_section(quality),
        pictures[1],
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
    versions = sorted({one.model_version for one in quality.rounds if one.model_version})
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
