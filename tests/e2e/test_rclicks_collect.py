"""Collecting clicks in the real editor: the object is shown for a while, then one click counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench_data import write_folder
from e2e.editor import Editor
from studio import Studio

from remask_clicks.collect import collect, write_tasks
from remask_clicks.display import DisplayMode
from remask_evaluation.datasets import open_set
from remask_label_config.pages.first_clicks import given_clicks

MIDDLES = {"tiny/0-1": (25, 20), "tiny/1-1": (50, 35), "tiny/2-1": (40, 30)}


def covers_at(editor: Editor, share: float) -> tuple[bool, bool]:
    """Whether the object is shown and clicks are kept off, that share into the page's sequence.

    The sequence is halted there: a machine that is busy for a second would miss parts of it.
    """
    shown, wait = editor.page.evaluate(
        """share => ['.shown', '.wait'].map(cover => {
          const found = document.querySelector(cover);
          const [sequence] = found.getAnimations();
          sequence.pause();
          sequence.currentTime = share * sequence.effect.getComputedTiming().duration;
          return getComputedStyle(found).visibility === 'visible';
        })""",
        share,
    )
    return shown, wait


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
        sequence = [covers_at(editor, share) for share in (0, 0.5, 0.9, 1)]
        assert [(False, True), (True, True), (False, True), (False, False)] == sequence
        x, y = MIDDLES[editor.task_data()["object"]]
        editor.point(x + 0.5, y + 0.5)
        editor.press(3, 3)
        assert len(editor.regions()) == 1
        if number + 1 < len(tasks):
            editor.submit_and_go_on()
        else:
            editor.submit()

    found = collect(given_clicks(json.dumps(connection.export_tasks(project)).encode()), instances)
    assert found.rejected == {}
    assert {(click.x, click.y) for click in found.clicks} == set(MIDDLES.values())
