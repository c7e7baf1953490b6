"""The application's routes, with the toy model in a thread of this process."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import ToySegmenter, toy_mask
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.http.errors import ChunkMissingTerminator, InvalidChunkSize
from PIL import Image

from remask_core.rle_ls import decode_ls_rle
from remask_core.types import Click, Prompt
from remask_service.logs import make_log
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_service.web.campaign_webhooks import EventsState
from remask_worker.calls import Answer, Call, Engine, Health
from remask_worker.thread_engine import ThreadEngine

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>
<KeyPointLabels name="kp" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels>
<RectangleLabels name="rect" toName="image" smart="true"><Label value="Cat"/></RectangleLabels>
</View>"""
WIDTH, HEIGHT = 64, 48


class SleepingEngine:
    """An engine whose model never gets ready, and whose calls are never answered."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.futures: list[Future[Answer]] = []

    def submit(self, call: Call) -> Future[Answer]:
        future: Future[Answer] = Future()
        self.futures.append(future)
        self.asked.release()
        return future

    def health(self) -> Health:
        return Health(ready=False, state="starting", detail="loading weights")

    def close(self, *, grace_s: float = 10.0) -> None:
        for future in self.futures:
            future.cancel()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "served"
    root.mkdir()
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[0, 0, 0] = 3
    Image.fromarray(pixels).save(root / "x.png")
    return root


class Kit:
    def __init__(self, app: Flask, lines: io.StringIO) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()
        self.lines = lines

    def log(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.lines.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


def build(root: Path, engine: Engine | None = None, **settings: Any) -> Kit:
    lines = io.StringIO()
    app = create_app(
        Settings(state_dir=root.parent / "state", local_files_root=root, model="toy", **settings),
        engine=engine or ThreadEngine(ToySegmenter()),
        log=make_log("DEBUG", stream=lines),
    )
    return Kit(app, lines)


@pytest.fixture
def kit(root: Path) -> Iterator[Kit]:
    kit = build(root)
    yield kit
    service_of(kit.app).close()


@pytest.fixture
def asleep(root: Path) -> Iterator[Kit]:
    kit = build(root, SleepingEngine())
    yield kit
    service_of(kit.app).close()


def click(region_id: str, x: float, y: float, *, positive: bool = True) -> dict[str, Any]:
    return {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {"x": x, "y": y, "width": 0.2, "keypointlabels": ["Cat"], "labels": ["Cat"]},
        "is_positive": positive,
        "id": region_id,
        "from_name": "kp",
        "to_name": "image",
        "type": "keypointlabels",
    }


def body(*prompts: dict[str, Any], task: int = 33, address: str = "x.png") -> dict[str, Any]:
    return {
        "tasks": [{"id": task, "data": {"image": f"/data/local-files/?d={address}"}}],
        "project": "2.1795197050",
        "label_config": CONFIG,
        "params": {"login": None, "password": None, "context": {"result": list(prompts)}},
    }


def setup_body(schema: str = CONFIG) -> dict[str, Any]:
    return {"project": "1.1", "schema": schema, "hostname": "http://h", "access_token": "s3cret"}


def test_a_click_becomes_a_mask_and_a_line_in_the_log(kit: Kit) -> None:
    answer = kit.client.post("/predict", json=body(click("one", 50, 50)))

    assert answer.status_code == 200
    [result] = answer.get_json()["results"]
    mask = next(region for region in result["result"] if region["type"] == "brushlabels")
    image = np.array(Image.open(kit_root(kit) / "x.png"))
    expected = toy_mask(image, Prompt(clicks=(Click(32, 24, True),)))
    assert np.array_equal(decode_ls_rle(mask["value"]["rle"], shape_hw=(HEIGHT, WIDTH)), expected)
    [line] = kit.log("answer")
    assert (line["project"], line["task"], line["prompts"]) == ("2", 33, ["one"])
    assert (line["region"], line["lane"], line["outcome"]) == (mask["id"], "click", "answered")
    assert line["model_version"] == "toy@000000000000"


def kit_root(kit: Kit) -> Path:
    root = service_of(kit.app).settings.local_files_root
    assert root is not None
    return root


def test_a_click_is_in_the_click_log_and_joins_its_annotation(kit: Kit) -> None:
    answer = kit.client.post("/predict", json=body(click("one", 50, 50)))
    regions = answer.get_json()["results"][0]["result"]
    annotation = {
        "id": 5,
        "result": regions,
        "was_cancelled": False,
        "lead_time": 10.887,
        "updated_at": "2026-11-20T18:11:36.863433Z",
        "task": 33,
        "project": 2,
        "completed_by": 1,
    }
    told = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": {"id": 2}}
    for _ in range(2):
        assert kit.client.post("/webhook", json=told).status_code == 202
    log = service_of(kit.app).click_log
    assert log.flush()

    [joined] = log.prompts()

    assert (joined.prompt.prompt_id, joined.prompt.x, joined.prompt.y) == ("one", 32, 24)
    assert (joined.prompt.positive, joined.prompt.outcome) == (True, "answered")
    assert (joined.annotation_id, joined.completed_by, joined.lead_time_s) == (5, 1, 10.887)


def test_a_skip_and_a_deletion_are_noted(kit: Kit) -> None:
    kit.client.post("/predict", json=body(click("one", 50, 50)))
    saved = {"id": 5, "task": 33, "result": [click("one", 50, 50)], "was_cancelled": True}
    log = service_of(kit.app).click_log
    outcomes = []
    for told in (
        {"action": "ANNOTATION_CREATED", "annotation": saved},
        {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 5}]},
    ):
        assert kit.client.post("/webhook", json=told).status_code == 202
        assert log.flush()
        outcomes.append(log.prompts()[0].annotation_outcome)

    assert outcomes == ["skipped", "deleted"]


def test_events_on_other_things_are_accepted_and_ignored(kit: Kit) -> None:
    assert kit.client.post("/webhook", json={"action": "TASKS_CREATED"}).status_code == 202


def test_the_train_button_is_answered_with_a_sentence(kit: Kit) -> None:
    answer = kit.client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 2}})

    assert answer.status_code == 409
    assert "remask train" in answer.status


def test_setup_answers_the_model_version_at_once(kit: Kit, asleep: Kit) -> None:
    known = kit.client.post("/setup", json=setup_body())
    loading = asleep.client.post("/setup", json=setup_body())

    assert known.get_json() == {"model_version": "toy@000000000000"}
    assert loading.get_json() == {"model_version": "toy"}


def test_a_wrong_config_is_told_in_the_status_line(kit: Kit) -> None:
    """Label Studio shows its people the status line and nothing of the body."""
    answer = kit.client.post("/setup", json=setup_body('<View><Image name="i" value="$i"/></View>'))

    assert answer.status_code == 400
    assert "BrushLabels" in answer.status
    assert answer.get_json()["error"]["code"] == "labelling-config"


def test_health_is_up_while_the_model_loads_and_ready_is_not(asleep: Kit) -> None:
    health = asleep.client.get("/health")
    ready = asleep.client.get("/ready")

    assert health.status_code == 200
    assert health.get_json()["status"] == "UP"
    assert health.get_json()["ready"] is False
    assert ready.status_code == 503
    assert "loading weights" in ready.get_json()["error"]["message"]
    assert int(ready.headers["Retry-After"]) > 0


def test_health_tells_of_the_model_and_its_queues(kit: Kit) -> None:
    health = kit.client.get("/health").get_json()

    assert health["ready"] is True
    assert health["model_version"] == "toy@000000000000"
    assert set(health["queued"]) == {"click", "opened", "batch"}
    assert kit.client.get("/ready").status_code == 200


def test_the_state_of_threads_is_in_health_and_metrics(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that must live as long as the service."""
    before = kit.client.get("/health").get_json()
    counted = kit.client.get("/metrics").get_data(as_text=True)
    service = service_of(kit.app)
    kit.client.post("/webhook", json={"action": "TASKS_CREATED"})
    service.campaign_events.flush()
    monkeypatch.setattr(service.campaign_events, "state", lambda: EventsState(False, 3, 2, 1, 0))
    after = kit.client.get("/health").get_json()
    metrics = kit.client.get("/metrics").get_data(as_text=True)

    assert before["status"] == "UP"
    assert before["threads"] == {"campaign-events": True, "click-log": True}
    assert 'remask_thread_alive{thread="click-log"} 1.0' in counted
    assert after["status"] == "DEGRADED"
    assert after["threads"] == {"campaign-events": False, "click-log": True}
    assert 'remask_thread_alive{thread="campaign-events"} 0.0' in metrics
    assert "remask_webhooks_read_total 1.0" in metrics


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (InvalidChunkSize(b"zz"), "must be sent as HTTP asks"),
        (ChunkMissingTerminator(b"ab"), "must be sent as HTTP asks"),
        (ConnectionResetError("reset"), "must arrive whole and in time"),
        (TimeoutError("timed out"), "must arrive whole and in time"),
    ],
)
def test_a_body_that_does_not_arrive_is_the_callers_mistake(
    kit: Kit, path: str, error: Exception, why: str
) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: Any) -> int:
            raise error

    stream = {"wsgi.input": Broken(), "wsgi.input_terminated": True}
    answer = kit.client.post(path, environ_overrides=stream)

    assert answer.status_code == 400
    assert why in answer.get_json()["error"]["message"]


