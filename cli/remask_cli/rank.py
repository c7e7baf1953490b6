"""`remask rank`: Foretell how good masks are, and order them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_core.errors import InputError
from remask_service.state import open_campaigns
from remask_terminal.options import Json, Name, State

if TYPE_CHECKING:
    from remask_ranking.judge import Judgement
    from remask_ranking.table import Row

__all__ = ["app"]

app = typer.Typer(help="Foretell how good masks are, and order them.", no_args_is_help=True)

TableFile = Annotated[
    Path, typer.Argument(help="Rows to rank: .csv with features, or .jsonl with masks.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the forest and of the folds.")]
Folds = Annotated[
    int, typer.Option("--folds", min=2, help="Heaps of instances, each judged by the others.")
]


@app.callback()
def group() -> None:
    """Foretell how good masks are, and order them."""


@app.command(epilog="Example: `remask rank rows cats --out rows.csv`")
def rows(
    name: Name,
    out: Annotated[Path, typer.Option(help="CSV to write: one line per instance and round.")],
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that measure; one per core if not given.")
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Write what a ranking model sees of a campaign; the other commands take the file.

    Rows of instances whose truth is known have their true IoU.
    """
    import os

    import msgspec

    from remask_ranking.campaign_rows import campaign_rows
    from remask_ranking.table import write_rows

    with open_campaigns(state) as store:
        written = write_rows(
            campaign_rows(store, name, processes=processes or os.cpu_count() or 1), out
        )
    if as_json:
        typer.echo(msgspec.json.encode({"out": str(out), "rows": written}))
    else:
        typer.echo(f"{out}: {written} rows")


@app.command(epilog="Example: `remask rank train gold.csv --out ranker.npz`")
def train(
    table: TableFile,
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    seed: Seed = 0,
    folds: Folds = 5,
    as_json: Json = False,
) -> None:
    """Grow a ranking model on the rows whose true IoU is known.

    Also says how well such a model ranks instances that it was not trained on.
    """
    from remask_ranking.judge import cross_predict, fit_rows, judge
    from remask_ranking.ranker_file import save_ranker
    from remask_ranking.table import read_rows

    rows = _known(read_rows(table))
    ranker = fit_rows(rows, seed=seed)
    judgement = judge(rows, *cross_predict(rows, seed=seed, folds=folds), seed=seed)
    save_ranker(ranker, out)
    _show(judgement, as_json=as_json)
    if not as_json:
        typer.echo(f"Model: {out}, grown on {ranker.n_rows} rows")


@app.command(epilog="Example: `remask rank apply all.csv --model ranker.npz --out ranks.csv`")
def apply(
    table: TableFile,
    model: Annotated[Path, typer.Option(help="Model file of `remask rank train`.")],
    out: Annotated[Path, typer.Option(help="CSV to write: one line per instance, the best first.")],
    worst: Annotated[
        float | None,
        typer.Option(help="Also print the names of the worst so many per cent, worst first."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict the IoU of every instance, and write them in order.

    `remask export coco --ranks` and the other formats take the file.
    """
    import msgspec

    from remask_ranking.judge import rank_rows
    from remask_ranking.judge import worst as worst_of
    from remask_ranking.ranker_file import load_ranker
    from remask_ranking.ranks import write_ranks
    from remask_ranking.table import read_rows

    ranked = rank_rows(load_ranker(model), read_rows(table))
    back = [] if worst is None else worst_of(ranked, percent=worst)
    write_ranks(ranked, out)
    names = [one.row.instance for one in back]
    if as_json:
        answer = {"instances": len(ranked), "ranks": str(out), "worst": names}
        typer.echo(msgspec.json.encode(answer))
        return
    typer.echo(f"Ranks: {out}, {len(ranked)} instances", err=worst is not None)
    for name in names:
        typer.echo(name)


@app.command(epilog="Example: `remask rank evaluate gold.csv --out ranking.html`")
def evaluate(
    table: TableFile,
    out: Annotated[Path, typer.Option(help="HTML report to write.")],
    model: Annotated[
        Path | None,
        typer.Option(help="Judge this model; the rows must not be those it was trained on."),
    ] = None,
    seed: Seed = 0,
    folds: Folds = 5,
    as_json: Json = False,
) -> None:
    """Judge a ranking on rows whose true IoU is known, and write a report.

    Without a model, every instance is judged by a model that was trained on the others.
    """
    import shlex
    import sys

    from remask_ranking.judge import cross_predict, fit_rows, judge
    from remask_ranking.ranker_file import load_ranker
    from remask_ranking.report import ranking_page
    from remask_ranking.table import feature_rows, read_rows

    rows = _known(read_rows(table))
    if model is None:
        ranker = fit_rows(rows, seed=seed)
        mean, spread = cross_predict(rows, seed=seed, folds=folds)
        how = f"Each of {folds} heaps of instances was judged by a forest grown on the others."
    else:
        ranker = load_ranker(model)
        mean, spread = ranker.predict_with_uncertainty(feature_rows(rows))
        how = f"Judged by the model {model.name}, said to know none of these instances."
    judgement = judge(rows, mean, spread, seed=seed)
    made_by = f"Made by: remask {shlex.join(sys.argv[1:])}"
    page = ranking_page(judgement, ranker, judged_on=how, made_by=made_by)
    try:
        out.write_text(page.to_html(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"`{out}` must be writable: {error}") from error
    _show(judgement, as_json=as_json)
    if not as_json:
        typer.echo(f"Report: {out}")


def _known(rows: list[Row]) -> list[Row]:
    known = [row for row in rows if row.true_iou is not None]
    if not known:
        raise InputError("the table must hold rows with a `true_iou`; it holds none")
    return known


def _show(judgement: Judgement, *, as_json: bool) -> None:
    import msgspec

    from remask_ranking.judge import summary

    if as_json:
        typer.echo(msgspec.json.encode(judgement))
        return
    typer.echo(summary(judgement))
