"""The head of the report: the main numbers, one sentence, and what to do next."""

from __future__ import annotations

import math
from dataclasses import dataclass

from remask_quality.measures.groups import by_class
from remask_quality.measures.help import who_needs_help
from remask_quality.measures.progress import (
    last_closed,
    round_counts,
    useless_round,
    worse_masks,
)
from remask_quality.measures.ranking import Ranking
from remask_quality.measures.rows import InstanceRow, Quality
from remask_reports.estimate import Estimate
from remask_reports.intervals import known, mean_of, median_of
from remask_reports.page import Step

__all__ = ["Headline", "headline_of", "hours_words", "next_steps", "percent_words"]

_MANY_SKIPS = 0.1  # certainly: 2 of 17 may well be chance


@dataclass(frozen=True, slots=True)
class Headline:
    """The numbers that come first.

    Attributes:
        instances: In the campaign.
        answered: Visited at least once.
        done: Owed no further visit.
        masks: Done with a mask.
        skipped: Done without one.
        clicks: Given in all.
        hours: Spent by annotators; nan if unknown.
        seconds: Median on an instance that was visited, whatever became of it.
        predicted_iou: Mean of the ranked masks.
        true_iou: Mean of the masks whose truth is known.
        with_truth: How many these are.
        closed: The last closed round.
    """

    instances: int
    answered: int
    done: int
    masks: int
    skipped: int
    clicks: int
    hours: float
    seconds: Estimate
    predicted_iou: Estimate
    true_iou: Estimate
    with_truth: int
    closed: int

    def pace(self) -> str:
        """Return the time on an instance in words; empty if none is known."""
        median = self.seconds.value
        return f"{median:.0f} s on the median answered instance" if math.isfinite(median) else ""

    def sentence(self) -> str:
        """Return the state of the campaign in words."""
        if not self.instances:
            return "The campaign has no instances."
        if not self.answered:
            return f"{self.instances:,} instances; nobody has answered yet."
        words = [
            f"{self.done:,} of {self.instances:,} instances are done: {self.masks:,} with a mask, "
            f"{self.skipped:,} skipped."
        ]
        if math.isfinite(self.hours):
            pace = f", {self.pace()}" if self.pace() else ""
            words.append(f"Annotators have spent {hours_words(self.hours)}{pace}.")
        if self.with_truth:
            words.append(
                f"The masks agree with the truth to a mean IoU of {self.true_iou.words(digits=2)}, "
                f"known of {self.with_truth:,}."
            )
        if math.isfinite(self.predicted_iou.value):
            words.append(f"The predicted mean IoU of all is {self.predicted_iou.value:.2f}.")
        elif not self.with_truth:
            words.append("How good the masks are is not known: no ranking and no truth is given.")
        return " ".join(words)


def headline_of(quality: Quality) -> Headline:
    """Return the numbers that come first."""
    rows = quality.instances
    done = [row for row in rows if row.is_done]
    seconds = known(visit.seconds for visit in quality.visits)
    true = [row.true_iou for row in rows if row.true_iou is not None]
    return Headline(
        instances=len(rows),
        answered=sum(row.last_round > 0 for row in rows),
        done=len(done),
        masks=sum(row.has_mask for row in done),
        skipped=sum(row.outcome == "skipped" for row in done),
        clicks=sum(row.n_clicks for row in rows),
        hours=float(seconds.sum() / 3600.0) if seconds.size else float("nan"),
        seconds=median_of(_spent(row) for row in rows if row.last_round),
        predicted_iou=mean_of(row.predicted_iou for row in rows if row.has_mask),
        true_iou=mean_of(true),
        with_truth=len(true),
        closed=last_closed(quality),
    )


def _spent(row: InstanceRow) -> float | None:
    """Return the time spent on an instance so far; a round that it waits for adds none."""
    return row.seconds[min(row.last_round, len(row.seconds) - 1)]


def next_steps(quality: Quality, ranking: Ranking | None) -> list[Step]:
    """Return what to do next, the first thing first."""
    name = quality.campaign.name
    if not quality.instances:
        return [Step("Create the campaign anew, from a project with boxes that are large enough.")]
    steps = _work_left(quality)
    if any(visit.outcome != "skipped" for visit in quality.visits):
        steps += _quality_steps(quality, ranking, is_over=not steps)
    steps += _round_steps(quality) + _people_steps(quality) + _class_steps(quality)
    return steps or [Step("Nothing is left to do.", f"remask campaign status {name}")]


