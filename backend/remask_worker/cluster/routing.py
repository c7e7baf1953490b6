"""Which replica answers for which image: the one module that knows Ray's router.

A replica keeps the embeddings of the images it encoded, so every call on an image shall reach the
same one. Serve's consistent-hash router sees to that inside a cluster: a call names its image in
the header `SESSION_HEADER`, and when its replica is gone or full the next one on the ring answers.
The router is an alpha part of ray 2.60, so the extra `remask[ray]` fixes that minor version.

The fallback needs nothing of Ray's. Web hosts may be given several addresses, and the addresses
are ranked for each image by a hash of both, as devices are. Every web host finds the same order,
and a call goes to the first address that takes it. With proxies of one cluster behind the addresses
this is fail-over; with one replica behind each it is the router itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from remask_worker.device_engines import in_order_of

__all__ = ["SESSION_HEADER", "Choice", "choices", "router_options"]

log = logging.getLogger(__name__)

SESSION_HEADER = "x-session-id"
_ROUTER = "ray.serve.experimental.consistent_hash_router"
_CLASS = "ConsistentHashRouter"
# Other replicas that Serve itself tries, in the ring's order, when the first is full.
_NEXT_ON_RING = 2
# Further places on the ring that a caller may try when a replica is there but has no model.
_PLACES = 3

Choice = tuple[str, str]
"""An address and the session id to present there."""


def choices(addresses: Sequence[str], image_id: str) -> Iterator[Choice]:
    """Yield where to ask for an image, the best place first.

    All addresses come first with the image's own place on the ring, then again with further
    places, which a small ring may map to the same replica.

    Args:
        addresses: One or more, in any order.
        image_id: The image's content id.
    """
    ranked = in_order_of(image_id, addresses)
    for place in range(_PLACES):
        session = image_id if place == 0 else f"{image_id}/{place}"
        for address in ranked:
            yield address, session


def router_options(routing: str) -> dict[str, Any]:
    """Return the options of a Serve deployment that say how calls find their replica.

    Args:
        routing: As `ReplicaSettings.routing`. Where this version of Ray has no consistent-hash
            router, `hash` falls back to Serve's own routing, and says so in the log: every answer
            stays right, but images are encoded by more than one replica.
    """
    if routing != "hash":
        return {}
    # Imported here: web hosts use this module too, and have no Ray.
    from importlib import import_module

    try:
        getattr(import_module(_ROUTER), _CLASS)
    except (ImportError, AttributeError) as error:
        log.warning(
            "this version of Ray has no consistent-hash router (%s); images will be encoded by "
            "several replicas, unless web hosts are given an address for each",
            error,
        )
        return {}
    return {
        "request_router_config": {
            "request_router_class": f"{_ROUTER}.{_CLASS}",
            "request_router_kwargs": {"num_fallback_replicas": _NEXT_ON_RING},
        }
    }
