"""The live way: an annotator drew something and waits for the mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from remask_core.errors import RemaskError, ShapeMismatch
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
from remask_label_config.prompts import Mark, marks_of
from remask_service.predict.arrivals import Arrivals
from remask_service.predict.engine_client import EngineClient
from remask_service.predict.known_objects import KnownObject, KnownObjects
from remask_service.predict.notices import Notices
from remask_service.predict.object_history import ObjectHistory, Prompted
from remask_service.predict.recorder import Asked, Recorder
from remask_service.predict.records import AnswerOutcome
from remask_service.predict.scene import (
    Scene,
    check_labels,
    claimed_shape,
    is_alike,
    is_prompt,
    is_redrawn,
)
from remask_service.predict.task_context import TaskContext
from remask_storage.task_notes import TaskNotes
from remask_worker.calls import Answer, Call, Lane, PriorMask

__all__ = ["Live", "TaskAnswer"]


class TaskAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One entry of the `results` that Label Studio gets."""

    result: list[JsonRegion]
    score: float | None = None
    model_version: str | None = None


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
        notes: TaskNotes | None = None,
    ) -> None:
        """Answer with `engine_client` on images from `images`.

        Args:
            engine_client: Asks the engine.
            images: Turns addresses in task data into files.
            clock: Unix time in seconds.
            recorder: Makes the records.
            click_s: How long an answer may take.
            notes: What other hosts, and earlier processes, know of prompts; None: nothing, and
                prompts that this process has not seen count as answered.
        """
        self._engine_client = engine_client
        self._images = images
        self._clock = clock
        self._recorder = recorder
        self._click_s = click_s
        self._arrivals = Arrivals(notes)
        self._notices = Notices(notes)

    def answer(self, request: PredictRequest, task: Task) -> TaskAnswer:
        """Return the mask of what was drawn last, and its prompts with their `meta`.

        When the image or the worker fails, the annotator keeps the mask there was, the page shows
        a sentence if it can, and the record says so.

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
        alike = tuple(mark for mark in marks if is_alike(mark, last))
        lost = self._arrivals.begin(alike, asked)
        try:
            controls = parse_labelling_config(request.label_config).on(last.region.to_name)
            check_labels(last, controls)
        except RemaskError as error:
            self._record_unplaced(asked, alike, error)
            raise
        try:
            image = self._image(task, controls, last)
        except RemaskError as error:
            self._record_unplaced(asked, alike, error)
            return TaskAnswer(result=self._notices.failed(controls, asked, error))
        scene = self._scene(asked, controls, alike, image, task, lost)
        return self._boxes(scene) if last.drawn_box else self._clicks(scene)

    def _scene(
        self,
        asked: Asked,
        controls: ImageControls,
        marks: tuple[Mark, ...],
        image: StoredImage,
        task: Task,
        lost: frozenset[str],
    ) -> Scene:
        around = TaskContext(task, controls, shape_hw=image.shape_hw)
        objects = KnownObjects(
            around,
            labels=marks[-1].labels,
            item_index=marks[-1].region.item_index,
            task_id=asked.task_id,
            shape_hw=image.shape_hw,
            prompted=lambda mark: self._arrivals.prompted(mark, around.sign_of(mark), asked),
            call_for=lambda history: self._call(asked, controls, image, history),
            engine_client=self._engine_client,
        )
        return Scene(asked, controls, marks, image, around, objects, lost)

    def _boxes(self, scene: Scene) -> TaskAnswer:
        """Answer every box that waits for its mask; each is an object of its own."""
        if not scene.labels:
            return self._ask_for_class(scene)
        last = scene.marks[-1]
        waiting = [
            mark
            for mark in scene.marks
            if mark is last or (scene.objects.is_pending_box(mark) and not is_redrawn(mark, scene))
        ]
        new = [
            ObjectHistory(rid=region_id(scene.asked.task_id, mark.id)).grown(
                [self._prompted(mark, scene)]
            )
            for mark in waiting
        ]
        return self._answer_objects(scene, [KnownObject(history, scene.labels) for history in new])

    def _clicks(self, scene: Scene) -> TaskAnswer:
        """Answer the clicks that no answer has carried yet.

        They are one pile, which belongs to the object of its first click. A click that is known to
        have failed is not part of the pile, for its annotator has gone on to something else, and
        neither is one on the dot of another object, which asks for that one's next reading.
        """
        fresh = [
            self._prompted(mark, scene)
            for mark in scene.marks
            if mark.echo.rid is None and is_prompt(mark, scene)
        ]
        try:
            known = scene.objects.carried(scene.marks)
            if fresh:
                asked_for = self._grown(scene, known, fresh)
            else:
                repeated = scene.marks[-1].echo.rid
                asked_for = [
                    KnownObject(each.history, each.labels or scene.labels)
                    for each in known
                    if each.history.rid == repeated
                ]
        except RemaskError as error:
            lost = ObjectHistory(rid="").grown(fresh)
            self._record(scene, lost, "kept_previous", error=error)
            return TaskAnswer(result=self._notices.failed(scene.controls, scene.asked, error))
        if any(not each.labels for each in asked_for):
            return self._ask_for_class(scene)
        begun = [each for each in asked_for if each.history.steps(scene.shape_hw)]
        if not begun:
            history = asked_for[-1].history if asked_for else ObjectHistory(rid="")
            self._record(scene, history, "empty")
            return TaskAnswer(result=[])
        return self._answer_objects(scene, begun, pile=len(fresh))

    def _grown(
        self, scene: Scene, known: Sequence[KnownObject], fresh: Sequence[Prompted]
    ) -> list[KnownObject]:
        """Return the objects that the clicks in `fresh` belong to, with them at their end."""
        objects = {each.history.rid: each for each in known}
        touched: dict[str, None] = {}
        for pile in self._piles(scene, known, fresh):
            owner = next(
                (
                    each
                    for each in objects.values()
                    if each.history.repeats_last(pile[0], scene.shape_hw)
                ),
                None,
            )
            owner = owner or scene.objects.owner(pile[0], list(objects.values()))
            if owner is None:
                rid = region_id(scene.asked.task_id, pile[0].mark.id)
                owner = KnownObject(ObjectHistory(rid=rid), scene.labels)
            history, again = owner.history, False
            for prompt in pile:
                again = history.repeats_last(prompt, scene.shape_hw)
                history = history.reread() if again else history.grown([prompt])
            objects[history.rid] = KnownObject(history, owner.labels or scene.labels, again)
            touched[history.rid] = None
        return [objects[rid] for rid in touched]

    def _piles(
        self, scene: Scene, known: Sequence[KnownObject], fresh: Sequence[Prompted]
    ) -> list[list[Prompted]]:
        """Return the clicks that belong together; those that stand alone come last."""
        lost = {prompt.mark.id for prompt in fresh[:-1]} & scene.lost
        alone = [
            prompt
            for prompt in fresh
            if (prompt.positive and prompt.mark.id in lost)
            or any(each.history.repeats_last(prompt, scene.shape_hw) for each in known)
        ]
        pile = [prompt for prompt in fresh if prompt not in alone]
        return [*([pile] if pile else []), *([prompt] for prompt in alone)]

    def _answer_objects(
        self, scene: Scene, objects: Sequence[KnownObject], *, pile: int = 1
    ) -> TaskAnswer:
        """Ask for the masks of `objects` at once, and return what there is of them.

        Args:
            scene: The request.
            objects: With their new prompts.
            pile: How many prompts of the request no answer has carried yet.
        """
        calls = [self._call_for(scene, each.history) for each in objects]
        outcomes = self._engine_client.request(calls)
        answers: list[TaskAnswer] = []
        problem: RemaskError | None = None
        asked = list(zip(objects, outcomes, strict=True))
        for each, outcome in asked:
            if isinstance(outcome, Answer):
                answers.append(self._compose(scene, each, outcome))
                self._arrivals.answered(each.history.prompts, scene.asked)
                self._record(scene, each.history, "answered", answer=outcome)
            else:
                problem = outcome
                self._arrivals.failed(each.history.prompts, scene.asked)
                previous = self._previous(scene, each, outcome, pile)
                answers += [] if previous is None else [previous]
        answer = _together(answers)
        if problem is not None:
            answer.result.extend(self._notices.failed(scene.controls, scene.asked, problem))
        elif not all(self._has_changed(scene, each, outcome) for each, outcome in asked):
            answer.result.extend(self._notices.show(scene.controls, scene.asked, "only"))
        else:
            drafted = scene.around.drafted_notice if scene.controls.notices else None
            answer.result.extend(
                self._notices.answered(scene.controls, scene.asked, drafted=drafted)
            )
        return answer

    def _has_changed(self, scene: Scene, each: KnownObject, outcome: object) -> bool:
        """Whether the next reading, if one was asked for, is another mask; True if unknown."""
        if not each.is_reread or not isinstance(outcome, Answer):
            return True
        # Another host may have given the reading before; the model gives the same one again.
        call = self._call_for(scene, each.history.read_before())
        (before,) = self._engine_client.request([call])
        return not isinstance(before, Answer) or before.mask != outcome.mask

    def _previous(
        self, scene: Scene, each: KnownObject, error: RemaskError, pile: int
    ) -> TaskAnswer | None:
        """Return the mask there was before the last click, where the editor would lose it.

        An accepted mask stays on the screen when the answer is empty. A suggestion does not: the
        editor clears it with every answer, so it is given again while it is remembered.
        """
        earlier = each.history.shortened()
        is_begun = bool(earlier.steps(scene.shape_hw))
        stands = is_begun or each.history.prior is not None
        self._record(scene, each.history, "kept_previous" if stands else "failed", error=error)
        if pile > 1 and is_begun:
            answer = self._engine_client.recalled(self._call_for(scene, earlier))
            if answer is not None:
                return self._compose(scene, KnownObject(earlier, each.labels), answer)
        return None

    def _ask_for_class(self, scene: Scene) -> TaskAnswer:
        """Answer a prompt of no class, which could be of several, with a sentence on the page."""
        fresh = [self._prompted(mark, scene) for mark in scene.marks if mark.echo.rid is None]
        self._record(scene, ObjectHistory(rid="").grown(fresh), "empty")
        return TaskAnswer(result=self._notices.show(scene.controls, scene.asked, "class"))

    def _image(self, task: Task, controls: ImageControls, last: Mark) -> StoredImage:
        index = last.region.item_index or 0
        url = controls.image.url(task.data, item_index=index)
        image = self._images.fetch(url, task_id=task.id)
        claimed = claimed_shape(last)
        if claimed is not None and claimed != image.shape_hw:
            raise ShapeMismatch(
                f"the image has shape {image.shape_hw} here and {claimed} in the editor"
            )
        return image

    def _call_for(self, scene: Scene, history: ObjectHistory) -> Call:
        return self._call(scene.asked, scene.controls, scene.image, history)

    def _call(
        self, asked: Asked, controls: ImageControls, image: StoredImage, history: ObjectHistory
    ) -> Call:
        return Call(
            image_id=image.image_id,
            image_path=str(image.path),
            steps=history.steps(image.shape_hw),
            prior=None if history.prior is None else PriorMask("ls_rle", history.prior.ls_rle),
            lane=Lane.CLICK,
            deadline=asked.arrived + self._click_s,
            encoding=encoding_for(controls),
        )

    def _prompted(self, mark: Mark, scene: Scene) -> Prompted:
        return self._arrivals.prompted(mark, scene.around.sign_of(mark), scene.asked)

    def _compose(self, scene: Scene, each: KnownObject, answer: Answer) -> TaskAnswer:
        history = each.history
        clicks = sum(prompt.mark.box is None for prompt in history.prompts)
        regions = mask_regions(
            scene.controls,
            answer.mask,
            rid=history.rid,
            labels=each.labels,
            shape_hw=answer.shape_hw,
            score=answer.score,
            meta={"n_clicks": clicks, "model_version": answer.model_version},
            item_index=scene.item_index,
        )
        for prompt in history.prompts:
            echo = history.echo(prompt)
            regions += echo_regions(
                scene.controls, prompt.mark, echo, labels=each.labels, shape_hw=answer.shape_hw
            )
        return TaskAnswer(result=regions, score=answer.score, model_version=answer.model_version)

    def _record(
        self,
        scene: Scene,
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

    def _record_unplaced(self, asked: Asked, marks: Sequence[Mark], error: RemaskError) -> None:
        """Keep the prompts of a request that failed before anything was known of the image."""
        fresh = [
            self._arrivals.prompted(mark, mark.sign, asked)
            for mark in marks
            if mark.echo.rid is None
        ]
        self._arrivals.failed(fresh, asked)
        self._recorder.record(
            asked,
            "kept_previous" if len(fresh) < len(marks) else "failed",
            about=marks[-1],
            history=ObjectHistory(rid="").grown(fresh),
            shape_hw=claimed_shape(marks[-1]),
            error=error,
        )


def _together(answers: Sequence[TaskAnswer]) -> TaskAnswer:
    """Return the answers to several objects as one; its score is the last one's."""
    if not answers:
        return TaskAnswer(result=[])
    regions = [region for answer in answers for region in answer.result]
    last = answers[-1]
    return TaskAnswer(result=regions, score=last.score, model_version=last.model_version)
