"""Measurements of a model on the first clicks of real people: one mask for each click.

Source: RClicks (arXiv 2410.11722), section 5: User IoU@1 and User NSR@1, beside the same measures
on clicks drawn from a map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from remask_clicks.scores import noise_to_signal
from remask_clicks.sources import ClickSource, first_clicks
from remask_core.errors import NotFound
from remask_core.history import Step
from remask_core.overlap import iou
from remask_core.types import Click, Embedding, Segmenter
from remask_evaluation.contestants import Contestant, answer
from remask_evaluation.datasets import Instance, Sample
from remask_evaluation.trials import Trial, generator, plan, read_rows, run
from remask_masks.clickability import Points, sample_points
from remask_reports.charts import BarChart, Series
from remask_reports.page import Column, Figure, Page, Section, Table, Text
from remask_simulation.clicks import baseline_click

__all__ = ["ALL_MODELS", "UserSummary", "UsersRow", "measure_users", "users_page", "users_table"]

ALL_MODELS: Final = "all models"
"""Stands in the place of a model where several were measured together."""

_TINY: Final = 1e-9  # as in `noise_to_signal`
_FEWEST: Final = 2
"""One click has no spread."""


class UsersRow(msgspec.Struct, frozen=True, kw_only=True):
    """One object before one model, after every first click that was measured on it.

    Attributes:
        key: See `Trial.key`.
        dataset: Name of the set.
        instance: Name of the object in its set.
        model: `Contestant.label`.
        version: Of the model.
        user_ious: IoU after each measured first click alone.
        drawn_ious: The same after as many clicks drawn from the map.
        base_iou: The same after the baseline's first click.
    """

    key: str
    dataset: str
    instance: str
    model: str
    version: str
    user_ious: list[float]
    drawn_ious: list[float]
    base_iou: float


@dataclass(frozen=True, slots=True)
class UserSummary:
    """What first clicks do to one model on one set; means over the objects.

    Attributes:
        dataset: Name of the set.
        model: As tables call it; `ALL_MODELS` for the mean of several.
        version: Of the model.
        clicks_from: Label of the map that the drawn clicks came from.
        objects: With at least two measured clicks.
        clicks: How many measured clicks in all.
        base_iou: Mean IoU after the baseline's click.
        user_iou: Mean IoU after people's clicks.
        user_sd: Standard deviation of the IoU over the people, of one object.
        user_nsr: User NSR@1: that deviation over the object's mean, averaged over objects.
        drawn_iou: As `user_iou`, of drawn clicks.
        drawn_sd: As `user_sd`.
        drawn_nsr: Sample NSR@1.
    """

    dataset: str
    model: str
    version: str
    clicks_from: str
    objects: int
    clicks: int
    base_iou: float
    user_iou: float
    user_sd: float
    user_nsr: float
    drawn_iou: float
    drawn_sd: float
    drawn_nsr: float


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of every trial; small, because it is sent to processes."""

    clicks: Path
    most: int
    source: ClickSource

    @property
    def what(self) -> str:
        people = ClickSource(path=self.clicks).label
        return f"first clicks of {people}, at most {self.most}, drawn by {self.source.label}"

    def points(self, instance: Instance, *, shape_hw: tuple[int, int]) -> Points:
        return first_clicks(self.clicks, instance, shape_hw=shape_hw)[: self.most]

    def play(self, trial: Trial) -> list[UsersRow]:
        sample = trial.instance.load()
        height, width = sample.truth.shape
        segmenter = trial.contestant.load()
        embedding = segmenter.embed(sample.image)
        points = self.points(trial.instance, shape_hw=(height, width))
        clickmap = self.source.maps_of(trial.instance, sample)(sample.truth, "first")
        rng = generator(trial.seed, trial.instance.key, self.what)
        drawn = sample_points(clickmap, len(points), rng=rng)
        base = baseline_click(sample.truth, np.zeros_like(sample.truth), valid=sample.valid)
        middle = np.array([[round(base.x), round(base.y)]], dtype=np.int64)
        return [
            UsersRow(
                key=trial.key(self.what),
                dataset=trial.instance.dataset,
                instance=trial.instance.name,
                model=trial.contestant.label,
                version=trial.version,
                user_ious=_ious(segmenter, embedding, sample, points),
                drawn_ious=_ious(segmenter, embedding, sample, drawn),
                base_iou=_ious(segmenter, embedding, sample, middle)[0],
            )
        ]


