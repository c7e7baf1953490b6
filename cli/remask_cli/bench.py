"""`remask bench`: Measure models and the service."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from remask_bench.studies import Result, Setting
    from remask_reports.page import Table

__all__ = ["app"]

app = typer.Typer(help="Measure models and the service.", no_args_is_help=True)

Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        help="Model to measure, as NAME or NAME=WEIGHTS; may be repeated. `box` is the box itself.",
    ),
]
Data = Annotated[
    list[Path],
    typer.Option(
        "--data", help="Folder with index.csv, images/ and masks/, or a COCO JSON; may be repeated."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for rows.jsonl and report.html.")]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only so many objects of each set.")
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Processes; the results do not change.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of boxes and clicks.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 or auto.")]
Pictures = Annotated[
    int, typer.Option("--pictures", min=0, help="Examples and worst cases to draw per model.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class BoxKind(str, Enum):
    """How the first box differs from the tight one."""

    jittered = "jittered"
    noisy = "noisy"
    tight = "tight"


@app.callback()
def group() -> None:
    """Measure models and the service."""


@app.command(
    epilog="Example: `remask bench noc --model convnet --model grabcut --data eval/grabcut "
    "--out out/noc`"
)
def noc(
    data: Data,
    out: Out,
    model: Models = ["convnet"],  # noqa: B006
    limit: Limit = None,
    jobs: Jobs = 1,
    seed: Seed = 0,
    device: Device = "cpu",
    pictures: Pictures = 4,
    as_json: Json = False,
) -> None:
    """Count the clicks to a good mask, from clicks alone and from a box.

    A run that was stopped goes on where it stopped.
    """
    from remask_bench.studies import study_noc

    setting = _setting(data, model, out, limit, jobs, seed, device, pictures)
    _show(study_noc(setting, watch=_bar), as_json=as_json)


@app.command(
    epilog="Example: `remask bench rounds --model convnet --model box --data eval/grabcut "
    "--out out/rounds`"
)
def rounds(
    data: Data,
    out: Out,
    model: Models = ["convnet"],  # noqa: B006
    box: Annotated[
        BoxKind,
        typer.Option(help="jittered: by up to 12 % of the side. noisy: by 60 px, as in the paper."),
    ] = BoxKind.jittered,
    questions: Annotated[
        bool, typer.Option("--questions", help="Also compare the designs of a campaign (slow).")
    ] = False,
    limit: Limit = None,
    jobs: Jobs = 1,
    seed: Seed = 0,
    device: Device = "cpu",
    pictures: Pictures = 4,
    as_json: Json = False,
) -> None:
    """Take objects from a box through rounds of corrective clicks.

    A run that was stopped goes on where it stopped.
    """
    from remask_bench.studies import study_rounds

    setting = _setting(data, model, out, limit, jobs, seed, device, pictures)
    result = study_rounds(setting, box=box.value, questions=questions, watch=_bar)
    _show(result, as_json=as_json)


def _setting(
    data: list[Path],
    model: list[str],
    out: Path,
    limit: int | None,
    jobs: int,
    seed: int,
    device: str,
    pictures: int,
) -> Setting:
    import shlex

    from remask_bench.studies import Setting

    return Setting(
        data=tuple(data),
        models=tuple(dict.fromkeys(model)),
        out=out,
        limit=limit,
        jobs=jobs,
        seed=seed,
        device=device,
        pictured=pictures,
        made_by=f"Made by: remask {shlex.join(sys.argv[1:])}",
    )


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on standard error while trials are played."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("objects", total=total)
        yield lambda: progress.advance(task)


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        _print_json(result.summaries)
        return
    for table in result.tables:
        _print_table(table)
    typer.echo(f"Report: {result.report}")


def _print_json(data: object) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(data)).decode())


def _print_table(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as Printed

    if not table.rows:
        return
    printed = Printed(title=table.caption or None, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(table.columns):
        words = isinstance(table.rows[0][number], str)
        printed.add_column(column.title, justify="left" if words else "right")
    for row in table.words():
        printed.add_row(*row)
    # As wide as it needs to be: a table cut to the terminal loses its numbers.
    Console(width=400).print(printed, "")
