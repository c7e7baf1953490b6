"""The objects on an annotator's screen, and which of them a click belongs to.

Objects are gathered from what can be seen of them, best source first: the prompts that the
request carries; the draft, which also holds the objects whose class was changed and the boxes that
wait to be accepted; the masks that came with the task. A deleted or read-only mask is none of
them, and neither is one that has become of another class than the click.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from remask_core.errors import RemaskError
from remask_label_config.answer_regions import region_id
from remask_label_config.prompts import Mark
from remask_service.predict.engine_client import EngineClient
from remask_service.predict.object_history import ObjectHistory, Prompted, echoed_histories
from remask_service.predict.ownership import Footprint, OwnerCandidate, owner_of
from remask_service.predict.task_context import TaskContext, prior_digest
from remask_worker.calls import Answer, Call

__all__ = ["KnownObject", "KnownObjects"]


@dataclass(frozen=True, slots=True)
class KnownObject:
    """An object that a click may belong to.

    Attributes:
        history: Its prompts.
        labels: Its class as it stands on the screen.
        is_reread: Whether this request asks for the next reading of its last prompt.
    """

    history: ObjectHistory
    labels: tuple[str, ...]
    is_reread: bool = False


class KnownObjects:
    """The objects on one image that are of the class of the last prompt.

    Args:
        around: The task's draft and predictions.
        labels: Of the prompt; none at all: objects of any class.
        item_index: Which image of a task with several.
        task_id: The task's number.
        shape_hw: Height and width of the image in pixels.
        prompted: Gives a mark its sign and time.
        call_for: The call of the worker that makes an object's mask.
        engine_client: Asks it.
    """

    def __init__(
        self,
        around: TaskContext,
        *,
        labels: tuple[str, ...],
        item_index: int | None,
        task_id: int | None,
        shape_hw: tuple[int, int],
        prompted: Callable[[Mark], Prompted],
        call_for: Callable[[ObjectHistory], Call],
        engine_client: EngineClient,
    ) -> None:
        self._around = around
        self._labels = labels
        self._item_index = item_index
        self._task_id = task_id
        self._shape_hw = shape_hw
        self._prompted = prompted
        self._call_for = call_for
        self._engine_client = engine_client

    def carried(self, marks: Iterable[Mark]) -> list[KnownObject]:
        """Return the objects whose prompts are among `marks`, in the order of their first.

        Raises:
            PriorLost: A predicted mask that one was built on is gone.
        """
        alive = [mark for mark in marks if mark.echo.rid and not self._around.is_orphan(mark)]
        histories = echoed_histories(alive, prompted=self._prompted, prior_of=self._around.prior)
        given = {mark.echo.rid: mark.labels for mark in alive}
        known: list[KnownObject] = []
        for history in histories:
            state = self._around.mask_state(history.rid)
            labels = state.labels or given[history.rid]
            if not state.readonly and self._is_alike(labels):
                known.append(KnownObject(history, labels))
        return known

    def owner(self, prompt: Prompted, known: Sequence[KnownObject]) -> KnownObject | None:
        """Return the object that a click belongs to; None: it starts a new one.

        Args:
            prompt: The click.
            known: Objects that the request itself brings; others are looked for where the click
                is in none of their masks.

        Raises:
            RemaskError: The mask of a known object could not be made.
        """
        click = prompt.mark.to_click(self._shape_hw, positive=prompt.positive)
        objects = [each for each in known if each.history.steps(self._shape_hw)]
        candidates = self._candidates(objects)
        if not any(candidate.footprint.contains(click) for candidate in candidates):
            taken = {each.history.rid for each in known}
            drafted = self._drafted(taken)
            objects += drafted
            candidates += self._candidates(drafted)
            taken |= {each.history.rid for each in drafted}
            for predicted, candidate in self._predicted(taken):
                objects.append(predicted)
                candidates.append(candidate)
        owner = owner_of(click, candidates, shape_hw=self._shape_hw)
        if owner is None:
            return None
        return next(each for each in objects if each.history.rid == owner.rid)

    def _drafted(self, taken: set[str]) -> list[KnownObject]:
        """Return the objects that only the draft shows: of a changed class, or a pending box."""
        marks = self._around.drafted_marks(self._item_index)
        echoed = [mark for mark in marks if mark.echo.rid and mark.echo.rid not in taken]
        try:
            known = self.carried(echoed)
        except RemaskError:
            known = []
        known_ids = taken | {each.history.rid for each in known}
        for mark in marks:
            rid = region_id(self._task_id, mark.id)
            if self.is_pending_box(mark) and rid not in known_ids and self._is_alike(mark.labels):
                history = ObjectHistory(rid=rid).grown([self._prompted(mark)])
                known.append(KnownObject(history, mark.labels))
        return known

    def is_pending_box(self, mark: Mark) -> bool:
        """Whether a rectangle is a prompt whose mask has not been accepted.

        The editor holds boxes that were never meant as prompts, too: imported ones, and those of
        a submitted annotation. A box whose mask stands in the draft was accepted, and may have
        been mended since.
        """
        imported = (mark.region.origin or "manual") != "manual"
        around = self._around
        return mark.drawn_box and not (
            imported
            or mark.id in around.predicted_ids
            or mark.id in around.annotated_ids
            or around.in_draft(region_id(self._task_id, mark.id))
        )

    def _predicted(self, taken: set[str]) -> list[tuple[KnownObject, OwnerCandidate]]:
        found: list[tuple[KnownObject, OwnerCandidate]] = []
        for rid, labels, prior in self._around.predicted(self._labels, self._item_index):
            if rid in taken:
                continue
            footprint = self._engine_client.prior_footprint(
                prior.ls_rle, digest=prior.ref.digest, shape_hw=self._shape_hw
            )
            candidate = OwnerCandidate(rid=rid, footprint=footprint, box=None, touched=0.0)
            found.append((KnownObject(ObjectHistory(rid=rid, prior=prior), labels), candidate))
        return found

    def _candidates(self, objects: Sequence[KnownObject]) -> list[OwnerCandidate]:
        """Return where the masks of `objects` lie.

        Raises:
            RemaskError: A mask could not be made.
        """
        return [
            OwnerCandidate(
                rid=each.history.rid,
                footprint=footprint,
                box=each.history.box(self._shape_hw),
                touched=each.history.touched,
            )
            for each, footprint in zip(objects, self._footprints(objects), strict=True)
        ]

    def _footprints(self, objects: Sequence[KnownObject]) -> list[Footprint]:
        """Return where the masks of `objects` lie, in their order.

        A mask that is not remembered is taken from the draft if that has the same prompts, because
        it is the answer to them. Only the others are made again: after a restart, an image of
        sixty objects would otherwise cost the first click sixty calls.
        """
        footprints: dict[str, Footprint] = {}
        unknown: dict[str, Call] = {}
        for each in objects:
            call, rid = self._call_for(each.history), each.history.rid
            readings = {prompt.mark.id: prompt.reading for prompt in each.history.prompts}
            known = self._engine_client.known_footprint(call)
            drafted = None if known is not None else self._around.drafted_mask(rid, readings)
            if known is not None:
                footprints[rid] = known
            elif drafted is not None:
                footprints[rid] = self._engine_client.prior_footprint(
                    drafted, digest=prior_digest(drafted), shape_hw=self._shape_hw
                )
            else:
                unknown[rid] = call
        answers = self._engine_client.request(list(unknown.values()))
        for (rid, call), answer in zip(unknown.items(), answers, strict=True):
            if not isinstance(answer, Answer):
                raise answer
            footprints[rid] = self._engine_client.footprint(call, answer)
        return [footprints[each.history.rid] for each in objects]

    def _is_alike(self, labels: tuple[str, ...]) -> bool:
        return not self._labels or set(labels) == set(self._labels)
