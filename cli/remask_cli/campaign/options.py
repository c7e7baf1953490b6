"""What the commands of a campaign share: where it is kept, and which Label Studio it works in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from remask_rounds.campaign_store import CampaignStore
    from remask_rounds.progress import Told
    from remask_service.settings import Settings

__all__ = [
    "ApiKey",
    "Json",
    "Name",
    "State",
    "Url",
    "app",
    "open_campaigns",
    "progress_bar",
    "settings_with",
]

app = typer.Typer(help="From boxes to masks in rounds of corrective clicks.", no_args_is_help=True)
"""The noun itself; the modules beside this one add their commands to it."""


Name = Annotated[str, typer.Argument(help="Name of the campaign.")]
State = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="Folder of campaigns.db, or the URL of a database; where `remask serve` keeps its own "
        "if not given.",
    ),
]
Url = Annotated[str, typer.Option("--url", envvar="LABEL_STUDIO_URL", help="Of Label Studio.")]
ApiKey = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar="LABEL_STUDIO_API_KEY",
        help="Access token; best set in the variable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def settings_with(state: str | None) -> Settings:
    """Return the service's settings from the environment, kept where the command line says.

    Args:
        state: A folder, a database's URL, or None for what the environment says.
    """
    import os

    from remask_service.settings import Settings

    # Commands have options for these, and either alone would be refused.
    own = ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY")
    environ = {name: value for name, value in os.environ.items() if name not in own}
    if state is None:
        return Settings.from_environ(environ)
    if "://" in state:
        return Settings.from_environ(environ, overrides={"state_url": state})
    return Settings.from_environ(environ, overrides={"state_dir": Path(state).absolute()})


@contextmanager
def open_campaigns(state: str | None) -> Iterator[CampaignStore]:
    """Give the store of campaigns; closed at the end."""
    from remask_rounds.campaign_store import CampaignStore

    store = CampaignStore.open(settings_with(state).campaign_place)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def progress_bar() -> Iterator[Told]:
    """Give a `Told` that draws one bar for each thing under way, on the error stream."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bars: dict[str, Any] = {}
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def told(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)

        yield told
