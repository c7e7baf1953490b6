"""`remask campaign restore` and `truth`: what a campaign gets back from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remask_cli.campaign.app import app, open_session
from remask_cli.campaign.left_out import LeftOutNotes
from remask_service.campaign_images import open_image_source
from remask_terminal.options import ApiKey, Json, Name, State, Url

__all__ = ["restore", "truth"]


@app.command(epilog="Example: `remask campaign restore cats`")
def restore(
    name: Name,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Make a campaign's lost store again, from its projects in Label Studio.

    `remask campaign advance` then makes the masks again, `people` the verdicts on annotators, and
    `truth` brings back what a file knew.
    """
    import msgspec

    from remask_campaigns.restore import restore_campaign

    left = LeftOutNotes(as_json=as_json)
    with (
        open_session(None, state=state, url=url, api_key=api_key) as session,
        open_image_source(state, url, api_key) as source,
    ):
        campaign = restore_campaign(
            session.store,
            session.studio,
            name,
            shape_of=lambda image: source.fetch(image, task_id=None).shape_hw,
            on_progress=session.on_progress,
            left_out=left.add,
        )
        found = {
            "campaign": name,
            "instances": len(session.store.instances(name)),
            "rounds": len(session.store.rounds(name)),
            "visits": sum(len(visits) for visits in session.store.visits(name).values()),
        }
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    typer.echo(
        f"Campaign {name}: {found['instances']} instances, {found['rounds']} rounds, "
        f"{found['visits']} answers"
    )
    left.tell()
    if campaign.qualification is not None and campaign.qualification.required:
        typer.echo(
            f"Nobody's answers count before `remask campaign qualify {name}`, with the same gold, "
            f"and `remask campaign grade {name}`"
        )


@app.command(epilog="Example: `remask campaign truth cats --coco boxes.json`")
def truth(
    name: Name,
    coco: Annotated[Path, typer.Option(help="The COCO file that the campaign was made from.")],
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Keep a COCO file's segmentations as the true masks of a campaign's instances."""
    import msgspec

    from remask_campaigns.sources.coco import read_coco
    from remask_campaigns.sources.truths import keep_truths

    left = LeftOutNotes(as_json=as_json)
    with open_session(name, state=state, url=url, api_key=api_key) as session:
        count = keep_truths(
            session.store,
            session.studio,
            name,
            read_coco(coco, left_out=left.add),
            left_out=left.add,
        )
    if as_json:
        typer.echo(msgspec.json.encode({"truths": count, "left_out": left.counts}))
        return
    typer.echo(f"Truths: {count}")
    left.tell()
