"""Masks brought in line with their histories: missing and stale ones are made, others dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from remask_campaigns.rounds.instance_state import InstanceState, by_image
from remask_campaigns.rounds.mask_jobs import (
    MakeMasks,
    MaskJob,
    NoMask,
    history_of,
    job_of,
    mask_by_hand,
)
from remask_core.progress import OnProgress, no_progress
from remask_storage.campaign import Mask
from remask_storage.campaign_store import CampaignStore

__all__ = ["refresh_masks"]

_MASKS_PER_WRITE = 16
"""What a crash may cost: work is stored this often."""


def refresh_masks(
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
    have = store.mask_histories(campaign)
    by_hand: list[Mask] = []
    missing: list[tuple[InstanceState, int]] = []
    gone: list[tuple[str, int]] = []
    for one in (one for some in by_image(states) for one in some):
        kept = have.get(one.instance.id, {})
        wanted = one.masked_rounds(before=before)
        gone += [(one.instance.id, at) for at in kept if at < before and at not in wanted]
        for at in wanted:
            if kept.get(at) == history_of(one.instance, one.visits, upto=at):
                continue
            mask = mask_by_hand(one.visits[at]) if at in one.visits else None
            if mask is None:
                missing.append((one, at))
            else:
                by_hand.append(mask)
    store.drop_masks(campaign, gone)
    store.put_masks(campaign, by_hand)
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
        for one, at in missing:
            job = job_of(one.instance, one.visits, upto=at)
            asked[one.instance.id, at] = job.history
            yield job

    failed: list[NoMask] = []
    ready: list[Mask] = []
    on_progress("masks", 0, len(missing))
    try:
        for done, made in enumerate(make_masks(jobs()), start=1):
            history = asked.pop((made.instance, made.round))
            if isinstance(made, NoMask):
                failed.append(made)
            else:
                ready.append(replace(made, history=history))
            if len(ready) == _MASKS_PER_WRITE:
                store.put_masks(campaign, ready)
                ready = []
            on_progress("masks", done, len(missing))
    finally:
        store.put_masks(campaign, ready)
    return failed
