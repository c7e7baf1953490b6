"""Titles and descriptions of a campaign's projects, for people and for `remask campaign restore`.

The store may be lost, Label Studio's projects are not. Each project that belongs to a campaign
therefore carries the campaign's settings as they were when it was made.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from remask_core.errors import InputError, NotFound
from remask_label_studio.api import LabelStudioApi, ProjectRef
from remask_storage.campaign import Campaign

__all__ = [
    "Described",
    "OwnProject",
    "ProjectKind",
    "check_name",
    "describe",
    "find_or_make_project",
    "has_round",
    "note_settings",
    "own_projects",
    "read_description",
    "title_of",
]

ProjectKind = str
"""What a project is to its campaign: `boxes`, `crops`, `round 2`, `masks`, `gold`, `gold twice`."""

_TITLE_LENGTH = 50
"""Label Studio refuses longer titles."""

_NAME_LENGTH = 40
"""Leaves room for the kinds that a campaign cannot do without; longer ones shorten the name."""

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


@dataclass(frozen=True, slots=True)
class OwnProject:
    """One of a campaign's projects, and what its description says."""

    ref: ProjectRef
    described: Described


def check_name(name: str) -> None:
    """Refuse a name that the titles of a new campaign's projects could not begin with.

    Raises:
        InputError: It is empty or too long.
    """
    if not name.strip() or len(name) > _NAME_LENGTH:
        raise InputError(
            f"`name` must have 1 to {_NAME_LENGTH} characters, for the titles of projects begin "
            f"with it; {name!r} has {len(name)}"
        )


def title_of(campaign: str, kind: ProjectKind) -> str:
    """Return the title of a campaign's project; it is found again by it.

    Where both do not fit into a title, the name of the campaign loses its end.
    """
    title = f"{campaign} · {kind}"
    if len(title) <= _TITLE_LENGTH:
        return title
    ending = f"… · {kind}"
    return campaign[: _TITLE_LENGTH - len(ending)] + ending


def own_projects(connection: LabelStudioApi, campaign: str) -> list[OwnProject]:
    """Return the projects whose descriptions say that they are the campaign's, oldest first."""
    # As much of the name as every title has; the description decides.
    beginning = campaign[: _TITLE_LENGTH // 2]
    return [
        OwnProject(project, described)
        for project in connection.projects_beginning(beginning)
        if (described := read_description(project.description)) is not None
        and described.campaign.name == campaign
    ]


def find_or_make_project(
    connection: LabelStudioApi,
    campaign: Campaign,
    kind: ProjectKind,
    *,
    label_config: str,
    maximum_annotations: int = 1,
) -> int:
    """Return the id of a campaign's project of this kind; one that is there already stays as it is.

    Args:
        connection: To Label Studio.
        campaign: Whose project.
        kind: What the project is to it.
        label_config: XML of a new project's labelling configuration.
        maximum_annotations: How many people answer each task of a new project.
    """
    title = title_of(campaign.name, kind)
    earlier = connection.projects_titled(title)
    if earlier:
        return earlier[0]
    return connection.create_project(
        title,
        label_config=label_config,
        description=describe(campaign, kind),
        maximum_annotations=maximum_annotations,
    )


def describe(campaign: Campaign, kind: ProjectKind) -> str:
    """Return the description of a project: a line for people, the settings for programs."""
    return f"{kind.capitalize()} of the campaign {campaign.name}.\n\n{_line(campaign, kind)}"


def has_round(connection: LabelStudioApi, campaign: str, number: int, project: int) -> bool:
    """Whether a project is still that of a campaign's round; False once it has been deleted.

    Label Studio may give the number of a deleted project again, to another round's or somebody
    else's. People may change title and description, but hardly what the tasks say.
    """
    try:
        first = next(iter(connection.task_data(project, page_size=1)), None)
    except NotFound:
        return False
    if first is not None:
        told = first[1].get("remask")
        return isinstance(told, dict) and (told.get("campaign"), told.get("round")) == (
            campaign,
            number,
        )
    own = own_projects(connection, campaign)
    return any(known.ref.id == project and known.described.round == number for known in own)


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
    """Write the campaign's settings into the description of its newest project.

    Whatever people have written around them stays. Without a project there is nothing to do.
    """
    own = own_projects(connection, campaign.name)
    if not own:
        return
    project, described = own[-1].ref, own[-1].described
    before, _, rest = project.description.partition(_MARK)
    after = "".join(rest.splitlines(keepends=True)[1:])
    ending = "\n" if after else ""
    whole = f"{before}{_line(campaign, described.kind)}{ending}{after}"
    connection.describe_project(project.id, whole)


def _line(campaign: Campaign, kind: ProjectKind) -> str:
    return f"{_MARK}{kind} {msgspec.json.encode(campaign).decode()}"
