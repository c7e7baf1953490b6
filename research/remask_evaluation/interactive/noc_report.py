"""The click benchmark's report: curves, tables, examples and worst cases."""

from __future__ import annotations

from collections.abc import Sequence

from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import Instance
from remask_evaluation.interactive.measures import area_under
from remask_evaluation.interactive.noc import (
    FROM_BOX,
    FROM_CLICKS,
    FROM_READINGS,
    MAX_CLICKS,
    NocRow,
    NocSummary,
    summarise,
)
from remask_evaluation.pictures import LEGEND, album, before_and_after, by_key, spread
from remask_evaluation.strata import STRATA
from remask_reports.charts import LineChart, Series
from remask_reports.page import Block, Cell, Column, Figure, Page, Section, Table, Text

__all__ = ["noc_page", "noc_table", "strata_table"]

_SHOWN = (0, 1, 2, 3, 5, 9, 20)
_OF_STRATA = (1, 3, 5, 10, 20)
_NAMES = {
    FROM_CLICKS: "From clicks alone",
    FROM_READINGS: "From clicks alone, with the best reading of the first one",
    FROM_BOX: "From a box, then clicks",
}
_X_TICKS = (0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0, 12.0, 15.0, 20.0)


def noc_table(summaries: Sequence[NocSummary], start: str) -> Table:
    """Return the table of one start: a row per set and model."""
    shown = [clicks for clicks in _SHOWN if clicks > 0 or start == FROM_BOX]
    columns = [
        Column("set"),
        Column("model"),
        Column("objects"),
        Column("NoC20@85", 2, "min", "mean number of clicks to IoU 0.85; a failure counts as 20"),
        Column("failed @85", 0, "min", "objects that did not reach IoU 0.85 in 20 clicks"),
        Column("NoC20@90", 2, "min", "mean number of clicks to IoU 0.90; a failure counts as 20"),
        Column("failed @90", 0, "min", "objects that did not reach IoU 0.90 in 20 clicks"),
        *(Column(f"mIoU @{clicks}", 3, "max", "mean IoU after so many clicks") for clicks in shown),
        Column("IoU-AuC", 3, "max", "mean height of the curve of IoU from click 1 to 20"),
        Column("ms/click", 0, "min", "median of one call to the model, image encoded before"),
    ]
    rows: list[tuple[Cell, ...]] = [
        (
            s.dataset,
            s.model,
            s.objects,
            s.noc[0.85],
            s.failed[0.85],
            s.noc[0.90],
            s.failed[0.90],
            *(s.miou[clicks] for clicks in shown),
            s.auc,
            1000 * s.click_s,
        )
        for s in summaries
        if s.start == start
    ]
    return Table(columns=tuple(columns), rows=tuple(rows), caption=_NAMES[start])


def strata_table(rows: Sequence[NocRow], start: str) -> Table:
    """Return the table of one start by kinds of objects: a row per set, model and stratum."""
    columns = (
        Column("set"),
        Column("model"),
        Column("objects that are"),
        Column("objects"),
        Column("NoC20@90", 2, None, "mean number of clicks to IoU 0.90; a failure counts as 20"),
        Column("failed @90", 0, None, "objects that did not reach IoU 0.90 in 20 clicks"),
        *(Column(f"mIoU @{n}", 3, None, "mean IoU after so many clicks") for n in _OF_STRATA),
    )
    cells: list[tuple[Cell, ...]] = []
    for stratum in STRATA:
        of_kind = [row for row in rows if row.start == start and stratum in (row.strata or ())]
        cells += [
            (
                s.dataset,
                s.model,
                stratum,
                s.objects,
                s.noc[0.90],
                s.failed[0.90],
                *(s.miou[clicks] for clicks in _OF_STRATA),
            )
            for s in summarise(of_kind)
        ]
    return Table(columns=columns, rows=tuple(cells), caption=_NAMES[start])


