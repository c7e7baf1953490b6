"""Webhooks of every project that lead to this service: do they come with its credentials?

Label Studio registers a webhook along with a backend and leaves the credentials out, and a changed
password leaves the old one in every webhook. Both would keep submitted annotations from the click
log without a word to anybody, so the service mends the webhooks that are surely its own: those
whose address answers `/health` with the service's instance id, which all hosts of one PostgreSQL
share: behind a proxy any of them may answer.
"""

from __future__ import annotations

from typing import Any

import httpx

from remask_label_studio.api import basic_authorization
from remask_label_studio.probe import Probe
from remask_service.doctor.findings import Finding, examined
from remask_service.settings import Settings

__all__ = ["authorization", "examine_webhooks", "has_credentials", "instance_at"]

_SUFFIX = "/webhook"


def authorization(settings: Settings) -> str:
    """Return the header that a webhook needs; empty where the service asks for none."""
    if settings.basic_auth_user is None or settings.basic_auth_pass is None:
        return ""
    return basic_authorization(settings.basic_auth_user, settings.basic_auth_pass)


def has_credentials(settings: Settings, hook: dict[str, Any]) -> bool:
    """Return whether a webhook comes with what the service asks for."""
    wanted = authorization(settings)
    return not wanted or (hook.get("headers") or {}).get("Authorization") == wanted


def instance_at(url: str, *, client: httpx.Client) -> str | None:
    """Return the instance id of the service at an address; None if there is none."""
    try:
        body = client.get(f"{url.rstrip('/')}/health").json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return body.get("instance") if isinstance(body, dict) else None


def examine_webhooks(
    settings: Settings, probe: Probe, *, instance: str, client: httpx.Client
) -> Finding:
    """Return how many webhooks lead to this service; those without its credentials get them.

    Args:
        settings: Of the service.
        probe: For its Label Studio, with a token that is accepted.
        instance: Of the service, as its `/health` says.
        client: Asks the addresses of webhooks whose they are.
    """

    def look() -> Finding:
        hooks = [hook for hook in probe.webhooks() if str(hook.get("url")).endswith(_SUFFIX)]
        addresses = {str(hook["url"]).removesuffix(_SUFFIX) for hook in hooks}
        own = {url for url in addresses if instance_at(url, client=client) == instance}
        ours = [hook for hook in hooks if str(hook["url"]).removesuffix(_SUFFIX) in own]
        lacking = [hook for hook in ours if not has_credentials(settings, hook)]
        for hook in lacking:
            probe.set_webhook_headers(int(hook["id"]), {"Authorization": authorization(settings)})
        mended = f"; {len(lacking)} of them lacked its credentials and have them now"
        return Finding(
            "webhooks", "ok", f"{len(ours)} lead to this service" + (mended if lacking else "")
        )

    return examined("webhooks", look, cure="check the link `token`: it must see the webhooks")
