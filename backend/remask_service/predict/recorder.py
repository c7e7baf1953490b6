"""The records of answers, and when each prompt first came."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from remask_core.errors import RemaskError
from remask_core.lru import ByteLru
from remask_label_config.prompts import Mark, Sign
from remask_service.predict.object_history import ObjectHistory, Prompted
from remask_service.predict.records import AnswerOutcome, AnswerRecord
from remask_worker.calls import Answer, Lane

__all__ = ["Arrivals", "Asked", "Recorder"]


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


@dataclass(frozen=True, slots=True)
class _Seen:
    arrived: float
    sign: Sign
    failed: bool = False


class Arrivals:
    """When pending prompts first came and what their sign was then. Safe for threads.

    It is only a help: an answer carries both back as soon as it is accepted.
    """

    def __init__(self) -> None:
        self._seen = ByteLru[tuple[int | None, str], _Seen](16 * 2**20, size_of=lambda _: 256)

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

    def has_failed(self, mark: Mark, asked: Asked) -> bool:
        """Whether a prompt is known to have got no answer; False where nothing is known."""
        seen = self._seen.get((asked.task_id, mark.id))
        return seen is not None and seen.failed

    def _note(self, prompts: Iterable[Prompted], asked: Asked, failed: bool) -> None:
        for prompt in prompts:
            key = (asked.task_id, prompt.mark.id)
            seen = self._seen.get(key)
            if seen is not None and seen.failed is not failed:
                self._seen.put(key, replace(seen, failed=failed))
