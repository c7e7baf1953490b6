"""What the commands of a campaign share: where it is kept, and which Label Studio it works in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from remask_rounds.campaign_store import CampaignStore
    from remask_service.settings import Settings

__all__ = ["ApiKey", "Json", "Name", "State", "Url", "open_campaigns", "settings_with"]

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

    if state is None:
        return Settings.from_environ(os.environ)
    if "://" in state:
        return Settings.from_environ(os.environ, overrides={"state_url": state})
    return Settings.from_environ(os.environ, overrides={"state_dir": Path(state).absolute()})


@contextmanager
def open_campaigns(state: str | None) -> Iterator[CampaignStore]:
    """Give the store of campaigns; closed at the end."""
    from remask_rounds.campaign_store import CampaignStore

    store = CampaignStore.open(settings_with(state).campaign_place)
    try:
        yield store
    finally:
        store.close()
