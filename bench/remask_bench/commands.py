"""`remask bench`: timings of the codec, the scheduler, the service and the exports.

The commands that measure masks are in `remask_commands.bench` and join these.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_bench.capacity.command import capacity
from remask_commands.bench import app as mask_benchmarks
from remask_terminal.options import ApiKey, Json, Url
from remask_terminal.printing import made_by, print_json, print_rows, print_table
from remask_terminal.progress import progress_bars, progress_count

if TYPE_CHECKING:
    from remask_bench.timings import Timing

__all__ = ["app"]

app = typer.Typer(help="Measure models and the service.", no_args_is_help=True)
app.registered_commands += mask_benchmarks.registered_commands

Seed = Annotated[int, typer.Option("--seed", help="Seed of everything that is drawn.")]
Requests = Annotated[int, typer.Option("--requests", min=1, help="Requests of all clients.")]


@app.callback()
def group() -> None:
    """Measure models and the service."""


@app.command(epilog="Example: `remask bench codec --json`")
def codec(seed: Seed = 0, as_json: Json = False) -> None:
    """Time our brush RLE beside the one of Label Studio's SDK."""
    from remask_bench.timings import time_codec

    _show_timing(time_codec(seed=seed), as_json=as_json)


@app.command(epilog="Example: `remask bench scheduling`")
def scheduling(seed: Seed = 0, as_json: Json = False) -> None:
    """Time clicks under a batch job, and a worker that is killed."""
    from remask_bench.timings import time_scheduling

    _show_timing(time_scheduling(seed=seed), as_json=as_json)


@app.command(epilog="Example: `remask bench cluster --port 8001`")
def cluster(
    replicas: Annotated[int, typer.Option(min=1, help="Replicas to start.")] = 2,
    port: Annotated[int, typer.Option(help="Port of the cluster that is started.")] = 8000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Start a cluster on this machine, time calls, load it, and kill parts of it."""
    from remask_bench.timings import time_cluster
    from remask_core.extras import check_modules

    check_modules("ray", "`remask bench cluster`")
    _show_timing(time_cluster(seed=seed, replicas=replicas, port=port), as_json=as_json)


@app.command(epilog="Example: `remask bench service --requests 2000 --kill`")
def service(
    requests: Requests = 2000,
    kill: Annotated[
        bool, typer.Option("--kill", help="Kill the worker with signal 9 half-way.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Start a service and put 16 clients to work on it; every mask is checked.

    Exit code 1 if an answer was wrong or missing.
    """
    from remask_bench.timings import time_service

    with progress_count("requests", requests) as on_done:
        timing = time_service(seed=seed, requests=requests, kill=kill, on_done=on_done)
    _show_timing(timing, as_json=as_json)
    if not timing.all_right:
        raise typer.Exit(1)


@app.command(epilog="Example: `remask bench sam --clicks 3`")
def sam(
    clicks: Annotated[
        int, typer.Option(min=1, help="Clicks; each encodes once, 13 s on two CPU cores.")
    ] = 3,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Time a click on a known image with and without an embedding cache."""
    from remask_bench.timings import time_sam

    _show_timing(time_sam(seed=seed, clicks=clicks), as_json=as_json)


@app.command("all", epilog="Example: `remask bench all --out bench-results`")
def every(
    out: Annotated[Path, typer.Option(help="Folder for timings.html and timings.json.")] = Path(
        "bench-results"
    ),
    requests: Requests = 2000,
    seed: Seed = 0,
) -> None:
    """Run all timings (codec, scheduling, service, sam) and write one report."""
    from remask_bench.timings import (
        time_codec,
        time_sam,
        time_scheduling,
        time_service,
        write_timings,
    )

    timings = [time_codec(seed=seed), time_scheduling(seed=seed)]
    with progress_count("requests", requests) as on_done:
        timings.append(time_service(seed=seed, requests=requests, on_done=on_done))
    timings.append(time_sam(seed=seed))
    for timing in timings:
        _show_timing(timing, as_json=False)
    report = write_timings(timings, out, made_by=made_by())
    typer.echo(f"Report: {report}")


@app.command("noise", epilog="Example: `remask bench noise --masks 1000`")
def time_noise(
    masks: Annotated[int, typer.Option(min=1, help="Masks in each made file.")] = 1000,
    as_json: Json = False,
) -> None:
    """Time the making of label noise, beside the published way of making it."""
    from remask_bench.noise import compare_noise, table_of

    timings = compare_noise(masks=masks)
    print_rows(timings, table_of, as_json=as_json)


@app.command("eval", epilog="Example: `remask bench eval --masks 1000`")
def time_evaluation(
    masks: Annotated[
        int, typer.Option(min=1, help="Annotations; five times as many detections.")
    ] = 1000,
    as_json: Json = False,
) -> None:
    """Time COCO evaluation of masks and boundaries, beside the reference."""
    from remask_bench.coco_eval import compare_evaluation, table_of

    timings = compare_evaluation(masks=masks)
    print_rows(timings, table_of, as_json=as_json)


@app.command("campaign", epilog="Example: `remask bench campaign --instances 2000`")
def time_campaign(
    instances: Annotated[int, typer.Option(min=1, help="Of the campaign, ten per image.")] = 2000,
    answers: Annotated[
        int, typer.Option(min=0, help="How many are answered; each takes Label Studio 0.1 s.")
    ] = 200,
    name: Annotated[str, typer.Option(help="Of the campaign; its projects stay.")] = "bench",
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Take a campaign through a running Label Studio, with a model that takes no time."""
    import tempfile

    from remask_bench.campaign import measure_campaign, table_of
    from remask_label_studio.client import connect

    with (
        tempfile.TemporaryDirectory() as folder,
        connect(url, api_key) as connection,
        progress_bars() as on_progress,
    ):
        timings = measure_campaign(
            connection,
            Path(folder),
            name=name,
            instances=instances,
            answers=answers,
            seed=seed,
            on_progress=on_progress,
        )
    print_rows(timings, table_of, as_json=as_json)


@app.command("exports", epilog="Example: `remask bench exports --masks 200`")
def time_exports(
    masks: Annotated[int, typer.Option(min=1, help="Masks of each size in the file.")] = 1000,
    processes: Annotated[int, typer.Option(min=1, help="Of our second way.")] = 2,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Time the COCO export beside the converter of Label Studio's SDK, on the same file."""
    from remask_bench.exports import compare_sizes, table_of

    timings = compare_sizes(masks=masks, processes=processes, seed=seed)
    print_rows(timings, table_of, as_json=as_json)


app.command("capacity", epilog="Example: `remask bench capacity --annotators 200`")(capacity)


def _show_timing(timing: Timing, *, as_json: bool) -> None:
    if as_json:
        print_json(timing.rows)
        return
    typer.echo(f"{timing.title}. {timing.about}\n")
    for table in timing.tables:
        print_table(table)
