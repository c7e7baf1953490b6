"""`remask campaign qualify | grade | people`: who may work in a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.campaign.app import app, open_session
from remask_cli.campaign.left_out import LeftOutNotes
from remask_cli.campaign.masks import Device, Model, Weights, open_masks
from remask_service.campaign_images import open_image_source, pixels_from
from remask_service.state import open_campaigns
from remask_terminal.options import ApiKey, EngineName, Json, Name, RayAddress, State, Url

if TYPE_CHECKING:
    from remask_campaigns.qualification.exam import Verdict

__all__ = ["grade", "people", "qualify"]

_WORDS = {True: "passed", False: "not passed", None: "not finished"}
_BY_HAND = {True: "accepted by hand", False: "refused by hand", None: "not finished"}


@app.command(epilog="Example: `remask campaign qualify cats --gold gold.json --images photos`")
def qualify(
    name: Name,
    gold: Annotated[
        str | None,
        typer.Option(
            help="COCO file with segmentations, or the number of a Label Studio project with "
            "masks; the campaign's own instances with truth if not given."
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images of the file.")] = None,
    image_prefix: Annotated[
        str | None, typer.Option(help="As for `remask campaign create`.")
    ] = None,
    instances: Annotated[
        int, typer.Option(min=1, help="How many of the campaign's own instances to take.")
    ] = 20,
    seed: Annotated[int, typer.Option(help="Seed of their choice.")] = 0,
    min_iou: Annotated[
        float, typer.Option(min=0, max=1, help="Least mean IoU of a person's masks.")
    ] = 0.80,
    max_seconds: Annotated[
        float, typer.Option(min=0, help="Longest median time for an object.")
    ] = 20.0,
    min_instances: Annotated[
        int, typer.Option(min=1, help="Fewest answered objects that a verdict rests on.")
    ] = 10,
    count_everybody: Annotated[
        bool,
        typer.Option("--count-everybody", help="Only report; clicks count whatever the verdict."),
    ] = False,
    model: Model = None,
    device: Device = None,
    weights: Weights = None,
    engine: EngineName = None,
    ray_address: RayAddress = None,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Make a test from objects with known masks; only who passes it counts in the campaign.

    Everybody answers the same objects on the page that they will work with. Afterwards
    `remask campaign grade` gives the verdicts. May be given again, with other limits too.
    """
    import msgspec

    from remask_campaigns.gold.instances import choose_gold
    from remask_campaigns.qualification.exam import open_test
    from remask_campaigns.sources.upload import ImagePlace
    from remask_storage.campaign import Qualification

    rules = Qualification(
        min_mean_iou=min_iou,
        max_median_s=max_seconds,
        min_instances=min_instances,
        required=not count_everybody,
    )
    left = LeftOutNotes(as_json=as_json)
    with open_session(name, state=state, url=url, api_key=api_key) as session:
        campaign = session.store.campaign(name)
        chosen = model or campaign.model
        with (
            open_masks(
                state,
                url,
                api_key,
                model=chosen,
                device=device,
                weights=weights,
                engine=engine,
                ray_address=ray_address,
            ) as make_masks,
            open_image_source(state, url, api_key) as source,
        ):
            given = choose_gold(
                session.store,
                session.studio,
                campaign,
                gold,
                place=ImagePlace(images, image_prefix),
                count=instances,
                seed=seed,
                pixels_of=pixels_from(source),
                left_out=left.add,
            )
            rules = open_test(
                session.store,
                session.studio,
                name,
                make_masks,
                given,
                rules=rules,
                on_progress=session.on_progress,
            )
    if as_json:
        typer.echo(msgspec.json.encode(rules))
        return
    left.tell()
    typer.echo(f"The test is open: {url.rstrip('/')}/projects/{rules.project}/data")
    typer.echo(f"Afterwards: remask campaign grade {name} --pages verdicts")


@app.command(epilog="Example: `remask campaign grade cats --pages verdicts`")
def grade(
    name: Name,
    pages: Annotated[
        Path | None, typer.Option(help="Folder to write a page for each person into.")
    ] = None,
    model: Model = None,
    device: Device = None,
    weights: Weights = None,
    engine: EngineName = None,
    ray_address: RayAddress = None,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Judge everybody who has answered the campaign's test, and store the verdicts."""
    import msgspec

    from remask_campaigns.qualification.exam import grade_test
    from remask_campaigns.qualification.page import write_pages

    with open_session(name, state=state, url=url, api_key=api_key) as session:
        chosen = model or session.store.campaign(name).model
        with open_masks(
            state,
            url,
            api_key,
            model=chosen,
            device=device,
            weights=weights,
            engine=engine,
            ray_address=ray_address,
        ) as make_masks:
            verdicts = grade_test(
                session.store, session.studio, name, make_masks, on_progress=session.on_progress
            )
        rules = session.store.campaign(name).qualification
    assert rules is not None
    if pages is not None:
        with open_image_source(state, url, api_key) as source:
            write_pages(pages, verdicts, rules, campaign=name, image_of=pixels_from(source))
    if as_json:
        typer.echo(msgspec.json.encode([_row(verdict) for verdict in verdicts]))
        return
    if not verdicts:
        typer.echo("nobody has answered the test yet")
    for verdict in verdicts:
        seconds = "?" if verdict.median_s is None else f"{verdict.median_s:.1f}"
        typer.echo(
            f"{verdict.name}: {_WORDS[verdict.passed]}, mean IoU {verdict.mean_iou:.3f}, "
            f"median {seconds} s, {len(verdict.answers)} objects"
        )


@app.command(epilog="Example: `remask campaign people cats --accept ada@example.com`")
def people(
    name: Name,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Let this person's clicks count, by e-mail; may be repeated."),
    ] = None,
    refuse: Annotated[
        list[str] | None,
        typer.Option(help="Leave this person's clicks out, by e-mail; may be repeated."),
    ] = None,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """List who has been judged and how, or decide it oneself.

    The next `remask campaign grade` judges anew whoever has answered the test.
    """
    import msgspec

    from remask_campaigns.qualification.exam import decide_people
    from remask_label_studio.client import connect

    with open_campaigns(state) as store:
        store.campaign(name)
        if accept or refuse:
            with connect(url, api_key) as connection:
                decide_people(store, connection, name, accept=accept or (), refuse=refuse or ())
        known = store.people(name)
        by_hand = store.decided_by_hand(name)
    if as_json:
        rows = [
            {
                "annotator": number,
                "name": who,
                "passed": verdict,
                "by_hand": number in by_hand,
            }
            for number, (who, verdict) in sorted(known.items())
        ]
        typer.echo(msgspec.json.encode(rows))
        return
    for number, (who, passed) in sorted(known.items()):
        typer.echo(f"{who}: {(_BY_HAND if number in by_hand else _WORDS)[passed]}")


def _row(verdict: Verdict) -> dict[str, object]:
    return {
        "annotator": verdict.annotator,
        "name": verdict.name,
        "passed": verdict.passed,
        "mean_iou": verdict.mean_iou,
        "median_s": verdict.median_s,
        "instances": len(verdict.answers),
    }
