"""The command `remask demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo", epilog="Example: `remask demo --model grabcut`")(demo)


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Try a box and a click too, then stop.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Model as for `remask serve`; the bundled network if it is there."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the backend; a free one from 9090 on.")
    ] = None,
    label_studio_port: Annotated[
        int | None, typer.Option(help="Port of Label Studio; a free one from 8080 on.")
    ] = None,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where database, logs and results are kept between runs.")
    ] = Path(".demo"),
    label_studio: Annotated[
        Path | None,
        typer.Option(help="The label-studio program; `make setup`'s, else the one on the PATH."),
    ] = None,
) -> None:
    """Run the main job on real photos, and leave Label Studio open until Ctrl+C.

    A campaign of three rounds is answered by simulated annotators, ranked, exported and reported;
    a second one and a live project wait for you. Later starts find everything as it was left.
    """
    from remask_cli.demo.session import DemoOptions, run_demo

    run_demo(
        DemoOptions(
            folder=folder.absolute(),
            model=model,
            port=port,
            label_studio_port=label_studio_port,
            label_studio=label_studio,
        ),
        check=check,
    )
