"""Simulated machines: a worker with its GPU and its lanes, and a web host.

The worker goes by the very rules of the real one: `TimeSlice` says what interrupts what, and
`BatchDebt` what batch work is owed. Only its work is a pause in simulated time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

import simpy

from remask_bench.capacity.costs import Costs
from remask_worker.calls import Lane
from remask_worker.settings import WorkerSettings
from remask_worker.time_slices import BatchDebt, TimeSlice

__all__ = ["SimulatedHost", "SimulatedWorker", "Steps", "Usage"]

Steps: TypeAlias = Generator[simpy.Event, Any, None]

_SETTINGS = WorkerSettings(model="simulated")
_BATCH_FIRST = (Lane.BATCH, Lane.CLICK, Lane.OPENED)


@dataclass(slots=True)
class Usage:
    """What a machine has done.

    Attributes:
        busy_s: Seconds of its GPU, or of its web process's interpreter.
        encoded: Images encoded.
        answered: Calls answered.
    """

    busy_s: float = 0.0
    encoded: int = 0
    answered: int = 0


class SimulatedWorker:
    """One model on one GPU, with its lanes and its cache of encoded images.

    Args:
        env: Simulated time.
        costs: See `Costs`.
        megapixels: Of each image.
        cache_mb: Memory for encoded images.
    """

    def __init__(
        self, env: simpy.Environment, costs: Costs, *, megapixels: float, cache_mb: float
    ) -> None:
        self.usage = Usage()
        self._env = env
        self._costs = costs
        self._read_s = megapixels * (
            costs.read_s_per_mp + costs.image_mb_per_mp / costs.network_mb_s
        )
        self._room = max(1, int(cache_mb / max(costs.embedding_mb, 1e-9)))
        self._cached: OrderedDict[int, None] = OrderedDict()
        self._waiting: dict[Lane, OrderedDict[int, list[simpy.Event]]] = {
            lane: OrderedDict() for lane in Lane
        }
        self._slices: list[TimeSlice] = []
        self._debt = BatchDebt(_SETTINGS.batch_share)
        self._wake = env.event()
        env.process(self._run())

    def submit(self, lane: Lane, image: int) -> simpy.Event:
        """Return an event that comes about when the call is answered."""
        done = self._env.event()
        self._waiting[lane].setdefault(image, []).append(done)
        if not self._wake.triggered:
            self._wake.succeed()
        return done

    def _run(self) -> Steps:
        while True:
            turn = self._next_turn()
            if turn is None:
                yield from self._sleep()
            else:
                yield from self._serve(*turn)

    def _sleep(self, until: simpy.Event | None = None) -> Steps:
        self._wake = self._env.event()
        yield self._wake if until is None else self._wake | until

    def _next_turn(self) -> tuple[Lane, int] | None:
        if not self._waiting[Lane.BATCH]:
            self._debt.forgive()
        for lane in _BATCH_FIRST if self._debt.due else Lane:
            for image in self._waiting[lane]:
                return lane, image
        return None

    def _serve(self, lane: Lane, image: int) -> Steps:
        if image not in self._cached:
            yield from self._encode(lane, image)
            return
        self._cached.move_to_end(image)
        jobs = self._waiting[lane][image]
        taken, left = jobs[: _SETTINGS.max_batch], jobs[_SETTINGS.max_batch :]
        if left:
            self._waiting[lane][image] = left
        else:
            del self._waiting[lane][image]
        time_slice = TimeSlice(str(image), lane, embeds=False, since=self._env.now)
        yield from self._work(time_slice, self._costs.decode_s + self._costs.prompt_s * len(taken))
        self.usage.answered += len(taken)
        for job in taken:
            job.succeed()

    def _encode(self, lane: Lane, image: int) -> Steps:
        time_slice = TimeSlice(str(image), lane, embeds=True, since=self._env.now)
        self._slices.append(time_slice)
        reading = self._env.timeout(self._read_s)
        while not reading.processed:
            turn = self._urgent_turn(time_slice)
            if turn is None:
                yield from self._sleep(reading)
            else:
                yield from self._lend(time_slice, turn)
        for _ in range(self._costs.encode_steps):
            yield from self._work(time_slice, self._costs.encode_s / self._costs.encode_steps)
            while time_slice.may_lend(_SETTINGS.batch_share):
                turn = self._urgent_turn(time_slice)
                if turn is None:
                    break
                yield from self._lend(time_slice, turn)
        self._slices.remove(time_slice)
        self.usage.encoded += 1
        self._cached[image] = None
        if len(self._cached) > self._room:
            self._cached.popitem(last=False)

    def _work(self, time_slice: TimeSlice, seconds: float) -> Steps:
        time_slice.since = self._env.now
        yield self._env.timeout(seconds)
        self.usage.busy_s += seconds
        self._debt.note(time_slice.lane, time_slice.work_until(self._env.now))

    def _urgent_turn(self, time_slice: TimeSlice) -> tuple[Lane, int] | None:
        """Return what may interrupt `time_slice`, which inherits the urgency of its callers."""
        under_way = {each.image_id for each in self._slices}
        room = len(under_way) < _SETTINGS.max_embeds
        own = int(time_slice.image_id)
        for lane in Lane:
            if own in self._waiting[lane]:
                time_slice.lane = min(time_slice.lane, lane)
        for lane in Lane:
            for image in self._waiting[lane] if lane <= time_slice.lane else ():
                known = image in self._cached
                if str(image) not in under_way and time_slice.gives_way_to(
                    lane, known=known, room=room
                ):
                    return lane, image
        return None

    def _lend(self, time_slice: TimeSlice, turn: tuple[Lane, int]) -> Steps:
        began = self._env.now
        yield from self._serve(*turn)
        time_slice.lent_s += self._env.now - began


class SimulatedHost:
    """A web process: one interpreter that requests take turns in.

    Args:
        env: Simulated time.
        costs: See `Costs`.
    """

    def __init__(self, env: simpy.Environment, costs: Costs) -> None:
        self.usage = Usage()
        self._env = env
        self._costs = costs
        self._interpreter = simpy.Resource(env)

    def answer(self, worker: SimulatedWorker, lane: Lane, image: int, *, store: bool) -> Steps:
        """Take a request, ask a worker, store the click, and answer."""
        yield from self._compute(self._costs.web_cpu_s / 2)
        yield worker.submit(lane, image)
        yield from self._compute(self._costs.web_cpu_s / 2)
        rest_s = max(0.0, self._costs.web_s - self._costs.web_cpu_s)
        yield self._env.timeout(rest_s + (self._costs.store_s if store else 0.0))
        self.usage.answered += 1

    def _compute(self, seconds: float) -> Steps:
        with self._interpreter.request() as turn:
            yield turn
            yield self._env.timeout(seconds)
        self.usage.busy_s += seconds
