"""Mask jobs: what a model is asked between two rounds, for each mask that is missing or stale.

A mask follows from its instance's history alone, and carries that history's digest. Whatever
changes a history, an annotation edited weeks later or an annotator who turns out not to be
qualified, thereby makes the mask stale, and the next `advance` makes it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TypeAlias

import msgspec

from remask_core.history import Step
from remask_storage.campaign import CampaignInstance, Mask, Visit, steps_of

__all__ = [
    "BY_HAND",
    "MakeMasks",
    "MaskJob",
    "NoMask",
    "history_digest",
    "job_of",
    "mask_by_hand",
    "round_zero_job",
]

BY_HAND = ("painted", "live")
"""What stands for a model version where a mask came with an annotation: painted, or answered while
the annotator watched."""


@dataclass(frozen=True, slots=True)
class MaskJob:
    """One mask, to be made by a model.

    Attributes:
        instance: Whose.
        round: The mask is the one after this round; 0 is the box alone.
        steps: What the model is asked, oldest first.
        prior: COCO RLE counts of a mask made by hand that the steps start from, if there is one.
    """

    instance: CampaignInstance
    round: int
    steps: tuple[Step, ...]
    prior: bytes | None = None

    @property
    def history_digest(self) -> str:
        """Digest of all that the mask follows from."""
        parts = [
            (
                [(float(click.x), float(click.y), click.positive) for click in step.clicks],
                step.box and (step.box.x0, step.box.y0, step.box.x1, step.box.y1),
            )
            for step in self.steps
        ]
        return _digest(self.prior, parts)


@dataclass(frozen=True, slots=True)
class NoMask:
    """A mask that could not be made; the others are none the worse for it.

    Attributes:
        instance: `CampaignInstance.id`.
        round: As in `MaskJob`.
        why: A sentence for people.
    """

    instance: str
    round: int
    why: str


MakeMasks: TypeAlias = Callable[[Iterable[MaskJob]], Iterator[Mask | NoMask]]
"""Answers jobs in their order. Jobs are drawn as they are needed, never all at once, so neither
side holds more than a window of them; those of one image come one after the other."""


def round_zero_job(instance: CampaignInstance) -> MaskJob:
    """Return the job of the mask that the box alone leads to."""
    return MaskJob(instance, 0, (Step(box=instance.box),))


def job_of(instance: CampaignInstance, standing: Mapping[int, Visit], *, upto: int) -> MaskJob:
    """Return the job of the mask after round `upto`, from the box and all clicks until then.

    After a mask painted by hand, only what was clicked since is asked, on top of that mask.

    Args:
        instance: Whose mask.
        standing: Its visits that count, by round.
        upto: From 0.
    """
    by_hand = [at for at, visit in standing.items() if at <= upto and visit.painted is not None]
    if not by_hand:
        return MaskJob(instance, upto, steps_of(instance.box, standing, upto=upto))
    last = max(by_hand)
    since = {at: visit for at, visit in standing.items() if at > last}
    boxed, *steps = steps_of(instance.box, since, upto=upto)
    if steps:
        # The box alone would have the model draw the mask again, before the first click.
        steps[0] = replace(steps[0], box=boxed.box)
    return MaskJob(instance, upto, tuple(steps), standing[last].painted)


def mask_by_hand(visit: Visit) -> Mask | None:
    """Return the mask that came with a visit, painted or answered live; None where none did."""
    if visit.painted is None:
        return None
    version = BY_HAND[0] if visit.outcome == "painted" else BY_HAND[1]
    digest = _digest(visit.painted)
    return Mask(visit.instance, visit.round, visit.painted, None, version, digest)


def history_digest(instance: CampaignInstance, standing: Mapping[int, Visit], *, upto: int) -> str:
    """Return the digest that the mask after round `upto` must carry."""
    visit = standing.get(upto)
    by_hand = None if visit is None else mask_by_hand(visit)
    if by_hand is not None:
        return by_hand.history_digest
    return job_of(instance, standing, upto=upto).history_digest


def _digest(*parts: object) -> str:
    return blake2b(msgspec.msgpack.encode(parts), digest_size=12).hexdigest()
