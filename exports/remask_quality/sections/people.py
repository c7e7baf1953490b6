"""The report's part by class and by annotator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from remask_quality.measures.groups import ClassFigures, by_class, by_person, class_figures
from remask_quality.measures.rows import Quality
from remask_reports.estimate import Estimate
from remask_reports.page import Block, Cell, Column, Section, Table, Text

__all__ = ["class_section", "person_section"]

_SHOWN: Final = 20
_VERDICTS: Final = {True: "passed", False: "failed", None: "–"}


def class_section(quality: Quality) -> Section:
    """Return a row for each class; rare ones of a long list share a row."""
    figures = by_class(quality)
    shown = figures[:_SHOWN]
    rare = {one.label for one in figures[_SHOWN:]}
    if rare:
        rows = [row for row in quality.instances if row.label in rare]
        shown.append(class_figures(f"{len(rare)} others", rows))
    if len(figures) > 1:
        shown.append(class_figures("all", list(quality.instances)))
    columns: list[tuple[Column, Sequence[Cell]]] = [
        (Column("class"), [one.label for one in shown]),
        (Column("instances"), [one.instances for one in shown]),
        (Column("done"), [one.done for one in shown]),
        (Column("skipped %", 1), [one.skipped.percent() for one in shown]),
        (Column("clicks", 1, hint="mean, of done instances"), [one.clicks for one in shown]),
        (Column("seconds", 1, hint="mean, of done instances"), [one.seconds for one in shown]),
        (Column("predicted IoU", 2), [one.predicted_iou for one in shown]),
        (Column("true IoU", 2), [one.true_iou for one in shown]),
    ]
    words = "Means over instances; in small print where the mean of many more would lie (95 %)."
    return Section("Classes", (Text(words), *_missing(shown), _table(columns)))


def person_section(quality: Quality) -> Section:
    """Return a row for each annotator."""
    figures = by_person(quality)
    if not figures:
        return Section("Annotators", (Text("Nobody has answered yet."),))
    names: tuple[Column, Sequence[Cell]] = (Column("annotator"), [one.name for one in figures])
    work: list[tuple[Column, Sequence[Cell]]] = [
        names,
        (
            Column("test", hint="verdict of the qualification"),
            [_VERDICTS[one.qualified] for one in figures],
        ),
        (Column("visits"), [one.visits for one in figures]),
        (Column("s per visit", 1, hint="median"), [one.seconds for one in figures]),
        (Column("clicks", 2, hint="of a visit not skipped"), [one.clicks for one in figures]),
        (Column("accepted %", 0), [one.accepted.percent() for one in figures]),
        (Column("skipped %", 0), [one.skipped.percent() for one in figures]),
        (
            Column("mask kept", 2, hint="IoU of the masks before and after a correction"),
            [one.kept for one in figures],
        ),
    ]
    worth: list[tuple[Column, Sequence[Cell]]] = [
        names,
        (
            Column("on an error %", 0, hint="clicks that lie on an error of their sign, by truth"),
            [one.on_error.percent() for one in figures],
        ),
        (
            Column("IoU gained", 3, hint="mean of a corrected visit, by truth"),
            [one.gain for one in figures],
        ),
        (Column("predicted IoU", 2, hint="last visit theirs"), [o.predicted_iou for o in figures]),
        (Column("true IoU", 2, hint="last visit theirs"), [one.true_iou for one in figures]),
        (
            Column("agree %", 0, hint="with others on what to do, where two visited"),
            [one.agreement.percent() for one in figures],
        ),
        (
            Column("painted IoU", 2, hint="with others, where both painted"),
            [one.painted_iou for one in figures],
        ),
    ]
    words = [
        "A mask counts for whoever made the last visit; masks differ in difficulty, so compare "
        "people of similar work."
    ]
    if len(figures) == 1:
        words.append("There is one annotator, so nothing can be said of agreement.")
    elif not quality.twice:
        words.append("No instance was visited by two people, so agreement is not known.")
    blocks: list[Block] = [Text(" ".join(words)), _table(work)]
    if len(_table(worth).columns) > 1:
        blocks.append(_table(worth))
    return Section("Annotators", tuple(blocks))


def _missing(figures: Sequence[ClassFigures]) -> tuple[Block, ...]:
    parts = []
    if all(math.isnan(one.predicted_iou.value) for one in figures):
        parts.append("no ranking was given")
    if all(math.isnan(one.true_iou.value) for one in figures):
        parts.append("no truth is known")
    words = " and ".join(parts).capitalize()
    return (Text(f"{words}; such columns are left out."),) if parts else ()


def _table(columns: Sequence[tuple[Column, Sequence[Cell]]]) -> Table:
    """Return the table of those columns in which anything is known."""
    kept = [(column, cells) for column, cells in columns if any(map(_is_known, cells))]
    return Table(
        columns=tuple(column for column, _ in kept),
        rows=tuple(zip(*(cells for _, cells in kept), strict=True)),
    )


def _is_known(cell: Cell) -> bool:
    if isinstance(cell, Estimate):
        return math.isfinite(cell.value)
    return cell not in (None, "–")
