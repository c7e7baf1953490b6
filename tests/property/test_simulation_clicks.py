"""Simulated clicks on masks of any kind, and against RITM's own clicker."""

from __future__ import annotations

import json
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask_core.types import BoolMask, Click
from remask_masks.error_regions import error_regions, split
from remask_simulation.clicks import (
    baseline_click,
    boundary_clicks,
    region_clicks,
    uniform_clicks,
)

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[BoolMask, BoolMask]:
    shape = draw(shapes)
    masks = hnp.arrays(np.bool_, shape)
    return draw(masks), draw(masks)


@given(mask_pairs())
def test_regions_are_exactly_the_errors(pair: tuple[BoolMask, BoolMask]) -> None:
    truth, mask = pair

    seen = np.zeros(truth.shape, dtype=np.int32)
    for region in error_regions(truth, mask):
        height, width = region.pixels.shape
        window = np.s_[region.y0 : region.y0 + height, region.x0 : region.x0 + width]
        seen[window] += region.pixels
        assert (truth[window][region.pixels] == region.positive).all()

    assert ((truth != mask).astype(np.int32) == seen).all()


@given(mask_pairs(), st.integers(2, 9), st.integers(0, 99))
def test_parts_are_exactly_the_region(pair: tuple[BoolMask, BoolMask], n: int, seed: int) -> None:
    for region in error_regions(*pair):
        parts = split(region, n, rng=np.random.default_rng(seed))

        assert 1 <= len(parts) <= n
        assert region.area_px == sum(part.area_px for part in parts)


@pytest.mark.parametrize("clicks", [region_clicks, boundary_clicks, uniform_clicks])
@given(pair=mask_pairs(), n=st.integers(0, 6), seed=st.integers(0, 99))
def test_clicks_without_noise_lie_in_errors_of_their_sign(  # type: ignore[no-untyped-def]
    clicks, pair: tuple[BoolMask, BoolMask], n: int, seed: int
) -> None:
    truth, mask = pair
    rng = np.random.default_rng(seed)

    given_clicks = clicks(truth, mask, n, rng=rng, min_area_px=0, noise_px=0.0)

    assert len(given_clicks) <= n
    assert bool(given_clicks) == (n > 0 and bool((truth != mask).any()))
    for click in given_clicks:
        at = int(click.y), int(click.x)
        assert truth[at] == click.positive
        assert mask[at] != click.positive


@pytest.mark.parametrize("clicks", [region_clicks, boundary_clicks, uniform_clicks])
@given(pair=mask_pairs(), seed=st.integers(0, 99))
def test_noisy_clicks_stay_on_the_image(  # type: ignore[no-untyped-def]
    clicks, pair: tuple[BoolMask, BoolMask], seed: int
) -> None:
    truth, mask = pair
    rng = np.random.default_rng(seed)

    for click in clicks(truth, mask, 4, rng=rng, min_area_px=0, noise_px=40.0):
        assert 0 <= click.x <= truth.shape[1] - 1
        assert 0 <= click.y <= truth.shape[0] - 1


@given(mask_pairs())
def test_baseline_click_lies_in_an_error_of_its_sign(pair: tuple[BoolMask, BoolMask]) -> None:
    truth, mask = pair

    click = baseline_click(truth, mask)
    at = int(click.y), int(click.x)

    if (truth == mask).all():
        assert Click(x=0, y=0, positive=False) == click
    else:
        assert (click.positive, not click.positive) == (truth[at], mask[at])


@given(mask_pairs())
def test_taken_pixels_are_not_clicked_again(pair: tuple[BoolMask, BoolMask]) -> None:
    truth, mask = pair
    errors = int((truth != mask).sum())

    taken: list[Click] = []
    for _ in range(min(errors, 5)):
        taken.append(baseline_click(truth, mask, taken=taken))

    assert len(taken) == len({(click.x, click.y) for click in taken})


def test_clicks_fall_in_proportion_to_area() -> None:
    """A region three times as large gets three times the clicks, within three deviations."""
    truth = np.zeros((60, 200), dtype=np.bool_)
    truth[10:50, 10:130] = True
    truth[10:50, 150:190] = True
    rng = np.random.default_rng(0)

    xs = [
        click.x
        for _ in range(500)
        for click in region_clicks(truth, np.zeros_like(truth), 2, rng=rng, noise_px=0.0)
    ]

    assert abs(np.mean(np.array(xs) < 140) - 0.75) < 3 * np.sqrt(0.75 * 0.25 / len(xs))


def test_click_noise_has_the_deviation_asked_for() -> None:
    truth = np.zeros((101, 101), dtype=np.bool_)
    truth[20:81, 20:81] = True
    rng = np.random.default_rng(0)

    xs = [
        region_clicks(truth, np.zeros_like(truth), 1, rng=rng, noise_px=3.0)[0].x
        for _ in range(800)
    ]

    assert abs(np.std(xs) - np.sqrt(3.0**2 + 1 / 12)) < 0.25
    assert abs(np.mean(xs) - 50) < 0.35


def _masks(
    pairs: dict[str, npt.NDArray[np.int8]], name: str
) -> tuple[BoolMask, BoolMask, BoolMask]:
    truth = pairs[f"{name}__gt"]
    return truth == 1, pairs[f"{name}__pred"] == 1, truth != -1


def _paint(mask: BoolMask, truth: BoolMask, step: dict[str, int]) -> BoolMask:
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    disk = (columns - step["x"]) ** 2 + (rows - step["y"]) ** 2 <= 6**2
    return np.where(disk, truth, mask)


@pytest.mark.parametrize("sequence", ["seq_static", "seq_oracle_r6"])
def test_baseline_clicks_are_those_of_ritm(golden_folder: Path, sequence: str) -> None:
    """Every step of the golden sequences, its clicks fed back; equally good pixels count."""
    cases = json.loads((golden_folder / "ritm/clicks.json").read_text())["cases"]
    with np.load(golden_folder / "ritm/pairs.npz") as pairs:
        for name, case in cases.items():
            truth, mask, valid = _masks(pairs, name)
            taken: list[Click] = []
            for step in case[sequence]:
                click = baseline_click(truth, mask, taken=taken, valid=valid)

                assert step["positive"] == click.positive, (name, step["i"])
                assert [int(click.y), int(click.x)] in [
                    *step["ties_yx"],
                    [step["y"], step["x"]],
                ], (name, step["i"])
                taken.append(Click(x=step["x"], y=step["y"], positive=step["positive"]))
                if sequence == "seq_oracle_r6":
                    mask = _paint(mask, truth, step)
