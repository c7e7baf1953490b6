"""`remask campaign archive | delete`: the end of a campaign."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.campaign.app import alone, app
from remask_core.errors import InputError
from remask_service.state import open_campaigns
from remask_terminal.options import ApiKey, Name, State, Url

if TYPE_CHECKING:
    from remask_campaigns.retire import Belongings

__all__ = ["archive", "delete"]


@app.command(epilog="Example: `remask campaign archive cats`")
def archive(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Bring it back.")] = False,
    state: State = None,
) -> None:
    """Put a campaign away: it keeps everything, but is neither listed nor advanced.

    Its projects in Label Studio stay as they are.
    """
    from remask_campaigns.retire import archive_campaign

    with open_campaigns(state) as store:
        archive_campaign(store, name, archived=not undo)
    typer.echo(f"{name} is {'back' if undo else 'archived'}")


@app.command(epilog="Example: `remask campaign delete cats --projects`")
def delete(
    name: Name,
    projects: Annotated[
        bool,
        typer.Option("--projects", help="Delete its projects in Label Studio, too."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Delete a campaign with its test: instances, answers, masks, truths and verdicts.

    Without `--projects`, `remask campaign restore` can make most of it again. The project that a
    campaign began from (`create --project`) is never deleted.
    """
    from remask_campaigns.retire import belongings_of, delete_campaign
    from remask_label_studio.client import connect

    with ExitStack() as stack:
        store = stack.enter_context(open_campaigns(state))
        store.campaign(name)
        stack.enter_context(alone(store, state, name))
        studio = stack.enter_context(connect(url, api_key)) if projects else None
        found = belongings_of(store, name, connection=studio)
        _show(found)
        if not yes and not typer.confirm("Delete all of this?"):
            raise InputError("`--yes`, or the answer yes, is needed to delete; nothing was deleted")
        delete_campaign(store, found, connection=studio)
    typer.echo(f"{name} is deleted")


def _show(found: Belongings) -> None:
    typer.echo(
        f"{' and '.join(found.campaigns)}: {found.instances} instances with {found.answers} answers"
    )
    for project, title in found.projects.items():
        typer.echo(f"Label Studio's project {project}, {title}, with all its annotations")
