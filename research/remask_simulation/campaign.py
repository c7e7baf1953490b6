"""Simulated annotators that answer an open round through Label Studio.

They see what a person sees, the mask that a task shows, and they know what the object really
covers. Everything else is as with people: an annotation with clicks or without, or a skip, with
the seconds it took, of a user of their own.

A round is shared among them; some of its tasks are answered by two, so that it is known how well
people agree. A test for annotators is taken by each of them, and in a campaign with a required
test only those who have passed it work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

import msgspec
import numpy as np

from remask_campaigns.qualification.exam import name_of_test
from remask_campaigns.rounds.instance_state import counting_annotators
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

__all__ = ["Person", "Simulated", "hire", "is_test", "simulate"]

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
        answered: Answers that were given now.
        second: How many of these were the second one to their task.
        already: Tasks for which nothing was left to do.
        without_truth: Tasks left alone, because the truth of an instance is not known.
        clicks: Clicks given.
        seconds: Working time of all together.
    """

    answered: int
    second: int
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
    twice: float = 0.0,
    on_progress: OnProgress = no_progress,
) -> Simulated:
    """Answer every task of the open round that nobody has answered.

    What is done with an instance follows from the seed, its id and the round, so a run that was
    cut short is finished by another as it would have been. The round of a test is answered by
    each of the people.

    Args:
        store: With the campaign and the truths of its instances.
        connection: To the campaign's Label Studio.
        name: Of the campaign, or of its test.
        people: Of `hire`.
        seed: Of everything they do.
        twice: Share of the tasks that a second person answers, in [0, 1]; the newer answer
            counts, and the report compares the two. One person alone answers none twice.
        on_progress: Called with how far it is.

    Raises:
        NotFound: There is no such campaign.
        WrongState: No round is open, or the campaign has a test that none of the people has passed.
        InputError: It is a live campaign: its annotators wait for answers as they click. Or `twice`
            does not lie in [0, 1].
    """
    if not 0.0 <= twice <= 1.0:
        raise InputError(f"`twice` must lie in [0, 1]; got {twice}")
    campaign = store.campaign(name)
    if campaign.mode != "batch":
        raise InputError("`name` must be a batch campaign; simulated annotators do not work live")
    opened = _open_round(store, name)
    assert opened.project is not None
    truths = store.truths(name)
    everybody = is_test(store, name)
    workers = people if everybody else _qualified(store, name, people)
    answered = second = already = unknown = clicks = 0
    seconds = 0.0
    for done, (task, total) in enumerate(_tasks(connection, opened.project), start=1):
        data = round_data(task["data"])
        said = {_user(annotation) for annotation in task.get("annotations") or ()}
        if everybody:
            owed = [(person, _personal(seed, data, person)) for person in workers]
        else:
            owed = _owed(data, workers, said, seed=seed, twice=twice)
        owed = [(person, rng) for person, rng in owed if person.user not in said]
        if not owed:
            already += 1
        elif any(shown.id not in truths for shown in data.instances):
            unknown += 1
        else:
            for person, rng in owed:
                made = _answer(task, data, truths, person, rng=rng)
                connection.annotate(
                    task["id"],
                    result=made.result,
                    skipped=made.skipped,
                    lead_time_s=made.seconds,
                    user=person.user,
                )
                answered, clicks, seconds = (
                    answered + 1,
                    clicks + made.clicks,
                    seconds + made.seconds,
                )
                second += bool(said) and not everybody
                said.add(person.user)
        on_progress(f"answering round {opened.number}", done, total)
    return Simulated(answered, second, already, unknown, clicks, seconds)


def is_test(store: CampaignStore, name: str) -> bool:
    """Return whether a campaign of the store is the test of another one."""
    return any(name == name_of_test(campaign.name) for campaign in store.campaigns())


def _qualified(store: CampaignStore, name: str, people: Sequence[Person]) -> list[Person]:
    """Return the people whose answers count."""
    counting = counting_annotators(store, store.campaign(name))
    workers = [person for person in people if counting is None or person.user in counting]
    if not workers:
        raise WrongState(
            f"none of the {len(people)} simulated annotators has passed the test of campaign "
            f"{name!r}; have them take it with `remask campaign simulate {name} --test`, then "
            f"`remask campaign grade {name}`"
        )
    return workers


def _owed(
    data: RoundData,
    people: Sequence[Person],
    said: AbstractSet[int | None],
    *,
    seed: int,
    twice: float,
) -> list[tuple[Person, np.random.Generator]]:
    """Return who should have answered a task, each with the chance of their answer.

    What others than these people have answered is left as it is.
    """
    ids = [shown.id for shown in data.instances]
    rng = _rng(seed, data.round, *ids)
    first = people[int(rng.integers(len(people)))]
    if not said <= {person.user for person in people}:
        return []
    owed = [] if said else [(first, rng)]
    again = _rng(seed, "twice", data.round, *ids)
    others = [person for person in people if person.user != first.user]
    if others and again.random() < twice:
        owed.append((others[int(again.integers(len(others)))], again))
    return owed


def _personal(seed: int, data: RoundData, person: Person) -> np.random.Generator:
    """Return the chance of one person's answer to a task that everybody answers."""
    return _rng(seed, "test", person.name, *(shown.id for shown in data.instances))


def _user(annotation: Mapping[str, Any]) -> int | None:
    """Return who made an annotation, which Label Studio gives as a number or as a user."""
    user = annotation.get("completed_by")
    return user.get("id") if isinstance(user, dict) else user


@dataclass(frozen=True, slots=True)
class _Made:
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
    person: Person,
    *,
    rng: np.random.Generator,
) -> _Made:
    """Return what a person does with a task; all its instances are one sitting."""
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
    return _Made(result, none_left, len(clicks), seconds)


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
