"""What the description of a campaign's project says, for people and for `remask campaign restore`.

The store may be lost, Label Studio's projects are not. Each project that belongs to a campaign
therefore carries the campaign's settings as they were when it was made.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign

__all__ = ["Described", "ProjectKind", "describe", "note_settings", "read_description", "title_of"]

ProjectKind = str
"""What a project is to its campaign: `boxes`, `crops`, `round 2`, `masks`, `gold`, `gold twice`."""

_MARK = "Settings, for `remask campaign restore`: "


@dataclass(frozen=True, slots=True)
class Described:
    """A project's campaign, and what the project is to it."""

    campaign: Campaign
    kind: ProjectKind

    @property
    def round(self) -> int | None:
        """The number of the round; None where the project is not a round's."""
        name, _, number = self.kind.partition(" ")
        return int(number) if name == "round" and number.isdigit() else None


def title_of(campaign: str, kind: ProjectKind) -> str:
    """Return the title of a campaign's project; it is found again by it."""
    return f"{campaign} · {kind}"


def describe(campaign: Campaign, kind: ProjectKind) -> str:
    """Return the description of a project: a line for people, the settings for programs."""
    return f"{kind.capitalize()} of the campaign {campaign.name}.\n\n{_line(campaign, kind)}"


def read_description(text: str) -> Described | None:
    """Return what `describe` wrote, or None where the text says nothing of a campaign.

    People may have written before and after it.
    """
    _, found, rest = text.partition(_MARK)
    kind, _, after = rest.partition("{")
    settings = "{" + after.splitlines()[0] if found and after else ""
    try:
        campaign = msgspec.json.decode(settings, type=Campaign)
    except (msgspec.DecodeError, ValueError):
        return None
    return Described(campaign, kind.strip())


def note_settings(connection: LabelStudioApi, campaign: Campaign) -> None:
    """Bring the settings that the campaign's newest project tells up to date.

    Whatever people have written around them stays. Without a project there is nothing to do.
    """
    own = [
        (project, told)
        for project in connection.projects_beginning(title_of(campaign.name, ""))
        if (told := read_description(project.description)) is not None
        and told.campaign.name == campaign.name
    ]
    if not own:
        return
    project, told = own[-1]
    before, _, rest = project.description.partition(_MARK)
    after = "".join(rest.splitlines(keepends=True)[1:])
    ending = "\n" if after else ""
    whole = f"{before}{_line(campaign, told.kind)}{ending}{after}"
    connection.describe_project(project.id, whole)


def _line(campaign: Campaign, kind: ProjectKind) -> str:
    return f"{_MARK}{kind} {msgspec.json.encode(campaign).decode()}"
