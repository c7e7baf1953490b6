"""`remask demo`: Start Label Studio with the backend on real photos."""

from __future__ import annotations

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
