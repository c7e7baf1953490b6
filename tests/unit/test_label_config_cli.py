"""`remask config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remask_cli.config import app
from remask_core.errors import InputError, NotFound
from remask_label_config.pages.live import write_labelling_config

RUN = CliRunner()
TEAM_CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image" smart="true"><Label value="cat"/><Label value="dog"/>
</RectangleLabels>
<BrushLabels name="mask" toName="image"><Label value="cat"/><Label value="dog"/></BrushLabels>
</View>"""


def test_write_prints_the_xml() -> None:
    result = RUN.invoke(app, ["write", "--class", "cat", "--class", "dog", "--bitmask"])

    assert result.stdout == write_labelling_config(["cat", "dog"], kind="bitmask")


def test_write_and_check_a_file(tmp_path: Path) -> None:
    policy, out = tmp_path / "policy.txt", tmp_path / "live.xml"
    policy.write_text("Whole animals.")

    written = RUN.invoke(
        app, ["write", "--class", "cat", "--policy", str(policy), "--out", str(out)]
    )
    checked = RUN.invoke(app, ["check", str(out)])
    found = json.loads(RUN.invoke(app, ["check", str(out), "--json"]).stdout)

    assert written.exit_code == checked.exit_code == 0
    assert "Whole animals." in out.read_text()
    assert "masks in `mask` (brush), prompts from `box` and `click`" in checked.stdout
    assert found["images"][0]["mask"]["labels"] == ["cat"]


def test_extend_writes_a_page_that_check_accepts(tmp_path: Path) -> None:
    mine, out = tmp_path / "mine.xml", tmp_path / "live.xml"
    mine.write_text(TEAM_CONFIG)

    extended = RUN.invoke(app, ["extend", str(mine), "--out", str(out)])
    printed = RUN.invoke(app, ["extend", str(mine)]).stdout
    checked = RUN.invoke(app, ["check", str(out)])

    assert extended.exit_code == checked.exit_code == 0
    assert printed == out.read_text()
    assert "prompts from `remask_box` and `click`" in checked.stdout


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_files_are_read_as_editors_save_them(tmp_path: Path, encoding: str) -> None:
    mine, policy, out = tmp_path / "mine.xml", tmp_path / "policy.txt", tmp_path / "live.xml"
    declared = f'<?xml version="1.0" encoding="{encoding[:6].rstrip("-")}"?>\n'
    mine.write_bytes((declared + TEAM_CONFIG).replace("\n", "\r\n").encode(encoding))
    policy.write_bytes("Whole cats, d\xe9j\xe0 vu.\r\n".encode(encoding))

    extended = RUN.invoke(app, ["extend", str(mine), "--out", str(out)])
    checked = RUN.invoke(app, ["check", str(mine)])
    written = RUN.invoke(app, ["write", "--class", "cat", "--policy", str(policy)])

    assert extended.exit_code == checked.exit_code == written.exit_code == 0
    assert "Whole cats, d\xe9j\xe0 vu." in written.stdout
    assert "\ufeff" not in written.stdout


def test_check_says_what_is_missing(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.xml"
    wrong.write_text('<View><Image name="image" value="$image"/></View>')

    with pytest.raises(InputError, match="no <BrushLabels> or <BitmaskLabels>"):
        RUN.invoke(app, ["check", str(wrong)], catch_exceptions=False)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.xml"):
        RUN.invoke(app, ["check", str(tmp_path / "nowhere.xml")], catch_exceptions=False)


@pytest.mark.parametrize("command", ["write", "extend", "check"])
def test_help_has_an_example(command: str) -> None:
    assert "Example" in RUN.invoke(app, [command, "--help"]).stdout
