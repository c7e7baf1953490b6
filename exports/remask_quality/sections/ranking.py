"""The report's part on the ranking: the best and the worst, and whether it can be believed."""

from __future__ import annotations

from remask_quality.measures.ranking import PERCENTS, Order, Ranking
from remask_reports.charts import LineChart, ScatterChart, Series
from remask_reports.page import Column, Figure, Figures, Section, Table, Text

__all__ = ["ranking_section"]


def ranking_section(ranking: Ranking | None) -> Section:
    """Return the ranking's curves, or what is missing for them."""
    if ranking is None:
        return Section(
            "Ranking",
            (Text("No ranking was given; `--ranks` takes the file of `remask rank apply`."),),
        )
    figures = [_curves(ranking, best=True), _curves(ranking, best=False)]
    if ranking.bins:
        figures.append(_calibration(ranking))
    return Section("Ranking", (Text(_words(ranking)), _numbers(ranking), Figures(tuple(figures))))


def _words(ranking: Ranking) -> str:
    if ranking.true is None:
        return (
            f"{ranking.ranked} masks are ranked. No truth is known of any, so that all figures "
            "here are what the ranking says of itself."
        )
    return (
        f"{ranking.ranked} masks are ranked, and the truth of {ranking.judged} is known. Predicted "
        f"and true IoU have a rank correlation (Spearman) of {ranking.spearman.words(digits=2)} "
        f"and differ by {ranking.mean_error.words(digits=2)} on average. "
        + (
            "Each of these was judged by a ranking that had not seen its truth."
            if ranking.is_held_out
            else "If the ranking was trained on some of these masks, it looks better here than it "
            "is; with `--rows` they are judged without having been seen."
        )
    )


def _numbers(ranking: Ranking) -> Table:
    rows = [("of ranked masks, predicted", *ranking.foretold, ranking.ranked)]
    if ranking.true is not None:
        rows.append(("of those with truth, true", *ranking.true, ranking.judged))
    return Table(
        columns=(
            Column("mean IoU"),
            Column("all", 3),
            Column("best 70 %", 3),
            Column("worst 30 %", 3),
            Column("masks"),
        ),
        rows=tuple(rows),
    )


def _curves(ranking: Ranking, *, best: bool) -> Figure:
    def ys(order: Order) -> list[float]:
        return [one.value for one in (order.top if best else order.bottom)]

    first, *others = ranking.orders
    lines = [
        Series.of_estimates(first.name, PERCENTS, first.top if best else first.bottom),
        *(Series(order.name, PERCENTS, tuple(ys(order))) for order in others),
    ]
    if ranking.true is not None:
        lines.insert(1, Series("random order", PERCENTS, (ranking.true[0].value,) * len(PERCENTS)))
    which = "best" if best else "worst"
    what = "mean IoU" if ranking.true is not None else "mean predicted IoU"
    return Figure(
        LineChart(tuple(lines), f"{which} N % of the masks", what, x_ticks=PERCENTS),
        caption=f"The {which} N %, in each order; whiskers: 95 %.",
    )


def _calibration(ranking: Ranking) -> Figure:
    means = Series(
        "groups of equal size",
        tuple(one.predicted for one in ranking.bins),
        tuple(one.true for one in ranking.bins),
    )
    return Figure(
        ScatterChart(
            (means,),
            "predicted IoU",
            "true IoU",
            x_range=(0.0, 1.0),
            y_range=(0.0, 1.0),
            diagonal=True,
        ),
        caption=(
            f"Means of {len(ranking.bins)} groups of masks of similar prediction. On the line, the "
            "prediction can be taken at its word."
        ),
    )
