"""Sentences on the annotator's page: what went wrong, and that it no longer does.

Label Studio shows an annotator nothing when a backend fails. A page that `remask config` wrote has
a hidden `state` tag, and an answer may set it; the page shows the sentence that belongs to it.
"""

from __future__ import annotations

from remask_core.errors import (
    AccessRefused,
    BadImage,
    NotFound,
    RemaskError,
    ShapeMismatch,
    Unavailable,
)
from remask_core.lru import ByteLru
from remask_label_config.answer_regions import NOTICE_OK, JsonRegion, notice_region
from remask_label_config.labelling_config import ImageControls
from remask_service.predict.recorder import Asked
from remask_storage.task_notes import TaskNotes
from remask_worker.calls import Expired, ModelFailed, Overloaded, WorkerDied

__all__ = ["Notices", "notice_of"]

_NOTICES: tuple[tuple[type[RemaskError], str], ...] = (
    (AccessRefused, "token"),
    (ShapeMismatch, "image"),
    (BadImage, "image"),
    (NotFound, "image"),
    (Overloaded, "busy"),
    (Expired, "busy"),
    (WorkerDied, "starting"),
    (ModelFailed, "failed"),
    (Unavailable, "starting"),
)


def notice_of(error: RemaskError) -> str:
    """Return which of the page's sentences tells of `error`."""
    return next((notice for kind, notice in _NOTICES if isinstance(error, kind)), "failed")


class Notices:
    """The sentences that were put on pages and not taken off again. Safe for threads.

    What no host remembers is found in the annotator's draft; only a sentence that is not yet saved
    there stays until the next failure.

    Args:
        notes: Where the hosts of the service tell each other; None: there is only this process.
    """

    def __init__(self, notes: TaskNotes | None = None) -> None:
        self._notes = notes
        self._shown = ByteLru[int | None, bool](2**20, size_of=lambda shown: 64)

    def failed(self, controls: ImageControls, asked: Asked, error: RemaskError) -> list[JsonRegion]:
        """Return the entry that tells the annotator of `error`; empty where the page cannot."""
        return self.show(controls, asked, notice_of(error))

    def show(self, controls: ImageControls, asked: Asked, notice: str) -> list[JsonRegion]:
        """Return the entry that shows the sentence `notice`; empty where the page has none."""
        entries = notice_region(controls, notice)
        if entries:
            self._note(asked, shown=True)
        return entries

    def answered(
        self, controls: ImageControls, asked: Asked, *, drafted: str | None
    ) -> list[JsonRegion]:
        """Return the entry that takes a sentence off the page; empty where none is on it.

        Args:
            controls: The image's tags.
            asked: The request.
            drafted: The sentence that the annotator's draft shows.
        """
        if not controls.notices:
            return []
        is_drafted = drafted is not None and drafted != NOTICE_OK
        if not (self._shown.get(asked.task_id) or is_drafted or self._is_noted(asked)):
            return []
        self._note(asked, shown=False)
        return notice_region(controls, NOTICE_OK)

    def _is_noted(self, asked: Asked) -> bool:
        if self._notes is None or asked.task_id is None:
            return False
        return self._notes.has_sentence(asked.project or "", asked.task_id)

    def _note(self, asked: Asked, *, shown: bool) -> None:
        self._shown.put(asked.task_id, shown)
        if self._notes is not None and asked.task_id is not None:
            self._notes.note_sentence(asked.project or "", asked.task_id, shown=shown)
