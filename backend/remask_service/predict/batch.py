"""Pre-annotation: every box of every task becomes a mask, and no annotator waits for it.

Where the service is set so, a task without boxes gets the automatic masks of its images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

import msgspec

from remask_campaigns.automatic.project_masks import places_of, regions_of
from remask_core.errors import InputError, RemaskError
from remask_images.image_source import ImageSource
from remask_images.image_store import StoredImage
from remask_label_config.answer_regions import (
    JsonRegion,
    echo_regions,
    encoding_for,
    mask_regions,
    region_id,
)
from remask_label_config.bodies import PredictRequest, Task, result_holders
from remask_label_config.labelling_config import (
    ImageControls,
    LabellingConfig,
    parse_labelling_config,
)
from remask_label_config.prompts import Mark, marks_of
from remask_label_config.regions import Region
from remask_masks.automatic.generate import AutomaticSettings
from remask_service.predict.object_history import ObjectHistory, Prompted
from remask_service.predict.recorder import Asked, Recorder
from remask_worker.calls import Answer, Call, Engine, Lane, answer_of

__all__ = ["Batch"]

_UNFINISHED = msgspec.Raw(b"[]")
"""An answer that Label Studio does not store, so that it asks for the task again."""


@dataclass(slots=True)
class _Open:
    """A task under way: its calls, and the regions that are finished."""

    index: int
    task: Task
    asked: Asked
    left: int
    regions: list[JsonRegion] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    model_version: str | None = None
    postponed: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """One box of a task, asked for."""

    open: _Open
    controls: ImageControls
    history: ObjectHistory
    call: Call
    future: Future[Answer]


@dataclass(frozen=True, slots=True)
class _ImageJob:
    """One image of a task without boxes, whose automatic masks are asked for."""

    open: _Open
    controls: ImageControls
    item_index: int | None
    call: Call
    future: Future[Answer]


class Batch:
    """Answers requests without an annotator, a bounded number of boxes at a time."""

    def __init__(
        self,
        engine: Engine,
        images: ImageSource,
        *,
        clock: Callable[[], float],
        recorder: Recorder,
        wait: Callable[[float], None],
        window: int,
        automatic: AutomaticSettings | None = None,
    ) -> None:
        self._automatic = automatic
        self._engine = engine
        self._images = images
        self._clock = clock
        self._recorder = recorder
        self._wait = wait
        self._window = window

    def answer(self, request: PredictRequest, *, lane: Lane, limit_s: float) -> list[msgspec.Raw]:
        """Return one encoded answer per task, in order.

        A task that carries boxes gets a mask for each. One that carries none gets an empty result,
        which Label Studio stores; or, where automatic masks are set, those of its images, without a
        class where the page has several. One that could not be finished within `limit_s`, or
        whose image cannot be had, gets an empty list, which Label Studio does not store: it asks
        again, and by then the worker may know the answer.

        Raises:
            ConfigProblem: The labelling configuration lacks something.
        """
        config = parse_labelling_config(request.label_config)
        arrived = self._clock()
        deadline = arrived + limit_s
        answers = [_UNFINISHED] * len(request.tasks)
        running: deque[_Job | _ImageJob] = deque()
        empty: msgspec.Raw | None = None
        for index, task in enumerate(request.tasks):
            if self._clock() >= deadline:
                break
            found = _task_boxes(task, config)
            asked = Asked(request.project_id, task.id, lane, arrived)
            for problem in found.problems:
                self._recorder.record(asked, "failed", error=problem)
            todo = found.boxes
            if not todo and self._automatic is not None:
                opened = _Open(index=index, task=task, asked=asked, left=0)
                for image_job in self._start_images(opened, config, deadline, answers):
                    while len(running) >= self._window:
                        self._finish(running.popleft(), answers)
                    running.append(image_job)
                continue
            if not todo:
                empty = empty or msgspec.Raw(msgspec.json.encode(self._empty()))
                answers[index] = empty
                continue
            opened = _Open(index=index, task=task, asked=asked, left=len(todo))
            for controls, mark in todo:
                while len(running) >= self._window:
                    self._finish(running.popleft(), answers)
                job = self._start(opened, controls, mark, deadline)
                if job is None:
                    self._count_down(opened, answers)
                else:
                    running.append(job)
        while running:
            self._finish(running.popleft(), answers)
        return answers

    def _empty(self) -> dict[str, object]:
        version = self._engine.health().model_version
        return {"result": []} if version is None else {"result": [], "model_version": version}

    def _start(
        self, opened: _Open, controls: ImageControls, mark: Mark, deadline: float
    ) -> _Job | None:
        rid = mark.echo.rid or region_id(opened.task.id, mark.id)
        arrived = opened.asked.arrived if mark.echo.t is None else mark.echo.t
        prompt = Prompted(mark=mark, n=0, step=0, arrived=arrived, fresh=mark.echo.rid is None)
        history = ObjectHistory(rid=rid, prompts=(prompt,))
        try:
            index = mark.region.item_index or 0
            url = controls.image.url(opened.task.data, item_index=index)
            image = self._images.fetch(url, task_id=opened.task.id)
        except RemaskError as error:
            opened.postponed = True
            self._recorder.record(opened.asked, "failed", about=mark, history=history, error=error)
            return None
        call = _call(image, history, controls, opened.asked.lane, deadline)
        return _Job(opened, controls, history, call, self._engine.submit(call))

    def _start_images(
        self,
        opened: _Open,
        config: LabellingConfig,
        deadline: float,
        answers: list[msgspec.Raw],
    ) -> Iterator[_ImageJob]:
        task, asked = opened.task, opened.asked
        places = [place for controls in config.images for place in places_of(controls, task.data)]
        opened.left = len(places)
        for controls, item_index in places:
            try:
                url = controls.image.url(task.data, item_index=item_index or 0)
                image = self._images.fetch(url, task_id=task.id)
            except RemaskError as error:
                opened.postponed = True
                self._recorder.record(asked, "failed", error=error)
                self._count_down(opened, answers)
                continue
            call = Call(
                image_id=image.image_id,
                image_path=str(image.path),
                steps=(),
                automatic=self._automatic,
                lane=asked.lane,
                deadline=deadline,
                encoding=encoding_for(controls),
            )
            yield _ImageJob(opened, controls, item_index, call, self._engine.submit(call))

    def _finish(self, job: _Job | _ImageJob, answers: list[msgspec.Raw]) -> None:
        if isinstance(job, _ImageJob):
            self._finish_image(job, answers)
        else:
            self._finish_box(job, answers)

    def _finish_image(self, job: _ImageJob, answers: list[msgspec.Raw]) -> None:
        opened = job.open
        try:
            answer = answer_of(
                self._engine, job.call, job.future, clock=self._clock, wait=self._wait
            )
        except RemaskError as error:
            opened.postponed = True
            self._recorder.record(opened.asked, "failed", error=error)
        else:
            regions, scores = regions_of(
                answer,
                job.controls,
                task_id=opened.task.id,
                best=None,
                label=None,
                item_index=job.item_index,
            )
            opened.regions += regions
            opened.scores += scores or [0.0]
            opened.model_version = answer.model_version
            self._recorder.record(opened.asked, "answered", shape_hw=answer.shape_hw, answer=answer)
        self._count_down(opened, answers)

    def _finish_box(self, job: _Job, answers: list[msgspec.Raw]) -> None:
        opened, (prompt,) = job.open, job.history.prompts
        answer: Answer | None = None
        problem: RemaskError | None = None
        try:
            answer = answer_of(
                self._engine, job.call, job.future, clock=self._clock, wait=self._wait
            )
        except RemaskError as error:
            problem = error
            # A box that can never be answered must not keep the others from being stored.
            opened.postponed |= not isinstance(error, InputError)
        else:
            self._add(job, answer)
        self._recorder.record(
            opened.asked,
            "failed" if answer is None else "answered",
            about=prompt.mark,
            history=job.history,
            shape_hw=None if answer is None else answer.shape_hw,
            answer=answer,
            error=problem,
        )
        self._count_down(opened, answers)

    def _add(self, job: _Job, answer: Answer) -> None:
        (prompt,) = job.history.prompts
        mark, opened = prompt.mark, job.open
        opened.regions += mask_regions(
            job.controls,
            answer.mask,
            rid=job.history.rid,
            labels=mark.labels,
            shape_hw=answer.shape_hw,
            score=answer.score,
            meta={"n_clicks": 0, "model_version": answer.model_version},
            item_index=mark.region.item_index,
        )
        echo = job.history.echo(prompt)
        opened.regions += echo_regions(
            job.controls, mark, echo, shape_hw=answer.shape_hw, is_stored=True
        )
        opened.scores.append(answer.score)
        opened.model_version = answer.model_version

    def _count_down(self, opened: _Open, answers: list[msgspec.Raw]) -> None:
        """Encode a task's answer as soon as its last box is done, so that memory holds bytes."""
        opened.left -= 1
        if opened.left or opened.postponed or not opened.scores:
            return
        score = sum(opened.scores) / len(opened.scores)
        answers[opened.index] = msgspec.Raw(
            msgspec.json.encode(
                {"result": opened.regions, "score": score, "model_version": opened.model_version}
            )
        )
        opened.regions = []


