"""Advancing a campaign: answers are read, masks made, and the next project filled.

A campaign is always between two of these steps, and each may be cut off anywhere and repeated:
what is there is found again, in the store or in Label Studio, and only what is missing is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from remask_campaigns.rounds.instance_state import InstanceState, Unanswered, instance_states
from remask_campaigns.rounds.mask_jobs import MakeMasks, NoMask
from remask_campaigns.rounds.open_round import fill_round
from remask_campaigns.rounds.results import publish_results
from remask_campaigns.rounds.sync import GoneProject, Synced, Unreadable, sync
from remask_campaigns.rounds.update_masks import update_masks
from remask_core.errors import InputError, WrongState
from remask_core.progress import OnProgress, no_progress
from remask_label_studio.api import BackendAddress, LabelStudioApi
from remask_storage.campaign import Campaign, Round
from remask_storage.campaign_store import CampaignStore

__all__ = ["Advanced", "advance", "close_round", "open_round", "reopen"]


@dataclass(frozen=True, slots=True)
class Advanced:
    """What a step of a campaign came to.

    Attributes:
        round: The round that is open now; None after the last.
        results_project: The project of the final masks, once the last round is closed.
        instances: How many instances the open round holds.
        failed: Masks that could not be made; the next `advance` tries them again.
        unreadable: Tasks whose answers were passed over.
        gone: Rounds' projects that were deleted in Label Studio.
    """

    round: Round | None
    results_project: int | None
    instances: int
    failed: tuple[NoMask, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    gone: tuple[GoneProject, ...] = ()


def advance(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    make_masks: MakeMasks,
    *,
    force: bool = False,
    backend: BackendAddress | None = None,
    on_progress: OnProgress = no_progress,
    now: Callable[[], float] = time.time,
) -> Advanced:
    """Close the open round, if there is one, and open the next, or publish the results.

    Args:
        store: With the campaign in it.
        connection: To Label Studio.
        name: Of the campaign.
        make_masks: Makes what masks are missing.
        force: Close the round although instances are unanswered. They go on to the next round as
            they are; after the last they keep their mask, and their outcome stays `open`.
        backend: Told of annotations; answers the clicks of live campaigns.
        on_progress: Called with the progress of masks, tasks and images done.
        now: Unix seconds.

    Raises:
        NotFound: There is no such campaign.
        WrongState: It is archived.
        Unanswered: The round has unanswered instances, and `force` is not given.
        Unavailable: Label Studio or the model is out of reach. Run it again.
    """
    if store.campaign(name).archived:
        raise WrongState(
            f"campaign {name} is archived; `remask campaign archive {name} --undo` brings it back"
        )
    found = Synced({}, 0)
    last = next(reversed(store.rounds(name)), None)
    if last is not None and last.state == "open":
        try:
            found = close_round(
                store, connection, name, force=force, on_progress=on_progress, now=now
            )
        except Unanswered as error:
            if error.without_task:
                open_round(store, connection, name, make_masks, on_progress=on_progress, now=now)
            raise
    elif last is not None and last.state == "closed":
        # Answers of closed rounds may have been changed since.
        found = sync(store, connection, name, on_progress=on_progress)
    opened = open_round(
        store, connection, name, make_masks, backend=backend, on_progress=on_progress, now=now
    )
    return replace(opened, unreadable=found.unreadable, gone=found.gone)


def open_round(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    make_masks: MakeMasks,
    *,
    backend: BackendAddress | None = None,
    on_progress: OnProgress = no_progress,
    now: Callable[[], float] = time.time,
) -> Advanced:
    """Open the round that is next, or go on opening it; after the last publish the results.

    A round that is open already is filled up: with instances whose masks could not be made before,
    and with those that a late edit has brought into it. Arguments and errors as for `advance`.
    """
    campaign = store.campaign(name)
    everyone = instance_states(store, campaign)
    number = _next_round(campaign, store.rounds(name), everyone)
    before = _after(campaign, store.rounds(name)) if number is None else number
    failed = update_masks(
        store, name, everyone, before=before, make_masks=make_masks, on_progress=on_progress
    )
    if number is None:
        project = publish_results(store, connection, campaign, everyone, on_progress=on_progress)
        if campaign.results_project != project:
            store.change_campaign(replace(campaign, results_project=project))
        return Advanced(None, project, 0, tuple(failed))
    current = fill_round(
        store,
        connection,
        campaign,
        number,
        everyone,
        now=now(),
        failed=failed,
        backend=backend,
        on_progress=on_progress,
    )
    due = sum(state.is_due_in(number) for state in everyone)
    return Advanced(current, campaign.results_project, due, tuple(failed))


def close_round(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    *,
    force: bool = False,
    on_progress: OnProgress = no_progress,
    now: Callable[[], float] = time.time,
) -> Synced:
    """Read the open round's answers a last time and close it; return what was found.

    Arguments as for `advance`.

    Raises:
        WrongState: No round is open.
        Unanswered: As `advance`.
    """
    last = next(reversed(store.rounds(name)), None)
    if last is None or last.state != "open":
        raise WrongState(f"campaign {name} has no open round; it is {_state(last)}")
    found = sync(store, connection, name, on_progress=on_progress)
    missing = [
        state
        for state in instance_states(store, store.campaign(name))
        if state.is_due_in(last.number) and last.number not in state.visits
    ]
    if missing and not force:
        shown = found.tasks.get(last.number, frozenset())
        raise Unanswered(
            f"round {last.number} of {name} must be answered before it is closed; "
            f"{len(missing)} instances are not{_by_others(store, name, last.number, missing)}"
            f"{_deleted(found, last.number)}",
            missing=missing,
            without_task=[state for state in missing if state.instance.id not in shown],
        )
    store.put_round(name, replace(last, state="closed", closed_at=now()))
    return found


def reopen(store: CampaignStore, name: str, instances: Collection[str]) -> int:
    """Send instances back for one more round; return its number. `advance` then opens it.

    Args:
        store: With the campaign in it.
        name: Of the campaign.
        instances: Ids; skipped ones are left out, for nothing should be made of them.

    Raises:
        InputError: An id is not one of the campaign, or nothing is left to send back.
        WrongState: A round is under way, or the campaign is not through its rounds.
    """
    campaign = store.campaign(name)
    rounds = store.rounds(name)
    everyone = instance_states(store, campaign)
    unknown = set(instances) - {state.instance.id for state in everyone}
    if unknown:
        raise InputError(
            f"`instances` must be of the campaign {name}; {len(unknown)} are not, "
            f"such as {min(unknown)}"
        )
    number = _next_round(campaign, rounds, everyone)
    if number is not None:
        raise WrongState(f"campaign {name} must be through its rounds; round {number} is next")
    wanted = tuple(
        state.instance.id
        for state in everyone
        if state.instance.id in instances and state.outcome != "skipped"
    )
    if not wanted:
        raise InputError("`instances` must name at least one that was not skipped")
    number = _after(campaign, rounds)
    store.change_campaign(replace(campaign, reopened={**campaign.reopened, number: wanted}))
    return number


def _by_others(
    store: CampaignStore, name: str, number: int, missing: Sequence[InstanceState]
) -> str:
    """Return how many of them Label Studio shows as done, by people who do not count."""
    visits = store.visits(name)
    done = sum(
        any(visit.round == number for visit in visits.get(state.instance.id, ()))
        for state in missing
    )
    return f"; {done} of them only by annotators who have not passed the test" if done else ""


def _deleted(found: Synced, number: int) -> str:
    """Return what the end of a message says of a round's project that was deleted."""
    for gone in found.gone:
        if gone.round == number:
            return (
                f". Its project {gone.project} was deleted in Label Studio; "
                "`remask campaign advance` makes another, of what is unanswered"
            )
    return ""


def _next_round(
    campaign: Campaign, rounds: Sequence[Round], everyone: Sequence[InstanceState]
) -> int | None:
    """Return the round that is open or to be opened; None when the campaign is through."""
    last = rounds[-1] if rounds else Round(0, "closed")
    if last.state != "closed":
        return last.number
    numbers = [number for number in sorted(campaign.reopened) if number > last.number]
    if last.number < campaign.rounds:
        numbers.insert(0, last.number + 1)
    due = (n for n in numbers if any(state.is_due_in(n) for state in everyone))
    return next(due, None)


def _after(campaign: Campaign, rounds: Sequence[Round]) -> int:
    """Return the number that the next extra round would have."""
    return max(campaign.rounds, *campaign.reopened, *(round_.number for round_ in rounds), 0) + 1


def _state(last: Round | None) -> str:
    return "not begun" if last is None else f"in round {last.number}, {last.state}"
