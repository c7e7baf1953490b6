"""`remask bench`: Measure models and the service."""

from __future__ import annotations

import sys
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_terminal.options import ApiKey, DataSets, Json, Limit, ModelDevice, Url
from remask_terminal.printing import print_json, print_table
from remask_terminal.progress import progress_bars, progress_count

if TYPE_CHECKING:
    from remask_bench.timings import Timing
    from remask_evaluation.interactive.studies import Result, Setting

__all__ = ["app"]

app = typer.Typer(help="Measure models and the service.", no_args_is_help=True)

Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        help="Model to measure, as NAME or NAME=WEIGHTS; may be repeated. `box` is the box itself.",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for rows.jsonl and report.html.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Processes; the results do not change.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of boxes and clicks.")]
Pictures = Annotated[
    int, typer.Option("--pictures", min=0, help="Examples and worst cases to draw per model.")
]
Requests = Annotated[int, typer.Option("--requests", min=1, help="Requests of all clients.")]

_objects = partial(progress_count, "objects")


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
    data: DataSets,
    out: Out,
    model: Models = ["convnet"],  # noqa: B006
    limit: Limit = None,
    jobs: Jobs = 1,
    seed: Seed = 0,
    device: ModelDevice = "cpu",
    pictures: Pictures = 4,
    as_json: Json = False,
) -> None:
    """Count the clicks to a good mask, from clicks alone and from a box.

    A run that was stopped goes on where it stopped.
    """
    from remask_evaluation.interactive.studies import study_noc

    setting = _setting(data, model, out, limit, jobs, seed, device, pictures)
    _show(study_noc(setting, watch=_objects), as_json=as_json)


@app.command(
    epilog="Example: `remask bench rounds --model convnet --model box --data eval/grabcut "
    "--out out/rounds`"
)
def rounds(
    data: DataSets,
    out: Out,
    model: Models = ["convnet"],  # noqa: B006
    box: Annotated[
        BoxKind,
        typer.Option(help="jittered: by up to 12 % of the side. noisy: by 60 px, as in the paper."),
    ] = BoxKind.jittered,
    questions: Annotated[
        bool,
        typer.Option(
            "--questions",
            help="Also compare the designs of a campaign: some 50 answers an object; see --limit.",
        ),
    ] = False,
    limit: Limit = None,
    jobs: Jobs = 1,
    seed: Seed = 0,
    device: ModelDevice = "cpu",
    pictures: Pictures = 4,
    as_json: Json = False,
) -> None:
    """Take objects from a box through rounds of corrective clicks.

    A run that was stopped goes on where it stopped.
    """
    from remask_evaluation.interactive.studies import study_rounds

    setting = _setting(data, model, out, limit, jobs, seed, device, pictures)
    result = study_rounds(setting, box=box.value, questions=questions, watch=_objects)
    _show(result, as_json=as_json)


@app.command(
    epilog="Example: `remask bench rclicks --model grabcut --data eval/grabcut --out out/rclicks`"
)
def rclicks(
    data: DataSets,
    out: Out,
    model: Models = ["convnet"],  # noqa: B006
    clicks: Annotated[
        str,
        typer.Option(
            help="Where people click: a CSV of measured clicks, the .npz of a clickability model, "
            "or by rule: distance or uniform."
        ),
    ] = "distance",
    rounds: Annotated[int, typer.Option(min=1, help="Clicks per object and person.")] = 20,
    groups: Annotated[
        int, typer.Option(min=2, help="Groups of people, from unlikely to likely clicks; even.")
    ] = 10,
    runs: Annotated[int, typer.Option(min=1, help="How often each group is drawn anew.")] = 1,
    limit: Limit = None,
    jobs: Jobs = 1,
    seed: Seed = 0,
    device: ModelDevice = "cpu",
    pictures: Pictures = 4,
    as_json: Json = False,
) -> None:
    """Measure how much a mask depends on who clicks: ten groups of people, 20 clicks each.

    A run that was stopped goes on where it stopped.
    """
    from remask_clicks.benchmark import Crowd
    from remask_clicks.sources import ClickSource
    from remask_clicks.study import study_rclicks

    setting = _setting(data, model, out, limit, jobs, seed, device, pictures)
    source = ClickSource.parse(clicks)
    crowd = Crowd(source=source, rounds=rounds, groups=groups, runs=runs)
    _show(study_rclicks(setting, crowd, watch=_objects), as_json=as_json)


