"""The campaign's store: what is written comes back, and twice is once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from remask_core.errors import InputError, NotFound, WrongState
from remask_core.types import Box
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    PlacedClick,
    Qualification,
    Round,
    Truth,
    Visit,
    Whole,
    instance_id,
    outcome_of,
    standing_visits,
    steps_of,
)
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign(
    "cats", 7, 1000.0, policies={"": "# All", "cat": "no tails"}, qualification=Qualification(3)
)
INSTANCES = [
    CampaignInstance(
        instance_id(1, f"b{n}"), "/a.jpg", (48, 64), "cat", Box(1, 2, 30, 40), 1, f"b{n}"
    )
    for n in range(2)
]
FIRST = INSTANCES[0].id


def visit_of(number: int, *, annotation: int = 5, outcome: str = "corrected", n: int = 2) -> Visit:
    clicks = tuple(PlacedClick(f"k{i}", 3.5 + i, 4.0, i % 2 == 0, 9.0) for i in range(n))
    return Visit(FIRST, number, annotation, 70, outcome, 2, 8.5, 50.0, clicks)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CampaignStore]:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    store.add_campaign(CAMPAIGN, INSTANCES)
    yield store
    store.close()


def test_a_campaign_comes_back_as_it_was_given(store: CampaignStore) -> None:
    assert store.campaign("cats") == CAMPAIGN
    assert store.instances("cats") == INSTANCES
    changed = replace(CAMPAIGN, results_project=12)
    store.change_campaign(changed)
    assert store.campaigns() == [changed]


def test_names_are_unique_and_unknown_ones_are_refused(store: CampaignStore) -> None:
    with pytest.raises(WrongState, match="cats"):
        store.add_campaign(CAMPAIGN, [])
    with pytest.raises(NotFound, match="cats"):
        store.campaign("dogs")


def test_everything_may_be_written_twice(store: CampaignStore) -> None:
    one = Round(1, "open", 40, "toy@1", 10.0)
    masks = [Mask(FIRST, 0, b"ab", 0.5, "toy@1"), Mask(FIRST, 1, b"cd", None, "painted")]
    for _ in range(2):
        store.put_round("cats", one)
        store.put_masks("cats", masks)
        store.put_truths("cats", [Truth(FIRST, b"xy", "file"), Truth(FIRST, b"zz", "painted")])
        store.put_truths("cats", [Truth(FIRST, b"ww", "by 2")])
        store.put_person("cats", 2, name="Ada", qualified=True)
        store.replace_visits("cats", 1, [70], [visit_of(1)])

    assert store.rounds("cats") == [one]
    assert store.round_of_project(40) == ("cats", 1)
    assert store.round_of_project(41) is None
    assert dict(store.masks("cats")) == {FIRST: {0: masks[0], 1: masks[1]}}
    assert store.rounds_masked("cats") == {FIRST: {0: "toy@1", 1: "painted"}}
    assert store.truths("cats")[FIRST].source == "painted"
    assert {"file", "painted", "by 2"} == set(store.truths_by_source("cats")[FIRST])
    assert store.people("cats") == {2: ("Ada", True)}
    assert store.visits("cats") == {FIRST: [visit_of(1)]}


def test_a_withdrawn_annotation_takes_its_clicks_with_it(store: CampaignStore) -> None:
    store.replace_visits("cats", 1, [70], [visit_of(1), visit_of(1, annotation=6, n=1)])
    store.replace_visits("cats", 1, [70], [visit_of(1, n=1)])
    assert store.visits("cats") == {FIRST: [visit_of(1, n=1)]}
    store.replace_visits("cats", 1, [71], [])
    assert store.visits("cats") == {FIRST: [visit_of(1, n=1)]}
    store.replace_visits("cats", 1, None, [])
    assert store.visits("cats") == {}


def test_the_newest_annotation_of_a_round_stands() -> None:
    older, newer = visit_of(1), replace(visit_of(1, annotation=4), updated_at=60.0)
    assert standing_visits([newer, older]) == {1: newer}
    assert standing_visits([older], qualified=frozenset({9})) == {}


def test_where_an_instance_stands_follows_from_its_visits() -> None:
    assert outcome_of({}, rounds=2) == "open"
    assert outcome_of({1: visit_of(1)}, rounds=2) == "open"
    assert outcome_of({1: visit_of(1), 2: visit_of(2)}, rounds=2) == "corrected"
    for outcome in ("accepted", "skipped", "painted"):
        assert outcome_of({1: visit_of(1, outcome=outcome, n=0)}, rounds=2) == outcome


def test_the_history_is_the_box_and_the_clicks_of_each_round() -> None:
    standing = {1: visit_of(1), 2: visit_of(2, n=0)}
    steps = steps_of(INSTANCES[0].box, standing, upto=2)
    assert [len(step.clicks) for step in steps] == [0, 2]
    assert steps[0].box == INSTANCES[0].box
    assert (steps[1].clicks[0].x, steps[1].clicks[1].positive) == (3.0, False)


def test_a_crop_comes_back_with_its_whole(store: CampaignStore) -> None:
    crops = [
        replace(instance, whole=Whole("/big.jpg", (3000, 4000), 17, 0)) for instance in INSTANCES
    ]
    store.add_campaign(Campaign("crops", 7, 1000.0, crop=2.0), crops)
    assert store.instances("crops") == crops
    assert store.campaign("crops").crop == 2.0


def test_a_database_of_an_earlier_version_opens(tmp_path: Path) -> None:
    place = tmp_path / "campaigns.db"
    store = CampaignStore.open(place)
    store.add_campaign(CAMPAIGN, INSTANCES)
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE instances DROP COLUMN whole")
        connection.exec_driver_sql("ALTER TABLE truths DROP COLUMN label")
        settings = connection.exec_driver_sql("SELECT settings FROM campaigns").scalar_one()
        assert b'"crop":null' in settings
        without = settings.replace(b'"crop":null,', b"")
        connection.exec_driver_sql("UPDATE campaigns SET settings = ?", (without,))
    store.close()
    for _ in range(2):
        store = CampaignStore.open(place)
        assert store.campaign("cats") == CAMPAIGN
        assert store.instances("cats") == INSTANCES
        store.put_truths("cats", [Truth(FIRST, b"xy", "file", "dog")])
        assert store.truths("cats")[FIRST].label == "dog"
        store.close()


@pytest.mark.parametrize("crop", [0.5, 0.0, -1.0, float("nan"), float("inf")])
def test_a_crop_holds_at_least_the_box(crop: float) -> None:
    with pytest.raises(InputError, match="crop"):
        Campaign("cats", 7, 1000.0, crop=crop)
