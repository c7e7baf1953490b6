"""Annotators whose work on gold gets worse: seen from each answer at once, before a round closes.

Gold are the instances whose truth is known. There an answer can be judged by what was shown: a
click by whether an error of its sign lies within a few pixels, an accepted or painted mask by its
IoU. Each is one trial, right or wrong. A person drifts if the share of wrong trials among the last
ones is certainly above the person's own share before, or, without enough of these, above that of
all others: the 95 % ranges (Wilson) do not touch, and the gap matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from remask_campaigns.rounds.instance_state import counting_annotators
from remask_core.overlap import iou
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import BoolMask
from remask_reports.estimate import Estimate
from remask_reports.intervals import share_of
from remask_storage.campaign import CampaignInstance, Mask, Truth, Visit
from remask_storage.campaign_store import CampaignStore

__all__ = ["Drift", "find_drifts"]

_LATELY: Final = 30
"""Trials at the end of a person's work that are compared with what was before."""

_FEWEST: Final = 30
_GAP: Final = 0.15
_REACH_PX: Final = 5
_BAD_IOU: Final = 0.7
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Drift:
    """Somebody whose answers on gold have become worse.

    Attributes:
        campaign: Its name.
        annotator: Label Studio's user id.
        name: Of the person.
        wrong: Share of the last trials that were wrong.
        before: The share that it is compared with.
        compared_with: `before` for the person's own earlier trials, `others` for other people's.
        trials: How many the last ones are.
    """

    campaign: str
    annotator: int
    name: str
    wrong: float
    before: float
    compared_with: str
    trials: int

    @property
    def sentence(self) -> str:
        """What a manager reads."""
        with_whom = "before" if self.compared_with == "before" else "for the others"
        return (
            f"{self.name} is wrong in {100 * self.wrong:.0f} % of the last {self.trials} clicks "
            f"and masks on gold, {100 * self.before:.0f} % {with_whom}."
        )


@dataclass(frozen=True, slots=True)
class _Trial:
    """A click or a mask on gold, by when it came."""

    at: float
    is_wrong: bool


def find_drifts(store: CampaignStore, name: str) -> list[Drift]:
    """Return whose answers on a campaign's gold have become worse, the worst first.

    Empty without truth, or where nobody has answered enough. People whose visits do not count are
    left out. Only instances with truth are read, a few hundred at a time.

    Raises:
        NotFound: There is no such campaign.
        InputError: A mask in the store cannot be read.
    """
    campaign = store.campaign(name)
    counting = counting_annotators(store, campaign)
    trials: dict[int, list[_Trial]] = {}
    for visit, found in _judged(store, name):
        person = visit.annotator
        if person is not None and (counting is None or person in counting):
            trials.setdefault(person, []).extend(_Trial(visit.updated_at, bad) for bad in found)
    people = store.people(name)
    drifts = []
    for person, own in trials.items():
        own.sort(key=lambda trial: trial.at)
        lately, before, compared_with = own[-_LATELY:], own[:-_LATELY], "before"
        if len(before) < _FEWEST:
            before = [trial for other, all_ in trials.items() if other != person for trial in all_]
            compared_with = "others"
        if len(lately) < _LATELY or len(before) < _FEWEST:
            continue
        now, rest = _share(lately), _share(before)
        if now.low > rest.high and now.value - rest.value >= _GAP:
            known_as = people.get(person, ("", None))[0] or f"user {person}"
            drifts.append(
                Drift(name, person, known_as, now.value, rest.value, compared_with, len(lately))
            )
    return sorted(drifts, key=lambda drift: (-drift.wrong, drift.name))


def _share(trials: Sequence[_Trial]) -> Estimate:
    return share_of(trial.is_wrong for trial in trials)


def _judged(store: CampaignStore, name: str) -> Iterator[tuple[Visit, list[bool]]]:
    """Yield each visit of gold with its trials; True where one was wrong."""
    truths = store.truths(name)
    gold = [instance for instance in store.instances(name) if instance.id in truths]
    for start in range(0, len(gold), _AT_ONCE):
        some = gold[start : start + _AT_ONCE]
        ids = [instance.id for instance in some]
        visits = store.visits(name, of=ids)
        masks = dict(store.masks(name, of=ids))
        for instance in some:
            for visit in visits.get(instance.id, ()):
                found = _trials(instance, visit, masks.get(instance.id, {}), truths[instance.id])
                yield visit, found


def _trials(
    instance: CampaignInstance, visit: Visit, masks: Mapping[int, Mask], truth: Truth
) -> list[bool]:
    """Return whether each click or mask of a visit was wrong; empty where nobody can tell."""
    shown = [number for number in masks if number < visit.round]
    if not shown or visit.outcome == "skipped":
        return []
    mask = _decoded(masks[max(shown)].counts, instance)
    true = _decoded(truth.counts, instance)
    if visit.outcome == "accepted":
        return [iou(mask, true) < _BAD_IOU]
    if visit.outcome == "painted" and visit.painted is not None:
        return [iou(_decoded(visit.painted, instance), true) < _BAD_IOU]
    found = []
    for click in visit.clicks:
        error = (true & ~mask) if click.positive else (mask & ~true)
        x, y = click.pixel.x, click.pixel.y
        rows = slice(max(0, int(y) - _REACH_PX), int(y) + _REACH_PX + 1)
        columns = slice(max(0, int(x) - _REACH_PX), int(x) + _REACH_PX + 1)
        found.append(not bool(error[rows, columns].any()))
    return found


def _decoded(counts: bytes, instance: CampaignInstance) -> BoolMask:
    return decode_coco_counts(counts, shape_hw=instance.shape_hw)
