"""What else a click may mean: groups and unions in the data, and which reading learns which."""

from __future__ import annotations

import numpy as np
import pytest

from remask_core.types import Box
from remask_training.crops import View, augmented_crop
from remask_training.families import families_of, with_groups
from remask_training.readings import assign
from remask_training.samples import Picture, Sample

LABELS = np.zeros((60, 200), np.uint8)
SPANS = {1: (10, 40), 2: (43, 70), 3: (120, 150), 4: (72, 90)}
for _value, (_x0, _x1) in SPANS.items():
    LABELS[20:40, _x0:_x1] = _value
PICTURE = Picture("one", np.random.default_rng(0).integers(0, 255, (60, 200, 3), dtype=np.uint8))


def sample(value: int, category: str = "sheep") -> Sample:
    x0, x1 = SPANS[value]
    box = Box(x0, 20, x1, 40)
    return Sample(PICTURE, LABELS, (value,), box, 1.0 + value, str(value), (), category)


def test_instances_of_a_category_that_touch_are_a_group() -> None:
    samples = [sample(1), sample(2), sample(3), sample(4, "dog")]

    (group,) = with_groups(samples)[4:]

    assert group.values == (1, 2)
    assert group.box == Box(10, 20, 70, 40)
    assert np.array_equal(np.isin(LABELS, (1, 2)), group.mask())


def test_without_a_category_there_is_no_group() -> None:
    samples = [sample(1, ""), sample(2, "")]

    assert samples == with_groups(samples)


def test_relatives_share_pixels() -> None:
    samples = with_groups([sample(1), sample(2), sample(3)])

    families = families_of(samples)

    assert families[0] == (samples[3],)
    assert families[3] == (samples[1], samples[0])
    assert 2 not in families


def test_relatives_are_cut_as_their_instance_is() -> None:
    samples = with_groups([sample(1), sample(2)])
    view = View(context=3.0, anywhere=False)
    crops = [
        augmented_crop(
            samples[0],
            samples,
            side=128,
            view=view,
            rng=np.random.default_rng(seed),
            relatives=samples[2:],
        )
        for seed in range(12)
    ]
    cut = [crop for crop in crops if crop.relatives]

    # A third is set on another picture, where there is no relative.
    assert 4 <= len(cut) < 12
    for crop in cut:
        assert (crop.relatives[0] >= crop.truth).all()
        assert crop.relatives[0].sum() > 1.5 * crop.truth.sum()


@pytest.mark.parametrize(
    ("own", "areas", "expected"),
    [
        ([0.3], [50.0], [(0, 0, 1.0)]),
        ([0.3], [500.0], [(0, 1, 1.0)]),
        ([0.97], [90.0], [(0, 0, pytest.approx(0.1))]),
        ([0.85], [120.0], [(0, 1, pytest.approx(0.5))]),
        ([0.95, 0.2], [100.0, 600.0], [(1, 1, 1.0)]),
        ([0.2, 0.4], [900.0, 300.0], [(1, 0, 1.0), (0, 1, 1.0)]),
    ],
    ids=["smaller", "larger", "met", "nearly met", "one of two is met", "two are missed"],
)
def test_a_truth_that_the_own_mask_lacks_teaches_the_reading_of_its_size(
    own: list[float], areas: list[float], expected: list[tuple[int, int, float]]
) -> None:
    assert expected == assign(np.array(own), np.array(areas), 100.0)
