"""Simulated annotators against the numbers of the Open Images campaign."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from remask_core.errors import InputError
from remask_core.types import BoolMask
from remask_simulation.annotators import Annotator, SimulatedVisit, crew, visit


def scattered() -> BoolMask:
    """Six separate squares of sides 40, 34, 28, 22, 16 and 12 px."""
    truth = np.zeros((80, 240), dtype=np.bool_)
    left = 4
    for side in (40, 34, 28, 22, 16, 12):
        truth[10 : 10 + side, left : left + side] = True
        left += side + 6
    return truth


@pytest.fixture(scope="module")
def visits() -> list[SimulatedVisit]:
    truth = scattered()
    rng = np.random.default_rng(5)
    return [visit(Annotator(), truth, np.zeros_like(truth), rng=rng) for _ in range(3000)]


def test_skips_are_as_rare_as_in_the_campaign(visits: list[SimulatedVisit]) -> None:
    assert abs(np.mean([v.skipped for v in visits]) - 0.027) < 0.01


def test_clicks_per_round_are_those_of_the_campaign(
    visits: list[SimulatedVisit], shared: Path
) -> None:
    golden = json.loads((shared / "golden/benenson/derived.json").read_text())["clicks_per_round"]
    counts = np.array([len(v.clicks) for v in visits if not v.skipped])

    assert abs(counts.mean() - golden["mean_clicks_per_nonskipped_round"]) < 0.07
    for clicks in range(5):
        share = golden["percent"][f"c{clicks}"] / (100.3 - 2.7)
        assert abs((counts == clicks).mean() - share) < 0.03


def test_a_visit_takes_the_seconds_that_were_measured(visits: list[SimulatedVisit]) -> None:
    for clicks, seconds in enumerate((4.0, 8.0, 11.0, 14.0, 11.4)):
        taken = [v.seconds for v in visits if len(v.clicks) == clicks and not v.skipped]

        assert abs(np.mean(taken) / seconds - 1) < 0.15

    assert abs(np.mean([v.seconds for v in visits]) - 11.4) < 0.4


def test_large_errors_come_first_more_often_than_not(visits: list[SimulatedVisit]) -> None:
    """Three visits of ten go from large to small without exception; areas fall on average."""
    truth = scattered()
    side = truth.sum(axis=0)
    areas = [[int(side[int(c.x)]) ** 2 for c in v.clicks] for v in visits if v.clicks]
    in_order = np.mean([all(a > b for a, b in itertools.pairwise(s)) for s in areas])
    full = np.array([s for s in areas if len(s) == 4])

    assert abs(in_order - 0.30) < 0.06
    assert (np.diff(full.mean(axis=0)) < 0).all()


def test_clicks_that_are_left_over_go_to_large_regions() -> None:
    truth = np.zeros((60, 140), dtype=np.bool_)
    truth[5:55, 5:105] = True
    truth[5:25, 115:135] = True
    four = Annotator(clicks_shares=(0, 0, 0, 0, 1), skip_share=0.0)

    done = visit(four, truth, np.zeros_like(truth), rng=np.random.default_rng(1))

    assert sum(click.x < 110 for click in done.clicks) == 3


def test_a_mask_without_visible_error_is_accepted() -> None:
    truth = np.zeros((40, 40), dtype=np.bool_)
    truth[10:30, 10:30] = True
    mask = truth.copy()
    mask[10, 10:20] = False
    person = Annotator(skip_share=0.0)

    done = visit(person, truth, mask, rng=np.random.default_rng(1))

    assert (done.clicks, done.skipped) == ((), False)


def test_who_slips_always_gives_the_wrong_sign() -> None:
    truth = scattered()
    person = Annotator(slip_share=1.0, skip_share=0.0, clicks_shares=(0, 0, 0, 1, 0))

    done = visit(person, truth, np.zeros_like(truth), rng=np.random.default_rng(1))

    assert [click.positive for click in done.clicks] == [False] * 3


def test_a_crew_differs_in_care_and_averages_to_the_campaign() -> None:
    people = crew(200, rng=np.random.default_rng(2))

    assert max(p.min_area_px for p in people) > 2 * min(p.min_area_px for p in people)
    assert abs(np.mean([p.pace for p in people]) - 1) < 0.05
    assert abs(np.mean([p.clicks_shares[0] for p in people]) - 0.021) < 0.005


def test_habits_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="`in_order` must lie in"):
        Annotator(in_order=1.5)
