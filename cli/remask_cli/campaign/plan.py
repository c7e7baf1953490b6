"""`remask campaign plan`: which masks should get another round, what it brings and costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.campaign.app import app
from remask_service.state import open_campaigns
from remask_terminal.options import Json, Name, State
from remask_terminal.printing import print_json, print_table

if TYPE_CHECKING:
    from remask_ranking.plan import Plan
    from remask_reports.page import Table

__all__ = ["plan"]

_SHOWN = 10


@app.command(epilog="Example: `remask campaign plan cats --hours 4 --out plan.csv`")
def plan(
    name: Name,
    hours: Annotated[
        float | None, typer.Option(help="Working time of all annotators together.")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="Mean IoU of all masks to be reached, such as 0.9.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="A mask gets at most so many visits, each in its own round.")
    ] = 3,
    out: Annotated[
        Path | None, typer.Option(help="CSV for `remask campaign reopen NAME --plan`.")
    ] = None,
    past: Annotated[
        bool,
        typer.Option(
            "--past",
            help="Also show how long past visits took and what they gained, by class, size, round, "
            "predicted IoU and annotator.",
        ),
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that measure; one per core if not given.")
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Plan further rounds: which masks, by whom, what it brings and costs, when to stop.

    Learns from the visits so far and from the masks whose truth is known, ten at least. Without
    `--hours` and `--target` every visit is planned that is worth its time. Ranges hold 95 %.
    """
    import os

    from remask_ranking.campaign_plan import campaign_plan, write_plan

    with open_campaigns(state) as store:
        found = campaign_plan(
            store,
            name,
            hours=hours,
            target=target,
            rounds=rounds,
            processes=processes or os.cpu_count() or 1,
        )
        names = {key: called for key, (called, _) in store.people(name).items()}
    if out is not None:
        write_plan(found, out, names=names)
    if as_json:
        print_json(found)
        return
    for sentence in found.sentences:
        typer.echo(sentence)
    typer.echo("")
    for table in _tables(found, names, past=past):
        print_table(table)
    if out is not None and found.visits:
        typer.echo(f"Next: remask campaign reopen {name} --plan {out}")


def _tables(found: Plan, names: Mapping[int, str], *, past: bool) -> list[Table]:
    from remask_reports.page import Column, Table

    visits = Table(
        columns=tuple(
            map(
                Column,
                ("", "round", "instance", "class", "IoU", "gain", "clicks", "seconds", "annotator"),
            )
        ),
        rows=tuple(
            (
                visit.place,
                visit.round,
                visit.instance,
                visit.label or "",
                f"{visit.iou:.3f}",
                f"{visit.gain:.3f}",
                f"{visit.clicks:.1f}",
                f"{visit.seconds:.0f}",
                _name(visit.annotator, names),
            )
            for visit in found.visits[:_SHOWN]
        ),
        caption=f"The first {min(_SHOWN, len(found.visits))} of {len(found.visits)} visits",
    )
    curve = Table(
        columns=(Column("hours"), Column("mean IoU")),
        rows=tuple((f"{point.hours:.2f}", f"{point.iou:.4f}") for point in found.curve),
        caption="What more hours bring",
    )
    people = Table(
        columns=tuple(
            map(
                Column,
                ("annotator", "visits so far", "pace", "gain beyond expected", "in the plan"),
            )
        ),
        rows=tuple(
            (
                _name(person.annotator, names),
                person.visits,
                f"{person.pace:.2f}",
                person.extra_gain.words(digits=3),
                person.left_out
                or str(sum(visit.annotator == person.annotator for visit in found.visits)),
            )
            for person in found.people
        ),
        caption="Who: pace is their time over the usual time",
    )
    groups = Table(
        columns=tuple(map(Column, ("by", "", "visits", "seconds", "gain in IoU", "known gains"))),
        rows=tuple(
            (
                group.by,
                _name(int(group.value), names) if group.by == "annotator" else group.value,
                group.visits,
                group.seconds.words(digits=1),
                group.gain.words(digits=3),
                group.gains,
            )
            for group in found.groups
        ),
        caption="Visits so far",
    )
    return [visits, curve, people, *([groups] if past else [])]


def _name(annotator: int | None, names: Mapping[int, str]) -> str:
    if annotator is None:
        return ""
    return names.get(annotator) or f"user {annotator}"
