"""Campaigns answered by simulated annotators, written straight into a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from remask_core.rle_coco import encode_coco_counts
from remask_core.types import BoolMask, Box, Click
from remask_masks.error_regions import error_regions
from remask_simulation.annotators import Annotator, visit
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    PlacedClick,
    Round,
    Truth,
    Visit,
    instance_id,
)
from remask_storage.campaign_store import CampaignStore

ROUND_S = 86_400.0

MakeMask = Callable[["Thing", BoolMask | None, Sequence[Click]], BoolMask]


@dataclass(frozen=True)
class Thing:
    """An object to be annotated: where it is, what it is, and what it covers."""

    image: str
    label: str
    truth: BoolMask
    box: Box


def mend(thing: Thing, before: BoolMask | None, clicks: Sequence[Click]) -> BoolMask:
    """A perfect model: the box first, then every error that is clicked on is put right."""
    if before is None:
        mask = np.zeros_like(thing.truth)
        box = thing.box
        mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
        return mask
    mask = before.copy()
    for region in error_regions(thing.truth, before):
        height, width = region.pixels.shape
        window = np.s_[region.y0 : region.y0 + height, region.x0 : region.x0 + width]
        hit = any(
            click.positive == region.positive
            and 0 <= click.x - region.x0 < width
            and 0 <= click.y - region.y0 < height
            and region.pixels[int(click.y - region.y0), int(click.x - region.x0)]
            for click in clicks
        )
        if hit:
            mask[window][region.pixels] = region.positive
    return mask


def fill(
    store: CampaignStore,
    campaign: Campaign,
    things: Sequence[Thing],
    people: Sequence[Annotator],
    *,
    make_mask: MakeMask = mend,
    rounds_done: int | None = None,
    truths: float = 1.0,
    twice: float = 0.0,
    seed: int = 0,
) -> list[CampaignInstance]:
    """Write a campaign as it stands after `rounds_done` rounds (None: all of them).

    `truths` is the share of instances whose truth the store knows, `twice` that of the visits that
    a second annotator makes too.
    """
    rng = np.random.default_rng(seed)
    instances = [
        CampaignInstance(
            instance_id(number, "box"),
            thing.image,
            (thing.truth.shape[0], thing.truth.shape[1]),
            thing.label,
            thing.box,
            number,
            "box",
        )
        for number, thing in enumerate(things)
    ]
    store.add_campaign(campaign, instances)
    for number in range(len(people)):
        store.put_person(campaign.name, number + 1, name=_NAMES[number], qualified=None)
    known = rng.random(len(things)) < truths
    store.put_truths(
        campaign.name,
        [
            Truth(instance.id, _counts(thing.truth), "file")
            for instance, thing, is_known in zip(instances, things, known, strict=True)
            if is_known
        ],
    )
    masks = {
        instance.id: make_mask(thing, None, ())
        for instance, thing in zip(instances, things, strict=True)
    }
    clicks: dict[str, list[Click]] = {instance.id: [] for instance in instances}
    _put(store, campaign, masks, 0)
    still = list(zip(instances, things, strict=True))
    wanted = campaign.rounds if rounds_done is None else rounds_done
    for number in range(1, wanted + 1):
        visits, going_on = [], []
        for place, (instance, thing) in enumerate(still):
            first = int(rng.integers(len(people)))
            who = [first] + ([(first + 1) % len(people)] if rng.random() < twice else [])
            for turn, person in enumerate(reversed(who)):
                done = visit(people[person], thing.truth, masks[instance.id], rng=rng)
                visits.append(
                    _visit(instance.id, number, person + 1, 10 * place + turn, done, campaign)
                )
            if visits[-1].outcome == "corrected":
                clicks[instance.id] += done.clicks
                going_on.append((instance, thing))
        store.replace_visits(campaign.name, number, None, visits)
        for instance, thing in going_on:
            masks[instance.id] = make_mask(thing, masks[instance.id], clicks[instance.id])
        _put(store, campaign, {instance.id: masks[instance.id] for instance, _ in going_on}, number)
        at = number * ROUND_S
        store.put_round(
            campaign.name, Round(number, "closed", 100 + number, "toy@1", at, at + ROUND_S)
        )
        still = going_on
    return instances


_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn")


def _visit(
    instance: str, number: int, annotator: int, task: int, done: object, campaign: Campaign
) -> Visit:
    assert hasattr(done, "clicks")
    given = done.clicks[: campaign.clicks_per_round]
    outcome = "skipped" if done.skipped else "corrected" if given else "accepted"
    annotation = 1000 * number + task
    clicks = tuple(
        PlacedClick(f"c{annotation}-{place}", click.x + 0.5, click.y + 0.5, click.positive)
        for place, click in enumerate(given)
    )
    return Visit(
        instance,
        number,
        annotation,
        task,
        outcome,
        annotator,
        done.seconds,
        number * ROUND_S + task,
        clicks,
    )


def _put(store: CampaignStore, campaign: Campaign, masks: dict[str, BoolMask], number: int) -> None:
    store.put_masks(
        campaign.name,
        [Mask(name, number, _counts(mask), 0.8, "toy@1") for name, mask in masks.items()],
    )


def _counts(mask: BoolMask) -> bytes:
    return encode_coco_counts(mask)
