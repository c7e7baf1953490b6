"""A study of label noise, told to people."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from remask_noise.operations import LEVELS
from remask_noise.study.data import StudySet
from remask_noise.study.run import NOISES, StudyRow, StudySummary
from remask_reports.charts import LineChart, Series
from remask_reports.estimate import Estimate
from remask_reports.page import Column, Figure, Figures, Page, Section, Table, Text

__all__ = ["csv_of", "levels_chart", "page_of", "table_of", "verdicts_of"]

_LOSS_NAMES = {"ce": "cross-entropy", "sce": "symmetric"}
_LEAST_TOP = 0.01  # of an axis, where everything is 0
_MEASURES = (("ap", "mask AP"), ("boundary_ap", "boundary AP"))


def table_of(summaries: Sequence[StudySummary]) -> Table:
    """Return one line per kind and level of noise and loss."""
    columns = (
        Column("noise"),
        Column("level"),
        Column("loss", hint="Of the classes."),
        Column("wrong classes", digits=2, hint="Share of the objects trained on."),
        Column("IoU of masks", digits=2, hint="Of the masks trained on with the clean ones."),
        Column("AP", hint="Mean over the seeds, with the smallest and the largest."),
        Column("AP kept", digits=2, hint="AP over that of clean training with the same loss."),
        Column("boundary AP"),
        Column("boundary AP kept", digits=2, hint="Boundary AP over that of clean training."),
        Column("foreground AP", hint="Of the likeliest class alone; any class matches any."),
    )
    rows = tuple(
        (
            summary.noise,
            summary.level,
            _LOSS_NAMES[summary.loss],
            summary.wrong_class,
            summary.mask_iou,
            summary.ap,
            summary.kept,
            summary.boundary_ap,
            summary.boundary_kept,
            summary.foreground_ap,
        )
        for summary in summaries
    )
    return Table(columns, rows)


def verdicts_of(summaries: Sequence[StudySummary], *, loss: str = "ce") -> list[str]:
    """Return for each kind of noise whether the study shows its cost, or chance hides it.

    A cost is shown where mask AP falls from clean to the strongest level by more than the seeds of
    any of these trainings differ among themselves. A level that came out above a milder one, or
    above clean, is named.
    """
    own = [summary for summary in summaries if summary.loss == loss]
    clean = [summary for summary in own if summary.noise == "clean"]
    return [
        _verdict(noise, [*clean, *(summary for summary in own if summary.noise == noise)])
        for noise in NOISES
        if clean and any(summary.noise == noise for summary in own)
    ]


def _verdict(noise: str, levels: Sequence[StudySummary]) -> str:
    drop = levels[0].ap.value - levels[-1].ap.value
    fall = f"mask AP falls by {drop:.3f}" if drop >= 0 else f"mask AP rises by {-drop:.3f}"
    start = f"{noise}: {fall} from clean to {levels[-1].level}"
    if min(level.seeds for level in levels) < 2:
        return f"{start}; with one seed nobody can say whether that is chance (--seeds 3)."
    chance = max(level.ap.high - level.ap.low for level in levels)
    odd = [
        f"{after.level} came out above {before.level if before.noise != 'clean' else 'clean'}"
        for before, after in pairwise(levels)
        if after.ap.value > before.ap.value
    ]
    order = "; " + ", ".join(odd) if odd else ""
    if drop > chance:
        return f"{start}, more than the {chance:.3f} by which seeds differ: it costs{order}."
    return (
        f"{start}, and seeds differ by {chance:.3f}: the study is too small to show what this "
        f"noise costs{order}. More images or seeds would."
    )


def csv_of(rows: Sequence[StudyRow]) -> str:
    """Return the rows as CSV with a heading, one line per training."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(StudyRow.__struct_fields__)
    writer.writerows(msgspec.structs.astuple(row) for row in rows)
    return lines.getvalue()


def levels_chart(
    summaries: Sequence[StudySummary], measure: str, y_label: str, *, loss: str = "ce"
) -> LineChart:
    """Return a measure against the level of noise, one line per kind of it, whiskers over seeds."""
    lines = tuple(_line(summaries, noise, noise, loss, measure) for noise in NOISES)
    return _chart(lines, summaries, y_label)


