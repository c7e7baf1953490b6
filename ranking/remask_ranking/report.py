"""The ranking's report: curves of the best and the worst, calibration, what the forest looks at."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from remask_ranking.features import FEATURES
from remask_ranking.forest import Ranker
from remask_ranking.judge import Judgement
from remask_ranking.order_curves import PERCENTS, spearman
from remask_reports.charts import BarChart, LineChart, ScatterChart, Series
from remask_reports.page import Column, Figure, Page, Section, Table, Text

__all__ = ["ranking_page"]

_MOST_POINTS: Final = 2000
_TICKS: Final = tuple(float(tick) for tick in range(0, 101, 10))


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
                "Best and worst", (_curves(judgement, best=True), _curves(judgement, best=False))
            ),
            Section("Can the numbers be taken at their word?", (_calibration(judgement),)),
            Section("What the forest looks at", (_importances(ranker),)),
        ),
        made_by=made_by,
    )


def _summary(judgement: Judgement) -> str:
    return (
        f"The best 70 % have a mean IoU of {judgement.top_70:.3f}, all together "
        f"{judgement.miou:.3f}, the worst 30 % {judgement.bottom_30:.3f}."
    )


def _numbers(judgement: Judgement) -> Table:
    low, high = judgement.spearman_95
    between = f"{low:.2f} to {high:.2f}" if math.isfinite(low) else "–"
    return Table(
        columns=(Column("what"), Column("value"), Column("meaning")),
        rows=(
            ("instances", judgement.instances, "judged, each by its last round"),
            (
                "Spearman",
                judgement.spearman,
                f"rank correlation with the true IoU; 95 %: {between}",
            ),
            ("Spearman of the score", judgement.score_spearman, "of the model's own score"),
            ("mean error", judgement.mean_error, "between predicted and true IoU"),
            (
                "Spearman of the uncertainty",
                _honesty(judgement),
                "with the size of that error: 0 if it says nothing of it",
            ),
            ("mIoU", judgement.miou, "of all"),
            ("mIoU, top 70 %", judgement.top_70, "what to deliver first"),
            ("mIoU, bottom 30 %", judgement.bottom_30, "what to send back"),
        ),
    )


def _honesty(judgement: Judgement) -> float:
    """Return how well the uncertainty foretells the size of the error."""
    errors = np.abs(np.subtract(judgement.predicted, judgement.true))
    return spearman(judgement.uncertainty, errors)


def _curves(judgement: Judgement, *, best: bool) -> Figure:
    percents = tuple(float(percent) for percent in PERCENTS)
    lines = [
        Series(curves.order, percents, curves.top if best else curves.bottom)
        for curves in judgement.curves
    ]
    lines.insert(1, Series("random order", percents, (judgement.miou,) * len(percents)))
    which = "top" if best else "bottom"
    return Figure(
        LineChart(tuple(lines), f"{which} N % of the masks", "mean IoU", x_ticks=_TICKS),
        caption=f"Mean IoU of the {which} N % in each order.",
    )


def _calibration(judgement: Judgement) -> Figure:
    # A page with more points than this helps nobody.
    step = max(1, math.ceil(judgement.instances / _MOST_POINTS))
    cloud = Series("masks", judgement.predicted[::step], judgement.true[::step])
    means = Series(
        f"means of {len(judgement.bins)} groups of equal size",
        tuple(group.predicted for group in judgement.bins),
        tuple(group.true for group in judgement.bins),
    )
    return Figure(
        ScatterChart((cloud, means), "predicted IoU", "true IoU", diagonal=True),
        caption="Predicted and true IoU; on the diagonal they agree.",
    )


def _importances(ranker: Ranker) -> Figure:
    places = tuple(float(place) for place in range(len(FEATURES)))
    return Figure(
        BarChart(
            (Series("importance", places, tuple(ranker.importances.tolist())),),
            groups=tuple(name.replace("_", " ") for name in FEATURES),
            y_label="share",
        ),
        caption=f"Importance of the features in a forest grown on {ranker.n_rows} rows.",
    )
