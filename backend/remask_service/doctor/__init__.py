"""The doctor: the whole chain from this machine to a mask in Label Studio, link by link."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from remask_images.image_source import open_images
from remask_label_studio.probe import Probe
from remask_service.doctor.findings import Finding, is_healthy
from remask_service.doctor.label_studio import examine_label_studio
from remask_service.doctor.machine import examine_machine
from remask_service.doctor.project import LINKS, examine_project
from remask_service.doctor.webhooks import examine_webhooks
from remask_service.logs import make_log
from remask_service.settings import Settings

__all__ = ["Finding", "examine", "is_healthy", "quick_look"]

_QUICK_S = 3.0
_PATIENT_S = 100.0
"""Label Studio itself gives a backend so long for a mask."""


def quick_look(settings: Settings, *, instance: str) -> list[Finding]:
    """Return what is found without a project, within seconds: this machine and Label Studio.

    Webhooks that lead to the running service and lack its credentials get them.

    Args:
        settings: Of the running service.
        instance: Its id, as `/health` says.
    """
    with _client(_QUICK_S) as client:
        probe = _probe(settings, client)
        found = [*examine_machine(settings), *examine_label_studio(settings, probe)]
        if probe is None or not is_healthy(found):
            return found
        return [*found, examine_webhooks(settings, probe, instance=instance, client=client)]


def examine(settings: Settings, *, project: int | None, mend: bool = False) -> Iterator[Finding]:
    """Yield what is found at each link, as soon as it is found.

    A box and a click are asked for as an annotator's editor would ask; nothing is stored in Label
    Studio, and both stand in the click log as prompts `doctor-box` and `doctor-click`.

    Args:
        settings: Of the service that is to work.
        project: Label Studio's number of a project; None leaves the project's links out.
        mend: Give our webhook in the project the credentials that it lacks.
    """
    yield from examine_machine(settings)
    with _client(_PATIENT_S) as client:
        probe = _probe(settings, client)
        findings = examine_label_studio(settings, probe)
        yield from findings
        if project is None:
            return
        if probe is None or not is_healthy(findings):
            for link in LINKS:
                yield Finding(link, "skipped", "Label Studio or the token is missing")
            return
        images = open_images(settings, client=client, log=make_log("CRITICAL"))
        yield from examine_project(settings, probe, images, project, mend=mend)


def _client(timeout_s: float) -> httpx.Client:
    # Proxies from the environment would connect where nobody has looked.
    return httpx.Client(
        timeout=httpx.Timeout(timeout_s, connect=_QUICK_S),
        follow_redirects=False,
        trust_env=False,
        verify=httpx.create_ssl_context(),
    )


def _probe(settings: Settings, client: httpx.Client) -> Probe | None:
    if settings.label_studio_url is None:
        return None
    return Probe(settings.label_studio_url, settings.label_studio_api_key, client=client)
