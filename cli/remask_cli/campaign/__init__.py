"""`remask campaign`: From boxes to masks in rounds of corrective clicks."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(help="From boxes to masks in rounds of corrective clicks.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """From boxes to masks in rounds of corrective clicks."""
