"""The live way: an annotator drew something and waits for the mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from remask_core.errors import InputError, RemaskError, ShapeMismatch
from remask_images.image_source import ImageSource
from remask_images.image_store import StoredImage
from remask_label_config.answer_regions import (
    JsonRegion,
    echo_regions,
    encoding_for,
    mask_regions,
    region_id,
)
from remask_label_config.bodies import PredictRequest, Task
from remask_label_config.labelling_config import ImageControls, parse_labelling_config
from remask_label_config.prompts import Mark, Sign, marks_of
from remask_service.predict.engine_client import EngineClient
from remask_service.predict.object_history import ObjectHistory, Prompted, echoed_histories
from remask_service.predict.ownership import OwnerCandidate, owner_of
from remask_service.predict.recorder import Arrivals, Asked, Recorder
from remask_service.predict.records import AnswerOutcome
from remask_service.predict.task_context import TaskContext
from remask_worker.calls import Answer, Call, Lane, PriorMask

__all__ = ["Live", "TaskAnswer"]


class TaskAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One entry of the `results` that Label Studio gets."""

    result: list[JsonRegion]
    score: float | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    """A request with prompts: those alike to the last one, and what they were drawn on."""

    asked: Asked
    controls: ImageControls
    marks: tuple[Mark, ...]
    image: StoredImage
    around: TaskContext

    @property
    def labels(self) -> tuple[str, ...]:
        return self.marks[-1].labels

    @property
    def item_index(self) -> int | None:
        return self.marks[-1].region.item_index

    @property
    def shape_hw(self) -> tuple[int, int]:
        return self.image.shape_hw


