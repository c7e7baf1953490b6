"""Whatever is posted, the answer is a sentence or an empty result, and never a server error."""

from __future__ import annotations

import copy
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ToySegmenter
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from remask_service.logs import make_log
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_worker.thread_engine import ThreadEngine

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>'
    '<KeyPointLabels name="kp" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels>'
    '<RectangleLabels name="rect" toName="image" smart="true"><Label value="Cat"/>'
    "</RectangleLabels></View>"
)
CLICK = {
    "original_width": 64,
    "original_height": 48,
    "image_rotation": 0,
    "value": {"x": 50, "y": 50, "width": 0.2, "keypointlabels": ["Cat"], "labels": ["Cat"]},
    "is_positive": True,
    "id": "one",
    "from_name": "kp",
    "to_name": "image",
    "type": "keypointlabels",
    "meta": {"n": 0, "pos": True, "rid": "mask_1", "t": 1.0},
    "parentID": "mask_1",
}
BOX = {
    **CLICK,
    "id": "two",
    "type": "rectanglelabels",
    "from_name": "rect",
    "value": {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["Cat"]},
    "meta": None,
}
MASK = {
    **CLICK,
    "id": "mask_1",
    "type": "brushlabels",
    "from_name": "brush",
    "value": {"format": "rle", "rle": [0, 0, 48, 0, 57, 27, 255, 255], "brushlabels": ["Cat"]},
}
TASK = {
    "id": 1,
    "data": {"image": "/data/local-files/?d=x.png"},
    "annotations": [{"id": 1, "result": [MASK, CLICK, BOX]}],
    "drafts": [{"id": 2, "result": [CLICK]}],
    "predictions": [{"id": 3, "result": [MASK, BOX], "score": 0.5, "model_version": "x"}],
}
BODIES: dict[str, list[dict[str, Any]]] = {
    "/predict": [
        {
            "tasks": [TASK],
            "project": "1.2",
            "label_config": CONFIG,
            "params": {"context": {"result": [CLICK, BOX]}},
        },
        {"tasks": [TASK, TASK], "project": "1.2", "label_config": CONFIG, "params": {}},
    ],
    "/setup": [{"project": "1.2", "schema": CONFIG, "hostname": "http://h", "access_token": "x"}],
    "/webhook": [
        {
            "action": "ANNOTATION_UPDATED",
            "annotation": {
                "id": 1,
                "result": [MASK, CLICK],
                "task": 1,
                "project": 1,
                "completed_by": 1,
                "updated_at": "2026-11-20T18:11:36.863433Z",
            },
            "project": {"id": 1},
            "task": {"id": 1},
        },
        {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}], "project": {"id": 1}},
        {"action": "START_TRAINING", "project": {"id": 1}},
    ],
}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "",
            "image",
            "../../etc/passwd",
            "s3://b/k",
            "http://127.0.0.1/x",
            "data:image/png;base64,",
            "<View>",
            "\x00",
            1e308,
            -1,
        ]
    )
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "served"
        root.mkdir()
        Image.new("RGB", (64, 48)).save(root / "x.png")
        app = create_app(
            Settings(
                state_dir=Path(folder) / "state",
                local_files_root=root,
                model="toy",
                allowed_hosts=(),
            ),
            engine=ThreadEngine(ToySegmenter()),
            log=make_log("ERROR", stream=io.StringIO()),
        )
        yield app.test_client()
        service_of(app).close()


def paths_of(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every place in a JSON value."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [here, *(path for key, child in inner for path in paths_of(child, (*here, key)))]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """A good body with up to three places replaced or removed."""
    route = draw(st.sampled_from(sorted(BODIES)))
    body: Any = {"body": copy.deepcopy(draw(st.sampled_from(BODIES[route])))}
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths_of(body["body"], ("body",))))
        parent = body
        for key in path[:-1]:
            parent = parent[key]
        if draw(st.booleans()) and isinstance(parent, dict) and len(path) > 1:
            del parent[path[-1]]
        else:
            parent[path[-1]] = draw(JSON)
    return route, body["body"]


def check(client: FlaskClient, route: str, data: bytes) -> None:
    answer = client.post(route, data=data, content_type="application/json")
    told = answer.get_json()
    assert answer.status_code < 500, (answer.status, told)
    if answer.status_code >= 400:
        assert told["error"]["message"]
        assert "Traceback" not in told["error"]["message"]
    elif route == "/predict":
        assert isinstance(told["results"], list)


@given(spoiled())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_spoiled_body_never_gives_a_server_error(
    client: FlaskClient, sent: tuple[str, Any]
) -> None:
    route, body = sent
    check(client, route, json.dumps(body).encode())


@given(st.sampled_from(sorted(BODIES)), st.binary(max_size=200))
@example("/predict", b"")
@example("/setup", b"\xff\xfe")
@example("/webhook", b"[" * 100_000)
@example("/predict", b'{"tasks":' * 50_000)
@example("/setup", json.dumps({"schema": "<a>" * 100_000}).encode())
@example("/setup", json.dumps({"schema": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}).encode())
@example("/webhook", b'{"action": "\\ud800"}')
@settings(max_examples=60, deadline=None)
def test_bytes_that_are_no_body_are_refused(client: FlaskClient, route: str, data: bytes) -> None:
    check(client, route, data)


@given(JSON)
@settings(max_examples=60, deadline=None)
def test_any_address_in_a_task_is_answered(client: FlaskClient, address: Any) -> None:
    body = copy.deepcopy(BODIES["/predict"][0])
    body["tasks"][0]["data"]["image"] = address
    check(client, "/predict", json.dumps(body).encode())
