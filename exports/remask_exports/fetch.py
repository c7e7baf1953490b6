"""Fetching a project from Label Studio into one file, as Label Studio held it at one moment.

Label Studio's own export builds the whole project in memory and starts anew when the connection
breaks. Here pages are fetched one by one and kept in a hidden folder, each is asked for again when
it fails, and a later call goes on with the pages that are there.

Work goes on while pages are fetched: a task that is deleted moves all later ones up, so that one of
them is on no page, and an answer can be withdrawn after its page was read. Therefore the states of
all tasks, that is their ids and times of change, are listed before the pages and again after them.
Tasks that the list shows as new or changed are fetched again, tasks that it does not show are
dropped, and only when a list agrees with all that was fetched before it, the file is written. It
then holds what Label Studio held when that list was begun: everything was read before, and nothing
has changed since.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import msgspec

from remask_core.errors import InputError, NotFound, Unavailable, WrongState
from remask_exports.image_keys import config_beside
from remask_storage.campaign_store import CampaignStore

__all__ = ["TaskSource", "fetch", "fetched_results"]

_STATES_AT_ONCE = 1000
_PAGES_IN_MEMORY = 4

_Page = tuple[list[dict[str, Any]], int]
_Answer = TypeVar("_Answer")


class TaskSource(Protocol):
    """What is asked of Label Studio; see `remask_label_studio.api.LabelStudioApi`."""

    def task_page(self, project_id: int, *, page: int, page_size: int) -> _Page:
        """Return a page of tasks with their annotations, and how many tasks there are."""

    def task_states(self, project_id: int, *, page: int, page_size: int) -> _Page:
        """Return a page of tasks without their annotations, and how many tasks there are."""

    def label_config(self, project_id: int) -> str:
        """Return the labelling configuration, XML."""


def fetch(
    connection: TaskSource,
    project_id: int,
    *,
    out: Path,
    page_size: int = 100,
    attempts: int = 6,
    passes: int = 8,
    wait: Callable[[float], None] = time.sleep,
    on_page: Callable[[int, int], None] = lambda _done, _total: None,
    on_change: Callable[[int], None] = lambda _tasks: None,
) -> int:
    """Write every task of a project with its annotations to `out`, and return how many.

    The labelling configuration is written beside it; see `config_beside`.

    Args:
        connection: To Label Studio.
        project_id: Label Studio's number.
        out: JSON file, one array of tasks. It appears when it is complete; what has been fetched
            before an interruption lies in a hidden folder beside it, and is used the next time as
            far as it has not changed.
        page_size: Tasks in a page.
        attempts: How often a page is asked for before giving up; the pauses between are 1, 2, 4 ...
            seconds.
        passes: How often tasks that have changed meanwhile are fetched again before giving up.
        wait: Waits for so many seconds.
        on_page: Called with the tasks so far and in all.
        on_change: Called with the number of tasks that were changed or deleted since they were
            fetched.

    Raises:
        NotFound: There is no such project.
        InputError: Label Studio refuses the request, or `out` cannot be written.
        Unavailable: Label Studio does not answer, or the project did not hold still in any of the
            passes.
    """

    folder = out.with_name(f".{out.name}.project-{project_id}-by-{page_size}")
    whole = out.with_name(f".{out.name}.part")
    ask = _Asker(project_id, attempts, wait)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = _KeptTasks(folder)
        for _ in range(passes):
            states = _list_states(ask, connection)
            if states is None:
                continue
            changed = kept.drop_outdated(states)
            missing = [place for place, task in enumerate(states) if task not in kept.states]
            if not missing:
                break
            if changed:
                on_change(changed)
            for page in sorted({place // page_size + 1 for place in missing}):
                try:
                    tasks, _ = ask(connection.task_page, page=page, page_size=page_size)
                except NotFound:
                    # So many tasks were deleted that there is no such page any more.
                    break
                kept.add(tasks)
                on_page(len(kept.states), max(len(states), len(kept.states)))
        else:
            raise Unavailable(
                f"project {project_id} must hold still while it is fetched; it changed in each of "
                f"{passes} passes and nothing is written; fetch it again"
            )
        config = ask(connection.label_config)
        _write(whole, kept.read(states))
        config_beside(out).write_text(config, encoding="utf-8")
        whole.replace(out)
        shutil.rmtree(folder)
    except OSError as error:
        raise InputError(f"`out` must be writable: {error}") from error
    return len(states)


@contextmanager
def fetched_results(
    store: CampaignStore,
    connection: TaskSource,
    name: str,
    *,
    on_page: Callable[[int, int], None] = lambda _done, _total: None,
    on_change: Callable[[int], None] = lambda _tasks: None,
) -> Iterator[Path]:
    """Give an export of a campaign's masks, fetched from Label Studio; deleted at the end.

    Args:
        store: Where the campaign is kept.
        connection: To Label Studio.
        name: Of the campaign.
        on_page: See `fetch`.
        on_change: See `fetch`.

    Raises:
        NotFound: There is no such campaign.
        WrongState: The campaign has no results yet.
        Unavailable: As `fetch`.
    """
    project = store.campaign(name).results_project
    if project is None:
        raise WrongState(
            f"campaign `{name}` must be through its rounds to be exported; it has no results yet, "
            f"and `remask campaign status {name}` says what is to be done"
        )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "masks.json"
        fetch(connection, project, out=path, on_page=on_page, on_change=on_change)
        yield path


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks Label Studio again where it does not answer."""

    project_id: int
    attempts: int
    wait: Callable[[float], None]

    def __call__(self, ask: Callable[..., _Answer], **asked: int) -> _Answer:
        for attempt in range(self.attempts):
            try:
                return ask(self.project_id, **asked)
            except Unavailable:
                if attempt == self.attempts - 1:
                    raise
                self.wait(2.0**attempt)
        raise InputError(f"`attempts` must be at least 1; got {self.attempts}")


