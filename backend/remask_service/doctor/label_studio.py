"""Label Studio: does it answer, which version is it, and what may the token do."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from remask_label_studio.probe import Probe, token_kind
from remask_service.doctor.findings import Finding, examined
from remask_service.settings import Settings

__all__ = ["TESTED_VERSION", "examine_label_studio"]

TESTED_VERSION = "1.23.2"
"""The version that remask's tests run with."""


def examine_label_studio(settings: Settings, probe: Probe | None) -> list[Finding]:
    """Return what was found of Label Studio itself: that it answers, its version, the token.

    Args:
        settings: Of the service.
        probe: For the Label Studio of the settings; None where no address is set.
    """
    links = ("Label Studio", "token")
    if probe is None:
        missing = Finding(
            links[0],
            "failed",
            "LABEL_STUDIO_URL is not set",
            "export LABEL_STUDIO_URL=https://labels.example.org, as this machine reaches it",
        )
        return [missing, Finding(links[1], "skipped", "no Label Studio to ask")]
    answers = examined(
        links[0],
        lambda: _version(probe, settings),
        cure="check LABEL_STUDIO_URL, a proxy in between, and that Label Studio runs",
    )
    if answers.state == "failed":
        return [answers, Finding(links[1], "skipped", "Label Studio does not answer")]
    return [answers, _token(settings, probe)]


def _version(probe: Probe, settings: Settings) -> Finding:
    release = probe.version()
    found = f"{settings.label_studio_url} is Label Studio {release}"
    if release == TESTED_VERSION:
        return Finding("Label Studio", "ok", found)
    return Finding(
        "Label Studio",
        "warning",
        f"{found}; remask is tested with {TESTED_VERSION}",
        "try one box and one click before annotators do",
    )


def _token(settings: Settings, probe: Probe) -> Finding:
    token = settings.label_studio_api_key
    if token is None:
        return Finding(
            "token",
            "failed",
            "LABEL_STUDIO_API_KEY is not set, so uploads and local files cannot be read",
            "make one under Account & Settings > Personal Access Token and export it",
        )
    kind = token_kind(token)
    if kind == "unknown":
        return Finding(
            "token",
            "failed",
            f"LABEL_STUDIO_API_KEY has {len(token)} characters and the shape of neither token: "
            "a personal access token has three parts with dots between, a legacy one 40 hex digits",
            "copy the whole token; the page shows it once, when it is made",
        )
    cure = "make a new token under Account & Settings > Personal Access Token"
    if kind == "legacy token":
        cure = "legacy tokens are off by default: use a personal access token instead"
    return examined("token", lambda: Finding("token", "ok", f"{kind} of {probe.user()}"), cure=cure)


def is_private(url: str) -> bool:
    """Return whether an address leads to a loopback or private network; False if unknown."""
    host = urlsplit(url).hostname or ""
    try:
        numbers = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return any(not ipaddress.ip_address(number.split("%")[0]).is_global for number in numbers)
