"""`remask train readings`: Teach a network what else a first click may mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from remask_training.readings import ReadingsReport

__all__ = ["EXAMPLE", "readings"]

EXAMPLE = (
    "Example: `remask train readings --data train/ --val val/ --out runs/readings --minutes 50`"
)


def readings(
    data: Annotated[
        list[Path],
        typer.Option(
            help="Folder with index.csv, images/ and masks/, or a COCO file (annotations.json, or "
            "instances.json of `remask export coco`) and images/; or a folder of such folders. May "
            "be given several times."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the weights and the checkpoint.")],
    val: Annotated[
        list[Path] | None, typer.Option(help="More folders to measure on while training.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Weights to build on, .npz; the bundled weights if not given."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Batches of 8 crops; 2400 if not given.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="End after so many minutes, whatever is left of the batches."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")
    ] = False,
) -> None:
    """Teach the network to offer a smaller and a larger mask for a first click.

    Needs weights that are trained already and changes none of their masks; only the head that
    makes the further candidates learns. To be run again after `remask train convnet`. Writes
    weights.npz and checkpoint.pt. One picture in twenty is held out and measured.
    """
    from remask_training.start_readings import start_readings

    def told(report: ReadingsReport) -> None:
        typer.echo(f"{report.step}: loss {report.loss:.3f}", err=True)
        for name, measures in report.checks.items():
            line = " ".join(f"{key} {value:.3f}" for key, value in measures.items())
            typer.echo(f"{report.step}: {name}: {line}", err=True)

    weights = start_readings(
        data,
        out=out,
        val=val or [],
        init=init,
        steps=steps,
        minutes=minutes,
        seed=seed,
        resume=resume,
        told=told,
    )
    typer.echo(weights)
