"""A function applied to many items in several processes; the results keep their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

import cv2

from remask_core.errors import InputError, Unavailable

__all__ = ["map_in_order"]

_Shared = TypeVar("_Shared")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_ALONE = 8
"""Items that are done here before a process is started: starting one costs as much."""
_AHEAD = 3
"""Items per process that may be under way or done and not fetched."""


def map_in_order(
    function: Callable[[_Shared, _Item], _Result],
    items: Iterable[_Item],
    *,
    shared: _Shared,
    processes: int,
) -> Iterator[_Result]:
    """Yield `function(shared, item)` for each item, in the order of the items.

    Few items are held at a time, so that memory does not grow with their number. An item should be
    worth some 30 ms; the first few are done here, and if those are all, no process is started.

    Args:
        function: At the top of a module, so that another process can find it.
        items: Read from the calling thread, as they are needed.
        shared: What every call gets; sent to each process once.
        processes: How many; 1 is this one. Others import the caller's main module, so a script
            that asks for them keeps its own work under `if __name__ == "__main__"`.

    Raises:
        InputError: `processes` is below 1.
        Unavailable: A process died.
    """
    if processes < 1:
        raise InputError(f"`processes` must be at least 1; got {processes}")
    todo = iter(items)
    for item in todo if processes == 1 else islice(todo, _ALONE):
        yield function(shared, item)
    # Not forked: threads of the caller (a progress bar) may hold locks. None is started before
    # something is handed in.
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_keep, initargs=(function, shared)
    )
    waiting: deque[Future[_Result]] = deque()
    try:
        while True:
            for item in islice(todo, _AHEAD * processes - len(waiting)):
                waiting.append(pool.submit(_call, item))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise Unavailable("a process died; was memory short? Try fewer of them") from error
    finally:
        pool.shutdown(cancel_futures=True)


_kept: dict[str, Any] = {}
"""Function and first argument of a process of `map_in_order`; set once, when it starts."""


def _keep(function: Callable[..., Any], shared: object) -> None:
    # The processes are the parallelism.
    cv2.setNumThreads(1)
    _kept.update(function=function, shared=shared)


def _call(item: Any) -> Any:
    return _kept["function"](_kept["shared"], item)
