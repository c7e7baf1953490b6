"""The cluster's engine against a proxy that answers as Ray Serve does, well and ill."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from cluster_site import (
    HEALTH,
    Answering,
    answered,
    cluster_call,
    foreign,
    open_proxy,
    open_replica,
    replying,
)
from fakes import ToySegmenter, click
from ports import free_port

from remask_core.errors import BadImage, ClickOutsideImage, InputError, Unavailable
from remask_service.doctor.machine import examine_machine
from remask_service.settings import Settings
from remask_worker.calls import (
    Answer,
    Expired,
    Health,
    Lane,
    Overloaded,
    PoisonCall,
    WorkerDied,
)
from remask_worker.cluster import engine as engine_module
from remask_worker.cluster.engine import RayEngine, check_addresses
from remask_worker.cluster.messages import ClusterCall, ImageWanted, NotReady, refused
from remask_worker.cluster.routing import choices
from remask_worker.thread_engine import ThreadEngine

WAIT_S = 30.0


@contextmanager
def ray_engine(*addresses: str) -> Iterator[RayEngine]:
    engine = RayEngine(addresses)
    try:
        yield engine
    finally:
        engine.close(grace_s=0.0)


def until(wanted: str, engine: RayEngine) -> Health:
    """Return the engine's health once its state is the wanted one."""
    pause = threading.Event()
    for _ in range(int(WAIT_S * 100)):
        health = engine.health()
        if health.state == wanted:
            return health
        pause.wait(0.01)
    pytest.fail(f"the state never became {wanted}; it is {engine.health()}")


def result_of(folder: Path, *answers: Answering, lane: Lane = Lane.CLICK) -> object:
    """Return the answer of one call to a proxy that answers so, or its error."""
    with open_proxy(*answers) as (site, _), ray_engine(site.url) as engine:
        future = engine.submit(cluster_call(folder, 1, click(5), lane=lane))
        return future.exception(WAIT_S) or future.result()


def test_a_call_goes_out_with_its_image_as_session_and_without_a_path(tmp_path: Path) -> None:
    with open_proxy(answered()) as (site, came), ray_engine(site.url) as engine:
        call = cluster_call(tmp_path, 1, click(5), deadline=time.time() + 20)
        answer = engine.submit(call).result(WAIT_S)

    ((session, ask),) = came
    assert answer.mask == b"mask"
    assert session == call.image_id
    assert (ask.call.image_path, ask.image) == ("", None)
    assert ask.call.steps == call.steps
    assert ask.left_s is not None
    assert 0 < ask.left_s <= 20


def test_an_image_is_sent_when_the_replica_asks_for_it(tmp_path: Path) -> None:
    answers = replying(ImageWanted()), answered()
    with open_proxy(*answers) as (site, came), ray_engine(site.url) as engine:
        call = cluster_call(tmp_path, 1, click(5))
        engine.submit(call).result(WAIT_S)

    assert [ask.image for _, ask in came] == [None, Path(call.image_path).read_bytes()]
    assert len({session for session, _ in came}) == 1


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    with open_proxy(replying(ImageWanted())) as (site, _), ray_engine(site.url) as engine:
        call = cluster_call(tmp_path, 1, click(5))
        Path(call.image_path).unlink()
        error = engine.submit(call).exception(WAIT_S)

    assert isinstance(error, BadImage)
    assert "`image_path` must be a readable file" in str(error)


@pytest.mark.parametrize("kind", [ClickOutsideImage, PoisonCall, WorkerDied, Expired, BadImage])
def test_what_a_replica_says_of_a_call_is_final(tmp_path: Path, kind: type[Exception]) -> None:
    with (
        open_proxy(replying(refused(kind("why")))) as (site, came),  # type: ignore[arg-type]
        ray_engine(site.url) as engine,
    ):
        error = engine.submit(cluster_call(tmp_path, 1, click(5))).exception(WAIT_S)

    assert (type(error), str(error), len(came)) == (kind, "why", 1)


def test_a_call_lost_with_its_replica_is_sent_again_once(tmp_path: Path) -> None:
    assert isinstance(result_of(tmp_path, foreign(500), answered()), Answer)
    assert isinstance(result_of(tmp_path, _hang_up, answered()), Answer)
    assert isinstance(result_of(tmp_path, foreign(502), foreign(500), answered()), WorkerDied)