def _ious(
    segmenter: Segmenter, embedding: Embedding, sample: Sample, points_xy: Points
) -> list[float]:
    found: dict[tuple[int, int], float] = {}
    keys = [(int(x), int(y)) for x, y in points_xy]
    for x, y in keys:
        if (x, y) not in found:
            step = Step(clicks=(Click(float(x), float(y), True),))
            mask = answer(segmenter, embedding, [step], previous=None).mask
            found[x, y] = iou(sample.truth, mask, ignore=~sample.valid)
    return [found[key] for key in keys]


def measure_users(
    clicks: Path,
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    *,
    out: Path,
    source: ClickSource,
    most: int = 25,
    seed: int = 0,
    jobs: int = 1,
    on_done: Callable[[], None] = lambda: None,
) -> list[UserSummary]:
    """Measure every model on every measured first click; return a summary per set and model.

    Args:
        clicks: CSV of measured clicks in the layout of RClicks; only first ones count.
        instances: The objects; those with fewer than two clicks are passed over.
        contestants: The models.
        out: Folder of `users.jsonl`; a run that was stopped goes on where it stopped.
        source: Where the drawn clicks come from.
        most: At most so many clicks of an object, the first of the file.
        seed: Of the drawn clicks.
        jobs: Processes; the results do not depend on it.
        on_done: Called after each object and model.

    Raises:
        NotFound: There is no such file, or no object has two clicks.
        InputError: The file is not in that layout.
    """
    asked = _Asked(clicks, most, source)
    known = [
        instance
        for instance in instances
        if len(asked.points(instance, shape_hw=(1, 1))) >= _FEWEST
    ]
    if not known:
        raise NotFound(f"`clicks` has no object of `data` with {_FEWEST} first clicks")
    path = out / "users.jsonl"
    whole = plan(known, contestants, lambda contestant: (asked.what,), seed=seed)
    done = {row.key for row in read_rows(path, UsersRow)}
    left = [trial for trial in whole if trial.key(asked.what) not in done]
    run(left, asked.play, path=path, jobs=jobs, on_done=on_done)
    rows = {row.key: row for row in read_rows(path, UsersRow)}
    parts: dict[str, dict[str, list[UsersRow]]] = {}
    for trial in whole:
        row = rows[trial.key(asked.what)]
        parts.setdefault(row.dataset, {}).setdefault(row.version, []).append(row)
    summaries = []
    for models in parts.values():
        summaries += [_summary(part, source.label) for part in models.values()]
        if len(models) > 1:
            summaries.append(_together(list(models.values()), source.label))
    return summaries


def _summary(rows: Sequence[UsersRow], clicks_from: str) -> UserSummary:
    user_iou, user_sd, user_nsr = _spread([row.user_ious for row in rows])
    drawn_iou, drawn_sd, drawn_nsr = _spread([row.drawn_ious for row in rows])
    return UserSummary(
        dataset=rows[0].dataset,
        model=rows[0].model,
        version=rows[0].version,
        clicks_from=clicks_from,
        objects=len(rows),
        clicks=sum(len(row.user_ious) for row in rows),
        base_iou=float(np.mean([row.base_iou for row in rows])),
        user_iou=user_iou,
        user_sd=user_sd,
        user_nsr=user_nsr,
        drawn_iou=drawn_iou,
        drawn_sd=drawn_sd,
        drawn_nsr=drawn_nsr,
    )


