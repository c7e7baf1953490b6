"""`remask doctor`: What works, what does not, and what to do about it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from remask_terminal.options import Json
from remask_terminal.printing import print_json

__all__ = ["doctor", "register"]

_SIGNS = {"ok": "ok", "warning": "look", "failed": "FAILED", "skipped": "-"}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: `remask doctor --project 3`")(doctor)


def doctor(
    project: Annotated[
        int | None,
        typer.Option(help="Number of a Label Studio project: its connection, an image, a mask."),
    ] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Give our webhook the credentials that it lacks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try every link from this machine to a mask in Label Studio, and say what to do.

    Reads the settings that `remask serve` reads. The service must run for the links `connection`,
    `box` and `click` of a project. Exits with 1 if a link failed.
    """
    from remask_service.doctor import examine, is_healthy
    from remask_service.settings import Settings

    findings = []
    for finding in examine(Settings.from_environ(os.environ), project=project, mend=mend):
        findings.append(finding)
        if as_json:
            continue
        took = "" if finding.seconds is None else f" ({finding.seconds:.2f} s)"
        typer.echo(f"{_SIGNS[finding.state]:>6}  {finding.link}: {finding.found}{took}")
        if finding.cure:
            typer.echo(f"{'':>8}{finding.cure}")
    if as_json:
        print_json(findings)
    if not is_healthy(findings):
        raise typer.Exit(1)
