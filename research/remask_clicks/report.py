"""The report on realistic clicks: how good, how robust, and which objects are hardest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from remask_clicks.benchmark import ROUNDS, Crowd, RclicksRow
from remask_clicks.scores import RclicksSummary, areas, per_object, summarise
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import Instance
from remask_evaluation.pictures import LEGEND, album, before_and_after, by_key
from remask_reports.charts import LineChart, ScatterChart, Series
from remask_reports.page import Block, Cell, Column, Figure, Page, Picture, Section, Table, Text

__all__ = ["rclicks_page", "rclicks_tables"]

_AFTER: Final = (1, 3, 5, 10, 20)
_SHOWN: Final = (1, 3)

# Sample ± sd, ΔSB in percent and ΔGR in percent of NoC20@90.
_PUBLISHED: Final = (
    ("DAVIS", "RITM HRNet-32 IT", 5.90, 0.89, 18.34, 51.07),
    ("DAVIS", "SimpleClick ViT-H", 5.00, 0.42, 7.06, 12.29),
    ("DAVIS", "SAM ViT-B", 5.30, 0.53, 8.26, 11.27),
    ("DAVIS", "MobileSAM", 5.96, 0.56, 8.63, 15.39),
    ("COCO-MVal", "RITM HRNet-32 IT", 3.24, 0.83, 15.50, 37.31),
    ("COCO-MVal", "SimpleClick ViT-H", 2.57, 0.54, 6.14, 17.65),
    ("COCO-MVal", "SAM ViT-B", 4.91, 0.79, 9.88, 15.73),
    ("COCO-MVal", "MobileSAM", 5.25, 0.78, 9.79, 19.78),
    ("TETRIS", "RITM HRNet-32 IT", 3.44, 0.65, 17.47, 30.69),
    ("TETRIS", "SimpleClick ViT-H", 2.36, 0.33, 6.94, 10.83),
    ("TETRIS", "SAM ViT-B", 3.04, 0.51, 11.17, 10.06),
    ("TETRIS", "MobileSAM", 3.42, 0.48, 7.47, 12.69),
)


def rclicks_tables(summaries: Sequence[RclicksSummary]) -> tuple[Table, Table]:
    """Return clicks needed and masks reached, a row per set and model in each.

    ΔSB, ΔGR and ΔHH of clicks are in percent, those of IoU are differences.
    """
    last = len(summaries[0].miou_base) - 1 if summaries else ROUNDS
    return _clicks_table(summaries, f"NoC{last}@90", f"NoF{last}@90"), _masks_table(summaries)


def _clicks_table(summaries: Sequence[RclicksSummary], noc: str, nof: str) -> Table:
    columns = (
        Column("set"),
        Column("model"),
        Column("objects"),
        Column(f"{noc} base", 2, "min", "clicks to IoU 0.90, baseline clicker"),
        Column("sample", 2, "min", "clicks to IoU 0.90, mean over groups"),
        Column("± sd", 2, "min", "over the groups, of one object"),
        Column("ΔSB %", 2, "min", "more clicks than the baseline clicker"),
        Column("ΔGR %", 2, "min", "more clicks with the least than with the most likely places"),
        Column("ΔHH %", 2, "min", "more clicks with the less likely half of the groups"),
        Column(f"{nof} base", 0, "min", "objects that never reached IoU 0.90"),
        Column("sample", 1, "min", "the same, mean over groups"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            s.dataset,
            s.model,
            s.objects,
            s.noc.base,
            s.noc.mean,
            s.noc.sd,
            100 * s.noc.sample_base,
            100 * s.noc.groups,
            100 * s.noc.halves,
            int(s.nof.base),
            s.nof.mean,
        )
        for s in summaries
    ]
    return Table(columns, tuple(rows), caption="Clicks needed")


def _masks_table(summaries: Sequence[RclicksSummary]) -> Table:
    columns = (
        Column("set"),
        Column("model"),
        Column("IoU-AuC base", 3, "max", "mean IoU over the clicks, baseline clicker"),
        Column("sample", 3, "max", "mean IoU over the clicks, mean over groups"),
        Column("± sd", 3, "min", "over the groups, of one object"),
        Column("ΔSB", 3, "max", "sample less base"),
        Column("ΔGR", 3, "max", "least less most likely places"),
        Column("ΔHH", 3, "max", "less likely half less likelier half"),
        Column("NSR", 3, "min", "sd of the area over its mean, of one object"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            s.dataset,
            s.model,
            s.auc.base,
            s.auc.mean,
            s.auc.sd,
            s.auc.sample_base,
            s.auc.groups,
            s.auc.halves,
            s.nsr,
        )
        for s in summaries
    ]
    return Table(columns, tuple(rows), caption="Masks reached")


def rclicks_page(
    rows: Sequence[RclicksRow],
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    crowd: Crowd,
    *,
    made_by: str,
    pictured: int = 4,
) -> Page:
    """Return the report of rows; the `pictured` hardest objects of each model are shown.

    Pictures are replayed, so the models run once more for these.
    """
    # Rows of an earlier run may call the same weights by another name.
    labels = {contestant.version: contestant.label for contestant in contestants}
    rows = [structs.replace(row, model=labels[row.version]) for row in rows]
    summaries = summarise(rows)
    sections = [
        Section("Results", (_about(instances, crowd), *rclicks_tables(summaries))),
        Section("IoU against clicks", tuple(_curves(summaries))),
        Section("Who clicks", tuple(_by_group(summaries))),
        Section("Every object", _objects(rows)),
    ]
    if pictured:
        hardest = _hardest(rows, instances, contestants, crowd, pictured)
        sections.append(Section("Hardest objects", hardest))
    sections.append(Section("As published", (*_as_published(summaries),)))
    versions = ", ".join(dict.fromkeys(summary.version for summary in summaries))
    return Page(
        title="Realistic clicks",
        summary=f"{len(instances)} objects, {crowd.rounds} clicks each by {crowd.groups} groups "
        f"of people and the baseline clicker. {versions}.",
        sections=tuple(sections),
        made_by=made_by,
    )


def _about(instances: Sequence[Instance], crowd: Crowd) -> Text:
    rule = (
        "the deeper a pixel lies in the error, the likelier it is clicked"
        if crowd.source.rule == "distance"
        else "all pixels of the error are equally likely"
    )
    source = f"Where people click is a rule, not measured: {rule}."
    if crowd.source.model is not None:
        source = f"Where people click is predicted by a model, {crowd.source.label}."
    if crowd.source.path is not None:
        known = sum(crowd.source.count(instance) > 0 for instance in instances)
        source = (
            f"First clicks follow those measured in {crowd.source.label}, for {known} of "
            f"{len(instances)} objects. Everything else follows a rule: {rule}."
        )
    return Text(
        "The pixels of an error are ordered by how likely they are to be clicked and cut into "
        f"{crowd.groups} parts of equal probability; a person of group 1 clicks in the least "
        f"likely part, one of group {crowd.groups} in the most likely one, click after click. "
        "The baseline clicker takes the middle of the thickest error. No run stops early. "
        f"{source}"
    )


def _curves(summaries: Sequence[RclicksSummary]) -> list[Block]:
    figures: list[Block] = []
    for summary in summaries:
        curves = {
            "baseline": summary.miou_base,
            f"G{len(summary.miou_groups)} (most likely)": summary.miou_groups[-1],
            "G1 (least likely)": summary.miou_groups[0],
        }
        clicks = tuple(float(number) for number in range(1, len(summary.miou_base)))
        chart = LineChart(
            series=tuple(Series(name, clicks, curve[1:]) for name, curve in curves.items()),
            x_label="clicks",
            y_label="mIoU",
            y_range=(min(0.8, *(min(curve[1:]) for curve in curves.values())), 1.0),
        )
        figures.append(Figure(chart, f"{summary.dataset}, {summary.model}."))
    return figures


def _by_group(summaries: Sequence[RclicksSummary]) -> list[Block]:
    figures: list[Block] = [
        Text("A flat line is a robust model: it does not matter who clicks. Left: unlikely clicks.")
    ]
    for summary in summaries:
        groups = tuple(float(number + 1) for number in range(len(summary.miou_groups)))
        after = [clicks for clicks in _AFTER if clicks < len(summary.miou_base)]
        series = tuple(
            Series(
                f"after {clicks} click{'s' if clicks > 1 else ''}",
                groups,
                tuple(curve[clicks] for curve in summary.miou_groups),
            )
            for clicks in after
        )
        lowest = min(min(line.ys) for line in series)
        chart = LineChart(series, "group", "mIoU", (min(0.8, lowest), 1.0), groups)
        figures.append(Figure(chart, f"{summary.dataset}, {summary.model}."))
    return figures


def _parts(rows: Sequence[RclicksRow]) -> dict[str, dict[str, list[RclicksRow]]]:
    """Return the rows by set, then by model."""
    parts: dict[str, dict[str, list[RclicksRow]]] = {}
    for row in rows:
        parts.setdefault(row.dataset, {}).setdefault(row.model, []).append(row)
    return parts


def _objects(rows: Sequence[RclicksRow]) -> tuple[Block, ...]:
    blocks: list[Block] = [
        Text(
            "One mark per object: its mean IoU over clicks and groups, and how much that differs "
            "between the groups. Top left: hard, and only some people get it done."
        )
    ]
    for dataset, models in _parts(rows).items():
        series = []
        for model, own in models.items():
            of_groups = areas(per_object(own)[1]).mean(axis=1)
            means, spreads = of_groups.mean(axis=0), of_groups.std(axis=0)
            series.append(Series(model, tuple(means.tolist()), tuple(spreads.tolist())))
        chart = ScatterChart(
            series=tuple(series),
            x_label="mean of IoU-AuC over groups",
            y_label="sd of IoU-AuC over groups",
            x_range=(min(x for line in series for x in line.xs), 1.0),
            y_range=(0.0, max(0.05, *(y for line in series for y in line.ys))),
        )
        blocks.append(Figure(chart, f"{dataset}."))
    return tuple(blocks)


def _hardest(
    rows: Sequence[RclicksRow],
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    crowd: Crowd,
    pictured: int,
) -> tuple[Block, ...]:
    found = by_key(instances)
    loaded = {contestant.label: contestant for contestant in contestants}
    blocks: list[Block] = [
        Text("The lowest mean IoU over clicks and groups: the least likely clicks beside the most.")
    ]
    for dataset, models in _parts(rows).items():
        for model, own in models.items():
            names, curves, _ = per_object(own)
            order = areas(curves).mean(axis=(0, 1)).argsort(kind="stable")[:pictured]
            albums = [
                tuple(
                    picture
                    for group in (1, crowd.groups)
                    for picture in _pictures(found[f"{dataset}/{name}"], loaded[model], own, group)
                )
                for name in (names[index] for index in order)
            ]
            blocks.append(album(albums, caption=f"{dataset}, {model}. {LEGEND}"))
    return tuple(blocks)


def _pictures(
    instance: Instance, contestant: Contestant, rows: Sequence[RclicksRow], group: int
) -> tuple[Picture, ...]:
    row = next(
        row for row in rows if (row.instance, row.group, row.run) == (instance.name, group, 1)
    )
    pictures = before_and_after(instance, contestant, row.steps(), shown=_SHOWN)
    return tuple(
        Picture(picture.image, f"Group {group}. {picture.caption}") for picture in pictures
    )


def _as_published(summaries: Sequence[RclicksSummary]) -> list[Block]:
    columns = (
        Column("set"),
        Column("model"),
        Column("ΔHH %, paper", 2),
        Column("ΔHH %, its code", 2, None, "group k against group k + 5, then averaged"),
        Column("NoF sample", 1),
        Column("NoF, its code", 1, None, "success with the very last click counts as failure"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            s.dataset,
            s.model,
            100 * s.noc.halves,
            100 * s.noc.halves_as_published,
            s.nof.mean,
            s.nof_as_published.mean,
        )
        for s in summaries
    ]
    reference = (
        Column("set"),
        Column("model"),
        Column("NoC20@90 sample", 2),
        Column("± sd", 2),
        Column("ΔSB %", 2),
        Column("ΔGR %", 2),
    )
    return [
        Text("The paper's definitions and what its published code computes, on these runs."),
        Table(columns, tuple(rows)),
        Text(
            "Rows of the paper, for orientation: other images, a learned model of clicks, and "
            "Segment Anything always answering with its best of three masks. Only rows on the "
            "same images and clicks can be compared."
        ),
        Table(reference, _PUBLISHED, caption="Antonov et al. 2024 (arXiv 2410.11722)"),
    ]
