"""`remask rank` from a table to a model, an order and a report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from remask_cli.rank import app
from remask_core.errors import InputError
from remask_ranking.table import Row, write_rows


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(50):
        change, distance = float(rng.uniform(0.3, 1)), float(rng.uniform(1, 40))
        iou = float(np.clip(0.6 * change + 0.4 * (1 - distance / 40), 0, 1))
        found = (int(rng.integers(1, 5)), 1, change, distance * 1.5, distance)
        rows.append(Row(instance=f"i{number}", round=1, features=found, true_iou=iou))
    write_rows(rows, tmp_path / "gold.csv")
    return tmp_path / "gold.csv"


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_a_table_to_an_order(table: Path, tmp_path: Path) -> None:
    model, ranks = tmp_path / "ranker.npz", tmp_path / "ranks.csv"

    learnt = json.loads(run("train", table, "--out", model, "--json"))
    back = run("apply", table, "--model", model, "--out", ranks, "--worst", "10").split()

    assert learnt["instances"] == 50
    assert learnt["spearman"] > 0.6
    lines = list(csv.DictReader(ranks.read_text().splitlines()))
    assert [int(line["rank"]) for line in lines] == list(range(1, 51))
    predicted = [float(line["predicted_iou"]) for line in lines]
    assert predicted == sorted(predicted, reverse=True)
    assert back == [line["instance"] for line in reversed(lines)][:5]


def test_an_order_is_judged_with_and_without_a_model(table: Path, tmp_path: Path) -> None:
    model, page = tmp_path / "ranker.npz", tmp_path / "ranking.html"
    run("train", table, "--out", model)

    said = run("evaluate", table, "--out", page)
    known = json.loads(run("evaluate", table, "--out", page, "--model", model, "--json"))

    assert "Spearman" in said
    assert known["spearman"] > 0.8
    assert page.read_text().startswith("<!doctype html>")


def test_a_table_without_truth_teaches_nothing(tmp_path: Path) -> None:
    write_rows([Row(instance="a", round=1, features=(1, 1, 1, 1, 1))], tmp_path / "rows.csv")

    with pytest.raises(InputError, match="true_iou"):
        run("train", tmp_path / "rows.csv", "--out", tmp_path / "ranker.npz")
    assert not (tmp_path / "ranker.npz").exists()
