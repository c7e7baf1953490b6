"""`remask campaign`: From boxes to masks in rounds of corrective clicks."""

from __future__ import annotations

from remask_cli.campaign import advance, create, gold, people, plan, rate, restore, retire, status
from remask_cli.campaign.app import app

__all__ = [
    "advance",
    "app",
    "create",
    "gold",
    "people",
    "plan",
    "rate",
    "restore",
    "retire",
    "status",
]


@app.callback()
def group() -> None:
    """From boxes to masks in rounds of corrective clicks."""
