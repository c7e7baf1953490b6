"""`remask clicks`: Collect clicks from people, simulate clicks, and score models by them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_core.errors import InputError
from remask_core.left_out import LeftOutCounts
from remask_terminal.options import DataSets, Json, Limit, ModelDevice, writable
from remask_terminal.printing import made_by, print_json, print_left_out, print_table
from remask_terminal.progress import progress_count

if TYPE_CHECKING:
    from remask_evaluation.datasets import Instance

__all__ = ["app"]

app = typer.Typer(
    help="Collect clicks from people in Label Studio, and score models by them.",
    no_args_is_help=True,
)


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


class Habit(str, Enum):
    """Which simulated crowd clicks."""

    hand = "hand"
    eye = "eye"


@app.callback()
def group() -> None:
    """Collect clicks from people in Label Studio, and score models by them."""


@app.command(
    epilog="Example: `remask clicks tasks --data eval/grabcut --out clicks "
    "--url '/data/local-files/?d=clicks/'`"
)
def tasks(
    data: DataSets,
    out: Annotated[Path, typer.Option(help="Folder for the pictures, tasks.json and config.xml.")],
    url: Annotated[
        str, typer.Option(help="Under which the browser finds that folder; ends with a slash.")
    ] = "/data/local-files/?d=clicks/",
    mode: Annotated[Mode, typer.Option(help="How the object is shown.")] = Mode.cutout,
    words: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns object and words; for --mode text."),
    ] = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Seed of the order.")] = 0,
) -> None:
    """Write a Label Studio project in which people click on objects they were shown.

    Make a project with config.xml under Settings, Labelling Interface, Code; serve the folder
    under Settings, Cloud Storage, Local files; import tasks.json.
    """
    import numpy as np

    from remask_clicks.collect import read_words, write_tasks
    from remask_clicks.display import DisplayMode

    if mode is Mode.text and words is None:
        raise InputError("`--words` must name a CSV file for `--mode text`; got none")
    written = write_tasks(
        _open(data, limit),
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
    data: DataSets,
    export: Annotated[
        list[Path],
        typer.Option(help="A project's export from Label Studio, as JSON; may be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    device: Annotated[Device, typer.Option(help="What participants clicked with.")] = Device.pc,
    as_json: Json = False,
) -> None:
    """Turn exports of projects into a CSV of valid clicks, in the layout of RClicks."""
    from remask_clicks.click_file import write_clicks
    from remask_clicks.collect import collect as collect_clicks
    from remask_label_config.pages.first_clicks import given_clicks

    answers = given_clicks(*map(_read, export))
    instances = _open(data, None)
    found = collect_clicks(answers, instances, device=device.value)
    write_clicks(out, found.clicks)
    if as_json:
        summary = {
            "answers": found.answers,
            "valid": len(found.clicks),
            "rejected": found.rejected,
        }
        print_json(summary)
        return
    typer.echo(f"{len(found.clicks)} of {found.answers} answers are valid clicks: {out}")
    for reason, count in found.rejected.items():
        typer.echo(f"  {count} rejected: {reason}")


@app.command(
    epilog="Example: `remask clicks compare pc.csv mobile.csv --data eval/grabcut "
    "--report compared.html`"
)
def compare(
    clicks: Annotated[Path, typer.Argument(help="CSV of measured clicks.")],
    data: DataSets,
    other: Annotated[
        Path | None, typer.Argument(help="CSV of other people's clicks on the same objects.")
    ] = None,
    by_device: Annotated[
        bool,
        typer.Option("--by-device", help="Compare the file's clicks on PCs with those on mobiles."),
    ] = False,
    fewest: Annotated[
        int, typer.Option(min=2, help="Leave out objects with fewer clicks of either.")
    ] = 10,
    report: Annotated[
        Path | None, typer.Option("--report", callback=writable, help="HTML file to write as well.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the halves.")] = 0,
    as_json: Json = False,
) -> None:
    """Say how alike two crowds click: display modes, devices, or groups of people.

    Each crowd is also compared with itself, half against half: what no difference looks like.
    """
    from remask_clicks.click_file import read_clicks
    from remask_clicks.compare import compare_clicks, compare_page, compare_table, split_by_device

    if (other is None) is not by_device:
        raise InputError(
            "`remask clicks compare` needs either a second file or `--by-device`; got "
            f"{'both' if by_device else 'neither'}"
        )
    if other is None:
        names = ("pc", "mobile")
        a, b = split_by_device(read_clicks(clicks))
    else:
        names = (clicks.stem, other.stem)
        if clicks.stem == other.stem:
            names = (str(clicks), str(other))
        a, b = read_clicks(clicks), read_clicks(other)
    instances = _open(data, None)
    with progress_count("objects", len(instances)) as on_done:
        rows = compare_clicks(
            a, b, instances, names=names, fewest=fewest, seed=seed, on_done=on_done
        )
    if report is not None:
        compare_page(rows, fewest=fewest, made_by=made_by()).write(report)
    if as_json:
        print_json(rows)
        return
    print_table(compare_table(rows))
    if report is not None:
        typer.echo(f"Report: {report}")


@app.command(
    epilog="Example: `remask clicks pictures --clicks clicks.csv --data eval/grabcut "
    "--model convnet --out where.html`"
)
def pictures(
    data: DataSets,
    clicks: Annotated[Path, typer.Option(help="CSV of measured clicks.")],
    out: Annotated[Path, typer.Option("--out", callback=writable, help="HTML page to write.")],
    objects: Annotated[int, typer.Option(min=1, help="Show so many objects.")] = 6,
    learned: Annotated[
        Path | None, typer.Option(help="Weights of `remask train clickability`, shown too.")
    ] = None,
    maps: Annotated[
        list[str], typer.Option(help="Maps of another method, as NAME=FOLDER; may be repeated.")
    ] = [],  # noqa: B006
    sigma: Annotated[
        list[float], typer.Option(help="Blur of the measured clicks; may be repeated.")
    ] = [5.0],  # noqa: B006
    model: Annotated[
        list[str],
        typer.Option(help="Model whose mean mask over ten groups is shown; may be repeated."),
    ] = [],  # noqa: B006
    rounds: Annotated[int, typer.Option(min=1, help="Clicks of each group.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the groups.")] = 0,
    device: ModelDevice = "cpu",
) -> None:
    """Write a page of objects with measured clicks, the map of each rule, and mean masks.

    The objects with the most first clicks are shown.
    """
    from remask_clicks.benchmark import Crowd
    from remask_clicks.log import read_clicked_errors
    from remask_clicks.pictures import clicks_page
    from remask_clicks.saliency import MapFiles
    from remask_clicks.sources import ClickSource
    from remask_evaluation.contestants import Contestant
    from remask_models.clickability.model import load_clickability

    page = clicks_page(
        read_clicked_errors([clicks], data, masks=None).errors,
        objects=objects,
        model=None if learned is None else load_clickability(learned),
        files=[MapFiles.parse(words) for words in maps],
        sigmas=sigma,
        contestants=[Contestant.parse(spec, device=device) for spec in dict.fromkeys(model)],
        crowd=Crowd(source=ClickSource(path=clicks), rounds=rounds),
        seed=seed,
        made_by=made_by(),
    )
    page.write(out)
    typer.echo(f"Report: {out}")


@app.command(epilog="Example: `remask clicks times log.csv --out times.html`")
def times(
    log: Annotated[Path, typer.Argument(help="CSV or Parquet of `remask log export`.")],
    out: Annotated[Path, typer.Option("--out", callback=writable, help="HTML page to write.")],
    as_json: Json = False,
) -> None:
    """Say how long visits took by their clicks, and whether large errors were clicked first."""
    from remask_clicks.times import read_times, times_page, times_table

    visits = read_times(log)
    times_page(visits, made_by=made_by()).write(out)
    if as_json:
        print_json(visits)
        return
    print_table(times_table(visits))
    typer.echo(f"Report: {out}")


@app.command(
    epilog="Example: `remask clicks score --clicks clicks.csv --data eval/grabcut --out out/users`"
)
def score(
    data: DataSets,
    clicks: Annotated[Path, typer.Option(help="CSV of measured clicks.")],
    out: Annotated[Path, typer.Option(help="Folder for users.jsonl and report.html.")],
    model: Annotated[
        list[str],
        typer.Option(help="Model to score, as NAME or NAME=WEIGHTS; may be repeated."),
    ] = ["convnet"],  # noqa: B006
    against: Annotated[
        str,
        typer.Option(
            help="Where the drawn clicks beside people's come from: distance, uniform, or the .npz "
            "of a clickability model."
        ),
    ] = "distance",
    most: Annotated[int, typer.Option(min=2, help="At most so many clicks of an object.")] = 25,
    limit: Limit = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; results do not change.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the drawn clicks.")] = 0,
    device: ModelDevice = "cpu",
    as_json: Json = False,
) -> None:
    """Measure a model on people's first clicks: IoU after one click, and User NSR@1.

    A run that was stopped continues where it stopped.
    """
    from remask_clicks.sources import ClickSource
    from remask_clicks.users import measure_users, users_page, users_table
    from remask_evaluation.contestants import Contestant
    from remask_evaluation.interactive.studies import write_page

    summaries = measure_users(
        clicks,
        _open(data, limit),
        [Contestant.parse(spec, device=device) for spec in dict.fromkeys(model)],
        out=out,
        source=ClickSource.parse(against),
        most=most,
        seed=seed,
        jobs=jobs,
    )
    report = write_page(users_page(summaries, made_by=made_by()), out)
    if as_json:
        print_json(summaries)
        return
    print_table(users_table(summaries))
    typer.echo(f"Report: {report}")


@app.command(
    epilog="Example: `remask clicks simulate --data eval/grabcut --out simulated --habit eye`"
)
def simulate(
    data: DataSets,
    out: Annotated[Path, typer.Option(help="Folder for clicks.csv and masks/.")],
    habit: Annotated[
        Habit,
        typer.Option(
            help="`hand`: taught to click the middle, unsteady. `eye`: whatever catches the eye."
        ),
    ] = Habit.hand,
    people: Annotated[int, typer.Option(min=1, help="How many click on each error.")] = 12,
    model: Annotated[
        str | None,
        typer.Option(
            help="Draws the masks that later clicks answer, as NAME or NAME=WEIGHTS; first clicks "
            "only if not given."
        ),
    ] = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Seed of the people.")] = 0,
    device: ModelDevice = "cpu",
) -> None:
    """Simulate a study of clicks, to try these commands on before people have clicked.

    A model that is trained on these clicks predicts the simulation, not people.
    """
    from remask_clicks import simulate as rclicks_simulate
    from remask_evaluation.contestants import Contestant

    clicks = rclicks_simulate.simulate_clicks(
        _open(data, limit),
        rclicks_simulate.Study(
            habit=rclicks_simulate.Habit(habit.value),
            people=people,
            model=None if model is None else Contestant.parse(model, device=device),
            seed=seed,
        ),
        out,
    )
    typer.echo(f"wrote {len(clicks)} simulated clicks to {out / 'clicks.csv'}")


def _open(data: list[Path], limit: int | None) -> list[Instance]:
    """Return the objects of the data sets, after saying which records of them were left out."""
    from remask_evaluation.datasets import open_sets

    left_out = LeftOutCounts()
    instances = open_sets(data, limit=limit, left_out=left_out.add)
    print_left_out(left_out)
    return instances


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"`{file}` must be a readable file: {error}") from error