class _KeptPage(msgspec.Struct):
    """A page in the hidden folder; the tasks stay as they were written."""

    states: list[tuple[int, str]]
    tasks: list[msgspec.Raw]


_KEPT_PAGE = msgspec.json.Decoder(_KeptPage)


class _KeptTasks:
    """The tasks of all pages in a folder; of a task that is there several times, the newest."""

    def __init__(self, folder: Path) -> None:
        self.states: dict[int, str] = {}
        self._folder = folder
        self._files: dict[int, Path] = {}
        self._last = 0
        for path in sorted(folder.glob("*.json")):
            try:
                page = _KEPT_PAGE.decode(path.read_bytes())
            except msgspec.DecodeError:
                # Of another version of remask.
                path.unlink()
                continue
            self._note(path, page)

    def add(self, tasks: list[dict[str, Any]]) -> None:
        """Keep a page."""
        path = self._folder / f"{self._last + 1:06}.json"
        page = {"states": [(task["id"], _state(task)) for task in tasks], "tasks": tasks}
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(page))
        part.replace(path)
        self._note(path, _KEPT_PAGE.decode(path.read_bytes()))

    def drop_outdated(self, states: Mapping[int, str]) -> int:
        """Forget the tasks that are not in these states any more; return how many there were."""
        outdated = [task for task, state in self.states.items() if states.get(task) != state]
        for task in outdated:
            del self.states[task]
            del self._files[task]
        return len(outdated)

    def read(self, wanted: Iterable[int]) -> Iterator[bytes]:
        """Yield the tasks with these ids as JSON; a few pages are in memory at a time."""
        pages: dict[Path, dict[int, msgspec.Raw]] = {}
        for task in wanted:
            path = self._files[task]
            if path not in pages:
                if len(pages) == _PAGES_IN_MEMORY:
                    del pages[next(iter(pages))]
                page = _KEPT_PAGE.decode(path.read_bytes())
                ids = (number for number, _ in page.states)
                pages[path] = dict(zip(ids, page.tasks, strict=True))
            yield bytes(pages[path][task])

    def _note(self, path: Path, page: _KeptPage) -> None:
        self._last = int(path.stem)
        for task, state in page.states:
            self.states[task], self._files[task] = state, path


def _list_states(ask: _Asker, connection: TaskSource) -> dict[int, str] | None:
    """Return each task's state in the order of the ids; None if tasks came or went meanwhile."""
    states: dict[int, str] = {}
    totals = set()
    number = 0
    while True:
        number += 1
        try:
            tasks, total = ask(connection.task_states, page=number, page_size=_STATES_AT_ONCE)
        except NotFound:
            if number == 1:
                raise
            return None
        before = len(states)
        states.update((task["id"], _state(task)) for task in tasks)
        totals.add(total)
        if len(totals) > 1 or len(states) < before + len(tasks):
            return None
        if len(states) >= total or not tasks:
            return dict(sorted(states.items())) if len(states) == total else None


def _state(task: Mapping[str, Any]) -> str:
    """Return a text that differs whenever the task or its annotations have changed."""
    named = ("updated_at", "total_annotations", "cancelled_annotations")
    return " ".join(str(task.get(name)) for name in named)


def _write(path: Path, tasks: Iterable[bytes]) -> None:
    """Write tasks as one JSON array."""
    with path.open("wb") as file:
        file.write(b"[")
        for number, task in enumerate(tasks):
            file.write(b",\n" + task if number else task)
        file.write(b"]\n")
