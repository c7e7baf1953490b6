"""The predictor: requests of Label Studio become calls of the worker, their answers regions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from remask_images.image_source import ImageSource
from remask_images.image_store import StoredImage
from remask_label_config.bodies import PredictRequest
from remask_masks.automatic.generate import AutomaticSettings
from remask_service.predict.batch import Batch
from remask_service.predict.engine_client import EngineClient
from remask_service.predict.live import Live
from remask_service.predict.recorder import Recorder
from remask_service.predict.records import AnswerRecord, PromptRecord
from remask_storage.task_notes import TaskNotes
from remask_worker.calls import Engine, Lane

__all__ = [
    "AnswerRecord",
    "ImageSource",
    "Limits",
    "PredictResponse",
    "Predictor",
    "PromptRecord",
    "StoredImage",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long answers may take and how much of a batch is under way at once.

    Attributes:
        click_s: For a click or a box that an annotator waits for.
        opened_s: For a task that was just opened; Label Studio gives up after 100 s.
        batch_s: For all tasks of a batch together, with time left to send the answer.
        batch_window: Boxes of one batch request that the worker is asked for at once.
        recall_bytes: Memory for recent answers; they only save time.
    """

    click_s: float = 20.0
    opened_s: float = 90.0
    batch_s: float = 80.0
    batch_window: int = 16
    recall_bytes: int = 128 * 2**20


class PredictResponse(msgspec.Struct, kw_only=True):
    """The body of an answer to /predict, for `msgspec.json.encode`; one entry per task."""

    results: list[msgspec.Raw]


class Predictor:
    """Answers Label Studio. Safe for threads; everything it remembers is cache."""

    def __init__(
        self,
        engine: Engine,
        images: ImageSource,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        on_answer: Callable[[AnswerRecord], None],
        limits: Limits = Limits(),
        wait: Callable[[float], None] = time.sleep,
        notes: TaskNotes | None = None,
        automatic: AutomaticSettings | None = None,
    ) -> None:
        """Answer with `engine` on images from `images`.

        Args:
            engine: Computes masks.
            images: Turns addresses in task data into files.
            clock: Unix time in seconds.
            new_id: Gives each record its id.
            on_answer: Called with the record of everything that was asked; must not block or raise.
            limits: See `Limits`.
            wait: Lets a batch wait, for so many seconds, while the worker is full.
            notes: What other hosts and earlier processes know of prompts; see `Live`.
            automatic: How a task without boxes gets automatic masks; None: it gets none.
        """
        self._limits = limits
        recorder = Recorder(clock=clock, new_id=new_id, on_answer=on_answer)
        self._live = Live(
            EngineClient(engine, clock=clock, recall_bytes=limits.recall_bytes),
            images,
            clock=clock,
            recorder=recorder,
            click_s=limits.click_s,
            notes=notes,
        )
        self._batch = Batch(
            engine,
            images,
            clock=clock,
            recorder=recorder,
            wait=wait,
            window=limits.batch_window,
            automatic=automatic,
        )

    def predict(self, request: PredictRequest) -> PredictResponse:
        """Return the answer to Label Studio.

        With a context an annotator waits: the first task is answered, and failures of the worker
        or the image leave the mask there was. Without one, every task gets its entry: see
        `Batch.answer`.

        Raises:
            InputError: The labelling configuration or a prompt cannot be understood.
            NotFound: A prompt points at an image that the configuration does not have.
        """
        if not request.tasks:
            return PredictResponse(results=[])
        if request.context is not None:
            answer = self._live.answer(request, request.tasks[0])
            return PredictResponse(results=[msgspec.Raw(msgspec.json.encode(answer))])
        opened = len(request.tasks) == 1
        lane, limit_s = (
            (Lane.OPENED, self._limits.opened_s) if opened else (Lane.BATCH, self._limits.batch_s)
        )
        return PredictResponse(results=self._batch.answer(request, lane=lane, limit_s=limit_s))
