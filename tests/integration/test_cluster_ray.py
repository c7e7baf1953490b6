"""The cluster with a real Ray: the masks, the routing, and replicas that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from cluster_site import cluster_call, mixed_call
from fakes import ToySegmenter, click
from ray_cluster import KILL_X, TESTS, Cluster

from remask_worker.calls import Answer, Call, Lane, Overloaded, PoisonCall, WorkerDied
from remask_worker.cluster.engine import RayEngine
from remask_worker.thread_engine import ThreadEngine

WAIT_S = 120


@pytest.fixture
def engine(cluster: Cluster) -> Iterator[RayEngine]:
    """An engine, once both replicas answer: another test may have killed one."""
    cluster.settle()
    engine = RayEngine([cluster.address])
    yield engine
    engine.close(grace_s=0.0)


def ask_all(engine: RayEngine, calls: Sequence[Call], *, clients: int = 12) -> list[Answer]:
    """Return the answers, asked for by several clients at once; each waits for its own."""

    def ask(call: Call) -> Answer:
        for _ in range(600):
            try:
                return engine.submit(call).result(WAIT_S)
            except Overloaded as full:
                threading.Event().wait(full.retry_after_s / 10)
        raise AssertionError("the cluster stayed full")

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(ask, calls))


def check_masks(calls: Sequence[Call], answers: Sequence[Answer]) -> None:
    """Check that the answers are those of an engine in this process."""
    near = ThreadEngine(ToySegmenter())
    try:
        for call, answer in zip(calls, answers, strict=True):
            expected = near.submit(call).result(WAIT_S)
            assert (expected.mask, expected.score) == (answer.mask, answer.score)
    finally:
        near.close()


def test_masks_are_those_of_an_engine_at_home_and_each_image_is_encoded_once(
    cluster: Cluster, engine: RayEngine, tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)
    calls = [mixed_call(tmp_path, rng, images=range(20)) for _ in range(400)]

    answers = ask_all(engine, calls)

    check_masks(calls, answers)
    assert {call.image_id for call in calls} == {
        call.image_id for call, answer in zip(calls, answers, strict=True) if answer.embedded
    }
    assert sum(answer.embedded for answer in answers) == 20
    assert engine.health().ready


def test_a_replica_killed_under_load_costs_no_answer(
    cluster: Cluster, engine: RayEngine, tmp_path: Path
) -> None:
    rng = np.random.default_rng(12)
    calls = [mixed_call(tmp_path, rng, images=range(30, 54)) for _ in range(300)]
    begun = threading.Event()
    victim = cluster.replicas()[0]

    def kill() -> None:
        begun.wait(WAIT_S)
        victim.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    first: Future[Answer] = engine.submit(calls[0])
    first.add_done_callback(lambda done: begun.set())
    answers = ask_all(engine, calls)
    killer.join()

    check_masks(calls, answers)
    assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE


def test_a_call_that_kills_the_model_is_blamed_alone_and_leaves_the_replicas_alone(
    cluster: Cluster, engine: RayEngine, tmp_path: Path
) -> None:
    before = {process.pid for process in cluster.replicas()}
    poison = cluster_call(tmp_path, 60, click(KILL_X))
    calls = [cluster_call(tmp_path, 60, click(20 + n / 2), lane=Lane(n % 3)) for n in range(20)]

    bad = engine.submit(poison)
    answers = ask_all(engine, calls)

    assert isinstance(bad.exception(WAIT_S), WorkerDied)
    check_masks(calls, answers)
    assert isinstance(engine.submit(poison).exception(WAIT_S), PoisonCall)
    assert before <= {process.pid for process in cluster.replicas()}


@pytest.mark.parametrize("title", ["ProxyActor", "ServeController"])
def test_a_part_of_serve_that_is_killed_costs_no_answer(
    cluster: Cluster, engine: RayEngine, tmp_path: Path, title: str
) -> None:
    rng = np.random.default_rng(13)
    calls = [mixed_call(tmp_path, rng, images=range(80, 86), lane=Lane.BATCH) for _ in range(60)]
    ask_all(engine, calls[:20])
    (victim,) = cluster.processes(title)

    victim.kill()
    answers = ask_all(engine, calls)

    check_masks(calls, answers)


def test_the_web_hosts_side_never_imports_ray() -> None:
    code = (
        "import sys, remask_service.service, remask_worker.cluster.engine\n"
        "heavy = {'ray', 'torch', 'starlette'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_S)


def test_the_file_in_the_docs_is_one_that_serve_takes() -> None:
    page = (TESTS.parent / "docs" / "cluster.md").read_text()
    text = page.split("```yaml")[1].split("```")[0]
    code = (
        "import sys, yaml\n"
        "from ray.serve.schema import ServeDeploySchema\n"
        "from remask_worker.cluster import app\n"
        "config = ServeDeploySchema.model_validate(yaml.safe_load(sys.argv[1]))\n"
        "(application,) = config.applications\n"
        "assert application.import_path == 'remask_worker.cluster:app'\n"
        "print(app(application.args)._bound_deployment.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, text], capture_output=True, text=True, timeout=WAIT_S
    )

    assert done.stdout == "Worker\n", done.stderr[-2000:]


def test_a_model_that_cannot_be_loaded_is_named_by_cluster_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "remask_cli", "cluster", "up", "--model", "no_such:load"],
        env={**os.environ, "REMASK_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )

    assert done.returncode == 2
    assert "no_such" in done.stderr
