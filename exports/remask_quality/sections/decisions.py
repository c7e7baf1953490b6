"""The report's sections for a manager: what to deliver, who needs help, what got worse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from remask_quality.measures.headline import hours_words
from remask_quality.measures.help import Help
from remask_quality.measures.progress import WorseMask
from remask_quality.measures.rows import Quality
from remask_quality.sections.pictures import CLICKS_LEGEND, LEGEND, Album
from remask_ranking.guarantee import Guarantee
from remask_ranking.plan import Plan
from remask_reports.charts import LineChart, Series
from remask_reports.estimate import Estimate
from remask_reports.page import (
    Advice,
    Block,
    Column,
    Fact,
    Facts,
    Figure,
    Gallery,
    Section,
    Step,
    Text,
    table_of,
)

__all__ = ["cost_section", "deliver_section", "help_section", "worse_section"]

_LISTED: Final = 20
_SHOWN: Final = 3


def deliver_section(campaign: str, promise: Guarantee | str) -> Section:
    """Return what can be promised to a customer, and how it is shipped.

    Args:
        campaign: Its name.
        promise: What is promised, or why nothing can be said.
    """
    title = "Can I deliver?"
    if isinstance(promise, str):
        words = f"Nothing can be promised yet: {promise}."
        return Section(title, (Text(words), _paint(campaign, 59)))
    shipped = len(promise.instances)
    facts = Facts(
        (
            Fact(f"{shipped:,} of {promise.masks:,}", "masks can be delivered with a promise"),
            Fact(
                f"{promise.bad_percent:g} %",
                "of them may be bad at most",
                f"IoU below {promise.min_iou:g}; {promise.confidence_percent:g} % confidence",
            ),
            Fact(f"{promise.truths:,}", "masks painted by hand to compare with", "drawn at random"),
        )
    )
    blocks: list[Block] = [facts, Text(promise.sentence)]
    if shipped:
        blocks.append(
            Advice(
                "How to ship them",
                (
                    Step(
                        "The sentence above goes with the masks, in the manifest.",
                        f"remask rank guarantee {campaign} --out guarantee.json\n"
                        f"remask export coco --campaign {campaign} --out delivery "
                        "--guaranteed guarantee.json",
                    ),
                ),
            )
        )
    elif promise.truths_missing:
        blocks.append(_paint(campaign, promise.truths + promise.truths_missing))
    return Section(title, tuple(blocks))


def _paint(campaign: str, instances: int) -> Advice:
    return Advice(
        "What is missing",
        (
            Step(
                f"Have at least {instances} masks painted by hand, drawn at random.",
                f"remask campaign gold {campaign} --draw random --instances {instances}\n"
                f"remask campaign gold {campaign} --read",
            ),
        ),
    )


def cost_section(campaign: str, plan: Plan | str) -> Section:
    """Return what another round would cost and bring, and when to stop.

    Args:
        campaign: Its name.
        plan: Of every visit that is worth its time, or why there is none.
    """
    title = "What does finishing cost?"
    if isinstance(plan, str):
        return Section(title, (Text(f"It cannot be said yet: {plan}."),))
    blocks: list[Block] = []
    if plan.visits:
        hours, after = plan.hours, plan.iou_after
        facts = (
            Fact(hours_words(hours.value), "of annotators' time", _hours_between(hours)),
            Fact(f"{len(plan.visits):,}", "visits that are worth it", f"of {plan.masks:,} masks"),
            Fact(f"{plan.iou_now.value:.3f}", "mean IoU now", _between(plan.iou_now, 3)),
            Fact(f"{after.value:.3f}", "mean IoU afterwards", _between(after, 3)),
        )
        blocks.append(Facts(facts))
    blocks += [Text(words) for words in plan.sentences]
    if plan.visits:
        words = "One more round, the most urgent masks first; `--hours` and `--target` set a limit."
        command = (
            f"remask campaign plan {campaign} --out plan.csv\n"
            f"remask campaign reopen {campaign} --plan plan.csv"
        )
        blocks.append(Advice("How to go on", (Step(words, command),)))
    if len(plan.curve) > 2:
        curve = Series(
            "mean IoU of all masks",
            tuple(point.hours for point in plan.curve),
            tuple(point.iou for point in plan.curve),
        )
        chart = LineChart((curve,), "hours of annotators' time", "mean IoU of all masks")
        blocks.append(Figure(chart, caption="What more hours are expected to bring."))
    return Section(title, tuple(blocks))


def _hours_between(hours: Estimate) -> str:
    return f"{hours_words(hours.low)} to {hours_words(hours.high)}" if hours.has_range else ""


def _between(estimate: Estimate, digits: int) -> str:
    if not estimate.has_range:
        return ""
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def help_section(quality: Quality, needed: Sequence[Help], album: Album) -> Section:
    """Return who needs help, why, and three visits of each that show it."""
    title = "Who needs help?"
    blocks: list[Block] = [Text(drift.sentence) for drift in quality.drifts]
    if not needed:
        return Section(title, (*blocks, Text(_nobody(quality))))
    for help_ in needed:
        blocks.append(Text(help_.reason))
        pictures = [
            picture
            for visit in help_.visits
            if (picture := album.visit(visit, caption=f"round {visit.round}")) is not None
        ]
        if pictures:
            words = f"{len(pictures)} visits of {help_.name}. {LEGEND} {CLICKS_LEGEND}"
            blocks.append(Gallery(tuple(pictures), caption=words))
    return Section(title, tuple(blocks))


def _nobody(quality: Quality) -> str:
    people = {visit.annotator for visit in quality.visits}
    if not any(visit.by_truth for visit in quality.visits):
        return "No truth is known of any mask that was visited, so nobody can be judged."
    if len(people) < 2:
        return "There is one annotator, and nobody to compare with."
    return (
        "Over the whole campaign nobody stands out: nobody's clicks, gains or accepted masks are "
        "certainly below the others'. A person is named from ten visits on."
    )


def worse_section(worse: Sequence[WorseMask], album: Album) -> Section | None:
    """Return the masks that an earlier round had better; None where there is none."""
    if not worse:
        return None
    blocks: list[Block] = [
        Text(
            f"Masks that agreed better with the truth after an earlier round: {len(worse)}. "
            "Of masks without truth it is not known."
        ),
        table_of(
            worse[:_LISTED],
            [
                (Column("instance"), lambda mask: mask.row.id),
                (Column("class"), lambda mask: mask.row.label),
                (Column("best after"), lambda mask: f"round {mask.best}" if mask.best else "box"),
                (Column("IoU then", 2), lambda mask: mask.iou_then),
                (Column("IoU now", 2), lambda mask: mask.iou_now),
                (Column("clicks"), lambda mask: mask.row.n_clicks),
            ],
        ),
    ]
    for mask in worse[:_SHOWN]:
        story = album.story(mask.row)
        if story:
            caption = f"{mask.row.label}, {mask.row.id}: {mask.iou_then:.2f} to {mask.iou_now:.2f}"
            blocks.append(Gallery(story, caption=caption, group=len(story)))
    return Section("Masks that got worse", tuple(blocks))
