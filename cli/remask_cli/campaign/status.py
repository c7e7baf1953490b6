"""`remask campaign status | list`: how far campaigns are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from remask_cli.campaign.common import Json, Name, State, app, open_campaigns

if TYPE_CHECKING:
    from remask_rounds.campaign import VisitOutcome
    from remask_rounds.status import Status, Tally

__all__ = ["list_campaigns", "status"]

_OUTCOMES: tuple[VisitOutcome, ...] = ("corrected", "accepted", "skipped", "painted")
_TALLY = (*_OUTCOMES, "clicks", "median s", "total h")


@app.command(epilog="Example: `remask campaign status cats --json`")
def status(name: Name, state: State = None, as_json: Json = False) -> None:
    """Show the instances by outcome, per round and per annotator, and the time taken.

    As far as webhooks have told; `remask campaign sync` reads everything from Label Studio.
    """
    import msgspec

    from remask_rounds.status import status as look

    with open_campaigns(state) as store:
        found = look(store, name)
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    _show(found)


@app.command("list", epilog="Example: `remask campaign list`")
def list_campaigns(state: State = None, as_json: Json = False) -> None:
    """List the campaigns and the round that each is in."""
    import msgspec

    with open_campaigns(state) as store:
        rows = [
            {
                "campaign": one.name,
                "mode": one.mode,
                "model": one.model,
                "rounds": one.rounds,
                "round": rounds[-1].number if rounds else 0,
                "state": rounds[-1].state if rounds else "not begun",
                "results_project": one.results_project,
            }
            for one in store.campaigns()
            for rounds in [store.rounds(one.name)]
        ]
    if as_json:
        typer.echo(msgspec.json.encode(rows))
        return
    for row in rows:
        typer.echo(
            f"{row['campaign']}: round {row['round']} of {row['rounds']}, {row['state']}; "
            f"{row['mode']}, {row['model']}"
        )


def _show(found: Status) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    standing = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
    console.print(f"{found.campaign.name}: {found.instances} instances, {standing}")
    rounds = Table("round", "state", "project", "instances", "unanswered", *_TALLY, title="Rounds")
    for one in found.rounds:
        rounds.add_row(
            str(one.number),
            one.state,
            str(one.project or ""),
            str(one.instances),
            str(one.unanswered),
            *_cells(one.tally),
        )
    people = Table("annotator", "counts", "round", "answered", *_TALLY, title="Annotators")
    for who in found.annotators:
        name = who.name or ("unknown" if who.annotator is None else f"user {who.annotator}")
        rows = [("all", who.tally), *((str(at), own) for at, own in who.by_round.items())]
        for at, tally in rows if len(who.by_round) > 1 else rows[:1]:
            people.add_row(
                name if at == "all" else "",
                ("yes" if who.counts else "no") if at == "all" else "",
                at,
                str(tally.visits),
                *_cells(tally),
            )
    console.print(rounds)
    if found.annotators:
        console.print(people)


def _cells(tally: Tally) -> list[str]:
    counts = [str(tally.outcomes.get(name, 0)) for name in _OUTCOMES]
    median_s = "" if tally.median_s is None else f"{tally.median_s:.1f}"
    return [*counts, str(tally.clicks), median_s, f"{tally.total_s / 3600:.2f}"]
