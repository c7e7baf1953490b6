"""Opening a round: its project is found or made, and filled with the tasks that it lacks.

Everything here may be cut off at any point and done again: a project is looked for by its title
before it is made, and tasks are listed before others are imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from remask_campaigns.project_description import find_or_make_project, has_round
from remask_campaigns.rounds.instance_state import InstanceState, by_image
from remask_campaigns.rounds.mask_jobs import BY_HAND, NoMask
from remask_campaigns.rounds.tasks import instances_in, task_of
from remask_core.errors import Unavailable, WrongState
from remask_core.progress import OnProgress, no_progress
from remask_label_config.pages.round import write_round_config
from remask_label_studio.api import BackendAddress, LabelStudioApi
from remask_storage.campaign import Campaign, Mask, Round, classes_of
from remask_storage.campaign_store import CampaignStore

__all__ = ["fill_round"]

_Json: TypeAlias = dict[str, Any]

_REASONS = 3
"""How many of the masks that could not be made an error names."""

_TASKS_PER_REQUEST = 200
_NUMBERS_PER_REQUEST = 4_000_000
"""Masks are lists of numbers; some 20 MB of JSON, a tenth of what Label Studio takes."""


def fill_round(
    store: CampaignStore,
    connection: LabelStudioApi,
    campaign: Campaign,
    number: int,
    states: Sequence[InstanceState],
    *,
    now: float,
    failed: Sequence[NoMask] = (),
    backend: BackendAddress | None = None,
    on_progress: OnProgress = no_progress,
) -> Round:
    """Give every instance that is due in a round, and has a mask to show, a task in its project.

    Args:
        store: With the campaign in it.
        connection: To Label Studio. A project of the round that was deleted there is made anew.
        campaign: Whose round it is.
        number: Of the round, from 1.
        states: Of all instances.
        now: Unix time in seconds, when the round opens if it is not open yet.
        failed: Masks that could not be made; their reasons are named where no other mask is there.
        backend: Told of every annotation; in live campaigns it also answers the clicks.
        on_progress: Called with the progress of the tasks imported.

    Returns:
        The round, which is now open.

    Raises:
        WrongState: A project of this round's title holds other tasks.
        Unavailable: No instance has a mask to show, or Label Studio does not answer.
    """
    known = {round_.number: round_ for round_ in store.rounds(campaign.name)}
    current = known.get(number, Round(number, "opening"))
    versions = _versions(store, campaign, number)
    due = [state for state in states if state.is_due_in(number)]
    if current.project is None and not any(state.instance.id in versions for state in due):
        raise _no_masks(campaign, number, failed)
    if current.project is not None and not has_round(
        connection, campaign.name, number, current.project
    ):
        store.keep_visits(campaign.name, number)
        current = replace(current, project=None)
    store.put_round(campaign.name, current)
    if current.project is None:
        classes = classes_of([state.instance for state in states])
        current = replace(current, project=_project(connection, campaign, number, classes))
        store.put_round(campaign.name, current)
    project = current.project
    assert project is not None
    shown = _shown(connection, campaign, project, states)
    missing = [
        state
        for state in due
        if state.instance.id in versions
        and state.instance.id not in shown
        # Where the project was deleted, what had been answered in it stays.
        and number not in state.visits
    ]
    if not missing and not shown:
        raise _no_masks(campaign, number, failed)
    if current.model_version is None:
        made = (versions[state.instance.id] for state in missing)
        version = next((name for name in made if name not in BY_HAND), campaign.model)
        current = replace(current, model_version=f"{version} round {number - 1}")
        store.put_round(campaign.name, current)
    on_progress("tasks", len(shown), len(shown) + len(missing))
    done = len(shown)
    for page in _pages(_tasks(store, campaign, current, missing)):
        connection.import_whole_tasks(project, page)
        done += sum(len(instances_in(task["data"])) for task in page)
        on_progress("tasks", done, len(shown) + len(missing))
    if missing:
        # What a run before this one had sent may have been carried out meanwhile.
        _shown(connection, campaign, project, states)
    _finish(connection, campaign, current, backend)
    if current.state == "opening":
        current = replace(current, state="open", opened_at=now)
        store.put_round(campaign.name, current)
    return current


def _no_masks(campaign: Campaign, number: int, failed: Sequence[NoMask]) -> Unavailable:
    """Return the error of a round without any mask, with the first reasons why there is none."""
    reasons = list(dict.fromkeys(f"{mask.instance}: {mask.why}" for mask in failed))
    more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
    why = f". {'; '.join(reasons[:_REASONS])}{more}" if reasons else ", and so no tasks"
    return Unavailable(f"round {number} of {campaign.name} has no mask to show{why}")


def _project(
    connection: LabelStudioApi, campaign: Campaign, number: int, classes: Sequence[str]
) -> int:
    config = write_round_config(classes, mode=campaign.mode, clicks=campaign.clicks_per_round)
    return find_or_make_project(connection, campaign, f"round {number}", label_config=config)


def _versions(store: CampaignStore, campaign: Campaign, number: int) -> dict[str, str]:
    """Return instance to the model version of the mask that the round shows of it."""
    masked = store.rounds_masked(campaign.name)
    return {
        name: versions[max(at for at in versions if at < number)]
        for name, versions in masked.items()
        if any(at < number for at in versions)
    }


def _shown(
    connection: LabelStudioApi,
    campaign: Campaign,
    project: int,
    states: Sequence[InstanceState],
) -> set[str]:
    """Return the instances that have a task, after removing tasks that are there twice.

    A request that was cut off on our side may still have been carried out on the other. A task
    that somebody has answered is never removed.
    """
    known = {state.instance.id for state in states}
    answered = {visit.task for state in states for visit in state.visits.values()}
    shown: set[str] = set()
    doubled: list[int] = []
    for task_id, data in connection.task_data(project):
        instances = {instance.id for instance in instances_in(data)}
        if not instances <= known:
            raise WrongState(
                f"project {project} must hold tasks of the campaign {campaign.name} only; task "
                f"{task_id} is another's. Rename or delete the project"
            )
        if instances <= shown and task_id not in answered:
            doubled.append(task_id)
        shown |= instances
    for task_id in doubled:
        connection.delete_task(task_id)
    return shown


def _tasks(
    store: CampaignStore, campaign: Campaign, current: Round, missing: Sequence[InstanceState]
) -> Iterator[_Json]:
    """Yield the tasks of these instances, of one image after the other."""
    for group in by_image(missing):
        for start in range(0, len(group), campaign.per_task):
            instances = [state.instance for state in group[start : start + campaign.per_task]]
            masks: dict[str, Mask] = {}
            names = [instance.id for instance in instances]
            for name, made in store.masks(campaign.name, of=names):
                masks[name] = made[max(at for at in made if at < current.number)]
            task = task_of(campaign, current.number, instances, masks)
            for prediction in task["predictions"]:
                # Label Studio copies only predictions of the project's own model version.
                prediction["model_version"] = current.model_version
            yield task


def _pages(tasks: Iterable[_Json]) -> Iterator[list[_Json]]:
    page: list[_Json] = []
    numbers = 0
    for task in tasks:
        page.append(task)
        numbers += sum(
            len(region["value"].get("rle", ()))
            for prediction in task["predictions"]
            for region in prediction["result"]
        )
        if len(page) == _TASKS_PER_REQUEST or numbers >= _NUMBERS_PER_REQUEST:
            yield page
            page, numbers = [], 0
    if page:
        yield page


def _finish(
    connection: LabelStudioApi, campaign: Campaign, current: Round, backend: BackendAddress | None
) -> None:
    assert current.project is not None
    assert current.model_version is not None
    connection.show_model_version(current.project, current.model_version)
    if backend is None:
        return
    if campaign.mode == "live":
        connection.add_backend(current.project, backend)
    else:
        connection.add_webhook(current.project, backend)
