"""Backends and webhooks of a project: where Label Studio sends clicks and submitted annotations."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from label_studio_sdk import LabelStudio

from remask_label_studio.api import BackendAddress, basic_authorization
from remask_label_studio.sdk_errors import ONCE

__all__ = ["add_backend", "add_webhook", "move_webhooks"]

_ACTIONS = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]


def add_backend(client: LabelStudio, project_id: int, backend: BackendAddress) -> int:
    """Return the id of the backend that now answers the project's clicks and boxes.

    A backend of the same title that the project already has is replaced. Label Studio registers a
    webhook along with it and leaves the credentials out, so they are given here; without them no
    submitted annotation would reach the click log.
    """
    auth: dict[str, Any] = {}
    if backend.user is not None:
        auth = {
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": backend.user,
            "basic_auth_pass": backend.password,
        }
    for known in client.ml.list(project=project_id):
        if known.title == backend.title and known.id is not None:
            client.ml.delete(id=known.id)
    created: Any = client.ml.create(
        project=project_id,
        url=backend.url,
        title=backend.title,
        is_interactive=True,
        request_options=ONCE,
        **auth,
    )
    if backend.user is not None:
        for hook in client.webhooks.list(project=str(project_id)):
            if hook.url == _webhook_url(backend) and hook.id is not None:
                client.webhooks.update(hook.id, headers=_headers(backend))
    return int(created.id)


def add_webhook(client: LabelStudio, project_id: int, backend: BackendAddress) -> None:
    """Have the backend told of the project's annotations, once however often it is called.

    A webhook that is there already gets the backend's credentials if it has others.
    """
    url = _webhook_url(backend)
    for hook in client.webhooks.list(project=str(project_id)):
        if hook.url == url and hook.id is not None:
            if dict(hook.headers or {}) != _headers(backend):
                client.webhooks.update(hook.id, headers=_headers(backend))
            return
    client.webhooks.create(
        url=url,
        project=project_id,
        headers=_headers(backend),
        send_payload=True,
        send_for_all_actions=False,
        actions=_ACTIONS,
        request_options=ONCE,
    )


def move_webhooks(client: LabelStudio, backend: BackendAddress) -> int:
    """Return how many webhooks to a backend on the same host now lead to this one.

    For a backend that comes back on another port or with another password: webhooks of every
    project are looked at, and those to `/webhook` on the backend's host get its address and its
    credentials.
    """
    host, moved = urlsplit(backend.url).hostname, 0
    for hook in client.webhooks.list():
        place = urlsplit(hook.url or "")
        if hook.id is None or place.hostname != host or not place.path.endswith("/webhook"):
            continue
        if (hook.url, dict(hook.headers or {})) != (_webhook_url(backend), _headers(backend)):
            client.webhooks.update(hook.id, url=_webhook_url(backend), headers=_headers(backend))
            moved += 1
    return moved


def _webhook_url(backend: BackendAddress) -> str:
    return f"{backend.url}/webhook"


def _headers(backend: BackendAddress) -> dict[str, str]:
    """Return the header of basic authentication; none where the backend asks for none."""
    if backend.user is None:
        return {}
    return {"Authorization": basic_authorization(backend.user, backend.password or "")}
