"""A replica without Ray: images that arrive, calls that are dropped, folders of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cluster_site import HEALTH, cluster_call, run_apart
from fakes import ScriptedSegmenter, ToySegmenter, click

from remask_core.errors import BadImage, InputError, Unavailable
from remask_worker.calls import Call, Expired, Health
from remask_worker.cluster import replica as replica_module
from remask_worker.cluster.messages import (
    ClusterCall,
    ImageWanted,
    NotReady,
    Reply,
    decode,
    encode,
)
from remask_worker.cluster.replica import OwnFolder, Replica
from remask_worker.cluster.settings import ReplicaSettings
from remask_worker.thread_engine import ThreadEngine
from remask_worker.wire import Answered, Refused, WireError, error_of

Work = Callable[[Replica], Awaitable[None]]


def with_replica(
    folder: Path, work: Work, *, segmenter: ToySegmenter | None = None, **settings: Any
) -> None:
    replica = Replica(
        ThreadEngine(segmenter or ToySegmenter()),
        ReplicaSettings(**settings),
        scratch=folder / "scratch",
        name="a",
    )

    async def run() -> None:
        await work(replica)

    try:
        run_apart(run())
    finally:
        replica.close()


async def ask(replica: Replica, call: Call, **other: Any) -> Any:
    """Return what the replica says of a call; an error as the error it is."""
    bare = msgspec.structs.replace(call, image_path="")
    reply = decode(await replica.answer(encode(ClusterCall(call=bare, **other))), Reply)
    result = reply.result
    return error_of(result) if isinstance(result, Refused) else result


def data(call: Call) -> bytes:
    return Path(call.image_path).read_bytes()


def test_an_image_is_asked_for_once_and_kept(tmp_path: Path) -> None:
    call = cluster_call(tmp_path, 1, click(5))

    async def work(replica: Replica) -> None:
        assert isinstance(await ask(replica, call), ImageWanted)
        first = await ask(replica, call, image=data(call))
        again = await ask(replica, cluster_call(tmp_path, 1, click(9)))
        assert isinstance(first, Answered)
        assert first.answer.embedded
        assert isinstance(again, Answered)
        assert not again.answer.embedded

    with_replica(tmp_path, work)


def test_of_many_calls_that_lack_an_image_one_sends_it(tmp_path: Path) -> None:
    calls = [cluster_call(tmp_path, 1, click(float(x))) for x in range(8)]

    async def work(replica: Replica) -> None:
        tasks = [asyncio.create_task(ask(replica, call)) for call in calls]
        first = await tasks[0]
        assert isinstance(first, ImageWanted)
        assert not any(task.done() for task in tasks[1:])
        assert isinstance(await ask(replica, calls[0], image=data(calls[0])), Answered)
        assert all(isinstance(result, Answered) for result in await asyncio.gather(*tasks[1:]))

    with_replica(tmp_path, work)


def test_a_call_asks_itself_for_an_image_that_nobody_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "_ARRIVAL_S", 0.01)
    call = cluster_call(tmp_path, 1, click(5))

    async def work(replica: Replica) -> None:
        assert isinstance(await ask(replica, call), ImageWanted)
        assert isinstance(await ask(replica, call), ImageWanted)

    with_replica(tmp_path, work)


def test_an_image_that_is_another_is_refused(tmp_path: Path) -> None:
    call, other = cluster_call(tmp_path, 1, click(5)), cluster_call(tmp_path, 2, click(5))

    async def work(replica: Replica) -> None:
        error = await ask(replica, call, image=data(other))
        assert isinstance(error, BadImage)
        assert call.image_id in str(error)
        assert other.image_id in str(error)
        assert isinstance(await ask(replica, call), ImageWanted)
        assert isinstance(await ask(replica, call, image=b"no image"), BadImage)

    with_replica(tmp_path, work)


def test_an_image_that_is_too_large_is_refused(tmp_path: Path) -> None:
    call = cluster_call(tmp_path, 1, click(5))

    async def work(replica: Replica) -> None:
        error = await ask(replica, call, image=data(call))
        assert isinstance(error, BadImage)
        assert "at most 1000 pixels" in str(error)

    with_replica(tmp_path, work, max_image_pixels=1000)


def test_a_call_whose_time_is_over_is_expired(tmp_path: Path) -> None:
    call = cluster_call(tmp_path, 1, click(5))

    async def work(replica: Replica) -> None:
        error = await ask(replica, call, image=data(call), left_s=0.0)
        assert isinstance(error, Expired)

    with_replica(tmp_path, work)


def test_the_replicas_own_clock_counts_the_seconds_that_are_left(tmp_path: Path) -> None:
    """The web host's clock may be an hour ahead or behind."""
    call = cluster_call(tmp_path, 1, click(5), deadline=time.time() - 3600)

    async def work(replica: Replica) -> None:
        result = await ask(replica, call, image=data(call), left_s=20.0)
        assert isinstance(result, Answered)

    with_replica(tmp_path, work)


