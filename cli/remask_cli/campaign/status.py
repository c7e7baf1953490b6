"""`remask campaign status | list`: how far campaigns are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.campaign.app import app
from remask_service.state import open_campaigns
from remask_terminal.options import Json, Name, State
from remask_terminal.printing import print_json, print_table

if TYPE_CHECKING:
    from remask_campaigns.status import AnnotatorStatus, Status, Tally
    from remask_reports.page import Table
    from remask_storage.campaign import VisitOutcome

__all__ = ["list_campaigns", "status"]

_OUTCOMES: tuple[VisitOutcome, ...] = ("corrected", "accepted", "skipped", "painted")


@app.command(epilog="Example: `remask campaign status cats --json`")
def status(name: Name, state: State = None, as_json: Json = False) -> None:
    """Show the instances by outcome, per round and per annotator, and the time taken.

    As far as webhooks have reported; `remask campaign sync` reads everything from Label Studio.
    """
    from remask_campaigns.status import status as look

    with open_campaigns(state) as store:
        found = look(store, name)
    if as_json:
        print_json(found)
        return
    standing = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
    typer.echo(f"{found.campaign.name}: {found.instances} instances, {standing}\n")
    for table in _tables(found):
        print_table(table)
    for drift in found.drifts:
        typer.echo(f"Look: {drift.sentence}")


@app.command("list", epilog="Example: `remask campaign list`")
def list_campaigns(
    archived: Annotated[bool, typer.Option("--all", help="Those that are archived, too.")] = False,
    state: State = None,
    as_json: Json = False,
) -> None:
    """List the campaigns and the round that each is in."""
    from remask_campaigns.status import summaries

    with open_campaigns(state) as store:
        found = summaries(store, archived=archived)
    if as_json:
        print_json(found)
        return
    for campaign in found:
        typer.echo(
            f"{campaign.campaign}: round {campaign.round} of {campaign.rounds}, {campaign.state}; "
            f"{campaign.mode}, {campaign.model}{'; archived' if campaign.archived else ''}"
        )


def _tables(found: Status) -> list[Table]:
    from remask_reports.page import Column, Table

    tally = [Column(name) for name in (*_OUTCOMES, "clicks")]
    times = [Column("median s", digits=1), Column("total h", digits=2)]
    rounds = Table(
        columns=(
            *map(Column, ("round", "state", "project", "instances", "unanswered")),
            *tally,
            *times,
        ),
        rows=tuple(
            (
                shown.number,
                shown.state,
                shown.project,
                shown.instances,
                shown.unanswered,
                *_cells(shown.tally),
            )
            for shown in found.rounds
        ),
        caption="Rounds",
    )
    people = Table(
        columns=(*map(Column, ("annotator", "counts", "round", "answered")), *tally, *times),
        rows=tuple(
            (name, valid, number, own.visits, *_cells(own))
            for who in found.annotators
            for name, valid, number, own in _lines(who)
        ),
        caption="Annotators",
    )
    return [rounds, people]


def _lines(who: AnnotatorStatus) -> Iterator[tuple[str, str, str, Tally]]:
    """Yield an annotator's line of all rounds and, of several rounds, a line for each."""
    name = who.name or ("unknown" if who.annotator is None else f"user {who.annotator}")
    valid = "yes" if who.is_valid else "no"
    yield name, valid, "all", who.tally
    if len(who.by_round) > 1:
        for number, own in who.by_round.items():
            yield name, valid, str(number), own


def _cells(tally: Tally) -> list[int | float | None]:
    counts = [tally.outcomes.get(name, 0) for name in _OUTCOMES]
    return [*counts, tally.clicks, tally.median_s, tally.total_s / 3600]
