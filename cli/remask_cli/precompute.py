"""`remask precompute`: Embeddings of a project's images before anybody clicks."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.masks import Device, Model, Weights, open_engine
from remask_service.campaign_images import open_image_source
from remask_terminal.options import ApiKey, Json, State, Url
from remask_terminal.printing import print_json, print_left_out
from remask_terminal.progress import progress_bars, repeatable

if TYPE_CHECKING:
    from remask_campaigns.automatic.precompute import Precomputed
    from remask_campaigns.automatic.project_masks import PredictedProject
    from remask_service.predict.project_boxes import MaskedBoxes

__all__ = ["precompute", "register"]


class MasksChoice(str, Enum):
    """Which masks are predicted along with the embeddings."""

    auto = "auto"
    boxes = "boxes"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: `remask precompute --project 7 --room-mb 8192`")(precompute)


def precompute(
    project: Annotated[int, typer.Option(min=1, help="Label Studio's number of the project.")],
    url: Url,
    api_key: ApiKey,
    masks: Annotated[
        MasksChoice | None,
        typer.Option(
            help="Predict masks as well: `boxes`, one for each box of a task; `auto`, "
            "what `remask masks auto` finds."
        ),
    ] = None,
    room_mb: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Room for embeddings on disk, in MiB; REMASK_SPILL_MB, or else 4096, if not "
            "given.",
        ),
    ] = None,
    model: Model = None,
    device: Device = None,
    weights: Weights = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Encode the images of a project and keep the embeddings on disk.

    An annotator's first click on an image then costs a run of the decoder. `remask serve` finds
    the embeddings if it has the same model and state folder, and REMASK_SPILL_MB gives it as much
    room. The same command again goes on where an earlier one stopped.
    """
    from remask_campaigns.automatic.precompute import precompute_project
    from remask_campaigns.automatic.project_masks import AutomaticPlan, predict_project
    from remask_core.left_out import LeftOutCounts
    from remask_label_studio.client import connect
    from remask_models.automatic_defaults import automatic_settings
    from remask_service.predict.project_boxes import mask_boxes
    from remask_service.state import settings_with
    from remask_worker.embedding_files import EmbeddingFolder

    settings = settings_with(state)
    room = room_mb or settings.spill_mb or _ROOM_MB
    left = LeftOutCounts()
    predicted: MaskedBoxes | PredictedProject | None = None
    with (
        repeatable(),
        open_engine(state, model=model, device=device, weights=weights, spill_mb=room) as opened,
        connect(url, api_key) as studio,
        open_image_source(state, url, api_key) as source,
        progress_bars() as on_progress,
    ):
        engine, name, version = opened
        done = precompute_project(
            studio, engine, source, project, on_progress=on_progress, left_out=left.add
        )
        if masks is MasksChoice.auto:
            plan = AutomaticPlan(model=version, settings=automatic_settings(name))
            predicted = predict_project(
                studio, engine, source, project, plan, on_progress=on_progress, left_out=left.add
            )
        if masks is MasksChoice.boxes:
            predicted = mask_boxes(
                studio,
                engine,
                source,
                project,
                version,
                on_progress=on_progress,
                left_out=left.add,
            )
        folder = EmbeddingFolder(
            settings.state_dir / "embeddings", max_bytes=room << 20, model_version=version
        )
        kept = sum(image_id in folder for image_id in done.image_ids)
        folder.close()
    if as_json:
        print_json(
            {
                "tasks": done.tasks,
                "images": done.images,
                "encoded": done.encoded,
                "on_disk": kept,
                "predicted": predicted,
                "left_out": left.counts,
            }
        )
        return
    _show(done, kept, room)
    if predicted is not None:
        typer.echo(f"Predicted: {predicted.predicted} tasks; had it before: {predicted.before}")
    print_left_out(left)


_ROOM_MB = 4096


def _show(done: Precomputed, kept: int, room: int) -> None:
    different = len(done.image_ids)
    typer.echo(f"Encoded {done.encoded} of {done.images} images of {done.tasks} tasks")
    typer.echo(f"On disk: {kept} of {different} embeddings, in at most {room} MiB")
    if kept < different:
        typer.echo(f"Not all fit: give more room than --room-mb {room}", err=True)
    typer.echo(f"Serve with REMASK_SPILL_MB={room}, the same model and the same state folder")
