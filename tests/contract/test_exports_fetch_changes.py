"""Fetching a project in which people go on working, from a Label Studio in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from remask_core.errors import NotFound, Unavailable
from remask_exports.fetch import fetch

CONFIG = '<View><Image name="image" value="$image"/></View>'


class BusyStudio:
    """Tasks with a time of change; `meddle` is called before each answer with its number."""

    def __init__(self, n: int, meddle: Callable[[BusyStudio, int], None]) -> None:
        self.clock = 0
        self.calls = 0
        self.meddle = meddle
        self.tasks: dict[int, dict[str, Any]] = {}
        for number in range(1, n + 1):
            self.put(number)

    def put(self, number: int, **more: Any) -> None:
        self.clock += 1
        task = {
            "id": number,
            "data": {"image": f"{number}.jpg"},
            "annotations": [{"id": number}],
            "total_annotations": 1,
            "updated_at": f"t{self.clock}",
        }
        self.tasks[number] = self.tasks.get(number, task) | {"updated_at": f"t{self.clock}"} | more

    def task_page(self, project_id: int, *, page: int, page_size: int) -> tuple[list[Any], int]:
        self.calls += 1
        self.meddle(self, self.calls)
        listed = [self.tasks[number] for number in sorted(self.tasks)]
        some = listed[(page - 1) * page_size : page * page_size]
        if not some and page > 1:
            raise NotFound("no such page")
        return json.loads(json.dumps(some)), len(listed)

    def task_states(self, project_id: int, *, page: int, page_size: int) -> tuple[list[Any], int]:
        return self.task_page(project_id, page=page, page_size=2)

    def label_config(self, project_id: int) -> str:
        return CONFIG

    def now(self) -> list[dict[str, Any]]:
        return [self.tasks[number] for number in sorted(self.tasks)]


def fetched(studio: BusyStudio, out: Path, **more: Any) -> list[dict[str, Any]]:
    count = fetch(studio, 1, out=out, page_size=3, wait=lambda _s: None, **more)
    tasks: list[dict[str, Any]] = json.loads(out.read_text())
    assert count == len(tasks)
    return tasks


def changes() -> Iterator[tuple[str, Callable[[BusyStudio], None]]]:
    yield "deleted", lambda studio: studio.tasks.pop(2)
    yield "deleted and added", lambda studio: (studio.tasks.pop(2), studio.put(99))
    yield "added", lambda studio: studio.put(99)
    yield "withdrawn", lambda studio: studio.put(1, annotations=[], total_annotations=0)
    yield "changed", lambda studio: studio.put(3, annotations=[{"id": 3, "result": [1]}])
    yield "nearly all deleted", lambda studio: [studio.tasks.pop(n) for n in list(studio.tasks)[1:]]
    yield "all deleted", lambda studio: studio.tasks.clear()


@pytest.mark.parametrize(("kind", "change"), list(changes()))
def test_whenever_something_changes_the_file_is_what_label_studio_holds(
    kind: str, change: Callable[[BusyStudio], Any], tmp_path: Path
) -> None:
    for when in range(1, 16):

        def meddle(studio: BusyStudio, call: int, when: int = when) -> None:
            if call == when:
                change(studio)

        studio = BusyStudio(7, meddle)
        before = json.loads(json.dumps(studio.now()))
        tasks = fetched(studio, tmp_path / f"{when}.json")

        # The last list is read from call 8 on; what changes after its first page is later than the
        # moment that the file shows.
        assert tasks in (studio.now(), before), (kind, when)
        assert when >= 9 or tasks == studio.now(), (kind, when)
        assert CONFIG == (tmp_path / f"{when}.config.xml").read_text()


def test_two_changes_that_hide_each_other_in_the_counts_are_found(tmp_path: Path) -> None:
    def meddle(studio: BusyStudio, call: int) -> None:
        # The first list takes four calls; a task goes and one comes between the pages.
        if call == 6:
            studio.tasks.pop(1)
            studio.put(50)
        if call == 7:
            studio.put(2, annotations=[{"id": 2, "result": ["late"]}])

    studio = BusyStudio(7, meddle)
    told: list[int] = []

    assert studio.now() != fetched(studio, tmp_path / "a.json", on_change=told.append)[:-1]
    assert studio.now() == json.loads((tmp_path / "a.json").read_text())
    assert [2] == told


def test_a_resumed_fetch_takes_nothing_that_has_changed_since(tmp_path: Path) -> None:
    def stop(studio: BusyStudio, call: int) -> None:
        if call == 7:
            raise Unavailable("gone")

    out = tmp_path / "a.json"
    studio = BusyStudio(9, stop)
    with suppress(Unavailable):
        fetched(studio, out, attempts=1)
    assert not out.exists()
    studio.meddle = lambda _studio, _call: None
    studio.tasks.pop(1)
    studio.put(3, annotations=[], total_annotations=0)

    assert studio.now() == fetched(studio, out)
    assert [] == [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_pages_of_another_version_are_not_used(tmp_path: Path) -> None:
    folder = tmp_path / ".a.json.project-1-by-3"
    folder.mkdir()
    (folder / "000001.json").write_text('{"total": 7, "ids": [1], "tasks": [{"id": 1}]}')
    studio = BusyStudio(7, lambda _studio, _call: None)

    assert studio.now() == fetched(studio, tmp_path / "a.json")


def test_a_project_that_never_holds_still_is_said_to_be_one(tmp_path: Path) -> None:
    def meddle(studio: BusyStudio, call: int) -> None:
        studio.put(1)

    with pytest.raises(Unavailable, match="hold still"):
        fetched(BusyStudio(7, meddle), tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()
