"""The campaign benchmark's report: gain per round, questions of design, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from remask_evaluation.contestants import BOX, Contestant
from remask_evaluation.datasets import Instance
from remask_evaluation.interactive.designs import BASE, DESIGNS, QUESTIONS, Question
from remask_evaluation.interactive.rounds import RoundsRow, RoundsSummary, summarise
from remask_evaluation.pictures import LEGEND, album, before_and_after, by_key, spread
from remask_reports.charts import BarChart, LineChart, ScatterChart, Series
from remask_reports.page import Block, Cell, Column, Figure, Page, Section, Table, Text

__all__ = ["question_table", "rounds_page", "rounds_table"]


def rounds_table(summaries: Sequence[RoundsSummary], design: str = BASE) -> Table:
    """Return mIoU and boundary F of one design after each round: a row per set and model."""
    shown = [summary for summary in summaries if _design(summary.design) == design]
    rounds = range(DESIGNS[design].rounds + 1)
    columns = [
        Column("set"),
        Column("model"),
        Column("objects"),
        *(Column(_round_name(number, "mIoU"), 3, "max") for number in rounds),
        *(
            Column(
                _round_name(number, "F"),
                3,
                "max",
                "boundary F at 5 px; not where the truth has void pixels",
            )
            for number in rounds
        ),
        Column("clicks", 1, None, "mean number of clicks per object"),
        Column("accepted", 0, None, "objects whose last round needed no click"),
        Column("ms/answer", 0, "min", "median of one call to the model, image encoded before"),
    ]
    rows: list[tuple[Cell, ...]] = [
        (
            s.dataset,
            s.model,
            s.objects,
            *s.miou,
            *(s.mean_f or (None,) * len(s.miou)),
            s.clicks[-1],
            s.accepted,
            1000 * s.seconds,
        )
        for s in shown
    ]
    caption = f"Design {design}, round by round"
    return Table(columns=tuple(columns), rows=tuple(rows), caption=caption)


def question_table(summaries: Sequence[RoundsSummary], question: Question) -> Table:
    """Return the answers to one question of design: a row per set, model and answer."""
    rows: list[tuple[Cell, ...]] = []
    for dataset, model in _pairs(summaries):
        for label, design in question.answers:
            for s in summaries:
                if (s.dataset, s.model, _design(s.design)) == (dataset, model, design):
                    clicks = s.clicks[-1]
                    gain = (s.miou[-1] - s.miou[0]) / clicks if clicks else None
                    final_f = None if s.mean_f is None else s.mean_f[-1]
                    rows.append((f"{dataset}, {model}", label, s.miou[-1], final_f, clicks, gain))
    columns = (
        Column("set, model"),
        Column("design"),
        Column("final mIoU", 3, "max"),
        Column("final F", 3, "max", "boundary F at 5 px; not where the truth has void pixels"),
        Column("clicks", 1, "min", "mean number of clicks per object"),
        Column("gain/click", 4, "max", "mIoU won over the box's mask, per click"),
    )
    return Table(columns=columns, rows=tuple(rows), caption=question.title)


def rounds_page(
    rows: Sequence[RoundsRow],
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
    sections = [
        Section(title="Round by round", blocks=_base_blocks(summaries)),
        Section(title="Every object", blocks=_scatters(rows)),
    ]
    for question in QUESTIONS:
        table = question_table(summaries, question)
        if len({row[1] for row in table.rows}) > 1:
            sections.append(
                Section(
                    title=question.title,
                    blocks=(
                        Text(f"In the paper: {question.paper}"),
                        *_question_figures(summaries, question),
                        table,
                    ),
                )
            )
    if pictured:
        for title, worst in (("Examples", False), ("Worst cases", True)):
            blocks = _pictures(rows, instances, contestants, pictured, worst)
            sections.append(Section(title=title, blocks=blocks))
    versions = ", ".join(dict.fromkeys(summary.version for summary in summaries))
    objects = len({(row.dataset, row.instance) for row in rows})
    return Page(
        title="Box, mask, corrective clicks",
        summary=f"{objects} objects taken through rounds of simulated clicks. {versions}.",
        sections=tuple(sections),
        made_by=made_by,
    )


def _base_blocks(summaries: Sequence[RoundsSummary]) -> tuple[Block, ...]:
    kind = summaries[0].design.rpartition(", ")[2] if summaries else "box"
    blocks: list[Block] = [
        Text(
            "Round 0 is the mask from the box alone. Each round gives up to three clicks in the "
            "middle of the mask's errors, shared out in proportion to their area, with noise of "
            "3 px; errors below 10 x 10 px are ignored. The model then sees the box and all "
            f"clicks so far. Boxes: {kind}, the same for every model."
        ),
        rounds_table(summaries),
    ]
    for dataset in dict.fromkeys(summary.dataset for summary in summaries):
        own = [s for s in summaries if s.dataset == dataset and _design(s.design) == BASE]
        if not own:
            continue
        numbers = tuple(float(number) for number in range(len(own[0].miou)))
        lowest = min(min(summary.miou) for summary in own)
        chart = LineChart(
            series=tuple(Series(s.model, numbers, s.miou) for s in own),
            x_label="rounds of three clicks",
            y_label="mIoU",
            y_range=(min(lowest, 0.8), 1.0),
            x_ticks=numbers,
        )
        blocks.append(Figure(chart=chart, caption=f"{dataset}: mean IoU after each round."))
    return tuple(blocks)


def _scatters(rows: Sequence[RoundsRow]) -> tuple[Block, ...]:
    base = [row for row in rows if _design(row.design) == BASE and row.model != BOX]
    figures: list[Block] = [Text("Above the line: better after the rounds than from the box.")]
    for dataset in dict.fromkeys(row.dataset for row in base):
        series = []
        for model in dict.fromkeys(row.model for row in base):
            own = [row for row in base if (row.dataset, row.model) == (dataset, model)]
            before, after = [row.ious[0] for row in own], [row.ious[-1] for row in own]
            series.append(Series(model, tuple(before), tuple(after)))
        chart = ScatterChart(
            series=tuple(series),
            x_label="IoU from the box",
            y_label="IoU after the last round",
            x_range=(0.0, 1.0),
            y_range=(min([0.5, *(y for line in series for y in line.ys)]), 1.0),
            diagonal=True,
        )
        figures.append(Figure(chart=chart, caption=f"{dataset}: one mark per object."))
    return tuple(figures)


def _question_figures(summaries: Sequence[RoundsSummary], question: Question) -> tuple[Figure, ...]:
    if not question.by_clicks:
        return (_final_bars(summaries, question),)
    return tuple(
        _clicks_figure(summaries, question, dataset, model) for dataset, model in _pairs(summaries)
    )


def _clicks_figure(
    summaries: Sequence[RoundsSummary], question: Question, dataset: str, model: str
) -> Figure:
    """Return mean IoU against the mean number of clicks so far, one line per design."""
    own = {_design(s.design): s for s in summaries if (s.dataset, s.model) == (dataset, model)}
    shown = [(label, own[design]) for label, design in question.answers if design in own]
    chart = LineChart(
        series=tuple(Series(label, s.clicks, s.miou) for label, s in shown),
        x_label="clicks so far, mean per object",
        y_label="mIoU",
        y_range=(min([0.8, *(iou for _, s in shown for iou in s.miou)]), 1.0),
    )
    return Figure(chart=chart, caption=f"{dataset}, {model}: a mark after each round.")


def _final_bars(summaries: Sequence[RoundsSummary], question: Question) -> Figure:
    series = []
    for dataset, model in _pairs(summaries):
        finals = {
            _design(s.design): s.miou[-1]
            for s in summaries
            if (s.dataset, s.model) == (dataset, model)
        }
        ys = tuple(finals.get(design, float("nan")) for _, design in question.answers)
        series.append(Series(f"{dataset}, {model}", tuple(map(float, range(len(ys)))), ys))
    chart = BarChart(
        series=tuple(series),
        groups=tuple(label for label, _ in question.answers),
        y_label="final mIoU",
        y_range=(0.0, 1.0),
    )
    return Figure(chart=chart, caption="Mean IoU after the last round.")


def _pictures(
    rows: Sequence[RoundsRow],
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    pictured: int,
    worst: bool,
) -> tuple[Block, ...]:
    found = by_key(instances)
    blocks: list[Block] = [
        Text(
            "The smallest IoU after the last round."
            if worst
            else "Spread evenly by what the rounds won."
        )
    ]
    for contestant in contestants:
        own = [r for r in rows if _design(r.design) == BASE and r.model == contestant.label]
        if not own or contestant.name == BOX:
            continue
        gains = [row.ious[-1] - row.ious[0] for row in own]
        lowest = sorted(range(len(own)), key=lambda index: own[index].ious[-1])
        groups = [
            before_and_after(
                found[f"{own[index].dataset}/{own[index].instance}"],
                contestant,
                own[index].steps(),
                shown=(1, 2, len(own[index].rounds) + 1),
            )
            for index in (lowest[:pictured] if worst else spread(gains, pictured))
        ]
        blocks.append(album(groups, caption=f"{contestant.label}. {LEGEND}"))
    return tuple(blocks)


def _design(name: str) -> str:
    return name.rpartition(", ")[0]


def _pairs(summaries: Sequence[RoundsSummary]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((s.dataset, s.model) for s in summaries if s.model != BOX))


def _round_name(number: int, measure: str) -> str:
    return f"{measure} box" if number == 0 else f"{measure} r{number}"
