"""Two real services behind the shipped nginx, on one real PostgreSQL; everything dies once."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fakes import toy_mask
from nginx import running_nginx
from ports import free_port
from postgresql import PostgreSql
from serving import (
    IMAGES,
    Server,
    click,
    make_images,
    masks_of,
    pixels,
    request,
    serving,
    task,
    wait_until,
)
from sqlalchemy import select

from remask_core.types import Click, Prompt
from remask_storage.click_rows import joined_prompts
from remask_storage.click_tables import annotation_table
from remask_storage.database import Database

ANNOTATORS = 6


class Host:
    """A service that can be ended and started again, at the same port."""

    def __init__(self, folder: Path, url: str) -> None:
        make_images(folder)
        self.port = free_port()
        self._folder = folder
        self._url = url
        self._stack = ExitStack()
        self.server: Server

    def start(self) -> None:
        self.server = self._stack.enter_context(
            serving(self._folder, port=self.port, REMASK_STATE_URL=self._url)
        )

    def kill(self) -> None:
        """End it with signal 9, its web process first, and wait until it is gone."""
        os.killpg(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait(60)

    def close(self) -> None:
        self._stack.close()


class Annotators:
    """People who click and submit through the proxy until they are told to stop.

    Attributes:
        sent: Ids of the prompts that were sent, in no order.
        annotations: Numbers of the annotations that were submitted.
        wrong: What was answered otherwise than with the right mask.
    """

    def __init__(self, url: str) -> None:
        self.sent: set[str] = set()
        self.annotations: set[int] = set()
        self.wrong: list[str] = []
        self._url = url
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def wait_for(self, count: int) -> None:
        """Wait until so many more prompts have been answered."""
        target = len(self.sent) + count
        wait_until(lambda: len(self.sent) >= target or bool(self.wrong))
        assert self.wrong == []

    @contextmanager
    def working(self) -> Iterator[None]:
        with ThreadPoolExecutor(ANNOTATORS) as pool:
            futures = [pool.submit(self._work, number) for number in range(ANNOTATORS)]
            try:
                yield
            finally:
                self._stop.set()
            for future in futures:
                future.result()

    def _work(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=100) as client:
            while not self._stop.is_set():
                self._label(client, image=number % IMAGES)

    def _label(self, client: httpx.Client, *, image: int) -> None:
        """Make an object with three clicks, each on top of the answers before, and submit it."""
        with self._lock:
            number = next(self._numbers)
        carried: list[dict[str, Any]] = []
        clicks: list[Click] = []
        for place in range(3):
            prompt_id = f"prompt{number}-{place}"
            clicks.append(Click(20 + 3 * place + image, 30 + place, True))
            new = click(prompt_id, int(clicks[-1].x), int(clicks[-1].y))
            answer = client.post("/predict", json=request([task(number, image)], [*carried, new]))
            if answer.status_code != 200:
                self.wrong.append(f"{prompt_id}: {answer.status_code} {answer.text}")
                return
            (result,) = answer.json()["results"]
            masks = masks_of(result)
            expected = toy_mask(pixels(image), Prompt(clicks=tuple(clicks)))
            if len(masks) != 1 or not np.array_equal(masks[0], expected):
                self.wrong.append(f"{prompt_id}: another mask")
                return
            carried = [found for found in result["result"] if found["type"] == "keypointlabels"]
            self.sent.add(prompt_id)
        body = {
            "action": "ANNOTATION_CREATED",
            "project": {"id": 2},
            "task": {"id": number, "data": {}},
            "annotation": {
                "id": number,
                "project": 2,
                "task": number,
                "result": result["result"],
                "updated_at": "2026-11-28T12:00:00Z",
            },
        }
        answer = client.post("/webhook", json=body)
        if answer.status_code != 202:
            self.wrong.append(f"annotation {number}: {answer.status_code} {answer.text}")
        self.annotations.add(number)


@pytest.mark.timeout(300)
def test_no_click_is_lost_or_doubled_while_hosts_and_the_database_die(
    tmp_path: Path, postgresql: PostgreSql
) -> None:
    url = postgresql.new_database()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    hosts = [Host(tmp_path / name, url) for name in ("one", "two")]
    with ExitStack() as stack:
        address = stack.enter_context(running_nginx(tmp_path, [host.port for host in hosts]))
        for host in hosts:
            stack.callback(host.close)
        with ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(Host.start, hosts))
        people = Annotators(address)
        with people.working():
            people.wait_for(40)
            hosts[0].kill()
            people.wait_for(40)
            hosts[0].start()
            people.wait_for(20)
            # The rolling restart: one host after the other, as an orchestrator does it.
            for host in hosts:
                assert host.server.stop() == 0
                people.wait_for(20)
                host.start()
                people.wait_for(20)
            postgresql.kill()
            people.wait_for(40)
            said = [host.server.client.get("/metrics").text for host in hosts]
            health = [host.server.client.get("/health").json()["status"] for host in hosts]
            postgresql.start()
            people.wait_for(40)
        wait_until(lambda: all(_has_written(host) for host in hosts))
        logs = [log.read_text() for host in hosts for log in host._folder.glob("log-*")]

    assert people.wrong == []
    assert any("remask_click_log_failing 1.0" in text for text in said)
    assert health == ["UP", "UP"]
    assert any("click log in trouble" in log and "cannot be used now" in log for log in logs)
    assert not any("Traceback" in log for log in logs)
    database = Database.open(url)
    rows = [joined.prompt for joined in joined_prompts(database)]
    with database.reading() as connection:
        annotations = connection.execute(select(annotation_table.c.annotation_id)).scalars().all()
    database.close()
    assert sorted(row.prompt_id for row in rows) == sorted(people.sent)
    assert {row.outcome for row in rows} == {"answered"}
    assert sorted(annotations) == sorted(people.annotations)


def _has_written(host: Host) -> bool:
    server = host.server
    return server.metric("remask_click_log_waiting") == 0 and (
        server.metric("remask_click_log_failing") == 0
    )


def test_the_proxy_serves_a_path_prefix_health_and_no_metrics(tmp_path: Path) -> None:
    make_images(tmp_path)
    with (
        serving(tmp_path) as server,
        running_nginx(
            # A host that is not there costs nobody an answer.
            tmp_path,
            [server.client.base_url.port or 0, free_port()],
        ) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        for _ in range(4):
            for prefix in ("", "/remask"):
                assert client.get(f"{prefix}/health").json()["status"] == "UP"
                assert client.get(f"{prefix}/ready").json() == {"ready": True}
                answer = client.post(
                    f"{prefix}/predict", json=request([task(1, 2)], [click("one", 80, 60)])
                )
                assert len(masks_of(answer.json()["results"][0])) == 1
        refused = client.get("/metrics")
        page = client.get("/remask/").text

    assert refused.status_code == 404
    assert "each host" in refused.text
    assert f"{address}/remask" in page
