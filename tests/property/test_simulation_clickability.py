"""Clickability, groups and click metrics against what the authors' own code gave.

Seeded draws of theirs come from numpy's legacy generator, so it is used here and nowhere else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from remask_clicks.groups import group_chances, group_click
from remask_clicks.metrics import (
    clicks_unlike_p,
    correlation,
    divergence,
    likelihood,
    object_size_wh,
    pairwise_distance,
    saliency,
    score_map,
    similarity,
    transport_distance,
)
from remask_core.types import Click
from remask_masks.clickability import (
    ClickType,
    click_radius_px,
    clickability,
    distance_map,
    error_of,
    kernel_side,
    soft_error,
    uniform_map,
)

KINDS: tuple[ClickType, ...] = ("first", "fn", "fp")
MAPS = ("first_sigma0.01", "first_sigma1", "first_sigma5", "first_sigma20", "first_sigma120")


class Golden:
    def __init__(self, folder: Path) -> None:
        self.facts: dict[str, Any] = json.loads((folder / "rclicks.json").read_text())
        self.arrays = np.load(folder / "rclicks.npz")
        self.truth = self.arrays["gt"].astype(np.bool_)
        self.mask = self.arrays["prev"].astype(np.bool_)

    def clickmap(self, name: str) -> npt.NDArray[np.float32]:
        key = {"dt": "dt", "uniform": "ud", "ud": "ud", "noise": "group_model_noise"}.get(name)
        found: npt.NDArray[np.float32] = self.arrays[key or f"clickmap_{name}"]
        return found


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return Golden(shared / "golden" / "rclicks")


def legacy_choice(seed: int) -> Any:
    """numpy's legacy generator, quacking like the new one as far as `choice` goes."""
    return np.random.RandomState(seed)


def test_the_click_radius_is_theirs(golden: Golden) -> None:
    for shape, radius in golden.facts["click_radius_by_shape"].items():
        height, width = map(int, shape.split("x"))
        assert radius == click_radius_px((height, width))


def test_the_kernel_is_theirs(golden: Golden) -> None:
    for sigma_px, side in golden.facts["ksize_by_sigma_px"].items():
        assert side == kernel_side(float(sigma_px))


@pytest.mark.parametrize("kind", KINDS)
def test_error_and_soft_error_are_theirs(golden: Golden, kind: ClickType) -> None:
    error = error_of(golden.truth, golden.mask, kind)

    assert np.array_equal(golden.arrays[f"error_mask_{kind}"], error)
    assert np.allclose(golden.arrays[f"soft_error_mask_{kind}"], soft_error(error), atol=1e-6)


@pytest.mark.parametrize("name", [*MAPS, "fn_sigma5", "fp_sigma5"])
def test_clickability_as_published_is_theirs(golden: Golden, name: str) -> None:
    kind = name.split("_")[0]
    facts = golden.facts["clickability_maps"][name]
    clicks = golden.arrays[f"clicks_xy_{kind}"]
    error = golden.arrays[f"error_mask_{kind}"].astype(np.bool_)

    found = clickability(clicks, error, sigma=facts["sigma"], as_published=True)

    assert np.allclose(golden.clickmap(name), found, atol=1e-5)
    assert [int(index) for index in np.unravel_index(found.argmax(), found.shape)] == facts[
        "argmax_yx"
    ]


def test_distributions_without_clicks_are_theirs(golden: Golden) -> None:
    assert np.array_equal(golden.arrays["ud"], uniform_map(golden.truth))
    assert np.allclose(golden.arrays["dt"], distance_map(golden.truth), atol=1e-6)


@pytest.mark.parametrize("name", ["dt", "first_sigma5", "first_sigma120", "noise", "uniform"])
def test_every_group_and_its_draws_are_theirs(golden: Golden, name: str) -> None:
    clickmap = np.where(golden.truth, golden.clickmap(name), 0.0)

    for facts in golden.facts["clicking_groups"]["groups"][name]:
        chances = group_chances(clickmap, facts["group"])
        packed = golden.arrays[f"group_{name}_{facts['group']}"]
        pixels = np.unpackbits(packed)[: chances.size].reshape(chances.shape) == 1
        assert np.array_equal(pixels, chances > 0)
        drawn = legacy_choice(42).choice(chances.size, size=20, p=chances.ravel())
        rows, columns = np.divmod(drawn, chances.shape[1])
        assert facts["choice20_seed42"] == np.stack([rows, columns], axis=1).tolist()


def test_a_sequence_of_group_clicks_is_theirs(golden: Golden) -> None:
    rng = legacy_choice(42)
    taken: list[Click] = []

    for facts in golden.facts["clicking_group_sequence_G10_prev_seed42"]:
        click = group_click(
            golden.truth,
            golden.mask,
            10,
            clickmap_of=lambda error, kind: golden.clickmap("first_sigma5"),
            rng=rng,
            taken=taken,
        )
        assert (facts["yx"], facts["positive"]) == ([click.y, click.x], click.positive)
        taken.append(click)


