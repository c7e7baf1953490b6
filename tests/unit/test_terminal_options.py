"""A file that cannot be written is refused before the work, not after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError
from remask_terminal.options import writable


def test_a_new_file_and_one_that_is_there_may_be_written(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert writable(path) == path
    path.write_text("earlier")
    assert writable(path) == path
    assert path.read_text() == "earlier"
    assert writable(None) is None


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a folder"):
        writable(tmp_path)
    with pytest.raises(InputError, match=r"gone is not"):
        writable(tmp_path / "gone" / "page.html")


@pytest.mark.parametrize(
    "command",
    [
        ["report", "cats", "--out"],
        ["rank", "evaluate", "rows.csv", "--out"],
        ["campaign", "rate", "cats", "--read", "--report"],
        ["eval", "masks", "--data", "nowhere", "--out"],
        ["clicks", "times", "log.csv", "--out"],
        ["noise", "estimate", "truth.json", "noisy.json", "--report"],
    ],
)
def test_commands_look_before_they_begin(command: list[str], tmp_path: Path) -> None:
    """Neither campaign nor data exist, and the file is what is complained about."""
    done = CliRunner().invoke(app, [*command, str(tmp_path / "gone" / "page.html")])

    assert isinstance(done.exception, InputError)
    assert "must lie in a folder that is there" in str(done.exception)
