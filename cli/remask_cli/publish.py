"""`remask rank publish`: A ranking shown in Label Studio's Data Manager."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.campaign.app import Session, open_session
from remask_core.errors import InputError, WrongState
from remask_terminal.options import ApiKey, Json, State, Url
from remask_terminal.printing import print_json

if TYPE_CHECKING:
    from remask_ranking.ranks import Ranks

__all__ = ["publish"]


def publish(
    name: Annotated[
        str | None, typer.Argument(help="Name of a campaign; or give --project.")
    ] = None,
    project: Annotated[
        int | None, typer.Option(help="Number of any project, instead of a campaign's.")
    ] = None,
    ranks: Annotated[
        Path | None,
        typer.Option(
            help="CSV of `remask rank apply`. A campaign is ranked by its own truths if not given."
        ),
    ] = None,
    worst_first: Annotated[
        bool,
        typer.Option(
            "--worst-first", help="Also add a tab to the Data Manager that is ordered so."
        ),
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take the ranks away; all is as it was before.")
    ] = False,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Show a ranking in Label Studio: columns to sort and filter by, and prediction scores.

    Each task gets the predicted IoU, rank, uncertainty, outcome and round of its worst mask, and
    the predicted IoU as its prediction score. Of a campaign these are the tasks of its final masks
    and of the round that is open. It may be given again at any time; only differences are written.
    """
    import os
    from functools import partial

    from remask_exports.publish import publish_ranks, undo_ranks
    from remask_ranking.campaign_ranks import campaign_ranks, ranks_of
    from remask_ranking.ranks import read_ranks

    if (name is None) == (project is None):
        raise InputError("`name`, a campaign, or `--project` must be given, and not both")
    if project is not None and ranks is None and not undo:
        raise InputError("`--ranks` must be given for a project; only a campaign can be ranked")
    if undo and (ranks is not None or worst_first):
        raise InputError("`--undo` must stand without `--ranks` and `--worst-first`")
    known: Ranks = {} if ranks is None or undo else read_ranks(ranks)
    with open_session(name, state=state, url=url, api_key=api_key) as session:
        projects = [project] if project is not None else _projects(session, name or "")
        if name is not None and not undo and ranks is None:
            known = ranks_of(campaign_ranks(session.store, name, processes=os.cpu_count() or 1))
        states = {} if name is None or undo else _states(session, name)
        done = []
        for number in projects:
            on_page = partial(session.on_progress, f"tasks of project {number}")
            if undo:
                done.append(undo_ranks(session.studio, number, on_page=on_page))
            else:
                done.append(
                    publish_ranks(
                        session.studio,
                        number,
                        known,
                        states=states,
                        worst_first=worst_first,
                        on_page=on_page,
                    )
                )
    if as_json:
        print_json(done)
        return
    for published in done:
        has = "no ranks any more" if undo else f"ranks of {published.instances} masks"
        typer.echo(
            f"Project {published.project}: {has}, {published.tasks} tasks, "
            f"{published.changed} changed; {url}/projects/{published.project}/data"
        )


def _projects(session: Session, name: str) -> list[int]:
    """Return the projects of a campaign that show masks: the final ones, and the open round's."""
    found = [
        opened.project
        for opened in session.store.rounds(name)
        if opened.state == "open" and opened.project is not None
    ]
    results = session.store.campaign(name).results_project
    if results is not None:
        found.insert(0, results)
    if not found:
        raise WrongState(
            f"campaign `{name}` must have an open round or final masks to publish ranks in; "
            f"`remask campaign advance {name}` makes them"
        )
    return found


def _states(session: Session, name: str) -> dict[str, tuple[str, int]]:
    """Return how each instance of a campaign stands, and the last round it was visited in."""
    from remask_campaigns.rounds.instance_state import instance_states

    campaign = session.store.campaign(name)
    return {
        state.instance.id: (state.outcome, max(state.visits, default=0))
        for state in instance_states(session.store, campaign)
    }
