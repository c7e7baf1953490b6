"""The noun `remask campaign`, and the session that its commands work in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2s
from typing import TYPE_CHECKING

import typer

from remask_cli.lock import lock
from remask_service.state import open_campaigns, settings_with
from remask_terminal.progress import progress_bars, repeatable

if TYPE_CHECKING:
    from remask_core.progress import OnProgress
    from remask_label_studio.api import LabelStudioApi
    from remask_storage.campaign_store import CampaignStore

__all__ = ["Session", "alone", "app", "open_session"]

app = typer.Typer(help="From boxes to masks in rounds of corrective clicks.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Session:
    """What a campaign's command works with.

    Attributes:
        store: Where campaigns are kept.
        studio: Label Studio.
        on_progress: Draws a bar for each thing under way.
    """

    store: CampaignStore
    studio: LabelStudioApi
    on_progress: OnProgress


@contextmanager
def open_session(
    name: str | None, *, state: str | None, url: str, api_key: str, exclusive: bool = False
) -> Iterator[Session]:
    """Give the session of a command; everything in it is closed at the end.

    Args:
        name: Of the campaign, which must be there; None where the command does not need one.
        state: As for `settings_with`.
        url: Of Label Studio.
        api_key: Its access token.
        exclusive: Keep a second such command out of the campaign, on any host: both would make
            the same project.

    Raises:
        NotFound: There is no such campaign; nobody has been asked anything.
        WrongState: Another command has the campaign to itself.
        InputError: There is no access token, or Label Studio refuses it.
        Unavailable: Label Studio does not answer.
    """
    from remask_label_studio.client import connect

    with repeatable(), ExitStack() as stack:
        store = stack.enter_context(open_campaigns(state))
        if name is not None:
            store.campaign(name)
            if exclusive:
                stack.enter_context(alone(store, state, name))
        studio = stack.enter_context(connect(url, api_key))
        yield Session(store, studio, stack.enter_context(progress_bars()))


@contextmanager
def alone(store: CampaignStore, state: str | None, name: str) -> Iterator[None]:
    """Have a campaign to oneself: among the commands on this machine, or of all hosts of its store.

    Args:
        store: With the campaign in it.
        state: As for `settings_with`, where the store was opened.
        name: Of the campaign.

    Raises:
        WrongState: Another command has it.
    """
    otherwise = f"campaign {name} is being advanced by another command; let it finish"
    if store.database.is_shared:
        with store.database.alone(f"remask: advance {name}", otherwise=otherwise):
            yield
        return
    digest = blake2s(name.encode(), digest_size=6).hexdigest()
    with lock(settings_with(state).state_dir / f"campaign-{digest}.lock", otherwise=otherwise):
        yield
