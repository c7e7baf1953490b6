"""`remask campaign advance | close | sync | reopen`: a campaign's way through its rounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.campaign.app import app, open_session
from remask_cli.campaign.masks import Device, Model, Weights, open_masks
from remask_core.errors import InputError
from remask_service.state import open_campaigns
from remask_terminal.options import ApiKey, EngineName, Json, Name, RayAddress, State, Url
from remask_terminal.printing import print_json

if TYPE_CHECKING:
    from remask_campaigns.rounds.advance import Advanced
    from remask_campaigns.rounds.instance_state import Unanswered
    from remask_campaigns.rounds.sync import Synced
    from remask_label_studio.api import BackendAddress

__all__ = ["advance", "close", "reopen", "sync"]

_SHOWN = 20

Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Close the round although instances are unanswered; they go on as they are.",
    ),
]


@app.command(epilog="Example: `remask campaign advance cats --url http://localhost:8080`")
def advance(
    name: Name,
    force: Force = False,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Address of `remask serve` as Label Studio reaches it: notified of each answer, "
            "and needed in live campaigns. BASIC_AUTH_USER and BASIC_AUTH_PASS go with it."
        ),
    ] = None,
    model: Model = None,
    device: Device = None,
    weights: Weights = None,
    engine: EngineName = None,
    ray_address: RayAddress = None,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Close the open round and open the next one; after the last, publish the masks.

    The first time, the model draws a mask for each box and round 1 is opened. Unanswered instances
    keep a round from being closed, and are listed. An interrupted command may be given again.
    """
    from remask_campaigns.rounds.advance import advance as step

    with (
        _unanswered_shown(),
        open_session(name, state=state, url=url, api_key=api_key, exclusive=True) as session,
    ):
        campaign = session.store.campaign(name)
        if campaign.mode == "live" and backend is None:
            raise InputError("`--backend` is required, for the campaign is a live one")
        chosen = model or campaign.model
        with open_masks(
            state,
            url,
            api_key,
            model=chosen,
            device=device,
            weights=weights,
            engine=engine,
            ray_address=ray_address,
        ) as make_masks:
            done = step(
                session.store,
                session.studio,
                name,
                make_masks,
                force=force,
                backend=_address(backend),
                on_progress=session.on_progress,
            )
    _show(done, url, as_json=as_json)


@app.command(epilog="Example: `remask campaign close cats --force`")
def close(
    name: Name,
    force: Force = False,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Close the open round without opening the next, for example until the manager has looked.

    `remask campaign advance` goes on from there.
    """
    from remask_campaigns.rounds.advance import close_round

    with (
        _unanswered_shown(),
        open_session(name, state=state, url=url, api_key=api_key, exclusive=True) as session,
    ):
        found = close_round(
            session.store, session.studio, name, force=force, on_progress=session.on_progress
        )
        number = session.store.rounds(name)[-1].number
    _warn(found)
    typer.echo(f"Round {number} of {name} is closed")


@app.command(epilog="Example: `remask campaign sync cats`")
def sync(
    name: Name,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Read all answers from Label Studio again, whether or not webhooks have reported them."""
    from remask_campaigns.rounds.sync import sync as read

    with open_session(name, state=state, url=url, api_key=api_key) as session:
        found = read(session.store, session.studio, name, on_progress=session.on_progress)
    _warn(found)
    if as_json:
        counts = {number: len(ids) for number, ids in found.tasks.items()}
        print_json({"visits": found.visits, "instances": counts})
        return
    typer.echo(f"{found.visits} answers of {len(found.tasks)} rounds")


@app.command(
    epilog="Examples: `remask campaign reopen cats --plan plan.csv`, "
    "`remask campaign reopen cats --worst 30 --ranks ranks.csv`"
)
def reopen(
    name: Name,
    plan: Annotated[
        Path | None, typer.Option(help="CSV of `remask campaign plan`: what it names.")
    ] = None,
    ranks: Annotated[
        Path | None, typer.Option(help="CSV of `remask rank apply`: its worst part.")
    ] = None,
    worst: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="So many per cent of --ranks; 30 if not given."),
    ] = None,
    state: State = None,
) -> None:
    """Send masks back for one more round; `remask campaign advance` opens it.

    Skipped instances stay skipped. The campaign must be through its rounds.
    """
    from remask_campaigns.rounds.advance import reopen as send_back
    from remask_ranking.campaign_plan import read_plan
    from remask_ranking.ranks import read_ranks, worst_instances

    if (plan is None) == (ranks is None):
        raise InputError("give one of `--plan` and `--ranks`")
    if worst is not None and ranks is None:
        raise InputError("`--worst` needs the order of `--ranks`")
    if plan is not None:
        names = read_plan(plan)
    else:
        assert ranks is not None
        percent = 30.0 if worst is None else worst
        names = worst_instances(read_ranks(ranks), percent=percent)
    with open_campaigns(state) as store:
        number = send_back(store, name, names)
        sent = len(store.campaign(name).reopened[number])
    typer.echo(
        f"{sent} instances are sent back; `remask campaign advance {name}` opens their "
        f"round, number {number}"
    )


def _address(url: str | None) -> BackendAddress | None:
    from remask_label_studio.api import BackendAddress

    if url is None:
        return None
    user, password = os.environ.get("BASIC_AUTH_USER"), os.environ.get("BASIC_AUTH_PASS")
    return BackendAddress(url.rstrip("/"), user=user or None, password=password or None)


def _show(done: Advanced, url: str, *, as_json: bool) -> None:
    _warn(done)
    for mask in done.failed[:_SHOWN]:
        typer.echo(f"no mask for {mask.instance} after round {mask.round}: {mask.why}", err=True)
    if len(done.failed) > _SHOWN:
        typer.echo(f"and {len(done.failed) - _SHOWN} more without a mask", err=True)
    if as_json:
        print_json(done)
    elif done.round is not None:
        typer.echo(
            f"Round {done.round.number} is open with {done.instances} instances: "
            f"{url.rstrip('/')}/projects/{done.round.project}/data"
        )
    else:
        typer.echo(
            f"The campaign is through; its masks: "
            f"{url.rstrip('/')}/projects/{done.results_project}/data"
        )


@contextmanager
def _unanswered_shown() -> Iterator[None]:
    """Show which instances keep a round from being closed, once bars and connections are gone."""
    from remask_campaigns.rounds.instance_state import Unanswered

    try:
        yield
    except Unanswered as error:
        _show_missing(error)
        raise


def _show_missing(error: Unanswered) -> None:
    without_task = {state.instance.id for state in error.without_task}
    for state in error.missing[:_SHOWN]:
        instance = state.instance
        why = "had no task" if instance.id in without_task else "not answered"
        typer.echo(f"{instance.id}  {instance.label}  {instance.image}  {why}", err=True)
    if len(error.missing) > _SHOWN:
        typer.echo(f"and {len(error.missing) - _SHOWN} more", err=True)
    typer.echo("Have them answered, or close the round without them: --force", err=True)


def _warn(found: Synced | Advanced) -> None:
    for task in found.unreadable:
        typer.echo(f"task {task.task} of project {task.project} passed over: {task.why}", err=True)
    for gone in found.gone:
        typer.echo(
            f"project {gone.project} of round {gone.round} was deleted in Label Studio; "
            f"{gone.answers} answers of it are kept",
            err=True,
        )
