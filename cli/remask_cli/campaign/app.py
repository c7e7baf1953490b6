"""The noun itself; the modules beside this one add their commands to it."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(help="From boxes to masks in rounds of corrective clicks.", no_args_is_help=True)