def _call(
    image: StoredImage, history: ObjectHistory, controls: ImageControls, lane: Lane, deadline: float
) -> Call:
    return Call(
        image_id=image.image_id,
        image_path=str(image.path),
        steps=history.steps(image.shape_hw),
        lane=lane,
        deadline=deadline,
        encoding=encoding_for(controls),
    )


@dataclass(frozen=True, slots=True)
class _TaskBoxes:
    """The boxes of a task, and a problem for each region that cannot be read."""

    boxes: list[tuple[ImageControls, Mark]]
    problems: list[InputError]


_NO_BOXES = _TaskBoxes([], [])


def _task_boxes(task: Task, config: LabellingConfig) -> _TaskBoxes:
    """Return the boxes of a task, each once: annotations first, then drafts, then predictions.

    Rectangles, and the anchor points that stand for boxes already answered. Equal boxes of equal
    labels are one box, whoever drew them. A box without a label takes that of a mask tag with a
    single one. What starts no mask is named among the problems.
    """
    sources = (task.annotations, task.drafts, task.predictions)
    if not any(bytes(raw) for raw in sources):
        return _NO_BOXES
    holders = [
        holder for raw in sources for holder in result_holders(raw) if not holder.was_cancelled
    ]
    regions = [
        region
        for holder in holders
        for region in holder.result
        if region.type.startswith(("rectangle", "keypoint")) or region.type == "labels"
    ]
    problems = [InputError(str(bad)) for holder in holders for bad in holder.unreadable]
    known = {controls.image.name: controls for controls in config.images}
    only = config.images[0] if len(config.images) == 1 else None
    seen: set[object] = set()
    boxes: list[tuple[ImageControls, Mark]] = []
    for mark in _readable(regions, problems):
        controls = known.get(mark.region.to_name) if mark.region.to_name else only
        if mark.box is None or controls is None:
            continue
        labels = tuple(label for label in mark.labels if controls.takes(label))
        if not mark.labels and controls.only_class is not None:
            labels = (controls.only_class,)
        rid = mark.echo.rid or region_id(task.id, mark.id)
        place = (mark.region.to_name, mark.region.item_index or 0, labels, mark.box)
        if not labels:
            named = ", ".join(f"`{label}`" for label in mark.labels) or "none"
            problems.append(
                InputError(f"label of region `{mark.id}` must be one of the mask tag; got {named}")
            )
        if labels and rid not in seen and place not in seen:
            seen.update((rid, place))
            boxes.append((controls, Mark(mark.region, labels, mark.box, mark.echo)))
    return _TaskBoxes(boxes, problems)


def _readable(regions: list[Region], problems: list[InputError]) -> list[Mark]:
    """Return the clicks and boxes among `regions`; what is out of range is added to `problems`."""
    marks: list[Mark] = []
    by_id: dict[str, list[Region]] = {}
    for region in regions:
        by_id.setdefault(region.id, []).append(region)
    for same in by_id.values():
        try:
            marks += marks_of(same)
        except InputError as error:
            # Imported rectangles are not checked by Label Studio; one bad one is no reason
            # to answer none.
            problems.append(error)
    return marks
