"""A project fetched from the real Label Studio, page by page, and exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ls_export import click_region, mask_region
from ports import free_port

from remask_cli.demo.label_studio import (
    Account,
    create_access_token,
    find_label_studio,
    log_in,
    start_label_studio,
)
from remask_cli.demo.programs import HOST
from remask_core.errors import NotFound, Unavailable
from remask_core.rle_coco import decode_coco_rle
from remask_exports.export import export
from remask_exports.fetch import fetch
from remask_exports.formats.coco import COCO
from remask_label_config.pages.live import write_labelling_config
from remask_label_studio.client import Connection, connect

# Label Studio alone takes a minute to start on a busy machine.
pytestmark = pytest.mark.timeout(400)

ACCOUNT = Account(email="manager@example.com", password="a-long-password")


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    try:
        program = find_label_studio(None)
    except NotFound as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("label-studio")
    (folder / "files").mkdir()
    port = free_port()
    with start_label_studio(
        program,
        port=port,
        data_dir=folder / "data",
        files_root=folder / "files",
        account=ACCOUNT,
    ):
        with log_in(f"http://{HOST}:{port}", ACCOUNT) as session:
            api_key = create_access_token(session)
        with connect(f"http://{HOST}:{port}", api_key) as opened:
            yield opened


def disk(number: int) -> np.ndarray:
    rows, columns = np.mgrid[:48, :64]
    return (columns - 10 - 4 * number) ** 2 + (rows - 20) ** 2 <= 64


@pytest.fixture(scope="module")
def project(connection: Connection) -> int:
    """Seven tasks; each has an annotation but the last."""
    number = connection.create_project("Discs", label_config=write_labelling_config(["Cat"]))
    data = [{"image": f"/data/local-files/?d=images/{n}.jpg"} for n in range(7)]
    for n, task_id in enumerate(connection.import_tasks(number, data)[:-1]):
        result = [mask_region("m", disk(n)), click_region("c", "m", 25, 50, n=0, positive=False)]
        connection.client.annotations.create(id=task_id, result=result, lead_time=4.0)
    return number


@contextmanager
def counted(connection: Connection, fail: Any) -> Iterator[tuple[Any, list[int]]]:
    """A connection that says which pages were asked for, and fails where it is told."""
    asked: list[int] = []

    class Counted:
        def task_page(self, project_id: int, *, page: int, page_size: int) -> Any:
            asked.append(page)
            if fail(len(asked)):
                raise Unavailable("gone for a moment")
            return connection.task_page(project_id, page=page, page_size=page_size)

        task_states = connection.task_states
        label_config = connection.label_config

    yield Counted(), asked


def test_what_is_fetched_is_what_label_studio_exports(
    connection: Connection, project: int, tmp_path: Path
) -> None:
    count = fetch(connection, project, out=tmp_path / "export.json", page_size=3)
    ours = json.loads((tmp_path / "export.json").read_text())
    theirs = connection.export_tasks(project)

    assert count == 7
    assert [task["id"] for task in ours] == [task["id"] for task in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert our["data"] == their["data"]
        for annotation, other in zip(our["annotations"], their["annotations"], strict=True):
            for key in ("id", "result", "was_cancelled", "lead_time"):
                assert annotation[key] == other[key]
    names = ["export.config.xml", "export.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    config = (tmp_path / "export.config.xml").read_text(encoding="utf-8")
    assert config == connection.label_config(project)


def test_a_fetched_project_is_exported_pixel_by_pixel(
    connection: Connection, project: int, tmp_path: Path
) -> None:
    fetch(connection, project, out=tmp_path / "export.json")
    now = datetime(2026, 11, 21, tzinfo=timezone.utc)
    manifest = export(tmp_path / "export.json", COCO, out=tmp_path / "coco", now=now)
    rows = json.loads((tmp_path / "coco" / "instances.json").read_text())["annotations"]

    assert manifest.left_out == {"not-annotated": 1}
    for number, row in enumerate(rows):
        assert np.array_equal(decode_coco_rle(row["segmentation"]), disk(number))
        assert row["clicks"][0]["positive"] is False
        assert row["annotator"] == 1


def test_a_failing_page_is_asked_for_again(
    connection: Connection, project: int, tmp_path: Path
) -> None:
    pauses: list[float] = []
    with counted(connection, fail=lambda n: n in (2, 3)) as (moody, asked):
        fetch(moody, project, out=tmp_path / "export.json", page_size=3, wait=pauses.append)

    assert asked == [1, 2, 2, 2, 3]
    assert pauses == [1, 2]


def test_an_interrupted_fetch_goes_on_where_it_stopped(
    connection: Connection, project: int, tmp_path: Path
) -> None:
    out = tmp_path / "export.json"
    with (
        counted(connection, fail=lambda n: n > 2) as (gone, _),
        pytest.raises(Unavailable),
    ):
        fetch(gone, project, out=out, page_size=3, attempts=2, wait=lambda _s: None)
    assert not out.exists()
    with counted(connection, fail=lambda _n: False) as (back, asked):
        assert fetch(back, project, out=out, page_size=3) == 7

    assert asked == [3]


def test_what_changes_while_it_is_fetched_is_fetched_as_it_is_in_the_end(
    connection: Connection, tmp_path: Path
) -> None:
    """Between two pages a task is deleted, an answer withdrawn, one changed, and a task added."""
    number = connection.create_project("Busy", label_config=write_labelling_config(["Cat"]))
    data = [{"image": f"/data/local-files/?d=images/{n}.jpg"} for n in range(7)]
    tasks = connection.import_tasks(number, data)
    results = [[mask_region("m", disk(n))] for n in range(7)]
    answers = [
        connection.client.annotations.create(id=task, result=result).id
        for task, result in zip(tasks, results, strict=True)
    ]
    changed: list[int] = []

    def meddle(call: int) -> bool:
        if call == 2:
            connection.delete_task(tasks[0])
            connection.client.annotations.delete(id=answers[1])
            connection.client.annotations.update(id=answers[2], result=results[6])
            connection.import_tasks(number, data[:1])
        return False

    with counted(connection, fail=meddle) as (busy, _):
        count = fetch(
            busy, number, out=tmp_path / "export.json", page_size=3, on_change=changed.append
        )

    ours = json.loads((tmp_path / "export.json").read_text())
    theirs = connection.export_tasks(number)
    assert count == len(theirs) == 7
    assert sum(changed) >= 3
    assert [(task["id"], [a["result"] for a in task["annotations"]]) for task in ours] == [
        (task["id"], [a["result"] for a in task["annotations"]]) for task in theirs
    ]


def test_an_empty_project_and_a_missing_one(connection: Connection, tmp_path: Path) -> None:
    empty = connection.create_project("Empty", label_config=write_labelling_config(["Cat"]))

    assert fetch(connection, empty, out=tmp_path / "export.json") == 0
    assert json.loads((tmp_path / "export.json").read_text()) == []
    with pytest.raises(NotFound):
        fetch(connection, 999_999, out=tmp_path / "gone.json")
