"""Ranks in a task's data: columns of the worst instance, and the way back."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from remask_exports.annotations import decode_task
from remask_exports.rank_columns import (
    COLUMNS,
    RankedInstance,
    data_with_ranks,
    own_data,
    published_ranks,
    published_scores,
)
from remask_ranking.ranks import Rank

GOOD = RankedInstance("a", Rank(0.91, 3, 0.05), "accepted", 1)
BAD = RankedInstance("b", Rank(0.412345, 17, 0.2), "corrected", 2)
IMAGE = {"image": "/data/upload/1/cat.jpg"}


def test_the_columns_are_those_of_the_worst_instance() -> None:
    data = data_with_ranks(IMAGE, [GOOD, BAD])

    assert {name: data[name] for name in COLUMNS} == {
        "predicted_iou": 0.4123,
        "rank": 17,
        "uncertainty": 0.2,
        "outcome": "corrected",
        "round": 2,
    }
    assert data["image"] == IMAGE["image"]


def test_every_instance_can_be_read_back() -> None:
    data = data_with_ranks(IMAGE, [GOOD, BAD])

    assert published_ranks(data) == {"a": Rank(0.91, 3, 0.05), "b": Rank(0.4123, 17, 0.2)}
    assert published_ranks(IMAGE) == {}


def test_a_column_of_the_teams_own_comes_back() -> None:
    own = IMAGE | {"rank": "captain", "outcome": None}
    data = data_with_ranks(own, [GOOD])

    assert data["rank"] == 3
    assert own_data(data) == own


def test_the_open_rounds_number_stays() -> None:
    data = data_with_ranks(IMAGE | {"round": 3}, [GOOD])

    assert data["round"] == 3
    assert own_data(data) == IMAGE | {"round": 3}


def test_what_the_scores_were_at_first_is_kept_when_ranks_are_published_again() -> None:
    first = data_with_ranks(IMAGE, [GOOD], scores={7: 0.5, 8: None})
    again = data_with_ranks(first, [BAD], scores={7: 0.91, 8: 0.91, 9: 0.3})

    assert published_scores(again) == {7: 0.5, 8: None, 9: 0.3}
    assert own_data(again) == IMAGE


def test_somebody_elses_value_of_that_name_is_left_alone() -> None:
    data = IMAGE | {"remask_ranks": "mine", "rank": 1}

    assert own_data(data) == data
    assert published_ranks(data) == {}


def test_exports_see_the_task_without_published_ranks() -> None:
    data = data_with_ranks(IMAGE, [BAD])
    task = decode_task(msgspec.json.encode({"id": 1, "data": data}))

    assert task.data == IMAGE


_values = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
_data = st.dictionaries(st.sampled_from([*COLUMNS, "image", "remask"]), _values)
_ranked = st.lists(
    st.builds(
        RankedInstance,
        st.text(max_size=4),
        st.builds(Rank, st.floats(0, 1), st.integers(1, 99), st.none() | st.floats(0, 1)),
        st.sampled_from(["accepted", "open"]),
        st.none() | st.integers(0, 3),
    ),
    max_size=3,
)


@given(_data, _ranked, _ranked)
def test_whatever_is_published_the_own_data_come_back(
    data: dict[str, object], first: list[RankedInstance], second: list[RankedInstance]
) -> None:
    published = data_with_ranks(data_with_ranks(data, first), second)

    assert own_data(published) == data
    assert msgspec.json.decode(msgspec.json.encode(published)) == published
