"""`remask eval`: Score predictions against truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_core.left_out import LeftOutCounts
from remask_terminal.options import Json
from remask_terminal.printing import print_json, print_left_out

if TYPE_CHECKING:
    from remask_evaluation.coco import CocoScores

__all__ = ["app"]

app = typer.Typer(help="Score predictions against truth.", no_args_is_help=True)

_TITLES = {
    "ap": "AP",
    "ap50": "AP at IoU .50",
    "ap75": "AP at IoU .75",
    "ap_small": "AP, small",
    "ap_medium": "AP, medium",
    "ap_large": "AP, large",
    "ar1": "AR, 1 per image",
    "ar10": "AR, 10 per image",
    "ar100": "AR, 100 per image",
    "ar_small": "AR, small",
    "ar_medium": "AR, medium",
    "ar_large": "AR, large",
}


@app.callback()
def group() -> None:
    """Score predictions against truth."""


@app.command(epilog="Example: `remask eval coco instances_val.json detections.json --boundary`")
def coco(
    truth: Annotated[Path, typer.Argument(help="COCO JSON file of the truth.")],
    detections: Annotated[
        Path, typer.Argument(help="COCO results, or a COCO file whose annotations have a score.")
    ],
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Also boundary AP: min of mask and boundary IoU.")
    ] = False,
    class_agnostic: Annotated[
        bool, typer.Option("--class-agnostic", help="Any class may match any other.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compute COCO's average precision and recall of masks, and of their boundaries."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn

    from remask_evaluation.coco import evaluate_coco, read_scored

    # Standard output is for the answer.
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), "{task.description}", console=console, transient=True) as bar:
        task = bar.add_task("reading")
        left_out = LeftOutCounts()
        scored = read_scored(truth, detections, left_out=left_out.add)
        bar.update(task, description="evaluating")
        scores = evaluate_coco(scored, boundary=boundary, class_agnostic=class_agnostic)
    print_left_out(left_out)
    if as_json:
        print_json(scores)
        return
    _print(scores)


def _print(scores: list[CocoScores]) -> None:
    typer.echo(f"{'':20}" + "".join(f"{score.kind:>10}" for score in scores))
    for name, title in _TITLES.items():
        typer.echo(f"{title:20}" + "".join(_cell(getattr(score, name)) for score in scores))
    for name in scores[0].classes:
        cells = "".join(_cell(score.classes[name]) for score in scores)
        typer.echo(f"{'AP of ' + name:20}{cells}")


def _cell(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:10.4f}"
