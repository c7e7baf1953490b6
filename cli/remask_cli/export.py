"""`remask export`: Annotations from Label Studio, in the formats of the field."""

# No `from __future__ import annotations`: commands are put together from the types themselves.

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remask_service.state import open_campaigns
from remask_terminal.options import ApiKey, State, Url
from remask_terminal.printing import print_json
from remask_terminal.progress import progress_bars, progress_count

if TYPE_CHECKING:
    from remask_exports.formats.writer import Format
    from remask_exports.manifest import Manifest

__all__ = ["app"]

app = typer.Typer(
    help="Write annotations of Label Studio in the formats of the field.",
    no_args_is_help=True,
)


class OutcomeChoice(str, Enum):
    """How an instance left its last round."""

    corrected = "corrected"
    accepted = "accepted"
    painted = "painted"


@app.callback()
def group() -> None:
    """Write annotations of Label Studio in the formats of the field."""


def _write(
    form: "Format[Any]",
    out: Annotated[Path, typer.Option(help="New or empty folder.")],
    source: Annotated[
        Path | None,
        typer.Argument(help="Label Studio's JSON export; `remask export fetch` gets one."),
    ] = None,
    campaign: Annotated[
        str | None,
        typer.Option(help="Name of a campaign whose masks are fetched, instead of a file."),
    ] = None,
    ranks: Annotated[
        Path | None, typer.Option(help="CSV of `remask rank apply`: predicted IoU and rank.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The project's labelling configuration (XML), which says on which image of a task "
            "a mask lies. `remask export fetch` writes it beside the export, where it is found."
        ),
    ] = None,
    top: Annotated[
        float | None, typer.Option(help="Only the best so many per cent, by rank.")
    ] = None,
    bottom: Annotated[
        float | None, typer.Option(help="Only the worst so many per cent, by rank.")
    ] = None,
    min_iou: Annotated[float | None, typer.Option(help="Lowest predicted IoU.")] = None,
    max_iou: Annotated[float | None, typer.Option(help="Highest predicted IoU.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class; may be repeated.")
    ] = None,
    rounds: Annotated[
        list[int] | None,
        typer.Option("--round", help="Only with this last round; may be repeated."),
    ] = None,
    annotators: Annotated[
        list[int] | None,
        typer.Option("--annotator", help="Only of this annotator (Label Studio's id); repeatable."),
    ] = None,
    outcomes: Annotated[
        list[OutcomeChoice] | None,
        typer.Option("--outcome", help="Only instances that left so; may be repeated."),
    ] = None,
    guaranteed: Annotated[
        Path | None,
        typer.Option(help="File of `remask rank guarantee`: only the masks that it promises."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode; one per core if not given.")
    ] = None,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest instead of text.")
    ] = False,
) -> None:
    """Export to a format; what all formats' commands take stands here."""
    import os
    from datetime import datetime, timezone

    from remask_exports.export import export
    from remask_exports.selection import Selection

    selection = Selection(
        top_percent=top,
        bottom_percent=bottom,
        min_iou=min_iou,
        max_iou=max_iou,
        classes=frozenset(classes or ()),
        rounds=frozenset(rounds or ()),
        annotators=frozenset(annotators or ()),
        outcomes=frozenset(outcome.value for outcome in outcomes or ()),
    )
    with (
        _source(source, campaign, url, api_key, state) as path,
        progress_count("instances") as on_instance,
    ):
        manifest = export(
            path,
            form,
            out=out,
            now=datetime.now(timezone.utc),
            selection=selection,
            ranks=ranks,
            config=config,
            guaranteed=guaranteed,
            processes=processes or os.cpu_count() or 1,
            on_instance=on_instance,
        )
    _show(manifest, out, as_json=as_json)


@contextmanager
def _source(
    source: Path | None, campaign: str | None, url: str, api_key: str, state: str | None
) -> Iterator[Path]:
    """Give the file to export: the one that was named, or a campaign's masks."""
    from functools import partial

    from remask_core.errors import InputError
    from remask_exports.fetch import fetched_results
    from remask_label_studio.client import connect

    if (source is None) == (campaign is None):
        raise InputError("`source`, a file, or `--campaign` must be given, and not both")
    if source is not None:
        yield source
        return
    assert campaign is not None
    with ExitStack() as stack:
        store = stack.enter_context(open_campaigns(state))
        connection = stack.enter_context(connect(url, api_key))
        with progress_bars() as on_progress:
            path = stack.enter_context(
                fetched_results(
                    store,
                    connection,
                    campaign,
                    on_page=partial(on_progress, "tasks"),
                    on_change=_say_changed,
                )
            )
        yield path


def _command(*, epilog: str) -> Callable[[Callable[..., "Format[Any]"]], None]:
    """Make a command of a function that returns a format: its own options come first."""

    def register(form_of: Callable[..., "Format[Any]"]) -> None:
        own = signature(form_of).parameters
        _, out, source, *others = signature(_write).parameters.values()

        def command(**given: Any) -> None:
            form = form_of(**{name: given.pop(name) for name in own})
            _write(form, **given)

        # Options have defaults and arguments may not; by keyword their order is free.
        every = [
            parameter.replace(kind=Parameter.KEYWORD_ONLY)
            for parameter in (source, out, *own.values(), *others)
        ]
        command.__signature__ = Signature(every)  # type: ignore[attr-defined]
        app.command(form_of.__name__, epilog=epilog, help=form_of.__doc__)(command)

    return register


