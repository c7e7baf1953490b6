"""Pictures of noise, and one operation on every mask, by their commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from noise_shapes import write_shapes
from typer.testing import CliRunner

from remask_cli.main import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_shapes(tmp_path, images=4)
    return tmp_path


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["noise", *words])
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_the_page_shows_pairs_with_what_changed(folder: Path) -> None:
    run("apply", "shapes.json", "--operation", "dilate", "--level", "hard", "--out", "d.json")

    said = run("pictures", "shapes.json", "d.json", "--images", "shapes", "--out", "p.html")

    page = (folder / "p.html").read_text()
    assert "Report: p.html" in said
    assert "of 9 objects compared, 9 have another mask and 0 another class" in page
    assert page.count("too large, IoU") == 2 * 9  # below the picture, and for who cannot see it
    assert page.count("data:image/jpeg") == 18


def test_masks_whose_class_alone_changed_have_their_own_part(folder: Path) -> None:
    document = json.loads(Path("shapes.json").read_text())
    document["annotations"][0]["category_id"] = 2
    Path("renamed.json").write_text(json.dumps(document))

    run("pictures", "shapes.json", "renamed.json", "--images", "shapes", "--out", "p.html")

    page = (folder / "p.html").read_text()
    assert "square instead of disc; the same mask" in page
    assert "Masks that changed" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pictures", "shapes.json", "shapes.json", "--images", "shapes"], "no object compared"),
        (["apply", "shapes.json", "--operation", "localise"], "needs `--level` or `--sigma-px`"),
        (
            ["apply", "shapes.json", "--operation", "erode", "--spatial-share", ".2"],
            "takes no `--spatial-share`",
        ),
    ],
)
def test_what_cannot_work_says_why(folder: Path, words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["noise", *words, "--out", "never.html"])

    assert message in str(result.exception)
    assert not Path("never.html").exists()


def test_a_missing_picture_is_named(folder: Path) -> None:
    run("apply", "shapes.json", "--level", "hard", "--out", "noisy.json")

    result = CliRunner().invoke(
        app, ["noise", "pictures", "shapes.json", "noisy.json", "--images", ".", "--out", "p.html"]
    )

    assert "cannot be read" in str(result.exception)
