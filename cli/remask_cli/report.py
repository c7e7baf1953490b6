"""`remask report`: One page on the quality of a campaign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_service.campaign_images import open_image_source, read_image
from remask_service.state import open_campaigns
from remask_terminal.options import ApiKey, Name, State, Url, writable
from remask_terminal.printing import made_by, print_json
from remask_terminal.progress import progress_bars

if TYPE_CHECKING:
    from remask_quality.sections.pictures import ImageOf

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        name="report",
        epilog="Example: `remask report cats --ranks ranks.csv --rows rows.csv --out report.html`",
    )(report)


def report(
    name: Name,
    out: Annotated[Path, typer.Option(callback=writable, help="HTML page to write.")],
    ranks: Annotated[
        Path | None,
        typer.Option(help="CSV of `remask rank apply`: predicted IoU and rank."),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="Table of `remask rank rows`; the ranking is then judged on instances whose truth "
            "it has not seen."
        ),
    ] = None,
    images: Annotated[
        bool,
        typer.Option(help="Show masks on their images; without, on grey, and nothing is fetched."),
    ] = True,
    gallery: Annotated[
        bool,
        typer.Option(
            "--gallery",
            help="Write a page with every mask instead: small, ordered by rank, to be filtered.",
        ),
    ] = False,
    compared: Annotated[
        int,
        typer.Option(min=1, help="Most masks whose kind of error is found; drawn at random."),
    ] = 1000,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that measure; all cores if not given.")
    ] = None,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the headline's numbers as JSON.")
    ] = False,
) -> None:
    """Write a page on a campaign's progress and quality: one HTML file that opens anywhere.

    Progress, quality over the time spent, the ranking, classes, annotators, kinds of errors and the
    worst masks, as far as they are known. The campaign's store is all that is read, and the images
    of some thirty masks; `--ranks` adds what the ranking predicts.
    """
    import os

    from remask_core.errors import InputError
    from remask_quality.gallery import write_gallery
    from remask_quality.measures.headline import headline_of
    from remask_quality.report import summary, write_report

    if gallery and rows is not None:
        raise InputError("`--rows` must not be given with `--gallery`, which judges no ranking")

    with (
        open_campaigns(state) as store,
        _images(state, url, api_key, wanted=images) as image_of,
        progress_bars() as on_progress,
    ):
        if gallery:
            masks = write_gallery(
                store,
                name,
                out,
                ranks=ranks,
                image_of=image_of,
                max_compared=compared,
                processes=processes or os.cpu_count() or 1,
                made_by=made_by(),
                on_progress=on_progress,
            )
            if as_json:
                print_json({"out": str(out), "masks": masks})
            else:
                typer.echo(f"Gallery: {out}, {masks} masks")
            return
        quality = write_report(
            store,
            name,
            out,
            ranks=ranks,
            rows=rows,
            image_of=image_of,
            max_compared=compared,
            processes=processes or os.cpu_count() or 1,
            made_by=made_by(),
            on_progress=on_progress,
        )
    if as_json:
        print_json(headline_of(quality))
        return
    typer.echo(summary(quality))
    typer.echo(f"Report: {out}")


@contextmanager
def _images(state: str | None, url: str, api_key: str, *, wanted: bool) -> Iterator[ImageOf | None]:
    """Give what gets the image at an address, as the service would; None if not `wanted`."""
    if not wanted:
        yield None
        return
    with open_image_source(state, url, api_key or None) as source:
        yield partial(read_image, source)
