"""Which calls are blamed for a death, and which are not."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from fakes import click, toy_call

from remask_worker.calls import Lane, Overloaded, PoisonCall
from remask_worker.in_flight import InFlightCall, InFlightCalls

NUMBERS = itertools.count(1)


def admit(
    in_flight: InFlightCalls, image: str, x: float = 1.0, lane: Lane = Lane.CLICK
) -> InFlightCall:
    entry = InFlightCall(
        next(NUMBERS), toy_call(Path(f"/{image}.png"), click(x), lane=lane), frame=b""
    )
    in_flight.admit(entry)
    return entry


def fresh() -> InFlightCalls:
    return InFlightCalls((4, 4, 4))


def answer(in_flight: InFlightCalls, entry: InFlightCall) -> None:
    assert in_flight.remove(entry.number) is entry
    in_flight.clear(entry)


def test_a_call_is_sent_once_to_a_child_and_again_to_its_successor() -> None:
    in_flight = fresh()
    entry = admit(in_flight, "a")
    assert [entry] == in_flight.to_send()
    assert in_flight.to_send() == []

    assert in_flight.death() == []

    assert [entry] == in_flight.to_send()


def test_a_suspect_is_tried_alone_while_the_innocent_wait() -> None:
    in_flight = fresh()
    innocent, suspect = admit(in_flight, "a"), admit(in_flight, "b")
    in_flight.to_send()
    in_flight.started([suspect.key])
    in_flight.death()
    late = admit(in_flight, "c")

    assert [suspect] == in_flight.to_send()
    assert in_flight.to_send() == []

    answer(in_flight, suspect)

    assert [innocent, late] == in_flight.to_send()


def test_a_second_death_convicts_and_the_call_is_refused_from_then_on() -> None:
    in_flight = fresh()
    innocent, poison = admit(in_flight, "a"), admit(in_flight, "b")
    for _ in range(2):
        in_flight.to_send()
        in_flight.started([poison.key])
        gone = in_flight.death()

    assert [poison] == gone
    assert [innocent] == in_flight.to_send()
    with pytest.raises(PoisonCall):
        admit(in_flight, "b")
    admit(in_flight, "b", x=2.0)


def test_an_image_that_kills_the_encoder_is_convicted_with_all_who_wait_for_it() -> None:
    in_flight = fresh()
    waiting = [admit(in_flight, "a", x, lane) for x, lane in ((1, Lane.BATCH), (2, Lane.CLICK))]
    innocent = admit(in_flight, "b")
    in_flight.to_send()
    in_flight.embedding(("a",))
    assert in_flight.death() == []
    assert [waiting[1]] == in_flight.to_send()

    in_flight.embedding(("a",))
    gone = in_flight.death()

    assert waiting == gone
    assert [innocent] == in_flight.to_send()
    with pytest.raises(PoisonCall, match="image"):
        admit(in_flight, "a", 3.0)


def test_an_encoder_that_is_done_is_not_blamed() -> None:
    in_flight = fresh()
    entries = [admit(in_flight, "a"), admit(in_flight, "b")]
    in_flight.to_send()
    in_flight.embedding(("a",))
    in_flight.embedding(())

    in_flight.death()

    assert entries == in_flight.to_send()


def test_a_cancelled_suspect_frees_the_others() -> None:
    in_flight = fresh()
    suspect, other = admit(in_flight, "a"), admit(in_flight, "b")
    in_flight.to_send()
    in_flight.started([suspect.key])
    in_flight.death()
    in_flight.to_send()

    in_flight.remove(suspect.number)

    assert [other] == in_flight.to_send()


def test_calls_that_no_child_has_expire() -> None:
    in_flight = fresh()
    call = toy_call(Path("/a.png"), click(1), deadline=10.0)
    sent, waiting = InFlightCall(1, call, b""), InFlightCall(2, call, b"")
    in_flight.admit(sent)
    in_flight.to_send()
    in_flight.admit(waiting)

    assert in_flight.remove_expired(9.9) == []
    assert [waiting] == in_flight.remove_expired(10.0)


def test_a_lane_has_a_limit_of_its_own() -> None:
    in_flight = fresh()
    for x in range(4):
        admit(in_flight, "a", float(x), Lane.BATCH)

    with pytest.raises(Overloaded):
        admit(in_flight, "a", 9.0, Lane.BATCH)
    admit(in_flight, "a", 9.0, Lane.CLICK)
    assert in_flight.queued() == {"click": 1, "opened": 0, "batch": 4}


def test_the_memory_of_convicts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remask_worker.in_flight._REMEMBERED", 2)
    in_flight = fresh()
    for image in "abc":
        for _ in range(2):
            if not len(in_flight):
                admit(in_flight, image)
            in_flight.to_send()
            in_flight.embedding((image,))
            in_flight.death()

    admit(in_flight, "a")
    with pytest.raises(PoisonCall):
        admit(in_flight, "c")
