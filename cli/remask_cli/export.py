"""`remask export`: Annotations from Label Studio, in the formats of the field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from remask_exports.manifest import Manifest
    from remask_exports.selection import Selection
    from remask_exports.writing import Categories, Format

__all__ = ["app"]

app = typer.Typer(
    help="Write annotations of Label Studio in the formats of the field.",
    no_args_is_help=True,
)

Source = Annotated[
    Path, typer.Argument(help="Label Studio's JSON export; `remask export fetch` gets one.")
]
Out = Annotated[Path, typer.Option("--out", help="New or empty folder.")]
RanksFile = Annotated[
    Path | None, typer.Option("--ranks", help="CSV of `remask rank apply`: predicted IoU and rank.")
]
Top = Annotated[
    float | None, typer.Option("--top", help="Only the best so many per cent, by rank.")
]
Bottom = Annotated[
    float | None, typer.Option("--bottom", help="Only the worst so many per cent, by rank.")
]
MinIou = Annotated[float | None, typer.Option("--min-iou", help="Lowest predicted IoU.")]
MaxIou = Annotated[float | None, typer.Option("--max-iou", help="Highest predicted IoU.")]
Classes = Annotated[
    list[str] | None, typer.Option("--class", help="Only this class; may be repeated.")
]
Rounds = Annotated[
    list[int] | None, typer.Option("--round", help="Only with this last round; may be repeated.")
]
Annotators = Annotated[
    list[int] | None,
    typer.Option("--annotator", help="Only of this annotator (Label Studio's id); repeatable."),
]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Processes that decode; one per core if not given.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the manifest instead of text.")]


class OutcomeChoice(str, Enum):
    """How an instance left its last round."""

    corrected = "corrected"
    accepted = "accepted"
    painted = "painted"


Outcomes = Annotated[
    list[OutcomeChoice] | None,
    typer.Option("--outcome", help="Only instances that left so; may be repeated."),
]


@app.callback()
def group() -> None:
    """Write annotations of Label Studio in the formats of the field."""


@app.command(
    epilog="Example: `remask export coco export.json --out coco --ranks ranks.csv --top 70`"
)
def coco(
    source: Source,
    out: Out,
    categories: Annotated[
        Path | None,
        typer.Option(help="COCO file of an earlier export, whose category ids are kept."),
    ] = None,
    ranks: RanksFile = None,
    top: Top = None,
    bottom: Bottom = None,
    min_iou: MinIou = None,
    max_iou: MaxIou = None,
    classes: Classes = None,
    rounds: Rounds = None,
    annotators: Annotators = None,
    outcomes: Outcomes = None,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write one COCO JSON file, masks as RLE with predicted IoU, rank and clicks."""
    from remask_exports.coco import COCO, read_categories

    known = None if categories is None else read_categories(categories)
    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, COCO, out, ranks, chosen, processes, known=known, as_json=as_json)