@_command(epilog="Example: `remask export coco export.json --out coco --ranks ranks.csv --top 70`")
def coco(
    categories: Annotated[
        Path | None,
        typer.Option(help="COCO file of an earlier export, whose category ids are kept."),
    ] = None,
    original: Annotated[
        Path | None,
        typer.Option(
            help="COCO file that the campaign was made from: its ids of images, classes and "
            "annotations are kept."
        ),
    ] = None,
) -> "Format[Any]":
    """Write one COCO JSON file, masks as RLE with predicted IoU, rank and clicks."""
    from dataclasses import replace

    from remask_core.errors import InputError
    from remask_exports.formats.coco import COCO, coco_like, read_categories

    if original is not None and categories is not None:
        raise InputError("`--original` and `--categories` must not both be given")
    if original is not None:
        return coco_like(original)
    return COCO if categories is None else replace(COCO, known=read_categories(categories))


@_command(epilog="Example: `remask export openimages export.json --out oi --ranks ranks.csv`")
def openimages(
    labels: Annotated[
        Path | None,
        typer.Option(help="Open Images' class descriptions (CSV): machine id and name."),
    ] = None,
) -> "Format[Any]":
    """Write the CSV of Open Images V5 with its clicks, and a PNG mask for each instance."""
    from remask_exports.formats.open_images import open_images, read_label_names

    return open_images(None if labels is None else read_label_names(labels))


@_command(epilog="Example: `remask export png export.json --out masks --binary`")
def png(
    binary: Annotated[
        bool, typer.Option("--binary", help="One PNG per instance instead of one per image.")
    ] = False,
) -> "Format[Any]":
    """Write label maps, one per image, with an index that `remask bench noc --data` reads."""
    from remask_exports.formats.png import BINARY_PNG, PNG

    return BINARY_PNG if binary else PNG


@_command(epilog="Example: `remask export yolo export.json --out yolo --class cat --class dog`")
def yolo() -> "Format[Any]":
    """Write YOLO segmentation labels, parts and holes joined into one polygon."""
    from remask_exports.formats.yolo import YOLO

    return YOLO


@_command(epilog="Example: `remask export parquet export.json --out table --ranks ranks.csv`")
def parquet() -> "Format[Any]":
    """Write one Parquet table: a row per instance, its mask as packed COCO RLE."""
    from remask_exports.formats.parquet import PARQUET

    return PARQUET


@_command(
    epilog="Example: `remask export labelstudio export.json --out worst --ranks ranks.csv "
    "--bottom 30`"
)
def labelstudio(
    annotations: Annotated[
        bool,
        typer.Option("--annotations", help="Masks as finished annotations, not as predictions."),
    ] = False,
) -> "Format[Any]":
    """Write tasks to import into Label Studio again, with the rank of the worst mask of each.

    The new project takes the labelling config of the old one; its Data Manager sorts by
    `predicted_iou` or `rank`.
    """
    from remask_exports.formats.label_studio import LABEL_STUDIO, LABEL_STUDIO_ANNOTATIONS

    return LABEL_STUDIO_ANNOTATIONS if annotations else LABEL_STUDIO


@app.command(
    epilog="Example: `LABEL_STUDIO_API_KEY=... remask export fetch --url http://localhost:8080 "
    "--project 3 --out export.json`"
)
def fetch(
    project: Annotated[int, typer.Option(help="Number of the project, as in its address.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    page_size: Annotated[int, typer.Option(min=1, help="Tasks asked for at a time.")] = 100,
) -> None:
    """Fetch a project with its annotations, as Label Studio holds it at one moment.

    Pages are fetched one by one; a fetch that was interrupted goes on where it stopped. What
    changes meanwhile is fetched again. The labelling configuration is written beside the file.
    Label Studio's own JSON export does as well.
    """
    from functools import partial

    from remask_exports.fetch import fetch as fetch_project
    from remask_label_studio.client import connect

    with progress_bars() as on_progress, connect(url, api_key) as connection:
        count = fetch_project(
            connection,
            project,
            out=out,
            page_size=page_size,
            on_page=partial(on_progress, "tasks"),
            on_change=_say_changed,
        )
    typer.echo(f"{out}: {count} tasks")


def _say_changed(tasks: int) -> None:
    typer.echo(f"{tasks} tasks changed since they were fetched; fetching them again", err=True)


def _show(manifest: "Manifest", out: Path, *, as_json: bool) -> None:
    for tag, keys in manifest.assumed_images.items():
        typer.echo(
            f"assumed: masks of the image tag `{tag}` lie on the image in `{', '.join(keys)}`; "
            "give --config to be certain",
            err=True,
        )
    if as_json:
        print_json(manifest)
        return
    typer.echo(
        f"{out}: {manifest.instances} instances on {manifest.images} images, "
        f"{len(manifest.classes)} classes, from {manifest.tasks} tasks"
    )
    for reason, count in manifest.left_out.items():
        typer.echo(f"left out, {reason}: {count}")
