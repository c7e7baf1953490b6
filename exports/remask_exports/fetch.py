"""A project from Label Studio's API into a file as its own export is, page by page.

Label Studio's export builds the whole project in memory and starts anew when the connection
breaks. Pages are small, each is asked for again when it fails, and those that are there already
are not asked for again when the whole is started anew.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from remask_core.errors import InputError, Unavailable
from remask_label_studio.client import Connection

__all__ = ["fetch"]


class _Page(msgspec.Struct):
    """A page as it is kept; the tasks stay as they were written."""

    total: int
    ids: list[int]
    tasks: list[msgspec.Raw]


_PAGE = msgspec.json.Decoder(_Page)


def fetch(
    connection: Connection,
    project_id: int,
    *,
    out: Path,
    page_size: int = 100,
    attempts: int = 6,
    wait: Callable[[float], None] = time.sleep,
    on_page: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Write every task of a project with its annotations to `out`, and return how many.

    Args:
        connection: To Label Studio.
        project_id: Label Studio's number.
        out: JSON file, one array of tasks. It appears when it is complete; what has been fetched
            before an interruption lies in a hidden folder beside it, and is used the next time.
        page_size: Tasks in a page.
        attempts: How often a page is asked for before giving up; the pauses between are 1, 2, 4 ...
            seconds.
        wait: Waits for so many seconds.
        on_page: Called with the tasks so far and in all.

    Raises:
        NotFound: There is no such project.
        InputError: Label Studio refuses the request, or `out` cannot be written.
        Unavailable: Label Studio does not answer, or tasks came and went while they were fetched:
            the next call begins anew.
    """
    parts = out.with_name(f".{out.name}.project-{project_id}-by-{page_size}")
    whole = out.with_name(f".{out.name}.part")
    try:
        parts.mkdir(parents=True, exist_ok=True)
        seen: set[int] = set()
        number, total = 1, 1
        while len(seen) < total:
            path = parts / f"{number:06}.json"
            if not path.exists():
                asked = {"page": number, "page_size": page_size}
                tasks, total = _patiently(connection, project_id, asked, attempts, wait)
                _keep(path, tasks, total)
            page = _PAGE.decode(path.read_bytes())
            fresh = set(page.ids) - seen
            if len(fresh) < len(page.ids) or (not fresh and page.total > len(seen)):
                shutil.rmtree(parts)
                raise Unavailable(
                    f"project {project_id} must not gain or lose tasks while it is fetched; "
                    "fetch it again"
                )
            seen |= fresh
            total = page.total
            number += 1
            on_page(len(seen), total)
        _assemble(whole, [parts / f"{n:06}.json" for n in range(1, number)])
        whole.replace(out)
        shutil.rmtree(parts)
    except OSError as error:
        raise InputError(f"`out` must be writable: {error}") from error
    return len(seen)


def _patiently(
    connection: Connection,
    project_id: int,
    asked: dict[str, int],
    attempts: int,
    wait: Callable[[float], None],
) -> tuple[list[dict[str, Any]], int]:
    for attempt in range(attempts):
        try:
            return connection.task_page(project_id, **asked)
        except Unavailable:
            if attempt == attempts - 1:
                raise
            wait(2.0**attempt)
    raise AssertionError("unreachable")


def _keep(path: Path, tasks: list[dict[str, Any]], total: int) -> None:
    row = {"total": total, "ids": [task["id"] for task in tasks], "tasks": tasks}
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(row))
    part.replace(path)


def _assemble(whole: Path, pages: list[Path]) -> None:
    """Join the pages' tasks into one array; one page is in memory at a time."""
    with whole.open("wb") as file:
        file.write(b"[")
        first = True
        for path in pages:
            for task in _PAGE.decode(path.read_bytes()).tasks:
                file.write(bytes(task) if first else b",\n" + bytes(task))
                first = False
        file.write(b"]\n")
