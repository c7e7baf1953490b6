"""Masks of a campaign rated by people who do not know where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_studio import FakeStudio
from simulated_campaign import Thing, fill

from remask_campaigns.rating.page import ratings_page, ratings_sentence
from remask_campaigns.rating.project import Rating, open_rating, read_ratings
from remask_core.errors import InputError, NotFound, WrongState
from remask_core.types import Box
from remask_label_config.pages.rating import rating_of, write_rating_config
from remask_simulation.annotators import crew
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("disks", source_project=1, created_at=0.0, long_side_px=1, short_side_px=1)
SHAPE = (60, 80)


def _things(count: int) -> list[Thing]:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = np.hypot(rows - 30, columns - 40) < 18
    return [
        Thing(f"/photos/{number}.png", "cat" if number % 2 else "dog", truth, Box(23, 13, 58, 48))
        for number in range(count)
    ]


@pytest.fixture
def store(tmp_path: Path) -> CampaignStore:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    fill(store, CAMPAIGN, _things(12), crew(1, rng=np.random.default_rng(0)), truths=0.5)
    return store


def _rate(studio: FakeStudio, project: int, rating_for: Any) -> None:
    """Give each task of the project a rating."""
    for number, (task_id, _) in enumerate(studio.task_data(project)):
        result = [
            {
                "id": f"r{number}",
                "from_name": "rating",
                "to_name": "image",
                "type": "rating",
                "value": {"rating": rating_for(number)},
            }
        ]
        studio.annotate(task_id, result=result, user=7, lead_time_s=4.0)


def test_masks_and_true_masks_are_shown_alike(store: CampaignStore) -> None:
    studio = FakeStudio()
    project = open_rating(store, studio, "disks", count=8)

    data = [data for _, data in studio.task_data(project)]
    truths = set(store.truths("disks"))
    assert 8 < len(data) <= 8 + len(truths)
    assert all(set(each) == {"image", "heading", "remask"} for each in data)
    assert {each["heading"] for each in data} == {"How good is this mask?"}
    assert len({each["remask"]["rated"] for each in data}) == len(data)


def test_given_again_it_adds_what_is_missing(store: CampaignStore) -> None:
    studio = FakeStudio()
    project = open_rating(store, studio, "disks", count=3)
    first = {data["remask"]["rated"] for _, data in studio.task_data(project)}

    assert open_rating(store, studio, "disks", count=3) == project
    assert len(list(studio.task_data(project))) == len(first)
    assert open_rating(store, studio, "disks", count=12) == project
    everything = {data["remask"]["rated"] for _, data in studio.task_data(project)}
    assert first < everything


def test_ratings_come_back_with_their_origin(store: CampaignStore) -> None:
    studio = FakeStudio()
    project = open_rating(store, studio, "disks", count=12)
    _rate(studio, project, lambda number: 1 + number % 10)

    ratings = read_ratings(store, studio, "disks")

    origins = [rating.origin for rating in ratings]
    assert origins.count("truth") == len(store.truths("disks"))
    assert {rating.label for rating in ratings} == {"cat", "dog"}
    assert {(rating.annotator, rating.seconds) for rating in ratings} == {(7, 4.0)}
    assert [rating.rating for rating in ratings] == [1 + n % 10 for n in range(len(ratings))]


def test_the_report_sets_both_beside_each_other() -> None:
    ratings = [
        Rating(f"i{n}", "cat", origin, rating, 1, 3.0)
        for n in range(20)
        for origin, rating in (("campaign", 7 + n % 2), ("truth", 9))
    ]
    sentence = ratings_sentence(ratings)  # type: ignore[arg-type]
    html = ratings_page(ratings, campaign="pets").to_html()  # type: ignore[arg-type]

    assert "masks of the campaign 7.5" in sentence
    assert "true masks 9.0" in sentence
    assert "How people rate the masks of pets" in html
    assert "<svg" in html


def test_before_anybody_has_rated_the_report_says_so() -> None:
    assert ratings_sentence([]) == "nobody has rated a mask yet"
    assert "nobody has rated a mask yet" in ratings_page([], campaign="pets").to_html()


def test_what_is_missing_is_said(store: CampaignStore, tmp_path: Path) -> None:
    studio = FakeStudio()
    with pytest.raises(NotFound, match="remask campaign rate disks"):
        read_ratings(store, studio, "disks")
    with pytest.raises(InputError, match="must be at least 1; got 0 and 1"):
        open_rating(store, studio, "disks", count=0)
    empty = CampaignStore.open(tmp_path / "empty.db")
    empty.add_campaign(CAMPAIGN, [])
    with pytest.raises(WrongState, match="must have masks to rate"):
        open_rating(empty, studio, "disks", count=5)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"rating": 10}, 10),
        ({"rating": 0}, None),
        ({"rating": "7"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_only_a_rating_of_the_scale_is_one(value: object, expected: int | None) -> None:
    assert rating_of([{"from_name": "rating", "value": value}]) == expected


def test_the_page_asks_for_one_of_ten() -> None:
    (rating,) = ElementTree.fromstring(write_rating_config()).iter("Rating")
    assert (rating.get("maxRating"), rating.get("required")) == ("10", "true")
