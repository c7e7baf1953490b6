"""`remask campaign gold`: reference masks, painted by hand."""

from __future__ import annotations

from enum import Enum
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.campaign.app import app, open_session
from remask_terminal.options import ApiKey, Json, Name, State, Url

if TYPE_CHECKING:
    from remask_campaigns.gold.painting import GoldRead

__all__ = ["gold"]


class DrawChoice(str, Enum):
    """How the instances to paint are chosen."""

    classes = "classes"
    random = "random"


@app.command(epilog="Example: `remask campaign gold cats --instances 20 --double 0.3`")
def gold(
    name: Name,
    instances: Annotated[int, typer.Option(min=1, help="How many instances to have painted.")] = 20,
    draw: Annotated[
        DrawChoice,
        typer.Option(
            help="`classes` take turns, so that each can be judged; or `random`, which "
            "`remask rank guarantee` needs."
        ),
    ] = DrawChoice.classes,
    double: Annotated[
        float, typer.Option(min=0, max=1, help="Share of them that two people paint.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
    read: Annotated[
        bool,
        typer.Option("--read", help="Take in what has been painted, instead of asking for it."),
    ] = False,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Have some instances painted by hand; with `--read`, take the masks in as the truth.

    Given again with more instances, it adds to those that are there. Reading also tells how well
    two people agree on the same object.
    """
    import msgspec

    from remask_campaigns.gold.painting import open_gold, read_gold

    with open_session(name, state=state, url=url, api_key=api_key) as session:
        if read:
            found = read_gold(session.store, session.studio, name, on_progress=session.on_progress)
        else:
            projects = open_gold(
                session.store,
                session.studio,
                name,
                count=instances,
                double=double,
                draw=draw.value,
                seed=seed,
                on_progress=session.on_progress,
            )
    if as_json:
        typer.echo(msgspec.json.encode(found if read else projects))
    elif read:
        _show(found)
    else:
        for kind, project in projects.items():
            typer.echo(f"To paint, {kind}: {url.rstrip('/')}/projects/{project}/data")
        typer.echo(f"Afterwards: remask campaign gold {name} --read")


def _show(found: GoldRead) -> None:
    typer.echo(f"Painted: {found.painted} of {found.instances} instances")
    if found.skipped:
        typer.echo(f"Skipped: {', '.join(found.skipped)}")
    if not found.agreements:
        return
    typer.echo(
        f"Agreement of two people, {len(found.agreements)} pairs: "
        f"mean IoU {fmean(pair.iou for pair in found.agreements):.3f}, "
        f"mean boundary F within 5 px {fmean(pair.boundary_f for pair in found.agreements):.3f}"
    )
    for pair in sorted(found.agreements, key=lambda pair: pair.iou):
        typer.echo(f"{pair.instance}: IoU {pair.iou:.3f}, boundary F {pair.boundary_f:.3f}")
