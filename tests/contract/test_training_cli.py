from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remask_cli import main
from remask_cli.main import app


@pytest.mark.parametrize("command", ["convnet", "calibrate", "encodings", "readings"])
def test_help_names_the_layouts_and_an_example(command: str) -> None:
    result = CliRunner().invoke(app, ["train", command, "--help"], env={"COLUMNS": "200"})

    assert result.exit_code == 0
    assert "index.csv" in result.output
    assert "instances.json" in result.output
    assert f"remask train {command} --" in result.output


@pytest.mark.parametrize("command", ["convnet", "calibrate", "readings"])
def test_a_folder_without_data_ends_with_its_name(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["train", command, "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["remask", *arguments])

    with pytest.raises(SystemExit) as end:
        main.main()

    assert end.value.code != 0
    assert str(tmp_path) in capsys.readouterr().err
