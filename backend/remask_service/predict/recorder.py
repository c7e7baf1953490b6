"""The records of answers: what was asked, of which task, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remask_core.errors import RemaskError
from remask_label_config.prompts import Mark
from remask_service.predict.object_history import ObjectHistory
from remask_service.predict.records import AnswerOutcome, AnswerRecord
from remask_worker.calls import Answer, Lane

__all__ = ["Asked", "Recorder"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which task a request asks about, and when it came.

    Attributes:
        project: The project's number.
        task_id: The task's number.
        lane: Who waits.
        arrived: Server time, Unix seconds.
    """

    project: str | None
    task_id: int | None
    lane: Lane
    arrived: float


class Recorder:
    """Makes the records of answers and hands them on."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        on_answer: Callable[[AnswerRecord], None],
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        self._on_answer = on_answer

    def record(
        self,
        asked: Asked,
        outcome: AnswerOutcome,
        *,
        about: Mark | None = None,
        history: ObjectHistory | None = None,
        shape_hw: tuple[int, int] | None = None,
        answer: Answer | None = None,
        error: RemaskError | None = None,
    ) -> None:
        """Record what became of one object's prompts.

        Args:
            asked: The request.
            outcome: See `AnswerRecord`.
            about: The prompt that gives the object its labels and its image.
            history: The object; an empty region id where none was found for the prompts.
            shape_hw: Of the image; without it the record has no places.
            answer: The worker's, if there is one.
            error: What spoiled it.
        """
        prompts = () if history is None else history.prompts
        self._on_answer(
            AnswerRecord(
                answer_id=self._new_id(),
                time=asked.arrived,
                project=asked.project,
                task=asked.task_id,
                item_index=None if about is None else about.region.item_index,
                labels=() if about is None else about.labels,
                region=None if history is None else history.rid or None,
                prompts=tuple(prompt.record(shape_hw) for prompt in prompts),
                lane=asked.lane.name.lower(),
                outcome=outcome,
                model_version=None if answer is None else answer.model_version,
                score=None if answer is None else answer.score,
                latency_ms=1000 * (self._clock() - asked.arrived),
                model_ms=0.0 if answer is None else answer.model_ms,
                error=None if error is None else error.code,
                detail="" if error is None else str(error),
            )
        )
