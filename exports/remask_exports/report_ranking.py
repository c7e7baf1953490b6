"""The report's part on the ranking: the best and the worst, and whether it can be believed."""

from __future__ import annotations

from remask_exports.quality_ranking import PERCENTS, Order, Ranking
from remask_reports.charts import LineChart, ScatterChart, Series
from remask_reports.page import Block, Column, Figure, Figures, Section, Table, Text

__all__ = ["ranking_section"]


def ranking_section(ranking: Ranking | None) -> Section:
    """Return the ranking's curves, or what is missing for them."""
    if ranking is None:
        return Section(
            "Ranking",
            (Text("No ranking was given; `--ranks` takes the file of `remask rank apply`."),),
        )
    blocks: list[Block] = [Text(_words(ranking)), _numbers(ranking)]
    blocks.append(Figures((_curves(ranking, best=True), _curves(ranking, best=False))))
    if ranking.bins:
        blocks.append(_calibration(ranking))
    return Section("Ranking", tuple(blocks))


def _words(ranking: Ranking) -> str:
    if ranking.true is None:
        return (
            f"{ranking.ranked} masks are ranked. No truth is known of any, so that all figures "
            "here are what the ranking says of itself."
        )
    return (
        f"{ranking.ranked} masks are ranked, and the truth of {ranking.judged} is known. If the "
        "ranking was trained on some of these, it looks better here than it is; `remask rank "
        "evaluate` judges without them."
    )


def _numbers(ranking: Ranking) -> Table:
    columns = [
        Column("IoU of"),
        Column("all", 3),
        Column("best 70 %", 3),
        Column("worst 30 %", 3),
        Column("masks"),
    ]
    rows = [("ranked masks, predicted", *ranking.foretold, ranking.ranked)]
    if ranking.true is None:
        return Table(tuple(columns), tuple(rows))
    columns += [
        Column("rank correlation", 2, hint="Spearman, of predicted and true IoU"),
        Column("mean error", 3, hint="distance of predicted and true IoU"),
    ]
    judged = ("masks with truth, true", *ranking.true, ranking.judged)
    return Table(
        tuple(columns),
        (
            (*rows[0], None, None),
            (*judged, ranking.spearman, ranking.mean_error),
        ),
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
        LineChart(tuple(lines), f"{which} N % of the masks", what, x_ticks=PERCENTS[1::2]),
        caption=f"The {which} N %, in each order; whiskers: 95 %.",
    )


def _calibration(ranking: Ranking) -> Figure:
    means = Series(
        "groups of equal size",
        tuple(one.predicted for one in ranking.bins),
        tuple(one.true for one in ranking.bins),
    )
    return Figure(
        ScatterChart((means,), "predicted IoU", "true IoU", diagonal=True),
        caption=(
            f"Means of {len(ranking.bins)} groups of masks of similar prediction. On the line, the "
            "prediction can be taken at its word."
        ),
    )
