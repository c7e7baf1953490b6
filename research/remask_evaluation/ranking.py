"""The ranking model on simulated campaigns: how well clicks predict the quality of masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from remask_core.history import Step
from remask_core.left_out import LeftOutCounts
from remask_core.overlap import iou
from remask_core.types import Box, Candidate, Embedding, Segmenter
from remask_evaluation.contestants import Contestant, answer
from remask_evaluation.datasets import Instance, Sample, open_sets
from remask_evaluation.trials import generator
from remask_ranking.features import features, in_crop
from remask_ranking.judge import Judgement, cross_predict, fit_rows, judge
from remask_ranking.report import ranking_page
from remask_ranking.table import Row, with_box, write_rows
from remask_reports.page import Page
from remask_simulation.annotators import Annotator, crew, visit
from remask_simulation.boxes import jittered_box

__all__ = [
    "CREW",
    "Played",
    "play_rounds",
    "rank_simulated_campaign",
    "ranking_report",
    "study_ranking",
]

CREW = 8
"""Annotators of a simulated campaign."""


@dataclass(frozen=True, slots=True)
class Played:
    """An object after the rounds of a campaign.

    Attributes:
        rows: One for each visit, a skip included.
        sample: Image and truth.
        box: That it started from.
        steps: Box and clicks of all rounds.
        embedding: Of its image.
        last: Its mask as it stands.
        outcome: How the last visit left it: corrected, accepted or skipped; `open` before any.
        visits: How many there were.
    """

    rows: list[Row]
    sample: Sample
    box: Box
    steps: tuple[Step, ...]
    embedding: Embedding
    last: Candidate
    outcome: str
    visits: int = 0

    @property
    def ranked_rows(self) -> list[Row]:
        """One for each round that left a mask: a skip has none."""
        return self.rows[:-1] if self.outcome == "skipped" else self.rows


def play_rounds(
    instance: Instance,
    segmenter: Segmenter,
    *,
    annotators: Sequence[Annotator],
    seed: int,
    rounds: int = 3,
    word: str = "ranking",
) -> Played:
    """Return an object after the rounds of a campaign.

    A box, its mask, then rounds by whichever annotator comes: up to four clicks and a new mask
    from everything given so far. A round without clicks accepts the mask and is the last, and so
    is a skip.

    Args:
        instance: Object with its truth.
        segmenter: Makes the masks.
        annotators: One of them comes in each round.
        seed: Of boxes and clicks, together with the object's name.
        rounds: At most so many.
        word: Names the study; other studies draw other boxes and clicks.
    """
    sample = instance.load()
    shape_hw = sample.truth.shape[0], sample.truth.shape[1]
    rng = generator(seed, instance.key, word)
    box = jittered_box(sample.box, shape_hw=shape_hw, rng=rng)
    steps = (Step(box=box),)
    embedding = segmenter.embed(sample.image)
    last = answer(segmenter, embedding, steps, previous=None)
    played = Played([], sample, box, steps, embedding, last, "open")
    for _ in range(rounds):
        who = int(rng.integers(len(annotators)))
        played = play_visit(played, instance, segmenter, annotators, who=who, rng=rng)
        if played.outcome != "corrected":
            break
    return played


def play_visit(
    played: Played,
    instance: Instance,
    segmenter: Segmenter,
    annotators: Sequence[Annotator],
    *,
    who: int,
    rng: np.random.Generator,
) -> Played:
    """Return the object after one more visit.

    Args:
        played: As it stands.
        instance: Which object.
        segmenter: Makes the mask.
        annotators: Of the campaign.
        who: Which of them comes.
        rng: Of the clicks.
    """
    sample, box, before = played.sample, played.box, played.last
    came = visit(annotators[who], sample.truth, before.mask, rng=rng, valid=sample.valid)
    number = played.visits + 1
    steps, last = played.steps, before
    if came.clicks:
        steps = (*steps, Step(clicks=came.clicks))
        last = answer(segmenter, played.embedding, steps, previous=before)
    found = features(before.mask, last.mask, came.clicks, round_index=number, box=box)
    row = Row(
        instance=instance.key,
        round=number,
        features=tuple(in_crop(found, box).tolist()),
        true_iou=iou(last.mask, sample.truth, ignore=~sample.valid),
        score=min(max(last.score, 0.0), 1.0),
        label=instance.dataset,
        annotator=who,
        seconds=came.seconds,
        score_before=min(max(before.score, 0.0), 1.0),
        true_iou_before=iou(before.mask, sample.truth, ignore=~sample.valid),
        clicks_before=sum(len(step.clicks) for step in played.steps),
    )
    row = with_box(row, box, area_px=int(np.count_nonzero(last.mask)))
    outcome = "skipped" if came.skipped else "corrected" if came.clicks else "accepted"
    return replace(
        played, rows=[*played.rows, row], steps=steps, last=last, outcome=outcome, visits=number
    )


def study_ranking(
    instances: Sequence[Instance],
    segmenter: Segmenter,
    *,
    seed: int = 0,
    table: Path | None = None,
    on_done: Callable[[], None] = lambda: None,
) -> tuple[list[Row], Judgement]:
    """Return the rows of a campaign on `instances`, and how well they are ranked.

    Every object is judged by a forest that was trained on others. A crew of eight annotators of
    differing care answers.

    Args:
        instances: At least two.
        segmenter: Makes the masks.
        seed: Of everything.
        table: CSV to write the rows to; `remask rank` reads it.
        on_done: Called after each object.
    """
    annotators = crew(CREW, rng=generator(seed, "crew"))
    rows: list[Row] = []
    for instance in instances:
        rows += play_rounds(instance, segmenter, annotators=annotators, seed=seed).ranked_rows
        on_done()
    if table is not None:
        write_rows(rows, table)
    mean, spread = cross_predict(rows, seed=seed)
    return rows, judge(rows, mean, spread)


def ranking_report(
    rows: Sequence[Row], judgement: Judgement, *, model: str, seed: int = 0, made_by: str = ""
) -> Page:
    """Return the report on a study; the importances are of a forest trained on all rows."""
    judged_on = (
        f"A simulated campaign with {model}: {CREW} annotators of differing care, three rounds of "
        "up to four clicks. Every instance was judged by a forest trained on the others."
    )
    return ranking_page(judgement, fit_rows(rows, seed=seed), judged_on=judged_on, made_by=made_by)


def rank_simulated_campaign(
    data: Sequence[Path],
    out: Path,
    *,
    model: str,
    device: str = "cpu",
    limit: int | None = None,
    seed: int = 0,
    made_by: str = "",
    watch: Callable[[int], AbstractContextManager[Callable[[], None]]],
    on_opened: Callable[[LeftOutCounts], None] = lambda left_out: None,
) -> Judgement:
    """Write `rows.csv` and `report.html` of a simulated campaign, and return how well it is ranked.

    Args:
        data: Data sets, see `remask_evaluation.datasets.open_set`.
        out: Folder, made if it is not there.
        model: `NAME` or `NAME=WEIGHTS` of what makes the masks.
        device: For the model.
        limit: Only so many objects of each set.
        seed: Of everything.
        made_by: The command, for the foot of the report.
        watch: Given the number of objects, gives a function to call after each.
        on_opened: Called with what of the data sets is left out, before anything is measured.
    """
    left_out = LeftOutCounts()
    instances = open_sets(data, limit=limit, left_out=left_out.add)
    on_opened(left_out)
    out.mkdir(parents=True, exist_ok=True)
    segmenter = Contestant.parse(model, device=device).load()
    with watch(len(instances)) as on_done:
        rows, judgement = study_ranking(
            instances, segmenter, seed=seed, table=out / "rows.csv", on_done=on_done
        )
    page = ranking_report(rows, judgement, model=segmenter.version, seed=seed, made_by=made_by)
    (out / "report.html").write_text(page.to_html(), encoding="utf-8")
    return judgement
