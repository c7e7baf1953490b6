"""`remask train clickability`: Train a model of where people click."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_terminal.options import ModelDevice

if TYPE_CHECKING:
    from remask_training.clickability.train import Epoch

__all__ = ["EXAMPLE", "clickability"]

EXAMPLE = (
    "Example: `remask train clickability --clicks clicks.csv --masks SUBSEC_MASKS "
    "--data TETRIS --out runs/clicks --name 'RClicks, TETRIS'`"
)


def clickability(
    data: Annotated[
        list[Path],
        typer.Option(
            help="The objects: a folder with index.csv, images/ and masks/, or a COCO JSON; may be "
            "repeated."
        ),
    ],
    clicks: Annotated[
        list[Path],
        typer.Option(
            help="CSV of clicks in the layout of RClicks, or the CSV or Parquet of `remask log "
            "export`; may be repeated."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for clickability.npz.")],
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the masks that later clicks answer, as FULL_STEM.png; without it only "
            "first clicks are learnt from. A log brings its own masks."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Whose clicks these are; the weights file tells.")
    ] = "measured clicks",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the clicks.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    device: ModelDevice = "auto",
) -> None:
    """Train a model that predicts where people click on an error.

    Writes clickability.npz, which `remask bench rclicks --clicks` and `remask bench clickmaps
    --model` take. The images of one in twenty are held out and measured.
    """
    from remask_clicks.log import read_clicked_errors
    from remask_training.clickability.train import train_clickability

    found = read_clicked_errors(clicks, data, masks=masks)
    typer.echo(f"{len(found.errors)} errors that were clicked on", err=True)
    for reason, count in found.left_out.items():
        typer.echo(f"  {count} clicks left out: {reason}", err=True)

    def told(epoch: Epoch) -> None:
        typer.echo(
            f"epoch {epoch.number}: loss {epoch.loss:.3f}, held out: divergence "
            f"{epoch.divergence:.3f}, similarity {epoch.similarity:.3f}",
            err=True,
        )

    weights = train_clickability(
        (error.load() for error in found.errors),
        out=out,
        epochs=epochs,
        seed=seed,
        device=device,
        facts={"trained_on": name, "files": [path.name for path in clicks]},
        told=told,
    )
    typer.echo(weights)
