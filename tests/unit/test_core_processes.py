"""What `map_in_order` does in one process; several are in the contract tier."""

from __future__ import annotations

import pytest

from remask_core.errors import InputError
from remask_core.parallel import map_in_order


def add(shared: int, item: int) -> int:
    return shared + item


def test_answers_come_in_the_order_of_the_items() -> None:
    assert list(map_in_order(add, iter(range(5)), shared=10, processes=1)) == [10, 11, 12, 13, 14]


def test_items_are_read_only_when_they_are_needed() -> None:
    read = []

    def items():
        for number in range(5):
            read.append(number)
            yield number

    answers = map_in_order(add, items(), shared=0, processes=1)
    next(answers)

    assert read == [0]


def test_a_handful_is_done_here() -> None:
    # A function that no other process could find.
    assert list(map_in_order(lambda a, b: a * b, [1, 2], shared=3, processes=8)) == [3, 6]
    assert list(map_in_order(add, [], shared=3, processes=8)) == []


def test_no_processes_are_refused() -> None:
    with pytest.raises(InputError, match="processes"):
        next(map_in_order(add, [1], shared=0, processes=0))
