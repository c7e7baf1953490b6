"""`remask rank`: Predict how good masks are, and order them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.publish import publish
from remask_service.state import open_campaigns
from remask_terminal.options import Json, Name, State, writable
from remask_terminal.printing import made_by, print_json

if TYPE_CHECKING:
    from remask_ranking.judge import Judgement

__all__ = ["app"]

app = typer.Typer(help="Predict how good masks are, and order them.", no_args_is_help=True)

TableFile = Annotated[
    Path, typer.Argument(help="Rows to rank: .csv with features, or .jsonl with masks.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the forest and of the folds.")]
Folds = Annotated[
    int,
    typer.Option(
        "--folds",
        min=2,
        help="Groups of instances; each is judged by a forest trained on the others.",
    ),
]


class FeatureChoice(str, Enum):
    """What a ranking may look at."""

    paper = "paper"
    all = "all"


FeaturesOffered = Annotated[
    FeatureChoice,
    typer.Option(
        "--features",
        help="paper: the five of the paper. all: also the model's own score and what else the log "
        "knows, if that orders held-out instances better; what was chosen is said.",
    ),
]


@app.callback()
def group() -> None:
    """Predict how good masks are, and order them."""


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

    from remask_ranking.campaign_rows import campaign_rows
    from remask_ranking.table import write_rows

    with open_campaigns(state) as store:
        written = write_rows(
            campaign_rows(store, name, processes=processes or os.cpu_count() or 1), out
        )
    if as_json:
        print_json({"out": str(out), "rows": written})
    else:
        typer.echo(f"{out}: {written} rows")


@app.command(epilog="Example: `remask rank train gold.csv --out ranker.npz`")
def train(
    table: TableFile,
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    features: FeaturesOffered = FeatureChoice.paper,
    seed: Seed = 0,
    folds: Folds = 5,
    as_json: Json = False,
) -> None:
    """Train a ranking model on the rows whose true IoU is known.

    Also says how well such a model ranks instances that it was not trained on.
    """
    from remask_ranking.files import train_ranker

    ranker, judgement = train_ranker(
        table,
        out,
        seed=seed,
        folds=folds,
        features=features.value,
        on_chosen=lambda choice: typer.echo(choice.sentence, err=True),
    )
    _show(judgement, as_json=as_json)
    if not as_json:
        typer.echo(f"Model: {out}, trained on {ranker.n_rows} rows")


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
    from remask_ranking.files import apply_ranker

    ranked, back = apply_ranker(table, model, out, worst_percent=worst)
    names = [instance.row.instance for instance in back]
    if as_json:
        print_json({"instances": len(ranked), "ranks": str(out), "worst": names})
        return
    typer.echo(f"Ranks: {out}, {len(ranked)} instances", err=worst is not None)
    for name in names:
        typer.echo(name)


@app.command(epilog="Example: `remask rank evaluate gold.csv --out ranking.html`")
def evaluate(
    table: TableFile,
    out: Annotated[Path, typer.Option(callback=writable, help="HTML report to write.")],
    model: Annotated[
        Path | None,
        typer.Option(help="Judge this model; the rows must not be those it was trained on."),
    ] = None,
    features: FeaturesOffered = FeatureChoice.paper,
    seed: Seed = 0,
    folds: Folds = 5,
    as_json: Json = False,
) -> None:
    """Judge a ranking on rows whose true IoU is known, and write a report.

    Without a model, every instance is judged by a model that was trained on the others.
    """
    from remask_ranking.files import evaluate_ranking

    judgement = evaluate_ranking(
        table,
        out,
        model=model,
        features=features.value,
        seed=seed,
        folds=folds,
        made_by=made_by(),
    )
    _show(judgement, as_json=as_json)
    if not as_json:
        typer.echo(f"Report: {out}")


@app.command(
    epilog="Example: `remask rank guarantee cats --min-iou 0.8 --bad 5 --out guarantee.json`"
)
def guarantee(
    name: Name,
    min_iou: Annotated[
        float, typer.Option(help="A mask whose IoU with the truth is lower is bad.")
    ] = 0.8,
    bad: Annotated[float, typer.Option(help="At most so many per cent are bad ...")] = 5.0,
    confidence: Annotated[float, typer.Option(help="... with so many per cent confidence.")] = 95.0,
    out: Annotated[
        Path | None, typer.Option(help="JSON to write; exports take it with --guaranteed.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the draw of the truths, as given to `campaign gold`.")
    ] = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that measure; one per core if not given.")
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Say which masks can be promised to be good, and how sure that is.

    The truths must be a random draw of the masks: `campaign gold NAME --draw random`, or a truth
    for every instance. Exits with 1 if nothing can be promised.
    """
    import os

    from remask_ranking.promises import campaign_guarantee, write_promise

    with open_campaigns(state) as store:
        found = campaign_guarantee(
            store,
            name,
            min_iou=min_iou,
            bad_percent=bad,
            confidence_percent=confidence,
            seed=seed,
            processes=processes or os.cpu_count() or 1,
        )
    if out is not None:
        write_promise(found, out)
    if as_json:
        print_json(found)
    else:
        typer.echo(found.sentence)
        typer.echo(f"{len(found.instances)} of {found.masks} masks")
    if not found.instances:
        raise typer.Exit(1)


def _show(judgement: Judgement, *, as_json: bool) -> None:
    if as_json:
        print_json(judgement.to_json())
    else:
        typer.echo(judgement.summary())


app.command(epilog="Example: `remask rank publish cats --worst-first --url http://localhost:8080`")(
    publish
)