def noc_page(
    rows: Sequence[NocRow],
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    *,
    made_by: str,
    pictured: int = 4,
) -> Page:
    """Return the report of rows; `pictured` objects per model are shown as examples and as worst.

    Pictures are replayed, so the models run once more for these.
    """
    summaries = summarise(rows)
    sections = [Section(title="Results", blocks=_tables(summaries))]
    if any(row.strata for row in rows):
        sections.append(Section(title="By kind of object", blocks=_by_kind(rows)))
    sections.append(Section(title="IoU against clicks", blocks=_curves(summaries)))
    if pictured:
        for title, worst in (("Examples", False), ("Worst cases", True)):
            blocks = _pictures(rows, instances, contestants, pictured, worst)
            sections.append(Section(title=title, blocks=blocks))
    versions = ", ".join(dict.fromkeys(summary.version for summary in summaries))
    objects = len({(row.dataset, row.instance) for row in rows})
    return Page(
        title="Clicks to a good mask",
        summary=f"{objects} objects, {MAX_CLICKS} clicks each by the baseline clicker. {versions}.",
        sections=tuple(sections),
        made_by=made_by,
    )


def _tables(summaries: Sequence[NocSummary]) -> tuple[Block, ...]:
    blocks: list[Block] = [
        Text(
            "Each click is put in the middle of the thickest error, as the evaluation of RITM "
            "does. No run stops early. Pixels that the truth leaves open are ignored. The box is "
            "the tight one with each coordinate moved by up to 12 % of the side, IoU at least "
            "0.7, the same for every model."
        )
    ]
    if any(summary.start == FROM_READINGS for summary in summaries):
        blocks.append(
            Text(
                "With readings, the annotator goes on to the model's next candidates after the "
                "first click, up to the best one, if it is better by 0.05 than the first. Each one "
                "that is shown counts as a click. A real annotator does not know in advance which "
                "reading is the best; so this is the most that readings can save."
            )
        )
    tables = [noc_table(summaries, start) for start in _NAMES]
    return (*blocks, *(table for table in tables if table.rows))


def _by_kind(rows: Sequence[NocRow]) -> tuple[Block, ...]:
    told = "; ".join(f"{name}: {meaning}" for name, meaning in STRATA.items())
    tables = [strata_table(rows, start) for start in _NAMES]
    note = Text(f"{told}. An object may be of several kinds or of none. Few objects say little.")
    return (note, *(table for table in tables if table.rows))


def _curves(summaries: Sequence[NocSummary]) -> tuple[Block, ...]:
    groups: dict[tuple[str, str], list[NocSummary]] = {}
    for summary in summaries:
        groups.setdefault((summary.dataset, summary.start), []).append(summary)
    figures: list[Block] = []
    for (dataset, start), group in groups.items():
        first = 0 if start == FROM_BOX else 1
        clicks = tuple(float(number) for number in range(first, MAX_CLICKS + 1))
        lowest = min(min(summary.miou[first:]) for summary in group)
        chart = LineChart(
            series=tuple(Series(s.model, clicks, s.miou[first:]) for s in group),
            x_label="clicks",
            y_label="mIoU",
            y_range=(min(lowest, 0.8), 1.0),
            x_ticks=_X_TICKS[first:],
        )
        figures.append(Figure(chart=chart, caption=f"{dataset}: {_NAMES[start].lower()}."))
    return tuple(figures)


def _pictures(
    rows: Sequence[NocRow],
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    pictured: int,
    worst: bool,
) -> tuple[Block, ...]:
    found = by_key(instances)
    blocks: list[Block] = [
        Text(
            "The smallest areas under the curve."
            if worst
            else "Spread evenly from the easiest to the hardest object."
        )
    ]
    for contestant in contestants:
        own = [r for r in rows if r.start == FROM_CLICKS and r.model == contestant.label]
        areas = [-area_under(row.ious) for row in own]
        order = sorted(range(len(own)), key=lambda index: -areas[index])
        groups = [
            before_and_after(
                found[f"{own[index].dataset}/{own[index].instance}"],
                contestant,
                own[index].steps(MAX_CLICKS),
                shown=(1, 3, 20) if worst else (1, 3),
            )
            for index in (order[:pictured] if worst else spread(areas, pictured))
        ]
        if groups:
            blocks.append(album(groups, caption=f"{contestant.label}. {LEGEND}"))
    return tuple(blocks)
