"""`remask bench`: Measure models and the service."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(help="Measure models and the service.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Measure models and the service."""
