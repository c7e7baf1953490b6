"""`remask noise pictures`: objects of two files beside each other, on a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remask_core.left_out import LeftOutCounts
from remask_terminal.options import writable
from remask_terminal.printing import made_by, print_left_out

__all__ = ["EXAMPLE", "pictures"]

EXAMPLE = (
    "Example: `remask noise pictures instances_train.json noisy.json --images train2017 "
    "--out noise.html`"
)


def pictures(
    clean: Annotated[Path, typer.Argument(help="COCO JSON file.")],
    noisy: Annotated[Path, typer.Argument(help="COCO JSON file with the same annotation ids.")],
    images: Annotated[Path, typer.Option("--images", help="Folder of the images.")],
    out: Annotated[Path, typer.Option("--out", callback=writable, help="HTML page to write.")],
    objects: Annotated[int, typer.Option("--objects", min=1, help="Objects to show.")] = 12,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of which objects of a large file are shown.")
    ] = 1,
) -> None:
    """Write a page of objects before and after noise, the mildest change first.

    For files of `remask noise apply` and `remask noise weak`, and for any two files of the same
    objects, such as those of two annotators.
    """
    import numpy as np

    from remask_noise.pictures import noise_pictures

    left_out = LeftOutCounts()
    page = noise_pictures(
        clean,
        noisy,
        images,
        objects=objects,
        rng=np.random.default_rng(seed),
        left_out=left_out.add,
        made_by=made_by(),
    )
    print_left_out(left_out)
    page.write(out)
    typer.echo(f"Report: {out}")
