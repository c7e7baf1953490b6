"""Who may interrupt whom, and how long."""

from __future__ import annotations

import pytest

from remask_worker.calls import Lane
from remask_worker.time_slices import BatchDebt, TimeSlice


def frame(lane: Lane, *, embeds: bool = True) -> TimeSlice:
    return TimeSlice("a", lane, embeds, since=0.0)


@pytest.mark.parametrize(
    ("running", "embeds", "waiting", "known", "room", "gives_way"),
    [
        (Lane.BATCH, True, Lane.CLICK, True, False, True),
        (Lane.BATCH, True, Lane.CLICK, False, True, True),
        (Lane.BATCH, True, Lane.CLICK, False, False, False),
        (Lane.BATCH, True, Lane.BATCH, True, True, False),
        (Lane.OPENED, True, Lane.OPENED, True, True, True),
        (Lane.OPENED, True, Lane.OPENED, False, True, False),
        (Lane.OPENED, False, Lane.OPENED, True, True, False),
        (Lane.CLICK, True, Lane.CLICK, True, True, True),
        (Lane.CLICK, True, Lane.OPENED, True, True, False),
    ],
)
def test_a_frame_gives_way_to_the_more_urgent(
    running: Lane, embeds: bool, waiting: Lane, known: bool, room: bool, gives_way: bool
) -> None:
    assert gives_way == frame(running, embeds=embeds).gives_way_to(waiting, known=known, room=room)


def test_a_batch_frame_lends_nine_times_its_own_work_for_a_share_of_a_tenth() -> None:
    work = frame(Lane.BATCH)
    work.work_until(1.0)
    work.lent_s = 8.9
    assert work.may_lend(0.1)

    work.lent_s = 9.1
    assert not work.may_lend(0.1)


def test_a_clicks_own_image_gets_half_of_the_time() -> None:
    work = frame(Lane.CLICK)
    work.work_until(1.0)
    work.lent_s = 1.1

    assert not work.may_lend(0.1)


def test_batch_work_is_due_after_its_share_of_urgent_work_and_pays_back() -> None:
    debt = BatchDebt(0.1, patience_s=0.05)
    debt.note(Lane.CLICK, 0.4)
    assert not debt.due

    debt.note(Lane.OPENED, 0.1)
    assert debt.due

    debt.note(Lane.BATCH, 0.01)
    assert not debt.due


def test_nothing_is_owed_to_nobody() -> None:
    debt = BatchDebt(0.1)
    debt.note(Lane.CLICK, 100.0)
    debt.forgive()

    assert not debt.due