class Live:
    """Answers annotators who wait. Safe for threads; keeps nothing but caches."""

    def __init__(
        self,
        engine_client: EngineClient,
        images: ImageSource,
        *,
        clock: Callable[[], float],
        recorder: Recorder,
        click_s: float,
    ) -> None:
        self._engine_client = engine_client
        self._images = images
        self._clock = clock
        self._recorder = recorder
        self._click_s = click_s
        self._arrivals = Arrivals()

    def answer(self, request: PredictRequest, task: Task) -> TaskAnswer:
        """Return the mask of what was drawn last, and its prompts with their `meta`.

        When the image or the worker fails, the annotator keeps the mask there was and the record
        says so.

        Raises:
            InputError: The labelling configuration or a prompt cannot be understood.
            NotFound: A prompt points at an image that the configuration does not have.
        """
        asked = Asked(request.project_id, task.id, Lane.CLICK, self._clock())
        context = request.context
        marks = marks_of(context.result) if context is not None else []
        if not marks:
            # Label Studio asks this once per pending prompt when an annotation is submitted.
            self._recorder.record(asked, "empty")
            return TaskAnswer(result=[])
        last = marks[-1]
        alike = tuple(mark for mark in marks if _alike(mark, last))
        try:
            controls = parse_labelling_config(request.label_config).on(last.region.to_name)
            _check_labels(last, controls)
        except RemaskError as error:
            self._tell_unplaced(asked, alike, error)
            raise
        try:
            image = self._image(task, controls, last)
        except RemaskError as error:
            self._tell_unplaced(asked, alike, error)
            return TaskAnswer(result=[])
        around = TaskContext(task, controls, shape_hw=image.shape_hw)
        scene = _Scene(asked, controls, alike, image, around)
        return self._boxes(scene) if last.drawn_box else self._clicks(scene)

    def _boxes(self, scene: _Scene) -> TaskAnswer:
        """Every box that waits for its mask is an object of its own."""
        last = scene.marks[-1]
        waiting = [mark for mark in scene.marks if mark is last or self._waits(mark, scene)]
        histories = [
            ObjectHistory(rid=region_id(scene.asked.task_id, mark.id)).grown(
                [self._prompted(mark, scene)]
            )
            for mark in waiting
        ]
        told = self._engine_client.request([self._call(scene, history) for history in histories])
        answers: list[TaskAnswer] = []
        for history, one in zip(histories, told, strict=True):
            if isinstance(one, Answer):
                answers.append(self._compose(scene, history, one))
                self._tell(scene, history, "answered", answer=one)
            else:
                self._tell(scene, history, "failed", error=one)
        return _together(answers)

    def _waits(self, mark: Mark, scene: _Scene) -> bool:
        """Whether an earlier box still waits to be accepted, so that its suggestion must stay.

        The editor sends boxes that were never meant as prompts, too: imported ones, and those of
        a submitted annotation. A box whose mask stands in the draft was accepted, and may have
        been mended since.
        """
        imported = (mark.region.origin or "manual") != "manual"
        around = scene.around
        return not (
            imported
            or mark.id in around.predicted_ids
            or mark.id in around.annotated_ids
            or around.in_draft(region_id(scene.asked.task_id, mark.id))
        )

    def _clicks(self, scene: _Scene) -> TaskAnswer:
        """All clicks that no answer has carried yet belong to one object."""
        carried = [m for m in scene.marks if m.echo.rid and not scene.around.is_orphan(m)]
        fresh = [
            self._prompted(mark, scene)
            for mark in scene.marks
            if mark.echo.rid is None and _is_prompt(mark, scene)
        ]
        history: ObjectHistory | None = None
        try:
            histories = echoed_histories(
                carried,
                prompted=lambda mark: self._prompted(mark, scene),
                prior_of=scene.around.prior,
            )
            if fresh:
                owner = self._owner(scene, histories, fresh[0])
                history = owner or ObjectHistory(
                    rid=region_id(scene.asked.task_id, fresh[0].mark.id)
                )
                history = history.grown(fresh)
            else:
                history = next((h for h in histories if h.rid == scene.marks[-1].echo.rid), None)
        except RemaskError as error:
            self._tell(scene, ObjectHistory(rid="").grown(fresh), "kept_previous", error=error)
            return TaskAnswer(result=[])
        if history is None or not history.steps(scene.shape_hw):
            self._tell(scene, history or ObjectHistory(rid=""), "empty")
            return TaskAnswer(result=[])
        (told,) = self._engine_client.request([self._call(scene, history)])
        if isinstance(told, Answer):
            self._tell(scene, history, "answered", answer=told)
            return self._compose(scene, history, told)
        return self._keep_previous(scene, history, fresh, told)

    def _owner(
        self, scene: _Scene, histories: Sequence[ObjectHistory], prompt: Prompted
    ) -> ObjectHistory | None:
        """Return the object that a click belongs to, predicted masks included; None: a new one."""
        click = prompt.mark.to_click(scene.shape_hw, positive=prompt.positive)
        known = [one for one in histories if one.steps(scene.shape_hw)]
        candidate = self._standing(scene, known)
        if not any(one.footprint.contains(click) for one in candidate):
            taken = {history.rid for history in histories}
            for rid, prior in scene.around.predicted(scene.labels, scene.item_index):
                if rid not in taken:
                    known.append(ObjectHistory(rid=rid, prior=prior))
                    footprint = self._engine_client.prior_footprint(
                        prior.ls_rle, digest=prior.ref.digest, shape_hw=scene.shape_hw
                    )
                    candidate.append(
                        OwnerCandidate(rid=rid, footprint=footprint, box=None, touched=0.0)
                    )
        owner = owner_of(click, candidate, shape_hw=scene.shape_hw)
        return None if owner is None else next(one for one in known if one.rid == owner.rid)

    def _standing(self, scene: _Scene, histories: Sequence[ObjectHistory]) -> list[OwnerCandidate]:
        """Return where the masks of known objects lie; one that is not remembered is made again.

        Raises:
            RemaskError: A mask could not be made.
        """
        calls = [self._call(scene, one) for one in histories]
        candidate: list[OwnerCandidate] = []
        for one, call, told in zip(
            histories, calls, self._engine_client.request(calls), strict=True
        ):
            if not isinstance(told, Answer):
                raise told
            candidate.append(
                OwnerCandidate(
                    rid=one.rid,
                    footprint=self._engine_client.footprint(call, told),
                    box=one.box(scene.shape_hw),
                    touched=one.touched,
                )
            )
        return candidate

    def _keep_previous(
        self, scene: _Scene, history: ObjectHistory, fresh: Sequence[Prompted], error: RemaskError
    ) -> TaskAnswer:
        """Leave the annotator the mask there was before the last click.

        An accepted mask stays on the screen when the answer is empty. A suggestion does not: the
        editor clears it with every answer, so it is given again while it is remembered.
        """
        earlier = history.shortened()
        stands = bool(earlier.steps(scene.shape_hw)) or history.prior is not None
        self._tell(scene, history, "kept_previous" if stands else "failed", error=error)
        if len(fresh) > 1 and earlier.steps(scene.shape_hw):
            answer = self._engine_client.recalled(self._call(scene, earlier))
            if answer is not None:
                return self._compose(scene, earlier, answer)
        return TaskAnswer(result=[])

    def _image(self, task: Task, controls: ImageControls, last: Mark) -> StoredImage:
        index = last.region.item_index or 0
        url = controls.image.url(task.data, item_index=index)
        image = self._images.fetch(url, task_id=task.id)
        claimed = _claimed_shape(last)
        if claimed is not None and claimed != image.shape_hw:
            raise ShapeMismatch(
                f"the image has shape {image.shape_hw} here and {claimed} in the editor"
            )
        return image

    def _call(self, scene: _Scene, history: ObjectHistory) -> Call:
        return Call(
            image_id=scene.image.image_id,
            image_path=str(scene.image.path),
            steps=history.steps(scene.shape_hw),
            prior=None if history.prior is None else PriorMask("ls_rle", history.prior.ls_rle),
            lane=Lane.CLICK,
            deadline=scene.asked.arrived + self._click_s,
            encoding=encoding_for(scene.controls),
        )

    def _prompted(self, mark: Mark, scene: _Scene) -> Prompted:
        return self._arrivals.prompted(mark, scene.around.sign_of(mark), scene.asked)

    def _compose(self, scene: _Scene, history: ObjectHistory, answer: Answer) -> TaskAnswer:
        clicks = sum(prompt.mark.box is None for prompt in history.prompts)
        regions = mask_regions(
            scene.controls,
            answer.mask,
            rid=history.rid,
            labels=scene.labels,
            shape_hw=answer.shape_hw,
            score=answer.score,
            meta={"n_clicks": clicks, "model_version": answer.model_version},
            item_index=scene.item_index,
        )
        for prompt in history.prompts:
            echo = history.echo(prompt)
            regions += echo_regions(scene.controls, prompt.mark, echo, shape_hw=answer.shape_hw)
        return TaskAnswer(result=regions, score=answer.score, model_version=answer.model_version)

    def _tell(
        self,
        scene: _Scene,
        history: ObjectHistory,
        outcome: AnswerOutcome,
        *,
        answer: Answer | None = None,
        error: RemaskError | None = None,
    ) -> None:
        self._recorder.record(
            scene.asked,
            outcome,
            about=scene.marks[-1],
            history=history,
            shape_hw=scene.shape_hw,
            answer=answer,
            error=error,
        )

    def _tell_unplaced(self, asked: Asked, marks: Sequence[Mark], error: RemaskError) -> None:
        """Keep the prompts of a request that failed before anything was known of the image."""
        fresh = [
            self._arrivals.prompted(mark, mark.sign, asked)
            for mark in marks
            if mark.echo.rid is None
        ]
        self._recorder.record(
            asked,
            "kept_previous" if len(fresh) < len(marks) else "failed",
            about=marks[-1],
            history=ObjectHistory(rid="").grown(fresh),
            shape_hw=_claimed_shape(marks[-1]),
            error=error,
        )


