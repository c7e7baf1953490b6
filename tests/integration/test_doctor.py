"""The doctor on the real Label Studio: a chain that works, and one broken link after the other."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from fakes import ToySegmenter
from flask import Flask
from PIL import Image
from ports import free_port
from werkzeug.serving import make_server

from remask_cli.demo.programs import HOST
from remask_label_config.pages.live import write_labelling_config
from remask_service.doctor import Finding, examine, is_healthy, quick_look
from remask_service.logs import make_log
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_worker.thread_engine import ThreadEngine

CONFIG = write_labelling_config(["cat"])
USER, PASSWORD = "label-studio", "known to both"


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
def settings(studio: Studio, tmp_path: Path) -> Settings:
    return Settings(
        label_studio_url=studio.url,
        label_studio_api_key=studio.api_key,
        basic_auth_user=USER,
        basic_auth_pass=PASSWORD,
        state_dir=tmp_path / "state",
        model="grabcut",
        device="cpu",
        port=free_port(),
    )


@contextmanager
def serving(settings: Settings) -> Iterator[Flask]:
    """Give the application, listening on its port, with a model that answers at once."""
    log = make_log("CRITICAL", stream=io.StringIO())
    app = create_app(settings, engine=ThreadEngine(ToySegmenter()), log=log)
    server = make_server(HOST, settings.port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield app
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        service_of(app).close()


def url_of(settings: Settings) -> str:
    return f"http://{HOST}:{settings.port}"


@pytest.fixture
def served(settings: Settings) -> Iterator[str]:
    with serving(settings):
        yield url_of(settings)


def post(api: httpx.Client, path: str, body: object) -> Any:
    answer = api.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


@pytest.fixture
def project(api: httpx.Client, studio: Studio) -> int:
    """A project with one task, not connected yet."""
    Image.new("RGB", (64, 48), (200, 30, 30)).save(studio.files_root / "images" / "red.png")
    made = post(api, "/api/projects", {"title": "doctor", "label_config": CONFIG})
    folder = {"path": str(studio.files_root / "images"), "use_blob_urls": True}
    post(api, "/api/storages/localfiles", {"project": made["id"], **folder})
    give_task(api, made["id"], "/data/local-files/?d=images/red.png")
    return int(made["id"])


def give_task(api: httpx.Client, project: int, image: str) -> None:
    post(api, f"/api/projects/{project}/import", [{"data": {"image": image}}])


def connect_model(api: httpx.Client, project: int, url: str, **other: Any) -> None:
    """Connect a model as the settings page does: the webhook comes without credentials."""
    auth = {"auth_method": "BASIC_AUTH", "basic_auth_user": USER, "basic_auth_pass": PASSWORD}
    body = {"project": project, "url": url, "title": "remask", "is_interactive": True, **auth}
    post(api, "/api/ml", {**body, **other})


def links(settings: Settings, project: int | None = None, **more: Any) -> dict[str, Finding]:
    return {finding.link: finding for finding in examine(settings, project=project, **more)}


def test_a_chain_that_works_is_well(
    api: httpx.Client, settings: Settings, served: str, project: int
) -> None:
    connect_model(api, project, served)

    found = links(settings, project, mend=True)

    assert is_healthy(list(found.values())), found
    assert found["first image"].found.endswith("64 x 48 pixels, as a browser shows it")
    assert found["box"].state == found["click"].state == "ok"
    assert found["box"].seconds is not None


def test_a_webhook_without_credentials_is_found_and_mended(
    api: httpx.Client, settings: Settings, served: str, project: int
) -> None:
    connect_model(api, project, served)

    assert links(settings, project)["webhook"].state == "failed"
    assert "--mend" in links(settings, project)["webhook"].cure
    assert links(settings, project, mend=True)["webhook"].state == "ok"
    assert links(settings, project)["webhook"].state == "ok"
    other = replace(settings, basic_auth_pass="changed since")
    assert links(other, project)["webhook"].state == "failed"


def test_a_changed_password_reaches_every_webhook_of_ours(
    api: httpx.Client, settings: Settings, project: int
) -> None:
    with serving(settings):
        connect_model(api, project, url_of(settings))
    changed = replace(settings, basic_auth_pass="changed since")
    with serving(changed) as app:
        found = quick_look(changed, instance=service_of(app).instance)
        again = quick_look(changed, instance=service_of(app).instance)
        other = quick_look(changed, instance="another service")

    assert "1 of them lacked its credentials" in found[-1].found
    assert again[-1].found == "1 lead to this service"
    assert other[-1].found == "0 lead to this service"


def test_no_address_is_named(settings: Settings) -> None:
    found = links(replace(settings, label_studio_url=None, label_studio_api_key=None))

    assert found["Label Studio"].state == "failed"
    assert "LABEL_STUDIO_URL" in found["Label Studio"].found
    assert found["token"].state == "skipped"


def test_an_address_where_nothing_answers_is_named(settings: Settings) -> None:
    found = links(replace(settings, label_studio_url=f"http://{HOST}:{free_port()}"))

    assert found["Label Studio"].state == "failed"
    assert "does not answer" in found["Label Studio"].found


def test_something_else_than_label_studio_is_recognised(settings: Settings, served: str) -> None:
    plain = replace(settings, label_studio_url=served)

    found = links(plain)

    assert found["Label Studio"].state == "failed"


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "is not set"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9", "the shape of neither"),
        ("0" * 40, "must be accepted"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl", "refused"),
    ],
)
def test_a_token_that_does_not_work_is_named(
    settings: Settings, token: str | None, words: str
) -> None:
    found = links(replace(settings, label_studio_api_key=token))

    assert found["token"].state == "failed"
    assert words in found["token"].found
    assert found["token"].cure
    assert token is None or token not in found["token"].found


def test_a_project_that_is_not_there_is_named(settings: Settings) -> None:
    found = links(settings, 10**6)

    assert found["project"].state == "failed"
    assert found["click"].state == "skipped"


def test_a_project_without_a_model_is_named(settings: Settings, project: int) -> None:
    found = links(settings, project)

    assert found["connection"].state == "failed"
    assert "no model connected" in found["connection"].found
    assert str(settings.port) in found["connection"].cure


def test_a_page_without_masks_is_named(api: httpx.Client, settings: Settings, project: int) -> None:
    page = (
        '<View><Image name="image" value="$image"/>'
        '<RectangleLabels name="box" toName="image"><Label value="cat"/></RectangleLabels></View>'
    )
    answer = api.patch(f"/api/projects/{project}/", json={"label_config": page})
    assert answer.is_success, answer.text

    found = links(settings, project)

    assert found["labelling page"].state == "failed"
    assert "BrushLabels" in found["labelling page"].found


def test_a_backend_that_stopped_is_named(
    api: httpx.Client, settings: Settings, project: int
) -> None:
    with serving(settings):
        connect_model(api, project, url_of(settings))

    found = links(settings, project)

    assert found["connection"].state == "failed"
    assert "remask serve" in found["connection"].cure
    assert found["click"].state == "skipped"


def test_a_wrong_password_is_named(
    api: httpx.Client, settings: Settings, served: str, project: int
) -> None:
    connect_model(api, project, served)
    backend = api.get("/api/ml/", params={"project": project}).json()[0]["id"]
    # Label Studio refuses it at first, and keeps what was there; the service's may change.
    other = replace(settings, basic_auth_user="somebody else")
    assert backend

    found = links(other, project)

    assert found["connection"].state == "failed"
    assert "somebody else" in found["connection"].found


def test_a_model_that_is_not_interactive_is_looked_at(
    api: httpx.Client, settings: Settings, served: str, project: int
) -> None:
    connect_model(api, project, served, is_interactive=False)

    found = links(settings, project)

    assert found["connection"].state == "warning"
    assert "Interactive preannotations" in found["connection"].cure


def test_an_image_that_cannot_be_read_is_named(
    api: httpx.Client, settings: Settings, served: str, studio: Studio
) -> None:
    made = post(api, "/api/projects", {"title": "gone", "label_config": CONFIG})["id"]
    give_task(api, made, "/data/local-files/?d=images/not-there.png")
    connect_model(api, made, served)

    found = links(settings, made)

    assert found["first image"].state == "failed"
    assert "404" in found["first image"].found or "not-there" in found["first image"].found
    assert found["box"].state == "skipped"


def test_missing_weights_are_named(settings: Settings, tmp_path: Path) -> None:
    found = links(replace(settings, model="sam_vit_b", model_dir=tmp_path))

    assert found["model"].state == "failed"
    assert "models pull sam_vit_b" in found["model"].cure
