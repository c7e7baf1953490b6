"""The whole benchmark on three tiny objects: resumed, repeatable, reported, and on the CLI."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench_data import write_folder
from typer.testing import CliRunner

from remask_cli.main import app
from remask_clicks.benchmark import BASE, Crowd, RclicksRow
from remask_clicks.click_file import MeasuredClick, write_clicks
from remask_clicks.sources import ClickSource
from remask_clicks.study import (
    study_rclicks,
)
from remask_core.errors import InputError
from remask_evaluation.datasets import open_set
from remask_evaluation.interactive.noc import FROM_CLICKS, MAX_CLICKS, NocRow
from remask_evaluation.interactive.studies import (
    Setting,
    study_noc,
)
from remask_evaluation.trials import read_rows

CHECKABLE = "remask_bench.checkable:load_checkable"


@contextmanager
def unwatched(total: int) -> Iterator[Callable[[], None]]:
    yield lambda: None


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny")


def study(
    data: Path, out: Path, *, source: str = "distance", **changes: object
) -> list[RclicksRow]:
    crowd = {"rounds": 3, "groups": 4} | {
        name: changes.pop(name) for name in ("rounds", "groups", "runs") if name in changes
    }
    setting = Setting(
        **{"data": (data,), "models": (CHECKABLE,), "out": out, "pictured": 0} | changes  # type: ignore[arg-type]
    )
    study_rclicks(setting, Crowd(ClickSource.parse(source), **crowd), watch=unwatched)  # type: ignore[arg-type]
    return read_rows(out / "rows.jsonl", RclicksRow)


def test_every_person_takes_every_object_through_all_clicks(data: Path, tmp_path: Path) -> None:
    rows = study(data, tmp_path / "out", runs=2)

    assert len(rows) == 3 * (1 + 4 * 2)
    assert all(len(row.ious) == 4 and row.ious[0] == 0.0 for row in rows)
    assert {row.clicks_from for row in rows if row.group == BASE} == {""}


def test_groups_click_where_they_are_said_to(data: Path, tmp_path: Path) -> None:
    rows = study(data, tmp_path / "out", limit=1)
    sample = open_set(data, limit=1)[0].load()

    firsts = {row.group: row.clicks[0] for row in rows}
    middle = firsts[BASE]

    def from_middle(group: int) -> float:
        return abs(firsts[group][0] - middle[0]) + abs(firsts[group][1] - middle[1])

    assert all(sample.truth[int(y), int(x)] for x, y, _ in firsts.values())
    assert from_middle(4) < from_middle(1)


def test_a_run_is_repeatable_and_another_seed_is_another_crowd(data: Path, tmp_path: Path) -> None:
    first = study(data, tmp_path / "a")
    again = study(data, tmp_path / "b")
    other = study(data, tmp_path / "c", seed=1)

    assert first == again
    assert [row.clicks for row in first] != [row.clicks for row in other]


def test_a_run_goes_on_where_it_stopped(data: Path, tmp_path: Path) -> None:
    whole = study(data, tmp_path / "out")
    lines = (tmp_path / "out/rows.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "out/rows.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:30])

    rows = study(data, tmp_path / "out")

    assert rows[:7] == whole[:7]
    assert {row.key: row for row in whole} == {row.key: row for row in rows}


def test_the_baseline_is_that_of_the_click_benchmark(data: Path, tmp_path: Path) -> None:
    rows = study(data, tmp_path / "out", rounds=MAX_CLICKS, groups=2)
    study_noc(
        Setting(data=(data,), models=(CHECKABLE,), out=tmp_path / "noc", pictured=0),
        watch=unwatched,
    )

    counted = read_rows(tmp_path / "noc/rows.jsonl", NocRow)
    assert {row.instance: row.ious for row in rows if row.group == BASE} == {
        row.instance: row.ious for row in counted if row.start == FROM_CLICKS
    }


def test_one_baseline_serves_every_source(data: Path, tmp_path: Path) -> None:
    study(data, tmp_path / "out")
    rows = study(data, tmp_path / "out", source="uniform")

    assert sum(row.group == BASE for row in rows) == 3
    assert {row.clicks_from for row in rows} == {"", "distance", "uniform"}


def test_measured_clicks_are_followed_and_counted_in_the_report(data: Path, tmp_path: Path) -> None:
    instance = open_set(data)[0]
    write_clicks(
        tmp_path / "clicks.csv",
        [MeasuredClick.first(instance, (25, 20), shape_hw=(60, 80))],
    )

    rows = study(data, tmp_path / "out", source=str(tmp_path / "clicks.csv"))

    firsts = [row.clicks[0] for row in rows if row.instance == instance.name and row.group == 4]
    assert firsts == [(25.0, 20.0, True)]
    assert "for 1 of 3 objects" in (tmp_path / "out/report.html").read_text()


def test_the_report_shows_curves_and_the_hardest_objects(data: Path, tmp_path: Path) -> None:
    study(data, tmp_path / "out", pictured=1, made_by="a test")

    html = (tmp_path / "out/report.html").read_text()
    assert html.count('class="chart"') == 3
    assert "Group 1. tiny/" in html
    assert "Group 4. tiny/" in html
    assert "a test" in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_rows_under_another_name_of_the_same_weights_are_one_model(
    data: Path, tmp_path: Path
) -> None:
    study(data, tmp_path / "out", limit=1)
    path = tmp_path / "out/rows.jsonl"
    path.write_text(path.read_text().replace(f'"model":"{CHECKABLE}"', '"model":"earlier"'))

    study(data, tmp_path / "out", pictured=1)

    html = (tmp_path / "out/report.html").read_text()
    assert "earlier" not in html
    assert html.count('class="chart"') == 3


def test_the_box_as_mask_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="heeds clicks"):
        study(data, tmp_path / "out", models=("box",))


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"runs": 0}, {"groups": 3}])
def test_a_crowd_must_make_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="at least"):
        Crowd(ClickSource(), **wrong)


def test_the_command_prints_json(data: Path, tmp_path: Path) -> None:
    arguments = ["--model", CHECKABLE, "--data", str(data), "--out", str(tmp_path / "out")]
    few = ["--rounds", "2", "--groups", "2", "--limit", "1", "--pictures", "0", "--json"]

    result = CliRunner().invoke(app, ["bench", "rclicks", *arguments, *few])

    assert result.exit_code == 0, result.output
    (summary,) = json.loads(result.stdout)
    assert summary["objects"] == 1
    assert set(summary["noc"]) >= {"base", "mean", "sd", "halves", "halves_as_published"}
    assert (tmp_path / "out/report.html").is_file()
