"""Collecting clicks in the real editor: the object is shown for a while, then one click counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench_data import write_folder
from e2e.editor import Editor
from studio import Studio

from remask_bench.datasets import open_set
from remask_bench.rclicks_collect import collect, write_tasks
from remask_bench.rclicks_display import DisplayMode
from remask_label_config.clicks import given_clicks

MIDDLES = {"tiny/0-1": (25, 20), "tiny/1-1": (50, 35), "tiny/2-1": (40, 30)}


def wait_for(editor: Editor, cover: str, visibility: str) -> None:
    """Wait until a cover of the picture is hidden or visible, as its animation has it."""
    editor.page.wait_for_function(
        """([cover, wanted]) => {
          const found = document.querySelector(cover);
          return found && getComputedStyle(found).visibility === wanted;
        }""",
        arg=[cover, visibility],
    )


@pytest.mark.parametrize("mode", [DisplayMode.cutout, DisplayMode.text])
def test_each_task_shows_its_object_and_then_takes_one_click(
    studio: Studio, editor: Editor, tmp_path: Path, mode: DisplayMode
) -> None:
    instances = open_set(write_folder(tmp_path / "tiny"))
    folder = studio.files_root / f"clicks-{mode.value}"
    tasks = write_tasks(
        instances,
        folder,
        mode=mode,
        url=f"/data/local-files/?d={folder.name}/",
        rng=np.random.default_rng(0),
        words={instance.key: "the red ellipse" for instance in instances},
    )
    connection = studio.connection
    project = connection.create_project(
        f"clicks {mode.value}", label_config=(folder / "config.xml").read_text()
    )
    connection.serve_folder(project, folder)
    given = [task["data"] for task in json.loads((folder / "tasks.json").read_text())]
    connection.import_tasks(project, given)

    editor.open_stream(project)
    for number in range(len(tasks)):
        wait_for(editor, ".shown", "visible")
        wait_for(editor, ".shown", "hidden")
        wait_for(editor, ".wait", "hidden")
        task_id = editor.task_id()
        x, y = MIDDLES[json.loads(editor._read("JSON.stringify(store.task.dataObj)"))["object"]]
        editor._press(x + 0.5, y + 0.5, keys=[])
        editor._press(3, 3, keys=[])
        assert len(editor.regions()) == 1
        editor.submit()
        if number + 1 < len(tasks):
            editor._wait_for(f"store.task && String(store.task.id) !== '{task_id}'")

    found = collect(given_clicks(json.dumps(connection.export_tasks(project)).encode()), instances)
    assert found.rejected == {}
    assert {(click.x, click.y) for click in found.clicks} == set(MIDDLES.values())
