"""Shares of the device's time: what interrupts what, for how long, and what batch work is owed.

Times are seconds of some monotonic clock; nothing here reads one.
"""

from __future__ import annotations

from dataclasses import dataclass

from remask_worker.calls import Lane

__all__ = ["BatchDebt", "TimeSlice"]

# Urgent work may take this many times a slice's own seconds before the slice goes on.
_LENDS = {Lane.CLICK: 1.0, Lane.OPENED: 3.0}


@dataclass(slots=True)
class TimeSlice:
    """A piece of work that others may interrupt, and how its time was spent.

    Attributes:
        image_id: The image that is worked on.
        lane: The most urgent lane that waits for this work.
        embeds: Whether it encodes the image; else it answers prompts.
        since: When it was last begun or resumed.
        worked_s: Seconds that it has worked itself.
        lent_s: Seconds that it has let others work in between.
    """

    image_id: str
    lane: Lane
    embeds: bool
    since: float
    worked_s: float = 0.0
    lent_s: float = 0.0

    def work_until(self, now: float) -> float:
        """Count the time since `since` as worked, and return it."""
        spent = now - self.since
        self.since = now
        self.worked_s += spent
        return spent

    def may_lend(self, batch_share: float) -> bool:
        """Return whether it can wait longer.

        However much urgent work there is, a slice gets its share of the time, and so ends some
        day: `batch_share` for batch work, half for a click's own image.
        """
        batch = (1 - batch_share) / batch_share
        return self.lent_s < _LENDS.get(self.lane, batch) * self.worked_s

    def gives_way_to(self, lane: Lane, *, known: bool, room: bool) -> bool:
        """Return whether work of `lane` may interrupt it.

        Args:
            lane: Of the work that waits.
            known: Whether its image needs no encoding.
            room: Whether another forward pass of the encoder may be begun.
        """
        if lane is Lane.BATCH or lane > self.lane:
            return False
        if lane == self.lane:  # clicks on known images need not wait for a click's new image
            return known and self.embeds
        return known or room


class BatchDebt:
    """How much device time batch work is owed, so that it is slowed but never starved.

    Each second of urgent work while batch work waits adds `share / (1 - share)` seconds to the
    debt; batch work pays it back. Above `patience_s` batch work has its turn first.
    """

    def __init__(self, share: float, *, patience_s: float = 0.05) -> None:
        self._rate = share / (1 - share)
        self._patience_s = patience_s
        self._owed_s = 0.0

    @property
    def due(self) -> bool:
        """Whether batch work goes first now."""
        return self._owed_s > self._patience_s

    def note(self, lane: Lane, seconds: float) -> None:
        """Note work done for `lane`."""
        if lane is Lane.BATCH:
            self._owed_s = max(0.0, self._owed_s - seconds)
        else:
            self._owed_s += seconds * self._rate

    def forgive(self) -> None:
        """No batch work waits: nothing is owed."""
        self._owed_s = 0.0
