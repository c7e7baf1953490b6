"""The model that a command's options choose, checked before anything is made with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from remask_service.state import settings_with

if TYPE_CHECKING:
    from remask_service.settings import Settings

__all__ = ["choose_model"]


def choose_model(
    state: str | None,
    *,
    model: str | None,
    device: str | None,
    weights: Path | None,
    engine: str | None,
    ray_address: str | None,
) -> tuple[Settings, str | None]:
    """Return the settings with the options in their place, and the cluster's model version.

    What is missing is said here at once, instead of by a worker that starts again and again.

    Args:
        state: As for `settings_with`.
        model: As `remask serve --model` takes it; None: as the environment says.
        device: `cpu`, `cuda`, `cuda:1` or `auto`; None: as the environment says.
        weights: The model's; None: as the environment says.
        engine: `child` or `ray`; None: as the environment says.
        ray_address: Of the cluster; None: as the environment says.

    Returns:
        The version is None where the model runs on this machine.

    Raises:
        InputError: The model is unknown, needs what is not installed, or is not the cluster's.
        NotFound: Its weights are not there.
        Unavailable: The cluster does not answer.
    """
    from remask_service.service import check_model
    from remask_worker.cluster import connection
    from remask_worker.cluster.engine import check_addresses

    settings = settings_with(state)
    settings = replace(
        settings,
        model=model or settings.model,
        device=device or settings.device,
        weights=weights or settings.weights,
        engine=engine or settings.engine,
        ray_address=ray_address or settings.ray_address,
    )
    check_model(settings)
    if settings.engine != "ray":
        return settings, None
    assert settings.ray_address is not None
    return settings, connection.check_model(
        check_addresses(settings.ray_address)[0], settings.model
    )
