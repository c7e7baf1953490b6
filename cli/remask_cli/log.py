"""`remask log`: Every click that was given, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remask_core.errors import InputError
from remask_service.state import open_campaigns, settings_with
from remask_terminal.options import Json, State
from remask_terminal.printing import print_json

__all__ = ["app"]

app = typer.Typer(help="Every click that was given, as a table.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Every click that was given, as a table."""


@app.command(epilog="Example: `remask log export cats --out clicks.parquet`")
def export(
    out: Annotated[Path, typer.Option("--out", help="File to write, .csv or .parquet.")],
    name: Annotated[str | None, typer.Argument(help="Name of the campaign.")] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="The prompts of live labelling instead of a campaign's."),
    ] = False,
    project: Annotated[
        int | None, typer.Option(help="With --live: only of this project of Label Studio.")
    ] = None,
    all_visits: Annotated[
        bool,
        typer.Option("--all", help="Clicks that do not count, too: replaced, or not qualified."),
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that measure; one per core if not given.")
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Write a campaign's clicks, each with its visit and the masks before and after.

    Where the truth is known, there is the IoU with it and the area of the error that was clicked.
    """
    import os

    import msgspec

    from remask_exports.click_table import write_clicks, write_live_prompts
    from remask_storage.database import Database

    if live != (name is None):
        raise InputError("`name` of a campaign must be given, or else --live")
    if name is None:
        store = Database.open(settings_with(state).state_place)
        try:
            count = write_live_prompts(
                store, out, project=None if project is None else str(project)
            )
        finally:
            store.close()
    else:
        with open_campaigns(state) as campaigns:
            count = write_clicks(
                campaigns,
                name,
                out,
                all_visits=all_visits,
                processes=processes or os.cpu_count() or 1,
            )
    if as_json:
        typer.echo(msgspec.json.encode({"out": str(out), "rows": count}))
    else:
        typer.echo(f"{out}: {count} rows")


@app.command(epilog="Example: `remask log repair`")
def repair(state: State = None, as_json: Json = False) -> None:
    """Make a damaged click log sound again, and take in the rows that were set aside meanwhile.

    Stop `remask serve` first. Every row that can still be read is kept, and the damaged file beside
    it. A click log in PostgreSQL is PostgreSQL's to repair; rows set aside are taken in all the
    same.
    """
    from remask_storage.repair import repair_click_log

    settings = settings_with(state)
    done = repair_click_log(settings.state_place, aside=settings.click_log_aside)
    if as_json:
        print_json(done)
        return
    if done.damaged is None:
        typer.echo("The click log is not damaged")
    else:
        kept = ", ".join(f"{count} {table}" for table, count in done.rows.items())
        typer.echo(f"Kept: {kept}. The damaged file is {done.damaged}")
    if done.taken_in or done.refused:
        typer.echo(f"Taken in: {done.taken_in} rows that were set aside")
    if done.refused:
        typer.echo(f"Refused by the database: {done.refused} of them", err=True)
