"""A day of many annotators in a minute: what their clicks wait for, on given hosts and GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import simpy

from remask_bench.capacity.costs import Costs
from remask_bench.capacity.machines import SimulatedHost, SimulatedWorker, Steps
from remask_bench.capacity.people import Behaviour
from remask_core.errors import InputError
from remask_worker.calls import Lane

__all__ = ["Outcome", "Setup", "simulate"]

_WARM_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What is simulated.

    Attributes:
        annotators: People at work at the same time.
        hosts: Web processes.
        gpus: Workers, each with a GPU of its own.
        routes_by_image: Whether a worker belongs to an image (a cluster's router), or to a host
            that a proxy chose in turn (`remask serve` with a model of its own).
        megapixels: Of each image.
        cache_mb: Memory for encoded images, of each worker.
        asks_on_opening: Whether the image is encoded when its task is opened, as Label Studio asks
            for predictions then.
        batch_window: Images of a batch job that each worker is given at once; 0: there is none.
        seconds: Simulated, after a warm-up of a minute.
    """

    annotators: int
    hosts: int = 1
    gpus: int = 1
    routes_by_image: bool = True
    megapixels: float = 1.0
    cache_mb: float = 256.0
    asks_on_opening: bool = True
    batch_window: int = 0
    seconds: float = 120.0

    def __post_init__(self) -> None:
        for name in ("annotators", "hosts", "gpus"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be 1 or more; got {getattr(self, name)}")
        if not self.routes_by_image and self.gpus % self.hosts:
            raise InputError(
                f"`gpus` must be a multiple of `hosts` ({self.hosts}) where each host has its own; "
                f"got {self.gpus}"
            )
        if not (self.seconds > 0 and self.megapixels > 0 and self.cache_mb >= 0):
            raise InputError("`seconds`, `megapixels` and `cache_mb` must be more than 0")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a simulation; nan where nothing was clicked.

    Attributes:
        setup: What was simulated.
        clicks_per_s: Clicks answered, per second.
        objects_per_h: Objects finished, per hour.
        images_per_h: Images finished, per hour.
        p50_ms: Median time from a click to its answer.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        gpu_busy: Share of the time that the GPUs work.
        web_busy: Share of the time that the busiest web process computes.
        encodings_per_image: How often an image was encoded since the beginning; 1 is ideal.
        batch_per_h: Images of the batch job, per hour.
        network_mb_s: Images fetched, MB per second over all workers.
    """

    setup: Setup
    clicks_per_s: float
    objects_per_h: float
    images_per_h: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    gpu_busy: float
    web_busy: float
    encodings_per_image: float
    batch_per_h: float
    network_mb_s: float


@dataclass(slots=True)
class _Tally:
    latencies_s: list[float] = field(default_factory=list)
    objects: int = 0
    images: int = 0
    opened: int = 0
    batch: int = 0


class _World:
    """The machines of a setup, and the people before them."""

    def __init__(self, setup: Setup, costs: Costs, behaviour: Behaviour, seed: int) -> None:
        self.env = simpy.Environment()
        self.tally = _Tally()
        self.hosts = [SimulatedHost(self.env, costs) for _ in range(setup.hosts)]
        self.workers = [
            SimulatedWorker(self.env, costs, megapixels=setup.megapixels, cache_mb=setup.cache_mb)
            for _ in range(setup.gpus)
        ]
        self._setup = setup
        self._behaviour = behaviour
        self._images = count()
        self._requests = count()
        # Numbers that no annotator's image has.
        self._batch_images = count(2**40)
        seeds = np.random.SeedSequence(seed).spawn(setup.annotators)
        for own in seeds:
            self.env.process(self._annotate(np.random.default_rng(own)))
        for worker in self.workers:
            for _ in range(setup.batch_window):
                self.env.process(self._feed(worker))

    def _ask(self, lane: Lane, image: int) -> Steps:
        number = next(self._requests) % len(self.hosts)
        if self._setup.routes_by_image:
            worker = self.workers[image % len(self.workers)]
        else:
            own = self.workers[number :: len(self.hosts)]
            worker = own[image % len(own)]
        yield from self.hosts[number].answer(worker, lane, image, store=lane is Lane.CLICK)

    def _annotate(self, rng: np.random.Generator) -> Steps:
        behaviour, tally = self._behaviour, self.tally
        yield self.env.timeout(float(rng.uniform(0, _WARM_UP_S / 2)))
        while True:
            image = next(self._images)
            tally.opened += 1
            if self._setup.asks_on_opening:
                self.env.process(self._ask(Lane.OPENED, image))
            for _ in range(max(1, int(rng.poisson(behaviour.objects_per_image)))):
                pauses = behaviour.pauses(rng)
                for pause in pauses:
                    yield self.env.timeout(pause)
                    began = self.env.now
                    yield from self._ask(Lane.CLICK, image)
                    tally.latencies_s.append(self.env.now - began)
                if not pauses:
                    yield self.env.timeout(behaviour.look(rng))
                tally.objects += 1
            tally.images += 1
            yield self.env.timeout(behaviour.change_s)

    def _feed(self, worker: SimulatedWorker) -> Steps:
        while True:
            yield worker.submit(Lane.BATCH, next(self._batch_images))
            self.tally.batch += 1


def simulate(setup: Setup, costs: Costs, behaviour: Behaviour, *, seed: int = 0) -> Outcome:
    """Return what the annotators of a setup wait for; equal arguments give equal outcomes.

    Args:
        setup: Machines and people.
        costs: Of each step.
        behaviour: Of the people.
        seed: Of everything that is drawn.
    """
    world = _World(setup, costs, behaviour, seed)
    world.env.run(until=_WARM_UP_S)
    world.tally.latencies_s.clear()
    before = (world.tally.objects, world.tally.images, world.tally.batch)
    busy = [host.usage.busy_s for host in world.hosts]
    gpu = sum(worker.usage.busy_s for worker in world.workers)
    encoded = sum(worker.usage.encoded for worker in world.workers)
    world.env.run(until=_WARM_UP_S + setup.seconds)
    tally, span = world.tally, setup.seconds
    objects, images, batch = (
        after - earlier
        for after, earlier in zip((tally.objects, tally.images, tally.batch), before, strict=True)
    )
    encodings = sum(worker.usage.encoded for worker in world.workers) - encoded
    p50, p95, p99 = _percentiles(tally.latencies_s)
    return Outcome(
        setup=setup,
        clicks_per_s=len(tally.latencies_s) / span,
        objects_per_h=3600 * objects / span,
        images_per_h=3600 * images / span,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        gpu_busy=(sum(worker.usage.busy_s for worker in world.workers) - gpu) / (span * setup.gpus),
        web_busy=max(
            (host.usage.busy_s - earlier) / span
            for host, earlier in zip(world.hosts, busy, strict=True)
        ),
        # From the beginning: where clicks wait for minutes, few images are opened later.
        encodings_per_image=(encoded + encodings - tally.batch) / tally.opened,
        batch_per_h=3600 * batch / span,
        network_mb_s=encodings * setup.megapixels * costs.image_mb_per_mp / span,
    )


def _percentiles(seconds: list[float]) -> Iterator[float]:
    if not seconds:
        return iter((float("nan"),) * 3)
    return iter(1000 * float(value) for value in np.percentile(seconds, (50, 95, 99)))
