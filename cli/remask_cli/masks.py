"""`remask masks`: Masks of whole images, without anybody's help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.model_choice import choose_model
from remask_core.errors import InputError
from remask_service.campaign_images import open_image_source
from remask_terminal.options import EngineName, Json, RayAddress, State
from remask_terminal.printing import print_json, print_left_out
from remask_terminal.progress import progress_bars, repeatable

if TYPE_CHECKING:
    from remask_campaigns.automatic.folder_masks import MaskedFolder
    from remask_campaigns.automatic.project_masks import AutomaticPlan, PredictedProject
    from remask_core.left_out import LeftOutCounts
    from remask_worker.calls import Engine

__all__ = ["app", "open_engine"]

app = typer.Typer(help="Find the masks of whole images.", no_args_is_help=True)

Model = Annotated[
    str | None,
    typer.Option("--model", help="As `remask serve --model`; what REMASK_MODEL says if not given."),
]
Device = Annotated[str | None, typer.Option("--device", help="`cpu`, `cuda`, `cuda:1` or `auto`.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Weights file of the model.")]


@app.callback()
def group() -> None:
    """Find the masks of whole images."""


@app.command(
    epilog="Example: `remask masks auto --project 7`, or `remask masks auto --images photos "
    "--out masks.json`"
)
def auto(
    project: Annotated[
        int | None, typer.Option(min=1, help="Predict for the tasks of this Label Studio project.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Or: a folder of images, without a Label Studio.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The COCO file for `--images`.")] = None,
    best: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="At most so many masks of an image; with `--project` as many as the editor bears "
            "if not given.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            help="Class of all masks; the project's only one, or none, if not given.",
        ),
    ] = None,
    points_per_side: Annotated[
        int | None, typer.Option(min=1, help="Of the grid of points on the image.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Masks must have a predicted IoU above it; 0 for all.")
    ] = None,
    min_stability: Annotated[
        float | None, typer.Option(help="Masks must be so stable; 0 for all.")
    ] = None,
    crop_layers: Annotated[
        int | None, typer.Option(min=0, max=4, help="1 adds 4 crops, 2 adds 4 and 16.")
    ] = None,
    min_region: Annotated[
        int | None, typer.Option(min=0, help="Holes and islands of fewer pixels are removed.")
    ] = None,
    model: Model = None,
    device: Device = None,
    weights: Weights = None,
    engine: EngineName = None,
    ray_address: RayAddress = None,
    state: State = None,
    url: Annotated[
        str, typer.Option("--url", envvar="LABEL_STUDIO_URL", help="Of Label Studio.")
    ] = "",
    api_key: Annotated[
        str,
        typer.Option(
            "--api-key",
            envvar="LABEL_STUDIO_API_KEY",
            help="Access token; best set in the variable.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Find the masks of every image, and store them as predictions or as one COCO file.

    Annotators open a task with its masks, delete the wrong ones and give the others their class.
    Tasks that have an annotation are left alone. The same command again goes on where an earlier
    one stopped and makes nothing twice.

    What is not given is what suits the model: docs/automatic-masks.md has the values, and what was
    measured with them.
    """
    from remask_core.left_out import LeftOutCounts
    from remask_models.automatic_defaults import automatic_settings

    if (project is None) == (images is None):
        raise InputError("give one of `--project` and `--images`")
    if (images is None) != (out is None):
        raise InputError("`--images` and `--out` go together")
    if project is not None and not url:
        raise InputError("`--project` needs `--url`, or LABEL_STUDIO_URL")
    left = LeftOutCounts()
    with (
        repeatable(),
        open_engine(
            state,
            model=model,
            device=device,
            weights=weights,
            engine=engine,
            ray_address=ray_address,
        ) as (worker, name, version),
    ):
        given = {
            "points_per_side": points_per_side,
            "min_score": min_score,
            "min_stability": min_stability,
            "crop_layers": crop_layers,
            "min_region_px": min_region,
        }
        settings = automatic_settings(
            name, **{key: value for key, value in given.items() if value is not None}
        )
        plan = _plan(version, settings, best, label)
        if project is not None:
            _show_project(
                _of_project(project, plan, worker, state, url, api_key, left), left, plan, as_json
            )
        else:
            assert images is not None
            assert out is not None
            _show_folder(_of_folder(images, out, plan, worker, left), left, out, as_json)