@app.command(epilog="Example: `remask bench clickmaps --clicks clicks.csv --data eval/grabcut`")
def clickmaps(
    data: DataSets,
    clicks: Annotated[
        Path, typer.Option(help="CSV of measured clicks, or CSV or Parquet of `remask log export`.")
    ],
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder of the masks that later clicks answer, as FULL_STEM.png."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Weights of `remask train clickability`, to be judged too.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say how well rules, a model, and other people, foretell where people click."""
    from remask_clicks.log import read_clicked_errors
    from remask_clicks.maps import compare_maps, maps_table
    from remask_models.clickability.model import load_clickability

    found = read_clicked_errors([clicks], data, masks=masks)
    learned = None if model is None else load_clickability(model)
    summaries = compare_maps(found.errors, model=learned, seed=seed)
    if as_json:
        print_json(summaries)
    else:
        print_table(maps_table(summaries))


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
    import msgspec

    from remask_bench.timings import (
        time_codec,
        time_sam,
        time_scheduling,
        time_service,
        timings_page,
    )

    timings = [time_codec(seed=seed), time_scheduling(seed=seed)]
    with progress_count("requests", requests) as on_done:
        timings.append(time_service(seed=seed, requests=requests, on_done=on_done))
    timings.append(time_sam(seed=seed))
    for timing in timings:
        _show_timing(timing, as_json=False)
    out.mkdir(parents=True, exist_ok=True)
    rows = {timing.title: timing.rows for timing in timings}
    (out / "timings.json").write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    page = timings_page(timings, made_by=_made_by())
    (out / "timings.html").write_text(page.to_html(), encoding="utf-8")
    typer.echo(f"Report: {out / 'timings.html'}")


def _made_by() -> str:
    import shlex

    return f"Made by: remask {shlex.join(sys.argv[1:])}"


@app.command("noise", epilog="Example: `remask bench noise --masks 1000`")
def time_noise(
    masks: Annotated[int, typer.Option(min=1, help="Masks in each made file.")] = 1000,
    as_json: Json = False,
) -> None:
    """Time the making of label noise, beside the published way of making it."""
    from remask_bench.noise import compare_noise, table_of

    timings = compare_noise(masks=masks)
    if as_json:
        print_json(timings)
    else:
        print_table(table_of(timings))


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
    if as_json:
        print_json(timings)
    else:
        print_table(table_of(timings))


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
    if as_json:
        print_json(timings)
    else:
        print_table(table_of(timings))


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
    if as_json:
        print_json(timings)
    else:
        print_table(table_of(timings))


@app.command(
    epilog="Example: `remask bench ranking --model convnet --data eval/grabcut --out out/ranking`"
)
def ranking(
    data: DataSets,
    out: Annotated[Path, typer.Option("--out", help="Folder for rows.csv and report.html.")],
    model: Annotated[str, typer.Option(help="Model to answer, as NAME or NAME=WEIGHTS.")] = (
        "convnet"
    ),
    limit: Limit = None,
    seed: Seed = 0,
    device: ModelDevice = "cpu",
    as_json: Json = False,
) -> None:
    """Rank the masks of a simulated campaign, and see how well the order is foretold."""
    from remask_evaluation.contestants import Contestant
    from remask_evaluation.datasets import open_set
    from remask_evaluation.ranking import ranking_report, study_ranking

    instances = [instance for path in data for instance in open_set(path, limit=limit)]
    out.mkdir(parents=True, exist_ok=True)
    segmenter = Contestant.parse(model, device=device).load()
    with _objects(len(instances)) as on_done:
        rows, judgement = study_ranking(
            instances, segmenter, seed=seed, table=out / "rows.csv", on_done=on_done
        )
    page = ranking_report(rows, judgement, model=segmenter.version, seed=seed, made_by=_made_by())
    (out / "report.html").write_text(page.to_html(), encoding="utf-8")
    if as_json:
        print_json(judgement.to_json())
        return
    typer.echo(judgement.summary())
    typer.echo(f"Report: {out / 'report.html'}")


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
    from remask_evaluation.interactive.studies import Setting

    return Setting(
        data=tuple(data),
        models=tuple(dict.fromkeys(model)),
        out=out,
        limit=limit,
        jobs=jobs,
        seed=seed,
        device=device,
        pictured=pictures,
        made_by=_made_by(),
    )


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        print_json(result.summaries)
        return
    for table in result.tables:
        print_table(table)
    typer.echo(f"Report: {result.report}")


def _show_timing(timing: Timing, *, as_json: bool) -> None:
    if as_json:
        print_json(timing.rows)
        return
    typer.echo(f"{timing.title}. {timing.about}\n")
    for table in timing.tables:
        print_table(table)
