"""What a campaign's command could not use, printed for people."""

from __future__ import annotations

import typer

from remask_core.left_out import LeftOut, LeftOutCounts

__all__ = ["LeftOutNotes"]


class LeftOutNotes:
    """Collects what is left out and prints each of it once, a line for each reason.

    Args:
        as_json: Whether standard output is for a program; the lines then go to standard error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._all = LeftOutCounts()
        self._unsaid = LeftOutCounts()

    @property
    def counts(self) -> dict[str, int]:
        """How many things were left out, by reason."""
        return self._all.counts

    def add(self, thing: LeftOut) -> None:
        """Take note of one thing."""
        self._all.add(thing)
        self._unsaid.add(thing)

    def tell(self) -> None:
        """Print what has come since the last time."""
        for line in self._unsaid.lines():
            typer.echo(line, err=self._as_json)
        self._unsaid = LeftOutCounts()
