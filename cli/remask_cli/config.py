"""`remask config`: labelling configurations of Label Studio."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(
    help="Write and check Label Studio labelling configurations.", no_args_is_help=True
)


@app.callback()
def group() -> None:
    """Write and check Label Studio labelling configurations."""
