"""The report's section on the ranking: the best and the worst masks, and how right it is."""

from __future__ import annotations

from remask_quality.measures.ranking import Ranking
from remask_ranking.report import calibration_figure, curves_figure
from remask_reports.page import Column, Figures, Section, Table, Text

__all__ = ["ranking_section"]


def ranking_section(ranking: Ranking | None) -> Section:
    """Return the ranking's curves, or what is missing for them."""
    if ranking is None:
        return Section(
            "How sure?",
            (Text("No ranking was given; `--ranks` takes the file of `remask rank apply`."),),
        )
    judgement = ranking.judgement
    curves = (ranking.predicted_curves,) if judgement is None else judgement.curves
    mean = None if judgement is None else judgement.miou
    figures = [curves_figure(curves, mean=mean, best=best) for best in (True, False)]
    if judgement is not None:
        figures.append(calibration_figure(judgement.bins))
    return Section("How sure?", (Text(_words(ranking)), _numbers(ranking), Figures(tuple(figures))))


def _words(ranking: Ranking) -> str:
    judgement = ranking.judgement
    if judgement is None:
        return (
            f"{ranking.ranked} masks are ranked. No truth is known of any, so that all figures "
            "here are what the ranking says of itself."
        )
    return (
        f"{ranking.ranked} masks are ranked, and the truth of {judgement.instances} is known. "
        "Predicted and true IoU have a rank correlation (Spearman) of "
        f"{judgement.spearman.words(digits=2)} and differ by "
        f"{judgement.mean_error.words(digits=2)} on average. "
        + (
            "Each of these was judged by a ranking that had not seen its truth."
            if ranking.is_held_out
            else "If the ranking was trained on some of these masks, it looks better here than it "
            "is; with `--rows` they are judged without having been seen."
        )
    )


def _numbers(ranking: Ranking) -> Table:
    judgement = ranking.judgement
    rows = [("of ranked masks, predicted", *ranking.predicted, ranking.ranked)]
    if judgement is not None:
        true = (judgement.miou, judgement.top_70, judgement.bottom_30)
        rows.append(("of those with truth, true", *true, judgement.instances))
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