@app.command(epilog="Example: `remask export openimages export.json --out oi --ranks ranks.csv`")
def openimages(
    source: Source,
    out: Out,
    labels: Annotated[
        Path | None,
        typer.Option(help="Open Images' class descriptions (CSV): machine id and name."),
    ] = None,
    ranks: RanksFile = None,
    top: Top = None,
    bottom: Bottom = None,
    min_iou: MinIou = None,
    max_iou: MaxIou = None,
    classes: Classes = None,
    rounds: Rounds = None,
    annotators: Annotators = None,
    outcomes: Outcomes = None,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write the CSV of Open Images V5 with its clicks, and a PNG mask for each instance."""
    from remask_exports.openimages import open_images, read_label_names

    form = open_images(None if labels is None else read_label_names(labels))
    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, form, out, ranks, chosen, processes, as_json=as_json)


@app.command(epilog="Example: `remask export png export.json --out masks --binary`")
def png(
    source: Source,
    out: Out,
    binary: Annotated[
        bool, typer.Option("--binary", help="One PNG per instance instead of one per image.")
    ] = False,
    ranks: RanksFile = None,
    top: Top = None,
    bottom: Bottom = None,
    min_iou: MinIou = None,
    max_iou: MaxIou = None,
    classes: Classes = None,
    rounds: Rounds = None,
    annotators: Annotators = None,
    outcomes: Outcomes = None,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write label maps, one per image, with an index that `remask bench --data` reads."""
    from remask_exports.png import BINARY_PNG, PNG

    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    form = BINARY_PNG if binary else PNG
    _run(source, form, out, ranks, chosen, processes, as_json=as_json)


@app.command(epilog="Example: `remask export yolo export.json --out yolo --class cat --class dog`")
def yolo(
    source: Source,
    out: Out,
    ranks: RanksFile = None,
    top: Top = None,
    bottom: Bottom = None,
    min_iou: MinIou = None,
    max_iou: MaxIou = None,
    classes: Classes = None,
    rounds: Rounds = None,
    annotators: Annotators = None,
    outcomes: Outcomes = None,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write YOLO segmentation labels, parts and holes joined into one polygon."""
    from remask_exports.yolo import YOLO

    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, YOLO, out, ranks, chosen, processes, as_json=as_json)


@app.command(epilog="Example: `remask export parquet export.json --out table --ranks ranks.csv`")
def parquet(
    source: Source,
    out: Out,
    ranks: RanksFile = None,
    top: Top = None,
    bottom: Bottom = None,
    min_iou: MinIou = None,
    max_iou: MaxIou = None,
    classes: Classes = None,
    rounds: Rounds = None,
    annotators: Annotators = None,
    outcomes: Outcomes = None,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write one Parquet table: a row per instance, its mask as packed COCO RLE."""
    from remask_exports.parquet import PARQUET

    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, PARQUET, out, ranks, chosen, processes, as_json=as_json)


@app.command(
    epilog="Example: `remask export labelstudio export.json --out worst --ranks ranks.csv "
    "--bottom 30`"
)
def labelstudio(
    source: Source,
    out: Out,
    annotations: Annotated[
        bool,
        typer.Option("--annotations", help="Masks as finished annotations, not as predictions."),
    ] = False,
    ranks: RanksFile = None,
    top: Top = None,
    bottom: Bottom = None,
    min_iou: MinIou = None,
    max_iou: MaxIou = None,
    classes: Classes = None,
    rounds: Rounds = None,
    annotators: Annotators = None,
    outcomes: Outcomes = None,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write tasks to import into Label Studio again, with the rank of the worst mask of each.

    The new project takes the labelling config of the old one; its Data Manager sorts by
    `predicted_iou` or `rank`.
    """
    from remask_exports.labelstudio import LABEL_STUDIO, LABEL_STUDIO_ANNOTATIONS

    form = LABEL_STUDIO_ANNOTATIONS if annotations else LABEL_STUDIO
    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, form, out, ranks, chosen, processes, as_json=as_json)


@app.command(
    epilog="Example: `LABEL_STUDIO_API_KEY=... remask export fetch --url http://localhost:8080 "
    "--project 3 --out export.json`"
)
def fetch(
    project: Annotated[int, typer.Option(help="Number of the project, as in its address.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    url: Annotated[
        str, typer.Option(envvar="LABEL_STUDIO_URL", help="Of Label Studio.")
    ] = "http://localhost:8080",
    api_key: Annotated[
        str,
        typer.Option(envvar="LABEL_STUDIO_API_KEY", help="Access token; best set in the variable."),
    ] = "",
    page_size: Annotated[int, typer.Option(min=1, help="Tasks asked for at a time.")] = 100,
) -> None:
    """Fetch a project with its annotations, page by page.

    What was interrupted goes on where it stopped. Label Studio's own JSON export does as well.
    """
    from remask_exports.fetch import fetch as fetch_project
    from remask_rounds.label_studio import connect

    with _counter() as on_instance, connect(url, api_key) as connection:
        count = fetch_project(
            connection,
            project,
            out=out,
            page_size=page_size,
            on_page=lambda _done, _total: on_instance(),
        )
    typer.echo(f"{out}: {count} tasks")


def _selection(
    top: float | None,
    bottom: float | None,
    min_iou: float | None,
    max_iou: float | None,
    classes: list[str] | None,
    rounds: list[int] | None,
    annotators: list[int] | None,
    outcomes: list[OutcomeChoice] | None,
) -> Selection:
    from remask_exports.selection import Selection

    return Selection(
        top_percent=top,
        bottom_percent=bottom,
        min_iou=min_iou,
        max_iou=max_iou,
        classes=frozenset(classes or ()),
        rounds=frozenset(rounds or ()),
        annotators=frozenset(annotators or ()),
        outcomes=frozenset(outcome.value for outcome in outcomes or ()),
    )


def _run(
    source: Path,
    form: Format[Any],
    out: Path,
    ranks: Path | None,
    selection: Selection,
    processes: int | None,
    *,
    known: Categories | None = None,
    as_json: bool,
) -> None:
    import os
    from datetime import datetime, timezone

    from remask_exports.export import export

    with _counter() as on_instance:
        manifest = export(
            source,
            form,
            out=out,
            now=datetime.now(timezone.utc),
            selection=selection,
            ranks=ranks,
            categories=known,
            processes=processes or os.cpu_count() or 1,
            on_instance=on_instance,
        )
    _show(manifest, out, as_json=as_json)


@contextmanager
def _counter() -> Iterator[Callable[[], None]]:
    """Count on standard error what has been done."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda: progress.advance(task)


def _show(manifest: Manifest, out: Path, *, as_json: bool) -> None:
    import msgspec

    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(manifest)))
        return
    typer.echo(
        f"{out}: {manifest.instances} instances on {manifest.images} images, "
        f"{len(manifest.classes)} classes, from {manifest.tasks} tasks"
    )
    for reason, count in manifest.left_out.items():
        typer.echo(f"left out, {reason}: {count}")
