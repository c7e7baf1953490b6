"""What masks are like, on shapes whose numbers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench_data import write_folder
from typer.testing import CliRunner

from remask_cli.main import app
from remask_evaluation.mask_statistics import concavity, facts_of


def rectangle(height: int, width: int) -> np.ndarray:
    mask = np.zeros((40, 80), np.bool_)
    mask[10 : 10 + height, 20 : 20 + width] = True
    return mask


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (20, 40)])
def test_a_rectangle_is_convex(shape: tuple[int, int]) -> None:
    assert concavity(rectangle(*shape)) == 0.0


def test_an_l_lacks_the_triangle_of_its_hull() -> None:
    """Arms of 20 and 1 px: 39 pixels; the hull has 210, half the square and its diagonal."""
    mask = np.zeros((20, 20), np.bool_)
    mask[:, 0] = mask[-1, :] = True

    assert concavity(mask) == pytest.approx(1 - 39 / 210)


def test_the_numbers_of_a_rectangle() -> None:
    facts = facts_of(rectangle(20, 40), image="a")

    assert facts.relative_size == pytest.approx(np.sqrt(800 / 3200))
    assert facts.area_px == 800
    assert facts.centre == (0.5, 0.5)


def test_the_command_writes_a_page_and_json(tmp_path: Path) -> None:
    data, more = write_folder(tmp_path / "tiny"), write_folder(tmp_path / "more")
    page = tmp_path / "masks.html"
    words = ["eval", "masks", "--data", str(data), "--data", str(more), "--out", str(page)]

    shown = CliRunner().invoke(app, words)
    told = CliRunner().invoke(app, [*words, "--json"])

    assert shown.exit_code == told.exit_code == 0, shown.output
    assert "tiny" in shown.stdout
    tiny, _ = json.loads(told.stdout)
    assert tiny["per_image"] == [1, 1, 1]
    assert max(mask["concavity"] for mask in tiny["masks"]) < 0.04
    assert page.read_text().count("data:image/jpeg") == 2
