"""`remask train`: Train and fine-tune the bundled model."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(help="Train and fine-tune the bundled model.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Train and fine-tune the bundled model."""
