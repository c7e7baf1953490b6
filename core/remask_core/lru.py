"""A cache bounded in bytes: the least recently used entries leave first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["ByteLru"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _any_value(value: object) -> bool:
    return True


class ByteLru(Generic[K, V]):
    """A mapping whose values fit into a number of bytes. Safe for threads.

    The newest entry is kept even if it alone exceeds the bound.

    Args:
        max_bytes: Bound on the sum of the values' sizes.
        size_of: Returns the bytes that a value takes; they must not change while it is here.
    """

    def __init__(self, max_bytes: int, *, size_of: Callable[[V], int]) -> None:
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return the value and count it as used; None if it is not here."""
        with self._lock:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def put(self, key: K, value: V, *, may_drop: Callable[[V], bool] = _any_value) -> list[K]:
        """Keep `value` under `key`; return the keys of the entries that left to make room.

        Args:
            key: Its former value is replaced.
            value: Not None.
            may_drop: Whether the least recently used value may leave. If not, everything stays
                and the bound is exceeded.
        """
        dropped: list[K] = []
        with self._lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self.nbytes -= self._size_of(old)
            self._entries[key] = value
            self.nbytes += self._size_of(value)
            while self.nbytes > self._max_bytes and len(self._entries) > 1:
                oldest = next(iter(self._entries))
                if not may_drop(self._entries[oldest]):
                    break
                self.nbytes -= self._size_of(self._entries.pop(oldest))
                dropped.append(oldest)
        return dropped
