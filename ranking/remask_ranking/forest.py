"""The ranking model: a random forest that predicts the IoU of a mask with its unknown truth.

scikit-learn trains the forest; it is then kept as plain arrays, and a few lines of numpy find the
leaf of a row. Ranking alone needs no scikit-learn, and a stored model is numbers, not code
(docs/decisions/0110-forests-are-stored-as-arrays.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_ranking.features import FEATURES

__all__ = ["LEAF", "Indexes", "Numbers", "Ranker", "check_features", "fit"]

Numbers: TypeAlias = npt.NDArray[np.float64]
Indexes: TypeAlias = npt.NDArray[np.int32]

LEAF: Final = -1
"""Stands in `Ranker.feature` where a node asks for none."""
_ROWS_AT_ONCE: Final = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Ranker:
    """A forest as arrays: the nodes of all trees in one row, each tree's root first.

    Attributes:
        roots: (trees,) int32, the nodes at which the trees begin.
        feature: (nodes,) int32, which feature a node asks for; -1 at a leaf.
        threshold: (nodes,) float64; up to it, one goes left.
        left: (nodes,) int32, the node on the left, always behind this one.
        right: (nodes,) int32, the node on the right, always behind this one.
        value: (nodes,) float64, mean IoU of the training rows that came through.
        importances: (k,) float64, how much each feature helps to tell good from bad; sums to 1,
            or is all 0 if the forest has no nodes but leaves.
        n_rows: Rows that the forest was trained on.
        errors: (k,) float64, errors of held-out predictions in units of their spread, smallest
            first (`conformal.scaled_errors`); empty if the forest was not calibrated.
        features: Names of the k features that it looks at; the first five are `FEATURES`.
        fill: (k,) float64, what stands in for a feature that is not known of a row: the median of
            the training rows. Empty if the features are `FEATURES`, which always are known.
    """

    roots: Indexes
    feature: Indexes
    threshold: Numbers
    left: Indexes
    right: Indexes
    value: Numbers
    importances: Numbers
    n_rows: int
    errors: Numbers = field(default_factory=lambda: np.empty(0))
    features: tuple[str, ...] = FEATURES
    fill: Numbers = field(default_factory=lambda: np.empty(0))

    def predict(self, X: npt.ArrayLike) -> Numbers:
        """Return the predicted IoU of each row.

        Args:
            X: (n, k), in the order of `features`; nan where `fill` is to stand in. No rows give
                no numbers.

        Returns:
            (n,) float64: the mean over the trees, in the range of the IoUs trained on.

        Raises:
            InputError: `X` has another number of columns, or holds NaN or infinity.
        """
        return self.predict_with_uncertainty(X)[0]

    def predict_with_uncertainty(self, X: npt.ArrayLike) -> tuple[Numbers, Numbers]:
        """Return the predicted IoU of each row, and how far the trees disagree about it.

        Returns:
            Two arrays (n,) float64: mean and standard deviation over the trees. Raises as
            `predict` does.
        """
        # The trees were trained on 32-bit features: equal rounding keeps each row on its side.
        rows = check_features(_filled(X, self.fill), k=len(self.features))
        rows = rows.astype(np.float32).astype(np.float64)
        mean, spread = np.empty(len(rows)), np.empty(len(rows))
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            votes = self._votes(rows[part])
            # Rounding must not carry a mean over 1.
            mean[part] = votes.mean(axis=1).clip(votes.min(axis=1), votes.max(axis=1))
            spread[part] = votes.std(axis=1)
        return mean, spread

    def _votes(self, rows: Numbers) -> Numbers:
        """Return what each tree says of each row, (n, trees)."""
        node = np.tile(self.roots, (len(rows), 1))
        row = np.arange(len(rows))[:, None]
        while True:
            feature = self.feature[node]
            if (feature == LEAF).all():
                return self.value[node]
            goes_left = rows[row, feature] <= self.threshold[node]
            below = np.where(goes_left, self.left[node], self.right[node])
            node = np.where(feature == LEAF, node, below)


def fit(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    seed: int,
    sample_weight: npt.ArrayLike | None = None,
    n_trees: int = 100,
    min_leaf: int = 5,
    features: tuple[str, ...] = FEATURES,
) -> Ranker:
    """Return a forest trained on rows whose truth is known.

    Args:
        X: (n, k), in the order of `features`; n >= 1. Beyond the first five columns nan says that
            a number is not known: the median of its column stands in for it.
        y: (n,) IoU of each mask with its truth, in [0, 1].
        seed: Equal seed and rows, equal forest.
        sample_weight: (n,) how much each row counts; not negative, not all zero. None: all alike.
        n_trees: Trees in the forest.
        min_leaf: Fewest training rows that a leaf stands for.
        features: Names of the columns.

    Raises:
        InputError: Shapes, ranges or numbers are not as said.

    Source: Benenson et al. 2019 (arXiv 1903.10830), section 4.2. The numbers of trees and rows
        are ours; the paper calls the model robust to them.
    """
    # Takes a second to import, and only training needs it.
    from sklearn.ensemble import RandomForestRegressor

    fill = _medians(X, features)
    rows = check_features(_filled(X, fill), k=len(features))
    truth = _check_column(y, n=len(rows), name="y")
    if not len(rows) or truth.min() < 0.0 or truth.max() > 1.0:
        raise InputError("`y` must hold at least one IoU, each in [0, 1]")
    weights = None
    if sample_weight is not None:
        weights = _check_column(sample_weight, n=len(rows), name="sample_weight")
        if weights.min() < 0.0 or weights.sum() <= 0.0:
            raise InputError("`sample_weight` must hold no negative weight, and not only zeros")
    forest = RandomForestRegressor(
        n_estimators=n_trees, min_samples_leaf=min_leaf, random_state=seed
    )
    forest.fit(rows.astype(np.float32), truth, sample_weight=weights)
    return replace(_arrays_of(forest, n_rows=len(rows)), features=features, fill=fill)


def _arrays_of(forest: Any, *, n_rows: int) -> Ranker:
    trees = [estimator.tree_ for estimator in forest.estimators_]
    sizes = np.array([tree.node_count for tree in trees])
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)

    def joined(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    left, right = joined("children_left"), joined("children_right")
    is_leaf = left < 0
    offset = np.repeat(roots, sizes)
    return Ranker(
        roots=roots,
        feature=np.where(is_leaf, LEAF, joined("feature")).astype(np.int32),
        threshold=np.where(is_leaf, 0.0, joined("threshold")),
        left=np.where(is_leaf, LEAF, left + offset).astype(np.int32),
        right=np.where(is_leaf, LEAF, right + offset).astype(np.int32),
        value=joined("value")[:, 0, 0].astype(np.float64),
        importances=np.asarray(forest.feature_importances_, np.float64),
        n_rows=n_rows,
    )


def _medians(X: npt.ArrayLike, features: tuple[str, ...]) -> Numbers:
    """Return the median of each column that is known, 0 of one that never is."""
    if len(features) == len(FEATURES):
        return np.empty(0)
    rows = np.asarray(X, np.float64)
    columns = [column[np.isfinite(column)] for column in rows.T]
    return np.array([float(np.median(column)) if len(column) else 0.0 for column in columns])


def _filled(X: npt.ArrayLike, fill: Numbers) -> npt.ArrayLike:
    """Return `X` with what is not known filled in; columns of `FEATURES` are left alone."""
    rows = np.asarray(X, np.float64)
    if not len(fill) or rows.ndim != 2 or rows.shape[1] != len(fill):
        return rows
    unknown = np.isnan(rows)
    unknown[:, : len(FEATURES)] = False
    return np.where(unknown, fill, rows)


def check_features(X: npt.ArrayLike, *, k: int = len(FEATURES)) -> Numbers:
    """Return `X` as (n, k) float64 after checking it; an empty list is (0, k)."""
    rows = np.asarray(X, np.float64)
    if rows.size == 0:
        rows = rows.reshape(0, k)
    if rows.ndim != 2 or rows.shape[1] != k:
        raise InputError(f"`X` must have shape (n, {k}); got {rows.shape}")
    if not np.isfinite(rows).all():
        raise InputError("`X` must be finite; it holds NaN or infinity")
    return rows


def _check_column(values: npt.ArrayLike, *, n: int, name: str) -> Numbers:
    column = np.asarray(values, np.float64)
    if column.shape != (n,):
        raise InputError(f"`{name}` must have shape ({n},), one number per row; got {column.shape}")
    if not np.isfinite(column).all():
        raise InputError(f"`{name}` must be finite; it holds NaN or infinity")
    return column
