"""The report's sections on classes and on annotators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from remask_quality.measures.groups import ClassFigures, by_class, by_person, class_figures
from remask_quality.measures.rows import Quality
from remask_reports.page import Block, Column, Section, Text, table_of

__all__ = ["class_section", "person_section"]

_SHOWN: Final = 20
_VERDICTS: Final = {True: "passed", False: "failed", None: "–"}
_BY_HAND: Final = {True: "accepted by hand", False: "refused by hand", None: "–"}


def class_section(quality: Quality) -> Section:
    """Return a row for each class; rare ones of a long list share a row."""
    figures = by_class(quality)
    shown = figures[:_SHOWN]
    rare = {figure.label for figure in figures[_SHOWN:]}
    if rare:
        rows = [row for row in quality.instances if row.label in rare]
        shown.append(class_figures(f"{len(rare)} others", rows))
    if len(figures) > 1:
        shown.append(class_figures("all", list(quality.instances)))
    table = table_of(
        shown,
        [
            (Column("class"), lambda row: row.label),
            (Column("instances"), lambda row: row.instances),
            (Column("done"), lambda row: row.done),
            (Column("skipped %", 1), lambda row: row.skipped.percent()),
            (Column("clicks", 1, hint="mean, of done instances"), lambda row: row.clicks),
            (Column("seconds", 1, hint="mean, of done instances"), lambda row: row.seconds),
            (Column("predicted IoU", 2), lambda row: row.predicted_iou),
            (Column("true IoU", 2), lambda row: row.true_iou),
        ],
        only_known=True,
    )
    words = "Means over instances; in small print where the mean of many more would lie (95 %)."
    return Section("Which class?", (Text(words), *_missing(shown), table))


def person_section(quality: Quality) -> Section:
    """Return a row for each annotator."""
    figures = by_person(quality)
    if not figures:
        return Section("Annotators", (Text("Nobody has answered yet."),))
    work = table_of(
        figures,
        [
            (Column("annotator"), lambda row: row.name),
            (
                Column("test", hint="verdict of the qualification, or of a manager"),
                lambda row: (_BY_HAND if row.by_hand else _VERDICTS)[row.qualified],
            ),
            (Column("visits"), lambda row: row.visits),
            (Column("s per visit", 1, hint="median"), lambda row: row.seconds),
            (Column("clicks", 2, hint="of a visit not skipped"), lambda row: row.clicks),
            (Column("accepted %", 0), lambda row: row.accepted.percent()),
            (Column("skipped %", 0), lambda row: row.skipped.percent()),
            (
                Column("mask kept", 2, hint="IoU of the masks before and after a correction"),
                lambda row: row.kept,
            ),
        ],
        only_known=True,
    )
    worth = table_of(
        figures,
        [
            (Column("annotator"), lambda row: row.name),
            (
                Column(
                    "on an error %", 0, hint="clicks that lie on an error of their sign, by truth"
                ),
                lambda row: row.on_error.percent(),
            ),
            (
                Column("IoU gained", 3, hint="mean of a corrected visit, by truth"),
                lambda row: row.gain,
            ),
            (Column("predicted IoU", 2, hint="last visit theirs"), lambda row: row.predicted_iou),
            (Column("true IoU", 2, hint="last visit theirs"), lambda row: row.true_iou),
            (
                Column("agree %", 0, hint="with others on what to do, where two visited"),
                lambda row: row.agreement.percent(),
            ),
            (
                Column("painted IoU", 2, hint="with others, where both painted"),
                lambda row: row.painted_iou,
            ),
        ],
        only_known=True,
    )
    words = [
        "A mask counts for whoever made the last visit; masks differ in difficulty, so compare "
        "people of similar work."
    ]
    if len(figures) == 1:
        words.append("There is one annotator, so nothing can be said of agreement.")
    elif not quality.twice:
        words.append("No instance was visited by two people, so agreement is not known.")
    blocks: list[Block] = [Text(" ".join(words)), work]
    if len(worth.columns) > 1:
        blocks.append(worth)
    return Section("Annotators", tuple(blocks))


def _missing(figures: Sequence[ClassFigures]) -> tuple[Block, ...]:
    parts = []
    if all(math.isnan(figure.predicted_iou.value) for figure in figures):
        parts.append("no ranking was given")
    if all(math.isnan(figure.true_iou.value) for figure in figures):
        parts.append("no truth is known")
    words = " and ".join(parts).capitalize()
    return (Text(f"{words}; such columns are left out."),) if parts else ()