@contextmanager
def open_engine(
    state: str | None,
    *,
    model: str | None,
    device: str | None,
    weights: Path | None,
    spill_mb: int | None = None,
    engine: str | None = None,
    ray_address: str | None = None,
) -> Iterator[tuple[Engine, str, str]]:
    """Give an engine of its own process or a cluster's, the model's name and its version.

    Args:
        state: As for `settings_with`; embeddings are kept below it.
        model: As `remask serve --model` takes it; None: as the environment says.
        device: Where it runs; None: as the environment says.
        weights: The model's; None: as the environment says.
        spill_mb: Room for embeddings on disk; None: as the environment says.
        engine: `child` or `ray`; None: as the environment says.
        ray_address: Of the cluster; None: as the environment says.

    Raises:
        InputError: The model is unknown, needs what is not installed, or is not the cluster's.
        NotFound: Its weights are not there.
        Unavailable: The cluster does not answer.
    """
    from dataclasses import replace

    from remask_models import registry
    from remask_service.service import open_engine as engine_of

    settings, version = choose_model(
        state,
        model=model,
        device=device,
        weights=weights,
        engine=engine,
        ray_address=ray_address,
    )
    if spill_mb is not None:
        settings = replace(settings, spill_mb=spill_mb)
    if version is None:
        version = registry.version(
            settings.model, weights=settings.weights, model_dir=settings.model_dir
        )
    worker = engine_of(settings)
    try:
        yield worker, settings.model, version
    finally:
        worker.close(grace_s=0.0)


def _plan(version: str, settings: object, best: int | None, label: str | None) -> AutomaticPlan:
    from remask_campaigns.automatic.project_masks import AutomaticPlan
    from remask_masks.automatic.generate import AutomaticSettings

    assert isinstance(settings, AutomaticSettings)
    return AutomaticPlan(model=version, settings=settings, best=best, label=label)


def _of_project(
    project: int,
    plan: AutomaticPlan,
    engine: Engine,
    state: str | None,
    url: str,
    api_key: str,
    left: LeftOutCounts,
) -> PredictedProject:
    from remask_campaigns.automatic.project_masks import predict_project
    from remask_label_studio.client import connect

    with (
        connect(url, api_key) as studio,
        open_image_source(state, url, api_key) as source,
        progress_bars() as on_progress,
    ):
        return predict_project(
            studio, engine, source, project, plan, on_progress=on_progress, left_out=left.add
        )


def _of_folder(
    images: Path, out: Path, plan: AutomaticPlan, engine: Engine, left: LeftOutCounts
) -> MaskedFolder:
    from remask_campaigns.automatic.folder_masks import mask_folder

    with progress_bars() as on_progress:
        return mask_folder(engine, images, out, plan, on_progress=on_progress, left_out=left.add)


def _show_project(
    done: PredictedProject, left: LeftOutCounts, plan: AutomaticPlan, as_json: bool
) -> None:
    if as_json:
        print_json({"done": done, "model_version": plan.model_version, "left_out": left.counts})
        return
    typer.echo(f"Predicted: {done.predicted} of {done.tasks} tasks, {done.masks} masks")
    for count, what in (
        (done.before, "Predicted before"),
        (done.annotated, "Left alone, annotated"),
        (done.not_shown, "Masks beyond the best ones, not shown"),
    ):
        if count:
            typer.echo(f"{what}: {count}")
    typer.echo(f"Tasks now open with the predictions of {plan.model_version}")
    print_left_out(left)


def _show_folder(done: MaskedFolder, left: LeftOutCounts, out: Path, as_json: bool) -> None:
    if as_json:
        print_json({"done": done, "out": out, "left_out": left.counts})
        return
    typer.echo(f"Wrote {done.masks} masks of {done.images} images to {out}")
    if done.before:
        typer.echo(f"Done before: {done.before}")
    print_left_out(left)