def _alike(mark: Mark, last: Mark) -> bool:
    """Whether two prompts can belong together: same image, same labels, both points or boxes."""
    return (
        mark.drawn_box == last.drawn_box
        and set(mark.labels) == set(last.labels)
        and mark.region.to_name == last.region.to_name
        and (mark.region.item_index or 0) == (last.region.item_index or 0)
    )


def _is_prompt(mark: Mark, scene: _Scene) -> bool:
    """Whether a point that no answer has carried was meant as a click.

    A point that came with a prediction and has no sign is part of that prediction.
    """
    imported = (mark.region.origin or "manual") != "manual"
    return not (imported and scene.around.sign_of(mark) is Sign.UNKNOWN)


def _check_labels(mark: Mark, controls: ImageControls) -> None:
    if not mark.labels:
        raise InputError(f"region `{mark.id}` must have a label; it has none")
    for label in mark.labels:
        if not controls.mask.takes(label):
            raise InputError(
                f"label `{label}` of region `{mark.id}` must be one of the mask tag "
                f"`{controls.mask.name}`: {', '.join(controls.mask.labels)}"
            )


def _claimed_shape(mark: Mark) -> tuple[int, int] | None:
    height, width = mark.region.original_height, mark.region.original_width
    if not height or not width or min(height, width) < 1 or max(height, width) > 2**31:
        return None
    return round(height), round(width)


def _together(answers: Sequence[TaskAnswer]) -> TaskAnswer:
    """Return the answers to several objects as one; its score is the last one's."""
    if not answers:
        return TaskAnswer(result=[])
    regions = [region for answer in answers for region in answer.result]
    last = answers[-1]
    return TaskAnswer(result=regions, score=last.score, model_version=last.model_version)
