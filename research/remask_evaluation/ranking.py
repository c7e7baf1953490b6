"""The ranking model on simulated campaigns: how well clicks predict the quality of masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from remask_core.history import Step
from remask_core.left_out import LeftOutCounts
from remask_core.overlap import iou
from remask_core.types import Segmenter
from remask_evaluation.contestants import Contestant, answer
from remask_evaluation.datasets import Instance, open_sets
from remask_evaluation.trials import generator
from remask_ranking.features import features, in_crop
from remask_ranking.judge import Judgement, cross_predict, fit_rows, judge
from remask_ranking.report import ranking_page
from remask_ranking.table import Row, write_rows
from remask_reports.page import Page
from remask_simulation.annotators import Annotator, crew, visit
from remask_simulation.boxes import jittered_box

__all__ = ["campaign_rows", "rank_simulated_campaign", "ranking_report", "study_ranking"]

_CREW = 8


def campaign_rows(
    instance: Instance,
    segmenter: Segmenter,
    *,
    annotators: Sequence[Annotator],
    seed: int,
    rounds: int = 3,
) -> list[Row]:
    """Return a row for each round that an object went through.

    A box, its mask, then rounds by whichever annotator comes: up to four clicks and a new mask
    from everything given so far. A round without clicks accepts the mask and is the last; a
    skipped object has no row of that round.

    Args:
        instance: Object with its truth.
        segmenter: Makes the masks.
        annotators: One of them comes in each round.
        seed: Of boxes and clicks, together with the object's name.
        rounds: At most so many.
    """
    sample = instance.load()
    shape_hw = sample.truth.shape[0], sample.truth.shape[1]
    rng = generator(seed, instance.key, "ranking")
    box = jittered_box(sample.box, shape_hw=shape_hw, rng=rng)
    steps = [Step(box=box)]
    embedding = segmenter.embed(sample.image)
    last = answer(segmenter, embedding, steps, previous=None)
    rows: list[Row] = []
    for number in range(1, rounds + 1):
        who = annotators[int(rng.integers(len(annotators)))]
        came = visit(who, sample.truth, last.mask, rng=rng, valid=sample.valid)
        if came.skipped:
            break
        before = last.mask
        if came.clicks:
            steps.append(Step(clicks=came.clicks))
            last = answer(segmenter, embedding, steps, previous=last)
        found = features(before, last.mask, came.clicks, round_index=number, box=box)
        rows.append(
            Row(
                instance=instance.key,
                round=number,
                features=tuple(in_crop(found, box).tolist()),
                true_iou=iou(last.mask, sample.truth, ignore=~sample.valid),
                score=min(max(last.score, 0.0), 1.0),
            )
        )
        if not came.clicks:
            break
    return rows


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
    annotators = crew(_CREW, rng=generator(seed, "crew"))
    rows: list[Row] = []
    for instance in instances:
        rows += campaign_rows(instance, segmenter, annotators=annotators, seed=seed)
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
        f"A simulated campaign with {model}: {_CREW} annotators of differing care, three rounds of "
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
