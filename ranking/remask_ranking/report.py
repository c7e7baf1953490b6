"""The report on a ranking: its best and worst, calibration, and importance of the features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from remask_ranking.forest import Ranker
from remask_ranking.judge import Judgement, OrderCurves
from remask_ranking.order_curves import PERCENTS, Bin, spearman
from remask_reports.charts import BarChart, LineChart, ScatterChart, Series
from remask_reports.estimate import Estimate
from remask_reports.page import Column, Figure, Page, Section, Table, Text

__all__ = ["calibration_figure", "curves_figure", "ranking_page"]

_MOST_POINTS: Final = 2000
_SHOWN: Final = slice(1, None, 2)
"""Every second point of a curve: more would crowd the whiskers."""


def ranking_page(
    judgement: Judgement, ranker: Ranker, *, judged_on: str, made_by: str = ""
) -> Page:
    """Return the report.

    Args:
        judgement: How good the ranking is.
        ranker: Whose importances are shown.
        judged_on: One sentence on which instances were judged and what was trained on.
        made_by: The command that makes the page again.
    """
    return Page(
        title="Ranking of masks",
        summary=_summary(judgement),
        sections=(
            Section("In numbers", (Text(judged_on), _numbers(judgement))),
            Section(
                "Best and worst",
                tuple(
                    curves_figure(judgement.curves, mean=judgement.miou, best=best)
                    for best in (True, False)
                ),
            ),
            Section("Are the predicted numbers right?", (_calibration(judgement),)),
            Section("Importance of the features", (_importances(ranker),)),
        ),
        made_by=made_by,
    )


def _summary(judgement: Judgement) -> str:
    return (
        f"The best 70 % have a mean IoU of {judgement.top_70.value:.3f}, all together "
        f"{judgement.miou.value:.3f}, the worst 30 % {judgement.bottom_30.value:.3f}."
    )


def _numbers(judgement: Judgement) -> Table:
    return Table(
        columns=(Column("what"), Column("value"), Column("meaning")),
        rows=(
            ("instances", judgement.instances, "judged, each by its last round"),
            ("Spearman", judgement.spearman, "rank correlation with the true IoU"),
            ("Spearman of the score", judgement.score_spearman, "of the model's own score"),
            ("mean error", judgement.mean_error, "between predicted and true IoU"),
            (
                "Spearman of the uncertainty",
                _spearman_of_uncertainty(judgement),
                "with the size of that error: 0 if it says nothing of it",
            ),
            *(
                (f"within the range of {nominal} %", f"{share:.0%}", "of the true IoUs")
                for nominal, share in zip((68, 95), judgement.coverage, strict=False)
            ),
            ("mIoU", judgement.miou, "of all"),
            ("mIoU, top 70 %", judgement.top_70, "what to deliver first"),
            ("mIoU, bottom 30 %", judgement.bottom_30, "what to send back"),
        ),
    )


def _spearman_of_uncertainty(judgement: Judgement) -> float:
    """Return the rank correlation of the uncertainty and the size of the error."""
    errors = np.abs(np.subtract(judgement.predicted, judgement.true))
    return spearman(judgement.uncertainty, errors)


def curves_figure(curves: Sequence[OrderCurves], *, mean: Estimate | None, best: bool) -> Figure:
    """Return the curves of several orders in one chart; the first has whiskers.

    Args:
        curves: At least one.
        mean: True IoU of all, where a random order lies; None if the curves show predicted IoU.
        best: The best N %, or else the worst.
    """
    percents = tuple(float(percent) for percent in PERCENTS[_SHOWN])
    lines = []
    for number, order in enumerate(curves):
        estimates = (order.top if best else order.bottom)[_SHOWN]
        values = tuple(estimate.value for estimate in estimates)
        lines.append(
            Series(order.order, percents, values)
            if number
            else Series.of_estimates(order.order, percents, estimates)
        )
    if mean is not None:
        lines.insert(1, Series("random order", percents, (mean.value,) * len(percents)))
    which = "best" if best else "worst"
    what = "mean IoU" if mean is not None else "mean predicted IoU"
    return Figure(
        LineChart(tuple(lines), f"{which} N % of the masks", what, x_ticks=percents),
        caption=f"The {which} N %, in each order; whiskers: 95 %.",
    )


def calibration_figure(bins: Sequence[Bin], *, cloud: Series | None = None) -> Figure:
    """Return predicted against true IoU, as means of groups and, if given, mask by mask."""
    means = Series(
        f"means of {len(bins)} groups of equal size",
        tuple(group.predicted for group in bins),
        tuple(group.true for group in bins),
    )
    return Figure(
        ScatterChart(
            (means,) if cloud is None else (cloud, means),
            "predicted IoU",
            "true IoU",
            x_range=(0.0, 1.0),
            y_range=(0.0, 1.0),
            diagonal=True,
        ),
        caption="On the diagonal, predicted and true IoU agree.",
    )


def _calibration(judgement: Judgement) -> Figure:
    # A page with more points than this helps nobody.
    step = max(1, math.ceil(judgement.instances / _MOST_POINTS))
    cloud = Series("masks", judgement.predicted[::step], judgement.true[::step])
    return calibration_figure(judgement.bins, cloud=cloud)


def _importances(ranker: Ranker) -> Figure:
    places = tuple(float(place) for place in range(len(ranker.features)))
    return Figure(
        BarChart(
            (Series("importance", places, tuple(ranker.importances.tolist())),),
            groups=tuple(name.replace("_", " ") for name in ranker.features),
            y_label="share",
        ),
        caption=f"Importance of the features in a forest trained on {ranker.n_rows} rows.",
    )
