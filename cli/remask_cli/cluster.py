"""`remask cluster up | down | status`: Replicas of the model on this machine, under Ray Serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_core.errors import WrongState
from remask_service.state import settings_with
from remask_terminal.options import Json
from remask_terminal.printing import print_json

if TYPE_CHECKING:
    from remask_worker.calls import Health
    from remask_worker.cluster.guard import run_guarded
    from remask_worker.cluster.node import NodeState

__all__ = ["app", "down", "status", "up"]

app = typer.Typer(
    help="Replicas of the model on this machine, under Ray Serve.", no_args_is_help=True
)

StateDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the cluster's state and log; by default in the state folder."),
]


@app.command(epilog="Example: `remask cluster up --model sam_vit_h --replicas 2 --gpus 1`")
def up(
    model: Annotated[
        str, typer.Option(help="A name of `remask models list`, or `package.module:factory`.")
    ] = "convnet",
    weights: Annotated[Path | None, typer.Option(help="Weights file of the model.")] = None,
    model_dir: Annotated[
        Path | None, typer.Option(envvar="MODEL_DIR", help="Folder of weights files.")
    ] = None,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda` or `auto`.")] = "auto",
    replicas: Annotated[int, typer.Option(min=1, help="Replicas, at least.")] = 1,
    max_replicas: Annotated[
        int | None, typer.Option(min=1, help="Replicas at most, under load; --replicas if absent.")
    ] = None,
    cpus: Annotated[float, typer.Option(min=0, help="CPUs that a replica reserves.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs that a replica reserves.")] = 0.0,
    cache_mb: Annotated[int, typer.Option(min=1, help="MiB of embeddings in a replica.")] = 256,
    images: Annotated[
        str | None,
        typer.Option(help="Where replicas share image files: a folder, or s3://bucket/prefix."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    state_dir: StateDir = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay until Ctrl+C, for a process manager.")
    ] = False,
) -> None:
    """Start Ray and the model's replicas on this machine, and return when they answer.

    Several machines are for `serve deploy` and Kubernetes; docs/cluster.md has the files.
    """
    from remask_core.extras import check_modules
    from remask_models import registry
    from remask_worker.cluster.node import NodeSettings, guarded_command, start_node
    from remask_worker.cluster.settings import ReplicaSettings

    check_modules("ray", "a cluster")
    registry.check(model, weights=weights, device=device, model_dir=model_dir)
    folder = _folder(state_dir)
    settings = NodeSettings(
        replica=ReplicaSettings(
            model=model,
            weights=None if weights is None else str(weights.absolute()),
            model_dir=None if model_dir is None else str(model_dir.absolute()),
            device=device,
            cache_mb=cache_mb,
            images=images,
            scratch_dir=str(folder / "images"),
            replicas=replicas,
            max_replicas=max_replicas,
            cpus=cpus,
            gpus=gpus,
        ),
        state_dir=str(folder),
        host=host,
        port=port,
    )
    if foreground:
        raise typer.Exit(run_guarded(guarded_command(settings)))
    typer.echo("Ray and the model are being started ...", err=True)
    running = start_node(settings)
    typer.echo(f"{running.address} answers with {running.model}")
    typer.echo(f"use it:   remask serve --engine ray --ray-address {running.address}")
    typer.echo("stop it:  remask cluster down")


@app.command(epilog="Example: `remask cluster down`")
def down(state_dir: StateDir = None) -> None:
    """Stop what `up` started, after the calls that are under way."""
    from remask_worker.cluster.node import stop_node

    stopped = stop_node(_folder(state_dir))
    if stopped is None:
        raise WrongState(f"no cluster runs with the state folder {_folder(state_dir)}")
    typer.echo(f"{stopped.address} is stopped")


@app.command(epilog="Example: `remask cluster status --json`")
def status(state_dir: StateDir = None, as_json: Json = False) -> None:
    """Say whether a cluster runs on this machine, and how one of its replicas is."""
    from remask_worker.cluster.connection import look_at
    from remask_worker.cluster.node import running_node

    running = running_node(_folder(state_dir))
    health = look_at(running.address) if running is not None and running.ready else None
    if as_json:
        print_json({"cluster": running, "replica": health})
    else:
        typer.echo(_shown(running, health))


def _shown(running: NodeState | None, health: Health | None) -> str:
    if running is None:
        return "no cluster runs here"
    if health is None:
        return f"{running.address} is starting or ending, process {running.pid}"
    return (
        f"{running.address} is {health.state} with {health.model_version}, process {running.pid}; "
        f"one replica keeps {health.embeddings} images and encoded {health.embedded}"
    )


def _folder(state_dir: Path | None) -> Path:
    """Return the folder of the cluster's state, absolute."""
    return (state_dir or settings_with(None).state_dir / "cluster").absolute()
