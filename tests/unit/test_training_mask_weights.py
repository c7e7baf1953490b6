"""Masks count in training as a ranking says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from remask_core.errors import InputError, NotFound
from remask_core.types import Box
from remask_ranking.ranks import training_weights
from remask_training.mask_weights import with_weights
from remask_training.samples import Picture, Sample

_IMAGE = np.zeros((40, 40, 3), np.uint8)
_LABELS = np.ones((40, 40), np.uint8)


def sample(name: str, *, picture: str = "cat", weight: float = 2.0) -> Sample:
    return Sample(Picture(picture, _IMAGE), _LABELS, (1,), Box(0, 0, 40, 40), weight, name)


def test_a_mask_is_drawn_as_often_as_its_weight_says() -> None:
    samples, found = with_weights(
        [sample("7/a"), sample("b"), sample("c")], {"a": 0.25, "b": 0.75, "gone": 1.0}
    )

    assert [weighted.weight for weighted in samples] == [0.5, 1.5, 2.0]
    assert (found.matched, found.mean_weight) == (2, 0.5)
    assert found.without_weight == ("cat: c",)
    assert found.without_mask == ("gone",)
    assert found.sentence == (
        "2 masks have a weight, 0.50 in the mean; without a weight, counted as 1: 1 (cat: c); "
        "not in the data: 1 (gone)"
    )


def test_the_full_name_goes_before_what_ends_it() -> None:
    samples, _ = with_weights([sample("7/a")], {"a": 0.1, "7/a": 0.5})

    assert samples[0].weight == 1.0


def test_many_names_are_counted_and_only_the_first_are_shown() -> None:
    _, found = with_weights([sample("a")], {"a": 1.0} | {f"x{n}": 1.0 for n in range(9)})

    assert found.sentence.endswith("not in the data: 9 (x0, x1, x2, x3, x4, …)")


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        ({"z": 0.5}, r"none of its 1 names is there, such as 1 \(z\)"),
        ({"a": 0.0}, "all are 0"),
        ({"a": 0.5, "same": 0.5}, "'same' is one in each of the pictures cat, dog"),
    ],
)
def test_weights_that_do_not_fit_the_data_are_refused(weights: dict[str, float], what: str) -> None:
    samples = [sample("a")]
    if "same" in weights:
        samples += [sample("same"), sample("same", picture="dog")]

    with pytest.raises(InputError, match=what):
        with_weights(samples, weights)


def test_weights_are_read_from_a_ranking(tmp_path: Path) -> None:
    path = tmp_path / "ranks.csv"
    path.write_text("instance,rank,training_weight\n7/a,1,0.75\n7/b,2,0\n")

    assert training_weights(path) == {"7/a": 0.75, "7/b": 0.0}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("instance,rank\na,1\n", "training_weight"),
        ("instance,training_weight\na,-1\n", "at least 0; got -1"),
        ("instance,training_weight\na,nan\n", "finite"),
        ("instance,training_weight\na,much\n", "line 2"),
        ("instance,training_weight\na,1\na,1\n", "'a' comes twice"),
        ("instance,training_weight\n", "at least one weight"),
    ],
)
def test_what_holds_no_weights_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "ranks.csv"
    path.write_text(text)

    with pytest.raises(InputError, match=what):
        training_weights(path)


def test_a_missing_ranking_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        training_weights(tmp_path / "none.csv")