def test_versions_and_the_page_for_people(kit: Kit) -> None:
    page = kit.client.get("/").get_data(as_text=True)

    assert kit.client.get("/versions").get_json() == {"versions": ["toy@000000000000"]}
    assert "toy@000000000000" in page
    assert "http://localhost" in page


def test_metrics_count_answers_and_requests(kit: Kit) -> None:
    kit.client.post("/predict", json=body(click("one", 50, 50)))
    text = kit.client.get("/metrics").get_data(as_text=True)

    assert 'remask_answers_total{lane="click",outcome="answered"} 1.0' in text
    assert 'remask_requests_total{route="predict",status="200"} 1.0' in text
    assert "remask_ready 1.0" in text
    assert "remask_click_log_lost_total 0.0" in text


def test_two_applications_in_one_process_count_apart(root: Path, kit: Kit) -> None:
    other = build(root)
    other.client.get("/versions")
    text = kit.client.get("/metrics").get_data(as_text=True)
    service_of(other.app).close()

    assert "versions" not in text


def test_an_empty_context_is_answered_with_an_empty_result(kit: Kit) -> None:
    answer = kit.client.post("/predict", json=body())

    assert answer.status_code == 200
    assert answer.get_json()["results"][0]["result"] == []


def test_an_image_that_is_not_there_leaves_the_annotator_with_an_empty_answer(kit: Kit) -> None:
    """A failed status would show nothing and log nothing in the editor."""
    answer = kit.client.post("/predict", json=body(click("one", 50, 50), address="gone.png"))

    assert answer.status_code == 200
    assert kit.log("answer")[0]["error"] == "not-found"


