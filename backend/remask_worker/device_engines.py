"""The engine of a machine with several devices: one supervised worker for each.

Every image has an order of devices, by the hash of both (rendezvous hashing). Its calls go to the
first that is ready, so an image is encoded once while all live, and only the images of a device
that is lost move to others, evenly. When it is back, they come back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from hashlib import blake2b

import msgspec

from remask_core.errors import InputError, Unavailable
from remask_worker.answer_cache import settle
from remask_worker.calls import Answer, Call, Engine, Health
from remask_worker.child_engine import ChildEngine
from remask_worker.settings import WorkerSettings

__all__ = ["DeviceEngines", "engine_for", "in_order_of", "named_devices"]


def named_devices(devices: str) -> tuple[str, ...]:
    """Return the devices of a comma-separated list, for example of `cuda:0,cuda:1`.

    Raises:
        InputError: A name is empty, or stands there twice and is not `cpu`.
    """
    names = tuple(name.strip() for name in devices.split(","))
    twice = {name for name in names if name != "cpu" and names.count(name) > 1}
    if not all(names) or twice:
        raise InputError(
            "`device` must be one device, or different ones with commas between, such as "
            f"cuda:0,cuda:1; got {devices!r}"
        )
    return names


def in_order_of(image_id: str, names: Iterable[str]) -> list[str]:
    """Return the names in the order of an image, by the hash of both.

    Whoever knows the same names finds the same order, and one name more or less moves only the
    images that go to it or come from it.
    """

    def place(name: str) -> bytes:
        return blake2b(f"{name}\0{image_id}".encode(), digest_size=8).digest()

    return sorted(names, key=place)


def engine_for(settings: WorkerSettings, *, env: Mapping[str, str] | None = None) -> Engine:
    """Return the engine of the devices that `settings.device` names: a worker for each.

    Args:
        settings: What each worker is to be; `device` may be a list, as `named_devices` reads it.
            The bounds of memory hold for each worker, the folder of embeddings is shared.
        env: Added to the workers' environment.

    Raises:
        InputError: As for `named_devices`.
    """
    names = named_devices(settings.device)
    engines = [
        ChildEngine(msgspec.structs.replace(settings, device=name), env=env) for name in names
    ]
    if len(engines) == 1:
        return engines[0]
    # Several workers on the CPU are told apart by their places in the list.
    shown = [name if names.count(name) == 1 else f"{name} ({n})" for n, name in enumerate(names, 1)]
    return DeviceEngines(dict(zip(shown, engines, strict=True)))


class DeviceEngines:
    """An `Engine` over one engine for each device.

    A call that a device cannot take because its model does not load there, or its worker has
    closed, goes to the next in its image's order. What a worker says of the call itself stands:
    a full lane, a passed deadline, a call that kills.

    Args:
        engines: By the name of the device; at least one.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = dict(engines)

    def submit(self, call: Call) -> Future[Answer]:
        """See `Engine.submit`."""
        outer: Future[Answer] = Future()
        self._try(call, outer, self._order(call.image_id))
        return outer

    def health(self) -> Health:
        """See `Engine.health`. One that is ready is enough; `detail` names the others."""
        found = {name: engine.health() for name, engine in self._engines.items()}
        healths = list(found.values())
        well = [health for health in healths if health.ready]
        shown = (well or healths)[0]
        queued: Counter[str] = Counter()
        for health in healths:
            queued.update(health.queued)
        return Health(
            ready=shown.ready,
            state=shown.state,
            detail="; ".join(
                f"{name} is {health.state}" + (f": {health.detail}" if health.detail else "")
                for name, health in found.items()
                if not health.ready
            ),
            model_version=shown.model_version,
            pid=shown.pid,
            restarts=sum(health.restarts for health in healths),
            queued=dict(queued),
            embeddings=sum(health.embeddings for health in healths),
            embedding_bytes=sum(health.embedding_bytes for health in healths),
            embedded=sum(health.embedded for health in healths),
        )

    def close(self, *, grace_s: float = 10.0) -> None:
        """See `Engine.close`."""
        for engine in self._engines.values():
            engine.close(grace_s=grace_s)

    def _order(self, image_id: str) -> list[Engine]:
        """Return the engines in the order of the image, those that are ready first."""
        engines = [self._engines[name] for name in in_order_of(image_id, self._engines)]
        return sorted(engines, key=lambda engine: not engine.health().ready)

    def _try(self, call: Call, outer: Future[Answer], left: Sequence[Engine]) -> None:
        inner = left[0].submit(call)
        outer.add_done_callback(lambda done: inner.cancel() if done.cancelled() else None)

        def pass_on(done: Future[Answer]) -> None:
            if done.cancelled():
                outer.cancel()
                return
            error = done.exception()
            # A subclass tells of the call or of load; the class itself, that nobody is there.
            if type(error) is Unavailable and len(left) > 1 and not outer.cancelled():
                self._try(call, outer, left[1:])
            else:
                settle(outer, error or done.result())

        inner.add_done_callback(pass_on)
