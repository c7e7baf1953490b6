"""Updating masks: missing and stale ones are made, superfluous ones removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from remask_campaigns.rounds.instance_state import InstanceState, by_image
from remask_campaigns.rounds.mask_jobs import (
    MakeMasks,
    MaskJob,
    NoMask,
    history_digest,
    job_of,
    mask_by_hand,
)
from remask_core.progress import OnProgress, no_progress
from remask_storage.campaign import Mask
from remask_storage.campaign_store import CampaignStore

__all__ = ["update_masks"]

_MASKS_PER_WRITE = 16
"""What a crash may cost: work is stored this often."""


def update_masks(
    store: CampaignStore,
    campaign: str,
    states: Sequence[InstanceState],
    *,
    before: int,
    make_masks: MakeMasks,
    on_progress: OnProgress = no_progress,
) -> list[NoMask]:
    """Make the masks that the rounds below `before` have left, as far as they are not there yet.

    A mask is there if it carries the digest of its history. Those that no visit explains any
    longer are removed. Whatever was stored when this is interrupted is not made again.

    Args:
        store: With the campaign in it.
        campaign: Its name.
        states: All or some of its instances.
        before: The round that is to show these masks; masks of this and later rounds are neither
            made nor removed.
        make_masks: Asked image by image.
        on_progress: Called with the progress of every mask that is made.

    Returns:
        What could not be made.
    """
    digests = store.mask_digests(campaign)
    given: list[Mask] = []
    missing: list[tuple[InstanceState, int]] = []
    gone: list[tuple[str, int]] = []
    for state in chain.from_iterable(by_image(states)):
        name = state.instance.id
        stored = digests.get(name, {})
        wanted = state.masked_rounds(before=before)
        gone += [(name, number) for number in stored if number < before and number not in wanted]
        for number in wanted:
            digest = history_digest(state.instance, state.visits, upto=number)
            if stored.get(number) == digest:
                continue
            mask = mask_by_hand(state.visits[number]) if number in state.visits else None
            if mask is None:
                missing.append((state, number))
            else:
                given.append(mask)
    store.drop_masks(campaign, gone)
    store.put_masks(campaign, given)
    return _make(store, campaign, missing, make_masks, on_progress)


def _make(
    store: CampaignStore,
    campaign: str,
    missing: Sequence[tuple[InstanceState, int]],
    make_masks: MakeMasks,
    on_progress: OnProgress,
) -> list[NoMask]:
    asked: dict[tuple[str, int], str] = {}

    def jobs() -> Iterator[MaskJob]:
        for state, number in missing:
            job = job_of(state.instance, state.visits, upto=number)
            asked[state.instance.id, number] = job.history_digest
            yield job

    failed: list[NoMask] = []
    ready: list[Mask] = []
    on_progress("masks", 0, len(missing))
    try:
        for done, made in enumerate(make_masks(jobs()), start=1):
            digest = asked.pop((made.instance, made.round))
            if isinstance(made, NoMask):
                failed.append(made)
            else:
                ready.append(replace(made, history_digest=digest))
            if len(ready) == _MASKS_PER_WRITE:
                store.put_masks(campaign, ready)
                ready = []
            on_progress("masks", done, len(missing))
    finally:
        store.put_masks(campaign, ready)
    return failed
