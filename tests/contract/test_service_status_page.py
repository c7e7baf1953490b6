"""The status page tells the truth: what waits, what is under way, what failed and why."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fakes import ToySegmenter
from flask.testing import FlaskClient

from remask_core.errors import NotFound
from remask_service.activity import MEANINGS, Activity
from remask_service.checkup import Checkup
from remask_service.doctor import Finding
from remask_service.logs import make_log
from remask_service.predict.records import AnswerOutcome, AnswerRecord
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_service.web.failures import STATUS
from remask_storage.campaign import Campaign, Round
from remask_worker.thread_engine import ThreadEngine

SECRET = "a secret that stays where it is"
FAILED = Finding("token", "failed", "Label Studio refused it", "make a new one")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def record(
    task: int,
    *,
    lane: str = "batch",
    outcome: AnswerOutcome = "answered",
    error: str | None = None,
    detail: str = "",
) -> AnswerRecord:
    return AnswerRecord(
        answer_id="a",
        time=999.0,
        project="7.1",
        task=task,
        item_index=None,
        labels=("cat",),
        region="r",
        prompts=(),
        lane=lane,
        outcome=outcome,
        latency_ms=123.4,
        error=error,
        detail=detail,
    )


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    settings = Settings(
        state_dir=tmp_path,
        model="grabcut",
        label_studio_url="http://127.0.0.1:9",
        label_studio_api_key=SECRET,
    )
    log = make_log("CRITICAL", stream=io.StringIO())
    app = create_app(settings, engine=ThreadEngine(ToySegmenter()), log=log)
    yield app.test_client()
    service_of(app).close()


def page(client: FlaskClient) -> str:
    return " ".join(client.get("/").get_data(as_text=True).split())


def look(client: FlaskClient, findings: Sequence[Finding]) -> None:
    """Let a checkup of the client's service find just these."""
    service = service_of(client.application)
    service.checkup = Checkup(service.settings, log=service.log, look=lambda _: findings)
    service.checkup.start()
    service.checkup.close()
    service.checkup._thread.join()


def test_a_model_that_answers_is_ready_only_if_no_link_failed(client: FlaskClient) -> None:
    look(client, [Finding("token", "ok", "fine")])
    assert "<title>remask: ready</title>" in page(client)

    look(client, [FAILED])
    assert "<title>remask: not ready</title>" in page(client)
    assert "Label Studio refused it" in page(client)
    assert "make a new one" in page(client)


def test_a_batch_shows_how_far_it_is_and_how_long_it_takes() -> None:
    clock = Clock()
    activity = Activity(clock=clock)

    with activity.batch("7.1", 4):
        assert activity.batches()[0].left_s is None
        clock.now += 30
        activity.note(record(1))
        activity.note(record(1))
        activity.note(record(2, outcome="failed", error="bad-image"))
        (batch,) = activity.batches()

    assert (batch.seen, batch.answered, batch.failed, batch.percent) == (2, 2, 1, 50)
    assert batch.left_s == pytest.approx(30.0)
    assert activity.batches() == []


def test_a_batch_under_way_is_on_the_page(client: FlaskClient) -> None:
    activity = service_of(client.application).activity

    with activity.batch("7.1", 1000):
        activity.note(record(1))
        assert "Predictions for 1000 tasks of project 7: 1 done, 1 masks" in page(client)
        assert '<progress max="1000" value="1">' in page(client)
    assert "Predictions for" not in page(client)


def test_equal_errors_in_a_row_are_one_with_its_meaning(client: FlaskClient) -> None:
    activity = service_of(client.application).activity
    for task in (1, 2, 3):
        activity.note(record(task, outcome="failed", error="not-found", detail="no <b>image</b>"))

    shown = page(client)

    assert "3 times" in shown
    assert "no &lt;b&gt;image&lt;/b&gt;" in shown
    assert MEANINGS["not-found"] in shown


def test_answers_to_people_show_their_latency(client: FlaskClient) -> None:
    service_of(client.application).activity.note(record(42, lane="click"))

    assert "42" in page(client)
    assert "123</td>" in page(client)


def test_open_rounds_are_named_with_their_project(client: FlaskClient) -> None:
    campaigns = service_of(client.application).campaigns
    campaigns.add_campaign(Campaign(name="cats", source_project=1, created_at=0.0), [])
    campaigns.put_round("cats", Round(1, "open", project=17, opened_at=0.0))

    assert "cats" in page(client)
    assert "http://127.0.0.1:9/projects/17" in page(client)


def test_behind_a_proxy_the_page_names_the_proxys_address(client: FlaskClient) -> None:
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "labels.example.org",
        "X-Forwarded-Prefix": "/remask/",
    }
    shown = client.get("/", headers=headers).get_data(as_text=True)

    assert "<code>https://labels.example.org/remask</code>" in shown
    # Links are relative, so that they stay below the prefix.
    assert 'href="/' not in shown


def test_nothing_secret_is_on_the_page(client: FlaskClient) -> None:
    assert SECRET not in page(client)


def test_every_error_that_reaches_a_caller_has_a_meaning_or_speaks_for_itself() -> None:
    speaks_for_itself = {
        "bug",
        "http",
        "error",
        "wire",
        "shape-mismatch",
        "wrong-state",
        "unanswered",
        "prior-lost",
    }

    assert {kind.code for kind in STATUS} <= MEANINGS.keys() | speaks_for_itself


def test_a_checkup_survives_a_look_that_fails(tmp_path: Path) -> None:
    stream = io.StringIO()

    def broken(_: Settings) -> Sequence[Finding]:
        raise NotFound("gone")

    checkup = Checkup(
        Settings(state_dir=tmp_path), log=make_log("INFO", stream=stream), look=broken
    )
    checkup.start()
    checkup.close()
    checkup._thread.join()

    assert checkup.findings() == ()
    assert "checkup failed" in stream.getvalue()


def test_the_first_look_logs_every_link_and_later_ones_what_changed(tmp_path: Path) -> None:
    stream = io.StringIO()
    checkup = Checkup(Settings(state_dir=tmp_path), log=make_log("INFO", stream=stream))

    checkup._tell([FAILED, Finding("model", "ok", "convnet")])
    checkup._findings = (FAILED, Finding("model", "ok", "convnet"))
    checkup._tell([Finding("token", "ok", "of somebody"), Finding("model", "ok", "convnet")])

    lines = [line for line in stream.getvalue().splitlines() if '"check"' in line]
    assert len(lines) == 3
    assert "of somebody" in lines[-1]
