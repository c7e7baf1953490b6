"""One project: its page, its connection to the backend, its webhook, its images, and a mask."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remask_core.errors import NotFound, RemaskError
from remask_core.types import Box, Click
from remask_images.image_source import ImageSource
from remask_label_config.editor_prompts import box_prompt, click_prompt
from remask_label_config.labelling_config import (
    ImageControls,
    LabellingConfig,
    parse_labelling_config,
)
from remask_label_studio.probe import Probe
from remask_service.doctor.findings import Finding, examined
from remask_service.doctor.label_studio import is_private
from remask_service.doctor.webhooks import authorization, has_credentials
from remask_service.settings import Settings

__all__ = ["LINKS", "examine_project"]

LINKS = ("project", "labelling page", "connection", "webhook", "first image", "box", "click")
"""The links of a project, in the order in which they are examined."""

_GUARD_CURE = (
    "in Label Studio's environment set ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false, "
    "restart it, and connect the model again"
)


@dataclass(frozen=True, slots=True)
class _Visit:
    """What the links of one project share."""

    settings: Settings
    probe: Probe
    images: ImageSource
    number: int
    mend: bool


def examine_project(
    settings: Settings, probe: Probe, images: ImageSource, project: int, *, mend: bool = False
) -> Iterator[Finding]:
    """Yield what is found at each link of `LINKS`, as soon as it is found.

    Args:
        settings: Of the service.
        probe: For its Label Studio, with a token that is accepted.
        images: Reads images as the service does.
        project: Label Studio's number.
        mend: Give our webhook the credentials that it lacks.
    """
    visit = _Visit(settings, probe, images, project, mend)
    try:
        description = probe.project(project)
    except RemaskError as error:
        cure = "remask doctor --project N, the number in the project's address"
        yield Finding("project", "failed", str(error), cure)
        yield from _skipped(LINKS[1:], "there is no such project")
        return
    yield Finding("project", "ok", f"{project}, {description.get('title')!r}")
    config, finding = _page(description.get("label_config") or "")
    yield finding
    backend, finding = _connection(visit)
    yield finding
    yield _webhook(visit, backend)
    task, shape_hw, finding = _first_image(visit, config)
    yield finding
    if config is None or backend is None or task is None or shape_hw is None:
        yield from _skipped(LINKS[5:], "an earlier link failed")
        return
    yield from _masks(visit, int(backend["id"]), int(task["id"]), config.images[0], shape_hw)


def _skipped(links: tuple[str, ...], why: str) -> Iterator[Finding]:
    for link in links:
        yield Finding(link, "skipped", why)


def _page(xml: str) -> tuple[LabellingConfig | None, Finding]:
    """Return the labelling configuration, and what is to be said of it."""
    try:
        config = parse_labelling_config(xml)
    except RemaskError as error:
        cure = "remask config write --class cat shows a page that works; remask config check FILE"
        return None, Finding("labelling page", "failed", str(error), cure)
    found = f"masks on {len(config.images)} image(s)"
    if config.advice:
        return config, Finding("labelling page", "warning", found, "; ".join(config.advice))
    return config, Finding("labelling page", "ok", found)


def _connection(visit: _Visit) -> tuple[Mapping[str, Any] | None, Finding]:
    """Return our backend as Label Studio knows it, and how the two get on."""
    try:
        backends = visit.probe.backends(visit.number)
    except RemaskError as error:
        return None, Finding("connection", "failed", str(error), "see the link `token`")
    ours = [backend for backend in backends if _is_ours(visit.settings, backend)] or backends
    if not ours:
        return None, Finding(
            "connection",
            "failed",
            "the project has no model connected",
            f"Settings > Model > Connect Model, with this machine's port {visit.settings.port}",
        )
    backend = ours[0]
    url, state = str(backend.get("url")), backend.get("state")
    problem = str(backend.get("error_message") or "")
    if "reserved network" in problem or (state != "CO" and is_private(url) and not problem):
        return None, Finding(
            "connection",
            "failed",
            f"Label Studio does not reach {url}, a private address"
            + (f": {problem}" if problem else ""),
            f"start `remask serve` there; if it runs, {_GUARD_CURE}",
        )
    if state != "CO":
        reason = problem or "nothing answers"
        return None, Finding(
            "connection",
            "failed",
            f"Label Studio does not get on with {url}: {reason}",
            _credentials_cure(visit.settings)
            if "401" in reason or "credentials" in reason.lower()
            else "start `remask serve` there, and check the address from Label Studio's machine",
        )
    lacking = _missing_credentials(visit.settings, backend)
    if lacking:
        return None, Finding("connection", "failed", lacking, _credentials_cure(visit.settings))
    if not backend.get("is_interactive"):
        return backend, Finding(
            "connection",
            "warning",
            f"Label Studio reaches {url}, but clicks are not sent to it",
            "Settings > Model > Edit: turn on Interactive preannotations",
        )
    return backend, Finding("connection", "ok", f"Label Studio reaches {url}")


def _is_ours(settings: Settings, backend: Mapping[str, Any]) -> bool:
    return str(backend.get("url", "")).rstrip("/").endswith(f":{settings.port}")


def _missing_credentials(settings: Settings, backend: Mapping[str, Any]) -> str:
    """Return what is wrong with the credentials that Label Studio sends; empty if nothing."""
    if settings.basic_auth_user is None:
        return ""
    if backend.get("auth_method") != "BASIC_AUTH":
        return "the backend asks for basic authentication, and the model is connected without"
    user = backend.get("basic_auth_user")
    if user != settings.basic_auth_user:
        return f"the model is connected as {user}, the backend wants {settings.basic_auth_user}"
    return ""


def _credentials_cure(settings: Settings) -> str:
    return (
        "Settings > Model > Edit: Basic Authentication, user "
        f"{settings.basic_auth_user or 'BASIC_AUTH_USER'}, password as in BASIC_AUTH_PASS"
    )


def _webhook(visit: _Visit, backend: Mapping[str, Any] | None) -> Finding:
    if backend is None:
        return Finding("webhook", "skipped", "no model is connected")

    def look() -> Finding:
        url = f"{str(backend.get('url')).rstrip('/')}/webhook"
        hooks = [hook for hook in visit.probe.webhooks(visit.number) if hook.get("url") == url]
        if not hooks:
            return Finding(
                "webhook",
                "failed",
                f"no webhook to {url}, so submitted annotations do not reach the click log",
                f"{_GUARD_CURE}; that makes the webhook, too",
            )
        hook = hooks[0]
        if not hook.get("is_active", True):
            return Finding("webhook", "failed", f"{url} is switched off", "Settings > Webhooks")
        if not has_credentials(visit.settings, hook):
            if visit.mend:
                headers = {"Authorization": authorization(visit.settings)}
                visit.probe.set_webhook_headers(int(hook["id"]), headers)
                return Finding("webhook", "ok", f"{url}: the credentials it lacked are set now")
            return Finding(
                "webhook",
                "failed",
                f"{url} comes without the right credentials, so it is refused",
                f"remask doctor --project {visit.number} --mend sets them",
            )
        return Finding("webhook", "ok", url)

    return examined("webhook", look, cure="see docs/connect.md, Basic authentication")


def _first_image(
    visit: _Visit, config: LabellingConfig | None
) -> tuple[dict[str, Any] | None, tuple[int, int] | None, Finding]:
    """Return the first task, the size of its image in pixels, and what was found."""
    link = "first image"
    began = time.perf_counter()
    if config is None:
        return None, None, Finding(link, "skipped", "the labelling page names no image")
    try:
        task = visit.probe.first_task(visit.number)
        if task is None:
            return None, None, Finding(link, "warning", "the project has no task", "import some")
        address = config.images[0].image.url(task["data"])
        stored = visit.images.fetch(address, task_id=int(task["id"]))
    except NotFound as error:
        cure = "see docs/connect.md, Where images may come from"
        return None, None, Finding(link, "failed", str(error), cure)
    except RemaskError as error:
        cure = "see docs/connect.md, Where images may come from; check the link `token`"
        return None, None, Finding(link, "failed", str(error), cure)
    height, width = stored.shape_hw
    found = f"task {task['id']}: {width} x {height} pixels, as a browser shows it"
    return task, stored.shape_hw, Finding(link, "ok", found, "", time.perf_counter() - began)


def _masks(
    visit: _Visit, backend: int, task: int, controls: ImageControls, shape_hw: tuple[int, int]
) -> Iterator[Finding]:
    """Yield how a box and a click in the middle of the image are answered through Label Studio."""
    height, width = shape_hw
    controls_with_labels = (controls.keypoints, controls.rectangles, controls.labels, controls.mask)
    label = next(
        (control.labels[0] for control in controls_with_labels if control and control.labels),
        "object",
    )
    middle = Box(width // 4, height // 4, max(width // 4 + 1, 3 * width // 4), 3 * height // 4)
    prompts: dict[str, Mapping[str, Any] | None] = {
        "box": None
        if controls.rectangles is None
        else box_prompt(
            middle, label, prompt_id="doctor-box", controls=controls, shape_hw=shape_hw
        ),
        "click": None
        if controls.keypoints is None
        else click_prompt(
            Click(width // 2, height // 2, positive=True),
            label,
            prompt_id="doctor-click",
            controls=controls,
            shape_hw=shape_hw,
        ),
    }
    for link, prompt in prompts.items():
        if prompt is None:
            yield Finding(link, "skipped", f"the labelling page has no tool for a {link}")
            continue
        began = time.perf_counter()

        def look(
            link: str = link, prompt: Mapping[str, Any] = prompt, began: float = began
        ) -> Finding:
            regions = visit.probe.ask_backend(backend, task, [prompt])
            masks = [
                region
                for region in regions
                if {"rle", "imageDataURL", "maskDataURL"} & set(region.get("value", {}))
            ]
            if not masks:
                return Finding(
                    link,
                    "failed",
                    f"Label Studio passed the {link} on, and no mask came back",
                    "look at the backend's log: every answer has a line with its reason",
                )
            seconds = time.perf_counter() - began
            return Finding(link, "ok", "answered with a mask through Label Studio", "", seconds)

        yield examined(link, look, cure="look at the backend's log and at the link `connection`")
