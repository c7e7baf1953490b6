"""The Serve deployment around a `Replica`; only replicas and the cluster's start import it.

The deployment is called `Worker`. What Serve decides about it, and why:

* `max_ongoing_requests`: the batch lane and twice as many clicks and opened tasks. Batch calls
  beyond their lane are refused by the loop at once, so they cannot fill a replica; one that is full
  nevertheless is hot, and the next on the ring takes over. `max_queued_requests`: when all of them
  are full, a proxy lets so many calls wait and refuses the others.
* Autoscaling follows the calls per replica, so the batch lane's backlog starts replicas. A new one
  gets calls only after its model is loaded: its constructor waits for that.
* A replica that leaves gets no new calls and has longer than any click or opened task may take to
  answer those it has.
* A change of the model starts the new replicas before it lets the old ones go.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from starlette.requests import Request
from starlette.responses import Response

from remask_core.extras import needs_extra
from remask_worker.calls import Lane
from remask_worker.child_engine import ChildEngine
from remask_worker.cluster.image_share import ImageShare
from remask_worker.cluster.messages import CONTENT_TYPE
from remask_worker.cluster.replica import Replica
from remask_worker.cluster.routing import router_options
from remask_worker.cluster.settings import ReplicaSettings

with needs_extra("ray", "a cluster's worker"):
    from ray import serve

__all__ = ["application", "deployment_options"]

# Longer than the 90 s that an opened task may take.
_DRAIN_S = 100.0


class Worker:
    """One replica of the worker, as Serve calls it."""

    def __init__(self, settings: ReplicaSettings) -> None:
        scratch = settings.scratch_dir
        share = None
        if settings.images is not None:
            max_bytes = settings.max_image_mb << 20
            share = ImageShare(settings.images, max_bytes=max_bytes, environ=os.environ)
        self._replica = Replica(
            ChildEngine(settings.worker()),
            settings,
            scratch=Path(scratch) if scratch else user_cache_path("remask") / "cluster",
            name=serve.get_replica_context().replica_id.unique_id,
            share=share,
        )
        self._replica.wait_until_ready()

    async def __call__(self, request: Request) -> Response:
        """Answer a call, or say how the replica is."""
        body = await self._replica.answer(await request.body())
        return Response(body, media_type=CONTENT_TYPE)

    def check_health(self) -> None:
        """Serve replaces the replica if this raises."""
        self._replica.check()

    def __del__(self) -> None:
        """Serve calls this once the replica's last call is answered."""
        if hasattr(self, "_replica"):
            self._replica.close()


def application(settings: ReplicaSettings) -> serve.Application:
    """Return the application that `settings` describe."""
    return serve.deployment(name="Worker", **deployment_options(settings))(Worker).bind(settings)


def deployment_options(settings: ReplicaSettings) -> dict[str, Any]:
    """Return the deployment's options; a Serve config file may override each of them."""
    limits = settings.worker().lane_limits
    return {
        **_scale(settings),
        **router_options(settings.routing),
        "max_ongoing_requests": 3 * limits[Lane.BATCH],
        "max_queued_requests": limits[Lane.CLICK],
        "max_surge_percent": 100,
        "graceful_shutdown_timeout_s": _DRAIN_S,
        "graceful_shutdown_wait_loop_s": 0.5,
        "health_check_period_s": 5.0,
        "health_check_timeout_s": 30.0,
        "ray_actor_options": {"num_cpus": settings.cpus, "num_gpus": settings.gpus},
    }


def _scale(settings: ReplicaSettings) -> dict[str, Any]:
    if settings.max_replicas in (None, settings.replicas):
        return {"num_replicas": settings.replicas}
    return {
        "autoscaling_config": {
            "min_replicas": settings.replicas,
            "max_replicas": settings.max_replicas,
            "target_ongoing_requests": settings.busy_calls,
            "upscale_delay_s": settings.grow_after_s,
            "downscale_delay_s": settings.shrink_after_s,
            "look_back_period_s": min(max(settings.grow_after_s, 1.0), 30.0),
        }
    }
