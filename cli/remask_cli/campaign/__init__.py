"""`remask campaign`: From boxes to masks in rounds of corrective clicks."""

from __future__ import annotations

from remask_cli.campaign import create, simulate
from remask_cli.campaign.common import app

__all__ = ["app", "create", "simulate"]


@app.callback()
def group() -> None:
    """From boxes to masks in rounds of corrective clicks."""
