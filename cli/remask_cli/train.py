"""`remask train`: Train and fine-tune the bundled model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from remask_training.loop import Report

__all__ = ["app"]

app = typer.Typer(help="Train and fine-tune the bundled model.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Train and fine-tune the bundled model."""


@app.command(
    epilog="Example: `remask train convnet --data masks/ --out runs/mine --steps 500` fine-tunes "
    "the bundled weights; `--init deeplabv3_mobilenetv2_coco_voc.pt` trains from the encoder up."
)
def convnet(
    data: Annotated[
        list[Path],
        typer.Option(
            help="Folder with index.csv, images/ and masks/, or annotations.json (COCO) and "
            "images/; or a folder of such folders. May be given several times."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the weights, the checkpoint and the curves.")
    ],
    val: Annotated[
        list[Path] | None, typer.Option(help="More folders to measure on while training.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from: .npz of this model, or the .pt of the DeepLabv3 encoder; "
            "the bundled weights if not given."
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            help="`small`: an hour of two CPU cores. `fine`: two more, for weights that are "
            "trained already. `full`: half an hour of a GPU."
        ),
    ] = "small",
    steps: Annotated[
        int | None, typer.Option(help="Batches to train for; the config's if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")
    ] = False,
) -> None:
    """Train the network on images with masks, or fine-tune it on your own.

    Writes weights.npz, which `remask serve --model convnet --weights` takes, checkpoint.pt to go
    on from, curves.csv and curves.html. One picture in twenty is held out and measured.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from remask_training.config import CONFIGS
    from remask_training.start import train_convnet

    console = Console(stderr=True)
    with Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        total = steps or (CONFIGS[config].steps if config in CONFIGS else None)
        bar = progress.add_task("reading data", total=total)

        def told(report: Report) -> None:
            ious = " ".join(f"{iou:.3f}" for iou in report.iou)
            progress.update(
                bar, completed=report.step, description=f"loss {report.loss:.3f} IoU {ious}"
            )
            for name, measures in report.checks.items():
                line = " ".join(f"{key} {value:.3f}" for key, value in measures.items())
                console.print(f"{report.step}: {name}: {line}", highlight=False)

        weights = train_convnet(
            data,
            out=out,
            val=val or [],
            init=init,
            config=config,
            steps=steps,
            seed=seed,
            device=device,
            resume=resume,
            told=told,
        )
    typer.echo(weights)
