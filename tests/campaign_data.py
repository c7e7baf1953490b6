"""A campaign filled by hand: masks, visits and truths as a real one leaves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from remask_core.rle_coco import encode_coco_counts
from remask_core.types import BoolMask, Box
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    PlacedClick,
    Qualification,
    Round,
    Truth,
    Visit,
    instance_id,
)
from remask_storage.campaign_store import CampaignStore

SHAPE = (60, 80)
NAME = "cats"


def square(x0: int, x1: int, y0: int = 10, y1: int = 50) -> BoolMask:
    """A rectangle, columns `x0` to `x1`."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def counts(mask: BoolMask) -> bytes:
    """Packed as the store keeps it."""
    return encode_coco_counts(mask)


def instance(number: int) -> CampaignInstance:
    """The instance of box number so-and-so."""
    return CampaignInstance(
        id=instance_id(number, f"b{number}"),
        image=f"/data/local-files/?d=im{number}.jpg",
        shape_hw=SHAPE,
        label=("cat", "dog")[number % 2],
        box=Box(8.0, 8.0, 52.0, 52.0),
        source_task=number,
        source_id=f"b{number}",
    )


def visit(
    number: int,
    round_number: int,
    outcome: str = "corrected",
    *,
    annotation: int = 0,
    annotator: int | None = 7,
    updated_at: float = 50.0,
    n: int = 2,
) -> Visit:
    """A visit; `n` clicks on the missing right side, every second of them negative."""
    clicks = tuple(
        PlacedClick(f"k{number}_{round_number}_{i}_{annotation}", 46.5 + i, 30.25, i % 2 == 0, 9.0)
        for i in range(n)
    )
    return Visit(
        instance=instance(number).id,
        round=round_number,
        annotation=annotation or 100 * round_number + number,
        task=10 * round_number + number,
        outcome=outcome,  # type: ignore[arg-type]
        annotator=annotator,
        lead_time_s=8.5,
        updated_at=updated_at,
        clicks=clicks if outcome == "corrected" else (),
    )


def fill(place: Path, *, n: int = 4, qualification: Qualification | None = None) -> CampaignStore:
    """A store with one campaign of `n` instances and two rounds, of which the first is closed.

    Instance 0 was corrected in both rounds, 1 accepted, 2 skipped and 3 corrected in the first;
    further ones follow in the same turn. Masks grow by round towards a truth that all but the
    last instance have.
    """
    store = CampaignStore.open(place)
    instances = [instance(number) for number in range(n)]
    store.add_campaign(Campaign(NAME, 3, 1000.0, qualification=qualification), instances)
    store.put_round(NAME, Round(1, "closed", 11, "toy@1", 1.0, 2.0))
    store.put_round(NAME, Round(2, "open", 12, "toy@1", 3.0))
    outcomes = ("corrected", "accepted", "skipped", "corrected")
    first = [visit(number, 1, outcomes[number % 4]) for number in range(n)]
    second = [visit(number, 2) for number in range(0, n, 4)]
    store.replace_visits(NAME, 1, None, first)
    store.replace_visits(NAME, 2, None, second)
    masks = []
    for number, made in enumerate(instances):
        masks.append(Mask(made.id, 0, counts(square(10, 40)), 0.5, "toy@1"))
        if number % 4 in (0, 3):
            masks.append(Mask(made.id, 1, counts(square(10, 45)), 0.75, "toy@1"))
        if number % 4 == 0:
            masks.append(Mask(made.id, 2, counts(square(10, 50)), 0.875, "toy@1"))
    store.put_masks(NAME, masks)
    store.put_truths(
        NAME, [Truth(made.id, counts(square(10, 50)), "file") for made in instances[:-1]]
    )
    return store