def test_requests_that_nobody_waits_for_leave_threads_to_clicks(root: Path) -> None:
    """A quarter of the threads, then 503 with Retry-After; clicks still come through."""
    engine = SleepingEngine()
    kit = build(root, engine, threads=8)
    opened = body()
    opened["params"] = {}
    box = {
        **click("box", 10, 10),
        "type": "rectanglelabels",
        "from_name": "rect",
        "value": {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["Cat"]},
    }
    opened["tasks"][0]["predictions"] = [{"id": 1, "result": [box]}]
    waiting = [
        threading.Thread(target=lambda: kit.app.test_client().post("/predict", json=opened))
        for _ in range(2)
    ]
    for thread in waiting:
        thread.start()
        assert engine.asked.acquire(timeout=10)
    refused = kit.client.post("/predict", json=opened)
    answered = kit.client.post("/predict", json=body())
    engine.close()
    for thread in waiting:
        thread.join(10)
    service_of(kit.app).close()

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert answered.status_code == 200


@pytest.mark.parametrize(
    ("path", "sent", "field"),
    [
        ("/predict", {"tasks": [], "project": "1"}, "label_config"),
        ("/predict", {"tasks": [{"id": "x", "data": {}}], "label_config": ""}, "tasks[0].id"),
        ("/setup", {"project": "1"}, "schema"),
        ("/webhook", {"annotations": []}, "action"),
        ("/webhook", {"action": "ANNOTATION_CREATED"}, "annotation"),
        ("/webhook", [], "body"),
    ],
)
def test_a_body_that_is_wrong_is_told_by_field(
    kit: Kit, path: str, sent: object, field: str
) -> None:
    answer = kit.client.post(path, json=sent)

    assert answer.status_code == 400
    assert field in answer.get_json()["error"]["message"]


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
def test_a_body_that_is_too_large_is_refused(root: Path, path: str) -> None:
    kit = build(root, max_request_mb=1)
    answer = kit.client.post(path, data=b" " * (2 << 20))
    service_of(kit.app).close()

    assert answer.status_code == 413