def _work_left(quality: Quality) -> list[Step]:
    name = quality.campaign.name
    counts = round_counts(quality)
    opened = [count for count in counts if count.state in ("opening", "open")]
    if opened:
        now = opened[-1]
        if now.waiting:
            return [
                Step(
                    f"{now.waiting:,} of {now.reached:,} instances of round {now.number} wait for "
                    "an answer. Ask the annotators to go on.",
                    f"remask campaign status {name}",
                )
            ]
        return [
            Step(
                f"Every instance of round {now.number} is answered. Close the round.",
                f"remask campaign advance {name}",
            )
        ]
    coming = next((count for count in counts if count.state is None and count.reached), None)
    if coming is not None:
        return [
            Step(
                f"Open round {coming.number} for {coming.reached:,} instances.",
                f"remask campaign advance {name}",
            )
        ]
    return []


def _quality_steps(quality: Quality, ranking: Ranking | None, *, is_over: bool) -> list[Step]:
    """Return what makes quality known, and what it is good for once no round is to be done."""
    name = quality.campaign.name
    steps = []
    if not any(row.true_iou is not None for row in quality.instances):
        steps.append(
            Step(
                "Nobody knows how good the masks really are. Have a few painted with care; they "
                "teach the ranking, too.",
                f"remask campaign gold {name} --instances 20 --double 0.3",
            )
        )
    if ranking is None:
        steps.append(
            Step(
                "Rank the masks, to deliver the best and to send the worst back; then write this "
                "report again.",
                f"remask rank rows {name} --out rows.csv\n"
                "remask rank train rows.csv --out ranker.npz\n"
                "remask rank apply rows.csv --model ranker.npz --out ranks.csv\n"
                f"remask report {name} --ranks ranks.csv --rows rows.csv --out report.html",
            )
        )
    elif is_over:
        steps.append(_deliver(name, ranking))
    return steps


def _deliver(name: str, ranking: Ranking) -> Step:
    known_as, (_, best, worst) = "predicted", ranking.predicted
    if ranking.judgement is not None:
        known_as, best, worst = "true", ranking.judgement.top_70, ranking.judgement.bottom_30
    return Step(
        f"Deliver the best 70 %, whose {known_as} mean IoU is {best.words(digits=2)}, and send "
        f"the worst 30 %, {worst.words(digits=2)}, back for another round.",
        f"remask campaign reopen {name} --worst 30 --ranks ranks.csv",
    )


def _people_steps(quality: Quality) -> list[Step]:
    """Return whose work to look at: those who are certainly and clearly below the rest."""
    drifting = [Step(f"Talk to somebody: {drift.sentence}") for drift in quality.drifts]
    return drifting + [Step(help_.reason) for help_ in who_needs_help(quality)]


def _round_steps(quality: Quality) -> list[Step]:
    """Return what the rounds say: one that brought nothing, masks that got worse."""
    steps = []
    useless = useless_round(quality)
    if useless is not None:
        time = f" for {hours_words(useless.hours)}" if math.isfinite(useless.hours) else ""
        steps.append(
            Step(
                f"Round {useless.number} brought an IoU of {useless.gain.words(digits=3)} on a "
                f"corrected mask{time}: in a campaign like this, stop after round "
                f"{useless.number - 1}."
            )
        )
    worse = worse_masks(quality)
    if worse:
        steps.append(
            Step(
                f"{'1 mask was' if len(worse) == 1 else f'{len(worse)} masks were'} better after "
                f"an earlier round, {worse[0].row.id} by "
                f"{worse[0].iou_then - worse[0].iou_now:.2f}. Look there first."
            )
        )
    return steps


def _class_steps(quality: Quality) -> list[Step]:
    return [
        Step(
            f"{percent_words(figures.skipped.value)} of the class {figures.label} were skipped. "
            "Look at some of them, and at the class's policy."
        )
        for figures in by_class(quality)
        if figures.skipped.has_range and figures.skipped.low > _MANY_SKIPS
    ]


def hours_words(hours: float) -> str:
    """Return a time in hours, or minutes if it is short."""
    return f"{hours:.1f} h" if hours >= 1.0 else f"{60.0 * hours:.0f} min"


def percent_words(share: float) -> str:
    """Return a share in [0, 1] in per cent."""
    return f"{100.0 * share:.0f} %"
