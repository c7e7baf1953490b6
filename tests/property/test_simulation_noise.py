"""Label noise: equal to the published code where it is fixed, alike in the mean where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from remask_core.errors import InputError
from remask_core.overlap import boundary_iou, iou
from remask_core.rle_coco import decode_coco_rle
from remask_core.types import BoolMask
from remask_masks.simplification import (
    approximate,
    simplify_ring,
)
from remask_noise.operations import (
    LEVELS,
    choose_operation,
    dilate,
    erode,
    flip_class,
    localise,
    opening,
    scale,
)

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))


@pytest.fixture(scope="module")
def shapes(shared: Path) -> list[BoolMask]:
    stored = json.loads((shared / "golden/cocon/shapes600.json").read_text())["shapes"]
    return [decode_coco_rle(shape["rle"]) for shape in stored]


def test_operations_without_chance_equal_the_published_ones(golden_folder: Path) -> None:
    (path,) = (golden_folder / "cocon").rglob("fixed_ops.json")
    fixed = json.loads(path.read_text())["fixed"]
    operations = {
        "approximation": lambda mask, level: approximate(mask, level.tolerance_px),
        "dilation": lambda mask, level: dilate(mask, level.kernel_px),
        "erosion": lambda mask, level: erode(mask, level.kernel_px),
        "opening(paper only)": lambda mask, level: opening(mask, level.kernel_px),
    }
    checked = 0
    for name, entry in fixed.items():
        clean = decode_coco_rle(entry["clean"])
        for key, out in entry["out"].items():
            level, operation = key.split("/")[:2]
            if operation in operations:
                got = operations[operation](clean, LEVELS[level])
                assert np.array_equal(decode_coco_rle(out["rle"]), got), (name, key)
                checked += 1
    assert checked == 12 * 3 * 4


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, dict[str, dict[str, float]]]:
    stored = json.loads((shared / "golden/cocon/geos311/distribution_stats.json").read_text())
    return {name: entry["all"] for name, entry in stored["stats"].items()}


@pytest.mark.parametrize("level", list(LEVELS))
@pytest.mark.parametrize("operation", ["approximation", "dilation", "erosion", "localization"])
def test_operations_agree_with_the_published_means(
    published: dict[str, dict[str, dict[str, float]]],
    shapes: list[BoolMask],
    level: str,
    operation: str,
) -> None:
    """Over 600 shapes, and several draws where there is chance, means are within 0.01."""
    of_level = LEVELS[level]
    rng = np.random.default_rng(5)
    change = {
        "approximation": lambda mask: approximate(mask, of_level.tolerance_px),
        "dilation": lambda mask: dilate(mask, of_level.kernel_px),
        "erosion": lambda mask: erode(mask, of_level.kernel_px),
        "localization": lambda mask: localise(mask, of_level.sigma_px, rng=rng),
    }[operation]
    pairs = [
        (mask, change(mask))
        for _ in range(2 if operation == "localization" else 1)
        for mask in shapes
    ]
    want = published[f"{level}/{operation}"]
    assert want["iou"]["mean"] == pytest.approx(np.mean([iou(*p) for p in pairs]), abs=0.01)
    assert want["boundary_iou_0.02"]["mean"] == pytest.approx(
        np.mean([boundary_iou(*p) for p in pairs]), abs=0.01
    )
    assert want["area_ratio"]["mean"] == pytest.approx(
        np.mean([noisy.sum() / mask.sum() for mask, noisy in pairs]), abs=0.01
    )


def test_scaling_dilates_as_often_as_it_erodes() -> None:
    rng = np.random.default_rng(5)
    mask = np.zeros((20, 30), np.bool_)
    mask[5:15, 8:22] = True
    grown = [scale(mask, 3, rng=rng).sum() > mask.sum() for _ in range(6000)]
    assert np.mean(grown) == pytest.approx(0.5, abs=0.02)


@given(MASKS, st.integers(0, 2**32 - 1))
def test_every_operation_keeps_the_shape_and_the_input(mask: BoolMask, seed: int) -> None:
    before = mask.copy()
    rng = np.random.default_rng(seed)
    for noisy in (
        dilate(mask, 3),
        erode(mask, 3),
        opening(mask, 3),
        scale(mask, 5, rng=rng),
        localise(mask, 2.0, rng=rng),
        localise(mask, 2.0, rng=rng, holes=True),
        approximate(mask, 5.0),
        approximate(mask, 5.0, holes=True),
    ):
        assert noisy.shape == mask.shape
        assert noisy.dtype == np.bool_
    assert np.array_equal(before, mask)


@given(MASKS)
def test_dilating_holds_the_mask_and_the_mask_holds_its_erosion(mask: BoolMask) -> None:
    assert not (mask & ~dilate(mask, 3)).any()
    assert not (erode(mask, 3) & ~mask).any()


def test_an_empty_mask_stays_empty() -> None:
    empty = np.zeros((5, 7), np.bool_)
    rng = np.random.default_rng(0)
    for noisy in (dilate(empty, 3), localise(empty, 2.0, rng=rng), approximate(empty, 5.0)):
        assert not noisy.any()


def test_a_hole_is_filled_as_published_and_kept_on_request() -> None:
    ring = np.zeros((60, 60), np.bool_)
    ring[5:55, 5:55] = True
    ring[20:40, 20:40] = False
    assert approximate(ring, 3.0)[30, 30]
    assert not approximate(ring, 3.0, holes=True)[30, 30]
    assert iou(ring, approximate(ring, 3.0, holes=True)) > 0.95
    rng = np.random.default_rng(3)
    assert localise(ring, 1.0, rng=rng)[30, 30]
    assert not localise(ring, 1.0, rng=rng, holes=True)[30, 30]


def test_the_same_seed_gives_the_same_mask() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[8:30, 5:33] = True
    first = localise(mask, 3.0, rng=np.random.default_rng(7))
    assert np.array_equal(first, localise(mask, 3.0, rng=np.random.default_rng(7)))


def test_simplifying_a_ring_keeps_its_first_vertex_and_drops_what_is_straight() -> None:
    ring = np.array([[0, 0], [5, 0], [10, 0], [10, 10], [5, 10], [0, 10]], np.int32)
    assert simplify_ring(ring, tolerance_px=1).tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]


@pytest.mark.parametrize("level", list(LEVELS))
def test_operations_are_chosen_at_the_rates_of_the_level(level: str) -> None:
    rng = np.random.default_rng(11)
    drawn = [choose_operation(LEVELS[level], rng=rng) for _ in range(20_000)]
    share = LEVELS[level].spatial_share
    for name in ("approximation", "localisation", "scale"):
        assert share == pytest.approx(drawn.count(name) / 20_000, abs=0.01)
    assert 1 - 3 * share == pytest.approx(drawn.count("none") / 20_000, abs=0.01)


def test_classes_flip_at_the_papers_rate_or_at_the_published_one() -> None:
    rng = np.random.default_rng(2)
    paper = [flip_class(3, share=0.4, rng=rng, n_classes=8) for _ in range(20_000)]
    published = [
        flip_class(3, share=0.4, rng=rng, n_classes=8, as_published=True) for _ in range(20_000)
    ]
    assert np.mean(np.array(paper) != 3) == pytest.approx(0.4, abs=0.01)
    assert np.mean(np.array(published) != 3) == pytest.approx(0.4 * (1 - 1 / 8), abs=0.01)


def test_asymmetric_noise_stays_within_the_similar_classes() -> None:
    rng = np.random.default_rng(2)
    flipped = {
        flip_class(1, share=1.0, rng=rng, n_classes=10, similar=(1, 4, 6)) for _ in range(200)
    }
    assert flipped == {4, 6}
    assert flip_class(1, share=1.0, rng=rng, n_classes=10, similar=(1,)) == 1


def test_a_wrong_class_or_share_is_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"class_index.*got 9"):
        flip_class(9, share=0.5, rng=rng, n_classes=3)
    with pytest.raises(InputError, match=r"share.*got 1\.5"):
        flip_class(0, share=1.5, rng=rng, n_classes=3)
