"""The calls that have no answer yet, and which of them are blamed when the child dies.

Pure bookkeeping: no threads, no sockets, no clock.

A death is blamed on what the child had started and not finished: the calls given to the model,
and the images being encoded. Each suspect is then tried alone, while all other calls wait. If the
child dies again, the suspect is poison: its callers get `WorkerDied`, and it is refused from then
on. Calls that were merely waiting are replayed as often as need be.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias

from remask_worker.calls import Answer, Call, Lane, PoisonCall, history_keys
from remask_worker.lanes import check_room

__all__ = ["InFlightCall", "InFlightCalls"]

# A call's identity, or an image id.
Suspect: TypeAlias = "bytes | str"

_REMEMBERED = 4096


@dataclass(slots=True, eq=False)
class InFlightCall:
    """A call that is not answered yet.

    Attributes:
        number: Names the call on the wire.
        call: The call.
        frame: The call as it is sent.
        future: The caller's.
        key: The call's identity, see `history_keys`.
        sent: Whether the living child has it.
        started: Whether the living child gave it to the model.
    """

    number: int
    call: Call
    frame: bytes
    future: Future[Answer] = field(default_factory=Future)
    key: bytes = field(init=False)
    sent: bool = False
    started: bool = False

    def __post_init__(self) -> None:
        self.key = history_keys(self.call)[-1]

    def concerns(self, suspect: Suspect) -> bool:
        """Return whether this call would make the child do what the suspect did."""
        return suspect in (self.key, self.call.image_id)


class InFlightCalls:
    """Calls in flight, suspects and poison. Not thread-safe: its owner holds a lock."""

    def __init__(self, lane_limits: Sequence[int]) -> None:
        self._limits = lane_limits
        self._entries: dict[int, InFlightCall] = {}
        self._pending = dict.fromkeys(Lane, 0)
        self._embedding: tuple[str, ...] = ()
        self._suspects: deque[Suspect] = deque()
        self._poison: OrderedDict[Suspect, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def queued(self) -> dict[str, int]:
        """Return the number of calls not started, per lane."""
        counts = {lane.name.lower(): 0 for lane in Lane}
        for entry in self._entries.values():
            counts[entry.call.lane.name.lower()] += not entry.started
        return counts

    def admit(self, entry: InFlightCall) -> None:
        """Take a call in.

        Raises:
            PoisonCall: It, or its image, killed the worker before.
            Overloaded: Its lane is full.
        """
        call = entry.call
        for what, suspect in (("call", entry.key), ("image", call.image_id)):
            if suspect in self._poison:
                raise PoisonCall(f"this {what} ended the worker twice; it is not tried again")
        check_room(call.lane, waiting=self._pending[call.lane], limits=self._limits)
        self._entries[entry.number] = entry
        self._pending[call.lane] += 1

    def remove(self, number: int) -> InFlightCall | None:
        """Take out a call that is answered or cancelled; None if it is not here any more."""
        entry = self._entries.pop(number, None)
        if entry is not None:
            self._pending[entry.call.lane] -= 1
        return entry

    def remove_all(self) -> list[InFlightCall]:
        """Take out every call, and forget the suspects."""
        return self._remove(list(self._entries.values()))

    def remove_expired(self, now: float) -> list[InFlightCall]:
        """Take out the calls whose deadline passed before a child got them."""
        entries = self._entries.values()
        return self._remove([e for e in entries if not e.sent and e.call.deadline <= now])

    def started(self, keys: Iterable[bytes]) -> None:
        """Note that the child gave these calls to the model."""
        keys = set(keys)
        for entry in self._entries.values():
            entry.started |= entry.sent and entry.key in keys

    def embedding(self, image_ids: tuple[str, ...]) -> None:
        """Note that the child is encoding these images, and no others."""
        self._embedding = image_ids

    def to_send(self) -> list[InFlightCall]:
        """Return the calls to send now, and count them as sent.

        That is every call; or, while there are suspects, one call of the first of them.
        """
        while self._suspects:
            suspect = self._suspects[0]
            concerned = [e for e in self._entries.values() if e.concerns(suspect)]
            if any(entry.sent for entry in concerned):
                return []
            if concerned:
                alone = min(concerned, key=lambda entry: (entry.call.lane, entry.number))
                alone.sent = True
                return [alone]
            self._suspects.popleft()
        unsent = [entry for entry in self._entries.values() if not entry.sent]
        for entry in unsent:
            entry.sent = True
        return unsent

    def clear(self, entry: InFlightCall) -> None:
        """Take a call off the suspects: the child answered it and lives."""
        self._suspects = deque(s for s in self._suspects if not entry.concerns(s))

    def death(self) -> list[InFlightCall]:
        """Note the child's death; take out and return the calls that are poison now."""
        blamed: list[Suspect] = [e.key for e in self._entries.values() if e.started]
        blamed += self._embedding
        self._embedding = ()
        for entry in self._entries.values():
            entry.sent = entry.started = False
        poison = [s for s in dict.fromkeys(blamed) if s in self._suspects]
        self._suspects = deque(dict.fromkeys([*self._suspects, *blamed]))
        for suspect in poison:
            self._suspects.remove(suspect)
            self._poison[suspect] = None
            if len(self._poison) > _REMEMBERED:
                self._poison.popitem(last=False)
        gone = [e for e in self._entries.values() if any(map(e.concerns, poison))]
        return self._remove(gone)

    def _remove(self, entries: list[InFlightCall]) -> list[InFlightCall]:
        for entry in entries:
            self.remove(entry.number)
        return entries
