"""Reading from a caller that stalls."""

from __future__ import annotations

import socket

import pytest

from remask_service.web import reception


def test_a_read_has_a_time_out_of_its_own_and_leaves_that_of_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reception, "_READ_S", 0.001)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(100.0)
        bounded = reception._BoundedReads(ours)
        with pytest.raises(TimeoutError):
            bounded.recv(10)
        theirs.sendall(b"some")

        assert bounded.recv(10) == b"some"
        assert ours.gettimeout() == bounded.gettimeout() == 100.0
