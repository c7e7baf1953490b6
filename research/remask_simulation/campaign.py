"""Simulated annotators that answer an open round through Label Studio.

They see what a person sees, the mask that a task shows, and they know what the object really
covers. Everything else is as with people: an annotation with clicks or without, or a skip, with
the seconds it took, of a user of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

import msgspec
import numpy as np

from remask_campaigns.rounds.tasks import RoundData, answer_of, round_data
from remask_core.errors import InputError, WrongState
from remask_core.progress import OnProgress, no_progress
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import BoolMask
from remask_label_config.region_masks import has_mask, mask_of_region
from remask_label_config.regions import read_regions
from remask_label_studio.api import LabelStudioApi
from remask_simulation.annotators import Annotator, crew, visit
from remask_storage.campaign import PlacedClick, Round, Truth
from remask_storage.campaign_store import CampaignStore

__all__ = ["Person", "Simulated", "hire", "simulate"]

_PAGE = 50
_ADDRESS = "simulated-{}@remask.invalid"


@dataclass(frozen=True, slots=True)
class Person:
    """A simulated annotator with an account in Label Studio."""

    user: int
    name: str
    habits: Annotator


@dataclass(frozen=True, slots=True)
class Simulated:
    """What was done to an open round.

    Attributes:
        answered: Tasks that were answered now.
        already: Tasks that had an annotation.
        without_truth: Tasks left alone, because the truth of an instance is not known.
        clicks: Clicks given.
        seconds: Working time of all together.
    """

    answered: int
    already: int
    without_truth: int
    clicks: int
    seconds: float


def hire(connection: LabelStudioApi, count: int, *, seed: int) -> list[Person]:
    """Return `count` annotators of differing care; equal seeds give equal people.

    Their accounts cannot log in. Those that are there already are used again.

    Raises:
        InputError: `count` is below 1.
    """
    if count < 1:
        raise InputError(f"`count` must be at least 1; got {count}")
    habits = crew(count, rng=np.random.default_rng(seed))
    known = connection.users()
    people = []
    for number, annotator in enumerate(habits, start=1):
        address, name = _ADDRESS.format(number), f"Simulated {number}"
        user = known.get(address) or connection.add_user(address, name=name)
        people.append(Person(user, name, annotator))
    return people


def simulate(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    people: Sequence[Person],
    *,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> Simulated:
    """Answer every task of the open round that nobody has answered.

    What is done with an instance follows from the seed, its id and the round, so a run that was
    cut short is finished by another as it would have been.

    Args:
        store: With the campaign and the truths of its instances.
        connection: To the campaign's Label Studio.
        name: Of the campaign.
        people: Of `hire`.
        seed: Of everything they do.
        on_progress: Called with how far it is.

    Raises:
        NotFound: There is no such campaign.
        WrongState: No round is open.
        InputError: It is a live campaign: its annotators wait for answers as they click.
    """
    campaign = store.campaign(name)
    if campaign.mode != "batch":
        raise InputError("`name` must be a batch campaign; simulated annotators do not work live")
    opened = _open_round(store, name)
    assert opened.project is not None
    truths = store.truths(name)
    answered = already = unknown = clicks = 0
    seconds = 0.0
    for done, (task, total) in enumerate(_tasks(connection, opened.project), start=1):
        data = round_data(task["data"])
        if task.get("annotations"):
            already += 1
        elif any(shown.id not in truths for shown in data.instances):
            unknown += 1
        else:
            made = _answer(task, data, truths, people, seed=seed)
            connection.annotate(
                task["id"],
                result=made.result,
                skipped=made.skipped,
                lead_time_s=made.seconds,
                user=made.person.user,
            )
            answered, clicks, seconds = (
                answered + 1,
                clicks + made.clicks,
                seconds + made.seconds,
            )
        on_progress(f"answering round {opened.number}", done, total)
    return Simulated(answered, already, unknown, clicks, seconds)


@dataclass(frozen=True, slots=True)
class _Made:
    person: Person
    result: list[dict[str, Any]]
    skipped: bool
    clicks: int
    seconds: float


def _open_round(store: CampaignStore, name: str) -> Round:
    opened = [
        round_
        for round_ in store.rounds(name)
        if round_.state == "open" and round_.project is not None
    ]
    if not opened:
        raise WrongState(
            f"campaign {name!r} has no open round; `remask campaign advance` opens one"
        )
    return opened[-1]


def _tasks(connection: LabelStudioApi, project: int) -> Iterator[tuple[dict[str, Any], int]]:
    page = 1
    while True:
        tasks, total = connection.task_page(project, page=page, page_size=_PAGE)
        for task in tasks:
            yield task, total
        if not tasks or page * _PAGE >= total:
            return
        page += 1


def _answer(
    task: Mapping[str, Any],
    data: RoundData,
    truths: Mapping[str, Truth],
    people: Sequence[Person],
    *,
    seed: int,
) -> _Made:
    """Return what one of the people does with a task; all its instances are one sitting."""
    rng = _rng(seed, data.round, *(shown.id for shown in data.instances))
    person = people[int(rng.integers(len(people)))]
    shown_masks = _masks(task, data)
    clicks: list[PlacedClick] = []
    skipped: list[str] = []
    seconds = 0.0
    for shown in data.instances:
        truth = decode_coco_counts(truths[shown.id].counts, shape_hw=data.shape_hw)
        mask = shown_masks.get(shown.id, np.zeros(data.shape_hw, np.bool_))
        came = visit(person.habits, truth, mask, rng=rng)
        seconds += came.seconds
        if came.skipped:
            skipped.append(shown.id)
        clicks += [
            # The middle of the pixel, as a pointer hits it.
            PlacedClick(_click_id(rng), click.x + 0.5, click.y + 0.5, click.positive)
            for click in came.clicks
        ]
    none_left = len(skipped) == len(data.instances)
    result = [] if none_left else answer_of(task, clicks, skipped=skipped)
    return _Made(person, result, none_left, len(clicks), seconds)


def _masks(task: Mapping[str, Any], data: RoundData) -> dict[str, BoolMask]:
    """Return the mask of each instance as the task shows it."""
    found: dict[str, BoolMask] = {}
    for prediction in task.get("predictions") or ():
        result = msgspec.Raw(msgspec.json.encode(prediction["result"]))
        for region in read_regions(result).regions:
            if has_mask(region) and region.id in {shown.id for shown in data.instances}:
                found[region.id] = mask_of_region(region, shape_hw=data.shape_hw)
    return found


def _click_id(rng: np.random.Generator) -> str:
    return f"sim{int(rng.integers(16**7)):07x}"


def _rng(seed: int, *parts: object) -> np.random.Generator:
    digest = blake2s(repr(parts).encode(), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])
