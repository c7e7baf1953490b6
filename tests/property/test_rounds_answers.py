"""Whatever stands in an annotation: each instance gets one answer, or the task is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from remask_campaigns.rounds.answers import visits_of
from remask_campaigns.rounds.tasks import answer_of, task_of
from remask_core.errors import InputError
from remask_core.rle_coco import encode_coco_counts
from remask_core.rle_ls import encode_ls_rle
from remask_core.types import Box
from remask_storage.campaign import Campaign, CampaignInstance, Mask, PlacedClick

SHAPE = (30, 40)
CAMPAIGN = Campaign("pets", source_project=3, created_at=0.0, clicks_per_round=3)
INSTANCES = [
    CampaignInstance("cat", "/cat.jpg", SHAPE, "cat", Box(3, 3, 20, 25), 7, "b1"),
    CampaignInstance("dog", "/cat.jpg", SHAPE, "dog", Box(15, 5, 38, 28), 7, "b2"),
]


def _masks() -> dict[str, Mask]:
    masks = {}
    for instance in INSTANCES:
        pixels = np.zeros(SHAPE, np.bool_)
        pixels[
            int(instance.box.y0) : int(instance.box.y1), int(instance.box.x0) : int(instance.box.x1)
        ] = True
        counts = encode_coco_counts(pixels)
        masks[instance.id] = Mask(instance.id, 0, counts, 0.5, "toy@0")
    return masks


TASK: dict[str, Any] = {"id": 1, **task_of(CAMPAIGN, 1, INSTANCES, _masks())}

_numbers = st.none() | st.floats(-50, 150) | st.just(1e9)
_rles = st.sampled_from(
    [encode_ls_rle(np.ones(SHAPE, np.bool_)), encode_ls_rle(np.zeros(SHAPE, np.bool_)), [], [1, 2]]
)
_labels = st.lists(st.sampled_from(["+", "-", "cat", "(box)"]), max_size=2)
_regions = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["cat", "dog", "frame_cat", "k1", "k2"]),
        "type": st.sampled_from(["brushlabels", "keypoint", "labels", "keypointlabels", "choices"]),
        "value": st.fixed_dictionaries(
            {}, optional={"x": _numbers, "y": _numbers, "rle": _rles, "labels": _labels}
        ),
    },
    optional={
        "origin": st.sampled_from(["manual", "prediction", "prediction-changed"]),
        "meta": st.dictionaries(st.sampled_from(["rid", "n", "pos"]), st.integers(-1, 2)),
        "is_positive": st.booleans(),
    },
)


@given(st.lists(_regions, max_size=6), st.booleans())
def test_each_instance_has_one_answer(result: list[dict[str, Any]], cancelled: bool) -> None:
    annotation = {"id": 5, "result": result, "was_cancelled": cancelled}

    try:
        visits = visits_of(CAMPAIGN, 1, {**TASK, "annotations": [annotation]})
    except InputError:
        return

    assert [visit.instance for visit in visits] == ["cat", "dog"]
    for visit in visits:
        assert len(visit.clicks) <= 3
        assert (visit.outcome == "painted") <= (visit.painted is not None)
        assert all(0 <= click.x < 40 and 0 <= click.y < 30 for click in visit.clicks)


@given(
    st.lists(
        st.tuples(st.integers(0, 39), st.integers(0, 29), st.booleans()), max_size=6, unique=True
    ),
    st.sets(st.sampled_from(["cat", "dog"])),
)
def test_what_a_program_answers_is_read_back(
    places: list[tuple[int, int, bool]], skipped: set[str]
) -> None:
    """No click is lost or moved to another pixel; a skipped instance gets none from the other."""
    clicks = [
        PlacedClick(f"k{number}", x + 0.5, y + 0.5, positive)
        for number, (x, y, positive) in enumerate(places[:3])
    ]
    annotation = {"id": 5, "result": answer_of(TASK, clicks, skipped=skipped)}

    visits = visits_of(CAMPAIGN, 1, {**TASK, "annotations": [annotation]})

    found = sorted((click for visit in visits for click in visit.clicks), key=lambda one: one.id)
    assert found == clicks
    if len(skipped) == 1:
        assert [visit.outcome for visit in visits if visit.instance in skipped] == ["skipped"]
