"""`remask masks auto`: what it refuses, before anything is loaded or asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from remask_cli.main import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of `--project` and `--images`"),
        (["--project", "1", "--images", "photos"], "give one of `--project` and `--images`"),
        (["--images", "photos"], "`--images` and `--out` go together"),
        (["--project", "1", "--out", "m.json"], "`--images` and `--out` go together"),
        (["--project", "1"], "`--project` needs `--url`"),
        (["--images", ".", "--out", "m.json", "--model", "nothing"], "`model` must be one of"),
        (
            ["--images", ".", "--out", "m.json", "--crop-layers", "4", "--points-per-side", "1"],
            None,
        ),
        (["--images", "nowhere", "--out", "m.json"], "there is none at nowhere"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    (tmp_path / "photos").mkdir()

    result = CliRunner().invoke(app, ["masks", "auto", "--state", str(tmp_path), *arguments])

    assert result.exit_code != 0
    assert (message or "must hold images") in str(result.exception)
    assert not (tmp_path / "m.json").exists()
