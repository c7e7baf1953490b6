"""A ranking looks at more than the paper's features where that helps, and remembers them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError
from remask_ranking.feature_sets import choose_features
from remask_ranking.features import FEATURES
from remask_ranking.judge import fit_rows
from remask_ranking.ranker_file import load_ranker, save_ranker
from remask_ranking.table import Row, columns_of, write_rows


def rows(*, telling: str = "score", n: int = 60, seed: int = 0) -> list[Row]:
    """Rows whose IoU shows a little in the change and fully in the named attribute."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        iou = float(rng.uniform(0.2, 1.0))
        known = {"score": float(rng.uniform()), "seconds": 5.0, "box_px": 100.0}
        known[telling] = iou if telling == "score" else 100 * iou
        change = float(np.clip(iou + rng.normal(0, 0.4), 0, 1))
        found = (2, 1, change, float(rng.uniform(1, 9)), 1.0)
        made.append(Row(instance=f"i{number}", round=1, features=found, true_iou=iou, **known))
    return made


def test_the_paper_compares_nothing() -> None:
    choice = choose_features(rows(), offered="paper")

    assert choice.features == FEATURES
    assert choice.sentence == "Features: paper"


def test_the_score_is_taken_where_it_tells_most_and_alone_is_enough() -> None:
    choice = choose_features(rows(), offered="all")

    assert choice.chosen == "paper and score"
    assert choice.features == (*FEATURES, "score")
    assert choice.tried["paper and score"] > choice.tried["paper"] + 0.1
    assert "paper and score 0." in choice.sentence


def test_all_that_is_known_is_taken_where_that_helps() -> None:
    choice = choose_features(rows(telling="box_px"), offered="all")

    assert choice.chosen == "all known"
    assert choice.features == (*FEATURES, "score", "box_px", "seconds")


def test_what_does_not_help_is_left_out() -> None:
    noise = [
        msgspec.structs.replace(row, score=0.5, features=(2, 1, row.true_iou or 0, 1, 1))
        for row in rows()
    ]

    assert choose_features(noise, offered="all").chosen == "paper"


def test_what_few_rows_know_is_not_offered() -> None:
    few = [msgspec.structs.replace(row, seconds=None, box_px=None) for row in rows()]
    few = [
        msgspec.structs.replace(row, score=None) if number % 5 == 0 else row
        for number, row in enumerate(few)
    ]

    assert choose_features(few, offered="all").tried.keys() == {"paper"}
    with pytest.raises(InputError, match="paper or all; got 'most'"):
        choose_features(few, offered="most")  # type: ignore[arg-type]


def test_a_model_file_remembers_its_features(tmp_path: Path) -> None:
    ranker = fit_rows(rows(), seed=0, features=(*FEATURES, "score", "filled"))
    save_ranker(ranker, tmp_path / "ranker.npz")

    loaded = load_ranker(tmp_path / "ranker.npz")

    assert loaded.features == (*FEATURES, "score", "filled")
    X = columns_of(rows(seed=1), loaded.features)
    assert np.isnan(X[:, -1]).all()
    assert np.array_equal(loaded.predict(X), ranker.predict(X))
    with pytest.raises(InputError, match=r"shape \(n, 7\); got \(60, 5\)"):
        loaded.predict(X[:, :5])


def test_what_is_not_known_of_a_row_is_taken_to_be_the_median() -> None:
    ranker = fit_rows(rows(), seed=0, features=(*FEATURES, "score"))
    row = rows()[0]
    usual = float(np.median([row.score for row in rows() if row.score is not None]))

    unknown, same = (
        ranker.predict(columns_of([msgspec.structs.replace(row, score=score)], ranker.features))
        for score in (None, usual)
    )

    assert np.array_equal(unknown, same)


@pytest.mark.parametrize("names", [["n_clicks"], [*FEATURES, "secret"], "none"])
def test_a_file_with_other_features_is_refused(tmp_path: Path, names: object) -> None:
    path = tmp_path / "ranker.npz"
    save_ranker(fit_rows(rows(), seed=0), path)
    with np.load(path) as stored:
        arrays = dict(stored)
    about = json.loads(str(arrays["about"])) | {"features": names}
    np.savez(path, **(arrays | {"about": np.array(json.dumps(about))}))

    with pytest.raises(InputError, match="it has other ones"):
        load_ranker(path)


def test_from_a_table_to_an_order(tmp_path: Path) -> None:
    table, model, ranks = (tmp_path / name for name in ("gold.csv", "ranker.npz", "ranks.csv"))
    write_rows(rows(), table)

    def run(*arguments: str | Path) -> str:
        done = CliRunner().invoke(app, ["rank", *map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    said = run("train", table, "--out", model, "--features", "all")
    run("apply", table, "--model", model, "--out", ranks)
    page = tmp_path / "ranking.html"
    run("evaluate", table, "--out", page, "--features", "all")

    assert "Features: paper and score (Spearman on held-out instances: paper 0." in said
    lines = list(csv.DictReader(ranks.read_text().splitlines()))
    assert (
        np.corrcoef(
            [float(line["predicted_iou"]) for line in lines],
            [float(line["true_iou"]) for line in lines],
        )[0, 1]
        > 0.9
    )
    assert "paper and score" in page.read_text()
    write_rows([msgspec.structs.replace(row, score=None) for row in rows()], table)
    with pytest.raises(InputError, match="must have a column `score`"):
        run("apply", table, "--model", model, "--out", ranks)
