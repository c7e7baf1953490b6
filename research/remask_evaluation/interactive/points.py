"""The point benchmark: how good the mask of one point is, and of a few, with several candidates.

A single point is ambiguous: it may mean a wheel or the car. A model may answer with several
candidates and a score for each. The benchmark takes the candidate with the best score, and beside
it says how good the best of all candidates was (the oracle).

Source: Kirillov et al. 2023, Segment Anything (arXiv 2304.02643), section 7.1 and appendix D.1.
Differs: their first point is the pixel farthest from the object's outline, ours too, but for us
    the image's border is an outline as well, as in the click benchmarks. Scores are averaged over
    the objects of a set; they then average over 23 sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np

from remask_core.history import Step, prompts_of
from remask_core.overlap import iou
from remask_core.types import BoolMask, Candidate, Click
from remask_evaluation.contestants import BOX, Contestant
from remask_evaluation.datasets import Instance, Sample
from remask_evaluation.pictures import LEGEND, album, before_and_after, by_key, spread
from remask_evaluation.trials import Trial, generator
from remask_masks.clickability import sample_points, uniform_map
from remask_reports.charts import LineChart, ScatterChart, Series
from remask_reports.intervals import mean_of
from remask_reports.page import Block, Cell, Column, Figure, Page, Section, Table, Text
from remask_simulation.clicks import baseline_click

__all__ = [
    "AFTER",
    "FIRST_POINTS",
    "FirstPoint",
    "PointsRow",
    "first_points",
    "play_points",
    "points_page",
    "points_table",
]

FirstPoint: TypeAlias = Literal["centre", "random"]
FIRST_POINTS: Final[tuple[FirstPoint, ...]] = ("centre", "random")
AFTER: Final = (1, 2, 3, 5, 9)
"""After so many points the mask is judged."""


class PointsRow(msgspec.Struct, frozen=True, kw_only=True):
    """One object given points by one model, from one kind of first point.

    Attributes:
        key: See `Trial.key`.
        dataset: Name of the set.
        instance: Name of the object in its set.
        model: `Contestant.label`.
        version: Of the model.
        first: `centre` or `random`.
        ious: After 1, 2 ... 9 points, of the candidate with the best score.
        oracle_ious: The same of the best of all candidates for the same points.
        candidates: How many candidates there were after one point.
        clicks: `x, y, positive` of each point; fewer than nine when the mask became perfect.
    """

    key: str
    dataset: str
    instance: str
    model: str
    version: str
    first: FirstPoint
    ious: list[float]
    oracle_ious: list[float]
    candidates: int
    clicks: list[tuple[float, float, bool]]

    def steps(self) -> list[Step]:
        """Return the history, one step per point."""
        return [Step(clicks=(Click(x, y, sign),)) for x, y, sign in self.clicks]


def first_points(contestant: Contestant) -> tuple[FirstPoint, ...]:
    """Return the kinds of first points that a model is asked for; none for the box as mask."""
    return () if contestant.name == BOX else FIRST_POINTS


def play_points(trial: Trial) -> list[PointsRow]:
    """Return the rows of one trial, one per kind of first point; the image is encoded once.

    Every later point lies in the middle of the thickest error of the best-scored mask. The random
    first point is any pixel of the object, the same for every model.
    """
    sample = trial.instance.load()
    segmenter = trial.contestant.load()
    embedding = segmenter.embed(sample.image)
    rows = []
    for first in trial.wanted:
        click = _first_click(sample, first, trial)
        clicks, counts = [click], list[int]()
        best: list[float] = []
        oracle: list[float] = []
        last: Candidate | None = None
        while len(best) < AFTER[-1]:
            if best and best[-1] == 1.0:
                best.append(1.0)
                oracle.append(1.0)
                continue
            if best:
                mask = np.zeros(sample.truth.shape, np.bool_) if last is None else last.mask
                clicks.append(baseline_click(sample.truth, mask, taken=clicks, valid=sample.valid))
            *_, prompt = prompts_of([Step(clicks=(each,)) for each in clicks])
            prior = None if last is None else last.logits
            candidates = segmenter.predict(embedding, replace(prompt, prior_logits=prior))
            last = candidates[0]
            scores = [_iou(sample, candidate.mask) for candidate in candidates]
            best.append(scores[0])
            oracle.append(max(scores))
            counts.append(len(candidates))
        rows.append(
            PointsRow(
                key=trial.key(first),
                dataset=trial.instance.dataset,
                instance=trial.instance.name,
                model=trial.contestant.label,
                version=trial.version,
                first="centre" if first == "centre" else "random",
                ious=best,
                oracle_ious=oracle,
                candidates=counts[0],
                clicks=[(each.x, each.y, each.positive) for each in clicks],
            )
        )
    return rows


def _first_click(sample: Sample, first: str, trial: Trial) -> Click:
    if first == "centre":
        return baseline_click(sample.truth, np.zeros_like(sample.truth), valid=sample.valid)
    rng = generator(trial.seed, trial.instance.key, "random point")
    ((x, y),) = sample_points(uniform_map(sample.truth), 1, rng=rng)
    return Click(float(x), float(y), True)


def _iou(sample: Sample, mask: BoolMask) -> float:
    return iou(sample.truth, mask, ignore=~sample.valid)


@dataclass(frozen=True, slots=True)
class _Group:
    dataset: str
    model: str
    first: FirstPoint
    rows: tuple[PointsRow, ...]


def _groups(rows: Sequence[PointsRow]) -> list[_Group]:
    found: dict[tuple[str, str, FirstPoint], list[PointsRow]] = {}
    for row in rows:
        found.setdefault((row.dataset, row.model, row.first), []).append(row)
    return [_Group(*key, tuple(own)) for key, own in found.items()]


def points_table(rows: Sequence[PointsRow]) -> Table:
    """Return mean IoU after 1, 2, 3, 5 and 9 points: a row per set, model and first point."""
    columns = (
        Column("set"),
        Column("model"),
        Column("first point"),
        Column("objects"),
        Column("candidates", 1, None, "mean number of masks offered for one point"),
        *(Column(f"mIoU @{number}", 3, "max", "of the best-scored mask") for number in AFTER),
        Column("oracle @1", 3, "max", "of the best of all masks offered for one point"),
    )
    cells: list[tuple[Cell, ...]] = [
        (
            group.dataset,
            group.model,
            group.first,
            len(group.rows),
            float(np.mean([row.candidates for row in group.rows])),
            *(mean_of(row.ious[number - 1] for row in group.rows) for number in AFTER),
            mean_of(row.oracle_ious[0] for row in group.rows),
        )
        for group in _groups(rows)
    ]
    return Table(columns, tuple(cells), caption="Mean IoU after so many points")


def points_page(
    rows: Sequence[PointsRow],
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    *,
    made_by: str,
    pictured: int = 4,
) -> Page:
    """Return the report of rows; pictures are replayed, so the models run once more for these."""
    words = Text(
        "A first point in the middle of the object, or anywhere in it; each further point in the "
        "middle of the thickest error. The mask with the best score is judged and goes on; the "
        "oracle is the best of all masks that the model offers for one point, chosen by the truth."
    )
    sections = [
        Section("Results", (words, points_table(rows), *_curves(rows))),
        Section("Every object", _against(rows)),
    ]
    if pictured:
        sections.append(Section("Examples", _pictures(rows, instances, contestants, pictured)))
    versions = ", ".join(dict.fromkeys(row.version for row in rows))
    objects = len({(row.dataset, row.instance) for row in rows})
    return Page(
        title="Points to masks",
        summary=f"{objects} objects, up to {AFTER[-1]} points each. {versions}.",
        sections=tuple(sections),
        made_by=made_by,
    )


def _curves(rows: Sequence[PointsRow]) -> tuple[Block, ...]:
    figures = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        series = [
            Series(
                f"{group.model}, {group.first}",
                tuple(map(float, AFTER)),
                tuple(float(np.mean([row.ious[k - 1] for row in group.rows])) for k in AFTER),
            )
            for group in _groups([row for row in rows if row.dataset == dataset])
        ]
        lowest = min(value for line in series for value in line.ys)
        chart = LineChart(
            series=tuple(series),
            x_label="points",
            y_label="mIoU",
            y_range=(min(lowest, 0.8), 1.0),
            x_ticks=tuple(map(float, AFTER)),
        )
        figures.append(Figure(chart, f"{dataset}: mean IoU of the best-scored mask."))
    return tuple(figures)


def _against(rows: Sequence[PointsRow]) -> tuple[Block, ...]:
    """Return one point against its oracle, a mark per object: what choosing better would win."""
    figures = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        groups = [g for g in _groups(rows) if g.dataset == dataset and g.first == "centre"]
        series = tuple(
            Series(
                group.model,
                tuple(row.ious[0] for row in group.rows),
                tuple(row.oracle_ious[0] for row in group.rows),
            )
            for group in groups
        )
        chart = ScatterChart(
            series=series,
            x_label="IoU of the best-scored mask",
            y_label="IoU of the best mask",
            x_range=(0.0, 1.0),
            y_range=(0.0, 1.0),
            diagonal=True,
        )
        figures.append(Figure(chart, f"{dataset}: one point in the middle, a mark per object."))
    return tuple(figures)


def _pictures(
    rows: Sequence[PointsRow],
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    pictured: int,
) -> tuple[Block, ...]:
    found = by_key(instances)
    blocks: list[Block] = [Text("Spread evenly from the best to the worst mask of one point.")]
    for contestant in contestants:
        own = [r for r in rows if r.model == contestant.label and r.first == "centre"]
        if not own:
            continue
        groups = [
            before_and_after(
                found[f"{own[index].dataset}/{own[index].instance}"],
                contestant,
                own[index].steps(),
                shown=(1, 2, 3, 5),
            )
            for index in spread([-row.ious[0] for row in own], pictured)
        ]
        blocks.append(album(groups, caption=f"{contestant.label}. {LEGEND}"))
    return tuple(blocks)
