"""`remask export`: Annotations from Label Studio, in the formats of the field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from remask_exports.manifest import Manifest
    from remask_exports.selection import Selection
    from remask_exports.writing import Categories, NewWriter

__all__ = ["app"]

app = typer.Typer(
    help="Write annotations of Label Studio as COCO, Open Images, PNG or YOLO.",
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
Json = Annotated[bool, typer.Option("--json", help="Print the manifest instead of text.")]


class OutcomeChoice(str, Enum):
    """How an instance left its last round."""

    corrected = "corrected"
    accepted = "accepted"


Outcomes = Annotated[
    list[OutcomeChoice] | None,
    typer.Option("--outcome", help="Only instances that left so; may be repeated."),
]


@app.callback()
def group() -> None:
    """Write annotations of Label Studio as COCO, Open Images, PNG or YOLO."""


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
    as_json: Json = False,
) -> None:
    """Write one COCO JSON file, masks as RLE with predicted IoU, rank and clicks."""
    from remask_exports.coco import CocoWriter, read_categories

    known = None if categories is None else read_categories(categories)
    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, CocoWriter, out, "coco", ranks, chosen, known=known, as_json=as_json)


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
    as_json: Json = False,
) -> None:
    """Write the CSV of Open Images V5 with its clicks, and a PNG mask for each instance."""
    from remask_exports.openimages import OpenImagesWriter, read_label_names

    names = None if labels is None else read_label_names(labels)
    writer = partial(OpenImagesWriter, label_names=names)
    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, writer, out, "openimages", ranks, chosen, as_json=as_json)


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
    as_json: Json = False,
) -> None:
    """Write label maps, one per image, with an index that `remask bench --data` reads."""
    from remask_exports.png import BinaryPngWriter, IndexedPngWriter

    writer: NewWriter = BinaryPngWriter if binary else IndexedPngWriter
    form = "png-binary" if binary else "png-indexed"
    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, writer, out, form, ranks, chosen, as_json=as_json)


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
    as_json: Json = False,
) -> None:
    """Write YOLO segmentation labels, parts and holes joined into one polygon."""
    from remask_exports.yolo import YoloWriter

    chosen = _selection(top, bottom, min_iou, max_iou, classes, rounds, annotators, outcomes)
    _run(source, YoloWriter, out, "yolo", ranks, chosen, as_json=as_json)


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
    writer: NewWriter,
    out: Path,
    form: str,
    ranks: Path | None,
    selection: Selection,
    *,
    known: Categories | None = None,
    as_json: bool,
) -> None:
    from datetime import datetime, timezone

    from remask_exports.export import export

    with _counter() as on_instance:
        manifest = export(
            source,
            writer,
            out=out,
            form=form,
            now=datetime.now(timezone.utc),
            selection=selection,
            ranks=ranks,
            categories=known,
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
