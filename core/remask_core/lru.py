"""A cache bounded in bytes: what was used longest ago leaves first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["ByteLru"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteLru(Generic[K, V]):
    """A mapping that forgets; the newest entry is kept even if it alone exceeds the bound.

    Not thread-safe: it belongs to one thread, or to whoever holds its owner's lock. Reading
    `nbytes` and `len` from elsewhere is harmless.
    """

    def __init__(self, max_bytes: int, *, size_of: Callable[[V], int]) -> None:
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return the value and count it as used; None if it is not here."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep `value`, and drop what no longer fits."""
        old = self._entries.pop(key, None)
        if old is not None:
            self.nbytes -= self._size_of(old)
        self._entries[key] = value
        self.nbytes += self._size_of(value)
        while self.nbytes > self._max_bytes and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self.nbytes -= self._size_of(dropped)
