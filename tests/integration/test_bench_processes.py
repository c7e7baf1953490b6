"""Benchmarks in several processes, and the load driver on a real service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_data import write_folder

from remask_bench.service import measure_service
from remask_evaluation.interactive.noc import NocRow
from remask_evaluation.interactive.studies import Setting, study_noc
from remask_evaluation.trials import read_rows


@contextmanager
def unwatched(total: int) -> Iterator[Callable[[], None]]:
    yield lambda: None


def curves(data: Path, out: Path, *, jobs: int) -> dict[str, list[float]]:
    setting = Setting(
        data=(data,),
        models=("remask_bench.checkable:load_checkable",),
        out=out,
        jobs=jobs,
        pictured=0,
    )
    study_noc(setting, watch=unwatched)
    return {row.key: row.ious for row in read_rows(out / "rows.jsonl", NocRow)}


def test_the_number_of_processes_does_not_change_a_result(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "tiny")

    alone = curves(data, tmp_path / "one", jobs=1)
    shared = curves(data, tmp_path / "two", jobs=2)

    assert alone == shared


def test_a_crowd_is_answered_rightly_though_the_worker_is_killed(tmp_path: Path) -> None:
    rows = measure_service(tmp_path, clients=8, images=4, requests=160, kill=True)

    assert sum(row.wrong for row in rows) == 0
    assert sum(row.failed for row in rows) == 0
    crowd = [row for row in rows if row.situation == "8 clients, worker killed"]
    assert {row.kind for row in crowd} == {"box", "click", "click on a box", "health"}
    assert sum(row.requests for row in crowd if row.kind != "health") >= 160
