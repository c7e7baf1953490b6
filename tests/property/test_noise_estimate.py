"""Noise that was put in with known parameters is found again, within its own intervals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from remask_core.errors import InputError
from remask_core.rle_coco import decode_coco_rle, encode_coco_rle
from remask_core.types import BoolMask
from remask_masks.simplification import (
    approximate,
)
from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.estimate.descriptors import NAMES, Reference
from remask_noise.estimate.fit import KINDS, estimate_noise
from remask_noise.estimate.pairs import Pairs, pair_of, read_pairs
from remask_noise.estimate.report import page_of, sentences_of
from remask_noise.operations import (
    LEVELS,
    dilate,
    erode,
    localise,
)


def some_coco_masks(shared: Path, count: int) -> list[BoolMask]:
    folder = shared / "data/train/coco_mini"
    with (folder / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    masks = []
    for number in np.random.default_rng(0).choice(len(rows), count, replace=False):
        labels = cv2.imread(str(folder / "masks" / rows[number]["mask"]), cv2.IMREAD_UNCHANGED)
        masks.append(labels == int(rows[number]["instance"]))
    return [mask for mask in masks if mask.any()]


def some_shapes(golden_folder: Path, count: int) -> list[BoolMask]:
    (path,) = (golden_folder / "cocon").glob("shapes*.json")
    stored = json.loads(path.read_text())["shapes"]
    return [decode_coco_rle(shape["rle"]) for shape in stored[:count]]


@pytest.fixture
def clean(tmp_path: Path):
    def clean(masks: list[BoolMask]) -> Path:
        document = {
            "images": [
                {"id": n, "height": mask.shape[0], "width": mask.shape[1]}
                for n, mask in enumerate(masks)
            ],
            "categories": [{"id": n, "name": f"c{n}"} for n in range(8)],
            "annotations": [
                {
                    "id": n,
                    "image_id": n,
                    "category_id": n % 8,
                    "segmentation": encode_coco_rle(mask),
                }
                for n, mask in enumerate(masks)
            ],
        }
        path = tmp_path / "clean.json"
        path.write_text(json.dumps(document))
        return path

    return clean


@pytest.mark.parametrize("level", list(LEVELS))
def test_shares_and_level_of_noise_on_shapes_are_found_again(
    golden_folder: Path, tmp_path: Path, clean, level: str
) -> None:
    check_noise_is_found(clean(some_shapes(golden_folder, 100)), tmp_path / "noisy.json", level)


@pytest.mark.parametrize("level", list(LEVELS))
def test_shares_and_level_of_noise_on_real_objects_are_found_again(
    shared: Path, tmp_path: Path, clean, level: str
) -> None:
    check_noise_is_found(clean(some_coco_masks(shared, 100)), tmp_path / "noisy.json", level)


def check_noise_is_found(reference: Path, noisy: Path, level: str) -> None:
    """Check that shares come within 0.04 of what was really drawn, and strengths within a tenth."""
    counts = apply_noise(reference, noisy, NoiseOptions(LEVELS[level], seed=2))
    rng = np.random.default_rng(3)
    found = estimate_noise(read_pairs(reference, noisy, limit=None, rng=rng), rng=rng)
    for kind in ("none", "localisation", "approximation"):
        drawn = counts.operations[kind] / counts.annotations
        assert drawn == pytest.approx(found.kinds[kind].share, abs=0.04)
    scaled = found.kinds["dilation"].share + found.kinds["erosion"].share
    assert counts.operations["scale"] / counts.annotations == pytest.approx(scaled, abs=0.04)
    assert level == found.level
    for kind, published in (
        ("localisation", LEVELS[level].sigma_px),
        ("approximation", LEVELS[level].tolerance_px),
        ("dilation", LEVELS[level].kernel_px),
        ("erosion", LEVELS[level].kernel_px),
    ):
        strength = found.strengths[kind]
        assert published == pytest.approx(strength.px, rel=0.1)
        assert strength.low <= strength.px <= strength.high
    assert found.wrong_class.share == counts.class_noise / counts.annotations
    assert found.wrong_class.low <= found.wrong_class.share <= found.wrong_class.high
    assert sum(share.share for share in found.kinds.values()) == pytest.approx(1.0)
    for number, row in enumerate(found.confusion.values()):
        assert row[number] > 0.85


def test_strengths_between_and_beyond_the_published_ones_are_found(shared: Path) -> None:
    rng = np.random.default_rng(3)
    masks = some_coco_masks(shared, 40)
    for kind, strength_px, change in (
        ("localisation", 2.7, lambda mask: localise(mask, 2.7, rng=rng)),
        ("dilation", 9.0, lambda mask: dilate(mask, 9)),
        ("approximation", 7.0, lambda mask: approximate(mask, 7.0)),
    ):
        pairs = [pair_of(mask, change(mask)) for mask in masks]
        found = estimate_noise(Pairs(pairs, [False] * len(pairs), 0, 0, 0), rng=rng)
        assert found.kinds[kind].share > 0.9
        assert strength_px == pytest.approx(found.strengths[kind].px, rel=0.1)


def test_a_mask_of_something_else_is_no_known_noise(golden_folder: Path) -> None:
    masks = some_shapes(golden_folder, 30)
    pairs = [pair_of(a, np.roll(b, 31, axis=1)) for a, b in zip(masks, masks[::-1], strict=True)]
    rng = np.random.default_rng(0)
    found = estimate_noise(Pairs(pairs, [False] * 30, 0, 0, 0), rng=rng)
    assert found.kinds["other"].share > 0.9


def test_equal_masks_have_no_noise_and_no_level(shared: Path) -> None:
    pairs = [pair_of(mask, mask) for mask in some_coco_masks(shared, 20)]
    rng = np.random.default_rng(0)
    found = estimate_noise(Pairs(pairs, [False] * len(pairs), 0, 0, 0), rng=rng)
    assert found.kinds["none"].share > 0.95
    assert found.level is None
    assert any("too little" in sentence for sentence in sentences_of(found))


def test_descriptors_are_nought_for_the_mask_itself_and_have_the_right_signs() -> None:
    mask = np.zeros((90, 100), np.bool_)
    mask[30:60, 30:70] = True
    reference = Reference(mask)
    assert reference.describe(mask).tolist() == [0.0] * len(NAMES)
    grown, shrunk = reference.describe(dilate(mask, 5)), reference.describe(erode(mask, 5))
    assert grown[0] == pytest.approx(2.0, abs=0.1)
    assert shrunk[0] == pytest.approx(-2.0, abs=0.1)
    assert shrunk[4] < 0 < grown[4]
    rough = reference.describe(localise(mask, 2.0, rng=np.random.default_rng(0)))
    assert rough[1] > grown[1]
    empty = np.zeros_like(mask)
    assert np.array_equal(reference.describe(empty), reference.describe(empty))


def test_the_report_names_every_kind(golden_folder: Path) -> None:
    pairs = [pair_of(mask, dilate(mask, 5)) for mask in some_shapes(golden_folder, 12)]
    rng = np.random.default_rng(0)
    found = estimate_noise(Pairs(pairs, [True] * 12, 1, 2, 3), rng=rng)
    html = page_of(found, made_by="Made by: a test").to_html()
    for words in (*KINDS, "level medium", "kernel", "100% differ", "Made by: a test"):
        assert words in html


def test_files_that_do_not_fit_together_are_refused(tmp_path: Path, clean) -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[5:9, 5:9] = True
    first = clean([mask, mask])
    document = json.loads(first.read_text())
    other = tmp_path / "other.json"
    rng = np.random.default_rng(0)

    document["annotations"][0]["image_id"] = 1
    other.write_text(json.dumps(document))
    with pytest.raises(InputError, match="id 0 must be on the same image"):
        read_pairs(first, other, limit=None, rng=rng)

    for annotation in document["annotations"]:
        annotation["id"] += 10
    other.write_text(json.dumps(document))
    with pytest.raises(InputError, match="share none"):
        read_pairs(first, other, limit=None, rng=rng)

    document["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1}]
    other.write_text(json.dumps(document))
    found = read_pairs(first, other, limit=None, rng=rng)
    assert (found.without_mask, found.only_reference, found.only_noisy) == (1, 1, 0)
    with pytest.raises(InputError, match="at least one object"):
        estimate_noise(found, rng=rng)
