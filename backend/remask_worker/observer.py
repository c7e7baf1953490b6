"""What a loop reports to its host: counts, and what it is about to start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

__all__ = ["LoopStats", "NullObserver", "Observer"]


class LoopStats(NamedTuple):
    """Counts of a loop; taken without waiting for it.

    Attributes:
        queued: Calls waiting, per lane.
        embeddings: Images in the memory cache.
        embedding_bytes: Bytes that they take.
        embedded: Images encoded since the start.
        step_s: Seconds since the step under way began; 0 when idle.
    """

    queued: dict[str, int]
    embeddings: int
    embedding_bytes: int
    embedded: int
    step_s: float


class Observer(Protocol):
    """Called in the loop's thread before the loop does something."""

    def embedding(self, image_ids: Sequence[str]) -> None:
        """These images are being encoded now, the outermost first; none if empty."""

    def starting(self, keys: Sequence[bytes]) -> None:
        """The calls with these identities are given to the model now."""


class NullObserver:
    """An observer that ignores everything."""

    def embedding(self, image_ids: Sequence[str]) -> None:
        """Do nothing."""

    def starting(self, keys: Sequence[bytes]) -> None:
        """Do nothing."""
