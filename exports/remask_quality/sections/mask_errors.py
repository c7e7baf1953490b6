"""The report's section on errors in masks, with examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from remask_masks.error_kinds import MaskError
from remask_quality.measures.mask_errors import (
    Agreement,
    ClassFigures,
    KindFigures,
    agreement_of,
    classes_of,
    kinds_of,
)
from remask_quality.measures.rows import InstanceRow, Quality
from remask_quality.sections.pictures import Album
from remask_reports.charts import BarChart, Series
from remask_reports.page import (
    Block,
    Cell,
    Column,
    Figure,
    Gallery,
    Picture,
    Section,
    Table,
    Text,
    table_of,
)

__all__ = ["noise_section"]

_KINDS_SHOWN: Final = 6
_EXAMPLES: Final = 3
_TITLE: Final = "What is wrong with the masks"


def noise_section(quality: Quality, album: Album) -> Section:
    """Return the kinds of errors by the truth, or else by the last mask."""
    twice = [pair.error for pair in quality.twice if pair.error is not None]
    if not quality.noise and not twice:
        words = (
            "Nothing to compare with: no truth is known, no mask has changed yet, and no instance "
            "was painted by two people."
        )
        return Section(_TITLE, (Text(words),))
    figures = kinds_of(quality)
    rows: list[tuple[str, Agreement]] = []
    if quality.noise:
        against = "truth" if quality.noise_by_truth else "the last mask"
        rows.append((f"masks from the boxes, by {against}", agreement_of(_firsts(quality))))
    if quality.noise_by_truth and quality.noise:
        rows.append(("masks to be delivered, by truth", agreement_of(_lasts(quality))))
    if twice:
        rows.append(("painted by two people", agreement_of(twice)))
    blocks: list[Block] = [Text(_words(quality)), _agreement_table(rows)]
    if quality.noise:
        blocks += [_kinds_chart(quality, figures), _kinds_table(quality, figures)]
        blocks += _examples(quality, figures, album)
    blocks += _wrong_classes(classes_of(quality))
    return Section(_TITLE, tuple(blocks))


def _firsts(quality: Quality) -> list[MaskError]:
    return [row.first for row in quality.noise]


def _lasts(quality: Quality) -> list[MaskError]:
    return [row.last for row in quality.noise if row.last is not None]


def _words(quality: Quality) -> str:
    known = (
        f"{len(quality.noise)} masks were compared with their truth."
        if quality.noise_by_truth
        else (
            f"No truth is known. {len(quality.noise)} masks from the boxes alone were compared "
            "with what they became: which errors the annotators mended."
        )
    )
    return (
        f"{known} The kind is that of the one change to the reference (growing, moving, "
        "simplifying, adding or taking a part) after which the fewest pixels differ."
    )


def _wrong_classes(figures: ClassFigures) -> list[Block]:
    if not figures.known:
        return [Text("Whether classes are right is not known: no truth names the class.")]
    wrong = sum(len(confusion.instances) for confusion in figures.confusions)
    share = figures.wrong.percent().words(digits=0)
    words = Text(f"Wrong class: {wrong} of {figures.known} masks whose class is known: {share} %.")
    if not wrong:
        return [words]
    table = table_of(
        figures.confusions[:_KINDS_SHOWN],
        [
            (Column("class"), lambda row: row.label),
            (Column("really"), lambda row: row.true_label),
            (Column("masks"), lambda row: len(row.instances)),
            (Column("of them"), lambda row: ", ".join(row.instances[:_EXAMPLES])),
        ],
    )
    return [words, table]


def _agreement_table(rows: list[tuple[str, Agreement]]) -> Table:
    return table_of(
        rows,
        [
            (Column("mean of"), lambda row: row[0]),
            (Column("masks"), lambda row: row[1].pairs),
            (Column("mask IoU", 3), lambda row: row[1].iou),
            (
                Column("boundary IoU", 3, hint="band of 2 % of the image's diagonal"),
                lambda row: row[1].boundary_iou,
            ),
            (Column("boundary F", 3, hint="within 5 px"), lambda row: row[1].boundary_f),
        ],
    )


def _kinds_chart(quality: Quality, figures: list[KindFigures]) -> Figure:
    places = [float(place) for place in range(len(figures))]
    series = [Series.of_estimates("from the boxes", places, [k.first.percent() for k in figures])]
    if quality.noise_by_truth:
        series.append(
            Series.of_estimates("to be delivered", places, [k.last.percent() for k in figures])
        )
    return Figure(
        BarChart(
            tuple(series),
            groups=tuple(figure.kind for figure in figures),
            y_label="% of the masks",
            digits=0,
        ),
        caption="Kinds of errors; whiskers: 95 %.",
    )


def _kinds_table(quality: Quality, figures: list[KindFigures]) -> Table:
    columns: list[tuple[Column, Callable[[KindFigures], Cell]]] = [
        (Column("kind"), lambda row: row.kind),
        (Column("from the boxes, %", 1), lambda row: row.first.percent()),
    ]
    if quality.noise_by_truth:
        columns.append((Column("to be delivered, %", 1), lambda row: row.last.percent()))
    columns += [
        (Column("mean IoU", 2), lambda row: row.iou),
        (Column("worst examples"), lambda row: ", ".join(row.examples[:_EXAMPLES]) or None),
    ]
    return table_of(figures, columns)


def _examples(quality: Quality, figures: list[KindFigures], album: Album) -> list[Block]:
    rows = {row.id: row for row in quality.instances}
    pictures: list[Picture] = []
    for figure in figures[:_KINDS_SHOWN]:
        if figure.kind == "none":
            continue
        for name in _spread(figure.examples):
            picture = album.mask(
                rows[name],
                first=not quality.noise_by_truth,
                caption=f"{figure.kind}: {_title(rows[name])}",
            )
            if picture is not None:
                pictures.append(picture)
    white = "the truth" if quality.noise_by_truth else "what the mask became"
    legend = f"Examples. Magenta: the mask. White line: {white}. Yellow: the box."
    return [Gallery(tuple(pictures), caption=legend)] if pictures else []


def _spread(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the worst and the middle one: the worst alone is seldom typical."""
    return tuple(dict.fromkeys((names[0], names[len(names) // 2]))) if names else ()


def _title(row: InstanceRow) -> str:
    return row.label if row.true_iou is None else f"{row.label}, IoU {row.true_iou:.2f}"
