"""Who is blamed for a death, and who is not."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from fakes import click, toy_call

from remask_worker.calls import Lane, Overloaded, PoisonCall
from remask_worker.in_flight import Docket, Entry

NUMBERS = itertools.count(1)


def admit(docket: Docket, image: str, x: float = 1.0, lane: Lane = Lane.CLICK) -> Entry:
    entry = Entry(next(NUMBERS), toy_call(Path(f"/{image}.png"), click(x), lane=lane), frame=b"")
    docket.admit(entry)
    return entry


def fresh() -> Docket:
    return Docket((4, 4, 4))


def answer(docket: Docket, entry: Entry) -> None:
    assert docket.remove(entry.number) is entry
    docket.acquit(entry)


def test_a_call_is_sent_once_to_a_child_and_again_to_its_successor() -> None:
    docket = fresh()
    entry = admit(docket, "a")
    assert [entry] == docket.to_send()
    assert docket.to_send() == []

    assert docket.death() == []

    assert [entry] == docket.to_send()


def test_a_suspect_is_tried_alone_while_the_innocent_wait() -> None:
    docket = fresh()
    innocent, suspect = admit(docket, "a"), admit(docket, "b")
    docket.to_send()
    docket.started([suspect.key])
    docket.death()
    late = admit(docket, "c")

    assert [suspect] == docket.to_send()
    assert docket.to_send() == []

    answer(docket, suspect)

    assert [innocent, late] == docket.to_send()


def test_a_second_death_convicts_and_the_call_is_refused_from_then_on() -> None:
    docket = fresh()
    innocent, poison = admit(docket, "a"), admit(docket, "b")
    for _ in range(2):
        docket.to_send()
        docket.started([poison.key])
        gone = docket.death()

    assert [poison] == gone
    assert [innocent] == docket.to_send()
    with pytest.raises(PoisonCall):
        admit(docket, "b")
    admit(docket, "b", x=2.0)


def test_an_image_that_kills_the_encoder_is_convicted_with_all_who_wait_for_it() -> None:
    docket = fresh()
    waiting = [admit(docket, "a", x, lane) for x, lane in ((1, Lane.BATCH), (2, Lane.CLICK))]
    innocent = admit(docket, "b")
    docket.to_send()
    docket.embedding(("a",))
    assert docket.death() == []
    assert [waiting[1]] == docket.to_send()

    docket.embedding(("a",))
    gone = docket.death()

    assert waiting == gone
    assert [innocent] == docket.to_send()
    with pytest.raises(PoisonCall, match="image"):
        admit(docket, "a", 3.0)


def test_an_encoder_that_is_done_is_not_blamed() -> None:
    docket = fresh()
    entries = [admit(docket, "a"), admit(docket, "b")]
    docket.to_send()
    docket.embedding(("a",))
    docket.embedding(())

    docket.death()

    assert entries == docket.to_send()


def test_a_cancelled_suspect_frees_the_others() -> None:
    docket = fresh()
    suspect, other = admit(docket, "a"), admit(docket, "b")
    docket.to_send()
    docket.started([suspect.key])
    docket.death()
    docket.to_send()

    docket.remove(suspect.number)

    assert [other] == docket.to_send()


def test_calls_that_no_child_has_expire() -> None:
    docket = fresh()
    call = toy_call(Path("/a.png"), click(1), deadline=10.0)
    sent, held = Entry(1, call, b""), Entry(2, call, b"")
    docket.admit(sent)
    docket.to_send()
    docket.admit(held)

    assert docket.remove_expired(9.9) == []
    assert [held] == docket.remove_expired(10.0)


def test_a_lane_has_a_limit_of_its_own() -> None:
    docket = fresh()
    for x in range(4):
        admit(docket, "a", float(x), Lane.BATCH)

    with pytest.raises(Overloaded):
        admit(docket, "a", 9.0, Lane.BATCH)
    admit(docket, "a", 9.0, Lane.CLICK)
    assert docket.queued() == {"click": 1, "opened": 0, "batch": 4}


def test_the_memory_of_convicts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remask_worker.in_flight._REMEMBERED", 2)
    docket = fresh()
    for image in "abc":
        for _ in range(2):
            if not len(docket):
                admit(docket, image)
            docket.to_send()
            docket.embedding((image,))
            docket.death()

    admit(docket, "a")
    with pytest.raises(PoisonCall):
        admit(docket, "c")
