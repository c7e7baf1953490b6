"""The queues in front of the device: three lanes of calls, grouped by image."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from remask_worker.calls import (
    Answer,
    Call,
    CallKey,
    Lane,
    Overloaded,
    call_key,
    history_keys,
)

__all__ = ["Job", "Lanes", "check_room"]

_RETRY_AFTER_S = {Lane.CLICK: 1.0, Lane.OPENED: 2.0, Lane.BATCH: 5.0}


def check_room(lane: Lane, *, waiting: int, limits: Sequence[int]) -> None:
    """Do nothing if another call may wait in `lane`.

    Raises:
        Overloaded: `limits[lane]` calls wait already.
    """
    if waiting >= limits[lane]:
        raise Overloaded(
            f"`lane` {lane.name.lower()} must have fewer than {limits[lane]} calls waiting; "
            f"it has {waiting}",
            retry_after_s=_RETRY_AFTER_S[lane],
        )


@dataclass(slots=True, eq=False)
class Job:
    """A call that waits or is worked on, and its future.

    Attributes:
        keys: `history_keys` of the call.
        key: `call_key` of the call.
        embed_ms: Milliseconds of encoding done on this call's behalf; None if it made none.
        serial: Order of arrival.
    """

    call: Call
    future: Future[Answer] = field(default_factory=Future)
    keys: list[bytes] = field(init=False)
    key: CallKey = field(init=False)
    embed_ms: float | None = None
    serial: int = 0

    def __post_init__(self) -> None:
        self.keys = history_keys(self.call)
        self.key = call_key(self.call, keys=self.keys)

    @property
    def batch_shape(self) -> tuple[int, bool] | None:
        """Equal for jobs that one batched model call can answer; None if this one needs a prior."""
        if len(self.call.steps) != 1 or self.call.prior is not None:
            return None
        step = self.call.steps[0]
        return len(step.clicks), step.box is not None


class _Queue:
    """One lane: images in order of arrival, and the jobs of each.

    An image keeps its turn until the jobs that waited when the turn began are done, so that its
    embedding is used while it is there; jobs that came later go behind the other images.
    """

    def __init__(self) -> None:
        self._images: OrderedDict[str, deque[Job]] = OrderedDict()
        self._turn_ends: dict[str, int] = {}
        self.waiting = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._images

    def push(self, job: Job) -> None:
        self._images.setdefault(job.call.image_id, deque()).append(job)
        self.waiting += 1

    def jobs(self, image_id: str) -> list[Job]:
        return list(self._images.get(image_id, ()))

    def remove(self, image_id: str, jobs: Sequence[Job]) -> None:
        """Take `jobs`, all of this image and all waiting here, out of the lane."""
        gone = {job.serial for job in jobs}
        left = deque(job for job in self._images.get(image_id, ()) if job.serial not in gone)
        self.waiting -= len(gone)
        if left:
            self._images[image_id] = left
        elif image_id in self._images:
            del self._images[image_id]
            self._turn_ends.pop(image_id, None)

    def pass_turn(self, image_id: str, *, now: int) -> None:
        """Let the next image have its turn, if this one has had its own."""
        if image_id not in self._images:
            return
        turn_end = self._turn_ends.setdefault(image_id, now)
        if self._images[image_id][0].serial >= turn_end:
            self._images.move_to_end(image_id)
            del self._turn_ends[image_id]


class Lanes:
    """The three lanes. Not thread-safe: the loop guards it with its lock."""

    def __init__(self) -> None:
        self._queues = {lane: _Queue() for lane in Lane}
        self._arrived = 0

    def push(self, job: Job) -> None:
        """Let `job` wait in its lane."""
        job.serial = self._arrived
        self._arrived += 1
        self._queues[job.call.lane].push(job)

    def waiting(self, lane: Lane) -> int:
        """Return the number of jobs that wait in `lane`."""
        return self._queues[lane].waiting

    def images(self, lane: Lane) -> Iterator[str]:
        """Yield the images of `lane`, the one whose turn it is first."""
        return iter(self._queues[lane])

    def most_urgent(self, image_id: str) -> Lane | None:
        """Return the most urgent lane with a job of this image; None if there is none."""
        return next((lane for lane in Lane if image_id in self._queues[lane]), None)

    def jobs(self, lane: Lane, image_id: str) -> list[Job]:
        """Return the jobs that wait in `lane` for this image, oldest first."""
        return self._queues[lane].jobs(image_id)

    def take(self, lane: Lane, image_id: str, *, max_batch: int) -> list[Job]:
        """Take the oldest job of this image, with those that one model call can answer as well."""
        waiting = self.jobs(lane, image_id)
        taken = waiting[:1]
        shape = taken[0].batch_shape if taken else None
        if shape is not None:
            taken = [job for job in waiting if job.batch_shape == shape][:max_batch]
        queue = self._queues[lane]
        queue.remove(image_id, taken)
        queue.pass_turn(image_id, now=self._arrived)
        return taken

    def withdraw(self, image_id: str, jobs: Sequence[Job]) -> None:
        """Take these waiting jobs, all of this image, out of their lanes."""
        for lane, queue in self._queues.items():
            queue.remove(image_id, [job for job in jobs if job.call.lane is lane])

    def withdraw_path(self, image_id: str, image_path: str) -> list[Job]:
        """Take out the jobs of this image at this path; another path of it may be readable."""
        jobs = [job for lane in Lane for job in self.jobs(lane, image_id)]
        gone = [job for job in jobs if job.call.image_path == image_path]
        self.withdraw(image_id, gone)
        return gone

    def withdraw_all(self) -> list[Job]:
        """Take out all jobs."""
        gone = [
            job
            for lane in Lane
            for image_id in self.images(lane)
            for job in self.jobs(lane, image_id)
        ]
        for job in gone:
            self.withdraw(job.call.image_id, [job])
        return gone
