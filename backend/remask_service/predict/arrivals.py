"""Pending prompts: when each first came, what its sign was then, and whether it got an answer.

An answer carries all of it back into the annotation, so this matters only until the annotator
accepts the answer: for a suggestion that is mended, for two quick clicks, and for a click that
failed or came while no host ran. The process remembers what it saw itself, and asks the notes of
the service for what another host, or the process before this one, may have seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from remask_core.lru import ByteLru
from remask_label_config.prompts import Mark, Sign
from remask_service.predict.object_history import Prompted
from remask_service.predict.recorder import Asked
from remask_storage.task_notes import Arrival, TaskNotes

__all__ = ["Arrivals"]


@dataclass(frozen=True, slots=True)
class _Seen:
    arrived: float
    sign: Sign
    failed: bool = False


class Arrivals:
    """What is known of pending prompts. Safe for threads.

    Args:
        notes: Of the service; None: what this process has not seen counts as answered.
    """

    def __init__(self, notes: TaskNotes | None = None) -> None:
        self._notes = notes
        self._seen = ByteLru[tuple[int | None, str], _Seen](16 * 2**20, size_of=lambda _: 256)

    def begin(self, marks: Sequence[Mark], asked: Asked) -> frozenset[str]:
        """Take up the prompts of a request; return the ids of those that never got an answer.

        A prompt that nobody has seen, and that is not the last, came while no host ran.

        Args:
            marks: In the order they were drawn; the last is the one just drawn.
            asked: The request.
        """
        pending = [mark for mark in marks if mark.echo.rid is None]
        if self._notes is None or asked.task_id is None:
            return self._failed_here(pending, asked)
        unsure = [mark for mark in pending if self._is_unsure(mark, marks[-1], asked)]
        project, new = (
            asked.project or "",
            {mark.id for mark in pending if not self._has(mark, asked)},
        )
        lost = self._failed_here(pending, asked)
        if unsure:
            ids = [mark.id for mark in unsure]
            known = self._notes.known(project, asked.task_id, ids)
            if known is not None:
                new -= set(known)
                lost |= {mark.id for mark in unsure if mark.id not in known}
                for prompt_id, prompt in known.items():
                    sign = Sign.UNKNOWN if prompt.positive is None else Sign(prompt.positive)
                    failed = prompt.state == "failed"
                    self._seen.put(
                        (asked.task_id, prompt_id), _Seen(prompt.arrived_at, sign, failed)
                    )
                    lost = lost | {prompt_id} if failed else lost - {prompt_id}
        self._notes.note_arrivals(
            [
                Arrival(project, asked.task_id, mark.id, asked.arrived, _told(mark))
                for mark in pending
                if mark.id in new
            ]
        )
        return lost

    def prompted(self, mark: Mark, sign: Sign, asked: Asked) -> Prompted:
        """Return a mark with its sign and time; place and step are for its history to set.

        A sign that nothing tells any more is taken as positive: see
        docs/decisions/0052-a-click-of-unknown-sign-is-positive.md.
        """
        key = (asked.task_id, mark.id)
        seen = self._seen.get(key)
        first = asked.arrived if seen is None else seen.arrived
        if sign is Sign.UNKNOWN and seen is not None:
            sign = seen.sign
        if seen is None or seen.sign is not sign:
            failed = seen is not None and seen.failed
            self._seen.put(key, _Seen(first, sign, failed))
        is_known = sign is not Sign.UNKNOWN and mark.echo.sign is None
        return Prompted(
            mark=mark,
            n=0,
            step=0,
            arrived=first if mark.echo.t is None else mark.echo.t,
            positive=sign is not Sign.NEGATIVE,
            sign_known=is_known or mark.box is not None,
            fresh=seen is None and mark.echo.rid is None,
        )

    def failed(self, prompts: Iterable[Prompted], asked: Asked) -> None:
        """Note that the prompts which came just now could not be answered."""
        self._note([prompt for prompt in prompts if prompt.fresh], asked, True)

    def answered(self, prompts: Iterable[Prompted], asked: Asked) -> None:
        """Note that prompts have got their answer."""
        self._note([prompt for prompt in prompts if prompt.mark.echo.rid is None], asked, False)

    def _has(self, mark: Mark, asked: Asked) -> bool:
        return self._seen.get((asked.task_id, mark.id)) is not None

    def _is_unsure(self, mark: Mark, last: Mark, asked: Asked) -> bool:
        """Whether another host may know more of a prompt: it has answered it, or knows its sign."""
        seen = self._seen.get((asked.task_id, mark.id))
        if mark is last:
            return seen is None and mark.box is None and mark.sign is Sign.UNKNOWN
        return seen is None or seen.failed

    def _failed_here(self, pending: Iterable[Mark], asked: Asked) -> frozenset[str]:
        states = {mark.id: self._seen.get((asked.task_id, mark.id)) for mark in pending}
        return frozenset(name for name, seen in states.items() if seen is not None and seen.failed)

    def _note(self, prompts: Iterable[Prompted], asked: Asked, failed: bool) -> None:
        for prompt in prompts:
            key = (asked.task_id, prompt.mark.id)
            seen = self._seen.get(key)
            if seen is not None and seen.failed is not failed:
                self._seen.put(key, replace(seen, failed=failed))


def _told(mark: Mark) -> bool | None:
    """Return a click's sign as the request tells it; None for a box, or a sign that was lost."""
    return None if mark.box is not None or mark.sign is Sign.UNKNOWN else mark.sign is Sign.POSITIVE