def test_a_call_that_is_cancelled_before_its_turn_is_never_worked_on(tmp_path: Path) -> None:
    under_way, go_on = threading.Event(), threading.Event()

    def on_slice(mark: int, number: int) -> None:
        if mark == 1:
            under_way.set()
            go_on.wait(20)

    segmenter = ScriptedSegmenter(on_slice)
    first, second = (cluster_call(tmp_path, mark, click(5)) for mark in (1, 2))

    async def work(replica: Replica) -> None:
        running = asyncio.create_task(ask(replica, first, image=data(first)))
        await asyncio.to_thread(under_way.wait, 20)
        dropped = asyncio.create_task(ask(replica, second, image=data(second)))
        while not sum(replica_health(replica).queued.values()):
            await asyncio.sleep(0.01)
        dropped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dropped
        go_on.set()
        assert isinstance(await running, Answered)
        assert isinstance(await ask(replica, first), Answered)

    with_replica(tmp_path, work, segmenter=segmenter)

    assert ("slice", 2) not in segmenter.log


def replica_health(replica: Replica) -> Health:
    return replica._engine.health()


class LoadingEngine(ThreadEngine):
    """An engine whose model is being loaded again."""

    def health(self) -> Health:
        return msgspec.structs.replace(HEALTH, ready=False, state="restarting", detail="it died")


def test_a_call_that_may_move_is_told_that_there_is_no_model(tmp_path: Path) -> None:
    call = cluster_call(tmp_path, 1, click(5))
    replica = Replica(
        LoadingEngine(ToySegmenter()), ReplicaSettings(), scratch=tmp_path / "s", name="a"
    )

    async def work() -> None:
        told = await ask(replica, call, image=data(call), may_move=True)
        waited = await ask(replica, call, image=data(call))
        assert told == NotReady("it died")
        assert isinstance(waited, Answered)

    run_apart(work())
    replica.check()
    replica.close()


class FailedEngine(ThreadEngine):
    """An engine whose model cannot be loaded."""

    def health(self) -> Health:
        return msgspec.structs.replace(HEALTH, ready=False, state="failed", detail="no weights")


def test_a_replica_without_a_model_to_load_says_so_to_serve(tmp_path: Path) -> None:
    replica = Replica(
        FailedEngine(ToySegmenter()), ReplicaSettings(), scratch=tmp_path / "s", name="a"
    )

    with pytest.raises(Unavailable, match="no weights"):
        replica.wait_until_ready()
    with pytest.raises(Unavailable, match="no weights"):
        replica.check()
    replica.close()


def test_an_empty_body_asks_for_the_health_and_rubbish_is_refused(tmp_path: Path) -> None:
    async def work(replica: Replica) -> None:
        reply = decode(await replica.answer(b""), Reply)
        assert (reply.replica, reply.result, reply.health.ready) == ("a", None, True)
        refused = decode(await replica.answer(b"\x00rubbish"), Reply).result
        assert isinstance(refused, Refused)
        assert isinstance(error_of(refused), WireError)

    with_replica(tmp_path, work)


def test_each_replica_of_a_machine_has_a_folder_and_a_successor_takes_it(tmp_path: Path) -> None:
    first, second = OwnFolder(tmp_path), OwnFolder(tmp_path)
    assert first.path != second.path
    first.close()
    third = OwnFolder(tmp_path)
    assert third.path == first.path
    second.close()
    third.close()


def test_arguments_of_the_application_are_read_from_text() -> None:
    settings = ReplicaSettings.from_args({"model": "grabcut", "replicas": "2", "gpus": "0.5"})

    assert (settings.model, settings.replicas, settings.gpus) == ("grabcut", 2, 0.5)
    assert settings.worker().model == "grabcut"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"modle": "x"}, "did you mean `model`"),
        ({"replicas": "0"}, "`replicas` must be at least 1"),
        ({"replicas": "many"}, "replicas"),
        (
            {"replicas": 3, "max_replicas": 2},
            "`max_replicas` must be at least .* 3; got 2",
        ),
        ({"routing": "ring"}, "`hash` or `default`"),
    ],
)
def test_a_wrong_argument_of_the_application_is_named(args: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ReplicaSettings.from_args(args)
