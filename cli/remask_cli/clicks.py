"""`remask clicks`: Collect clicks from people in Label Studio."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from remask_core.errors import InputError

__all__ = ["app"]

app = typer.Typer(help="Collect clicks from people in Label Studio.", no_args_is_help=True)

Data = Annotated[
    list[Path],
    typer.Option(
        "--data", help="Folder with index.csv, images/ and masks/, or a COCO JSON; may be repeated."
    ),
]


class Mode(str, Enum):
    """How a participant is shown which object is meant."""

    cutout = "cutout"
    shifted = "shifted"
    silhouette = "silhouette"
    highlighted = "highlighted"
    text = "text"


class Device(str, Enum):
    """What participants click with."""

    pc = "pc"
    mobile = "mobile"


@app.callback()
def group() -> None:
    """Collect clicks from people in Label Studio."""


@app.command(
    epilog="Example: `remask clicks tasks --data eval/grabcut --out clicks "
    "--url '/data/local-files/?d=clicks/'`"
)
def tasks(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the pictures, tasks.json and config.xml.")],
    url: Annotated[
        str, typer.Option(help="Under which the browser finds that folder; ends with a slash.")
    ] = "/data/local-files/?d=clicks/",
    mode: Annotated[Mode, typer.Option(help="How the object is shown.")] = Mode.cutout,
    words: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns object and words; for --mode text."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many objects of each set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order.")] = 0,
) -> None:
    """Write a Label Studio project in which people click on objects they were shown.

    Make a project with config.xml under Settings, Labelling Interface, Code; serve the folder
    under Settings, Cloud Storage, Local files; import tasks.json.
    """
    import numpy as np

    from remask_bench.datasets import open_set
    from remask_bench.rclicks_collect import read_words, write_tasks
    from remask_bench.rclicks_display import DisplayMode

    if mode is Mode.text and words is None:
        raise InputError("`--words` must name a CSV file for `--mode text`; got none")
    written = write_tasks(
        [instance for path in data for instance in open_set(path, limit=limit)],
        out,
        mode=DisplayMode(mode.value),
        url=url,
        rng=np.random.default_rng(seed),
        words=None if words is None else read_words(words),
    )
    typer.echo(f"wrote {len(written)} tasks to {out / 'tasks.json'}")


@app.command(
    epilog="Example: `remask clicks collect --export export.json --data eval/grabcut "
    "--out clicks.csv`"
)
def collect(
    data: Data,
    export: Annotated[
        list[Path],
        typer.Option(help="A project's export from Label Studio, as JSON; may be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    device: Annotated[Device, typer.Option(help="What participants clicked with.")] = Device.pc,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Turn exports of projects into a CSV of valid clicks, in the layout of RClicks."""
    import msgspec

    from remask_bench.datasets import open_set
    from remask_bench.rclicks_collect import collect as collect_clicks
    from remask_bench.rclicks_file import write_clicks
    from remask_label_config.clicks import given_clicks

    answers = given_clicks(*map(_read, export))
    instances = [instance for path in data for instance in open_set(path)]
    found = collect_clicks(answers, instances, device=device.value)
    write_clicks(out, found.clicks)
    if as_json:
        summary = {
            "answers": found.answers,
            "valid": len(found.clicks),
            "rejected": found.rejected,
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(summary)).decode())
        return
    typer.echo(f"{len(found.clicks)} of {found.answers} answers are valid clicks: {out}")
    for reason, count in found.rejected.items():
        typer.echo(f"  {count} rejected: {reason}")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"`{file}` must be a readable file: {error}") from error
