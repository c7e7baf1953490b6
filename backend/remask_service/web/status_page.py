"""The page `/`: what runs, what waits, what failed, for whoever runs the service."""

from __future__ import annotations

import time
from dataclasses import dataclass

from flask import render_template

from remask_core.errors import RemaskError
from remask_service.service import Service

__all__ = ["OpenCampaign", "status_page"]

_REFRESH_S = 5


@dataclass(frozen=True, slots=True)
class OpenCampaign:
    """A campaign with a round that people answer now.

    Attributes:
        name: Of the campaign.
        round: Number of the open round.
        rounds: How many there are to be.
        project: Label Studio's number of the round's project.
        opened_at: Unix seconds.
    """

    name: str
    round: int
    rounds: int
    project: int | None
    opened_at: float | None


def status_page(service: Service, *, address: str) -> str:
    """Return the page as HTML; it loads itself again every five seconds.

    Args:
        service: What is shown.
        address: Where the caller reached the service; the address to connect a project to.
    """
    health = service.engine.health()
    problems = service.checkup.problems()
    campaigns, campaign_problem = _open_campaigns(service)
    return render_template(
        "index.html",
        health=health,
        settings=service.settings,
        address=address,
        host=service.host,
        refresh_s=_REFRESH_S,
        is_well=health.ready and not problems,
        findings=service.checkup.findings(),
        batches=service.activity.batches(),
        answers=service.activity.answers(),
        errors=service.activity.errors(),
        campaigns=campaigns,
        drifts=service.drift_watch.drifts(),
        campaign_problem=campaign_problem,
        now=time.time(),
        span=_span,
        megabytes=lambda nbytes: round(nbytes / 2**20),
    )


def _open_campaigns(service: Service) -> tuple[list[OpenCampaign], str]:
    """Return the open campaigns; and why they are not known, if they are not."""
    try:
        return [
            OpenCampaign(
                name=campaign.name,
                round=opened.number,
                rounds=campaign.rounds,
                project=opened.project,
                opened_at=opened.opened_at,
            )
            for campaign in service.campaigns.campaigns()
            for opened in service.campaigns.rounds(campaign.name)
            if opened.state == "open"
        ], ""
    except RemaskError as error:
        return [], str(error)


def _span(seconds: float | None) -> str:
    """Return a length of time as people say it: `40 s`, `3 min`, `2.5 h`."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{round(seconds / 86_400)} days"
