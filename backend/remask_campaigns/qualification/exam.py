"""The test that annotators take: gold instances, and the masks that each person's clicks lead to.

A test is a campaign of its own, of one round, whose every task goes to everybody. So it is
answered on the same page, read by the same code and kept in the same store as the campaign that it
is for; only the verdict is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import fmean, median

from remask_campaigns.project_description import find_or_make_project, note_settings, title_of
from remask_campaigns.rounds.advance import open_round
from remask_campaigns.rounds.mask_jobs import MakeMasks, MaskJob, NoMask, job_of, mask_by_hand
from remask_campaigns.rounds.sync import sync
from remask_core.errors import InputError, NotFound
from remask_core.overlap import iou
from remask_core.progress import OnProgress, no_progress
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import BoolMask
from remask_label_config.pages.round import write_round_config
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    Qualification,
    Truth,
    Visit,
    classes_of,
)
from remask_storage.campaign_store import CampaignStore

__all__ = ["Graded", "Verdict", "decide_people", "grade_test", "name_of_test", "open_test"]

_EVERYBODY = 10_000
"""How many people may answer the same task; Label Studio has no word for `all`."""

_ROUND = 1


@dataclass(frozen=True, slots=True)
class Graded:
    """One instance of the test as a person answered it.

    Attributes:
        instance: Which.
        visit: How it was answered.
        mask: COCO RLE counts of the mask that the clicks lead to; None where no mask was to be.
        truth: COCO RLE counts.
        iou: Of mask and truth; 0 where there is no mask.
    """

    instance: CampaignInstance
    visit: Visit
    mask: bytes | None
    truth: bytes
    iou: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a person did.

    Attributes:
        annotator: Label Studio's user id.
        name: Of the person.
        answers: In the order of the test's instances.
        mean_iou: Over the answers.
        median_s: Of the times by the browser's clock; None where none is known.
        passed: None while too few instances are answered, or no time is known.
    """

    annotator: int
    name: str
    answers: tuple[Graded, ...]
    mean_iou: float
    median_s: float | None
    passed: bool | None


def name_of_test(campaign: str) -> str:
    """Return the name of a campaign's test, itself a campaign of the store."""
    return title_of(campaign, "test")


def open_test(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    make_masks: MakeMasks,
    gold: Sequence[tuple[CampaignInstance, Truth]],
    *,
    rules: Qualification,
    on_progress: OnProgress = no_progress,
) -> Qualification:
    """Make the test of a campaign, or go on making it, and return its rules with its project.

    From now on only people who have passed count, unless the rules say otherwise.

    Args:
        store: With the campaign in it.
        connection: To Label Studio.
        name: Of the campaign.
        make_masks: Makes the masks that are shown: those of the boxes alone.
        gold: Instances with their truths. Where the test is there already, they are not looked at.
        rules: What a person needs to pass.
        on_progress: Called with the progress of masks and tasks.

    Raises:
        NotFound: There is no such campaign.
        InputError: There are fewer gold instances than a verdict needs.
        Unavailable: The model or Label Studio is out of reach. Call it again.
    """
    campaign = store.campaign(name)
    if name_of_test(name) not in {campaign.name for campaign in store.campaigns()}:
        _add_test(store, campaign, gold, rules)
    test = store.campaign(name_of_test(name))
    find_or_make_project(
        connection,
        test,
        f"round {_ROUND}",
        label_config=write_round_config(
            classes_of(store.instances(test.name)), clicks=test.clicks_per_round
        ),
        maximum_annotations=_EVERYBODY,
    )
    opened = open_round(store, connection, test.name, make_masks, on_progress=on_progress)
    assert opened.round is not None
    rules = replace(rules, project=opened.round.project)
    campaign = replace(campaign, qualification=rules)
    store.change_campaign(campaign)
    note_settings(connection, campaign)
    return rules


def _add_test(
    store: CampaignStore,
    campaign: Campaign,
    gold: Sequence[tuple[CampaignInstance, Truth]],
    rules: Qualification,
) -> None:
    if len(gold) < rules.min_instances:
        raise InputError(
            f"`gold` must hold at least {rules.min_instances} instances with truth; got {len(gold)}"
        )
    test = replace(
        campaign,
        name=name_of_test(campaign.name),
        rounds=1,
        mode="batch",
        per_task=1,
        qualification=None,
        results_project=None,
        reopened={},
    )
    store.add_campaign(test, [instance for instance, _ in gold], [truth for _, truth in gold])


