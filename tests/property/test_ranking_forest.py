from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from remask_core.errors import InputError, NotFound
from remask_ranking.forest import Ranker, fit
from remask_ranking.ranker_file import load_ranker, save_ranker


def rows(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows in which IoU grows with the third feature and falls with the fifth, plus noise."""
    rng = np.random.default_rng(seed)
    change = rng.uniform(0.3, 1.0, n)
    distance = rng.gamma(2.0, 6.0, n)
    X = np.stack(
        [
            rng.integers(0, 5, n),
            rng.integers(1, 4, n),
            change,
            distance * rng.uniform(1, 2, n),
            distance,
        ],
        axis=1,
    )
    y = 0.5 * change + 0.5 * np.exp(-distance / 20) + rng.normal(0, 0.02, n)
    return X, np.clip(y, 0, 1)


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return fit(*rows(300), seed=1)


def test_it_says_what_the_forest_that_it_was_taken_from_says(ranker: Ranker) -> None:
    X, y = rows(300)
    forest = RandomForestRegressor(n_estimators=100, min_samples_leaf=5, random_state=1).fit(X, y)
    unseen, _ = rows(5000, seed=2)
    votes = np.stack([tree.predict(unseen) for tree in forest.estimators_])

    mean, spread = ranker.predict_with_uncertainty(unseen)

    assert np.allclose(mean, forest.predict(unseen), atol=1e-12)
    assert np.allclose(spread, votes.std(axis=0), atol=1e-12)
    assert np.allclose(ranker.importances, forest.feature_importances_)


def test_values_on_a_threshold_go_the_way_they_went_in_training(ranker: Ranker) -> None:
    X, y = rows(300)
    forest = RandomForestRegressor(n_estimators=100, min_samples_leaf=5, random_state=1).fit(X, y)
    on = ranker.threshold[ranker.feature == 2][:200]
    unseen = np.tile([2.0, 1.0, 0.0, 10.0, 8.0], (len(on), 1))
    unseen[:, 2] = on

    assert np.allclose(ranker.predict(unseen), forest.predict(unseen), atol=1e-12)


def test_it_learns_and_stays_in_range(ranker: Ranker) -> None:
    X, y = rows(500, seed=3)
    predicted = ranker.predict(X)

    assert predicted.min() >= 0
    assert predicted.max() <= 1
    assert np.corrcoef(predicted, y)[0, 1] > 0.8
    assert ranker.importances[[2, 4]].sum() > 0.5
    assert ranker.importances.sum() == pytest.approx(1)


def test_equal_seed_equal_forest() -> None:
    X, y = rows(60)

    assert (fit(X, y, seed=5).value == fit(X, y, seed=5).value).all()
    assert fit(X, y, seed=5).predict(X).tolist() != fit(X, y, seed=6).predict(X).tolist()


def test_rows_without_weight_are_not_learnt_from() -> None:
    X, y = rows(80)
    wrong = np.concatenate([y, 1 - y])
    weight = np.repeat([1.0, 0.0], 80)

    found = fit(np.concatenate([X, X]), wrong, seed=0, sample_weight=weight).predict(X)

    assert np.corrcoef(found, y)[0, 1] > 0.7


def test_no_rows_give_no_numbers(ranker: Ranker) -> None:
    assert ranker.predict([]).shape == (0,)
    assert ranker.predict(np.zeros((0, 5))).shape == (0,)


def test_a_single_row_is_enough_to_grow_on() -> None:
    assert fit([[1, 1, 1, 0, 0]], [0.7], seed=0).predict([[4, 2, 0.5, 9, 9]]).tolist() == [0.7]


@pytest.mark.parametrize(
    "call",
    [
        lambda: fit([], [], seed=0),
        lambda: fit([[1, 2, 3]], [0.5], seed=0),
        lambda: fit([[1, 1, 1, 0, 0]], [1.5], seed=0),
        lambda: fit([[1, 1, 1, 0, 0]], [0.5, 0.5], seed=0),
        lambda: fit([[1, 1, np.nan, 0, 0]], [0.5], seed=0),
        lambda: fit([[1, 1, 1, 0, 0]], [0.5], seed=0, sample_weight=[0.0]),
        lambda: fit([[1, 1, 1, 0, 0]], [0.5], seed=0, sample_weight=[-1.0]),
        lambda: fit([[1, 1, 1, 0, 0]], [0.5], seed=0).predict([[np.inf, 1, 1, 0, 0]]),
        lambda: fit([[1, 1, 1, 0, 0]], [0.5], seed=0).predict([[1, 1]]),
    ],
)
def test_wrong_input_is_refused(call) -> None:
    with pytest.raises(InputError):
        call()


def test_a_stored_model_is_the_same_model(ranker: Ranker, tmp_path: Path) -> None:
    X, _ = rows(100, seed=4)
    save_ranker(ranker, tmp_path / "ranker.npz")
    again = load_ranker(tmp_path / "ranker.npz")

    assert (again.predict(X) == ranker.predict(X)).all()
    assert again.n_rows == 300
    assert [path.name for path in tmp_path.iterdir()] == ["ranker.npz"]


def test_ranking_with_a_stored_model_needs_no_scikit_learn(ranker: Ranker, tmp_path: Path) -> None:
    save_ranker(ranker, tmp_path / "ranker.npz")
    script = (
        "import sys; from pathlib import Path; from remask_ranking.ranker_file import load_ranker;"
        "load_ranker(Path(sys.argv[1])).predict([[1, 1, 1, 0, 0]]);"
        "assert not any(name.startswith('sklearn') for name in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", script, str(tmp_path / "ranker.npz")], check=True)


class Trap:
    """Unpickling this would be noticed."""

    def __reduce__(self):
        return (pytest.fail, ("code from the file was run",))


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "ranker.npz"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError):
        load_ranker(path)

    np.savez(path, about=np.array([Trap()], dtype=object))
    with pytest.raises(InputError):
        load_ranker(path)


def altered(ranker: Ranker, path: Path, **arrays: np.ndarray) -> Path:
    """A stored model with some of its arrays replaced."""
    save_ranker(ranker, path)
    with np.load(path) as stored:
        whole = dict(stored)
    np.savez(path, **{**whole, **arrays})
    return path


@pytest.mark.parametrize(
    "harm",
    [
        lambda r: {"left": np.zeros_like(r.left)},
        lambda r: {"right": np.where(r.feature >= 0, len(r.right), r.right)},
        lambda r: {"feature": np.full_like(r.feature, 5)},
        lambda r: {"feature": r.feature[:-1]},
        lambda r: {"roots": np.array([len(r.feature)], np.int32)},
        lambda r: {"roots": np.array([], np.int32)},
        lambda r: {"roots": np.array([-1], np.int32)},
        lambda r: {"value": np.full_like(r.value, np.nan)},
        lambda r: {"value": r.value.astype(np.float32)},
        lambda r: {"importances": np.zeros(4)},
        lambda _: {"about": np.array("[]")},
        lambda _: {"about": np.array("{")},
        lambda _: {"about": np.array(json.dumps({"format": "remask ranker 1", "features": ["a"]}))},
    ],
)
def test_a_damaged_model_is_refused(ranker: Ranker, tmp_path: Path, harm) -> None:
    with pytest.raises(InputError, match=r"ranker\.npz"):
        load_ranker(altered(ranker, tmp_path / "ranker.npz", **harm(ranker)))


def test_a_truncated_or_foreign_file_is_refused(ranker: Ranker, tmp_path: Path) -> None:
    path = tmp_path / "ranker.npz"
    save_ranker(ranker, path)
    whole = path.read_bytes()
    for data in (b"", b"PK", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(data)
        with pytest.raises(InputError):
            load_ranker(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("about.npy", b"no array")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError):
        load_ranker(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="remask rank train"):
        load_ranker(tmp_path / "gone.npz")
