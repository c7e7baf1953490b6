"""`remask campaign rate`: masks rated by people, from 1 to 10."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remask_cli.campaign.app import app, open_session
from remask_terminal.options import ApiKey, Json, Name, State, Url, writable

__all__ = ["rate"]


@app.command(epilog="Example: `remask campaign rate cats --masks 100`, then `--read`")
def rate(
    name: Name,
    masks: Annotated[
        int, typer.Option(min=1, help="How many masks of the campaign, drawn at random.")
    ] = 100,
    raters: Annotated[int, typer.Option(min=1, help="How many people rate each mask.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    read: Annotated[
        bool, typer.Option("--read", help="Read what has been given, instead of asking for it.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(callback=writable, help="With --read: HTML page to write.")
    ] = None,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Have masks rated from 1 to 10 by people who do not know where they come from.

    Where the truth of an object is known, its true mask is rated as well, among the others: it
    shows what can be had at best.
    """
    import msgspec

    from remask_campaigns.rating.page import ratings_page, ratings_sentence
    from remask_campaigns.rating.project import open_rating, read_ratings

    with open_session(name, state=state, url=url, api_key=api_key) as session:
        if not read:
            project = open_rating(
                session.store,
                session.studio,
                name,
                count=masks,
                raters=raters,
                seed=seed,
                on_progress=session.on_progress,
            )
            if as_json:
                typer.echo(msgspec.json.encode({"project": project}))
                return
            typer.echo(f"The masks wait to be rated: {url.rstrip('/')}/projects/{project}/data")
            typer.echo(f"Afterwards: remask campaign rate {name} --read --report ratings.html")
            return
        ratings = read_ratings(session.store, session.studio, name, on_progress=session.on_progress)
    if report is not None:
        made_by = f"Made by: remask campaign rate {name} --read"
        ratings_page(ratings, campaign=name, made_by=made_by).write(report)
    if as_json:
        typer.echo(msgspec.json.encode(ratings))
        return
    typer.echo(ratings_sentence(ratings))
    if report is not None:
        typer.echo(report)
