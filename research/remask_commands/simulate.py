"""`remask campaign simulate`: the open round, answered by simulated annotators."""

from __future__ import annotations

from typing import Annotated

import typer

from remask_core.errors import NotFound
from remask_service.state import open_campaigns
from remask_terminal.options import ApiKey, Json, Name, State, Url

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog="Example: `remask campaign simulate cats --annotators 4 --seed 1`")
def simulate(
    name: Name,
    annotators: Annotated[
        int, typer.Option(min=1, help="How many people; they differ in care and pace.")
    ] = 4,
    seed: Annotated[int, typer.Option(help="Seed of people and clicks.")] = 0,
    test: Annotated[
        bool,
        typer.Option("--test", help="Everybody takes the campaign's test, answering all of it."),
    ] = False,
    twice: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the tasks that two people answer; the report says how they agree.",
        ),
    ] = 0.1,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Answer the open round by simulated annotators, through Label Studio.

    They see the masks that people would see and know the true ones (`create --truth`). Tasks that
    have an annotation, and tasks without truth, are left alone. If the campaign has a required
    test, only people who have passed it work: `--test`, then `remask campaign grade`.
    """
    import msgspec

    from remask_campaigns.qualification.exam import name_of_test
    from remask_label_studio.client import connect
    from remask_simulation.campaign import hire
    from remask_simulation.campaign import simulate as answer
    from remask_terminal.progress import progress_bars, repeatable

    with repeatable(), open_campaigns(state) as store:
        if test:
            if store.campaign(name).qualification is None:
                raise NotFound(
                    f"campaign {name!r} has no test; `remask campaign qualify` makes one"
                )
            name = name_of_test(name)
        # An unknown campaign must leave no accounts behind.
        store.campaign(name)
        with connect(url, api_key) as connection, progress_bars() as on_progress:
            people = hire(connection, annotators, seed=seed)
            done = answer(
                store,
                connection,
                name,
                people,
                seed=seed,
                twice=twice,
                on_progress=on_progress,
            )
    if as_json:
        typer.echo(msgspec.json.encode(done))
        return
    typer.echo(
        f"{done.answered} answers with {done.clicks} clicks in {done.seconds / 60:.0f} simulated "
        f"minutes, {done.second} of them the second to their task; {done.already} tasks needed "
        f"none, {done.without_truth} have no truth"
    )