def grade_test(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    make_masks: MakeMasks,
    *,
    on_progress: OnProgress = no_progress,
) -> list[Verdict]:
    """Return how each person who has answered a campaign's test did, and store the verdicts.

    Answers are read from Label Studio again. Of several annotations by one person the one changed
    last counts. An instance that was skipped counts as a mask without a pixel.

    Args:
        store: With the campaign and its test.
        connection: To Label Studio.
        name: Of the campaign.
        make_masks: Makes the masks that the clicks lead to.
        on_progress: Called with the progress of the masks made.

    Raises:
        NotFound: There is no such campaign, or it has no test.
        Unavailable: The model or Label Studio is out of reach.
    """
    campaign = store.campaign(name)
    rules = campaign.qualification
    if rules is None:
        raise NotFound(f"campaign {name!r} has no test; `remask campaign qualify` makes one")
    test = name_of_test(name)
    sync(store, connection, test, on_progress=on_progress)
    instances = {instance.id: instance for instance in store.instances(test)}
    visits = _latest(store.visits(test))
    masks = _masks(store, test, instances, visits, make_masks, on_progress)
    truths = store.truths(test)
    people: dict[int, list[Graded]] = {}
    for visit in visits:
        key = (visit.instance, visit.annotation)
        if visit.annotator is None or visit.instance not in truths or key not in masks:
            continue
        instance, truth = instances[visit.instance], truths[visit.instance].counts
        overlap = _overlap(masks[key], truth, shape_hw=instance.shape_hw)
        graded = Graded(instance, visit, masks[key], truth, overlap)
        people.setdefault(visit.annotator, []).append(graded)
    names = {number: address for address, number in connection.users().items()}
    order = {name: place for place, name in enumerate(instances)}
    verdicts = []
    for annotator, answers in sorted(people.items()):
        answers.sort(key=lambda answer: order[answer.instance.id])
        verdict = _verdict(annotator, names.get(annotator, str(annotator)), answers, rules)
        store.put_person(name, annotator, name=verdict.name, qualified=verdict.passed)
        verdicts.append(verdict)
    return verdicts


def decide_people(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    *,
    accept: Sequence[str] = (),
    refuse: Sequence[str] = (),
) -> None:
    """Store by hand who may work in a campaign; the next `grade_test` judges whoever was tested.

    Args:
        store: With the campaign in it.
        connection: To Label Studio.
        name: Of the campaign.
        accept: E-mail addresses of people whose clicks count from now on.
        refuse: Those whose clicks do not.

    Raises:
        InputError: Label Studio has no user with an address; nothing was stored.
    """
    users = connection.users()
    for address in (*accept, *refuse):
        if address not in users:
            raise InputError(f"no user of Label Studio has the e-mail {address!r}")
    decided = {**dict.fromkeys(accept, True), **dict.fromkeys(refuse, False)}
    for address, is_accepted in decided.items():
        store.put_person(name, users[address], name=address, qualified=is_accepted, by_hand=True)


def _latest(visits: Mapping[str, Sequence[Visit]]) -> list[Visit]:
    """Return the last visit of each person to each instance."""
    latest: dict[tuple[str, int | None], Visit] = {}
    for visit in sorted(
        chain.from_iterable(visits.values()),
        key=lambda visit: (visit.updated_at, visit.annotation),
    ):
        latest[visit.instance, visit.annotator] = visit
    return list(latest.values())


def _masks(
    store: CampaignStore,
    test: str,
    instances: Mapping[str, CampaignInstance],
    visits: Sequence[Visit],
    make_masks: MakeMasks,
    on_progress: OnProgress,
) -> dict[tuple[str, int], bytes | None]:
    """Return the mask that each visit leads to, by instance and annotation.

    Those that could not be made are missing.
    """
    found: dict[tuple[str, int], bytes | None] = {}
    asked: list[Visit] = []
    shown = {name: masks[0].counts for name, masks in store.masks(test) if 0 in masks}
    for visit in visits:
        by_hand = mask_by_hand(visit)
        if visit.outcome == "skipped":
            found[visit.instance, visit.annotation] = None
        elif by_hand is not None:
            found[visit.instance, visit.annotation] = by_hand.counts
        elif visit.outcome == "corrected":
            asked.append(visit)
        elif visit.instance in shown:
            found[visit.instance, visit.annotation] = shown[visit.instance]
    # Those of one image together: it is then encoded once.
    asked.sort(key=lambda visit: (instances[visit.instance].image, visit.instance))

    def jobs() -> Iterator[MaskJob]:
        for visit in asked:
            yield job_of(instances[visit.instance], {_ROUND: visit}, upto=_ROUND)

    on_progress("masks", 0, len(asked))
    made: Iterator[Mask | NoMask] = make_masks(jobs())
    for done, (visit, mask) in enumerate(zip(asked, made, strict=True), start=1):
        if isinstance(mask, Mask):
            found[visit.instance, visit.annotation] = mask.counts
        on_progress("masks", done, len(asked))
    return found


def _overlap(mask: bytes | None, truth: bytes, *, shape_hw: tuple[int, int]) -> float:
    return 0.0 if mask is None else iou(_pixels(mask, shape_hw), _pixels(truth, shape_hw))


def _pixels(counts: bytes, shape_hw: tuple[int, int]) -> BoolMask:
    return decode_coco_counts(counts, shape_hw=shape_hw)


def _verdict(annotator: int, name: str, answers: Sequence[Graded], rules: Qualification) -> Verdict:
    times = [answer.visit.lead_time_s for answer in answers if answer.visit.lead_time_s is not None]
    mean_iou = fmean(answer.iou for answer in answers)
    median_s = median(times) if times else None
    passed = None
    if len(answers) >= rules.min_instances and median_s is not None:
        passed = mean_iou >= rules.min_mean_iou and median_s <= rules.max_median_s
    return Verdict(annotator, name, tuple(answers), mean_iou, median_s, passed)
