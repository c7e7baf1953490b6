"""The service beside the real Label Studio: images, tokens, errors that people see, webhooks."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from fakes import ToySegmenter
from PIL import Image
from werkzeug.serving import make_server

from remask_campaigns.create import tasks_of
from remask_campaigns.sources.boxes import instances_of
from remask_cli.demo.programs import HOST
from remask_core.errors import NotFound
from remask_images.image_source import open_images
from remask_label_config.labelling_config import parse_image_tags, parse_labelling_config
from remask_label_config.pages.live import write_labelling_config
from remask_label_studio.api import BackendAddress
from remask_label_studio.client import connect
from remask_service.logs import make_log
from remask_service.service import Service
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_storage.campaign import Campaign, CampaignInstance
from remask_worker.thread_engine import ThreadEngine

USER, PASSWORD = "label-studio", "known to both"
CONFIG = write_labelling_config(["cat"])


class Studio(Protocol):
    """What the tests use of the fixture `studio`."""

    url: str
    files_root: Path
    api_key: str


@pytest.fixture
def api(studio: Studio) -> Iterator[httpx.Client]:
    """A client that may do what the owner of the personal token may."""
    with httpx.Client(base_url=studio.url, timeout=60, trust_env=False) as client:
        answer = client.post("/api/token/refresh/", json={"refresh": studio.api_key})
        client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access']}"
        yield client


@pytest.fixture
def image_url(studio: Studio) -> str:
    """The address of a picture of 64 by 48 pixels with a space in its name."""
    Image.new("RGB", (64, 48)).save(studio.files_root / "images" / "x y.png")
    return "/data/local-files/?d=images/x%20y.png"


def settings_for(studio: Studio, folder: Path) -> Settings:
    return Settings(
        label_studio_url=studio.url,
        label_studio_api_key=studio.api_key,
        state_dir=folder / "state",
        basic_auth_user=USER,
        basic_auth_pass=PASSWORD,
        model="toy",
    )


@dataclass(frozen=True, slots=True)
class Served:
    """The application, and where it listens."""

    service: Service
    url: str


@pytest.fixture
def served(studio: Studio, tmp_path: Path) -> Iterator[Served]:
    """The application on a port of its own."""
    app = create_app(
        settings_for(studio, tmp_path),
        engine=ThreadEngine(ToySegmenter()),
        log=make_log("ERROR", stream=io.StringIO()),
    )
    server = make_server(HOST, 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Served(service_of(app), f"http://{HOST}:{server.port}")
    server.shutdown()
    thread.join()
    server.server_close()
    service_of(app).close()


def post(api: httpx.Client, path: str, body: object) -> Any:
    answer = api.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def make_project(api: httpx.Client, studio: Studio, config: str) -> int:
    made = post(api, "/api/projects", {"title": "service", "label_config": config})
    folder = {"path": str(studio.files_root / "images"), "use_blob_urls": True}
    post(api, "/api/storages/localfiles", {"project": made["id"], **folder})
    return int(made["id"])


def only_task(api: httpx.Client, project_id: int) -> dict[str, Any]:
    [task] = api.get("/api/tasks", params={"project": project_id}).json()["tasks"]
    return dict(task)


def add_backend(api: httpx.Client, project_id: int, url: str) -> httpx.Response:
    return api.post(
        "/api/ml",
        json={
            "project": project_id,
            "url": url,
            "title": "remask",
            "is_interactive": True,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": USER,
            "basic_auth_pass": PASSWORD,
        },
    )


def test_uploads_and_local_files_are_fetched_with_a_personal_token(
    studio: Studio, api: httpx.Client, image_url: str, tmp_path: Path
) -> None:
    project_id = make_project(api, studio, CONFIG)
    file = io.BytesIO()
    Image.new("L", (30, 20)).save(file, "PNG")
    upload = {"file": ("a b.png", file.getvalue())}
    api.post(f"/api/projects/{project_id}/import", files=upload).raise_for_status()
    task = only_task(api, project_id)
    with httpx.Client(trust_env=False) as client:
        images = open_images(
            settings_for(studio, tmp_path),
            client=client,
            log=make_log("ERROR", stream=io.StringIO()),
        )
        uploaded = images.fetch(task["data"]["image"], task_id=task["id"])
        full = images.fetch(f"{studio.url}{task['data']['image']}", task_id=task["id"])
        local = images.fetch(image_url, task_id=task["id"])
        with pytest.raises(NotFound):
            images.fetch("/data/local-files/?d=images/nobody_wrote_this.png", task_id=task["id"])
        with pytest.raises(NotFound):
            images.fetch("s3://nobodys-bucket/x.png", task_id=task["id"])

    assert uploaded.shape_hw == (20, 30)
    assert full == uploaded
    assert local.shape_hw == (48, 64)


def test_a_wrong_config_is_told_where_people_look(
    studio: Studio, api: httpx.Client, served: Served
) -> None:
    config = (
        '<View><Image name="image" value="$image"/><Choices name="c" toName="image">'
        '<Choice value="a"/></Choices></View>'
    )

    refused = add_backend(api, make_project(api, studio, config), served.url)

    assert refused.status_code == 400
    # Label Studio takes what looks like a tag out of an error.
    assert "no BrushLabels or BitmaskLabels for image `image`" in str(refused.json())


def test_boxes_as_people_import_them_become_masks_and_instances(
    studio: Studio, api: httpx.Client, served: Served, image_url: str
) -> None:
    """Label Studio keeps boxes without an id or with a number, as predictions and annotations."""
    value = {"x": 10, "y": 15, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["cat"]}
    size = {"original_width": 64, "original_height": 48}
    box = {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": value} | size
    strange = value | {"x": "10", "rectanglelabels": "cat"}
    boxes = [box, box | {"id": 7}, box | {"id": "ok"}, box | {"value": strange}]
    tasks = [
        {"data": {"image": image_url}, kind: [{"result": [box]}]}
        for kind in ("predictions", "annotations")
        for box in boxes
    ]
    project_id = make_project(api, studio, CONFIG)
    post(api, f"/api/projects/{project_id}/import", tasks)
    campaign = Campaign(
        "people", source_project=project_id, created_at=0.0, long_side_px=1, short_side_px=1
    )
    tags = parse_image_tags(CONFIG)
    with connect(studio.url, studio.api_key) as connection:
        found = [
            list(instances_of(campaign, task, tags)) for task in tasks_of(connection, project_id)
        ]
    assert add_backend(api, project_id, served.url).is_success
    every = {"selectedItems": {"all": True, "excluded": []}}
    actions = {"id": "retrieve_tasks_predictions", "project": project_id}
    answer = api.post("/api/dm/actions", params=actions, json=every, timeout=120)
    assert answer.is_success, answer.text
    predictions = api.get("/api/predictions", params={"project": project_id}).json()
    masks = [
        [region["type"] for region in prediction["result"]].count("brushlabels")
        for prediction in predictions
    ]

    assert [[type(instance) for instance in its] for its in found] == [[CampaignInstance]] * 8, (
        found
    )
    # Four of the predictions are the imported ones.
    assert sorted(masks) == [0] * 4 + [1] * 8, predictions


def test_a_submitted_annotation_joins_its_clicks(
    studio: Studio, api: httpx.Client, image_url: str, served: Served
) -> None:
    """The webhook that Label Studio registers carries no credentials until it is given them."""
    project_id = make_project(api, studio, CONFIG)
    post(api, f"/api/projects/{project_id}/import", [{"image": image_url}])
    task = only_task(api, project_id)
    backend = BackendAddress(served.url, user=USER, password=PASSWORD)
    with connect(studio.url, studio.api_key) as connection:
        backend_id = connection.add_backend(project_id, backend)
    [controls] = parse_labelling_config(CONFIG).images
    assert controls.keypoints is not None
    click = {
        "original_width": 64,
        "original_height": 48,
        "image_rotation": 0,
        "value": {"x": 50, "y": 50, "width": 0.2, "keypointlabels": ["cat"], "labels": ["cat"]},
        "is_positive": True,
        "id": "one",
        "from_name": controls.keypoints.name,
        "to_name": "image",
        "type": "keypointlabels",
    }
    answered = post(
        api,
        f"/api/ml/{backend_id}/interactive-annotating",
        {"task": task["id"], "context": {"result": [click]}},
    )
    annotation = post(
        api,
        f"/api/tasks/{task['id']}/annotations/",
        {"result": answered["data"]["result"], "lead_time": 3.5},
    )
    until = time.monotonic() + 60
    joined = None
    while joined is None or joined.annotation_id is None:
        assert time.monotonic() < until, "the webhook did not come"
        time.sleep(0.05)
        # The log is written behind the answer's back.
        joined = next(iter(served.service.click_log.prompts()), None)

    assert joined.prompt.prompt_id == "one"
    assert joined.annotation_id == annotation["id"]
    assert joined.lead_time_s == 3.5
