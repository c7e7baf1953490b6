"""The scheduler: one model, one thread, the most urgent call first.

The loop knows nothing of its host. It runs in whatever thread calls `run`; calls come from any
thread through `submit`. An `Observer` learns what the loop is about to start, so that a supervisor
can blame the right call for a death.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from remask_core.errors import InputError, RemaskError, Unavailable
from remask_core.types import Candidate, Embedding, RgbImage, Segmenter
from remask_masks.automatic.generate import automatic_masks
from remask_worker.answer_cache import AnswerCache, settle
from remask_worker.calls import Answer, Call, Expired, Lane, ModelFailed
from remask_worker.embedding_cache import EmbeddingCache
from remask_worker.lanes import Job, Lanes, check_room
from remask_worker.observer import LoopStats, NullObserver, Observer
from remask_worker.pixels import read_image
from remask_worker.replayer import Replayer
from remask_worker.settings import WorkerSettings
from remask_worker.time_slices import BatchDebt, TimeSlice

__all__ = ["DeviceLoop", "DeviceLost"]

log = logging.getLogger(__name__)

# So many unexpected errors in a row mean that the device itself is lost, as after a CUDA error.
_FAILURES_IN_A_ROW = 3
_BATCH_FIRST = (Lane.BATCH, Lane.CLICK, Lane.OPENED)


class DeviceLost(RuntimeError):
    """Every call of the model fails; only a new process can help."""


class DeviceLoop:
    """Answers calls with one segmenter, one step at a time.

    Args:
        segmenter: The model. Only the thread in `run` touches it.
        settings: Bounds and limits; the model's own settings are not looked at.
        observer: Learns what is started, before it is.
        clock: Monotonic seconds.
        wall: Unix seconds, for deadlines.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        settings: WorkerSettings,
        *,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._segmenter = segmenter
        self._settings = settings
        self._observer = observer or NullObserver()
        self._clock = clock
        self._wall = wall
        self._wake = threading.Condition()
        self._closed = False
        self._lanes = Lanes()
        self._debt = BatchDebt(settings.batch_share)
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="remask-codec")
        self._embeddings = EmbeddingCache(
            max_bytes=settings.cache_bytes,
            spill_dir=None if settings.spill_dir is None else Path(settings.spill_dir),
            spill_bytes=settings.spill_bytes,
            model_version=segmenter.version,
        )
        self._replayer = Replayer(segmenter, max_bytes=settings.logits_bytes)
        self._answer_cache = AnswerCache(
            model_version=segmenter.version, max_bytes=settings.answers_bytes, pool=self._pool
        )
        self._slices: list[TimeSlice] = []
        self._step_began: float | None = None
        self._embedded = 0
        self._failures = 0

    # ---- any thread

    def submit(self, call: Call) -> Future[Answer]:
        """Return at once with the future of the answer; see `Engine.submit`."""
        job = Job(call)
        try:
            with self._wake:
                if self._closed:
                    raise Unavailable("the worker is closed")
                check_room(
                    call.lane,
                    waiting=self._lanes.waiting(call.lane),
                    limits=self._settings.lane_limits,
                )
                self._lanes.push(job)
                self._wake.notify_all()
        except Unavailable as error:
            settle(job.future, error)
        return job.future

    def stats(self) -> LoopStats:
        """Return the counts as they are."""
        began = self._step_began
        return LoopStats(
            queued={lane.name.lower(): self._lanes.waiting(lane) for lane in Lane},
            embeddings=len(self._embeddings),
            embedding_bytes=self._embeddings.nbytes,
            embedded=self._embedded,
            step_s=0.0 if began is None else self._clock() - began,
        )

    def close(self) -> None:
        """Make `run` return after the work under way; what waits is answered `Unavailable`."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    # ---- the loop's own thread

    def run(self) -> None:
        """Work until `close`.

        Raises:
            DeviceLost: The model raised unexpected errors several times in a row.
        """
        try:
            while (turn := self._next_turn()) is not None:
                self._serve(*turn)
        finally:
            self.close()
            with self._wake:
                left = self._lanes.withdraw_all()
            self._fail(left, Unavailable("the worker is closed"))
            self._pool.shutdown()
            self._embeddings.close()

    def _next_turn(self) -> tuple[Lane, str] | None:
        self._step_began = None
        with self._wake:
            while not self._closed:
                if not self._lanes.waiting(Lane.BATCH):
                    self._debt.forgive()
                for lane in _BATCH_FIRST if self._debt.due else Lane:
                    image_id = next(self._lanes.images(lane), None)
                    if image_id is not None:
                        return lane, image_id
                self._wake.wait()
        return None

    def _serve(self, lane: Lane, image_id: str) -> None:
        """Do one step of work for this image: encode it, or answer some of its jobs."""
        at_stake = self._drop_unwanted(lane, image_id)
        if not at_stake:
            return
        self._step_began = self._clock()
        known = image_id in self._embeddings
        try:
            if known:
                time_slice = TimeSlice(image_id, lane, embeds=False, since=self._clock())
                embedding = self._embeddings.get(image_id)
                if embedding is None:  # its file could not be read: it counts as new from now on
                    return
                with self._wake:
                    at_stake = self._lanes.take(lane, image_id, max_batch=self._settings.max_batch)
                self._answer(time_slice, at_stake, embedding)
            else:
                self._embed(lane, image_id, at_stake[0])
            self._failures = 0
        except DeviceLost:
            raise
        except Exception as error:
            if not known:
                with self._wake:
                    path = at_stake[0].call.image_path
                    at_stake = self._lanes.withdraw_path(image_id, path)
            self._fail(at_stake, self._as_remask_error(error))
            if self._failures >= _FAILURES_IN_A_ROW:
                raise DeviceLost(f"{self._failures} unexpected errors in a row") from error

    def _embed(self, lane: Lane, image_id: str, job: Job) -> None:
        """Encode the image; its jobs stay in their lanes and find the embedding afterwards."""
        time_slice = TimeSlice(image_id, lane, embeds=True, since=self._clock())
        self._slices.append(time_slice)
        self._observer.embedding(self._images_under_way())
        try:
            image = self._read(job.call.image_path, time_slice)
            time_slice.since = self._clock()
            embedding = self._segmenter.embed(image, pause=self._give_way)
            self._account(time_slice)
            self._embedded += 1
            job.embed_ms = time_slice.worked_s * 1e3
            self._embeddings.put(image_id, embedding)
        finally:
            self._slices.pop()
            self._observer.embedding(self._images_under_way())

    def _read(self, path: str, time_slice: TimeSlice) -> RgbImage:
        """Return the image; while another thread decodes it, urgent work goes on."""
        reading = self._pool.submit(read_image, path, max_pixels=self._settings.max_pixels)
        reading.add_done_callback(lambda _: self._notify())
        while True:
            with self._wake:
                turn = self._urgent_turn(time_slice)
                if turn is None:
                    if reading.done():
                        return reading.result()
                    self._wake.wait()
                    continue
            if reading.done():
                return reading.result()
            self._lend(time_slice, turn)

    def _answer(self, time_slice: TimeSlice, jobs: Sequence[Job], embedding: Embedding) -> None:
        """Give these jobs of one image their masks."""
        self._slices.append(time_slice)
        try:
            jobs = self._answer_cache.admit(jobs)
            if not jobs:
                return
            self._observer.starting([job.keys[-1] for job in jobs])
            if len(jobs) > 1:
                with suppress(InputError):  # one is at fault: they are answered one by one
                    candidates = self._replayer.predict_batch(jobs, embedding)
                    self._deliver(jobs, candidates, time_slice)
                    return
            for job in jobs:
                if job.call.automatic is not None or job.call.embed_only:
                    self._answer_without_steps(job, embedding, time_slice)
                    continue
                try:
                    candidate = self._replayer.predict(job, embedding, pause=self._give_way)
                except InputError as error:
                    self._answer_cache.fail(job, error)
                else:
                    self._deliver([job], [candidate], time_slice)
        finally:
            self._account(time_slice)
            self._slices.pop()

    def _answer_without_steps(self, job: Job, embedding: Embedding, time_slice: TimeSlice) -> None:
        """Answer a call for all masks of the image, or for its embedding alone."""
        call, shape_hw = job.call, embedding.shape_hw
        if call.steps or call.prior is not None:
            self._answer_cache.fail(
                job, InputError("`steps` and `prior` must be empty where no object is asked for")
            )
        elif call.automatic is None:
            image_id = call.image_id
            self._answer_cache.deliver_embedding(
                job,
                lambda: self._embeddings.keep(image_id, embedding),
                shape_hw=shape_hw,
                model_ms=time_slice.worked_s * 1e3,
            )
        else:
            image = self._read(call.image_path, time_slice)
            time_slice.since = self._clock()
            masks = automatic_masks(
                self._segmenter,
                image,
                call.automatic,
                embedding=embedding,
                pause=self._give_way,
            )
            self._account(time_slice)
            model_ms = time_slice.worked_s * 1e3
            self._answer_cache.deliver_automatic(job, masks, shape_hw=shape_hw, model_ms=model_ms)

    def _deliver(
        self, jobs: Sequence[Job], candidates: Sequence[Candidate], time_slice: TimeSlice
    ) -> None:
        self._account(time_slice)
        model_ms = time_slice.worked_s * 1e3 / len(jobs)
        for job, candidate in zip(jobs, candidates, strict=True):
            self._answer_cache.deliver(job, candidate, model_ms=model_ms)

    # ---- giving way

    def _give_way(self) -> None:
        """Let more urgent work go first: called between two steps of the current time slice."""
        time_slice = self._slices[-1]
        self._account(time_slice)
        while time_slice.may_lend(self._settings.batch_share):
            with self._wake:
                turn = self._urgent_turn(time_slice)
            if turn is None:
                break
            self._lend(time_slice, turn)
        time_slice.since = self._step_began = self._clock()

    def _urgent_turn(self, time_slice: TimeSlice) -> tuple[Lane, str] | None:
        """Return what may interrupt `time_slice`; the lock is held.

        An image under way is left alone: its callers wait for the time_slice that encodes it, which
        inherits their urgency.
        """
        under_way = self._images_under_way()
        waiting = self._lanes.most_urgent(time_slice.image_id)
        if time_slice.embeds and waiting is not None:
            time_slice.lane = min(time_slice.lane, waiting)
        room = len(under_way) < self._settings.max_embeds
        for lane in Lane:
            for image_id in self._lanes.images(lane) if lane <= time_slice.lane else ():
                known = image_id in self._embeddings
                if image_id not in under_way and time_slice.gives_way_to(
                    lane, known=known, room=room
                ):
                    return lane, image_id
        return None

    def _lend(self, time_slice: TimeSlice, turn: tuple[Lane, str]) -> None:
        began = self._clock()
        self._serve(*turn)
        time_slice.since = self._step_began = self._clock()
        time_slice.lent_s += time_slice.since - began

    def _account(self, time_slice: TimeSlice) -> None:
        self._debt.note(time_slice.lane, time_slice.work_until(self._clock()))

    def _images_under_way(self) -> list[str]:
        return [time_slice.image_id for time_slice in self._slices if time_slice.embeds]

    # ---- ends

    def _drop_unwanted(self, lane: Lane, image_id: str) -> list[Job]:
        """Return the jobs of this image that are still wanted; let go of the others."""
        now = self._wall()
        with self._wake:
            jobs = self._lanes.jobs(lane, image_id)
            late = [job for job in jobs if job.call.deadline <= now]
            unwanted = late + [job for job in jobs if job.future.done()]
            self._lanes.withdraw(image_id, unwanted)
        self._fail(late, Expired("the call's `deadline` passed before its turn came"))
        gone = {job.serial for job in unwanted}
        return [job for job in jobs if job.serial not in gone]

    def _fail(self, jobs: Sequence[Job], error: RemaskError) -> None:
        for job in jobs:
            self._answer_cache.fail(job, error)

    def _as_remask_error(self, error: Exception) -> RemaskError:
        if isinstance(error, RemaskError):
            return error
        log.error("the model failed", exc_info=error)
        self._failures += 1
        return ModelFailed(f"the model raised {type(error).__name__}; the worker's log has more")

    def _notify(self) -> None:
        with self._wake:
            self._wake.notify_all()
