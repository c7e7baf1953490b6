"""`remask models`: List, fetch and verify model weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remask_terminal.options import Json
from remask_terminal.printing import print_json

__all__ = ["app"]

app = typer.Typer(help="List, fetch and verify model weights.", no_args_is_help=True)

ModelDir = Annotated[
    Path | None,
    typer.Option(
        envvar="MODEL_DIR",
        help="Folder of weights; the user's data folder if not given.",
        show_default=False,
    ),
]


@app.callback()
def group() -> None:
    """List, fetch and verify model weights."""


@app.command("list", epilog="Example: `remask models list --json`")
def list_models(model_dir: ModelDir = None, as_json: Json = False) -> None:
    """Show every model, its weights, their size, place, state and licence.

    A large file is hashed the first time it is seen, which takes seconds; after that its digest
    is remembered as long as the file does not change.
    """
    from rich.console import Console
    from rich.table import Table

    from remask_models.catalogue import catalogue

    rows = catalogue(model_dir)
    if as_json:
        print_json(rows)
        return
    table = Table("model", "size", "state", "licence", box=None, pad_edge=False)
    table.add_column("where", overflow="fold")
    for row in rows:
        where = "" if row.path is None else str(row.path)
        table.add_row(row.name, _size(row.size_bytes), row.state, row.licence, where)
    console = Console()
    console.print(table)
    for row in rows:
        if row.trained_on is not None:
            console.print(f"{row.name} was trained on {row.trained_on}.", highlight=False)


@app.command(epilog="Example: `remask models pull sam2.1_hiera_tiny`")
def pull(
    name: Annotated[str, typer.Argument(help="A name of `remask models list`.")],
    model_dir: ModelDir = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence",
            help="You accept the weights' terms. Needed where they are more than a free licence.",
        ),
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="HF_TOKEN",
            help="Of your account on the Hugging Face Hub, where access is given on request. "
            "Better set HF_TOKEN: a command line can be seen by others.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch published weights from their official address or the Hub, and verify them.

    Goes on where an earlier call stopped. Without a network it says which file to fetch by hand
    and where to put it. The terms of the weights are shown first.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    from remask_models.pull import licence_of
    from remask_models.pull import pull as pull_weights
    from remask_models.weights import default_model_dir

    # Standard output is for the answer.
    console = Console(stderr=True)
    console.print(
        f"Terms of the weights of {name}: {licence_of(name)}", highlight=False, soft_wrap=True
    )
    with Progress(
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(name, total=None)
        path = pull_weights(
            name,
            model_dir or default_model_dir(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            accept_licence=accept_licence,
            token=token,
        )
    if as_json:
        print_json({"name": name, "path": path})
    else:
        typer.echo(f"{name} is at {path}")


@app.command(epilog="Example: `remask models verify ~/Downloads/sam_vit_b_01ec64.pth`")
def verify(
    path: Annotated[Path, typer.Argument(help="The weights file.")],
    name: Annotated[
        str | None,
        typer.Option("--model", help="Fail unless it is the published file of this model."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hash a weights file and say which published one it is.

    A file that is none, a fine-tuned one for example, can still be served by giving its path.
    """
    from remask_models.hub import HUB_FILES, verify_hub
    from remask_models.weights import digest
    from remask_models.weights import verify as verify_weights

    if name in HUB_FILES or (name is None and verify_hub(path) is not None):
        source = verify_hub(path, name=name)
        assert source is not None
        model = next(m for m, known in HUB_FILES.items() if known.repository == source.repository)
        if as_json:
            print_json({"path": path, "sha256": source.sha256, "model": model})
        else:
            typer.echo(
                f"{path} is the file of {model} that was pulled from {source.repository} at "
                f"{source.revision} (SHA-256 {source.sha256})"
            )
        return
    known = verify_weights(path, name=name)
    sha256 = digest(path)
    model_name = None if known is None else known.name
    if as_json:
        print_json({"path": path, "sha256": sha256, "model": model_name})
    elif known is None:
        typer.echo(f"{path} is no published weights file (SHA-256 {sha256})")
    else:
        typer.echo(f"{path} is the published {known.file_name} of {known.name} (SHA-256 {sha256})")


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 1e6:,.0f} MB"
