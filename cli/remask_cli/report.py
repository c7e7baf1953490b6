"""`remask report`: Write what a campaign has come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.images import open_image_source, read_image
from remask_service.state import open_campaigns
from remask_terminal.options import ApiKey, Name, State, Url
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
    out: Annotated[Path, typer.Option(help="HTML page to write.")],
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
    """Write what a campaign has come to: one HTML page that opens anywhere.

    Progress, quality over the time spent, the ranking, classes, annotators, kinds of errors and the
    worst masks, as far as they are known. The campaign's store is all that is read, and the images
    of some thirty masks; `--ranks` adds what the ranking foretells.
    """
    import os
    import shlex
    import sys

    import msgspec

    from remask_core.errors import InputError
    from remask_quality.measures.campaign import measure
    from remask_quality.measures.headline import headline_of
    from remask_quality.measures.progress import paces
    from remask_quality.report import quality_page
    from remask_ranking.ranks import read_ranks

    ranked = None if ranks is None else read_ranks(ranks)
    held_out = None if rows is None else _held_out(rows)
    with open_campaigns(state) as store, _images(state, url, api_key, wanted=images) as image_of:
        with progress_bars() as on_progress:
            quality = measure(
                store,
                name,
                ranks=ranked,
                max_compared=compared,
                processes=processes or os.cpu_count() or 1,
                on_progress=on_progress,
            )
        page = quality_page(
            store,
            quality,
            image_of=image_of,
            held_out=held_out,
            made_by=f"Made by: remask {shlex.join(sys.argv[1:])}",
        )
    try:
        out.write_text(page.to_html(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"`{out}` must be writable: {error}") from error
    headline = headline_of(quality)
    if as_json:
        typer.echo(msgspec.json.encode(headline))
        return
    typer.echo(headline.sentence())
    for pace in paces(quality, by_truth=True):
        after = f"round {pace.round}" if pace.round else "the box"
        typer.echo(f"After {after}: mIoU {pace.iou.value:.3f}, {pace.seconds.value:.0f} s")
    typer.echo(f"Report: {out}")


def _held_out(table: Path) -> dict[str, float]:
    """Return what rankings grown on the other instances predict of each whose truth is known."""
    from remask_ranking.judge import cross_predict
    from remask_ranking.table import last_rounds, read_rows

    rows = [row for row in read_rows(table) if row.true_iou is not None]
    predicted, _ = cross_predict(rows, seed=0)
    by_round = {
        (row.instance, row.round): float(one) for row, one in zip(rows, predicted, strict=True)
    }
    return {row.instance: by_round[row.instance, row.round] for row in last_rounds(rows)}


@contextmanager
def _images(state: str | None, url: str, api_key: str, *, wanted: bool) -> Iterator[ImageOf | None]:
    """Give what gets the image at an address, as the service would; None if not `wanted`."""
    if not wanted:
        yield None
        return
    with open_image_source(state, url, api_key or None) as source:
        yield partial(read_image, source)
