"""`remask bench` at the command line: examples in the help, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_data import write_folder
from typer.testing import CliRunner

from remask_bench.commands import app

CHECKABLE = "remask_bench.checkable:load_checkable"


@pytest.mark.parametrize(
    "command", ["noc", "rounds", "codec", "scheduling", "service", "sam", "all"]
)
def test_every_command_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])

    assert result.exit_code == 0
    assert f"remask bench {command}" in result.output


@pytest.mark.parametrize("command", ["noc", "rounds"])
def test_a_study_prints_its_table_and_where_the_report_is(command: str, tmp_path: Path) -> None:
    data, out = write_folder(tmp_path / "tiny"), tmp_path / "out"
    arguments = ["--model", CHECKABLE, "--data", str(data), "--out", str(out), "--pictures", "0"]

    result = CliRunner().invoke(app, [command, *arguments])

    assert result.exit_code == 0, result.output
    assert "mIoU" in result.stdout
    assert str(out / "report.html") in result.stdout
    assert (out / "report.html").is_file()


def test_json_holds_the_summaries_alone(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "tiny")
    arguments = ["--data", str(data), "--out", str(tmp_path / "out"), "--pictures", "0", "--json"]

    result = CliRunner().invoke(app, ["noc", "--model", CHECKABLE, *arguments])

    summaries = json.loads(result.stdout)
    assert [summary["start"] for summary in summaries] == ["clicks", "box+clicks"]
    assert {summary["objects"] for summary in summaries} == {3}


def test_a_data_set_that_is_not_there_is_the_callers_fault(tmp_path: Path) -> None:
    arguments = ["--data", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")]

    result = CliRunner().invoke(app, ["noc", *arguments])

    assert result.exception is not None
    assert "there is no data set at" in str(result.exception)
