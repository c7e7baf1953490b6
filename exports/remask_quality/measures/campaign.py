"""Measuring a campaign: masks are read a few at a time, and only numbers are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from remask_campaigns.drift import find_drifts
from remask_campaigns.rounds.instance_state import (
    InstanceState,
    counting_annotators,
    instance_states,
)
from remask_core.geometry import box_of_mask, window_of
from remask_core.overlap import iou
from remask_core.parallel import map_in_order
from remask_core.progress import OnProgress, no_progress
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import BoolMask, Click
from remask_masks.error_kinds import MaskError, compare
from remask_quality.measures.click_aims import aims_of
from remask_quality.measures.rows import Aim, InstanceRow, NoiseRow, Quality, Twice, VisitRow
from remask_ranking.ranks import Ranks
from remask_storage.campaign import Campaign, CampaignInstance, Mask, Truth, Visit
from remask_storage.campaign_store import CampaignStore

__all__ = ["decoded", "measure"]

_SEED: Final = 0
_AT_ONCE: Final = 50


def measure(
    store: CampaignStore,
    name: str,
    *,
    ranks: Ranks | None = None,
    max_compared: int = 1000,
    processes: int = 1,
    on_progress: OnProgress = no_progress,
) -> Quality:
    """Return the figures that a campaign's report is written from.

    Args:
        store: Where it is kept.
        name: Of the campaign.
        ranks: Predicted IoU by `CampaignInstance.id`; None if nobody ranked.
        max_compared: Kinds of errors are found in so many instances at most, drawn at random;
            everything else is measured in all of them.
        processes: How many measure; the outcome does not depend on it.
        on_progress: Hears how many instances are done.

    Raises:
        NotFound: There is no such campaign.
        InputError: A mask in the store cannot be read.
    """
    campaign = store.campaign(name)
    instances = store.instances(name)
    every = store.truths_by_source(name)
    truths = store.truths(name)
    compared = _sample(truths or [instance.id for instance in instances], max_compared)
    batches = _batches(store, campaign, instances, truths, every, ranks or {}, compared)
    found: list[_Measured] = []
    for some in map_in_order(_measured_batch, batches, shared=None, processes=processes):
        found += some
        on_progress("Measuring", len(found), len(instances))
    return Quality(
        campaign=campaign,
        rounds=tuple(store.rounds(name)),
        people=store.people(name),
        instances=tuple(measured.row for measured in found),
        visits=tuple(visit for measured in found for visit in measured.visits),
        noise=tuple(measured.noise for measured in found if measured.noise is not None),
        noise_by_truth=bool(truths),
        twice=tuple(pair for measured in found for pair in measured.twice),
        by_hand=store.decided_by_hand(name),
        drifts=tuple(find_drifts(store, name)),
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """All that is known of one instance."""

    state: InstanceState
    visits: tuple[Visit, ...]
    masks: Mapping[int, Mask]
    truth: Truth | None
    gold: Mapping[int, bytes]
    predicted_iou: float | None
    is_compared: bool


@dataclass(frozen=True, slots=True)
class _Measured:
    row: InstanceRow
    visits: tuple[VisitRow, ...]
    noise: NoiseRow | None
    twice: tuple[Twice, ...]


def _sample(names: Iterable[str], n: int) -> frozenset[str]:
    ordered = sorted(names)
    if len(ordered) <= n:
        return frozenset(ordered)
    chosen = np.random.default_rng(_SEED).choice(len(ordered), n, replace=False)
    return frozenset(ordered[index] for index in chosen.tolist())


def _batches(
    store: CampaignStore,
    campaign: Campaign,
    instances: Sequence[CampaignInstance],
    truths: Mapping[str, Truth],
    every: Mapping[str, Mapping[str, Truth]],
    ranks: Ranks,
    compared: frozenset[str],
) -> Iterator[list[_Given]]:
    counting = counting_annotators(store, campaign)
    for start in range(0, len(instances), _AT_ONCE):
        some = instances[start : start + _AT_ONCE]
        ids = [instance.id for instance in some]
        visits = store.visits(campaign.name, of=ids)
        masks = dict(store.masks(campaign.name, of=ids))
        yield [
            _Given(
                state=state,
                visits=tuple(
                    visit
                    for visit in visits.get(state.instance.id, ())
                    if counting is None or visit.annotator in counting
                ),
                masks=masks.get(state.instance.id, {}),
                truth=truths.get(state.instance.id),
                gold=_painters(every.get(state.instance.id, {})),
                predicted_iou=ranks[state.instance.id].predicted_iou
                if state.instance.id in ranks
                else None,
                is_compared=state.instance.id in compared,
            )
            for state in instance_states(store, campaign, of=some)
        ]


def _painters(truths: Mapping[str, Truth]) -> dict[int, bytes]:
    """Return what each person has painted as a reference."""
    by_person = (source.partition("by ") for source in truths)
    return {
        int(person): truths[by + person].counts for none, by, person in by_person if by and not none
    }


def _measured_batch(_: None, batch: Sequence[_Given]) -> list[_Measured]:
    return [_measured(given) for given in batch]


def _measured(given: _Given) -> _Measured:
    state, instance = given.state, given.state.instance
    chain = _chain(given)
    truth = None if given.truth is None else decoded(given.truth.counts, instance)
    return _Measured(
        row=_row(given, chain, truth),
        visits=tuple(
            _visited(instance, visit, chain, truth) for _, visit in sorted(state.visits.items())
        ),
        noise=_noise(given, chain, truth),
        twice=(*_twice(instance, given.visits), *_gold_twice(instance, given.gold)),
    )


def _row(given: _Given, chain: Sequence[BoolMask], truth: BoolMask | None) -> InstanceRow:
    state, instance = given.state, given.state.instance
    last_round = max(state.visits, default=0)
    upto = max(state.last_planned, last_round)
    newest = given.masks.get(max(given.masks, default=0))
    return InstanceRow(
        id=instance.id,
        image=instance.image,
        label=instance.label,
        outcome=state.outcome,
        due=tuple(
            number for number in range(1, max([upto, *state.extra]) + 1) if state.is_due_in(number)
        ),
        last_round=last_round,
        annotator=state.visits[last_round].annotator if last_round else None,
        n_clicks=sum(len(visit.clicks) for visit in state.visits.values()),
        seconds=_seconds(state.visits, upto),
        ious=() if truth is None else tuple(iou(mask, truth) for mask in chain),
        settled=tuple(iou(mask, chain[-1]) for mask in chain),
        score=None if newest is None else newest.score,
        predicted_iou=given.predicted_iou,
        has_mask=bool(chain) and state.outcome != "skipped",
        true_label=None if given.truth is None else given.truth.label,
    )


def _noise(given: _Given, chain: Sequence[BoolMask], truth: BoolMask | None) -> NoiseRow | None:
    if not given.is_compared or not chain or given.state.outcome == "skipped":
        return None
    name, label = given.state.instance.id, given.state.instance.label
    if truth is not None:
        return NoiseRow(name, label, compare(chain[0], truth), compare(chain[-1], truth))
    return NoiseRow(name, label, compare(chain[0], chain[-1]), None) if len(chain) > 1 else None


def _chain(given: _Given) -> list[BoolMask]:
    """Return the masks after rounds 0, 1, ... as far as they are known without a gap.

    A visit without clicks leaves the mask as it is, and so does a round that the instance was not
    in; one that painted brings its own.
    """
    instance, visits, masks = given.state.instance, given.state.visits, given.masks
    if 0 not in masks:
        return []
    chain = [decoded(masks[0].counts, instance)]
    for number in range(1, max([0, *masks, *visits]) + 1):
        visit = visits.get(number)
        if number in masks:
            chain.append(decoded(masks[number].counts, instance))
        elif visit is not None and visit.painted is not None:
            chain.append(decoded(visit.painted, instance))
        elif visit is not None and visit.outcome in ("corrected", "painted"):
            break
        else:
            chain.append(chain[-1])
    return chain


def decoded(counts: bytes, instance: CampaignInstance) -> BoolMask:
    """Return a mask of the store; raises `InputError` if it does not fit the instance's image."""
    return decode_coco_counts(counts, shape_hw=instance.shape_hw)


