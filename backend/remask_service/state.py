"""The place of campaigns and clicks for a command: from its option, or from the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remask_service.settings import Settings
    from remask_storage.campaign_store import CampaignStore

__all__ = ["open_campaigns", "settings_with"]


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
    from remask_storage.campaign_store import CampaignStore

    store = CampaignStore.open(settings_with(state).campaign_place)
    try:
        yield store
    finally:
        store.close()
