"""Settings of one worker: the model, its caches and its limits."""

from __future__ import annotations

import msgspec

__all__ = ["WorkerSettings"]


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one worker; sent to the child as its first message.

    Attributes:
        model: A name of `remask_models.registry`, or `package.module:factory`.
        weights: Path of the weights file; None looks it up in `model_dir`.
        model_dir: Folder of weights; None is the user's data folder.
        device: `cpu`, `cuda`, `cuda:1` …
        threads: CPU threads of the model's arithmetic; None leaves it to the libraries.
        cache_bytes: Bound of the embeddings kept in memory. The newest is kept whatever its size,
            or a click would never find its own image.
        logits_bytes: Bound of the logits kept per history (256 KiB each for Segment Anything).
        answers_bytes: Bound of encoded answers kept to answer an equal call at once.
        spill_dir: Folder where embeddings outlive the worker; None keeps them in memory only.
        spill_bytes: Bound of that folder.
        max_pixels: Larger images are refused before they are decoded.
        max_batch: Prompts of one image given to the model in one call. Nothing can interrupt such
            a call, so it is also what a click may have to wait for.
        max_embeds: Forward passes of the encoder that may be under way at once, one interrupting
            the other; each keeps its activations in the device's memory.
        batch_share: Part of the device's time that batch work gets however many clicks come.
        lane_limits: Calls that may wait per lane (click, opened, batch); more are refused.
        step_limit_s: A step of work that takes longer counts as hung, and the child is killed.
        silence_limit_s: A child that has loaded its model and sends no heartbeat for so long is
            frozen, and killed. Less than the 20 s a click may take, so that its successor can
            answer; more than any library keeps the interpreter's lock.
        load_limit_s: The same for loading the model.
    """

    model: str
    weights: str | None = None
    model_dir: str | None = None
    device: str = "cpu"
    threads: int | None = None
    cache_bytes: int = 256 << 20
    logits_bytes: int = 64 << 20
    answers_bytes: int = 16 << 20
    spill_dir: str | None = None
    spill_bytes: int = 4 << 30
    max_pixels: int = 64_000_000
    max_batch: int = 8
    max_embeds: int = 3
    batch_share: float = 0.1
    lane_limits: tuple[int, int, int] = (256, 256, 64)
    step_limit_s: float = 30.0
    silence_limit_s: float = 8.0
    load_limit_s: float = 600.0
