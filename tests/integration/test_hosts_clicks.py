"""Two hosts answer one annotator in turn, with a real PostgreSQL between them.

Whatever host a click reaches, the answer is the one that a single host would give.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from editor_model import LIVE_CONFIG, Editor, OneImage, Rig, is_mask, mask_of, toy_image
from fakes import ToySegmenter, toy_mask
from postgresql import PostgreSql
from serving import wait_until
from sqlalchemy import select

from remask_core.types import Click, Prompt
from remask_label_config.answer_regions import NOTICE_OK
from remask_service.predict.click_rows import prompt_rows
from remask_storage.click_log import ClickLog
from remask_storage.database import Database
from remask_storage.task_notes import TaskNotes, arrival_table
from remask_worker.calls import Answer, Call, Health, WorkerDied
from remask_worker.thread_engine import ThreadEngine


class SlowEngine:
    """A real engine that can be held before it begins, and can be broken."""

    def __init__(self) -> None:
        self.engine = ThreadEngine(ToySegmenter())
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: Exception | None = None

    def submit(self, call: Call) -> Future[Answer]:
        self.begun.set()
        assert self.go_on.wait(60)
        if self.error is None:
            return self.engine.submit(call)
        failed: Future[Answer] = Future()
        failed.set_exception(self.error)
        return failed

    def health(self) -> Health:
        return self.engine.health()

    def close(self, *, grace_s: float = 10.0) -> None:
        self.engine.close(grace_s=grace_s)


class Host:
    """A predictor with the log and the notes of a host."""

    def __init__(self, url: str, images: OneImage) -> None:
        self.engine = SlowEngine()
        self.database = Database.open(url)
        self.log = ClickLog(self.database)
        self.rig = Rig(self.engine, images)
        self.rig.notes = TaskNotes(self.database)
        self.rig.restart()

    def post(self, body: dict[str, Any]) -> list[Any]:
        seen = len(self.rig.records)
        answer = self.rig.post(body)
        for record in self.rig.records[seen:]:
            self.log.add(prompt_rows(record))
        assert self.log.settle(timeout_s=60)
        return answer

    def close(self) -> None:
        assert self.rig.notes is not None
        self.engine.close()
        self.log.close()
        self.rig.notes.close()
        self.database.close()


class Hosts:
    """Two hosts behind one address: what is asked goes to `now`."""

    def __init__(self, url: str, images: OneImage) -> None:
        self.all = [Host(url, images), Host(url, images)]
        self.now = 0

    def post(self, body: dict[str, Any]) -> list[Any]:
        return self.all[self.now].post(body)


@pytest.fixture
def hosts(postgresql: PostgreSql, tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(postgresql.new_database(), OneImage(tmp_path))
    yield hosts
    for host in hosts.all:
        host.close()


def arrivals(hosts: Hosts) -> int:
    """How many prompts the notes know to have come."""
    with hosts.all[0].database.reading() as connection:
        return len(connection.execute(select(arrival_table)).all())


def masks_in(answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [region for region in answer if is_mask(region)]


def test_a_suggestion_is_mended_by_whichever_host_the_next_click_reaches(hosts: Hosts) -> None:
    editor = Editor(hosts, auto_accept=False)
    (first,) = masks_in(editor.click(30, 30))
    hosts.now = 1
    (second,) = masks_in(editor.click(34, 34))
    hosts.now = 0
    (third,) = masks_in(editor.click(38, 38))

    assert first["id"] == second["id"] == third["id"]
    arrivals = [joined.prompt.arrived_at for joined in hosts.all[0].log.prompts()]
    assert len(arrivals) == 3


def test_a_click_that_comes_while_another_host_answers_the_one_before_is_of_its_object(
    hosts: Hosts,
) -> None:
    """Two quick clicks on a cold image: the first is still being encoded."""
    editor = Editor(hosts, auto_accept=False)
    slow = hosts.all[0].engine
    slow.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(editor.click, 30, 30)
        assert slow.begun.wait(60)
        hosts.now = 1
        wait_until(lambda: arrivals(hosts) == 1)
        (mask,) = masks_in(editor.click(34, 34))
        slow.go_on.set()
        (earlier,) = masks_in(first.result())

    assert mask["id"] == earlier["id"]


def test_a_click_that_failed_at_one_host_is_no_part_of_the_next_object_at_another(
    hosts: Hosts,
) -> None:
    editor = Editor(hosts, auto_accept=False)
    hosts.all[0].engine.error = WorkerDied("the worker was lost")
    editor.click(30, 30)
    hosts.now = 1

    assert len(masks_in(editor.click(120, 90))) == 2


def test_the_sign_of_a_click_outlives_a_reload_at_another_host(hosts: Hosts) -> None:
    """The editor drops the sign of a prompt that was not accepted; one host has been told it."""
    editor = Editor(hosts, auto_accept=False)
    editor.click(30, 30)
    editor.click(36, 30, positive=False)
    editor.reload()
    editor.task["drafts"] = []
    hosts.now = 1

    (mask,) = masks_in(editor.click(33, 33))

    clicks = (Click(30, 30, True), Click(36, 30, False), Click(33, 33, True))
    expected = toy_mask(toy_image(), Prompt(clicks=clicks))
    assert (mask_of(mask) == expected).all()


def test_a_sentence_that_one_host_shows_is_taken_off_by_another(hosts: Hosts) -> None:
    editor = Editor(hosts, config=LIVE_CONFIG)
    hosts.all[0].engine.error = WorkerDied("the worker was lost")
    editor.click(30, 30)
    assert editor.shown == "starting"
    hosts.now = 1
    editor.click(31, 31)

    assert editor.shown == NOTICE_OK