def _seconds(visits: Mapping[int, Visit], upto: int) -> tuple[float | None, ...]:
    spent: list[float | None] = [0.0]
    for number in range(1, upto + 1):
        visit = visits.get(number)
        so_far, more = spent[-1], 0.0 if visit is None else visit.lead_time_s
        spent.append(None if so_far is None or more is None else so_far + more)
    return tuple(spent)


def _visited(
    instance: CampaignInstance,
    visit: Visit,
    chain: Sequence[BoolMask],
    truth: BoolMask | None,
) -> VisitRow:
    before = chain[visit.round - 1] if visit.round <= len(chain) else None
    after = chain[visit.round] if visit.round < len(chain) else None
    reference = after if truth is None else truth
    aims: tuple[Aim, ...] = ()
    areas_px: tuple[int, ...] = ()
    if before is not None and reference is not None:
        aims, areas_px = _aims(visit, before, reference)
    return VisitRow(
        instance=instance.id,
        label=instance.label,
        round=visit.round,
        annotator=visit.annotator,
        outcome=visit.outcome,
        seconds=visit.lead_time_s,
        n_clicks=len(visit.clicks),
        aims=aims,
        error_areas_px=areas_px,
        by_truth=truth is not None,
        iou_before=None if truth is None or before is None else iou(before, truth),
        iou_after=None if truth is None or after is None else iou(after, truth),
        kept=None if before is None or after is None else iou(before, after),
    )


def _aims(
    visit: Visit, before: BoolMask, reference: BoolMask
) -> tuple[tuple[Aim, ...], tuple[int, ...]]:
    """Return as `aims_of`, looking at no more of the image than the two masks cover."""
    box = box_of_mask(before | reference)
    if box is None:
        return tuple(Aim(click.positive, None, 0) for click in visit.clicks), ()
    window = window_of(box)
    clicks = [Click(click.x - box.x0, click.y - box.y0, click.positive) for click in visit.clicks]
    return aims_of(clicks, before[window], reference[window])


def _twice(instance: CampaignInstance, visits: Iterable[Visit]) -> Iterator[Twice]:
    latest: dict[int, dict[int, Visit]] = {}
    for visit in sorted(visits, key=lambda measured: (measured.updated_at, measured.annotation)):
        if visit.annotator is not None:
            latest.setdefault(visit.round, {})[visit.annotator] = visit
    for by_person in latest.values():
        for first, second in combinations(sorted(by_person), 2):
            visit, other = by_person[first], by_person[second]
            both_painted = visit.outcome == other.outcome == "painted"
            error = _between(instance, visit.painted, other.painted) if both_painted else None
            yield Twice(instance.id, (first, second), visit.outcome == other.outcome, error)


def _gold_twice(instance: CampaignInstance, painted: Mapping[int, bytes]) -> Iterator[Twice]:
    for first, second in combinations(sorted(painted), 2):
        error = _between(instance, painted[first], painted[second])
        yield Twice(instance.id, (first, second), None, error)


def _between(
    instance: CampaignInstance, first: bytes | None, second: bytes | None
) -> MaskError | None:
    if first is None or second is None:
        return None
    return compare(decoded(second, instance), decoded(first, instance))
