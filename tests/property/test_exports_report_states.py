"""Whatever a campaign's store holds, there is a report on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remask_core.rle_coco import encode_coco_counts
from remask_core.types import Box
from remask_quality.measures.campaign import measure
from remask_quality.measures.headline import headline_of
from remask_quality.measures.progress import round_counts
from remask_quality.report import quality_page
from remask_ranking.ranks import Rank
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    PlacedClick,
    Round,
    Truth,
    Visit,
)
from remask_storage.campaign_store import CampaignStore

SHAPE = (24, 32)
IDS = ("a", "b", "c")


def counts(x: int, width: int) -> bytes:
    mask = np.zeros(SHAPE, np.bool_)
    mask[4:20, x : x + width] = True
    return encode_coco_counts(mask)


MASKS = st.builds(counts, st.integers(0, 20), st.integers(0, 12))
VISITS = st.builds(
    Visit,
    instance=st.sampled_from(IDS),
    round=st.integers(1, 4),
    annotation=st.just(0),
    task=st.just(1),
    outcome=st.sampled_from(("corrected", "accepted", "skipped", "painted")),
    annotator=st.none() | st.integers(1, 3),
    lead_time_s=st.none() | st.floats(0, 600),
    updated_at=st.floats(0, 100),
    clicks=st.lists(
        st.builds(PlacedClick, st.just("k"), st.floats(-5, 40), st.floats(-5, 30), st.booleans()),
        max_size=4,
    ).map(tuple),
    painted=st.none() | MASKS,
)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


@settings(max_examples=12, deadline=None)
@given(
    visits=st.lists(VISITS, max_size=14).map(
        lambda some: [replace(visit, annotation=number) for number, visit in enumerate(some)]
    ),
    masks=st.dictionaries(st.tuples(st.sampled_from(IDS), st.integers(0, 4)), MASKS, max_size=12),
    truths=st.dictionaries(st.sampled_from(IDS), MASKS),
    ranks=st.dictionaries(st.sampled_from(IDS), st.floats(0, 1)),
    closed=st.integers(0, 4),
    reopened=st.sets(st.sampled_from(IDS)),
)
def test_any_state_has_a_report(  # type: ignore[no-untyped-def]
    place: Path, visits, masks, truths, ranks, closed, reopened
) -> None:
    store = CampaignStore.open(place / "campaigns.db")
    name = f"n{len(store.campaigns())}"
    box = Box(4, 4, 20, 20)
    extra = {4: tuple(sorted(reopened))} if reopened else {}
    store.add_campaign(
        Campaign(name, 1, 0.0, reopened=extra),
        [
            CampaignInstance(instance_id, "/i.jpg", SHAPE, "cat", box, 1, instance_id)
            for instance_id in IDS
        ],
    )
    for number in range(1, 5):
        if number <= closed + 1:
            state = "closed" if number <= closed else "open"
            store.put_round(name, Round(number, state, 1))
        store.replace_visits(
            name, number, None, [visit for visit in visits if visit.round == number]
        )
    store.put_masks(
        name, [Mask(instance_id, at, rle, None, "m") for (instance_id, at), rle in masks.items()]
    )
    store.put_truths(name, [Truth(instance_id, rle, "file") for instance_id, rle in truths.items()])

    quality = measure(
        store, name, ranks={instance_id: Rank(iou, 1) for instance_id, iou in ranks.items()}
    )
    html = quality_page(store, quality).to_html()
    store.close()

    for chart in html.split("<svg")[1:]:
        ET.fromstring("<svg" + chart.split("</svg>")[0] + "</svg>")
    assert ">nan" not in html
    assert "nan " not in html
    headline = headline_of(quality)
    assert headline.done == headline.masks + headline.skipped + sum(
        row.is_done and not row.has_mask and row.outcome != "skipped" for row in quality.instances
    )
    assert all(count.waiting >= 0 for count in round_counts(quality))
