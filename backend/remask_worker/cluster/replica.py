"""A replica: the supervised worker of one device, answering calls that come as messages.

It knows nothing of Ray. Its engine is what runs on a single machine, a `ChildEngine`: three lanes,
pauses, single flight, bounded caches, and a supervisor that restarts a child which dies or hangs
and refuses the call that killed it twice. So a model cannot take a replica with it, and a replica
that is lost was lost with its machine, or by somebody's hand.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path
from typing import Protocol

import msgspec

from remask_core.errors import BadImage, RemaskError, Unavailable, WrongState
from remask_images.image_store import ImageStore, StoredImage
from remask_storage.private_files import make_private_folder
from remask_worker.calls import Answer, Engine, Expired
from remask_worker.cluster.messages import (
    ClusterCall,
    ImageWanted,
    NotReady,
    Reply,
    decode,
    encode,
    refused,
)
from remask_worker.cluster.settings import ReplicaSettings
from remask_worker.wire import Answered, Refused

__all__ = ["OwnFolder", "Replica", "Share"]

_LOOK_S = 0.05
# After its deadline a call is answered by the engine, which looks when the call's turn comes.
_LATE_S = 0.5
# A call whose image is on its way waits for it so long, then asks for the image itself.
_ARRIVAL_S = 10.0


class OwnFolder:
    """A folder that one process has to itself, in a folder that several share.

    It is the first of `0`, `1`, ... that no living process has. The operating system gives it free
    when the process ends, however it ends, so the folders' number is that of the processes that
    ever ran at once, and a successor finds what its predecessor left.

    Args:
        shared: Made if it is not there.

    Raises:
        WrongState: A thousand processes have a folder here.
    """

    def __init__(self, shared: Path) -> None:
        make_private_folder(shared)
        for number in range(1000):
            lock = os.open(shared / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self._lock = lock
            self.path = shared / str(number)
            return
        raise WrongState(f"`scratch_dir` must have a free folder; all in {shared} are taken")

    def close(self) -> None:
        """Give the folder free."""
        os.close(self._lock)


class Share(Protocol):
    """A place where replicas share image files; `ImageShare` is one."""

    def read(self, image_id: str) -> bytes | None:
        """Return the file with this SHA-256; None if it cannot be had."""

    def keep(self, image_id: str, data: bytes) -> None:
        """Write a file for the other replicas."""


class Replica:
    """Answers `ClusterCall`s with an engine of its own.

    Args:
        engine: Closed with the replica.
        settings: Bounds of the image files that it keeps.
        scratch: The folder that it shares with the machine's other replicas.
        name: Its id, as answers name it.
        share: Where replicas share images; without one each is sent by the web host.
    """

    def __init__(
        self,
        engine: Engine,
        settings: ReplicaSettings,
        *,
        scratch: Path,
        name: str,
        share: Share | None = None,
    ) -> None:
        self._engine = engine
        self._share = share
        self._writing: set[asyncio.Task[None]] = set()
        self._name = name
        self._folder = OwnFolder(scratch)
        self._images = ImageStore(
            self._folder.path,
            max_bytes=settings.image_cache_mb << 20,
            max_image_bytes=settings.max_image_mb << 20,
            max_pixels=settings.max_image_pixels,
        )
        self._arrivals: dict[str, asyncio.Event] = {}

    def wait_until_ready(self) -> None:
        """Return once the model is loaded.

        Raises:
            Unavailable: It cannot be.
        """
        while not (health := self._engine.health()).ready:
            if health.state in ("failed", "closed"):
                raise Unavailable(health.detail)
            time.sleep(_LOOK_S)

    def check(self) -> None:
        """Do nothing while the replica can answer, now or after a restart of its worker.

        Raises:
            Unavailable: Its model cannot be loaded any more; another machine may be able to.
        """
        health = self._engine.health()
        if health.state == "failed":
            raise Unavailable(health.detail)

    def close(self) -> None:
        """Close the engine; no call is under way any more."""
        self._engine.close(grace_s=0.0)
        self._folder.close()

    async def answer(self, body: bytes) -> bytes:
        """Return the `Reply` to a `ClusterCall`, or to an empty body, which asks for the health.

        Cancelling it drops the call if its turn has not come.
        """
        return encode(await self._reply(body))

    async def _reply(self, body: bytes) -> Reply:
        result: Answered | Refused | ImageWanted | NotReady | None = None
        if body:
            try:
                result = await self._result(decode(body, ClusterCall))
            except RemaskError as error:
                result = refused(error)
        return Reply(replica=self._name, health=self._engine.health(), result=result)

    async def _result(self, ask: ClusterCall) -> Answered | ImageWanted | NotReady:
        until = None if ask.left_s is None else time.time() + ask.left_s
        health = self._engine.health()
        if ask.may_move and not health.ready:
            return NotReady(health.detail or health.state)
        image = await self._image(ask)
        if image is None:
            return ImageWanted()
        call = msgspec.structs.replace(
            ask.call,
            image_path=str(image.path),
            deadline=float("inf") if until is None else until,
        )
        future = asyncio.wrap_future(self._engine.submit(call))
        left_s = None if until is None else max(0.0, until - time.time()) + _LATE_S
        try:
            answer: Answer = await asyncio.wait_for(future, left_s)
        except asyncio.TimeoutError as error:
            raise Expired("the call was not answered before its `deadline`") from error
        return Answered(0, answer)

    async def _image(self, ask: ClusterCall) -> StoredImage | None:
        """Return the image's file; None if the caller must send it.

        Of all calls that lack the same file the first looks for it and asks for it; the others wait
        for its arrival.
        """
        image_id = ask.call.image_id
        if ask.image is not None:
            return await self._take(image_id, ask.image)
        while (image := self._images.get(image_id)) is None:
            arrival = self._arrivals.get(image_id)
            if arrival is None:
                self._arrivals[image_id] = asyncio.Event()
                return await self._shared(image_id)
            try:
                left_s = _ARRIVAL_S if ask.left_s is None else min(_ARRIVAL_S, ask.left_s)
                await asyncio.wait_for(arrival.wait(), left_s)
            except asyncio.TimeoutError:
                # Whoever was to send it is gone.
                if self._arrivals.get(image_id) is arrival:
                    del self._arrivals[image_id]
        return image

    async def _shared(self, image_id: str) -> StoredImage | None:
        """Return the image from where replicas share them; None if it is not there."""
        if self._share is None:
            return None
        try:
            data = await asyncio.to_thread(self._share.read, image_id)
            image = None if data is None else await asyncio.to_thread(self._images.put, [data])
        except BaseException:
            self._arrived(image_id)
            raise
        if image is not None:
            self._arrived(image_id)
        return image

    async def _take(self, image_id: str, data: bytes) -> StoredImage:
        """Keep an image that came, and let those who wait for it go on."""
        try:
            image = await asyncio.to_thread(self._images.put, [data])
        finally:
            self._arrived(image_id)
        if image.image_id != image_id:
            raise BadImage(
                f"`image` must have the SHA-256 {image_id}, the call's `image_id`; "
                f"it has {image.image_id}"
            )
        if self._share is not None:
            writing = asyncio.create_task(asyncio.to_thread(self._share.keep, image_id, data))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
        return image

    def _arrived(self, image_id: str) -> None:
        arrival = self._arrivals.pop(image_id, None)
        if arrival is not None:
            arrival.set()
