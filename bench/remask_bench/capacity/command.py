"""`remask bench capacity`: hosts and GPUs for a number of annotators, on paper."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from remask_terminal.options import Json
from remask_terminal.printing import made_by, print_json, print_rows, print_table

__all__ = ["capacity"]


def capacity(
    annotators: Annotated[int, typer.Option(min=1, help="People at work at the same time.")] = 1000,
    images: Annotated[int, typer.Option(min=1, help="Of the whole campaign.")] = 5_000_000,
    p95_ms: Annotated[float, typer.Option(min=1, help="Limit for 95 % of the clicks, ms.")] = 500.0,
    megapixels: Annotated[float, typer.Option(min=0.01, help="Of each image.")] = 1.0,
    costs: Annotated[
        Path | None, typer.Option(help="JSON file of costs; without it a large model is assumed.")
    ] = None,
    click_log: Annotated[
        str | None,
        typer.Option(help="Click log whose annotators are taken: a path or a database's URL."),
    ] = None,
    gpu_price: Annotated[float, typer.Option(min=0, help="Of a GPU, per hour.")] = 2.00,
    host_price: Annotated[float, typer.Option(min=0, help="Of a web host, per hour.")] = 0.20,
    database_price: Annotated[float, typer.Option(min=0, help="Of the database, per hour.")] = 0.40,
    measure: Annotated[
        Path | None,
        typer.Option(help="Measure the costs of this machine into this file, and use them."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With --measure: the model to measure, too.")
    ] = None,
    device: Annotated[str, typer.Option(help="With --measure: of the model.")] = "cpu",
    check: Annotated[
        bool, typer.Option("--check", help="Hold the simulation against a real service here.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for capacity.html, the report with a chart.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Say how many hosts and GPUs annotators need, by simulating them.

    The costs of a click come from a file, from measuring this machine, or are assumed; the report
    names their source. docs/capacity.md explains what is simulated.
    """
    from remask_bench.capacity.answers import (
        agreement_table,
        answer_table,
        capacity_page,
        needed,
        p95_by_gpus,
        sizes,
    )
    from remask_bench.capacity.costs import Costs, Prices, read_costs, write_costs
    from remask_bench.capacity.measure import check_against_service, measure_costs
    from remask_bench.capacity.people import PAPER, behaviour_of_log
    from remask_core.errors import InputError
    from remask_storage.database import Database

    if measure is None and model is not None:
        raise InputError("`--model` needs `--measure FILE`, where its costs are written")
    if measure is not None and costs is not None:
        raise InputError("`--costs` and `--measure` exclude each other; got both")
    prices = Prices(gpu=gpu_price, host=host_price, database=database_price)
    behaviour = PAPER
    if click_log is not None:
        if "://" not in click_log and not Path(click_log).is_file():
            raise InputError(f"`--click-log` must be a click log that is there; got {click_log}")
        database = Database.open(click_log)
        try:
            behaviour = behaviour_of_log(database)
        finally:
            database.close()
    known = Costs() if costs is None else read_costs(costs)
    with tempfile.TemporaryDirectory() as name:
        if measure is not None:
            known = measure_costs(Path(name) / "costs", model=model, device=device)
            write_costs(known, measure)
        agreements = check_against_service(Path(name) / "check") if check else []
    answers = [
        needed(
            size,
            known,
            behaviour,
            images=images,
            megapixels=megapixels,
            p95_ms=p95_ms,
            prices=prices,
            seed=seed,
        )
        for size in sizes(annotators)
    ]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        page = capacity_page(
            answers,
            p95_by_gpus(answers[-1], known, behaviour, seed=seed),
            agreements,
            costs=known,
            behaviour=behaviour,
            prices=prices,
            p95_ms=p95_ms,
            made_by=made_by(),
        )
        page.write(out / "capacity.html")
    if as_json:
        print_json({"answers": answers, "agreement": agreements, "costs": known})
        return
    print_rows(answers, answer_table, as_json=False)
    if agreements:
        print_table(agreement_table(agreements))
    typer.echo(f"Costs: {known.source}. Annotators: {behaviour.source}.")
    if out is not None:
        typer.echo(f"Report: {out / 'capacity.html'}")
