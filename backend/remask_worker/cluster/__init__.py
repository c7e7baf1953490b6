"""The worker on a cluster: replicas of the loop behind Ray Serve, and the engine that asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve import Application

__all__ = ["app"]


def app(args: dict[str, Any]) -> Application:
    """Return the Serve application: `serve run remask_worker.cluster:app model=convnet`.

    Args:
        args: Fields of `ReplicaSettings`, as the `args` of a Serve config file or the command line
            of `serve run` give them; text is read as the field's type.

    Raises:
        InputError: An argument is not known, or is not what it must be.
        MissingExtra: Ray is not installed.
    """
    # The web process imports this package for its engine, and must not import Ray with it.
    from remask_worker.cluster.deployment import application
    from remask_worker.cluster.settings import ReplicaSettings

    return application(ReplicaSettings.from_args(args))