def _hang_up(session: str, ask: ClusterCall, handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def test_a_call_that_nobody_began_is_sent_until_somebody_does(tmp_path: Path) -> None:
    answers = foreign(503, "no replicas"), foreign(404), foreign(503), answered()

    assert isinstance(result_of(tmp_path, *answers), Answer)


def test_a_full_cluster_is_overload_and_says_when_to_come_again(tmp_path: Path) -> None:
    full = foreign(503, "Request dropped due to backpressure (num_queued_requests=9)")

    error = result_of(tmp_path, full, lane=Lane.BATCH)

    assert isinstance(error, Overloaded)
    assert error.retry_after_s > 0


@pytest.mark.parametrize("busy", [NotReady("loading"), refused(Overloaded("full"))])
def test_a_click_leaves_a_replica_that_cannot_take_it_now(tmp_path: Path, busy: object) -> None:
    answers = replying(busy), replying(busy), answered()
    with open_proxy(*answers) as (site, came), ray_engine(site.url) as engine:
        call = cluster_call(tmp_path, 1, click(5))
        assert engine.submit(call).result(WAIT_S).mask == b"mask"

    assert [session for session, _ in came] == [s for _, s in choices([site.url], call.image_id)]
    assert all(ask.may_move for _, ask in came)


def test_a_click_waits_for_its_own_replica_when_every_one_is_loading(tmp_path: Path) -> None:
    answers = [*3 * [replying(NotReady("loading"))], answered()]
    with open_proxy(*answers) as (site, came), ray_engine(site.url) as engine:
        call = cluster_call(tmp_path, 1, click(5))
        engine.submit(call).result(WAIT_S)

    session, ask = came[-1]
    assert (session, ask.may_move) == (call.image_id, False)


def test_batch_work_waits_for_its_own_replica_and_its_own_turn(tmp_path: Path) -> None:
    full = replying(refused(Overloaded("full")))
    with open_proxy(full) as (site, came), ray_engine(site.url) as engine:
        call = cluster_call(tmp_path, 1, click(5), lane=Lane.BATCH)
        error = engine.submit(call).exception(WAIT_S)

    assert isinstance(error, Overloaded)
    assert [(session, ask.may_move) for session, ask in came] == [(call.image_id, False)]


def test_another_address_answers_for_one_that_is_gone(tmp_path: Path) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    with open_proxy(answered()) as (site, came), ray_engine(gone, site.url) as engine:
        for mark in range(6):
            engine.submit(cluster_call(tmp_path, mark, click(5))).result(WAIT_S)
        assert until("ready", engine).ready

    assert len(came) == 6


def test_one_address_that_answers_is_enough_to_be_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "_LOOK_EVERY_S", 0.01)
    gone = f"http://127.0.0.1:{free_port()}"
    with open_proxy(answered()) as (site, _), ray_engine(site.url, gone) as engine:
        until("ready", engine)
        looked = site.count("/")
        states = set()
        while site.count("/") < looked + 5:
            states.add(engine.health().state)

    assert states == {"ready"}


def test_several_addresses_share_the_images_and_keep_each_with_one(tmp_path: Path) -> None:
    """The fallback for a Ray without the router: one replica behind each address."""
    with (
        open_replica(tmp_path / "a", name="a") as first,
        open_replica(tmp_path / "b", name="b") as second,
        ray_engine(first.url, second.url) as engine,
    ):
        calls = [cluster_call(tmp_path, n % 20, click(n / 9)) for n in range(200)]
        answers = [engine.submit(call).result(WAIT_S) for call in calls]
        health = engine.health()

    assert sum(answer.embedded for answer in answers) == 20
    assert first.count("/") > 20
    assert second.count("/") > 20
    assert health.embedded == 20


def test_a_cluster_that_never_answers_is_named_and_calls_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_PATIENCE_S", dict.fromkeys(Lane, 0.2))
    address = f"http://127.0.0.1:{free_port()}"
    with ray_engine(address) as engine:
        first = engine.submit(cluster_call(tmp_path, 1, click(5))).exception(WAIT_S)
        second = engine.submit(cluster_call(tmp_path, 1, click(5)))
        health = engine.health()

    assert isinstance(first, Unavailable)
    assert address in str(first)
    assert isinstance(second.exception(0), Unavailable)
    assert (health.ready, health.state) == (False, "starting")
    assert address in health.detail


