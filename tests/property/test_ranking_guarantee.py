"""Promises are kept as often as they say, and ranges cover what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask_campaigns.gold.instances import random_order
from remask_core.errors import InputError
from remask_ranking.conformal import cross_coverage, half_widths, scaled_errors
from remask_ranking.guarantee import drawn_truths, guarantee, least_truths

Numbers = npt.NDArray[np.float64]


def campaign(rng: np.random.Generator, masks: int) -> tuple[Numbers, Numbers]:
    """Predicted and true IoU of masks, related as in a real campaign."""
    true = np.clip(rng.beta(8, 1.4, masks), 0, 1)
    return np.clip(true + rng.normal(0, 0.12, masks), 0, 1), true


def named(values: Numbers, places: npt.NDArray[np.int64] | None = None) -> dict[str, float]:
    chosen = range(len(values)) if places is None else places.tolist()
    return {f"mask-{place:05}": float(values[place]) for place in chosen}


def test_59_good_truths_are_the_least_for_5_at_95() -> None:
    assert least_truths(bad_percent=5, confidence_percent=95) == 59
    predicted = {f"m{n}": n / 100 for n in range(100)}

    enough = guarantee(predicted, {f"m{n}": 0.9 for n in range(59)})
    missing = guarantee(predicted, {f"m{n}": 0.9 for n in range(58)})

    assert len(enough.instances) == 100
    assert enough.truths_missing == 0
    assert missing.instances == ()
    assert missing.truths_missing == 1
    assert "paint at least 1 more" in missing.sentence


def test_one_bad_truth_among_59_leaves_nothing_to_promise() -> None:
    predicted = {f"m{n}": n / 100 for n in range(100)}
    true = {f"m{n}": 0.9 for n in range(59)} | {"m0": 0.1}

    found = guarantee(predicted, true)

    assert found.instances == ()
    assert found.truths_missing == 0
    assert "No set of masks" in found.sentence


def test_bad_masks_at_the_end_are_left_out_of_the_promise() -> None:
    predicted = {f"m{n:04}": 1 - n / 1000 for n in range(1000)}
    true = {f"m{n:04}": 0.95 if n < 700 else 0.5 for n in range(0, 1000, 2)}

    found = guarantee(predicted, true)

    assert 700 <= len(found.instances) < 760
    assert found.instances[0] == "m0000"
    assert found.threshold == predicted[found.instances[-1]]
    assert f"these {len(found.instances)} masks" in found.sentence


@pytest.mark.parametrize(("truths", "least_promised"), [(100, 0.0), (400, 0.3)])
def test_of_1000_campaigns_no_more_than_5_in_100_break_their_promise(
    truths: int, least_promised: float
) -> None:
    """The bad share is that of a large set, so the promise is about the set, not the draw."""
    rng = np.random.default_rng(5)
    predicted, true = campaign(rng, 1500)
    names = named(predicted)
    broken = promised = 0
    for _ in range(1000):
        drawn = rng.choice(len(true), truths, replace=False)
        found = guarantee(names, named(true, drawn), min_iou=0.75, bad_percent=10)
        if found.instances:
            promised += 1
            places = [int(name[5:]) for name in found.instances]
            broken += bool((true[places] < 0.75).mean() > 0.10)

    # 1000 tries of a chance of 5 % give more than 67 once in 100 times.
    assert broken <= 67
    assert promised / 1000 >= least_promised


def test_a_chosen_sample_is_refused() -> None:
    instances = [f"i{n}" for n in range(200)]
    worst_looking = dict.fromkeys(instances[:80], 0.9)

    with pytest.raises(InputError, match=r"random draw.*--draw random"):
        drawn_truths(random_order(instances), worst_looking)


def test_a_random_draw_is_recognised_and_gaps_count_as_bad() -> None:
    instances = [f"i{n}" for n in range(200)]
    drawn = random_order(instances, seed=3)[:80]
    true = {name: 0.9 for name in drawn if name not in (drawn[10], drawn[20])}

    found = drawn_truths(random_order(instances, seed=3), true)

    assert list(found) == drawn
    assert found[drawn[10]] == found[drawn[20]] == 0.0
    every = dict.fromkeys(random_order(instances), 0.5)
    assert drawn_truths(list(every), every) == every


@given(st.lists(st.text(min_size=1), unique=True, max_size=30), st.integers(0, 5))
def test_added_instances_do_not_change_the_order_of_the_others(names: list[str], seed: int) -> None:
    order = random_order(names, seed=seed)

    assert sorted(order) == sorted(names)
    assert [n for n in random_order([*names, "\x00new"], seed=seed) if n in set(names)] == order


@pytest.mark.parametrize("truths", [50, 100, 300])
def test_ranges_cover_what_they_say_within_3_points(truths: int) -> None:
    """Over many campaigns; a single one has the luck of its truths."""
    rng = np.random.default_rng(7)
    covered = {0.68: [], 0.95: []}
    for _ in range(200):
        predicted, true = campaign(rng, truths + 200)
        spread = rng.uniform(0.02, 0.2, truths + 200)
        errors = scaled_errors(true[:truths], predicted[:truths], spread[:truths])
        for coverage, found in covered.items():
            widths = half_widths(errors, spread[truths:], coverage=coverage)
            found.append((np.abs(true - predicted)[truths:] <= widths).mean())

    for coverage, found in covered.items():
        assert coverage - 0.01 <= np.mean(found) <= coverage + 0.03


@pytest.mark.parametrize("truths", [0, 1, 5, 18])
def test_with_few_truths_ranges_are_conservative(truths: int) -> None:
    rng = np.random.default_rng(1)
    predicted, true = campaign(rng, truths)
    errors = scaled_errors(true, predicted, np.full(truths, 0.1))

    assert (half_widths(errors, [0.1, 0.2], coverage=0.95) == 1.0).all()


def test_coverage_is_judged_on_truths_that_did_not_set_the_range() -> None:
    rng = np.random.default_rng(2)
    predicted, true = campaign(rng, 400)

    one_sigma, ninety_five = cross_coverage(true, predicted, np.full(400, 0.1))

    assert one_sigma == pytest.approx(0.68, abs=0.06)
    assert ninety_five == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("share", [0.0, 100.0, -1.0])
def test_shares_out_of_range_are_refused(share: float) -> None:
    with pytest.raises(InputError, match="per cent"):
        guarantee({}, {}, bad_percent=share)
