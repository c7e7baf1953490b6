"""`remask models`: List, fetch and verify model weights."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(help="List, fetch and verify model weights.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """List, fetch and verify model weights."""