def _together(models: Sequence[Sequence[UsersRow]], clicks_from: str) -> UserSummary:
    """Return one summary of several models: means and deviations averaged over them by object.

    Source: RClicks, figure 8, which tells how far a set's objects leave open where to click.
    """
    summaries = [_summary(rows, clicks_from) for rows in models]

    def mean(measure: str) -> float:
        return float(np.mean([getattr(summary, measure) for summary in summaries]))

    def ratio(ious_of: Callable[[UsersRow], Sequence[float]]) -> float:
        means = np.mean([[np.mean(ious_of(row)) for row in rows] for rows in models], axis=0)
        sds = np.mean([[np.std(ious_of(row)) for row in rows] for rows in models], axis=0)
        return float(np.mean(sds / (means + _TINY)))

    return replace(
        summaries[0],
        model=ALL_MODELS,
        version=" ".join(summary.version for summary in summaries),
        base_iou=mean("base_iou"),
        user_iou=mean("user_iou"),
        user_sd=mean("user_sd"),
        user_nsr=ratio(lambda row: row.user_ious),
        drawn_iou=mean("drawn_iou"),
        drawn_sd=mean("drawn_sd"),
        drawn_nsr=ratio(lambda row: row.drawn_ious),
    )


def _spread(ious: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Return mean, standard deviation and noise-to-signal ratio, averaged over the objects."""
    columns: list[npt.NDArray[np.float64]] = [np.array(own)[:, None] for own in ious]
    return (
        float(np.mean([column.mean() for column in columns])),
        float(np.mean([column.std() for column in columns])),
        float(np.mean([noise_to_signal(column) for column in columns])),
    )


def users_table(summaries: Sequence[UserSummary]) -> Table:
    """Return the measures, a row per set and model."""
    columns = (
        Column("set"),
        Column("model"),
        Column("objects"),
        Column("clicks"),
        Column("IoU@1 base", 3, "max", "after the baseline's first click"),
        Column("user", 3, "max", "after people's first clicks"),
        Column("± sd", 3, "min", "over people, of one object"),
        Column("User NSR@1 %", 2, "min", "sd over mean, of one object"),
        Column("drawn", 3, "max", "after clicks drawn from the map"),
        Column("± sd", 3, "min", "over drawn clicks, of one object"),
        Column("Sample NSR@1 %", 2, "min", "sd over mean, of one object"),
    )
    rows = tuple(
        (
            s.dataset,
            s.model,
            s.objects,
            s.clicks,
            s.base_iou,
            s.user_iou,
            s.user_sd,
            100 * s.user_nsr,
            s.drawn_iou,
            s.drawn_sd,
            100 * s.drawn_nsr,
        )
        for s in summaries
    )
    return Table(columns, rows, caption="First clicks of people")


def users_page(summaries: Sequence[UserSummary], *, made_by: str) -> Page:
    """Return the measures as a report: the table, and User NSR as bars by set and model."""
    datasets = list(dict.fromkeys(summary.dataset for summary in summaries))
    by_model: dict[str, dict[str, float]] = {}
    for summary in summaries:
        by_model.setdefault(summary.model, {})[summary.dataset] = 100 * summary.user_nsr
    chart = BarChart(
        series=tuple(
            Series(
                model,
                tuple(float(number) for number in range(len(datasets))),
                tuple(values.get(dataset, float("nan")) for dataset in datasets),
            )
            for model, values in by_model.items()
        ),
        groups=tuple(datasets),
        y_label="User NSR@1, %",
        digits=1,
    )
    words = Text(
        "A model gets one first click at a time. User NSR@1 is the standard deviation of the IoU "
        "over the people who clicked one object, over its mean, averaged over objects: how much "
        "the first mask depends on who clicks. For all models together, mean and deviation of an "
        "object are averaged over the models first. Drawn clicks come from "
        f"{summaries[0].clicks_from}."
    )
    figure = Figure(chart, "How much a mask depends on who gives the first click; low is good.")
    return Page(
        title="First clicks of people",
        sections=(Section("Scores", (words, users_table(summaries), figure)),),
        summary=f"{sum(s.objects for s in summaries if s.model == summaries[0].model)} objects.",
        made_by=made_by,
    )