def test_an_unknown_route_and_a_wrong_method_are_json(kit: Kit) -> None:
    unknown = kit.client.get("/train")
    wrong = kit.client.get("/predict")

    assert (unknown.status_code, wrong.status_code) == (404, 405)
    assert unknown.get_json()["error"]["code"] == "http"
    assert "POST" in wrong.headers["Allow"]


def test_a_bug_is_logged_once_and_told_by_its_id_only(kit: Kit) -> None:
    @kit.app.get("/bug")
    def bug() -> str:
        raise ZeroDivisionError("private detail")

    answer = kit.client.get("/bug")

    assert answer.status_code == 500
    [line] = kit.log("bug")
    assert answer.get_json()["error"]["id"] == line["id"]
    assert "private detail" in line["exception"]
    assert "private" not in answer.get_data(as_text=True) + answer.status


def authorised(user: str, password: str) -> dict[str, str]:
    coded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {coded}"}


@pytest.fixture
def guarded(root: Path) -> Iterator[Kit]:
    kit = build(root, basic_auth_user="mé", basic_auth_pass="päss:word")
    yield kit
    service_of(kit.app).close()


@pytest.mark.parametrize("path", ["/", "/versions", "/metrics"])
def test_basic_authentication_guards_every_page_but_health(guarded: Kit, path: str) -> None:
    good = guarded.client.get(path, headers=authorised("mé", "päss:word"))
    without = guarded.client.get(path)

    assert good.status_code == 200
    assert without.status_code == 401
    assert without.headers["WWW-Authenticate"].startswith("Basic")
    assert guarded.client.get("/health").status_code == 200
    assert guarded.client.get("/ready").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        authorised("mé", "wrong"),
        authorised("you", "päss:word"),
        authorised("", ""),
        {"Authorization": "Bearer päss".encode().decode("latin-1")},
        {"Authorization": "Basic ***"},
        {"Authorization": ""},
    ],
)
def test_wrong_credentials_are_refused(guarded: Kit, headers: dict[str, str]) -> None:
    assert guarded.client.post("/predict", json=body(), headers=headers).status_code == 401


def test_a_webhook_without_credentials_is_refused_with_advice_in_the_log(guarded: Kit) -> None:
    answer = guarded.client.post("/webhook", json={"action": "TASKS_CREATED"})

    assert answer.status_code == 401
    refused = guarded.log("webhook refused")[0]
    assert "docs/connect.md" in refused["advice"]
    assert refused["credentials"] == "missing"


def test_a_webhook_with_wrong_credentials_is_refused_with_advice_too(guarded: Kit) -> None:
    answer = guarded.client.post(
        "/webhook", json={"action": "TASKS_CREATED"}, auth=("label-studio", "of yesterday")
    )

    assert answer.status_code == 401
    refused = guarded.log("webhook refused")[0]
    assert refused["credentials"] == "wrong"
    assert "of yesterday" not in str(refused)


def test_secrets_are_not_logged(guarded: Kit) -> None:
    guarded.client.post("/setup", json=setup_body(), headers=authorised("mé", "päss:word"))
    guarded.client.post("/setup", json=setup_body("<View/>"), headers=authorised("mé", "päss:word"))

    text = guarded.lines.getvalue()
    assert "s3cret" not in text
    assert "word" not in text


def test_the_log_survives_a_restart(root: Path) -> None:
    first = build(root)
    first.client.post("/predict", json=body(click("one", 50, 50)))
    service_of(first.app).close()
    second = build(root)
    found = service_of(second.app).click_log.prompts()
    service_of(second.app).close()

    assert [joined.prompt.prompt_id for joined in found] == ["one"]