def test_a_map_of_zeros_falls_back_to_their_click(golden: Golden) -> None:
    click = group_click(
        golden.truth,
        np.zeros_like(golden.truth),
        1,
        clickmap_of=lambda error, kind: np.zeros(error.shape),
        rng=np.random.default_rng(0),
    )

    assert golden.facts["zero_map_fallback_click_yx"] == [click.y, click.x]


@pytest.mark.parametrize("name", ["identical", "same", "shifted", "tight", "wide"])
def test_distances_between_sets_are_theirs(golden: Golden, name: str) -> None:
    facts = golden.facts["sample_metrics_vs_ref"]["metrics"][name]
    a, b = golden.arrays["set_ref"], golden.arrays[f"set_{name}"]
    size_wh = object_size_wh(golden.truth)

    assert golden.facts["sample_metrics_vs_ref"]["size_wh"] == list(size_wh)
    assert pytest.approx(facts["PL1"], abs=1e-9) == pairwise_distance(a, b, size_wh=size_wh)
    assert pytest.approx(facts["WD"], abs=1e-9) == transport_distance(a, b, size_wh=size_wh)
    assert pytest.approx(facts["ks2d_p_xy_order"], abs=1e-9) == clicks_unlike_p(a, b)
    assert facts["KS_indicator"] == (clicks_unlike_p(a, b) > 0.05)


@pytest.mark.parametrize("name", ["dt", "ud", "gt_clickmap_sigma120"])
def test_scores_of_maps_are_theirs(golden: Golden, name: str) -> None:
    facts = golden.facts["map_metrics_vs_ref_clicks_seed42"]["metrics"][name]
    clickmap = golden.clickmap("first_sigma120" if name.startswith("gt") else name)
    clicks = golden.arrays["set_ref"]

    assert pytest.approx(facts["nss"], abs=1e-5) == saliency(clickmap, clicks)
    assert pytest.approx(facts["mean_pde_by_click"], abs=1e-9) == likelihood(clickmap, clicks)


@pytest.mark.parametrize("name", ["dt", "ud", "gt_clickmap_sigma120"])
def test_scores_of_drawn_sets_lie_in_the_band_of_their_seeds(golden: Golden, name: str) -> None:
    facts = golden.facts["map_metrics_vs_ref_clicks_seed42"]["metrics"][name]
    clickmap = golden.clickmap("first_sigma120" if name.startswith("gt") else name)

    scores = score_map(
        clickmap, golden.arrays["set_ref"], golden.truth, rng=np.random.default_rng(2)
    )

    mean, spread = (facts[f"l1_ks_wd_over_5_seeds_{which}"] for which in ("mean", "std"))
    band = 4 * np.array(spread)
    assert (np.abs(np.array([scores.pl1, scores.ks, scores.wd]) - mean) <= band).all()


def test_divergence_of_a_batch_is_theirs(golden: Golden) -> None:
    found, wanted = golden.arrays["kld_pred"][:, 0], golden.arrays["kld_true"][:, 0]

    mean = np.mean([divergence(a, b) for a, b in zip(found, wanted, strict=True)])
    own = np.mean([divergence(b, b) for b in wanted])

    assert pytest.approx(golden.facts["kld"]["kld"], abs=1e-5) == mean
    assert pytest.approx(golden.facts["kld"]["kld_self"], abs=1e-6) == own


def test_similarity_and_correlation_of_stretched_maps_are_theirs(golden: Golden) -> None:
    found, wanted = golden.arrays["minmax_out"][0, 0], golden.arrays["kld_true"][0, 0]

    assert pytest.approx(golden.facts["kld"]["similarity"], abs=1e-5) == similarity(found, wanted)
    assert pytest.approx(golden.facts["kld"]["cc"], abs=1e-5) == correlation(found, wanted)


SETS = st.integers(1, 12).flatmap(lambda n: arrays(np.int64, (n, 2), elements=st.integers(0, 40)))


@given(a=SETS, b=SETS)
def test_distances_are_symmetric(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> None:
    assert pytest.approx(clicks_unlike_p(b, a)) == clicks_unlike_p(a, b)
    for distance in (pairwise_distance, transport_distance):
        assert pytest.approx(distance(b, a, size_wh=(9, 9)), abs=1e-6) == distance(
            a, b, size_wh=(9, 9)
        )


@given(a=SETS)
def test_no_set_is_away_from_itself(a: npt.NDArray[np.int64]) -> None:
    assert transport_distance(a, a, size_wh=(9, 9)) == 0.0


@given(clickmap=arrays(np.float64, (6, 7), elements=st.floats(0, 1)))
def test_groups_cover_every_pixel_that_can_be_clicked(
    clickmap: npt.NDArray[np.float64],
) -> None:
    covered = np.zeros(clickmap.shape, dtype=np.bool_)
    for group in range(1, 11):
        covered |= group_chances(clickmap, group) > 0

    # A value too small to change the sum of the others may lie in no tenth.
    assert covered[clickmap > 1e-12].all()
