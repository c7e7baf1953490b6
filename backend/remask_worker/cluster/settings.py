"""Settings of the cluster's replicas: the arguments of the Serve application."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from remask_core.errors import InputError
from remask_worker.settings import WorkerSettings

__all__ = ["ReplicaSettings"]


class ReplicaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a replica, and how many there are.

    Attributes:
        model: A name of `remask models list`, or `package.module:factory`.
        weights: Path of the weights file on the replica's machine; None looks it up in `model_dir`.
        model_dir: Folder of weights; None is the user's data folder.
        device: `cpu`, `cuda` or `auto`: the GPU that Ray gives the replica, if it gives one.
        threads: CPU threads of the model's arithmetic; None is as many as `cpus`.
        cache_mb: MiB of embeddings that a replica keeps in memory.
        max_image_pixels: Larger images are refused before they are decoded.
        max_image_mb: MiB of the largest image file that is taken.
        image_cache_mb: MiB of image files that a replica keeps on its disk.
        images: Where replicas share image files, see `ImageShare`: a bucket such as
            `s3://bucket/prefix`, or a folder that all machines have. None: each replica that needs
            an image has it sent by the web host.
        scratch_dir: Folder for those files; None is the user's cache folder. Several replicas may
            name the same one: each takes a folder of its own in it.
        replicas: Replicas at the start, and the fewest that there ever are.
        max_replicas: The most that there ever are; None is `replicas`, so that nothing scales.
        busy_calls: Calls waiting or worked on, per replica, above which another replica is started
            and below which one is let go.
        grow_after_s: Seconds that the load must stay above it; loading a model is dear.
        shrink_after_s: Seconds that it must stay below it; so are embeddings that are lost.
        cpus: CPUs that a replica reserves from Ray.
        gpus: GPUs that a replica reserves from Ray; 0.5 lets two replicas share one.
        routing: `hash` sends each image to its own replica by Serve's consistent-hash router;
            `default` is Serve's own routing, for clusters whose web hosts spread the images over
            several addresses themselves.
    """

    model: str = "convnet"
    weights: str | None = None
    model_dir: str | None = None
    device: str = "auto"
    threads: int | None = None
    cache_mb: int = 256
    max_image_pixels: int = 64_000_000
    max_image_mb: int = 64
    image_cache_mb: int = 4096
    images: str | None = None
    scratch_dir: str | None = None
    replicas: int = 1
    max_replicas: int | None = None
    busy_calls: float = 16.0
    grow_after_s: float = 10.0
    shrink_after_s: float = 300.0
    cpus: float = 1.0
    gpus: float = 0.0
    routing: str = "hash"

    def __post_init__(self) -> None:
        for name, least in (
            ("cache_mb", 1),
            ("max_image_pixels", 1),
            ("max_image_mb", 1),
            ("image_cache_mb", 1),
            ("replicas", 1),
            ("busy_calls", 1),
            ("grow_after_s", 0),
            ("shrink_after_s", 0),
            ("cpus", 0),
            ("gpus", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(f"`{name}` must be at least {least}; got {getattr(self, name)}")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise InputError(
                f"`max_replicas` must be at least `replicas`, {self.replicas}; "
                f"got {self.max_replicas}"
            )
        if self.routing not in ("hash", "default"):
            raise InputError(f"`routing` must be `hash` or `default`; got {self.routing!r}")

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> ReplicaSettings:
        """Return the settings that a Serve config file or command line gives.

        Args:
            args: Field to value; values from a command line are text.

        Raises:
            InputError: A field is not known, or its value is not what it must be.
        """
        known = {field.name for field in msgspec.structs.fields(cls)}
        for name in args:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                raise InputError(f"`{name}` is not an argument of the cluster's worker{hint}")
        try:
            return msgspec.convert(dict(args), cls, strict=False)
        except msgspec.ValidationError as error:
            raise InputError(f"an argument of the cluster's worker is wrong: {error}") from error

    def worker(self) -> WorkerSettings:
        """Return the settings of the worker process inside a replica."""
        return WorkerSettings(
            model=self.model,
            weights=self.weights,
            model_dir=self.model_dir,
            device=self.device,
            threads=self.threads,
            cache_bytes=self.cache_mb << 20,
            max_pixels=self.max_image_pixels,
        )
