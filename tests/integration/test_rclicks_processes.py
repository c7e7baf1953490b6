"""Realistic clicks in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_data import write_folder

from remask_clicks.benchmark import Crowd, RclicksRow
from remask_clicks.sources import ClickSource
from remask_clicks.study import (
    study_rclicks,
)
from remask_evaluation.interactive.studies import (
    Setting,
)
from remask_evaluation.trials import read_rows


@contextmanager
def unwatched(total: int) -> Iterator[Callable[[], None]]:
    yield lambda: None


def rows(data: Path, out: Path, *, jobs: int) -> dict[str, RclicksRow]:
    setting = Setting(
        data=(data,),
        models=("remask_bench.checkable:load_checkable",),
        out=out,
        jobs=jobs,
        pictured=0,
    )
    study_rclicks(setting, Crowd(ClickSource(), rounds=3, groups=4), watch=unwatched)
    return {row.key: row for row in read_rows(out / "rows.jsonl", RclicksRow)}


def test_the_number_of_processes_does_not_change_a_click(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "tiny")

    assert rows(data, tmp_path / "one", jobs=1) == rows(data, tmp_path / "two", jobs=2)
