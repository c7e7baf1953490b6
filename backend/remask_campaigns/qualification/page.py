"""The result page of the test: each answer beside the true mask, the worst first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from remask_campaigns.qualification.exam import Graded, Verdict
from remask_core.errors import InputError
from remask_core.geometry import box_of_mask
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import BoolMask, Box, Click, RgbImage
from remask_masks.error_kinds import compare
from remask_reports.overlays import overlay
from remask_reports.page import (
    Column,
    Fact,
    Facts,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
)
from remask_storage.campaign import CampaignInstance, Qualification

__all__ = ["verdict_page", "write_pages"]

ImageOf: TypeAlias = Callable[[CampaignInstance], RgbImage]

_AROUND = 0.25
"""Of the object's larger side: what a picture shows around it."""

_VERY_GOOD = 0.9
"""From this IoU on an answer is praised: what is left of the error is no advice worth giving."""

_ADVICE = {
    "too large": "the mask reaches beyond the object: − on what is too much",
    "too small": "the mask ends before the object does: + on what is missing",
    "shifted": "the mask is moved: + on one side, − on the other",
    "missing part": "a part is missing: + in its middle",
    "extra part": "something else is in the mask: − in its middle",
    "rough": "the outline is rough: click where it strays farthest",
    "simplified": "the outline cuts corners: click in the largest of them",
    "other": "the mask is of something else: + on the object, − on the rest",
}
"""What to do about each kind of error, with the signs of the page that people click on."""


def write_pages(
    folder: Path,
    verdicts: Sequence[Verdict],
    rules: Qualification,
    *,
    campaign: str,
    image_of: ImageOf,
) -> None:
    """Write a page for each person into a folder, named after the person.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for verdict in verdicts:
            page = verdict_page(
                verdict,
                rules,
                campaign=campaign,
                image_of=image_of,
                made_by=f"Made by: remask campaign grade {campaign}",
            )
            file = folder / (re.sub(r"[^\w.@-]+", "_", verdict.name) + ".html")
            file.write_text(page.to_html(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"`--pages` must be a folder to write into: {error}") from error


def verdict_page(
    verdict: Verdict, rules: Qualification, *, campaign: str, image_of: ImageOf, made_by: str = ""
) -> Page:
    """Return the page that tells a person how the test went.

    Args:
        verdict: Of `grade_test`, with at least one answer.
        rules: Of the test.
        campaign: Name of the campaign.
        image_of: The image of an instance, (H, W, 3) uint8 RGB.
        made_by: See `Page`.
    """
    worst_first = sorted(enumerate(verdict.answers, start=1), key=lambda numbered: numbered[1].iou)
    return Page(
        title=f"Test for {campaign}: {verdict.name}",
        summary=_summary(verdict, rules),
        sections=(
            Section("Result", (_facts(verdict, rules), _table(verdict.answers))),
            Section("Your masks beside the true ones", (_gallery(worst_first, image_of),)),
        ),
        made_by=made_by,
    )


def _summary(verdict: Verdict, rules: Qualification) -> str:
    needed = (
        f"Needed are a mean IoU of {rules.min_mean_iou:.2f} and a median time of at most "
        f"{rules.max_median_s:.0f} s."
    )
    if verdict.passed is None:
        return f"Not finished: a verdict takes {rules.min_instances} answered objects. {needed}"
    return f"{'Passed' if verdict.passed else 'Not passed'}. {needed}"


def _facts(verdict: Verdict, rules: Qualification) -> Facts:
    seconds = "–" if verdict.median_s is None else f"{verdict.median_s:.1f} s"
    return Facts(
        (
            Fact(f"{verdict.mean_iou:.3f}", "mean IoU", f"needed: {rules.min_mean_iou:.2f}"),
            Fact(seconds, "median time", f"at most: {rules.max_median_s:.0f} s"),
            Fact(str(len(verdict.answers)), "objects", f"needed: {rules.min_instances}"),
        )
    )


def _table(answers: Sequence[Graded]) -> Table:
    return Table(
        columns=(
            Column("Object"),
            Column("Answer"),
            Column("Clicks"),
            Column("IoU", best="max"),
            Column("Seconds", digits=1),
        ),
        rows=tuple(
            (
                f"{number}. {answer.instance.label}",
                answer.visit.outcome,
                len(answer.visit.clicks),
                answer.iou,
                answer.visit.lead_time_s,
            )
            for number, answer in enumerate(answers, start=1)
        ),
        caption="IoU is the area that your mask and the true one share, of all that either covers.",
    )


def _gallery(answers: Sequence[tuple[int, Graded]], image_of: ImageOf) -> Gallery:
    pictures = [
        picture
        for number, answer in answers
        for picture in _pair(number, answer, image_of(answer.instance))
    ]
    return Gallery(
        tuple(pictures),
        caption="Left your mask with your clicks and the outline of the true mask in white, right "
        "the true mask. The yellow box is the one that you were given.",
        group=2,
    )


def _pair(number: int, answer: Graded, image: RgbImage) -> tuple[Picture, Picture]:
    truth = _pixels(answer.truth, answer.instance)
    mask = np.zeros_like(truth) if answer.mask is None else _pixels(answer.mask, answer.instance)
    rows, columns = _window(mask | truth, answer.instance)
    x0, y0 = columns.start, rows.start
    box = answer.instance.box
    drawn = Box(box.x0 - x0, box.y0 - y0, box.x1 - x0, box.y1 - y0)
    clicks = [
        Click(click.pixel.x - x0, click.pixel.y - y0, click.positive)
        for click in answer.visit.clicks
    ]
    seen, true = image[rows, columns], truth[rows, columns]
    mine = overlay(seen, mask[rows, columns], truth=true, clicks=clicks, box=drawn)
    caption = f"{number}. {answer.instance.label}: IoU {answer.iou:.2f}"
    if answer.visit.outcome == "skipped":
        caption += ", skipped, although it can be outlined"
    elif answer.iou >= _VERY_GOOD:
        caption += "; very good"
    elif advice := _ADVICE.get(compare(mask, truth).kind):
        caption += f"; {advice}"
    return Picture(mine, caption), Picture(overlay(seen, true), "the true mask")


def _window(mask: BoolMask, instance: CampaignInstance) -> tuple[slice, slice]:
    """Return rows and columns around everything that is drawn, and something more."""
    height, width = instance.shape_hw
    tight = box_of_mask(mask) or instance.box
    box = instance.box
    margin = _AROUND * max(box.width, box.height)
    x0, x1 = min(box.x0, tight.x0) - margin, max(box.x1, tight.x1) + margin
    y0, y1 = min(box.y0, tight.y0) - margin, max(box.y1, tight.y1) + margin
    rows = slice(max(0, int(y0)), min(height, int(y1) + 1))
    return rows, slice(max(0, int(x0)), min(width, int(x1) + 1))


def _pixels(counts: bytes, instance: CampaignInstance) -> BoolMask:
    return decode_coco_counts(counts, shape_hw=instance.shape_hw)
