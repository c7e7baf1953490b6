"""`remask eval`: Score predictions against truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_core.errors import InputError
from remask_core.left_out import LeftOutCounts
from remask_terminal.options import DataSets, Json, Limit, ModelDevice, writable
from remask_terminal.printing import made_by, print_json, print_left_out, print_rows, print_table
from remask_terminal.progress import progress_count

if TYPE_CHECKING:
    from remask_evaluation.coco import CocoScores
    from remask_evaluation.lvis import LvisScores

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


_LVIS_TITLES = {
    "ap": "AP",
    "ap50": "AP at IoU .50",
    "ap75": "AP at IoU .75",
    "ap_small": "AP, small",
    "ap_medium": "AP, medium",
    "ap_large": "AP, large",
    "ap_rare": "AP, rare classes",
    "ap_common": "AP, common classes",
    "ap_frequent": "AP, frequent classes",
    "ar300": "AR, 300 per image",
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
    boxes: Annotated[bool, typer.Option("--boxes", help="Also box AP.")] = False,
    class_agnostic: Annotated[
        bool, typer.Option("--class-agnostic", help="Any class may match any other.")
    ] = False,
    noisy: Annotated[
        Path | None,
        typer.Option(
            "--noisy", help="A second truth of the same images, scored in columns of its own."
        ),
    ] = None,
    lvis: Annotated[
        bool,
        typer.Option("--lvis", help="LVIS's AP instead, by the classes annotated in each image."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compute COCO's average precision and recall of masks, boundaries and boxes; or LVIS's."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn

    from remask_evaluation.coco import evaluate_coco, read_scored
    from remask_evaluation.lvis import evaluate_lvis

    if lvis and (boundary or boxes or class_agnostic):
        raise InputError(
            "`--lvis` scores masks by class; it goes with none of `--boundary`, `--boxes` and "
            "`--class-agnostic`"
        )
    # Standard output is for the answer.
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), "{task.description}", console=console, transient=True) as bar:
        task = bar.add_task("reading")
        left_out = LeftOutCounts()
        truths = [truth] if noisy is None else [truth, noisy]
        every: list[list[CocoScores]] = []
        whole: list[LvisScores] = []
        for path in truths:
            bar.update(task, description=f"reading {path.name}")
            scored = read_scored(path, detections, left_out=left_out.add)
            bar.update(task, description=f"evaluating by {path.name}")
            if lvis:
                whole.append(evaluate_lvis(scored))
            else:
                every.append(
                    evaluate_coco(
                        scored, boundary=boundary, boxes=boxes, class_agnostic=class_agnostic
                    )
                )
    print_left_out(left_out)
    found: list[object] = [*whole, *every]
    if as_json:
        print_json(found if noisy is not None or lvis else found[0])
        return
    if lvis:
        _print_lvis(whole, truths)
        return
    if noisy is not None:
        width = 10 * len(every[0])
        typer.echo(f"{'':20}" + "".join(f"{path.stem[:width]:>{width}}" for path in truths))
    _print([score for scores in every for score in scores])


@app.command(
    epilog="Example: `remask eval masks --data train/ours --data instances_val.json "
    "--out masks.html`"
)
def masks(
    data: DataSets,
    out: Annotated[Path, typer.Option("--out", callback=writable, help="HTML page to write.")],
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Say what the masks of data sets are like: how many, how large, how concave, and where.

    With `--limit`, masks of an image are counted among those taken alone.
    """
    from remask_evaluation.datasets import open_sets
    from remask_evaluation.mask_statistics import statistics_of, statistics_page, statistics_table

    left_out = LeftOutCounts()
    instances = open_sets(data, limit=limit, left_out=left_out.add)
    print_left_out(left_out)
    with progress_count("masks", len(instances)) as on_done:
        sets = statistics_of(instances, on_done=on_done)
    statistics_page(sets, made_by=made_by()).write(out)
    if as_json:
        print_json(sets)
        return
    print_table(statistics_table(sets))
    typer.echo(f"Report: {out}")


