"""A campaign told visit by visit: what an annotator saw, what was done, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from remask_rounds.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    Truth,
    Visit,
    standing_visits,
)
from remask_rounds.campaign_store import CampaignStore

__all__ = ["Entry", "counting_annotators", "journal"]

_INSTANCES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """A visit with everything around it.

    Attributes:
        instance: What was visited.
        visit: What the annotation says.
        counts: Whether the round went on from this visit: of several annotations of a round only
            the newest by an annotator who counts does.
        before: The mask that was shown; None if it is not there.
        after: The mask after the round, the shown one where it was found good. None while the
            round is open, for a skipped instance, and for a visit that does not count.
        truth: What the instance really covers, where that is known.
    """

    instance: CampaignInstance
    visit: Visit
    counts: bool
    before: Mask | None
    after: Mask | None
    truth: Truth | None


def journal(store: CampaignStore, name: str) -> Iterator[Entry]:
    """Yield every visit of a campaign: instance by instance as they were created, then by round.

    A few hundred instances are in memory at a time, whatever the size of the campaign.

    Raises:
        NotFound: There is no campaign of that name.
    """
    counting = counting_annotators(store, store.campaign(name))
    truths = store.truths(name)
    instances = iter(store.instances(name))
    while some := list(islice(instances, _INSTANCES_AT_ONCE)):
        ids = [instance.id for instance in some]
        masks = dict(store.masks(name, of=ids))
        visits = store.visits(name, of=ids)
        for instance in some:
            yield from _entries(
                instance,
                visits.get(instance.id, ()),
                masks.get(instance.id, {}),
                counting=counting,
                truth=truths.get(instance.id),
            )


def counting_annotators(store: CampaignStore, campaign: Campaign) -> frozenset[int] | None:
    """Return the annotators whose visits count, by Label Studio's ids; None: everybody's do."""
    if campaign.qualification is None or not campaign.qualification.required:
        return None
    people = store.people(campaign.name)
    return frozenset(annotator for annotator, (_, passed) in people.items() if passed)


def _entries(
    instance: CampaignInstance,
    visits: Sequence[Visit],
    masks: Mapping[int, Mask],
    *,
    counting: frozenset[int] | None,
    truth: Truth | None,
) -> Iterator[Entry]:
    standing = standing_visits(visits, qualified=counting)
    for visit in visits:
        shown = [number for number in masks if number < visit.round]
        before = masks[max(shown)] if shown else None
        counts = standing.get(visit.round) == visit
        after = None
        if counts and visit.outcome != "skipped":
            after = masks.get(visit.round, before if visit.outcome == "accepted" else None)
        yield Entry(instance, visit, counts, before, after, truth)
