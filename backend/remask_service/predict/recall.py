"""A memory of recent answers, bounded in bytes; losing it costs time and changes no answer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Recall"]

_Key = TypeVar("_Key", bound=Hashable)
_Kept = TypeVar("_Kept")


class Recall(Generic[_Key, _Kept]):
    """The most recently used values, as many as fit into `max_bytes`. Safe for threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[_Key, tuple[_Kept, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key) -> _Kept | None:
        """Return the value kept under `key`, or None."""
        with self._lock:
            entry = self._kept.get(key)
            if entry is None:
                return None
            self._kept.move_to_end(key)
            return entry[0]

    def put(self, key: _Key, value: _Kept, *, nbytes: int) -> None:
        """Keep `value`, which takes about `nbytes`, in place of the least recently used ones."""
        with self._lock:
            old = self._kept.pop(key, None)
            if old is not None:
                self._bytes -= old[1]
            self._kept[key] = (value, nbytes)
            self._bytes += nbytes
            while self._bytes > self._max_bytes and self._kept:
                self._bytes -= self._kept.popitem(last=False)[1][1]