@app.command(epilog="Example: `remask eval proposals instances_val.json proposals.json`")
def proposals(
    truth: Annotated[Path, typer.Argument(help="COCO JSON file of the truth.")],
    masks: Annotated[
        Path, typer.Argument(help="COCO results: masks with scores, of any class of the truth.")
    ],
    as_json: Json = False,
) -> None:
    """Compute the recall of object proposals, AR@10, 100 and 1000, whatever their class."""
    from remask_evaluation.coco import read_scored
    from remask_evaluation.proposals import evaluate_proposals, proposals_table

    left_out = LeftOutCounts()
    scored = read_scored(truth, masks, left_out=left_out.add)
    print_left_out(left_out)
    print_rows(evaluate_proposals(scored), proposals_table, as_json=as_json)


@app.command(
    epilog="Example: `remask eval edges --data eval/bsds_edges --model convnet --out edges.html`"
)
def edges(
    data: Annotated[
        Path, typer.Option("--data", help="Folder with index.csv, images/ and boundaries/.")
    ],
    out: Annotated[Path, typer.Option("--out", callback=writable, help="HTML page to write.")],
    maps: Annotated[
        Path | None,
        typer.Option("--maps", help="Folder of edge maps, a grey PNG named by each image."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Model whose masks make the edges, NAME or NAME=WEIGHTS."),
    ] = None,
    points: Annotated[
        int, typer.Option("--points", min=1, help="Points of the model's grid, each way.")
    ] = 16,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many images.")] = None,
    device: ModelDevice = "cpu",
    as_json: Json = False,
) -> None:
    """Score edges against drawn boundaries: ODS, OIS, AP and R50."""
    from remask_evaluation.contestants import Contestant
    from remask_evaluation.edge_maps import (
        THRESHOLDS,
        edge_map_of_file,
        edge_map_of_model,
        edges_page,
        edges_table,
        measure_edges,
        open_boundaries,
    )
    from remask_evaluation.edges import edge_scores

    if (maps is None) is (model is None):
        raise InputError(
            "`remask eval edges` needs either `--maps` or `--model`; got "
            f"{'neither' if maps is None else 'both'}"
        )
    images = open_boundaries(data, limit=limit)
    if maps is not None:
        name, maker = maps.name, edge_map_of_file(maps)
    else:
        contestant = Contestant.parse(str(model), device=device)
        name = contestant.version
        maker = edge_map_of_model(contestant.load(), points_per_side=points)
    with progress_count("images", len(images)) as on_done:
        measured = list(measure_edges(images, maker, on_done=on_done))
    edges_page(name, measured, made_by=made_by()).write(out)
    scores = edge_scores([counts for *_, counts in measured], thresholds=THRESHOLDS)
    if as_json:
        print_json(scores)
        return
    print_table(edges_table(name, len(images), scores))
    typer.echo(f"Report: {out}")


def _print_lvis(scores: list[LvisScores], truths: list[Path]) -> None:
    typer.echo(f"{'':20}" + "".join(f"{path.stem[:11]:>12}" for path in truths))
    for name, title in _LVIS_TITLES.items():
        cells = "".join(f"{_cell(getattr(score, name)):>12}" for score in scores)
        typer.echo(f"{title:20}{cells}")
    typer.echo(f"{'ignored':20}" + "".join(f"{score.ignored:12}" for score in scores))


def _print(scores: list[CocoScores]) -> None:
    typer.echo(f"{'':20}" + "".join(f"{score.kind:>10}" for score in scores))
    for name, title in _TITLES.items():
        typer.echo(f"{title:20}" + "".join(_cell(getattr(score, name)) for score in scores))
    for name in scores[0].classes:
        cells = "".join(_cell(score.classes.get(name)) for score in scores)
        typer.echo(f"{'AP of ' + name:20}{cells}")


def _cell(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:10.4f}"
