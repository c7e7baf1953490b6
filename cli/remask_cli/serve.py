"""`remask serve`: Run the Label Studio ML backend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from remask_terminal.options import EngineName, RayAddress

__all__ = ["register", "serve"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(serve)


def serve(
    model: Annotated[
        str | None,
        typer.Option(help="A name of `remask models list`, or `package.module:factory`."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights file of the model.")] = None,
    model_dir: Annotated[Path | None, typer.Option(help="Folder of weights files.")] = None,
    device: Annotated[str | None, typer.Option(help="`cpu`, `cuda`, `cuda:1` or `auto`.")] = None,
    engine: EngineName = None,
    ray_address: RayAddress = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Folder of the click log and the image cache.")
    ] = None,
) -> None:
    """Run the Label Studio ML backend until it is told to stop.

    Everything can be set by environment variables, too; docs/settings.md lists them with their
    defaults. A flag wins over its variable.

    Example: `LABEL_STUDIO_URL=http://localhost:8080 LABEL_STUDIO_API_KEY=... remask serve --model
    convnet --port 9090`
    """
    from remask_service.service import check_model
    from remask_service.settings import Settings
    from remask_service.web.wsgi import serve as run

    settings = Settings.from_environ(
        os.environ,
        overrides={
            "model": model,
            "weights": weights,
            "model_dir": model_dir,
            "device": device,
            "engine": engine,
            "ray_address": ray_address,
            "host": host,
            "port": port,
            "state_dir": state_dir,
        },
    )
    check_model(settings)
    if settings.engine == "ray":
        shown_model = f"as the cluster at {settings.ray_address} has it"
    else:
        shown_model = f"{settings.model} on {settings.device}"
    shown_host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0") else settings.host
    for label, value in (
        ("address", f"http://{shown_host}:{settings.port}"),
        ("model", shown_model),
        ("click log", settings.shown_state_place),
        ("Label Studio", settings.label_studio_url or "not set (LABEL_STUDIO_URL)"),
        ("connect", "Label Studio: project > Settings > Model > Connect Model, this address"),
        ("stop", "Ctrl+C"),
    ):
        typer.echo(f"{label:>13}  {value}")
    for sentence in settings.warnings:
        typer.echo(f"{'warning':>13}  {sentence}", err=True)
    run(settings)
