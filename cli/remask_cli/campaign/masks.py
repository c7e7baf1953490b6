"""The model of a campaign's commands: in a process of its own, as the service runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.model_choice import choose_model
from remask_service.campaign_images import open_image_source

if TYPE_CHECKING:
    from remask_campaigns.rounds.mask_jobs import MakeMasks

__all__ = ["Device", "Model", "Weights", "open_masks"]

Model = Annotated[
    str | None,
    typer.Option("--model", help="As `remask serve --model`; the campaign's own if not given."),
]
Device = Annotated[str | None, typer.Option("--device", help="`cpu`, `cuda`, `cuda:1` or `auto`.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Weights file of the model.")]


@contextmanager
def open_masks(
    state: str | None,
    url: str,
    api_key: str,
    *,
    model: str,
    device: str | None = None,
    weights: Path | None = None,
    engine: str | None = None,
    ray_address: str | None = None,
) -> Iterator[MakeMasks]:
    """Give what makes masks; the model is loaded when the first mask is asked for.

    Args:
        state: As for `settings_with`; images and embeddings are kept below it.
        url: Of Label Studio, where the images are read.
        api_key: Its access token.
        model: As `remask serve --model` takes it.
        device: `cpu`, `cuda`, `cuda:1` or `auto`; None: as the environment says.
        weights: The model's; None: as the environment says.
        engine: `child` or `ray`; None: as the environment says.
        ray_address: Of the cluster; None: as the environment says.

    Raises:
        InputError: The model is unknown, needs what is not installed, or is not the cluster's.
        NotFound: Its weights are not there.
        Unavailable: The cluster does not answer.
    """
    from remask_campaigns.rounds.engine_masks import EngineMasks
    from remask_service.service import open_engine

    settings, _ = choose_model(
        state,
        model=model,
        device=device,
        weights=weights,
        engine=engine,
        ray_address=ray_address,
    )
    worker = open_engine(settings)
    try:
        with open_image_source(state, url, api_key) as images:
            yield EngineMasks(worker, images)
    finally:
        worker.close()
