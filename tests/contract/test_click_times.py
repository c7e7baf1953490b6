"""Seconds and areas of visits, read from a click log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remask_cli.main import app
from remask_clicks.times import VisitTimes, read_times, times_page, times_table
from remask_core.errors import InputError, NotFound

HEAD = "instance,round,annotation_id,position,lead_time_s,error_area_px\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two visits of one instance, the clicks of the second out of order, and one of another."""
    rows = ["a,1,7,0,8.0,900", "a,2,9,1,14.0,100", "a,2,9,0,14.0,400", "b,1,8,0,,"]
    path = tmp_path / "log.csv"
    path.write_text(HEAD + "\n".join(rows))
    return path


def test_clicks_are_put_together_to_visits_in_their_order(log: Path) -> None:
    assert read_times(log) == [
        VisitTimes(8.0, (900.0,)),
        VisitTimes(14.0, (400.0, 100.0)),
        VisitTimes(None, (None,)),
    ]


def test_the_table_has_a_row_for_each_number_of_clicks(log: Path) -> None:
    rows = times_table(read_times(log)).words()

    assert rows == [["1", "2", "8.0", "8.0"], ["2", "1", "14.0", "11.0"]]


def test_the_page_says_whether_large_errors_came_first() -> None:
    falling = [VisitTimes(10.0, (400.0, 300.0, 200.0))] * 3
    rising = [VisitTimes(12.0, (100.0, 200.0))] * 3

    page = times_page([*falling, *rising], made_by="me").to_html()

    assert "came first in 67 %" in page
    assert "50 % went from large to small without exception" in page
    assert page.count("<svg") >= 3


def test_a_log_without_truth_has_no_areas(log: Path) -> None:
    page = times_page([VisitTimes(9.0, (None, None))], made_by="me").to_html()

    assert "an unknown share" in page
    assert "click 1" not in page


def test_what_is_wrong_with_a_log_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(HEAD)
    with pytest.raises(NotFound, match="must hold a click"):
        read_times(path)
    path.write_text(HEAD + "a,1,7,first,8,9")
    with pytest.raises(InputError, match="line 2: `position` must be a number; got 'first'"):
        read_times(path)


def test_the_command_prints_the_table_and_json(log: Path, tmp_path: Path) -> None:
    words = ["clicks", "times", str(log), "--out", str(tmp_path / "times.html")]

    shown = CliRunner().invoke(app, words)
    told = CliRunner().invoke(app, [*words, "--json"])

    assert "14.0" in shown.stdout
    assert len(json.loads(told.stdout)) == 3