def test_a_deadline_that_passes_while_nobody_answers_is_expired(tmp_path: Path) -> None:
    with ray_engine(f"http://127.0.0.1:{free_port()}") as engine:
        call = cluster_call(tmp_path, 1, click(5), deadline=time.time() + 0.3)
        error = engine.submit(call).exception(WAIT_S)

    assert isinstance(error, Expired)


def test_the_health_is_that_of_the_replicas(tmp_path: Path) -> None:
    loading = Health(ready=False, state="restarting", detail="it died")
    with open_proxy(answered()) as (site, _), ray_engine(site.url) as engine:
        health = until("ready", engine)
        assert (health.model_version, health.detail) == (HEALTH.model_version, "")
    ill = replying(None, health=loading)
    with open_proxy(answered(), health=ill) as (site, _), ray_engine(site.url) as engine:
        health = until("restarting", engine)
        assert (health.ready, health.detail) == (False, "it died")


def test_cancelling_a_call_hangs_up(tmp_path: Path) -> None:
    began, ended = threading.Event(), threading.Event()

    def never(session: str, ask: ClusterCall, handler: BaseHTTPRequestHandler) -> None:
        began.set()
        handler.connection.recv(1)  # returns when the other side has closed
        ended.set()
        handler.close_connection = True

    with open_proxy(never) as (site, _), ray_engine(site.url) as engine:
        future = engine.submit(cluster_call(tmp_path, 1, click(5)))
        assert began.wait(WAIT_S)
        assert engine.health().queued == {"click": 1, "opened": 0, "batch": 0}
        assert future.cancel()
        assert ended.wait(WAIT_S)
        assert engine.health().queued == {"click": 0, "opened": 0, "batch": 0}


def test_a_closed_engine_refuses_calls_and_fails_what_it_had(tmp_path: Path) -> None:
    began, leave = threading.Event(), threading.Event()

    def never(session: str, ask: ClusterCall, handler: BaseHTTPRequestHandler) -> None:
        began.set()
        leave.wait(WAIT_S)
        handler.close_connection = True

    with open_proxy(never) as (site, _), ray_engine(site.url) as engine:
        future = engine.submit(cluster_call(tmp_path, 1, click(5)))
        assert began.wait(WAIT_S)
        engine.close(grace_s=0.0)
        leave.set()

        assert isinstance(future.exception(WAIT_S), Unavailable)
        assert isinstance(
            engine.submit(cluster_call(tmp_path, 1, click(5))).exception(0), Unavailable
        )
        assert engine.health().state == "closed"


def test_answers_are_those_of_an_engine_in_this_process(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    calls = [
        cluster_call(
            tmp_path,
            int(rng.integers(8)),
            *(
                click(float(x), positive=bool(x % 2))
                for x in rng.integers(0, 50, rng.integers(1, 4))
            ),
            lane=Lane(rng.integers(3)),
            encoding=str(rng.choice(["ls_rle", "png", "coco_rle"])),
        )
        for _ in range(150)
    ]
    near = ThreadEngine(ToySegmenter())
    with open_replica(tmp_path / "scratch") as site, ray_engine(site.url) as engine:
        far = [engine.submit(call) for call in calls]
        for call, future in zip(calls, far, strict=True):
            expected, found = near.submit(call).result(WAIT_S), future.result(WAIT_S)
            assert (expected.mask, expected.score) == (found.mask, found.score)
    near.close()


def test_the_doctor_looks_at_each_address_of_the_cluster(tmp_path: Path) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    with open_proxy(answered()) as (site, _):
        well, ill = (
            next(
                finding
                for finding in examine_machine(
                    Settings(engine="ray", ray_address=address, state_dir=tmp_path)
                )
                if finding.link == "cluster"
            )
            for address in (site.url, f"{site.url},{gone}")
        )

    assert (well.state, ill.state) == ("ok", "failed")
    assert "toy@000000000000" in well.found
    assert gone in ill.found


@pytest.mark.parametrize(
    "text", ["", "ray://head:10001", "head:6379", "http://", "http://h:8000?x=1", "http://a,head"]
)
def test_an_address_that_is_not_http_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="REMASK_RAY_ADDRESS"):
        check_addresses(text)


def test_addresses_are_separated_by_commas() -> None:
    assert check_addresses("http://a:8000/, https://b/x") == ("http://a:8000", "https://b/x")
