"""Frames on the socket, and errors that cross it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import click, toy_call

from remask_core.errors import ClickOutsideImage, InputError, RemaskError
from remask_worker import wire
from remask_worker.calls import Overloaded, PriorMask
from remask_worker.wire import Ask, Beat, FrameReader, FrameWriter, WireError, error_of, refusal


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_a_call_crosses_the_wire_unchanged(ends: tuple[socket.socket, socket.socket]) -> None:
    ask = Ask(7, toy_call(Path("/a.png"), click(1.5), prior=PriorMask("coco_rle", b"\0\1")))
    FrameWriter(ends[0]).send(wire.pack(ask))

    assert ask == FrameReader(ends[1], Ask).receive()


def test_waiting_for_a_frame_ends(ends: tuple[socket.socket, socket.socket]) -> None:
    assert FrameReader(ends[1], Beat).receive(timeout_s=0.0) is None


def test_waiting_ends_in_the_middle_of_a_frame_and_goes_on_there(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    frames = wire.pack(Beat(1.5)) + wire.pack(Beat(2.5))
    reader = FrameReader(ends[1], Beat)
    for sent in (frames[:2], frames[2:6]):
        ends[0].sendall(sent)
        assert reader.receive(timeout_s=0.0) is None
    ends[0].sendall(frames[6:])

    assert [reader.receive(), reader.receive()] == [Beat(1.5), Beat(2.5)]


def test_the_end_of_the_other_side_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].close()

    with pytest.raises(EOFError):
        FrameReader(ends[1], Beat).receive()


@pytest.mark.parametrize(
    "sent", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1\xc1", b"\0\0\0\1\x01"]
)
def test_noise_is_no_message(ends: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    ends[0].sendall(sent)

    with pytest.raises(WireError):
        FrameReader(ends[1], Beat).receive()


def test_a_message_that_is_too_long_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 10)

    with pytest.raises(WireError, match="must fit 10 bytes"):
        wire.pack(Ask(1, toy_call(Path("/a.png"), click(1))))


def test_an_error_arrives_as_what_it_was() -> None:
    sent = Overloaded("full", retry_after_s=5.0)
    received = error_of(refusal(1, sent))

    assert isinstance(received, Overloaded)
    assert (str(received), received.retry_after_s) == ("full", 5.0)
    assert isinstance(error_of(refusal(1, ClickOutsideImage("there"))), ClickOutsideImage)


def test_an_error_unknown_here_arrives_as_its_nearest_known_base() -> None:
    message = wire.Refused(1, ("not-known-here", "input", "error"), "bad", 0.0)

    assert InputError is type(error_of(message))
    assert RemaskError is type(error_of(wire.Refused(1, ("nothing",), "bad", 0.0)))
