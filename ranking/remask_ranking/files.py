"""Training, applying and judging a ranking from table to file: what `remask rank` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from remask_core.errors import InputError
from remask_ranking.feature_sets import Choice, FeatureSet, choose_features
from remask_ranking.features import FEATURES
from remask_ranking.forest import Ranker
from remask_ranking.judge import (
    Judgement,
    Ranked,
    calibrated,
    cross_predict,
    fit_rows,
    judge,
    known_rows,
    rank_rows,
    worst,
)
from remask_ranking.ranker_file import load_ranker, save_ranker
from remask_ranking.ranks import write_ranks
from remask_ranking.report import ranking_page
from remask_ranking.table import columns_of, read_rows

__all__ = ["apply_ranker", "evaluate_ranking", "train_ranker"]


def train_ranker(
    table: Path,
    out: Path,
    *,
    seed: int = 0,
    folds: int = 5,
    features: FeatureSet = "paper",
    on_chosen: Callable[[Choice], None] = lambda choice: None,
) -> tuple[Ranker, Judgement]:
    """Train a ranking model on the rows of `table` whose true IoU is known, and write it to `out`.

    Args:
        table: Rows, see `read_rows`.
        out: Model file; it remembers its features.
        seed: Of the forests and of the groups.
        folds: Groups of instances, each judged by a model trained on the other groups.
        features: What the model may look at, see `choose_features`.
        on_chosen: Called with the choice.

    Returns:
        The model, and how well such a model ranks instances that it was not trained on.

    Raises:
        NotFound: There is no such table.
        InputError: The table cannot be read, or fewer than two instances have a true IoU.
    """
    rows = known_rows(read_rows(table))
    choice = choose_features(rows, offered=features, seed=seed, folds=folds)
    on_chosen(choice)
    predictions = cross_predict(rows, seed=seed, folds=folds, features=choice.features)
    ranker = fit_rows(rows, seed=seed, features=choice.features)
    ranker = calibrated(ranker, rows, predictions)
    judgement = judge(rows, *predictions)
    save_ranker(ranker, out)
    return ranker, judgement


def apply_ranker(
    table: Path, model: Path, out: Path, *, worst_percent: float | None = None
) -> tuple[list[Ranked], list[Ranked]]:
    """Write the instances of `table` in the order of a model, the best first.

    Returns:
        All instances, the best first, and the worst `worst_percent` of them, the worst first; none
        of these if it is None.

    Raises:
        NotFound: A file does not exist.
        InputError: A file cannot be read, `out` cannot be written, or `worst_percent` does not lie
            in (0, 100].
    """
    ranker, rows = load_ranker(model), read_rows(table)
    for name in ranker.features[len(FEATURES) :]:
        if rows and all(getattr(row, name) is None for row in rows):
            raise InputError(
                f"`{table}` must have a column `{name}`, which the model {model} looks at; got none"
            )
    ranked = rank_rows(ranker, rows)
    back = [] if worst_percent is None else worst(ranked, percent=worst_percent)
    write_ranks(ranked, out)
    return ranked, back


def evaluate_ranking(
    table: Path,
    out: Path,
    *,
    model: Path | None = None,
    features: FeatureSet = "paper",
    seed: int = 0,
    folds: int = 5,
    made_by: str = "",
) -> Judgement:
    """Write the report on a ranking of the rows whose true IoU is known.

    Args:
        table: Rows; those without a true IoU are not used.
        out: HTML page.
        model: The model to judge, which must not know these rows; None judges every instance by a
            model that was trained on the others.
        features: What such a model may look at; a stored model has its own.
        seed: Of the forests and of the groups.
        folds: Groups of instances, each judged by a model trained on the other groups.
        made_by: The command that makes the page again.

    Raises:
        NotFound: A file does not exist.
        InputError: A file cannot be read or written, or too few instances have a true IoU.
    """
    rows = known_rows(read_rows(table))
    if model is None:
        choice = choose_features(rows, offered=features, seed=seed, folds=folds)
        ranker = fit_rows(rows, seed=seed, features=choice.features)
        mean, spread = cross_predict(rows, seed=seed, folds=folds, features=choice.features)
        judged_on = (
            f"Each of {folds} groups was judged by a forest trained on the others. "
            f"{choice.sentence}."
        )
    else:
        ranker = load_ranker(model)
        mean, spread = ranker.predict_with_uncertainty(columns_of(rows, ranker.features))
        judged_on = f"Judged by the model {model.name}, said to know none of these instances."
    judgement = judge(rows, mean, spread)
    ranking_page(judgement, ranker, judged_on=judged_on, made_by=made_by).write(out)
    return judgement
