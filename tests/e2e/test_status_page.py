"""The status page in a real browser: it follows a batch, and a phone can show it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import ToySegmenter
from playwright.sync_api import Browser, expect
from werkzeug.serving import make_server

from remask_cli.demo.programs import HOST
from remask_service.logs import make_log
from remask_service.predict.records import AnswerRecord
from remask_service.service import Service
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_storage.campaign import Campaign, Round
from remask_worker.thread_engine import ThreadEngine


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[Service, str]]:
    log = make_log("CRITICAL", stream=io.StringIO())
    settings = Settings(state_dir=tmp_path, model="grabcut", label_studio_url="http://127.0.0.1:9")
    app = create_app(settings, engine=ThreadEngine(ToySegmenter()), log=log)
    server = make_server(HOST, 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield service_of(app), f"http://{HOST}:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()
    service_of(app).close()


def answer(task: int, *, lane: str, error: str | None = None, detail: str = "") -> AnswerRecord:
    return AnswerRecord(
        answer_id=f"answer-{task}",
        time=time.time(),
        project="3.1",
        task=task,
        item_index=None,
        labels=("cat",),
        region="mask",
        prompts=(),
        lane=lane,
        outcome="failed" if error else "answered",
        latency_ms=48.0,
        error=error,
        detail=detail,
    )


@pytest.mark.parametrize("width", [360, 1366])
def test_a_batch_is_followed_without_a_reload_by_hand(
    browser: Browser, service: tuple[Service, str], width: int, tmp_path: Path
) -> None:
    running, url = service
    running.checkup.start()
    running.campaigns.add_campaign(Campaign(name="cats", source_project=1, created_at=0.0), [])
    running.campaigns.put_round("cats", Round(1, "open", project=17, opened_at=0.0))
    running.activity.note(answer(1, lane="click"))
    long = "`image` must be the address of an image; got /data/upload/7/" + "x" * 80 + ".png"
    running.activity.note(answer(2, lane="click", error="not-found", detail=long))
    page = browser.new_page(
        viewport={"width": width, "height": 768},
        color_scheme="dark" if width == 360 else "light",
    )
    try:
        with running.activity.batch("3.1", 1000):
            running.activity.note(answer(1, lane="batch"))
            page.goto(url)
            expect(page.get_by_text("1 done")).to_be_visible()
            running.activity.note(answer(2, lane="batch"))
            expect(page.get_by_text("2 done")).to_be_visible(timeout=30_000)
            page.screenshot(path=tmp_path / "status.png", full_page=True)
        too_wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        expect(page.get_by_text("1000 tasks")).to_be_hidden(timeout=30_000)
    finally:
        page.close()

    assert not too_wide
