"""`remask bench`, the part that measures masks: clicks, rounds, people and rankings.

`remask_bench.commands` adds the timings; both are one noun of the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial, wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from remask_terminal.options import DataSets, Json, Limit, ModelDevice
from remask_terminal.printing import made_by, print_json, print_left_out, print_rows, print_table
from remask_terminal.progress import progress_count

if TYPE_CHECKING:
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

_objects = partial(progress_count, "objects")


class BoxKind(str, Enum):
    """How the first box differs from the tight one."""

    jittered = "jittered"
    noisy = "noisy"
    tight = "tight"


def _setting(
    data: DataSets,
    out: Out,
    model: Models = ["convnet"],  # noqa: B006
    limit: Limit = None,
    jobs: Jobs = 1,
    seed: Seed = 0,
    device: ModelDevice = "cpu",
    pictures: Pictures = 4,
) -> Any:
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
        made_by=made_by(),
        on_opened=print_left_out,
    )


def _with_setting(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose options are those of `_setting` and then its own."""
    hints = get_type_hints(_setting, include_extras=True)
    hints |= get_type_hints(command, localns={"Setting": object}, include_extras=True)
    shared = signature(_setting).parameters
    own = {name: p for name, p in signature(command).parameters.items() if name != "setting"}

    @wraps(command)
    def run(**options: Any) -> None:
        setting = _setting(**{name: options.pop(name) for name in shared})
        command(setting, **options)

    options = [p.replace(annotation=hints[name]) for name, p in {**shared, **own}.items()]
    run.__signature__ = Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


@app.command(
    epilog="Example: `remask bench noc --model convnet --model grabcut --data eval/grabcut "
    "--out out/noc`"
)
@_with_setting
def noc(
    setting: Setting,
    readings: Annotated[
        bool,
        typer.Option(
            "--readings",
            help="Also let the annotator choose among the model's candidates for the first click.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Count the clicks to a good mask, from clicks alone and from a box.

    A run that was stopped goes on where it stopped.
    """
    from remask_evaluation.interactive.studies import study_noc

    _show(study_noc(setting, watch=_objects, readings=readings), as_json=as_json)


@app.command(
    epilog="Example: `remask bench points --model convnet --data eval/grabcut --out out/points`"
)
@_with_setting
def points(setting: Setting, as_json: Json = False) -> None:
    """Measure the mask of one point, and of 2, 3, 5 and 9; and the best of several masks.

    The first point lies in the middle of the object, and again anywhere in it. A run that was
    stopped goes on where it stopped.
    """
    from remask_evaluation.interactive.studies import study_points

    _show(study_points(setting, watch=_objects), as_json=as_json)


@app.command(
    epilog="Example: `remask bench rounds --model convnet --model box --data eval/grabcut "
    "--out out/rounds`"
)
@_with_setting
def rounds(
    setting: Setting,
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
    as_json: Json = False,
) -> None:
    """Take objects from a box through rounds of corrective clicks.

    A run that was stopped goes on where it stopped.
    """
    from remask_evaluation.interactive.studies import study_rounds

    result = study_rounds(setting, box=box.value, questions=questions, watch=_objects)
    _show(result, as_json=as_json)


@app.command(
    epilog="Example: `remask bench rclicks --model grabcut --data eval/grabcut --out out/rclicks`"
)
@_with_setting
def rclicks(
    setting: Setting,
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
    as_json: Json = False,
) -> None:
    """Measure how much a mask depends on who clicks: ten groups of people, 20 clicks each.

    A run that was stopped goes on where it stopped.
    """
    from remask_clicks.benchmark import Crowd
    from remask_clicks.sources import ClickSource
    from remask_clicks.study import study_rclicks

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
    maps: Annotated[
        list[str],
        typer.Option(
            help="Maps of another method, as NAME=FOLDER of grey PNG files, named by FULL_STEM or "
            "by the image; may be repeated."
        ),
    ] = [],  # noqa: B006
    sigma: Annotated[
        list[float],
        typer.Option(
            help="Blur of other people's clicks, in pixels of a full HD image; may be repeated."
        ),
    ] = [5.0],  # noqa: B006
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say how well rules, saliency, a model, and other people, predict where people click."""
    from remask_clicks.log import read_clicked_errors
    from remask_clicks.maps import compare_maps, maps_table
    from remask_clicks.saliency import MapFiles
    from remask_models.clickability.model import load_clickability

    found = read_clicked_errors([clicks], data, masks=masks)
    learned = None if model is None else load_clickability(model)
    summaries = compare_maps(
        found.errors,
        model=learned,
        files=[MapFiles.parse(words) for words in maps],
        sigmas=sigma,
        seed=seed,
    )
    print_rows(summaries, maps_table, as_json=as_json)


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
    """Rank the masks of a simulated campaign, and measure how well the order is predicted."""
    from remask_evaluation.ranking import rank_simulated_campaign

    judgement = rank_simulated_campaign(
        data,
        out,
        model=model,
        device=device,
        limit=limit,
        seed=seed,
        made_by=made_by(),
        watch=_objects,
        on_opened=print_left_out,
    )
    if as_json:
        print_json(judgement.to_json())
        return
    typer.echo(judgement.summary())
    typer.echo(f"Report: {out / 'report.html'}")


@app.command(
    epilog="Example: `remask bench plan --model convnet --data eval/grabcut --out out/plan`"
)
def plan(
    data: DataSets,
    out: Annotated[Path, typer.Option("--out", help="Folder for played.jsonl.")],
    model: Annotated[str, typer.Option(help="Model to answer, as NAME or NAME=WEIGHTS.")] = (
        "convnet"
    ),
    truths: Annotated[
        int, typer.Option(min=10, help="Objects whose truth both orders may learn from.")
    ] = 30,
    draws: Annotated[int, typer.Option(min=1, help="How often these are drawn.")] = 20,
    limit: Limit = None,
    seed: Seed = 0,
    device: ModelDevice = "cpu",
    as_json: Json = False,
) -> None:
    """Compare `campaign plan` with `reopen --worst` at equal annotator time, in simulation.

    A run that was stopped goes on where it stopped.
    """
    from remask_core.left_out import LeftOutCounts
    from remask_evaluation.contestants import Contestant
    from remask_evaluation.datasets import open_sets
    from remask_evaluation.planning import compare_plans, comparison_table, play_instances

    left_out = LeftOutCounts()
    instances = open_sets(data, limit=limit, left_out=left_out.add)
    print_left_out(left_out)
    out.mkdir(parents=True, exist_ok=True)
    segmenter = Contestant.parse(model, device=device).load()
    with _objects(len(instances)) as on_done:
        played = play_instances(
            instances, segmenter, seed=seed, path=out / "played.jsonl", on_done=on_done
        )
    with progress_count("draws", draws) as on_done:
        found = compare_plans(played, truths=truths, draws=draws, seed=seed, on_done=on_done)
    if as_json:
        print_json(found)
        return
    print_table(comparison_table(found, objects=len(played), truths=truths))


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        print_json(result.summaries)
        return
    for table in result.tables:
        print_table(table)
    typer.echo(f"Report: {result.report}")