def page_of(summaries: Sequence[StudySummary], data: StudySet, *, made_by: str = "") -> Page:
    """Return the study as a report."""
    images = len(data.files)
    seeds = max(summary.seeds for summary in summaries)
    return Page(
        "What label noise costs",
        (
            Section(
                "Average precision against noise",
                (
                    Figures(
                        tuple(
                            Figure(levels_chart(summaries, name, title), f"{title}, cross-entropy.")
                            for name, title in _MEASURES
                        )
                    ),
                    table_of(summaries),
                    *(Text(verdict) for verdict in verdicts_of(summaries)),
                ),
            ),
            Section(
                "Cross-entropy against symmetric cross-entropy",
                (
                    Figures(
                        tuple(
                            Figure(_losses_chart(summaries, noise), f"Mask AP under {noise} noise.")
                            for noise in ("class", "both")
                        )
                    ),
                ),
            ),
            Section(
                "How it was made",
                (
                    Text(
                        f"{len(data.train)} objects to train on and {len(data.test)} clean ones "
                        f"to test on, of {', '.join(data.classes)}. No image is in both. The "
                        "bundled model's encoder stays as it is; two light heads, for masks and "
                        "for classes, are trained anew for every line of the table."
                    ),
                    Text(
                        "Boxes are given, in training and at test, each true box with noise of up "
                        "to 8 % of its sides: there is no detector that could miss an object or "
                        "see one where there is none. The numbers are to be compared with each "
                        "other, not with those of detectors."
                    ),
                    Text(
                        "Levels are those of COCO-N: `class` draws the class anew, `spatial` "
                        "scales, shifts or simplifies masks, `both` does both. Whiskers and "
                        "ranges are the smallest and the largest of the seeds."
                    ),
                ),
            ),
        ),
        summary=(
            f"One small model, trained in {len(summaries)} ways on the same objects of {images} "
            f"images, {seeds} seeds each, and tested on clean labels."
        ),
        made_by=made_by,
    )


def _losses_chart(summaries: Sequence[StudySummary], noise: str) -> LineChart:
    lines = (_line(summaries, noise, name, loss, "ap") for loss, name in _LOSS_NAMES.items())
    return _chart(tuple(lines), summaries, "mask AP")


def _chart(lines: tuple[Series, ...], summaries: Sequence[StudySummary], y_label: str) -> LineChart:
    highest = max(
        value
        for line in lines
        for value in (*line.ys, *(high for _, high in line.ranges))
        if math.isfinite(value)
    )
    return LineChart(
        lines,
        x_label=_axis(summaries),
        y_label=y_label,
        y_range=(0.0, max(_LEAST_TOP, 1.05 * highest)),
        x_ticks=_ticks(summaries),
    )


def _line(
    summaries: Sequence[StudySummary], noise: str, name: str, loss: str, measure: str
) -> Series:
    places = [0, *_places(summaries)]
    levels = ["none", *LEVELS]
    estimates: list[Estimate] = [
        getattr(summary, measure)
        for place in places
        for summary in summaries
        if summary.loss == loss
        and summary.level == levels[place]
        and summary.noise == (noise if place else "clean")
    ]
    return Series.of_estimates(name, [float(place) for place in places], estimates)


def _places(summaries: Sequence[StudySummary]) -> list[int]:
    """Return the places of the levels that were studied, counted from 1 in their order."""
    studied = {summary.level for summary in summaries}
    return [place for place, level in enumerate(LEVELS, start=1) if level in studied]


def _ticks(summaries: Sequence[StudySummary]) -> tuple[float, ...]:
    return (0.0, *map(float, _places(summaries)))


def _axis(summaries: Sequence[StudySummary]) -> str:
    names = [f"{place} {level}" for place, level in enumerate(LEVELS, start=1)]
    return ", ".join(
        ["level of noise: 0 clean", *(names[place - 1] for place in _places(summaries))]
    )
