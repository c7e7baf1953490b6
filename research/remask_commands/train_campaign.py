"""`remask train campaign`: the next model, from what a campaign has brought."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_terminal.options import ApiKey, Json, ModelDevice, Name, State, Url
from remask_terminal.printing import print_json
from remask_terminal.progress import progress, progress_bars, repeatable

if TYPE_CHECKING:
    from remask_training.campaign_data import CampaignData
    from remask_training.loop import Report

__all__ = ["EXAMPLE", "campaign"]

EXAMPLE = "Example: `remask train campaign cats --out runs/cats --minutes 30 --weights ranks.csv`"


def campaign(
    name: Name,
    out: Annotated[
        Path, typer.Option(help="Folder for pictures, weights and the verdict; used again later.")
    ],
    init: Annotated[
        Path | None,
        typer.Option(help="Weights of the model before, .npz; the bundled weights if not given."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="CSV of `remask rank apply`: each mask counts as much as its `training_weight`."
        ),
    ] = None,
    config: Annotated[str, typer.Option(help="`small`, `fine` or `full`.")] = "fine",
    steps: Annotated[
        int | None, typer.Option(help="Batches to train for; the config's if not given.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="End the training after so many minutes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    device: ModelDevice = "auto",
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Train the bundled model on a campaign's masks, and say whether it has become better.

    Pictures whose truth is known, at most a quarter of all, are not learnt from: on these the old
    and the new weights get the same boxes and clicks. The new ones are worth taking where they
    are better with 95 % confidence; the command exits with 1 where they are not.
    """
    from remask_evaluation.next_model import next_model
    from remask_service.campaign_images import open_image_source
    from remask_service.state import open_campaigns
    from remask_training.campaign_data import write_campaign_data

    with repeatable(), open_campaigns(state) as store:
        store.campaign(name)
        with open_image_source(state, url, api_key) as images, progress_bars() as on_progress:
            data = write_campaign_data(
                store,
                name,
                folder=out / "data",
                fetch_image=lambda instance: images.fetch(
                    instance.image, task_id=instance.source_task
                ).path.read_bytes(),
                on_picture=lambda done, total: on_progress("pictures", done, total),
            )
    if not as_json:
        typer.echo(_sentence(data))
    with repeatable(), progress() as display:
        bar = display.add_task("training", total=None)

        def told(report: Report) -> None:
            ious = " ".join(f"{iou:.3f}" for iou in report.iou)
            display.update(bar, description=f"batch {report.step}: loss {report.loss:.3f} {ious}")

        def played(done: int, total: int) -> None:
            display.update(bar, completed=done, total=total, description="comparing")

        found = next_model(
            data,
            out=out,
            init=init,
            config=config,
            steps=steps,
            minutes=minutes,
            weights=weights,
            seed=seed,
            device=device,
            on_report=told,
            on_object=played,
        )
    if as_json:
        print_json(found)
    else:
        before, after = (
            " ".join(f"{iou:.3f}" for iou in ious) for ious in (found.miou_before, found.miou_after)
        )
        typer.echo(f"IoU from the box and after each round: {before} before, {after} after")
        typer.echo(found.sentence)
        if found.is_better:
            typer.echo(
                f"Take it: `remask serve --weights {found.weights}`, and the same option of "
                "`remask campaign advance` for the next campaign"
            )
    if not found.is_better:
        raise typer.Exit(1)


def _sentence(data: CampaignData) -> str:
    """Return what is learnt from, what is measured on, and what neither uses."""
    parts = [
        f"Learning from {data.learnt_objects} masks on {data.learnt_pictures} pictures, measuring "
        f"on {data.measured_objects} truths on {data.measured_pictures} others"
    ]
    parts += [f"{count} objects left out: {reason}" for reason, count in data.left_out.items()]
    return "; ".join(parts)
